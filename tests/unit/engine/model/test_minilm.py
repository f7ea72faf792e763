"""MiniLM gives the numbers of transformers' own BERT, from the same files."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertModel, BertTokenizerFast

from layert2v_engine.model.text import MiniLMTextEncoder, minilm_folder, save_for_captions

PROMPTS = [
    "a red fox running through a snowy forest at sunset",
    "",
    "Éléphant, two of them; 3 birds (far away) " + "and a car " * 20,
]


def test_states_equal_those_of_transformers() -> None:
    folder, tokens = minilm_folder(), 24
    batch = BertTokenizerFast.from_pretrained(folder, local_files_only=True)(
        PROMPTS, padding="max_length", truncation=True, max_length=tokens, return_tensors="pt"
    )
    theirs = BertModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        expected = theirs(**batch).last_hidden_state * batch["attention_mask"][..., None]

    states, mask = MiniLMTextEncoder(max_tokens=tokens).encode(PROMPTS)

    assert torch.equal(mask, batch["attention_mask"].bool())
    assert torch.allclose(states, expected, atol=1e-5)


def test_an_encoder_saved_for_captions_knows_them_alone(tmp_path: Path) -> None:
    whole = MiniLMTextEncoder(max_tokens=24)
    save_for_captions(whole, [PROMPTS[0], ""], tmp_path)
    saved = MiniLMTextEncoder(tmp_path, max_tokens=24)

    known, unknown = (
        [each.encode([text]).states for each in (whole, saved)] for text in PROMPTS[::2]
    )

    assert torch.allclose(*known, atol=0.02)  # half precision
    assert not torch.allclose(*unknown, atol=0.5)
    assert (tmp_path / "model.safetensors").stat().st_size < 50e6
