"""Reads ``.nk`` text as Nuke's language: words, blocks and the stack of nodes.

Written from the rules of the language and not from the writer. What a word would substitute or run
is an error here, wherever it stands, so a script that can be read executes nothing. The only
brackets and dollars that a script may use are those of ``set NAME [stack 0]`` and ``push $NAME``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
MASKED = re.compile(r"(\d+)(?:\+(\d+))?")


class Executes(ValueError):
    """A word would run code or take the value of a variable."""


class Malformed(ValueError):
    """Not a script."""


@dataclass(frozen=True)
class Word:
    """One word: its text, and whether it stood in braces, in quotes or bare."""

    text: str
    kind: str


@dataclass
class UserKnob:
    type_id: int
    name: str
    label: str = ""
    code: str = ""
    items: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()


@dataclass
class Node:
    cls: str
    knobs: dict[str, Word] = field(default_factory=dict)
    user_knobs: list[UserKnob] = field(default_factory=list)
    inputs: list[Node | None] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.knobs["name"].text if "name" in self.knobs else ""


@dataclass
class Script:
    nodes: list[Node]
    layers: dict[str, tuple[str, ...]]
    version: str = ""

    def find(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)


def commands(text: str) -> Iterator[list[Word]]:
    """Yield the commands of a script or a block: one a line, of words that may span lines."""
    place, words = 0, []
    while place < len(text):
        char = text[place]
        if char == "#" and not words:
            place = (text.find("\n", place) + 1) or len(text)
        elif char in "\n;":
            if words:
                yield words
            words, place = [], place + 1
        elif char.isspace():
            place += 1
        else:
            word, place = _word(text, place)
            words.append(word)
            if place < len(text) and not text[place].isspace() and text[place] != ";":
                raise Malformed(f"extra characters after a word: {text[place : place + 20]!r}")
    if words:
        yield words


def _word(text: str, place: int) -> tuple[Word, int]:
    if text[place] == "{":
        return _read_braces(text, place)
    if text[place] == '"':
        content, place = _substitute(text, place + 1, '"')
        return Word(content, "quoted"), place + 1
    content, place = _substitute(text, place, " \t\r\n;")
    return Word(content, "bare"), place


def _read_braces(text: str, start: int) -> tuple[Word, int]:
    """Return the content of nested braces, in which only a backslash is special."""
    depth, place = 0, start
    while place < len(text):
        char = text[place]
        if char == "\\":
            place += 1
        elif char in "{}":
            depth += 1 if char == "{" else -1
            if depth == 0:
                return Word(text[start + 1 : place], "braced"), place + 1
        place += 1
    raise Malformed("a brace is not closed")


def _substitute(text: str, place: int, ends: str) -> tuple[str, int]:
    """Return the text up to one of ``ends``, which quotes must have."""
    out: list[str] = []
    while place < len(text) and text[place] not in ends:
        char = text[place]
        if char == "\\" and place + 1 < len(text):
            place += 1
            out.append(ESCAPES.get(text[place], text[place]))
        elif char in "[$" and not _of_a_script(text, place):
            raise Executes(text[place : place + 40])
        elif char == "[":
            out.append("[stack 0]")
            place += len("[stack 0]") - 1
        else:
            out.append(char)
        place += 1
    if ends == '"' and place >= len(text):
        raise Malformed("a quote is not closed")
    return "".join(out), place


def _of_a_script(text: str, place: int) -> bool:
    line = text[text.rfind("\n", 0, place) + 1 :].split("\n", 1)[0]
    return re.fullmatch(r" *(set N\d+_\d+ \[stack 0\]|push \$N\d+_\d+)", line) is not None


def read(text: str) -> Script:
    """Return the script's nodes. Raises ``Executes`` and ``Malformed``."""
    script = Script([], {})
    nodes, stack = script.nodes, []
    outer: list[tuple[list[Node], list[Node | None]]] = []
    variables: dict[str, Node | None] = {}
    for words in commands(text):
        head = words[0].text
        if head == "version":
            script.version = " ".join(word.text for word in words[1:])
        elif head == "add_layer":
            name, *channels = (word.text for word in next(commands(words[1].text)))
            script.layers[name] = tuple(channels)
        elif head == "set":
            variables[words[1].text] = stack[-1]
        elif head == "push":
            wanted = words[1].text
            stack.append(None if wanted == "0" else variables[wanted.removeprefix("$")])
        elif head == "end_group":
            nodes, stack = outer.pop()
        elif len(words) == 2 and words[1].kind == "braced":
            node = _node(head, words[1].text, stack)
            nodes.append(node)
            if head != "Root":
                stack.append(node)
            if head == "Group":
                outer.append((nodes, stack))
                nodes, stack = node.nodes, []
        else:
            raise Malformed(f"not a command of a script: {head}")
    if outer:
        raise Malformed("a group is not ended")
    return script


def _node(cls: str, body: str, stack: list[Node | None]) -> Node:
    node = Node(cls)
    inputs = 1
    for name, *words in commands(body):
        if name.text == "addUserKnob":
            node.user_knobs.append(_user_knob(words[0].text))
        elif name.text == "inputs":
            found = MASKED.fullmatch(words[0].text)
            assert found is not None
            inputs = sum(int(part or 0) for part in found.groups())
        elif len(words) != 1:
            raise Malformed(f"{name.text} has {len(words)} values")
        elif name.text in node.knobs:
            raise Malformed(f"{name.text} is set twice")
        else:
            node.knobs[name.text] = words[0]
    node.inputs = [stack.pop() for _ in range(inputs)]  # the top is input 0
    return node


def _user_knob(text: str) -> UserKnob:
    words = next(commands(text))
    knob = UserKnob(int(words[0].text), words[1].text)
    rest = iter(words[2:])
    for word in rest:
        if word.text.startswith("+") and word.kind == "bare":
            knob.flags |= {word.text[1:]}
            continue
        value = next(rest)
        if word.text == "l":
            knob.label = value.text
        elif word.text == "T":
            knob.code = value.text
        elif word.text == "M":
            knob.items = tuple(item.text for one in commands(value.text) for item in one)
        elif word.text != "t":
            raise Malformed(f"addUserKnob knows no {word.text}")
    return knob
