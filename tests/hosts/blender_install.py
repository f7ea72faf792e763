"""Installs the extension into this profile and enables it, as dropping its zip on Blender does.

    python blender_install.py ZIP

Reports where the packages it needs were found.
"""

from __future__ import annotations

import importlib
import sys

import blender_helpers
import bpy

PACKAGES = ("grpc", "google.protobuf", "layert2v", "layert2v_client")


def main(archive: str) -> None:
    bpy.ops.extensions.package_install_files(
        filepath=archive, repo="user_default", enable_on_install=True
    )
    enabled = blender_helpers.EXTENSION in bpy.context.preferences.addons
    at_once = [name for name in PACKAGES if name in sys.modules]
    files = {name: importlib.import_module(name).__file__ for name in PACKAGES}
    # The generated messages are older than the runtime beside them.
    from layert2v.v1 import jobs_pb2

    message = jobs_pb2.GenerateSpec(prompt="a fox")
    assert jobs_pb2.GenerateSpec.FromString(message.SerializeToString()) == message
    blender_helpers.write_result(
        enabled=enabled, at_once=at_once, files=files, version=list(bpy.app.version)
    )


if __name__ == "__main__":
    main(sys.argv[1])
