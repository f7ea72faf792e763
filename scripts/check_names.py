"""Refuse private words: names are the field's own (``docs/glossary.md``).

Looks at every identifier that the packages define, not at what they use of others. Prints each
place and exits with 1 where a name holds a banned word, or a function is called by a bare
participle or preposition; properties and fixtures may be, since they read as states.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    "proto",
    "client",
    "engine",
    "server",
    "nuke_plugin",
    "blender_addon",
    "scripts",
    "tests",
)
# Generated code, and a fake of Nuke with Nuke's own names.
FOREIGN = re.compile(r"_pb2(_grpc)?\.py$|/fake_nuke/")

# Each has a standard term in the glossary.
BANNED = """
    colour deed desk dice errand fate heard hears judge judges luggage parcel tally told untold
    verdict verdicts welcome whitened whitening wish wishes
"""
PREPOSITIONS = "about above after among below beside between beyond from within"
PARTICIPLES = """
    begun born bought broken brought built chosen done drawn fallen felt found given gone grown
    heard held hidden kept known laid left lost made meant met paid said seen sent shown sold
    spoken spread taken taught thrown told torn understood untold won worn written
"""
EXCEPTION_VARIABLE = "error"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def words(name: str) -> list[str]:
    """Split ``snake_case`` and ``CamelCase`` into lower-case words."""
    return re.findall(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]*", name.replace("_", " "))


def defined_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of all that a module defines: classes, functions, arguments, variables.

    Blender's properties, whose annotations are calls, are left out: files store their names.
    """
    properties = {
        node.target
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Call)
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, *FUNCTIONS)):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)
            and node not in properties
        ):
            yield node.lineno, node.id


def is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether the function reads as a value: a property, or a fixture of pytest."""
    decorators = (ast.unparse(each).partition("(")[0] for each in function.decorator_list)
    names = {decorator.rpartition(".")[2] for decorator in decorators}
    return bool(names & {"property", "cached_property", "setter", "fixture"})


def complaints(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and sentence of each name that breaks a rule."""
    for line, name in defined_names(tree):
        for word in sorted({word.lower() for word in words(name)} & set(BANNED.split())):
            yield line, f"{name}: the glossary has another word for {word!r}"
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS) and not is_property(node):
            name = node.name.strip("_")
            participle = name in PARTICIPLES.split() or re.fullmatch(r"[a-z]{2,}[^e]ed", name)
            if (participle and name not in {"embed", "feed", "need", "seed", "speed"}) or (
                name in PREPOSITIONS.split()
            ):
                yield node.lineno, f"{node.name}(): begin with a verb, or name what it returns"
        elif isinstance(node, ast.ExceptHandler) and node.name not in {None, EXCEPTION_VARIABLE}:
            yield node.lineno, f"except ... as {node.name}: call it {EXCEPTION_VARIABLE!r}"


def main() -> int:
    """Check every file of the packages; return the exit code."""
    found = 0
    for package in PACKAGES:
        for path in sorted(Path(package).rglob("*.py")):
            if FOREIGN.search(path.as_posix()):
                continue
            for line, sentence in complaints(ast.parse(path.read_text(encoding="utf-8"))):
                print(f"{path}:{line}: {sentence}")
                found += 1
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
