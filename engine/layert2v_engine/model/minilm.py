"""MiniLM, a BERT of a few layers, and its tokenizer, from a folder as transformers writes it.

The same numbers as ``transformers.BertModel`` gives, whose import alone takes longer than all other
work before a short generation's first step. Knows token ids, not prompts or layers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.model.weights_check import check_weights
from layert2v_engine.tensor_file import load_tensors

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
# What files hold beside the encoder: a classifier's first layer, and 0, 1, 2 ...
_UNUSED = ("pooler.", "embeddings.position_ids")


class MiniLM(nn.Module):
    """BERT's encoder (Devlin et al., 2019): absolute positions, GELU, norms after the sums."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.width, self.vocabulary = int(config["hidden_size"]), int(config["vocab_size"])
        self.embeddings = _Embeddings(config)
        layers = [_Layer(config) for _ in range(config["num_hidden_layers"])]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embeddings.word_embeddings.weight.device

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return states [N, L, D] of token ids [N, L]; mask [N, L] is true at real tokens."""
        states: Tensor = self.embeddings(ids)
        for layer in self.encoder["layer"].children():
            states = layer(states, mask[:, None, None])
        return states


class _Embeddings(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.LayerNorm = nn.LayerNorm(width, eps=config["layer_norm_eps"])

    def forward(self, ids: Tensor) -> Tensor:
        """Return states [N, L, D] of ids [N, L], all of the first of two sentences."""
        states = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        normalized: Tensor = self.LayerNorm(
            states + self.position_embeddings.weight[: ids.shape[1]]
        )
        return normalized


class _Layer(nn.Module):
    """Attention and a network of two layers; modules are named as in the file."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, hidden = config["hidden_size"], config["intermediate_size"]
        self.heads = int(config["num_attention_heads"])
        inputs = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        )
        self.attention = nn.ModuleDict({"self": inputs, "output": _dense_norm(width, config)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, hidden)})
        self.output = _dense_norm(hidden, config)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return states [N, L, D]; mask [N, 1, 1, L]."""
        inputs, output = self.attention["self"], self.attention["output"]
        query, key, value = (
            inputs[name](states).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # type: ignore[index]
            for name in ("query", "key", "value")
        )  # [N, heads, L, D / heads]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = attended.transpose(1, 2).flatten(2)  # [N, L, D]
        states = _add_norm(output, attended, states)
        return _add_norm(self.output, F.gelu(self.intermediate["dense"](states)), states)


def _dense_norm(width: int, config: Mapping[str, Any]) -> nn.ModuleDict:
    out = config["hidden_size"]
    norm = nn.LayerNorm(out, eps=config["layer_norm_eps"])
    return nn.ModuleDict({"dense": nn.Linear(width, out), "LayerNorm": norm})


def _add_norm(part: Any, new: Tensor, states: Tensor) -> Tensor:
    normalized: Tensor = part["LayerNorm"](part["dense"](new) + states)
    return normalized


class MiniLMTokenizer:
    """Token ids of texts, cut at ``max_tokens``, the two at the ends counted."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, in order."""
        return [self._tokenizer.encode(text).ids for text in texts]


def load_minilm(folder: Path) -> MiniLM:
    """Return the encoder in a folder, in float32. Raises BadCheckpoint, OSError."""
    check_weights(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if not (folder / WEIGHTS).is_file():
        raise BadCheckpoint(
            f"The text encoder in {folder.name} has no file named {WEIGHTS}.",
            "Copy the folder again; other kinds of files are not read.",
        )
    model = MiniLM(config)
    tensors = load_tensors(folder / WEIGHTS).items()
    model.load_state_dict({name: t for name, t in tensors if not name.startswith(_UNUSED)})
    return model.float().eval().requires_grad_(False)


def save_minilm(model: MiniLM, source: Path, folder: Path) -> None:
    """Write a model whose config and tokenizer are those in the folder ``source``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, TOKENIZER):
        shutil.copyfile(source / name, folder / name)
    save_file(model.state_dict(), folder / WEIGHTS)
