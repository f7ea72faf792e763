"""How often sentences that people might write are understood, on a fixed list.

``interpretation`` is a pattern; each of ``warnings`` must occur in the plan's warnings, and with
none of them there must be no warning. What cannot be known (a hippo, a queen) is in the list too,
so the share stays below one; it may rise, never fall.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

from layert2v.spec import GenerateSpec
from layert2v_engine.model.text import MiniLMTextEncoder
from layert2v_engine.prompting.planner import PromptPlan, PromptPlanner
from layert2v_engine.world.text import vocabulary as world

GOLDEN = Path(__file__).parents[3] / "golden" / "prompts.json"
SHARE = 60 / 68  # one below what was measured: a vector's last bits differ between processors
WORDS = {
    "subject": list(world.V0.subjects),
    "action": [w.name for w in world.ACTIONS],
    "place": list(world.V0.places),
    "time": list(world.V0.times),
    "colour": list(world.V0.colors),
}


def is_right(plan: PromptPlan, interpretation: str, warned: list[str]) -> bool:
    warnings = " ".join(plan.warnings).lower()
    is_honest = all(word in warnings for word in warned) if warned else not warnings
    return is_honest and fnmatchcase(plan.interpretation, interpretation)


def test_most_sentences_are_understood_and_the_rest_is_warned_of() -> None:
    planner = PromptPlanner(WORDS, MiniLMTextEncoder().sentence_embeddings)
    rows = json.loads(GOLDEN.read_text())
    wrong = [
        row["prompt"]
        for row in rows
        if not is_right(
            planner.plan(GenerateSpec(prompt=row["prompt"], nearest=True)),
            row["interpretation"],
            row["warnings"],
        )
    ]
    assert 1 - len(wrong) / len(rows) >= SHARE, "\n".join(wrong)
