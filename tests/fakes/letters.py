"""A text encoder that spells."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from layert2v_engine.model.text import TextStates

WIDTH = 4


class Letters:
    """Encodes a caption as one token a letter, with the letter's number in all of its states.

    An empty one has a token, too, as the end that tokenizers write.
    """

    max_tokens = 40

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, prompts: Sequence[str], *, padded: bool = True) -> TextStates:
        self.encoded += prompts
        prompts = [text[: self.max_tokens] or "\0" for text in prompts]
        length = self.max_tokens if padded else max(len(text) for text in prompts)
        states, mask = torch.zeros(len(prompts), length, WIDTH), torch.zeros(len(prompts), length)
        for row, text in enumerate(prompts):
            numbers = torch.tensor([float(ord(letter)) for letter in text])
            states[row, : len(text)], mask[row, : len(text)] = numbers[:, None], 1
        return TextStates(states, mask.bool())
