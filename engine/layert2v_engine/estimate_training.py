"""What a training step of a model takes on each of several GPUs, before it is started.

Weights, gradients, moments and averages are exact; activations are an estimate, and nothing here
was measured on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from layert2v_engine.estimate import BYTES, ModelShape, RunEstimate

FLOAT32, BFLOAT16 = 4, 2
# Kept for the gradients of a block, in bytes per token and number of its width: the residual stream
# and its normalized copies in float32, what enters and leaves matrix products in bfloat16.
KEPT_PER_WIDTH = 6 * FLOAT32 + 8 * BFLOAT16
KEPT_PER_HIDDEN = 2 * BFLOAT16  # of the feed-forward network, on both sides of its activation


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOptions:
    """How a model is trained.

    lora_rank: 0 trains all weights. gpus: that share batch and, where ``sharded``, the weights.
    clips: in a batch on each GPU.
    """

    lora_rank: int = 0
    gpus: int = 1
    sharded: bool = False
    gradient_checkpointing: bool = True
    clips: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingEstimate:
    """Bytes on each GPU by part, and arithmetic of a step on each GPU."""

    memory: dict[str, int]
    flops: float

    @property
    def peak(self) -> int:
        """The most bytes at one time."""
        return sum(self.memory.values())


def estimate_training(
    shape: ModelShape, sample: RunEstimate, options: TrainingOptions
) -> TrainingEstimate:
    """Return what a step takes for clips whose one pass is ``sample`` (one step, unguided)."""
    settings, width = shape.transformer, shape.width
    layers, hidden = int(settings.get("num_layers", 40)), int(settings.get("ffn_dim", 13824))
    weights = shape.weights["transformer"] // BYTES[shape.dtype]
    block = 8 * width**2 + 2 * width * hidden  # numbers in the matrices of one
    rows = 4 * 4 * width + 2 * (width + hidden)  # of the updates of its matrices, by rank
    trained = layers * rows * options.lora_rank if options.lora_rank else weights
    parts = options.gpus if options.sharded else 1
    tokens = options.clips * sample.tokens
    kept = tokens * (KEPT_PER_WIDTH * width + KEPT_PER_HIDDEN * hidden)
    residual = tokens * FLOAT32 * width
    checkpointed = layers * residual + kept
    memory = {
        "frozen weights": BFLOAT16 * weights // parts if options.lora_rank else 0,
        "trained weights": FLOAT32 * trained // parts,
        "gradients": FLOAT32 * trained // parts,
        "moments": 2 * FLOAT32 * trained // parts,
        "averages": FLOAT32 * trained // parts,
        "weights in use": _weights_in_use(weights, block, options),
        "activations": checkpointed if options.gradient_checkpointing else layers * kept,
    }
    passes = 4 if options.gradient_checkpointing else 3  # forward, twice that back, forward again
    return TrainingEstimate(memory=memory, flops=passes * options.clips * sample.flops)


def _weights_in_use(weights: int, block: int, options: TrainingOptions) -> int:
    """Return the bytes of bfloat16 copies that matrix products use, or of gathered blocks."""
    if options.sharded:
        return 2 * block * (BFLOAT16 if options.lora_rank else FLOAT32 + BFLOAT16)
    return 0 if options.lora_rank else BFLOAT16 * weights
