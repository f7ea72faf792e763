"""What each part of the method is worth: the same training without it, measured alike.

    python scripts/ablations.py RUN --configs DIR --budget 10m [--only NAME ...]

RUN is a run folder whose stages `autoencoder` and `matte` are done (its latents are used, too, or
those of the first variant, which is the method itself); DIR holds the configurations it
was made with. Every variant trains the phases of joint.toml from nothing, each for an equal share
of the budget, in RUN/ablations/NAME, and is measured on the same prompts and seeds. What is done is
kept: called again, only what is missing is made. Writes docs/ablations.md and its picture.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from layert2v_engine.commands.learning import duration
from layert2v_engine.devices import CPU, pick_device
from layert2v_engine.evaluation.material import Material, prepare
from layert2v_engine.evaluation.report import measure, measure_round_trip, shoot
from layert2v_engine.evaluation.sheets import save_captioned
from layert2v_engine.evaluation.shots import Shot, draw_wishes
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.training.config import load_config
from layert2v_engine.training.export import export
from layert2v_engine.training.joint_stage import JointStage, run_joint
from layert2v_engine.training.stages import AutoencoderStage, made_folder, needed_from

PAGE = Path("docs/ablations.md")
PICTURE = Path("docs/images/ablations.jpg")
FULL, PICTURES = "full", "pictures.safetensors"
SHOWN = 4  # prompts in the picture
# Of a run, what every variant uses as it is; and what depends on how mattes are encoded.
SHARED = ("world", "autoencoder", "clips.safetensors", "held_out.safetensors")
ENCODED = ("matte", "whitening.safetensors", "latents.safetensors")
COLUMNS = {
    "loss": ("held-out velocity error", 3),
    "loss_given_background": ("the same, drawn around a given background", 3),
    "recomposition_psnr_db": ("recomposition, dB", 1),
    "subject_of_fg": ("subject in `fg`", 2),
    "subject_by_silhouette": ("subject by silhouette", 2),
    "place_of_bg": ("place in `bg`", 2),
    "time_of_bg": ("time in `bg`", 2),
    "figure_in_bg": ("figure in `bg` (less is better)", 2),
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

    def of(self, joint: JointStage) -> JointStage:
        """The configuration it is trained with."""
        return replace(
            joint,
            start="",
            transformer={**joint.transformer, **self.transformer},
            objective=replace(joint.objective, **self.objective),
            phases=tuple(
                replace(entry, joint=replace(entry.joint, **self.phase)) for entry in joint.phases
            ),
            **self.stage,
        )


def variants(head_dim: int) -> tuple[Variant, ...]:
    """The method first."""
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
        Variant(name="plain_mattes", title="colour decoder for mattes", plain_mattes=True),
    )


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("run", type=Path)
    parser.add_argument("--configs", type=Path, required=True)
    parser.add_argument("--budget", default="10m", help="training time of each variant")
    parser.add_argument("--only", nargs="*", help="names of variants; default: all")
    parser.add_argument("--count", type=int, default=32, help="prompts to measure with")
    parser.add_argument("--judge-clips", type=int, default=1400)
    parser.add_argument("--judge-budget", default="240s")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    joint = load_config(JointStage, "joint", args.configs)
    first = load_config(AutoencoderStage, "autoencoder", args.configs)
    known = variants(int(joint.transformer["attention_head_dim"]))
    device, seconds = pick_device(args.device), duration(args.budget)
    for variant in known:
        if not args.only or variant.name in args.only:
            train(args.run, variant, joint, first, seconds, device)
    made = [v for v in known if (folder_of(args.run, v) / "model").exists()]
    waiting = [v for v in made if not (folder_of(args.run, v) / "figures.json").exists()]
    if waiting:
        info = read_index(folder_of(args.run, waiting[0]) / "model").info
        judge_s = duration(args.judge_budget)
        material = prepare(args.run, info, judge_clips_count=args.judge_clips, judge_s=judge_s)
    for variant in waiting:
        judge(folder_of(args.run, variant), material, args.count, args.device)
    write_page(args.run, made, args.budget, args.count)


class _Raw(argparse.RawDescriptionHelpFormatter):
    pass


def folder_of(run: Path, variant: Variant) -> Path:
    """Where a variant is trained."""
    return run / "ablations" / variant.name


def train(
    run: Path,
    variant: Variant,
    joint: JointStage,
    first: AutoencoderStage,
    seconds: float,
    device: torch.device = CPU,
) -> None:
    """Train a variant and export it, unless that was done."""
    folder = made_folder(folder_of(run, variant))
    if (folder / "model").exists():
        return
    first_one = run / "ablations" / FULL
    for name in SHARED if variant.plain_mattes else (*SHARED, *ENCODED):
        source = run / name if name in SHARED or (run / name).exists() else first_one / name
        if not (folder / name).exists() and source.parent != folder:
            (folder / name).symlink_to(needed_from(source, "autoencoder").resolve())
    made_folder(folder / "matte")
    config = variant.of(joint)
    logging.info("ablation=%s", variant.name)
    run_joint(folder, config, seconds / len(config.phases), device)
    export(folder, folder / "model", config, first.world, config.phases[-1].name)


def judge(folder: Path, material: Material, count: int, device: str) -> None:
    """Measure a variant."""
    pipeline = LayeredPipeline.from_pretrained(folder / "model", device=device)
    figures, shots = measured(pipeline, material, count)
    picture = torch.stack([p for shot in shots[:SHOWN] for p in pictures(shot)])
    save_file({"pictures": picture}, folder / PICTURES)
    (last,) = sorted(folder.glob("joint_*/validation.jsonl"), key=_age)[-1:]
    figures |= json.loads(last.read_text().splitlines()[-1])
    (folder / "figures.json").write_text(json.dumps(figures, indent=2))


def measured(
    pipeline: LayeredPipeline, material: Material, count: int
) -> tuple[dict[str, float], list[Shot]]:
    """Figures over `count` prompts of scenes that were trained on, and the clips."""
    wishes = draw_wishes(material.selection, count, 0, held_out=False)
    shots = shoot(pipeline, wishes, "ablation")
    figures = measure(shots, material) | measure_round_trip(pipeline, material.seen)
    return figures, shots


def pictures(shot: Shot) -> list[torch.Tensor]:
    """What is shown of a clip: the comp of the layers, and the matte."""
    middle = shot.comp.shape[1] // 2
    return [shot.comp[:, middle], shot.actors[0].alpha[0, :, middle].expand(3, -1, -1)]


def write_page(run: Path, made: Sequence[Variant], budget: str, count: int) -> None:
    """The table and the picture."""
    rows, captions, lines = [], [], []
    for variant in made:
        folder = folder_of(run, variant)
        figures = json.loads((folder / "figures.json").read_text())
        lines.append(table_row(variant.title, figures))
        rows.append(load_file(folder / PICTURES)["pictures"])
        captions.append(variant.title)
    columns = ["comp of layers", "matte"] * (len(rows[0]) // 2)
    save_captioned(rows, captions, columns, PICTURE)
    PAGE.write_text(page(lines, budget, count))


def table_row(title: str, figures: Mapping[str, float]) -> str:
    """One line of the table; what was not measured stays empty."""
    cells = [
        f"{figures[name]:.{digits}f}" if name in figures else ""
        for name, (_, digits) in COLUMNS.items()
    ]
    return "| " + " | ".join([title, *cells]) + " |"


def page(lines: Sequence[str], budget: str, count: int) -> str:
    """docs/ablations.md"""
    head = ["variant", *(title for title, _ in COLUMNS.values())]
    return "\n".join(
        [
            "# What each part is worth",
            "",
            f"The same training ({budget} on one core, from nothing) with one part taken away, on"
            f" the same clips, and measured on the same {count} prompts and seeds. The trainings"
            " are far too short for good pictures: read differences, and only large ones. Made by"
            " `scripts/ablations.py`.",
            "",
            "| " + " | ".join(head) + " |",
            "| --- |" + " --- |" * len(COLUMNS),
            *lines,
            "",
            "The velocity error of the variant with the colour decoder is of other latents (mattes"
            " are encoded as they are) and cannot be compared. Shares are of 1.",
            "",
            "![Two pictures of each of four prompts, by variant](images/ablations.jpg)",
            "",
        ]
    )


def _age(path: Path) -> float:
    return path.stat().st_mtime


if __name__ == "__main__":
    main()
