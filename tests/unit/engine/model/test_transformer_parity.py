"""The layered transformer against recorded outputs of the authors' network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from fakes.uncached_predictor import uncached_predictor
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.model.wan_import import convert_transformer, diffusers_name, import_transformer
from layert2v_engine.sampling.denoise import denoise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.solvers import make_sampler

pytestmark = pytest.mark.parity

LAYOUT = StreamLayout.for_foregrounds(1, shadows=False)  # full, bg, fg, mask; prompts full, fg, bg
TOLERANCE = {"atol": 1e-4, "rtol": 0}


class Record:
    """One dump: its tensors by kind, its configuration, and the network made of its weights."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            self.meta = json.loads(file.metadata()["meta"])
        self.tensors = load_file(path)

    def network(self) -> LayeredWanTransformer3DModel:
        weights = {k[2:]: v for k, v in self.tensors.items() if k.startswith("w.")}
        return convert_transformer(weights, self.meta["config"])


@pytest.fixture(params=["3d", "4d"])
def record(parity_dir: Path, request: pytest.FixtureRequest) -> Record:
    return Record(parity_dir / f"dit_rope{request.param}.safetensors")


def streams(clip: Tensor) -> Tensor:
    """Return streams [B, 4, C, F, H, W] of serialized latents [B, C, 4 F, H, W]."""
    return clip.unflatten(2, (4, -1)).transpose(1, 2)


def split(contexts: list[Tensor], lengths: Tensor) -> Conditioning:
    """Prompts laid end to end, one row per sample, to padded prompts and their mask."""
    longest = int(lengths.max())
    states = torch.zeros(*lengths.shape, longest, contexts[0].shape[-1])
    for row, context in enumerate(contexts):
        parts = context.split(lengths[row].tolist())
        for k, part in enumerate(parts):
            states[row, k, : len(part)] = part
    return Conditioning(states, torch.arange(longest) < lengths[..., None])


def run(network: LayeredWanTransformer3DModel, x: Tensor, t: Tensor, text: Conditioning) -> Tensor:
    out: Tensor = network(
        streams(x),
        t,
        text.states,
        roles=LAYOUT.modulation_rows(network.config.roles),
        attended_prompts=LAYOUT.attended_prompts,
        prompt_mask=text.mask,
    ).sample
    return out.transpose(1, 2).flatten(2, 3)


@torch.no_grad()
def test_parity_of_every_block_and_output(record: Record) -> None:
    network, given = record.network(), record.tensors
    seen: dict[str, Tensor] = {}
    for index, block in enumerate(network.blocks):
        name = f"mid.block{index}"
        block.register_forward_hook(lambda _m, _a, out, name=name: seen.update({name: out}))
    contexts = [given["in.context.0"], given["in.context.1"]]
    text = split(contexts, given["in.prompt_lens"])
    seen["out.layered"] = run(network, given["in.x"], given["in.t"], text)
    for name, ours in seen.items():
        torch.testing.assert_close(ours, given[name], **TOLERANCE)
    torch.testing.assert_close(seen["out.layered"], given["out.padded_seq"], **TOLERANCE)


@torch.no_grad()
def test_parity_of_one_sample_alone(record: Record) -> None:
    network, given = record.network(), record.tensors
    text = split([given["in.context.0"]], given["in.prompt_lens"][:1])
    ours = run(network, given["in.x"][:1], given["in.t"][:1], text)
    torch.testing.assert_close(ours, given["out.layered_row0"], **TOLERANCE)


@torch.no_grad()
def test_parity_of_a_long_context(record: Record) -> None:
    network, given = record.network(), record.tensors
    text = split([given["in.context_long"]], given["in.prompt_lens_long"])
    ours = run(network, given["in.x"][:1], given["in.t"][:1], text)
    torch.testing.assert_close(ours, given["out.long_context"], **TOLERANCE)


@torch.no_grad()
def test_parity_without_prompt_lengths(record: Record) -> None:
    """All streams attend to all tokens, the zero padding up to `text_len` too."""
    network, given = record.network(), record.tensors
    states = torch.zeros(2, 1, record.meta["config"]["text_len"], 48)
    for row in range(2):
        context = given[f"in.context.{row}"]
        states[row, 0, : len(context)] = context
    ours = network(
        streams(given["in.x"]), given["in.t"], states, roles=range(4), attended_prompts=((0,),) * 4
    ).sample
    ours = ours.transpose(1, 2).flatten(2, 3)
    torch.testing.assert_close(ours, given["out.no_prompt_lens"], **TOLERANCE)


def test_parity_of_attended_prompts(record: Record) -> None:
    given = record.tensors
    for row, lengths in enumerate(given["in.prompt_lens"].tolist()):
        owner = [k for k, length in enumerate(lengths) for _ in range(length)]
        for stream, prompts in enumerate(LAYOUT.attended_prompts):
            theirs = given["mid.cross_mask"][row].unflatten(0, (4, -1))[stream, :, : len(owner)]
            assert theirs.bool().tolist() == [[k in prompts for k in owner]] * len(theirs)


def test_parity_of_a_whole_sampling_loop(parity_dir: Path) -> None:
    record = Record(parity_dir / "sample.safetensors")
    given, meta = record.tensors, record.meta
    network = record.network()
    lengths = given["in.prompt_lens"]
    null = given["in.null"]
    negative = split([null.repeat(3, 1)], torch.full((1, 3), len(null)))
    steps = make_sampler("unipc", meta["steps"], shift=meta["shift"], integer_timesteps=True)
    seen: list[Tensor] = []

    def keep(latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        seen.append(latents[0].transpose(0, 1).flatten(1, 2))
        return predict(latents, times, text)

    predict = uncached_predictor(network, LAYOUT)
    out = denoise(
        keep,
        streams(given["in.noise"][None]),
        steps,
        split([given["in.context"]], lengths),
        negative,
        Guidance(scale=meta["guide_scale"]),
    )
    seen.append(out[0].transpose(0, 1).flatten(1, 2))
    torch.testing.assert_close(seen[-1], given["out.latent"], **TOLERANCE)
    for index, ours in enumerate(seen[1:]):
        torch.testing.assert_close(ours, given[f"mid.latent{index}"], **TOLERANCE)


def test_parity_of_a_merged_adapter(parity_dir: Path, tmp_path: Path) -> None:
    """The base is that of the 3D dump: the adapter's own dump holds it merged already."""
    base = Record(parity_dir / "dit_rope3d.safetensors")
    weights = {k[2:]: v for k, v in base.tensors.items() if k.startswith("w.")}
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(base.meta["config"]))
    folder = parity_dir / "peft_checkpoint"
    ours = import_transformer(tmp_path, folder).state_dict()
    for key, theirs in load_file(folder / "merged_and_base.safetensors").items():
        if key.startswith("merged."):
            name = diffusers_name(key.removeprefix("merged."))
            torch.testing.assert_close(ours[name], theirs, atol=1e-6, rtol=0)
