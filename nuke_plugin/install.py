"""Installs the plug-in into a ``.nuke`` folder, or removes it.

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
CONTENTS = (
    "init.py",
    "menu.py",
    "selfcheck.py",
    "install.py",
    "layert2v_nuke",
    "layert2v",
    "bridge",
)


def install(source: Path, nuke: Path) -> Path:
    """Copy the plug-in and return its folder; an older one is replaced as a whole."""
    nuke.mkdir(parents=True, exist_ok=True)
    target = nuke / NAME
    if target.resolve() == source.resolve():
        raise OSError(0, "this is the installed plug-in; run install.py of the unpacked archive")
    with tempfile.TemporaryDirectory(prefix=".layert2v-", dir=nuke) as scratch:
        staged = Path(scratch) / NAME
        staged.mkdir()
        for name in CONTENTS:
            if (source / name).is_dir():
                shutil.copytree(source / name, staged / name)
            elif (source / name).is_file():
                shutil.copy2(source / name, staged / name)
        if target.exists():
            target.rename(Path(scratch) / "old")
        staged.rename(target)
    _write_init(nuke / "init.py", add=True)
    return target


def uninstall(nuke: Path) -> None:
    """Remove the plug-in; preferences and results stay."""
    if (nuke / NAME).is_dir():
        shutil.rmtree(nuke / NAME)
    _write_init(nuke / "init.py", add=False)


def _write_init(path: Path, *, add: bool) -> None:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = text.splitlines()
    if BEGIN in lines and END in lines:
        del lines[lines.index(BEGIN) : lines.index(END) + 1]
    changed = "".join(f"{line}\n" for line in (*lines, *(LINES if add else ())))
    if changed == text:
        return
    if not changed:
        path.unlink()
        return
    temporary = path.with_name(".init.py.layert2v")
    temporary.write_text(changed, encoding="utf-8")
    temporary.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after one sentence that says what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nuke", type=Path, default=Path.home() / ".nuke", help="the folder")
    parser.add_argument("--uninstall", action="store_true", help="remove it")
    args = parser.parse_args(arguments)
    try:
        if args.uninstall:
            uninstall(args.nuke)
            print(f"LayerT2V is out of {args.nuke}.")
        else:
            target = install(Path(__file__).resolve().parent, args.nuke)
            print(f"LayerT2V is in {target}. Start Nuke again.")
    except OSError as error:
        print(f"install.py: {error.filename or ''} {error.strerror}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
