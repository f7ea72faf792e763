"""Processor seconds before the first denoising step, each measured in fresh processes in turns.

The baseline is the plain import of the same classes from diffusers and transformers. Processor
seconds do not depend on how busy the machine is; the least of some rounds is printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

BASELINE = "plain import of the classes from diffusers, transformers"
FIRST_STEP = """
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.pipeline import LayeredPipeline

class FirstStep(Exception):
    pass

def stop(step):
    raise FirstStep

pipeline = LayeredPipeline.from_pretrained("mini")
spec = resolve(GenerateSpec(prompt="a red fox running through a snowy forest"), pipeline.info, 1)
try:
    pipeline.sample(spec, pipeline.plan(spec), stop)
except FirstStep:
    pass
"""
WORKS = {
    BASELINE: (
        "from diffusers import AutoencoderKLWan, WanTransformer3DModel\n"
        "from transformers import AutoModel, AutoTokenizer"
    ),
    "import torch": "import torch",
    "import layert2v_engine.pipeline": "import layert2v_engine.pipeline",
    "import layert2v_engine.engine (a worker)": "import layert2v_engine.engine",
    "to the end of Mini's first denoising step": FIRST_STEP,
    "import layert2v_server.serve (the server)": "import layert2v_server.serve",
    "import layert2v_client.cli.main (the command line)": "import layert2v_client.cli.main",
}
TIMER = "import time\nexec({!r})\nprint(time.process_time())"


def seconds(code: str) -> float:
    """Return the processor seconds of a fresh Python that runs some code."""
    run = subprocess.run(
        [sys.executable, "-c", TIMER.format(code)], check=True, capture_output=True, text=True
    )
    return float(run.stdout.split()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rounds = [{name: seconds(code) for name, code in WORKS.items()} for _ in range(args.rounds)]
    least = {name: min(times[name] for times in rounds) for name in WORKS}
    for name, value in least.items():
        print(f"{name:58}{value:8.2f} s  x{value / least[BASELINE]:.2f}")


if __name__ == "__main__":
    main()
