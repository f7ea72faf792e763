"""What an installed plug-in has to do in any Python, run as a program without any other package.

python -I -S nk_smoke.py INSTALLED TESTS BINDING       BINDING is PySide2, PySide6 or none
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType


class QTimer:
    def __init__(self) -> None:
        self.timeout = self

    def connect(self, call: object) -> None:
        self.call = call

    def start(self, interval: int) -> None:
        self.active = True

    def isActive(self) -> bool:
        return getattr(self, "active", False)


def main(installed: Path, tests: Path, binding: str) -> None:
    sys.path[:0] = [str(installed), str(tests)]
    if binding != "none":
        sys.modules[binding] = ModuleType(binding)
        core = sys.modules[f"{binding}.QtCore"] = ModuleType(f"{binding}.QtCore")
        core.QTimer = QTimer  # type: ignore[attr-defined]
    from fakes.example_stack import example_stack
    from fakes.fake_nuke import FakeNuke
    from fakes.fake_nuke.saved import load, save

    nuke = FakeNuke()
    with nuke.as_module():
        for name in ("init.py", "menu.py"):
            exec(compile((installed / name).read_text(), name, "exec"), {})  # noqa: S102
        from layert2v import stack as manifest
        from layert2v_nuke import api, preferences, script

        folder = installed.parent / "stack"
        folder.mkdir(exist_ok=True)
        manifest.write(example_stack(), folder)
        node = api.import_stack(folder)
        api.explode(node)
        assert script.main([str(folder), "--out", str(folder / "shot.nk")]) == 0
        assert set(nuke.menu("Nuke").menus) == {"LayerT2V"}
        nuke.press(nuke.toNode("LayerT2V1"), "reroll")
        assert preferences.load(folder / "none.json", {}).server == ""
    rerender_layers = FakeNuke()
    load(rerender_layers, save(nuke))
    assert rerender_layers.dump() == nuke.dump()
    assert nuke.executed == []
    foreign = {"grpc", "google", "numpy", "torch", "layert2v_client", "layert2v.v1"}
    assert not foreign & set(sys.modules), foreign & set(sys.modules)
    timer = api.plugin_state().timer._qt
    assert (timer is not None) == (binding != "none")
    print(sys.version.split()[0], len(nuke.dump()), "nodes")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
