"""A stack in the 3D view: one plane per layer before the camera, each further back than the next.

Every plane fills the camera's picture at its own depth, so from there the planes show the comp and
any other view shows parallax. They are children of an empty that stands where the camera stood.
"""

from __future__ import annotations

import bpy

from ..stack_view import LayerView, StackView
from .color_matrix import TAG as MATRIX_TAG
from .color_matrix import add_to_material, matrix_text
from .images import TAG, image_colors, layer_tag, load_image, set_frame_range

_CAMERA_FRAME = "layert2v_frame"  # custom properties of the empty, saved in .blend files
_ORDER = "layert2v_order"


def place(
    scene: bpy.types.Scene, view: StackView, *, nearest: float = 8.0, step: float = 1.0
) -> bpy.types.Object:
    """Add the planes before the scene's camera, the top layer nearest; return their empty.

    Distances are scene units. Planes of the stack that are there already are only refreshed.
    """
    empty = find_empty(view.uid)
    if empty is None or empty.name not in scene.objects:
        empty = bpy.data.objects.new(view.name, None)
        empty[TAG] = view.uid
        empty[_CAMERA_FRAME] = [*_camera_frame(scene), nearest, step]
        scene.view_layers[0].update()  # a camera that was just made or moved has no place yet
        empty.matrix_world = scene.camera.matrix_world.normalized()
        collection = bpy.data.collections.new(view.name)
        collection.objects.link(empty)
        scene.collection.children.link(collection)
    refresh(view)
    return empty


def find_empty(uid: str) -> bpy.types.Object | None:
    """Return the empty of a stack that is in a scene."""
    empties = (each for each in bpy.data.objects if each.get(TAG) == uid and each.users)
    return next(empties, None)


def refresh(view: StackView) -> None:
    """Update the planes to the view; planes that were moved stay where they are."""
    empty = find_empty(view.uid)
    if empty is None:
        return
    planes = {str(child.get(TAG)): child for child in empty.children if child.get(TAG)}
    tags = [layer_tag(view, layer) for layer in view.layers]
    for tag, plane in planes.items():
        if tag not in tags:
            bpy.data.objects.remove(plane)
    order = "|".join(view.layer_names)
    has_new_order = empty.get(_ORDER) != order
    for tag, layer in zip(tags, view.layers, strict=True):
        plane = planes.get(tag) or _add_plane(empty, view, layer)
        _update_plane(plane, view, layer)
        if has_new_order:
            _fit_to_camera(plane, empty, view, layer)
    empty[_ORDER] = order


def _camera_frame(scene: bpy.types.Scene) -> list[float]:
    """Return middle x and y, width and height of the picture, and whether it grows with depth."""
    camera = scene.camera.data
    corners = camera.view_frame(scene=scene)
    is_perspective = camera.type != "ORTHO"
    unit = -corners[0].z if is_perspective else 1.0
    x = [corner.x / unit for corner in corners]
    y = [corner.y / unit for corner in corners]
    middle = [(min(x) + max(x)) / 2, (min(y) + max(y)) / 2]
    return [*middle, max(x) - min(x), max(y) - min(y), float(is_perspective)]


def _fit_to_camera(
    plane: bpy.types.Object, empty: bpy.types.Object, view: StackView, layer: LayerView
) -> None:
    """Put a plane at its depth, as large as the picture is there."""
    x, y, width, height, is_perspective, nearest, step = empty[_CAMERA_FRAME]
    depth = nearest + step * (len(view.layers) - 1 - view.layer_names.index(layer.name))
    unit = depth if is_perspective else 1.0
    aspect = view.width * view.pixel_aspect / view.height
    fitted_width = min(width, height * aspect)
    plane.location = (x * unit, y * unit, -depth)
    plane.scale = (fitted_width * unit, fitted_width / aspect * unit, 1.0)


def _add_plane(empty: bpy.types.Object, view: StackView, layer: LayerView) -> bpy.types.Object:
    name = f"{view.name} {layer.name}"
    mesh = bpy.data.meshes.new(name)
    corners = [(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    loops = mesh.uv_layers.new(name="UVMap").data
    for loop, corner in zip(loops, corners, strict=True):
        loop.uv = (corner[0] + 0.5, corner[1] + 0.5)
    mesh.materials.append(_make_material(name, view, layer))
    plane = bpy.data.objects.new(name, mesh)
    plane[TAG] = layer_tag(view, layer)
    plane.parent = empty
    plane.visible_shadow = False
    empty.users_collection[0].objects.link(plane)
    return plane


def _make_material(name: str, view: StackView, layer: LayerView) -> bpy.types.Material:
    """Return a material that emits the picture over what is behind it.

    The texture gives color without alpha, so a mix by alpha makes the premultiplied over.
    """
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # 5.0 gives every material one, and warns of this
        material.use_nodes = True
    material.surface_render_method = "BLENDED"
    _fill_material(material, view, layer)
    return material


def _fill_material(material: bpy.types.Material, view: StackView, layer: LayerView) -> None:
    tree, matrix = material.node_tree, image_colors(view).matrix
    material[MATRIX_TAG] = matrix_text(matrix)
    tree.nodes.clear()
    kinds = ("TexImage", "Emission", "BsdfTransparent", "MixShader", "OutputMaterial")
    nodes = [tree.nodes.new(f"ShaderNode{kind}") for kind in kinds]
    for column, node in enumerate(nodes):
        node.location = (240 * column, 0)
    texture, emission, transparent, mix, output = nodes
    texture.image = load_image(view, layer)
    texture.extension = "CLIP"
    for source, target in (
        (add_to_material(tree, texture.outputs["Color"], matrix), emission.inputs["Color"]),
        (texture.outputs["Alpha"], mix.inputs[0]),
        (transparent.outputs[0], mix.inputs[1]),
        (emission.outputs[0], mix.inputs[2]),
        (mix.outputs[0], output.inputs["Surface"]),
    ):
        tree.links.new(source, target)


def _update_plane(plane: bpy.types.Object, view: StackView, layer: LayerView) -> None:
    image = load_image(view, layer)
    plane.hide_render = plane.hide_viewport = not layer.visible
    converted = matrix_text(image_colors(view).matrix)
    for slot in plane.material_slots:
        if slot.material.get(MATRIX_TAG, "") != converted:
            _fill_material(slot.material, view, layer)
        for node in slot.material.node_tree.nodes:
            if getattr(node, "image", None) == image:
                set_frame_range(node.image_user, view)
