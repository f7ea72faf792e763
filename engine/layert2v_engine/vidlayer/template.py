"""Captions by template, from what a detector and optical flow see of a cut subject.

They say no more than is known: a kind where a detector is sure of it, and a heading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from layert2v_engine.decompose.protocols import Detection

BY_TEMPLATE = "template"
SLOW = 0.004  # share of the height per frame; twice as much is a motion
HEADINGS = ("at rest", "moving to the right", "moving to the left", "moving down", "moving up")
_MIN_SCORE, _MIN_LOOKS = 0.4, 2


def captions_by_template(
    looks: Sequence[Sequence[Detection]], motion: tuple[float, float]
) -> dict[str, str]:
    """Return subject and captions.

    looks: what was detected at the subject's place, picture by picture. motion: of the subject
    seen from the background, to the right and down, in shares of the height per frame.
    """
    kinds = Counter(
        kind for seen in looks for kind in {each.label for each in seen if each.score >= _MIN_SCORE}
    )
    enough = min(_MIN_LOOKS, len(looks))
    kind = next((name for name, count in kinds.most_common(1) if count >= enough), "")
    caption = f"{f'a {kind}' if kind else 'a subject'} {heading(motion)}"
    return {
        "subject": kind,
        "full_caption": caption,
        "foreground_caption": caption,
        "background_caption": "the scene without the subject",
    }


def heading(motion: tuple[float, float]) -> str:
    """Return a motion in words, one of ``HEADINGS``."""
    x, y = motion
    rest, right, left, down, up = HEADINGS
    if max(abs(x), abs(y)) < 2 * SLOW:
        return rest
    if abs(x) >= abs(y):
        return right if x > 0 else left
    return down if y > 0 else up
