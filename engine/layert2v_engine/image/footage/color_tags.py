"""Color tags of files as color spaces, and the one rule for files without them.

Video and PNG (cICP) number primaries and transfer as ITU-T H.273 does; EXR names a color space or
gives chromaticities. Knows numbers and names, no pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

from layert2v.rerender import AUTO
from layert2v_engine.errors import ColorError, FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.footage.info import ColorTag, FootageInfo

DISPLAY_SPACE = "srgb_rec709_scene"
UNSPECIFIED = (0, 2, 3)

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
_NTSC = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65)
_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
# Name in color space ids, name for people, primaries: by the number of H.273.
_PRIMARIES = {
    1: ("rec709", "Rec.709", _REC709),
    4: ("bt470m", "BT.470 M", (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, *_C)),
    5: ("bt601pal", "BT.601 (625 lines)", (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65)),
    6: ("bt601ntsc", "BT.601 (525 lines)", _NTSC),
    7: ("bt601ntsc", "SMPTE 240M", _NTSC),
    9: ("rec2020", "BT.2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65)),
    11: ("p3dci", "DCI-P3", (*_P3, 0.314, 0.351)),
    12: ("p3d65", "Display P3", (*_P3, *_D65)),
    22: ("ebu3213", "EBU 3213", (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65)),
}
_LINEAR, _PQ, _HLG = 8, 16, 18
# Pictures graded on a display: what was seen is decoded with the sRGB curve, as players show it.
_DISPLAY_TRANSFERS = (1, 6, 7, 11, 12, 13, 14, 15)
_GAMMAS = {4: 2.2, 5: 2.8}
_HDR = {_PQ: ("PQ", "pq_rec2020_display"), _HLG: ("HLG", "hlg_rec2020_display")}
_KNOWN_CHROMATICITIES = {
    "lin_rec709_scene": _REC709,
    "lin_ap1_scene": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
    "lin_ap0_scene": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
    "lin_rec2020_scene": _PRIMARIES[9][2],
    "lin_p3d65_scene": _PRIMARIES[12][2],
}
# Descriptions of the ICC profiles that cameras, phones and browsers write.
_PROFILES = (
    ("srgb", DISPLAY_SPACE),
    ("display p3", "srgb_p3d65_scene"),
    ("adobe rgb", "g22_adobergb_scene"),
    ("adobergb", "g22_adobergb_scene"),
    ("linear rec.709", "lin_rec709_scene"),
)


def tag_from_numbers(primaries: int, transfer: int) -> ColorTag | None:
    """Return what the numbers of H.273 say; None where they say nothing beyond sRGB."""
    if transfer in _HDR:
        short, name = _HDR[transfer]
        return ColorTag(name, f"{short} (HDR)", refusal=f"is {short}, which is HDR")
    if primaries in UNSPECIFIED and transfer in UNSPECIFIED:
        return None
    known = _PRIMARIES.get(1 if primaries in UNSPECIFIED else primaries)
    gamma = _gamma(transfer)
    if known is None or gamma is None:
        label = f"primaries {primaries} and transfer {transfer}"
        return ColorTag(
            "unknown", label, refusal=f"has {label} of ITU-T H.273, which are not known"
        )
    return _tag_display(*known, gamma)


def tag_from_chromaticities(values: Sequence[float], gamma: float = 1.0) -> ColorTag:
    """Return light with the primaries x, y of red, green, blue and white, encoded with ``gamma``.

    A ``gamma`` of 0 is the sRGB curve, 1 is linear light.
    """
    for name, known in _KNOWN_CHROMATICITIES.items():
        if gamma == 1.0 and _are_close(values, known):
            return ColorTag(name, name, known)
    for place, label, known in _PRIMARIES.values():
        if gamma != 1.0 and _are_close(values, known):
            return _tag_display(place, label, known, gamma)
    place = "_".join(f"{value:.5g}" for value in values)
    return _tag_display(place, "primaries of its own", tuple(map(float, values)), gamma)


def tag_from_profile(description: str) -> ColorTag | None:
    """Return the color space that an ICC profile's description names, None for any other."""
    for start, name in _PROFILES:
        if description.lower().startswith(start):
            return ColorTag(name, description)
    return None


def find_colorspace(
    info: FootageInfo, path: object, asked: str, config: ColorConfig, working: str
) -> tuple[str, tuple[str, ...]]:
    """Return the color space to read a clip in, with notes about what was guessed or overruled.

    ``asked`` goes before what the file says. Without either, linear formats are in the ``working``
    space of the stack and all others sRGB. Raises ``ColorError`` for an ``asked`` space that is not
    there, ``FootageError`` for a tag that cannot be followed.
    """
    tag, name = info.color, getattr(path, "name", path)
    if asked not in ("", AUTO):
        space = config.find(asked)
        if tag and not _is_same(tag, space.interop_id, space.name):
            return asked, (f"{name} says {tag.label}; it is read as {asked}, as was asked for.",)
        return asked, ()
    if tag is None:
        if info.is_linear:
            return working, (f"{name} does not say its color space; it is taken as {working}.",)
        return DISPLAY_SPACE, ()
    refuse_tag(tag, path)
    if tag.primaries:
        config.define(tag.name, tag.primaries, tag.gamma)
    try:
        config.find(tag.name)
    except ColorError as error:
        raise FootageError(
            f"{path} says that its color space is {tag.name}, which is not known here.",
            "Name the color space to read it in.",
            reason="FOOTAGE_COLORSPACE",
        ) from error
    if tag.name == DISPLAY_SPACE or (info.is_linear and tag.name == working):
        return tag.name, ()
    return tag.name, (f"{name} is converted from {tag.label}, as it says itself.",)


def refuse_tag(tag: ColorTag | None, path: object) -> None:
    """Raise ``FootageError`` for a tag that is not followed without being asked for."""
    if tag is not None and tag.refusal:
        raise FootageError(
            f"{path} {tag.refusal}.",
            "Convert it to SDR or to linear EXR first, or name the color space to read it in.",
            reason="FOOTAGE_HDR" if "HDR" in tag.refusal else "FOOTAGE_COLORSPACE",
        )


def _tag_display(place: str, label: str, primaries: tuple[float, ...], gamma: float) -> ColorTag:
    curve = {1.0: "lin", 0.0: "srgb"}.get(gamma, f"g{gamma * 10:.4g}".replace(".", "p"))
    words = {1.0: f"linear {label}", 0.0: label}.get(gamma, f"{label} with gamma {gamma:.4g}")
    return ColorTag(f"{curve}_{place}_scene", words, primaries, gamma)


def _are_close(values: Sequence[float], known: Sequence[float]) -> bool:
    return all(abs(a - b) < 1e-3 for a, b in zip(values, known, strict=True))


def _is_same(tag: ColorTag, *names: str) -> bool:
    return tag.name in names


def _gamma(transfer: int) -> float | None:
    """Return the gamma of a transfer characteristic; 0 for the sRGB curve, None if unknown."""
    if transfer in UNSPECIFIED or transfer in _DISPLAY_TRANSFERS:
        return 0.0
    return 1.0 if transfer == _LINEAR else _GAMMAS.get(transfer)
