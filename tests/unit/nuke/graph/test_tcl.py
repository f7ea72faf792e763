"""Whatever an artist types arrives as text and runs nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.nk_reader import Executes, Malformed, commands, read
from layert2v import stack as manifest
from layert2v.plain_text import plain_text
from layert2v_nuke.errors import BadPath
from layert2v_nuke.graph import node, tcl
from layert2v_nuke.graph.model import ReadColorspace
from layert2v_nuke.graph.script import to_script

HOSTILE = [
    "[python {nuke.scriptClear()}]",
    '"; Group {\n name evil\n}\nend_group\n',
    "}\nRead {\n file /etc/passwd\n}\n",
    "{{frame}} {{{ unbalanced",
    "}}} closing first",
    "$env(HOME) $gui ${frame}",
    "back\\slash \\[not escaped\\] trailing \\",
    "tabs\tand\nlines\r\nand \\n that is none",
    "a fox 🦊 läuft 狐 \u202e right to left",
    "# no comment; exec rm",
    "<b>bold</b> & <img src=x>",
    " +INVISIBLE l label T code M {a b}",
    '\\"',
    "",
]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_a_prompt_survives_the_script_as_text(foxes: Path, prompt: str) -> None:
    stack = manifest.read(foxes)
    layers = tuple(replace(layer, prompt=prompt) for layer in stack.layers)
    parsed = read(
        to_script(node.node_graph(replace(stack, layers=layers, name="x"), foxes, ReadColorspace()))
    )
    (group,) = parsed.nodes
    for layer in stack.layers:
        knob = group.knobs.get(f"{layer.name}_prompt")
        assert (knob.text if knob else "") == plain_text(tcl.strip_controls(prompt))


@pytest.mark.parametrize("name", HOSTILE)
def test_the_name_of_a_stack_is_harmless_in_labels(foxes: Path, name: str) -> None:
    shown = tcl.safe_label(name)
    assert not set(shown) & set('[]{}$\\"<>\n\t\u202e')


@pytest.mark.parametrize("prompt", HOSTILE)
def test_real_tcl_reads_the_same_and_calls_nothing(foxes: Path, prompt: str) -> None:
    tkinter = pytest.importorskip("tkinter", reason="this Python has no Tcl to ask")
    stack = manifest.read(foxes)
    layers = tuple(replace(layer, prompt=prompt) for layer in stack.layers)
    text = to_script(node.node_graph(replace(stack, layers=layers), foxes, ReadColorspace()))
    tcl_shell = tkinter.Tcl()
    tcl_shell.eval(
        "set seen {}; proc unknown {args} {lappend ::seen $args; return {}}\n"
        "proc version {args} {}; proc add_layer {args} {}; proc stack {n} {return node}\n"
        "proc push {n} {}; proc end_group {} {}; rename exec {}; rename open {}"
    )
    tcl_shell.eval(text)
    blocks = dict(map(tcl_shell.splitlist, tcl_shell.splitlist(tcl_shell.eval("set seen"))[:1]))
    tcl_shell.eval("set seen {}")
    tcl_shell.eval(blocks["Group"])
    called = [tcl_shell.splitlist(one) for one in tcl_shell.splitlist(tcl_shell.eval("set seen"))]
    (group,) = read(text).nodes
    assert {words[0] for words in called} == {"inputs", "addUserKnob", *group.knobs}
    knobs = {words[0]: words[1] for words in called}
    for layer in stack.layers:
        assert knobs.get(f"{layer.name}_prompt", "") == plain_text(tcl.strip_controls(prompt))


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
def test_every_text_is_one_word_that_reads_back(text: str) -> None:
    (words,) = commands(f"knob {tcl.quote(text)}")
    assert [word.text for word in words] == ["knob", tcl.strip_controls(text)]


@given(texts)
def test_every_word_keeps_a_block_closed(text: str) -> None:
    parsed = read(f"NoOp {{\n inputs 0\n label {tcl.quote(text)}\n name here\n}}\n")
    assert parsed.find("here").knobs["label"].text == tcl.strip_controls(text)


@pytest.mark.parametrize("code", ["[python {1}]", "$gui", '"[exec ls]"', '"a $b"', "a[b]c"])
def test_the_reader_sees_code(code: str) -> None:
    with pytest.raises(Executes):
        read(f"NoOp {{\n inputs 0\n label {code}\n}}\n")


@pytest.mark.parametrize("text", ['NoOp {\n label "a\n}', "NoOp {", 'NoOp {\n label "a"b\n}'])
def test_the_reader_sees_what_is_no_script(text: str) -> None:
    with pytest.raises(Malformed):
        read(text)


@pytest.mark.parametrize("name", ["a[b", "a]b", "a$b", "a{b", "a%b", "a#b", 'a"b', "a;b", "a`b"])
def test_a_path_with_code_is_refused(name: str) -> None:
    with pytest.raises(BadPath):
        tcl.safe_path(Path("/shows") / name)


def test_ordinary_paths_are_taken() -> None:
    assert tcl.safe_path(Path("/shows/Åsa Ek/shot-010_v2.1")) == "/shows/Åsa Ek/shot-010_v2.1"
