"""The end of memory, whichever library meets it, as one error with the numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from layert2v_engine.devices import device_memory, free_memory
from layert2v_engine.errors import EngineError, OutOfMemory

GIB = 1 << 30

# What libraries say without a class of their own: torch's allocator of the CPU, C++, OpenCV,
# oneDNN, cuBLAS and cuDNN, and the system. Of a primitive oneDNN says only that it failed; what it
# cannot do at all it refuses before, as a "primitive descriptor".
_WORDS = re.compile(
    r"can(?:'t|not) allocate memory|not enough memory|out of memory|bad_alloc|insufficient memory"
    r"|failed to allocate|could not create a memory|ALLOC_FAILED"
    r"|could not (?:create|execute) a primitive(?! descriptor)",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, of whatever library, says that there is no memory left."""
    # That of torch on a CPU is a plain RuntimeError.
    is_known = isinstance(error, MemoryError | torch.OutOfMemoryError | OutOfMemory)
    return is_known or bool(_WORDS.search(str(error)))


@contextmanager
def raise_out_of_memory(device: str, need: Callable[[], int | None]) -> Iterator[None]:
    """Raise OutOfMemory for whatever a library raises in the block where memory has ended.

    need: returns the bytes of ``device`` that the request was estimated to take, None for unknown.
    """
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        total, free = (f(torch.device(device)) / GIB for f in (device_memory, free_memory))
        bytes_needed = need()
        needs = f" It takes about {bytes_needed / GIB:.1f} GiB." if bytes_needed else ""
        raise OutOfMemory(
            "There was not enough memory for this request: "
            f"{device} has {total:.1f} GiB, of which {free:.1f} were free at that moment.{needs}",
            "Ask for fewer frames, a smaller size or fewer foregrounds; `layert2v-engine plan "
            "--fit` computes what a device has room for.",
        ) from error
