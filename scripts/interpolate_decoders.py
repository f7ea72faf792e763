"""Write decoders between two that were finished one after the other: a share of the way.

python scripts/interpolate_decoders.py RUN/finish_soft RUN/finish_sharp 0.5 --out RUN/finish

The first were trained with little of a discriminator, the second went on from them with more. In
between is most of what the second draws, without the patterns that it invents. Source: network
interpolation of ESRGAN (arXiv 1809.00219).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

MODEL = Path("autoencoder", "model")
WEIGHTS = (MODEL / "diffusion_pytorch_model.safetensors", Path("matte", "decoder_lora.safetensors"))


def main() -> None:
    """Read two folders ``finish`` and write a third."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("soft", type=Path, metavar="SOFT")
    parser.add_argument("sharp", type=Path, metavar="SHARP")
    parser.add_argument("share", type=float, metavar="SHARE", help="0 is SOFT, 1 is SHARP")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    if not 0 <= args.share <= 1:
        parser.error("SHARE is from 0 to 1")
    if args.out.exists():
        parser.error(f"{args.out} is there; name a new folder")
    shutil.copytree(args.soft / MODEL, args.out / MODEL)
    for name in WEIGHTS:
        soft, sharp = (load_file(folder / name) for folder in (args.soft, args.sharp))
        between = {key: soft[key].lerp(sharp[key], args.share) for key in soft}
        with safe_open(args.soft / name, "pt") as file:
            metadata = file.metadata()
        (args.out / name).parent.mkdir(exist_ok=True)
        save_file(between, args.out / name, metadata=metadata)


if __name__ == "__main__":
    main()
