"""Light: what each time of day does to sky, ground, subjects and shadows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Light:
    """A time of day. Sky colours are display-referred 0..255; the rest is scene-linear."""

    zenith: tuple[int, int, int]
    low: tuple[int, int, int]
    disc: tuple[float, float, float]
    ground: tuple[float, float, float]  # what a white ground reflects
    subject: tuple[float, float, float]  # multiplies the neutrally lit subject
    height: float  # of sun or moon from the top, share of the height
    shadow: float  # opacity of a cast shadow
    contact: float  # opacity of the shadow right under the feet
    clouds: float  # how much cloud
    low_sun: bool = False  # long shadows
    weather: str = ""  # what falls from the sky: "rain" or "snow"
    stars: bool = False
    lamps: float = 0.06  # share of windows that are lit
    snow_cover: float = 0.0  # how white fallen snow has made the ground


LIGHTS: tuple[Light, ...] = (
    Light(
        zenith=(52, 120, 214), low=(186, 222, 246), disc=(1.0, 0.95, 0.78),
        ground=(1.0, 0.98, 0.92), subject=(1.0, 0.99, 0.96), height=0.14, shadow=0.62,
        contact=0.55, clouds=0.55,
    ),
    Light(
        zenith=(84, 64, 128), low=(255, 150, 70), disc=(1.0, 0.62, 0.20),
        ground=(0.86, 0.56, 0.40), subject=(1.0, 0.72, 0.54), height=0.36, shadow=0.55,
        contact=0.55, clouds=0.50, low_sun=True, lamps=0.30,
    ),
    Light(
        zenith=(8, 12, 38), low=(30, 44, 96), disc=(0.90, 0.93, 1.0), ground=(0.085, 0.115, 0.23),
        subject=(0.42, 0.48, 0.72), height=0.15, shadow=0.50,
        contact=0.55, clouds=0.25, stars=True, lamps=0.62,
    ),
    Light(
        zenith=(146, 154, 164), low=(206, 210, 214), disc=(0.0, 0.0, 0.0),
        ground=(0.52, 0.55, 0.58), subject=(0.74, 0.77, 0.80), height=0.15, shadow=0.12,
        contact=0.50, clouds=0.90,
    ),
    Light(
        zenith=(122, 156, 206), low=(255, 206, 190), disc=(1.0, 0.86, 0.58),
        ground=(0.80, 0.68, 0.66), subject=(0.98, 0.86, 0.80), height=0.38, shadow=0.42,
        contact=0.50, clouds=0.35, low_sun=True, lamps=0.30,
    ),
    Light(
        zenith=(74, 84, 98), low=(132, 144, 156), disc=(0.0, 0.0, 0.0),
        ground=(0.26, 0.29, 0.33), subject=(0.50, 0.54, 0.60), height=0.15, shadow=0.08,
        contact=0.50, clouds=0.95, weather="rain", lamps=0.40,
    ),
    Light(
        zenith=(186, 194, 206), low=(222, 226, 232), disc=(0.0, 0.0, 0.0),
        ground=(0.62, 0.65, 0.70), subject=(0.80, 0.83, 0.88), height=0.15, shadow=0.10,
        contact=0.45, clouds=0.80, weather="snow", snow_cover=0.65, lamps=0.25,
    ),
)  # fmt: skip
