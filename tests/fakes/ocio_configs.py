"""A studio's own OCIO config."""

# No interop ids, own names, a linear space that is no standard one.
STUDIO = """\
ocio_profile_version: 2
roles: {aces_interchange: AP0, scene_linear: Show Linear, default: AP0}
file_rules:
  - !<Rule> {name: Default, colorspace: default}
displays:
  monitor:
    - !<View> {name: Raw, colorspace: AP0}
colorspaces:
  - !<ColorSpace> {name: AP0, encoding: scene-linear}
  - !<ColorSpace>
    name: Show Linear
    encoding: scene-linear
    to_scene_reference: !<BuiltinTransform> {style: ACEScg_to_ACES2065-1}
  - !<ColorSpace>
    name: Dimmed Linear
    encoding: scene-linear
    to_scene_reference: !<MatrixTransform>
      matrix: [0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 1]
"""

# An old config: version 1, no interchange roles, no interop ids.
OLD = """\
ocio_profile_version: 1
strictparsing: true
roles: {default: raw, scene_linear: my lin 709}
displays:
  sRGB:
    - !<View> {name: Raw, colorspace: raw}
active_displays: [sRGB]
active_views: [Raw]
colorspaces:
  - !<ColorSpace> {name: my lin 709, family: linear, bitdepth: 32f, isdata: false}
  - !<ColorSpace>
    name: my srgb
    family: display
    bitdepth: 8ui
    isdata: false
    to_reference: !<ExponentTransform> {value: [2.2, 2.2, 2.2, 1]}
  - !<ColorSpace> {name: raw, family: raw, bitdepth: 32f, isdata: true}
"""
