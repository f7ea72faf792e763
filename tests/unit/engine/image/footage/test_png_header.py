"""What PNG says of color and time, which the image library does not pass on."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from fakes.footage import png_chunk, save_png_chunks, srgb_to_linear
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.footage.color_tags import find_colorspace
from layert2v_engine.image.footage.png_header import PngHeader, is_animation, read_png_header
from layert2v_engine.image.footage.stills import read_image, read_info

REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
WIDE = (0.735, 0.265, 0.115, 0.826, 0.157, 0.018, 0.3127, 0.3290)
CODES = (32768, 16384, 65535)


def chromaticities(values: tuple[float, ...]) -> bytes:
    """Return cHRM, which begins with white."""
    numbers = [round(value * 1e5) for value in (*values[6:], *values[:6])]
    return png_chunk(b"cHRM", struct.pack(">8I", *numbers))


def gamma(value: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(1e5 / value)))


def save(path: Path, *chunks: bytes) -> Path:
    return save_png_chunks(path, (1, 1, 16, 2), struct.pack(">3H", *CODES), chunks)


def to_xyz(values: tuple[float, ...]) -> np.ndarray:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in np.reshape(values, (4, 2))]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


@pytest.mark.parametrize("primaries", [P3, WIDE, REC709])
@pytest.mark.parametrize("power", [0.0, 1.0, 1.8, 2.2])
def test_primaries_and_gamma_are_followed(
    tmp_path: Path, primaries: tuple[float, ...], power: float
) -> None:
    chunks = [chromaticities(primaries), *([gamma(power)] if power else [])]
    path = save(tmp_path / "a.png", *chunks)
    config = ColorConfig.load()
    space, _ = find_colorspace(read_info(path), path, "auto", config, "lin_rec709_scene")
    seen = config.transform(space, "lin_rec709_scene")(read_image(path).rgb)[:, 0, 0].numpy()
    code = np.array(CODES) / 65535
    light = code**power if power else srgb_to_linear(code)
    expected = np.linalg.inv(to_xyz(REC709)) @ to_xyz(primaries) @ light
    np.testing.assert_allclose(seen, expected, atol=2e-3)


def test_srgb_goes_before_primaries(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", png_chunk(b"sRGB", b"\0"), chromaticities(P3))
    assert read_info(path).color is None


@pytest.mark.parametrize(("bits", "codes"), [(8, (16, 235, 126)), (16, (4096, 60160, 32128))])
def test_limited_range_is_spread(tmp_path: Path, bits: int, codes: tuple[int, ...]) -> None:
    """Of cICP, whose fourth number is 0; alpha has no range."""
    row = struct.pack(">4B" if bits == 8 else ">4H", *codes, 2**bits - 1)
    cicp = png_chunk(b"cICP", bytes((1, 13, 0, 0)))
    path = save_png_chunks(tmp_path / "a.png", (1, 1, bits, 6), row, [cicp])
    frame = read_image(path)
    assert frame.rgb[:, 0, 0].tolist() == pytest.approx([0.0, 1.0, 110 / 219 - 0.5 / 219], abs=3e-3)
    assert frame.alpha is not None
    assert float(frame.alpha[0, 0]) == 1.0


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused_by_name(tmp_path: Path, transfer: int) -> None:
    path = save(tmp_path / "a.png", png_chunk(b"cICP", bytes((9, transfer, 0, 1))))
    tag = read_info(path).color
    assert tag is not None
    assert tag.refusal == f"is {'PQ' if transfer == 16 else 'HLG'}, which is HDR"


def test_bytes_that_make_no_sense_say_nothing(tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\xff\xff")):
        (tmp_path / f"{number}.png").write_bytes(data)
        assert read_png_header(tmp_path / f"{number}.png") == PngHeader()
    short = save(tmp_path / "s.png", png_chunk(b"cHRM", b"123"), png_chunk(b"acTL", b"1"))
    assert read_png_header(short) == PngHeader()
    assert not is_animation(short)
    assert read_png_header(tmp_path / "gone.png") == PngHeader()
