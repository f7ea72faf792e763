from __future__ import annotations

import pytest
import torch

from fakes.letters import WIDTH, Letters
from layert2v_engine.model.text import MiniLMTextEncoder
from layert2v_engine.training.caption_embeddings import CaptionEmbeddings


def first_states(captions: CaptionEmbeddings, *texts: str) -> list[str]:
    states, mask = captions.batch([texts])
    return [
        "".join(chr(int(c)) for c in row[is_token, 0])
        for row, is_token in zip(states[0], mask[0], strict=True)
    ]


def test_a_caption_is_encoded_once() -> None:
    encoder = Letters()
    captions = CaptionEmbeddings(encoder)
    assert first_states(captions, "fox", "a fox", "fox") == ["fox", "a fox", "fox"]
    assert first_states(captions, "a fox", "bear") == ["a fox", "bear"]
    assert encoder.encoded == ["fox", "a fox", "bear"]


def test_a_batch_is_no_longer_than_it_needs_to_be() -> None:
    captions = CaptionEmbeddings(Letters())
    assert captions.batch([("fox", "a" * 16)])[0].shape == (1, 2, 16, WIDTH)
    assert captions.batch([("fox", "a" * 17)])[0].shape == (1, 2, 32, WIDTH)
    assert captions.batch([("fox", "a" * 39)])[0].shape == (1, 2, 40, WIDTH)
    assert captions.batch([("fox",)])[0].shape == (1, 1, 16, WIDTH)


def test_the_table_is_bounded_and_forgets_what_was_not_used_for_longest() -> None:
    encoder = Letters()
    captions = CaptionEmbeddings(encoder, rows=3)
    for text in ("one", "two", "three"):
        captions.batch([(text,)])
    table = captions._embeddings.data_ptr()
    assert first_states(captions, "one", "four!") == ["one", "four!"]  # in place of two
    assert captions._embeddings.data_ptr() == table
    assert len(captions) == 3
    assert first_states(captions, "one", "three", "four!") == ["one", "three", "four!"]
    assert encoder.encoded == ["one", "two", "three", "four!"]
    assert first_states(captions, "two", "one") == ["two", "one"]
    assert encoder.encoded[-1] == "two"


def test_a_batch_larger_than_the_table_makes_it_larger() -> None:
    captions = CaptionEmbeddings(Letters(), rows=2)
    captions.batch([("a", "b")])
    assert first_states(captions, "c", "d", "e", "b") == ["c", "d", "e", "b"]


def test_unpadded_bfloat16_states_are_those_of_the_encoder() -> None:
    exact = MiniLMTextEncoder(max_tokens=40)
    texts = ("a fox running through a snowy forest at sunset", "a fox", "")
    expected, expected_mask = exact.encode(texts)
    encoder = MiniLMTextEncoder(max_tokens=40)
    encoder.model.bfloat16()
    (states,), (mask,) = CaptionEmbeddings(encoder).batch([texts])
    assert states.shape[1] == 16
    assert not expected_mask[:, 16:].any()
    torch.testing.assert_close(mask, expected_mask[:, :16])
    error = (states - expected[:, :16]).square().mean() / expected[:, :16].square().mean()
    assert float(error.sqrt()) < 0.02
    assert float(states[~mask].abs().max()) == pytest.approx(0)
