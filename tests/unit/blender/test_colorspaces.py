"""Names of color spaces: every configuration's own, and never another space."""

from __future__ import annotations

import PyOpenColorIO as ocio
import pytest

from layert2v_blender.colorspaces import (
    ColorspaceNotFound,
    find_linear,
    find_name,
    is_linear_name,
)

CONFIGS = (
    "cg-config-v1.0.0_aces-v1.3_ocio-v2.1",
    "cg-config-v2.1.0_aces-v1.3_ocio-v2.3",
    "studio-config-v2.1.0_aces-v1.3_ocio-v2.3",
    "studio-config-v4.0.0_aces-v2.0_ocio-v2.5",
)
SPACES = ("lin_rec709_scene", "lin_ap1_scene", "lin_ap0_scene", "lin_rec2020_scene")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("space", SPACES)
def test_the_found_name_means_the_space(name: str, space: str) -> None:
    """OpenColorIO's own processor between both is no change at all."""
    config = ocio.Config.CreateFromBuiltinConfig(name)
    found = find_name(space, list(config.getColorSpaceNames()))
    pinned = ocio.Config.CreateFromBuiltinConfig(CONFIGS[-1])
    processor = ocio.Config.GetProcessorFromConfigs(pinned, space, config, found)
    seen = processor.getDefaultCPUProcessor().applyRGB([0.2, 0.5, 4.0])
    assert seen == pytest.approx([0.2, 0.5, 4.0], rel=1e-4)


def test_a_space_that_is_not_offered_is_never_another() -> None:
    with pytest.raises(ColorspaceNotFound, match="Linear DCI-P3 D65, which Blender's") as caught:
        find_name("lin_p3d65_scene", ["Linear Rec.709", "ACEScg", "Raw"])
    assert "The nearest that it offers is Linear Rec.709, in which colors" in str(caught.value)
    with pytest.raises(ColorspaceNotFound, match="unknown"):
        find_name("unknown", ["Linear Rec.709"])


def test_a_render_takes_the_first_linear_space_that_is_offered() -> None:
    assert find_linear(["Raw", "ACEScg"]) == ("lin_ap1_scene", "ACEScg")
    assert find_linear(["ACEScg", "Linear Rec.709 (sRGB)"])[0] == "lin_rec709_scene"
    with pytest.raises(ColorspaceNotFound):
        find_linear(["Raw", "sRGB"])


def test_linear_names_are_known() -> None:
    assert is_linear_name("Linear Rec.709 (sRGB)")
    assert not is_linear_name("sRGB")
