"""Ablations: the same training without each part of the method, measured alike.

    python scripts/ablations.py RUN --start MODEL [--configs DIR] [--seeds 2] [--only NAME ...]

RUN is a run folder; where it has no autoencoder, it gets that of MODEL (a shipped one's name, or a
folder) with its matte adaptation, and a world of its own. Every variant trains the phases of
joint.toml from nothing, for the steps they name, in RUN/ablations/NAME_SEED, and is measured on the
same prompts and seeds. What is done is kept: called again, only what is missing is made. Leaves
RUN/ablations/table.md and ablations.jpg, anew after each training.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from layert2v_engine.cli.train import duration
from layert2v_engine.devices import CPU, pick_device
from layert2v_engine.evaluation.reference_data import ReferenceData, prepare
from layert2v_engine.evaluation.report import generate_samples, measure, measure_round_trip
from layert2v_engine.evaluation.samples import PromptCase, Sample, draw_prompt_cases
from layert2v_engine.metrics.contact_sheet import save_captioned
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.model.components import DECODER_LORA
from layert2v_engine.pipeline import LayeredPipeline, find_models
from layert2v_engine.training.config import load_config
from layert2v_engine.training.export import export
from layert2v_engine.training.joint_stage import JointRun, JointStage, run_joint
from layert2v_engine.training.stages import (
    AutoencoderStage,
    ensure_folder,
    require_stage,
    run_autoencoder,
)
from layert2v_engine.world.text.vocabulary import PLACES, SUBJECTS, TIMES

CONFIGS = Path("engine/layert2v_engine/training/configs/ablations")
TABLE_FILE, SHEET_FILE = "table.md", "ablations.jpg"
FULL, PLAIN, TILES_FILE = "full", "plain_mattes", "pictures.safetensors"
SHEET_PROMPTS = 4  # prompts in the picture
# Of a run, what every variant uses as it is; and what depends on how mattes are encoded.
SHARED_FILES = ("world", "autoencoder", "clips.safetensors", "held_out.safetensors")
ENCODED_FILES = ("whitening.safetensors", "latents.safetensors")
COLUMNS = {
    "loss": ("held-out velocity error", 3),
    "loss_given_background": ("the same, background frozen", 3),
    "loss_given_actor": ("the same, foreground frozen", 3),
    "recomposition_psnr_db": ("recomposition, dB", 1),
    "subject_of_fg": ("subject in `fg`", 2),
    "subject_by_silhouette": ("subject by silhouette", 2),
    "place_of_bg": ("place in `bg`", 2),
    "time_of_bg": ("time in `bg`", 2),
    "figure_in_bg": ("subject in `bg` (less is better)", 2),
    "scenery_in_fg": ("scenery in `fg` (less is better)", 2),
    "shadow_correlation": ("shadow correlation", 2),
    "sad": ("matte round trip, SAD", 3),
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The method, or the method without one of its parts."""

    name: str
    title: str
    stage: Mapping[str, Any] = field(default_factory=dict)  # of joint.toml
    transformer: Mapping[str, Any] = field(default_factory=dict)
    objective: Mapping[str, Any] = field(default_factory=dict)
    phase: Mapping[str, Any] = field(default_factory=dict)  # of every phase
    plain_mattes: bool = False

    def configure(self, joint: JointStage, seed: int = 0) -> JointStage:
        """Return the configuration it is trained with.

        Batches, noise and dropped prompts depend on ``seed``; the weights start alike.
        """
        return replace(
            joint,
            start="",
            transformer={**joint.transformer, **self.transformer},
            objective=replace(joint.objective, **self.objective),
            phases=tuple(
                replace(entry, joint=replace(entry.joint, seed=seed, **self.phase))
                for entry in joint.phases
            ),
            **self.stage,
        )


def variants(head_dim: int) -> tuple[Variant, ...]:
    """Return all variants, the method first."""
    quarter = head_dim // 8 * 2
    axes = [head_dim - 3 * quarter, quarter, quarter, quarter]
    return (
        Variant(name=FULL, title="the method"),
        Variant(name="no_layer_adaln", title="without LayerAdaLN", stage={"layer_adaln": False}),
        Variant(
            name="joint_prompt",
            title="one joint prompt for all layers",
            phase={"routing": "joint"},
        ),
        Variant(
            name="rope_4d",
            title="4D rotary positions (an axis for layers)",
            transformer={"rope_dims": axes},
        ),
        Variant(
            name="shared_noise",
            title="one noise level for all layers",
            objective={"clean_share": 0.0},
        ),
        Variant(name=PLAIN, title="color decoder for mattes", plain_mattes=True),
    )


@dataclass(frozen=True, kw_only=True)
class Training:
    """A variant trained with a seed."""

    run: Path
    variant: Variant
    seed: int

    @property
    def folder(self) -> Path:
        return self.run / "ablations" / f"{self.variant.name}_{self.seed}"

    @property
    def title(self) -> str:
        return f"{self.variant.title}, seed {self.seed}"

    @property
    def is_finished(self) -> bool:
        return (self.folder / "figures.json").exists()


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("run", type=Path)
    parser.add_argument("--start", required=True, help="whose autoencoder: a name or a folder")
    parser.add_argument("--configs", type=Path, default=CONFIGS)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="names of variants; default: all")
    parser.add_argument("--count", type=int, default=32, help="prompts to measure with")
    parser.add_argument("--classifier-clips", type=int, default=1000)
    parser.add_argument("--classifier-budget", default="120s")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    joint = load_config(JointStage, "joint", args.configs)
    first = load_config(AutoencoderStage, "autoencoder", args.configs)
    prepare_run(args.run, args.start, first)
    all_variants = variants(int(joint.transformer["attention_head_dim"]))
    trainings = [
        Training(run=args.run, variant=v, seed=k) for k in range(args.seeds) for v in all_variants
    ]
    reference = None
    for training in trainings:
        if training.is_finished or (args.only and training.variant.name not in args.only):
            continue
        train(training, joint, first, pick_device(args.device))
        if reference is None:
            info = read_index(training.folder / "model").info
            seconds = duration(args.classifier_budget)
            reference = prepare(args.run, info, clip_count=args.classifier_clips, train_s=seconds)
            logging.info("classifiers=%s", reference.classifier_accuracies)
        measure_variant(training, reference, args.count, args.device)
        write_table(args.run / "ablations", [t for t in trainings if t.is_finished])


class _Raw(argparse.RawDescriptionHelpFormatter):
    pass


def prepare_run(run: Path, start: str, first: AutoencoderStage) -> None:
    """Give a run folder without an autoencoder that of a model, and render its world.

    The model's matte adaptation comes with it; its transformer does not.
    """
    if not (run / "autoencoder").exists():
        folder = Path(start)
        folder = folder if folder.is_dir() else find_models(None).get(start, folder)
        read_index(folder)
        lora = shutil.ignore_patterns(DECODER_LORA)
        shutil.copytree(folder / "matte", run / "matte" / "projection", ignore=lora)
        shutil.copy(folder / "matte" / DECODER_LORA, run / "matte")
        shutil.copytree(folder / "autoencoder", run / "autoencoder" / "model")
    run_autoencoder(run, first, None)


def train(
    training: Training, joint: JointStage, first: AutoencoderStage, device: torch.device = CPU
) -> None:
    """Train a variant and export it, unless that was done."""
    if (training.folder / "model").exists():
        return
    folder, config = (
        ensure_folder(training.folder),
        training.variant.configure(joint, training.seed),
    )
    for source in _shared_inputs(training):
        if not (folder / source.name).exists():
            (folder / source.name).symlink_to(require_stage(source, "autoencoder").resolve())
    ensure_folder(folder / "matte")
    logging.info("ablation=%s", folder.name)
    start_s = time.process_time()
    run_joint(folder, config, JointRun(device=device))
    logging.info("ablation=%s processor_s=%.0f", folder.name, time.process_time() - start_s)
    export(folder, folder / "model", config, first.world, config.phases[-1].name)


def _shared_inputs(training: Training) -> Iterator[Path]:
    """Yield what a training takes from its run, and from the first one that encodes alike."""
    plain = training.variant.plain_mattes
    yield from (training.run / name for name in SHARED_FILES)
    if not plain:
        yield training.run / "matte"
    encoder = training.run / "ablations" / f"{PLAIN if plain else FULL}_0"
    if encoder != training.folder:
        yield from (path for name in ENCODED_FILES if (path := encoder / name).exists())


def measure_variant(training: Training, reference: ReferenceData, count: int, device: str) -> None:
    """Measure a variant."""
    folder = training.folder
    pipeline = LayeredPipeline.from_pretrained(folder / "model", device=device)
    cases = draw_prompt_cases(reference.selection, count, 0, held_out=False)
    samples = generate_samples(pipeline, cases, folder.name)
    metrics = measure(samples, reference) | measure_round_trip(pipeline, reference.seen)
    tiles = torch.stack([p for sample in samples[:SHEET_PROMPTS] for p in sample_tiles(sample)])
    save_file({"pictures": tiles}, folder / TILES_FILE)
    (last,) = sorted(folder.glob("joint_*/validation.jsonl"), key=_modified_at)[-1:]
    metrics |= json.loads(last.read_text().splitlines()[-1])
    case_titles = [word for case in cases[:SHEET_PROMPTS] for word in column_titles(case)]
    text = json.dumps({**metrics, "columns": case_titles}, indent=2)
    (folder / "figures.json").write_text(text)


def sample_tiles(sample: Sample) -> list[torch.Tensor]:
    """Return pictures [3, H, W] of a clip: the comp of the layers, background and matte."""
    middle = sample.comp.shape[1] // 2
    matte = sample.foregrounds[0].alpha[0, :, middle].expand(3, -1, -1)
    return [sample.comp[:, middle], sample.layers.background[0, :, middle], matte]


def column_titles(case: PromptCase) -> tuple[str, str, str]:
    """Return the words of a prompt, to stand over its three pictures."""
    return SUBJECTS[case.subjects[0]].name, PLACES[case.place].name, TIMES[case.time].name


def write_table(folder: Path, trainings: Sequence[Training]) -> None:
    """Write the table of all trainings, and a sheet of those with the first seed."""
    rows, captions, lines = [], [], []
    for training in trainings:
        metrics = json.loads((training.folder / "figures.json").read_text())
        lines.append(table_row(training.title, metrics))
        if training.seed == 0:
            case_titles = metrics["columns"]
            rows.append(load_file(training.folder / TILES_FILE)["pictures"])
            captions.append(training.variant.title)
    head = ["variant", *(title for title, _ in COLUMNS.values())]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * len(COLUMNS), *lines]
    (folder / TABLE_FILE).write_text("\n".join([*lines, ""]))
    if rows:
        save_captioned(rows, captions, case_titles, folder / SHEET_FILE, scale=2)


def table_row(title: str, metrics: Mapping[str, float]) -> str:
    """Return one line of the table; what was not measured stays empty."""
    cells = [
        f"{metrics[name]:.{digits}f}" if name in metrics else ""
        for name, (_, digits) in COLUMNS.items()
    ]
    return "| " + " | ".join([title, *cells]) + " |"


def _modified_at(path: Path) -> float:
    return path.stat().st_mtime


if __name__ == "__main__":
    main()
