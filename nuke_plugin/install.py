"""Puts the plug-in into a ``.nuke`` folder, or takes it out again.

    python install.py               into ~/.nuke
    python install.py --nuke FOLDER
    python install.py --uninstall

Standard library only, any Python from 3.9. Adds one line to ``init.py`` of that folder, between
two comments, and touches nothing else there.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

NAME = "layert2v"
BEGIN, END = "# layert2v: begin", "# layert2v: end"
LINES = (BEGIN, "import nuke", f"nuke.pluginAddPath('./{NAME}')", END)
PARTS = ("init.py", "menu.py", "selfcheck.py", "install.py", "layert2v_nuke", "layert2v", "bridge")


def install(source: Path, nuke: Path) -> Path:
    """Copy the plug-in; an older one is replaced as a whole. Returns its folder."""
    nuke.mkdir(parents=True, exist_ok=True)
    target = nuke / NAME
    if target.resolve() == source.resolve():
        raise OSError(0, "this is the installed plug-in; run install.py of the unpacked archive")
    with tempfile.TemporaryDirectory(prefix=".layert2v-", dir=nuke) as place:
        fresh = Path(place) / NAME
        fresh.mkdir()
        for part in PARTS:
            if (source / part).is_dir():
                shutil.copytree(source / part, fresh / part)
            elif (source / part).is_file():
                shutil.copy2(source / part, fresh / part)
        if target.exists():
            target.rename(Path(place) / "old")
        fresh.rename(target)
    _write_init(nuke / "init.py", add=True)
    return target


def uninstall(nuke: Path) -> None:
    """Take the plug-in out. Preferences and results stay."""
    if (nuke / NAME).is_dir():
        shutil.rmtree(nuke / NAME)
    _write_init(nuke / "init.py", add=False)


def _write_init(path: Path, *, add: bool) -> None:
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = before.splitlines()
    if BEGIN in lines and END in lines:
        del lines[lines.index(BEGIN) : lines.index(END) + 1]
    after = "".join(f"{line}\n" for line in (*lines, *(LINES if add else ())))
    if after == before:
        return
    if not after:
        path.unlink()
        return
    temporary = path.with_name(".init.py.layert2v")
    temporary.write_text(after, encoding="utf-8")
    temporary.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 when it is done, 1 with one sentence when it cannot be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nuke", type=Path, default=Path.home() / ".nuke", help="the folder")
    parser.add_argument("--uninstall", action="store_true", help="take it out again")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.uninstall:
            uninstall(chosen.nuke)
            print(f"LayerT2V is out of {chosen.nuke}.")
        else:
            target = install(Path(__file__).resolve().parent, chosen.nuke)
            print(f"LayerT2V is in {target}. Start Nuke again.")
    except OSError as problem:
        print(f"install.py: {problem.filename or ''} {problem.strerror}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
