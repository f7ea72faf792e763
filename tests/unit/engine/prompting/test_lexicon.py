"""Words of the world, found in texts."""

from __future__ import annotations

from layert2v_engine.prompting.lexicon import Lexicon
from layert2v_engine.training.export import vocabulary
from layert2v_engine.world.text import vocabulary as world


def test_every_name_of_the_world_is_understood_as_itself() -> None:
    lexicon = Lexicon(vocabulary(world.V1))
    for kind, words in lexicon.words.items():
        for word in words:
            for name in (word.name, *word.synonyms):
                likely = (word.name,)  # a wheel is rolling along, and so is a car
                assert lexicon.extract(kind, f"the {name} there", likely)[0] == word, name
    for word in world.SUBJECTS:
        for name in (word.name, *word.synonyms):
            text = f"two {name}s on a farm in the rain"
            assert [mention.word for mention in lexicon.find_subjects(text)] == [word], name
            assert lexicon.extract("place", text)[0] == world.PLACES[-1], name
            assert lexicon.extract("time", text)[0] == world.TIMES[5], name
