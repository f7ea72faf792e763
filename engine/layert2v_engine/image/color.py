"""Color spaces by name and color transforms on tensors.

OpenColorIO decides what a transform is. Where it comes down to curves and matrices, torch carries
it out on whatever device the pixels are on; anything else goes through OCIO on the CPU. OCIO's
environment variables are never read: the color of a stack must not depend on the machine.
Knows no files but configurations.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio
import torch
from torch import Tensor

from layert2v_engine.errors import ColorError
from layert2v_engine.image.color_steps import compile_processor

logger = logging.getLogger(__name__)

# A full name, because "default" means another config in every OCIO release. This one is the newest
# that OCIO 2.5 and 2.6 both carry.
PINNED_CONFIG = "studio-config-v4.0.0_aces-v2.0_ocio-v2.5"

# What the hosts' own configs call these; matched by name where a config cannot be matched by maths.
_HOST_NAMES = {
    "srgb_rec709_scene": ("sRGB",),
    "lin_rec709_scene": ("Linear Rec.709", "Linear"),
    "lin_rec2020_scene": ("Linear Rec.2020",),
}
UNKNOWN_ID = "unknown"

# Half has 11 significant bits; a compiled transform may be off by a thirtieth of its last one.
_TOLERANCE = 2.0**-16
_CHUNK_PIXELS = 1 << 17


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorSpace:
    """A color space of one config.

    ``interop_id`` is its Color Interop Forum id, ``unknown`` where no standard space matches.
    """

    name: str
    interop_id: str
    linear: bool


class ColorTransform:
    """Converts ``[..., 3, H, W]`` tensors; returns float32 on the device of its input.

    ``compiled`` says whether torch does the work. A compiled transform has been compared with
    OCIO's own CPU result over negative, ordinary and bright values before it is used.
    """

    def __init__(self, processor: ocio.Processor) -> None:
        optimized = processor.getOptimizedProcessor(ocio.OPTIMIZATION_LOSSLESS)
        self._cpu = optimized.getOptimizedCPUProcessor(
            ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_F32, ocio.OPTIMIZATION_LOSSLESS
        )
        self._steps = compile_processor(optimized)
        if self._steps is not None and not self._matches_ocio():
            logger.warning("color_compile_mismatch cache_id=%s", processor.getCacheID())
            self._steps = None

    @property
    def compiled(self) -> bool:
        """Tell whether torch does the work on the device of the pixels."""
        return self._steps is not None

    def __call__(self, rgb: Tensor) -> Tensor:
        if self._steps is None:
            return self.apply_on_cpu(rgb)
        pixels = rgb.float().flatten(-2)  # [..., 3, H*W]
        if rgb.device.type != "cpu" or pixels.shape[-1] <= _CHUNK_PIXELS:
            return self._apply_steps(pixels).reshape(rgb.shape)
        # In pieces, since what fits into a core's cache takes two thirds of the time.
        converted = torch.empty_like(pixels)
        for piece, result in zip(
            pixels.split(_CHUNK_PIXELS, -1), converted.split(_CHUNK_PIXELS, -1), strict=True
        ):
            result.copy_(self._apply_steps(piece))
        return converted.reshape(rgb.shape)

    def _apply_steps(self, pixels: Tensor) -> Tensor:
        for step in self._steps or ():
            pixels = step(pixels)
        return pixels

    def apply_on_cpu(self, rgb: Tensor) -> Tensor:
        """Convert ``[..., 3, H, W]`` through OCIO's CPU processor, whatever the transform holds."""
        pixels = rgb.detach().float().movedim(-3, -1).cpu().contiguous().clone().numpy()
        flat = pixels.reshape(1, -1, 3)
        self._cpu.apply(ocio.PackedImageDesc(flat, flat.shape[1], 1, 3))
        return torch.from_numpy(pixels).movedim(-1, -3).to(rgb.device)

    def _matches_ocio(self) -> bool:
        axis = torch.tensor([-0.25, -0.01, 0.0, 0.001, 0.02, 0.04, 0.1, 0.4, 0.75, 1.0, 1.5, 8.0])
        probe = torch.cartesian_prod(axis, axis, axis).T.reshape(3, 1, -1)
        expected = self.apply_on_cpu(probe)
        scale = expected.abs().amax(dim=0).clamp_min(2.0**-6)
        return bool(((self(probe) - expected).abs() <= _TOLERANCE * scale).all())


class ColorConfig:
    """An OCIO configuration: the pinned built-in one or a host's own."""

    def __init__(self, config: ocio.Config, label: str) -> None:
        self._config = config
        self.label = label
        self._pinned = ocio.Config.CreateFromBuiltinConfig(PINNED_CONFIG)
        self._defined: set[str] = set()

    @classmethod
    def load(cls, source: str | Path | None = None) -> ColorConfig:
        """Load the pinned config, a built-in one (``ocio://NAME``), a ``.ocio`` or ``.ocioz`` file.

        Raises ``ColorError`` with reason ``CONFIG_UNREADABLE``.
        """
        name = str(source) if source else f"ocio://{PINNED_CONFIG}"
        try:
            if name.startswith("ocio://"):
                config = ocio.Config.CreateFromBuiltinConfig(name.removeprefix("ocio://"))
            else:
                config = ocio.Config.CreateFromFile(name)
        except (ocio.Exception, ocio.ExceptionMissingFile) as error:
            raise ColorError(
                f"The OCIO config {name} cannot be read: {error}",
                "Give a .ocio or .ocioz file, or the name of a built-in config.",
                reason="CONFIG_UNREADABLE",
            ) from error
        return cls(config, Path(name).name)

    def define(self, name: str, primaries: Sequence[float], gamma: float = 1.0) -> None:
        """Make ``name`` a color space with these x, y of red, green, blue and white.

        ``gamma`` 0 is the sRGB curve. A standard space of this name stays as it is.
        """
        if self._pinned.getColorSpace(name) is not None:
            return
        steps = [ocio.MatrixTransform(matrix=_matrix_to_ap0(primaries).flatten().tolist())]
        if gamma == 0.0:
            curve = ocio.ExponentWithLinearTransform(
                gamma=[2.4, 2.4, 2.4, 1.0], offset=[0.055, 0.055, 0.055, 0.0]
            )
            curve.setNegativeStyle(ocio.NEGATIVE_LINEAR)
            steps.insert(0, curve)
        elif gamma != 1.0:
            steps.insert(0, ocio.ExponentTransform([gamma, gamma, gamma, 1.0]))
        space = ocio.ColorSpace(
            ocio.REFERENCE_SPACE_SCENE, name, toReference=ocio.GroupTransform(steps)
        )
        space.setEncoding("scene-linear" if gamma == 1.0 else "sdr-video")
        self._pinned.addColorSpace(space)
        self._defined.add(name)

    def find(self, name: str) -> ColorSpace:
        """Return a color space by its name here, an alias, a role, or an interop id.

        A name of the pinned config also finds the space of this config that means the same.
        Raises ``ColorError`` with reason ``COLORSPACE_UNKNOWN``.
        """
        if name in self._defined:
            linear = self._pinned.isColorSpaceLinear(name, ocio.REFERENCE_SPACE_SCENE)
            return ColorSpace(name=name, interop_id=UNKNOWN_ID, linear=linear)
        own_name = self._own_name(name)
        if own_name is None:
            names = {alias for space in self._config.getColorSpaces() for alias in _names(space)}
            similar = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.5)
            hint = (
                f"Did you mean {' or '.join(map(repr, similar))}?"
                if similar
                else "See `layert2v-engine ocio`."
            )
            raise ColorError(
                f"The color space {name} is not in {self.label}.",
                hint,
                reason="COLORSPACE_UNKNOWN",
            )
        return ColorSpace(
            name=own_name,
            interop_id=self._interop_id(own_name),
            linear=self._config.isColorSpaceLinear(own_name, ocio.REFERENCE_SPACE_SCENE),
        )

    def find_linear(self, name: str) -> ColorSpace:
        """Return a color space that layers may be delivered in.

        Raises ``ColorError`` as ``find`` does, and with reason ``COLORSPACE_NOT_LINEAR``: over is
        only right in linear light.
        """
        space = self.find(name)
        if not space.linear:
            raise ColorError(
                f"{space.name} is not a scene-linear color space, and layers are.",
                "Choose one such as lin_rec709_scene or ACEScg.",
                reason="COLORSPACE_NOT_LINEAR",
            )
        return space

    def spaces(self) -> tuple[ColorSpace, ...]:
        """Return every active color space, in the order of the config."""
        return tuple(self.find(space.getName()) for space in self._config.getColorSpaces())

    def transform(self, source: str, target: str) -> ColorTransform:
        """Return the transform from ``source`` to ``target``.

        A standard space that this config lacks is taken from the pinned config and joined through
        the interchange roles. Raises ``ColorError``.
        """
        (start, start_name), (end, end_name) = self._locate(source), self._locate(target)
        try:
            if start is end:  # needs no roles to meet in, which old configs lack
                processor = start.getProcessor(start_name, end_name)
            else:
                processor = ocio.Config.GetProcessorFromConfigs(start, start_name, end, end_name)
        except ocio.Exception as error:
            message = f"There is no way from {source} to {target} in {self.label}: {error}"
            raise ColorError(message, reason="COLORSPACE_UNREACHABLE") from error
        return ColorTransform(processor)

    def display_transform(self, source: str, display: str) -> ColorTransform:
        """Return the transform from ``source`` to the standard space ``display``, for previews.

        From a config that has no way there, values are taken as linear Rec.709.
        """
        try:
            return self.transform(source, display)
        except ColorError as error:
            logger.warning("color_preview_approximate source=%s reason=%s", source, error)
            return ColorTransform(self._pinned.getProcessor("lin_rec709_scene", display))

    def _locate(self, name: str) -> tuple[ocio.Config, str]:
        """Return the config that has the space ``name``, and its name there."""
        standard = self._pinned.getColorSpace(name)
        is_own = name not in self._defined and self._own_name(name) is not None
        if standard is not None and not is_own:
            return self._pinned, standard.getName()
        return self._config, self.find(name).name

    def _own_name(self, name: str) -> str | None:
        space = self._config.getColorSpace(name)
        if space is not None:
            return str(space.getName())
        standard = self._pinned.getColorSpace(name)
        if standard is None:
            return None
        for alias in (*_names(standard), *_HOST_NAMES.get(standard.getInteropID(), ())):
            space = self._config.getColorSpace(alias)
            if space is not None:
                return str(space.getName())
        try:
            same = ocio.Config.IdentifyBuiltinColorSpace(
                self._config, self._pinned, standard.getName()
            )
        except ocio.Exception:  # how OCIO says that nothing matches
            return None
        return str(same) or None

    def _interop_id(self, own_name: str) -> str:
        declared = str(self._config.getColorSpace(own_name).getInteropID())
        if declared:
            return declared
        try:
            name = ocio.Config.LocateBuiltinColorSpace(self._config, own_name, self._pinned)
        except ocio.Exception:  # no interchange role to compare by
            name = ""
        standard = self._pinned.getColorSpace(name) if name else None
        return str(standard.getInteropID()) if standard else UNKNOWN_ID


# x, y of red, green, blue and white of ACES2065-1, the reference of the pinned config.
_AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def _matrix_to_ap0(primaries: Sequence[float]) -> np.ndarray:
    """Return the 4 x 4 matrix from linear light with these primaries, whites adapted."""
    source, white = _matrix_to_xyz(primaries)
    target, target_white = _matrix_to_xyz(_AP0)
    ratio = (_BRADFORD @ target_white) / (_BRADFORD @ white)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(ratio) @ _BRADFORD
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.inv(target) @ adapt @ source
    return matrix


def _matrix_to_xyz(primaries: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the 3 x 3 matrix to CIE XYZ, and the XYZ of white."""
    points = np.array(primaries, np.float64).reshape(4, 2)
    xyz = np.column_stack((points, 1.0 - points.sum(1)))
    white = xyz[3] / xyz[3, 1]
    scale = np.linalg.solve(xyz[:3].T, white)
    return xyz[:3].T * scale, white


def _names(space: ocio.ColorSpace) -> list[str]:
    return [space.getName(), *space.getAliases()]
