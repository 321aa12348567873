"""A game with sentence pairs: does B follow A (NSP), or are A and B in order (SOP)? Answer and rivals follow.

BERT asks the first question of its pairs (Devlin et al., 2018, section 3.1), ALBERT the second (Lan et al., 2019,
section 3.1). The reader plays against trained models and against a rule that only counts the content words that A and B
share. The rule does well at the first game, since a B from another text is about something else. It must fail at the
second: A and B share as many words in either order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets

from plm_lessons.checks import is_real, is_whole, told
from plm_lessons.widgets.base import Checked, LessonWidget, OneOf, Whole, WidgetValueError
from plm_lessons.widgets.picture import Drawing, figure, table
from plm_lessons.widgets.sentence_pairs_maths import (
    READER,
    RULE,
    TASKS,
    Pair,
    model_names,
    playing_order,
    scores,
    shared_words,
)

MOST_PAIRS, MOST_MODELS = 200, 6
MOST_CHARACTERS = {"first": 1000, "second": 1000, "name": 30, "title": 200}
TEXT: dict[str, Any] = {
    "title": "Sentence pairs: a game",
    "asks": {
        "nsp": "Does B follow A in its text, or is it from another text?",
        "sop": "A and B are neighbours in one text. Are they in order, or were they swapped?",
    },
    "truths": {
        "nsp": ("B follows A.", "B is from another text."),
        "sop": ("They are in order.", "They were swapped."),
    },
    "says": {"nsp": ("next", "random"), "sop": ("in order", "swapped")},
    "short": {"nsp": "NSP", "sop": "SOP"},
    "shared": "content words in both",
    "pairs": "number of pairs",
    "right": "Right on all pairs, {}",
    "none": "none",
    "live": "This picture shows the first pair and how the rivals do on all pairs. With JavaScript, you can play.",
}
FIELDS = ("task", "first", "second", "label", "sources")
# From State of the Union addresses, which are in the public domain.
EXAMPLE: tuple[Pair, ...] = tuple(
    dict(zip(FIELDS, row, strict=True))
    for row in (
        (
            "nsp",
            "Next, we can put Americans to work today building the infrastructure of tomorrow.",
            "At stake is the reduced rate of inflation that all Americans demand and deserve.",
            1,
            ("Barack Obama, 2010", "Jimmy Carter, 1979"),
        ),
        (
            "nsp",
            "The Soviet Union has in the past year increased its long-range missile capabilities.",
            "It has begun to place near Moscow a limited antimissile defense.",
            0,
            ("Lyndon B. Johnson, 1967",) * 2,
        ),
        (
            "nsp",
            "There would be no export duties on her shipments nor import duties on those coming here.",
            "There would be no import duties upon the supplies, machinery, etc., going from the States.",
            0,
            ("Ulysses S. Grant, 1876",) * 2,
        ),
        (
            "nsp",
            "Career Education is not a single specific program.",
            "As no general election for Members of Congress occurred, the omission was a matter of little "
            "practical importance.",
            1,
            ("Richard Nixon, 1972", "Rutherford B. Hayes, 1879"),
        ),
        (
            "sop",
            "Autocracies have grown weaker, not stronger.",
            "But in the past 2 years, democracies have become stronger, not weaker.",
            1,
            ("Joseph R. Biden Jr., 2023",) * 2,
        ),
        (
            "sop",
            "Unfortunately, it will increase the size of the budget deficit.",
            "Therefore, it is more important than ever that we take steps to control the growth of "
            "Federal expenditures.",
            0,
            ("Gerald R. Ford, 1975",) * 2,
        ),
        (
            "sop",
            "We still mean always to make a common cause of national independence and of political liberty in America.",
            "But that purpose is now better understood so far as it concerns ourselves.",
            0,
            ("Woodrow Wilson, 1915",) * 2,
        ),
        (
            "sop",
            "Then we were divided and suspicious, but now we are renewing our sense of common purpose.",
            "Then we were a shaken and uncertain people, but now we are recovering our confidence.",
            1,
            ("Richard Nixon, 1972",) * 2,
        ),
    )
)


def _is_text(value: Any, kind: str) -> bool:
    return isinstance(value, str) and value.strip() != "" and len(value) <= MOST_CHARACTERS[kind]


def _is_label(value: Any) -> bool:
    return is_whole(value) and value in (0, 1)


class _Pairs(Checked):
    """Pairs as dictionaries, each checked field by field."""

    def validate(self, obj: Any, value: Any) -> tuple[dict[str, Any], ...]:
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= MOST_PAIRS:
            raise self.refuse(obj, value)
        pairs = tuple(self._pair(f"{type(obj).__name__}.{self.name}[{i}]", pair) for i, pair in enumerate(value))
        names = model_names(pairs)
        if len(names) > MOST_MODELS:
            raise WidgetValueError(
                f"{type(obj).__name__}.{self.name} must hold probabilities of at most {MOST_MODELS} names, got {names}"
            )
        return pairs

    @staticmethod
    def _pair(where: str, pair: Any) -> dict[str, Any]:
        if not isinstance(pair, Mapping) or not set(FIELDS[:4]) <= set(pair) <= {*FIELDS, "probabilities"}:
            raise WidgetValueError(
                f"{where} must be a dictionary with {', '.join(map(repr, FIELDS[:4]))}, and perhaps 'probabilities' "
                f"and 'sources', got {told(pair, 300)}"
            )

        def need(right: bool, part: str, value: Any, allowed: str) -> None:
            if not right:
                raise WidgetValueError(f"{where}{part} must be {allowed}, got {told(value, 300)}")

        def need_text(part: str, value: Any, kind: str, allowed: str, right: bool = True) -> None:
            need(_is_text(value, kind) and right, part, value, allowed)
            Checked.need_whole_characters(f"{where}{part}", value)

        need(pair["task"] in TASKS, "['task']", pair["task"], f"one of {TASKS}")
        for part in ("first", "second"):
            allowed = f"a text of 1 to {MOST_CHARACTERS[part]} characters, not all white space"
            need_text(f"[{part!r}]", pair[part], part, allowed)
        need(_is_label(pair["label"]), "['label']", pair["label"], "0 (is next, in order) or 1")
        sources = pair.get("sources", ())
        are_titles = isinstance(sources, (list, tuple)) and len(sources) in (0, 2)
        need(
            are_titles and all(_is_text(title, "title") for title in sources),
            "['sources']",
            sources,
            f"the titles that A and B are from, two texts of 1 to {MOST_CHARACTERS['title']} characters, or empty",
        )
        probabilities = pair.get("probabilities", {})
        need(isinstance(probabilities, Mapping), "['probabilities']", probabilities, "a dictionary")
        for place, title in enumerate(sources):
            Checked.need_whole_characters(f"{where}['sources'][{place}]", title)
        for name, probability in probabilities.items():
            allowed = f"named by 1 to {MOST_CHARACTERS['name']} characters other than {READER!r} and {RULE!r}"
            need_text("['probabilities']", name, "name", allowed, right=name not in (READER, RULE))
            in_range = is_real(probability) and 0 <= probability <= 1
            need(in_range, f"['probabilities'][{name!r}]", probability, "a number from 0 to 1")
        return {
            **{field: pair[field] for field in FIELDS[:3]},
            "label": int(pair["label"]),
            "sources": tuple(sources),
            "probabilities": {name: float(probability) + 0.0 for name, probability in probabilities.items()},
        }


class _Guesses(Checked):
    """The labels that the reader guessed."""

    def validate(self, obj: Any, value: Any) -> tuple[int | None, ...]:
        if not isinstance(value, (list, tuple)) or not all(guess is None or _is_label(guess) for guess in value):
            raise self.refuse(obj, value)
        return tuple(None if guess is None else int(guess) for guess in value)


class SentencePairs(LessonWidget):
    """A game: guess the label of a pair, then see the answer, the shared words and what trained models say.

    Args:
        pairs: 1 to 200 dictionaries:

            - `task`: `"nsp"` or `"sop"`.
            - `first`, `second`: the texts A and B.
            - `label`: 0 if B follows A, or they are in order; 1 if B is from another text, or they were swapped.
            - `probabilities` (optional): those of label 0, by the name of the model; up to 6 names in all.
            - `sources` (optional): the titles of the texts that A and B are from.
        seed: the seed of the order in which a task's pairs come, from 0 to 2**32 - 1. A new game takes the next one.
        task: the game that is played; there must be pairs for it.
        guesses: the reader's labels, one for each of `pairs` in the same order, None where there is none; or empty.

    Raises:
        ValueError: for any other value; also when a trait is set later. To set other pairs, set `guesses = ()` first.
    """

    name = "sentence_pairs"
    fields = ("pairs", "seed", "task", "guesses")

    pairs = _Pairs(f"a list of 1 to {MOST_PAIRS} pairs")
    seed = Whole(2**32 - 1)
    task = OneOf(TASKS)
    guesses = _Guesses("empty, or a list of 0, 1 or None for each of the pairs")

    def __init__(
        self, pairs: Sequence[Pair] = EXAMPLE, seed: int = 0, task: str = "nsp", guesses: Sequence[int | None] = ()
    ) -> None:
        super().__init__(pairs=pairs, seed=seed, task=task, guesses=guesses)

    @traitlets.validate("pairs", "task", "guesses")
    def _fit_each_other(self, proposal: Any) -> Any:
        new = {name: getattr(self, name) for name in ("pairs", "task", "guesses")}
        new[proposal.trait.name] = proposal.value
        tasks = sorted({pair["task"] for pair in new["pairs"]})
        if new["task"] not in tasks:
            raise WidgetValueError(
                f"{type(self).__name__}.task must be the task of some pair, {' or '.join(tasks)}, got {new['task']!r}"
            )
        if len(new["guesses"]) not in (0, len(new["pairs"])):
            raise WidgetValueError(
                f"{type(self).__name__}.guesses must be empty or have an entry for each of {len(new['pairs'])} pairs, "
                f"got {len(new['guesses'])}"
            )
        return proposal.value

    @property
    def score(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Over the pairs guessed so far: task -> name -> (right, asked). The reader's name is `"you"`."""
        guessed = [(pair, guess) for pair, guess in zip(self.pairs, self.guesses, strict=False) if guess is not None]
        return {task: scores(guessed, task) for task in TASKS}

    def summary(self, field: str) -> str | None:
        guessed = sum(guess is not None for guess in self.guesses)
        return {"pairs": f"<{len(self.pairs)} pairs>", "guesses": f"<{guessed} guesses>"}.get(field)

    def picture(self) -> str:
        tasks = [task for task in TASKS if any(pair["task"] == task for pair in self.pairs)]
        pair = self.pairs[playing_order(self.pairs, self.task, self.seed)[0]]
        rows = [
            ("A", pair["first"]),
            ("B", pair["second"]),
            (TEXT["asks"][self.task], TEXT["truths"][self.task][pair["label"]]),
            (TEXT["shared"], ", ".join(shared_words(pair["first"], pair["second"])) or TEXT["none"]),
        ]
        for task in tasks:
            found = scores([(pair, None) for pair in self.pairs], task)
            told = ", ".join(f"{name}: {right} of {asked}" for name, (right, asked) in found.items())
            rows.append((TEXT["right"].format(TEXT["short"][task]), told))
        label = f"{TEXT['title']}. " + ". ".join(f"{name}: {value}" for name, value in rows[-len(tasks) :])
        return figure(TEXT["title"], self._overlaps(tasks).image(label), table(rows), TEXT["live"])

    def _overlaps(self, tasks: Sequence[str]) -> Drawing:
        """A drawing of how many pairs of each task and label share how many words."""
        kinds = {(task, label): 2 * TASKS.index(task) + label for task in tasks for label in (0, 1)}
        counts = Counter((p["task"], p["label"], len(shared_words(p["first"], p["second"]))) for p in self.pairs)
        most = max(4, *(shared for _, _, shared in counts))  # from 4 on, the axes count in whole numbers
        tallest = max(4, *counts.values())
        key = [(kind, f"{TEXT['short'][task]}, {TEXT['says'][task][label]}") for (task, label), kind in kinds.items()]
        drawing = Drawing((-0.5, most + 0.5), (0, 1.08 * tallest), TEXT["shared"], TEXT["pairs"], key)
        for (task, label), kind in kinds.items():
            points = [(shared, counts[task, label, shared]) for shared in range(most + 1)]
            drawing.curve(points, f"curve c{kind}")
            for point in points:
                drawing.mark(*point, kind)
        return drawing
