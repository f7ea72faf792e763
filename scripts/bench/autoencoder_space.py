"""8x against 16x space for the Mini's autoencoder, with as many numbers per pixel.

Every encoder is fitted on the same clips by the engine's own code, then every decoder learns for
the same CPU seconds with the engine's own loss; the cases take turns in slices. ``24 at 8x`` is the
baseline: cut into patches of 2 x 2 latents it gives the transformer the same tokens and numbers as
``96 at 16x`` latent by latent. PSNR is in dB over held-out clips; ``noisy`` is the composite
through latents that are off by a tenth of each channel's deviation, as generated ones are. Times
are CPU seconds, so that a busy machine does not decide.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from layert2v_engine.model.autoencoder import PatchAutoencoder, decode_video
from layert2v_engine.training.autoencoder_phase import DecoderPhase
from layert2v_engine.training.chunks import ChunkConfig, fit_encoder
from layert2v_engine.world.clips import build_bank
from layert2v_engine.world.dataset import HELD_OUT_SEED, ClipSet, render_clips

STREAMS = ("comp", "bg", "fg", "matte", "shadow")
FRAMES = 9
SLICE_S = 5.0
WARMUP_STEPS = 30
NOISE = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One way to spend numbers on pixels."""

    space: int
    channels: int
    widths: tuple[int, ...] = (160, 96, 48)

    @property
    def name(self) -> str:
        """Return the name for the table."""
        return f"{self.channels} at {self.space}x"


# At 16x the decoder is the one at 8x with one coarser stage in front.
CASES = (
    Case(space=8, channels=24),
    Case(space=16, channels=96, widths=(224, 160, 96, 48)),
    Case(space=8, channels=16),
    Case(space=16, channels=64, widths=(224, 160, 96, 48)),
    Case(space=8, channels=32),
)


class Candidate:
    """An autoencoder with a fitted encoder and a decoder that is being trained."""

    def __init__(self, case: Case, clips: ClipSet, held_out: ClipSet, lr: float) -> None:
        torch.manual_seed(0)
        self.case, self.steps, self.spent_s, self.lr = case, 0, 0.0, lr
        self.autoencoder = PatchAutoencoder(
            latent_channels=case.channels, spatial_factor=case.space, decoder_widths=case.widths
        )
        start = time.process_time()
        fit_encoder(self.autoencoder, clips, chunks=1000)
        self.fit_s = time.process_time() - start
        self.linear = quality(self.autoencoder, held_out)
        self._phase = DecoderPhase(self.autoencoder, clips, held_out, ChunkConfig())
        self._optimizer = torch.optim.AdamW(self.autoencoder.decoder.parameters())

    def train(self, until_s: float, budget_s: float) -> None:
        """Go on until ``until_s`` CPU seconds are spent; the rate falls with the later half."""
        decoder = self.autoencoder.decoder
        while self.spent_s < until_s:
            start = time.process_time()
            share = self.spent_s / budget_s
            rate = self.lr * min(1, (self.steps + 1) / WARMUP_STEPS, 2 - 2 * share)
            self._optimizer.param_groups[0]["lr"] = rate
            self._optimizer.zero_grad()
            self._phase.loss(self.steps, share).backward()
            nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
            self._optimizer.step()
            self.steps += 1
            self.spent_s += time.process_time() - start


@torch.no_grad()
def quality(autoencoder: PatchAutoencoder, clips: ClipSet) -> list[float]:
    """Return PSNR in dB of a round trip per stream, and of the composite through noisy latents."""
    encoded = []
    squares = torch.zeros(len(STREAMS) + 1)
    batches = torch.arange(len(clips.scenes)).split(8)
    for rows in batches:
        videos = clips.streams(rows)
        for stream in range(len(STREAMS)):
            latents = autoencoder.encode_video(videos[:, stream])
            squares[stream] += error(autoencoder, latents, videos[:, stream])
            if stream == 0:
                encoded.append((latents, videos[:, 0]))
    deviation = torch.cat([latents for latents, _ in encoded]).std((0, 2, 3, 4), keepdim=True)
    generator = torch.Generator().manual_seed(0)
    for latents, video in encoded:
        noise = NOISE * deviation * torch.randn(latents.shape, generator=generator)
        squares[-1] += error(autoencoder, latents + noise, video)
    return (10 * torch.log10(4 * len(clips.scenes) / squares)).tolist()


def error(autoencoder: PatchAutoencoder, latents: Tensor, video: Tensor) -> Tensor:
    """Return the mean square error of decoded latents, summed over clips."""
    return (decode_video(autoencoder, latents) - video).square().mean((1, 2, 3, 4)).sum()


@torch.no_grad()
def decode_seconds(candidates: list[Candidate], clips: ClipSet, rounds: int) -> list[float]:
    """Return the least CPU seconds of each to decode one stream of one clip, taking turns."""
    video = clips.streams(torch.arange(1))[:, 0]
    latents = [c.autoencoder.encode_video(video) for c in candidates]
    best = [float("inf")] * len(candidates)
    for _ in range(rounds):
        for i, candidate in enumerate(candidates):
            start = time.process_time()
            decode_video(candidate.autoencoder, latents[i])
            best[i] = min(best[i], time.process_time() - start)
    return best


def load_clips(
    run: Path | None, bank: Path | None, train: int, held: int
) -> tuple[ClipSet, ClipSet]:
    """Return training and held-out clips of a run folder, a bank, or a small world built now."""
    if run is not None:
        sets = ClipSet.load(run / "clips.safetensors"), ClipSet.load(run / "held_out.safetensors")
        return first_clips(sets[0], train), first_clips(sets[1], held)
    with tempfile.TemporaryDirectory() as scratch:
        if bank is None:
            bank = Path(scratch)
            build_bank(bank, creatures_per_species=6, plates_per_scene=6, processes=1)
        return render_bank_clips(bank, train, 0), render_bank_clips(bank, held, HELD_OUT_SEED)


def first_clips(clips: ClipSet, count: int) -> ClipSet:
    """Return the first clips of a set."""
    return ClipSet(pixels=clips.pixels[:count].clone(), scenes=clips.scenes[:count])


def render_bank_clips(bank: Path, count: int, seed: int) -> ClipSet:
    """Render clips of a bank."""
    return render_clips(
        bank, count, first_seed=seed, frames=FRAMES, processes=1, report=lambda *_: None
    )


def print_table(candidates: list[Candidate], held_out: ClipSet) -> None:
    """Print PSNR per stream before and after training, then times, each against the first case."""
    seconds = decode_seconds(candidates, held_out, rounds=10)
    trained = [quality(c.autoencoder, held_out) for c in candidates]
    titles = (*STREAMS, "noisy", "vs base", "steps", "fit s", "decode s", "x base")
    print(f"{'':22}" + "".join(title.rjust(9) for title in titles))
    for i, candidate in enumerate(candidates):
        for name, figures, base in (
            ("linear", candidate.linear, candidates[0].linear),
            ("trained", trained[i], trained[0]),
        ):
            cells = [f"{figure:.2f}" for figure in figures] + [f"{figures[0] - base[0]:+.2f}"]
            if name == "trained":
                ratio = seconds[i] / seconds[0]
                cells += [f"{candidate.steps}", f"{candidate.fit_s:.1f}"]
                cells += [f"{seconds[i]:.4f}", f"{ratio:.2f}"]
            print(f"{candidate.case.name:12} {name:9}" + "".join(cell.rjust(9) for cell in cells))


def main() -> None:
    """Train every decoder for the budget and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--run", type=Path, help="a training run's folder, with its clips")
    source.add_argument("--bank", type=Path, help="a world bank; without either, a small one")
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--held-out", type=int, default=32)
    parser.add_argument("--budget", type=float, default=20.0, help="CPU seconds for each decoder")
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clips, held_out = load_clips(args.run, args.bank, args.clips, args.held_out)
    print(
        f"{len(clips.scenes)} clips, {len(held_out.scenes)} held out, {args.budget:.0f} CPU seconds"
        f" per decoder at rate {args.lr:g}; PSNR in dB, `vs base` of comp, `decode s` per stream"
    )
    candidates = [Candidate(case, clips, held_out, args.lr) for case in CASES]
    until = 0.0
    while until < args.budget:
        until = min(until + SLICE_S, args.budget)
        for candidate in candidates:
            candidate.train(until, args.budget)
    print_table(candidates, held_out)


if __name__ == "__main__":
    main()
