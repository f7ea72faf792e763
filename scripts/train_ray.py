"""Train in the workers of a Ray cluster, by Ray Train: the same command, started there.

    pip install '.[engine,ray]'
    python scripts/train_ray.py --workers 8 --gpu -- joint multi --run /shared/runs/wan --sharded

What follows ``--`` is what ``layert2v-engine train`` takes. The run folder must lie where all
workers see it. A worker that is lost ends all of them; they are started again and go on from the
last saved state, ``--failures`` times.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any


def main() -> int:
    """Start the workers and wait for them; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--gpu", action="store_true", help="one GPU for each")
    parser.add_argument("--failures", type=int, default=3, help="restarts; default: 3")
    parser.add_argument("--storage", type=Path, help="folder for Ray's own records")
    parser.add_argument("train", nargs="+", help="stages and options of layert2v-engine train")
    args = parser.parse_args()

    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        train_in_worker,
        train_loop_config={"arguments": args.train, "folder": str(Path.cwd())},
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if args.gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=args.workers, use_gpu=args.gpu),
        run_config=RunConfig(
            storage_path=None if args.storage is None else str(args.storage.resolve()),
            failure_config=FailureConfig(max_failures=args.failures),
        ),
    )
    trainer.fit()
    return 0


def train_in_worker(config: dict[str, Any]) -> None:
    """Run the trainer in one worker, whose process group Ray has made already."""
    import ray.train

    from layert2v_engine.cli.main import main as engine

    os.chdir(config["folder"])
    context = ray.train.get_context()
    os.environ["WORLD_SIZE"] = str(context.get_world_size())
    os.environ["LOCAL_RANK"] = str(context.get_local_rank())
    status = engine(["train", *config["arguments"]])
    if status:
        raise RuntimeError(f"layert2v-engine train ended with status {status}")


if __name__ == "__main__":
    raise SystemExit(main())
