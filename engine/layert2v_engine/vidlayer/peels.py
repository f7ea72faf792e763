"""A sample of several foregrounds as peels: each with one of them, the nearest first taken off.

What is below a foreground is its background, with the foregrounds that lie there. So each peel is a
sample of its own, and is measured and judged as one.
"""

from __future__ import annotations

from dataclasses import replace

from layert2v_engine.vidlayer.readers.sample import LayeredSample


def peels(sample: LayeredSample) -> list[LayeredSample]:
    """Return one sample per foreground, from the bottom; of a single foreground the sample itself.

    Foregrounds below the topmost have to have ``over``.
    """
    background, found = sample.background, []
    top = len(sample.foregrounds) - 1
    for number, layer in enumerate(sample.foregrounds):
        full = sample.full if number == top else layer.over
        assert full is not None  # noqa: S101 - a cut of several foregrounds has written it
        files = replace(sample.files, foregrounds=(sample.files.foregrounds[number],))
        found.append(
            replace(sample, files=files, full=full, background=background, foregrounds=(layer,))
        )
        background = full
    return found
