"""A stack in the 3D view: one plane per layer before the camera, each further back than the next.

Every plane fills the camera's picture at its own depth, so from there the planes show the comp and
any other view shows parallax. They hang on an empty that stands where the camera stood.
"""

from __future__ import annotations

import bpy

from ..stack_view import Shown, ShownLayer
from .images import TAG, picture, set_time, tag

_FRAME = "layert2v_frame"
_ORDER = "layert2v_order"


def place(
    scene: bpy.types.Scene, shown: Shown, *, nearest: float = 8.0, step: float = 1.0
) -> bpy.types.Object:
    """Add the planes before the scene's camera, the top layer nearest; returns their empty.

    Distances are scene units. Planes of the stack that are there already are only refreshed.
    """
    empty = find(shown.uid)
    if empty is None or empty.name not in scene.objects:
        empty = bpy.data.objects.new(shown.name, None)
        empty[TAG] = shown.uid
        empty[_FRAME] = [*_camera_frame(scene), nearest, step]
        scene.view_layers[0].update()  # a camera that was just made or moved has no place yet
        empty.matrix_world = scene.camera.matrix_world.normalized()
        collection = bpy.data.collections.new(shown.name)
        collection.objects.link(empty)
        scene.collection.children.link(collection)
    refresh(shown)
    return empty


def find(uid: str) -> bpy.types.Object | None:
    """The empty of a stack that is in a scene."""
    return next((one for one in bpy.data.objects if one.get(TAG) == uid and one.users), None)


def refresh(shown: Shown) -> None:
    """Bring the planes to what is shown; planes that were moved stay where they are."""
    empty = find(shown.uid)
    if empty is None:
        return
    planes = {str(child.get(TAG)): child for child in empty.children if child.get(TAG)}
    marks = [tag(shown, layer) for layer in shown.layers]
    for mark, plane in planes.items():
        if mark not in marks:
            bpy.data.objects.remove(plane)
    moved = empty.get(_ORDER) != "|".join(shown.names)
    for mark, layer in zip(marks, shown.layers, strict=True):
        plane = planes.get(mark) or _plane(empty, shown, layer)
        _show(plane, shown, layer)
        if moved:
            _stand(plane, empty, shown, layer)
    empty[_ORDER] = "|".join(shown.names)


def _camera_frame(scene: bpy.types.Scene) -> list[float]:
    """Middle x and y, width and height of the picture, and whether these grow with the depth."""
    camera = scene.camera.data
    corners = camera.view_frame(scene=scene)
    grows = camera.type != "ORTHO"
    unit = -corners[0].z if grows else 1.0
    across = [corner.x / unit for corner in corners]
    up = [corner.y / unit for corner in corners]
    middle = [(min(across) + max(across)) / 2, (min(up) + max(up)) / 2]
    return [*middle, max(across) - min(across), max(up) - min(up), float(grows)]


def _stand(
    plane: bpy.types.Object, empty: bpy.types.Object, shown: Shown, layer: ShownLayer
) -> None:
    """Put a plane at its depth, as large as the picture is there."""
    x, y, width, height, grows, nearest, step = empty[_FRAME]
    depth = nearest + step * (len(shown.layers) - 1 - shown.names.index(layer.name))
    unit = depth if grows else 1.0
    aspect = shown.width * shown.pixel_aspect / shown.height
    fitted = min(width, height * aspect)
    plane.location = (x * unit, y * unit, -depth)
    plane.scale = (fitted * unit, fitted / aspect * unit, 1.0)


def _plane(empty: bpy.types.Object, shown: Shown, layer: ShownLayer) -> bpy.types.Object:
    name = f"{shown.name} {layer.name}"
    mesh = bpy.data.meshes.new(name)
    corners = [(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    places = mesh.uv_layers.new(name="UVMap").data
    for place_, corner in zip(places, corners, strict=True):
        place_.uv = (corner[0] + 0.5, corner[1] + 0.5)
    mesh.materials.append(_material(name, shown, layer))
    plane = bpy.data.objects.new(name, mesh)
    plane[TAG] = tag(shown, layer)
    plane.parent = empty
    plane.visible_shadow = False
    empty.users_collection[0].objects.link(plane)
    return plane


def _material(name: str, shown: Shown, layer: ShownLayer) -> bpy.types.Material:
    """Light of the picture's own over what is behind; the texture gives colour without alpha."""
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # 5.0 gives every material one, and warns of this
        material.use_nodes = True
    material.surface_render_method = "BLENDED"
    tree = material.node_tree
    tree.nodes.clear()
    kinds = ("TexImage", "Emission", "BsdfTransparent", "MixShader", "OutputMaterial")
    texture, light, behind, mix, end = (tree.nodes.new(f"ShaderNode{kind}") for kind in kinds)
    for column, node in enumerate((texture, light, behind, mix, end)):
        node.location = (240 * column, 0)
    texture.image = picture(shown, layer)
    texture.extension = "CLIP"
    for source, sink in (
        (texture.outputs["Color"], light.inputs["Color"]),
        (texture.outputs["Alpha"], mix.inputs[0]),
        (behind.outputs[0], mix.inputs[1]),
        (light.outputs[0], mix.inputs[2]),
        (mix.outputs[0], end.inputs["Surface"]),
    ):
        tree.links.new(source, sink)
    return material


def _show(plane: bpy.types.Object, shown: Shown, layer: ShownLayer) -> None:
    image = picture(shown, layer)
    plane.hide_render = plane.hide_viewport = not layer.visible
    for slot in plane.material_slots:
        for node in slot.material.node_tree.nodes:
            if getattr(node, "image", None) == image:
                set_time(node.image_user, shown)
