"""What attention adds to a score for the positions of query and key, in three designs, to play with.

T5 (Raffel et al., 2019, section 2.1) adds one number per head and bucket of distances, relative_key (Shaw et al., 2018)
a product of the query with a vector for the distance, and a table of absolute positions (BERT) contributes products of
the vectors of two positions. Only the last changes when the whole sentence is shifted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets

from plm_lessons.checks import is_real
from plm_lessons.widgets.base import Checked, LessonWidget, OneOf, Whole, WidgetValueError
from plm_lessons.widgets.picture import Drawing, figure, table, written

WORDS = ["the", "small", "cat", "sat", "on", "the", "old", "mat", "and", "slept", "all", "day"]
MODES = ("t5", "relative_key", "absolute")
DIRECTIONS = ("bidirectional", "one-sided")
HEADS = 3  # illustrative ones, for T5
MOST_SHIFT = 20
# The trait that holds a design's trained scores.
TRAINED = {"t5": "values", "relative_key": "relative_key_scores", "absolute": "absolute_scores"}
MOST_HEADS = 128
MOST_BUCKETS = 32
LARGEST = 1e6  # the largest score: numbers further from 0 have no room beside an axis
SCORES = "finite numbers from -1e6 to 1e6"
TEXT: dict[str, Any] = {
    "title": "Attention and position: three ways to score a pair",
    "rows": {
        "query": "Query, at position t",
        "key": "Key, at position s",
        "distance": "Distance, s \u2212 t",
        "bucket": "Bucket",
        "value": "Score",
    },
    "outside": ", outside the sentence",
    "none": "none: the design has no buckets",
    "masked": "hidden: in a decoder no query sees a later key",
    "lines": "score by distance, one line per query",
    "staircase": "bucket by distance",
    "illustrative": "The scores are illustrative numbers, not trained ones.",
    "live": "This picture shows the first state. With JavaScript, there is also a map, and all can be moved.",
}


def bucket(distance: int, bidirectional: bool = True, num_buckets: int = 32, max_distance: int = 128) -> int:
    """T5's bucket for a distance, as in `plm_lessons.layers.positions.relative_position_bucket` but without torch.

    Args:
        distance: position of the key minus that of the query.
        bidirectional, num_buckets, max_distance: as there.

    Returns:
        The bucket, from 0 to `num_buckets` - 1.
    """
    per_direction = num_buckets // 2 if bidirectional else num_buckets
    exact = per_direction // 2
    far = abs(distance) if bidirectional else max(0, -distance)
    found = far
    if far >= exact:
        # In float32, as in T5's code: at the border of two buckets, rounding decides. The logarithm is rounded once.
        share = np.float32(math.log(np.float32(far / exact))) / np.float32(math.log(max_distance / exact))
        found = min(per_direction - 1, exact + int(share * np.float32(per_direction - exact)))
    return found + (per_direction if bidirectional and distance > 0 else 0)


def illustrative(head: int, num_buckets: int, bidirectional: bool) -> list[float]:
    """Numbers for buckets without any: heads 0, 1, 2 prefer near keys, the previous word, far keys; and so on."""
    per_direction = num_buckets // 2 if bidirectional else num_buckets
    slopes = [1.5 - 3 * (b % per_direction) / (per_direction - 1) for b in range(num_buckets)]
    if head % HEADS == 1:
        return [2.0 if b == 1 else -0.5 for b in range(num_buckets)]
    return slopes if head % HEADS == 0 else [-slope for slope in slopes]


def _vector(entry: Callable[[int], float]) -> list[float]:
    return [entry(d) for d in (1, 2, 3, 4)]


def position_vector(i: int) -> list[float]:
    """An illustrative vector for a position."""
    return _vector(lambda d: math.sin(1.3 * d + 0.11 * d * i * i))


def query_vector(word: str) -> list[float]:
    """An illustrative vector for a word of `WORDS` as query."""
    return _vector(lambda d: math.cos(2.4 * d * (WORDS.index(word) + 1)))


def distance_vector(r: int) -> list[float]:
    """An illustrative vector for a distance, here the position of the query minus that of the key."""
    return _vector(lambda d: math.cos(0.45 * d * r + d))


class HeadTables(Checked):
    """A list of heads, each a list of `rows` lists of `columns` scores. Kept as tuples."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__(f"a list of at most {MOST_HEADS} heads, each {rows} lists of {columns} {SCORES}")
        self.rows, self.columns = rows, columns

    def validate(self, obj: Any, value: Any) -> tuple[Any, ...]:
        if not _is_list(value) or len(value) > MOST_HEADS:
            raise self.refuse(obj, value)
        if not all(_is_list(table) and len(table) == self.rows for table in value):
            raise self.refuse(obj, value)
        if not all(_is_row(row) and len(row) == self.columns for table in value for row in table):
            raise self.refuse(obj, value)
        return tuple(tuple(map(_as_floats, table)) for table in value)


class BucketValues(Checked):
    """A list of heads, each a list of one number per bucket. Kept as tuples."""

    def __init__(self) -> None:
        heads = f"a list of at most {MOST_HEADS} heads"
        super().__init__(f"{heads}, each a list of the same even number, 4 to {MOST_BUCKETS}, of {SCORES}")

    def validate(self, obj: Any, value: Any) -> tuple[tuple[float, ...], ...]:
        if not _is_list(value) or len(value) > MOST_HEADS:
            raise self.refuse(obj, value)
        if not all(_is_row(row) and len(row) == len(value[0]) for row in value):
            raise self.refuse(obj, value)
        if value and not (4 <= len(value[0]) <= MOST_BUCKETS and len(value[0]) % 2 == 0):
            raise self.refuse(obj, value)
        return tuple(map(_as_floats, value))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_row(value: Any) -> bool:
    return _is_list(value) and all(is_real(number) and -LARGEST <= number <= LARGEST for number in value)


def _as_floats(row: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(number) + 0.0 for number in row)


class RelativeBiasWidget(LessonWidget):
    """Scores of every pair of words in a sentence by position alone, as a map and by distance.

    Args:
        mode: "t5", "relative_key" or "absolute".
        num_buckets: for T5, an even number from 4 to 32.
        max_distance: for T5, from 17 to 256.
        direction: "bidirectional" (encoder) or "one-sided" (decoder).
        shift: the position of the first word, from 0 to 20.
        query: which word of the sentence is the query, from 0 to 11.
        distance: position of the key minus that of the query, from -300 to 300.
        head: the head whose scores are shown.
        values: the scores of T5's buckets, one list per head. Without them, or if their number differs from
            `num_buckets`, illustrative ones are shown, and the widget says so.
        relative_key_scores: for each head 12 lists, one for each word of `WORDS` as query, of its products with the
            vectors of 23 distances, from a key 11 positions before the query to one 11 positions after it.
        absolute_scores: for each head 32 x 32 products of the vectors of two positions, one list per query position.
            Without either of these two, too, illustrative numbers are shown in its mode, and the widget says so.

    Raises:
        ValueError: for any other value; also when a trait is set later.
    """

    name = "relative_bias"
    fields = (
        *("mode", "num_buckets", "max_distance", "direction", "shift", "query", "distance", "head"),
        *TRAINED.values(),
    )

    mode = OneOf(MODES)
    num_buckets = Whole(MOST_BUCKETS, least=4, even=True)
    max_distance = Whole(256, least=17)
    direction = OneOf(DIRECTIONS)
    shift = Whole(MOST_SHIFT)
    query = Whole(len(WORDS) - 1)
    distance = Whole(300, least=-300)
    head = Whole(MOST_HEADS - 1)
    values = BucketValues()
    relative_key_scores = HeadTables(len(WORDS), 2 * len(WORDS) - 1)
    absolute_scores = HeadTables(len(WORDS) + MOST_SHIFT, len(WORDS) + MOST_SHIFT)

    def __init__(
        self,
        mode: str = "t5",
        num_buckets: int = 32,
        max_distance: int = 128,
        direction: str = "bidirectional",
        shift: int = 0,
        query: int = 5,
        distance: int = -3,
        head: int = 0,
        values: Sequence[Sequence[float]] = (),
        relative_key_scores: Sequence[Sequence[Sequence[float]]] = (),
        absolute_scores: Sequence[Sequence[Sequence[float]]] = (),
    ) -> None:
        super().__init__(
            mode=mode,
            num_buckets=num_buckets,
            max_distance=max_distance,
            direction=direction,
            shift=shift,
            query=query,
            distance=distance,
            head=head,
            values=values,
            relative_key_scores=relative_key_scores,
            absolute_scores=absolute_scores,
        )

    @traitlets.validate("mode", "head", *TRAINED.values())
    def _head_has_scores(self, proposal: Any) -> Any:
        state = {field: getattr(self, field) for field in ("mode", "head", *TRAINED.values())}
        state[proposal.trait.name] = proposal.value
        heads = len(state[TRAINED[state["mode"]]]) or (HEADS if state["mode"] == "t5" else 1)
        if state["head"] >= heads:
            rule = f"head must be a whole number below {heads}"
            raise WidgetValueError(f"{type(self).__name__}.{rule} in mode {state['mode']!r}, got {state['head']}")
        return proposal.value

    def trained(self) -> Any:
        """The chosen head's scores as given: one per bucket, or one row per query; None where none are given."""
        tables = getattr(self, TRAINED[self.mode])
        if not tables or (self.mode == "t5" and len(tables[0]) != self.num_buckets):
            return None
        return tables[self.head]

    def _bucket(self, distance: int) -> int:
        return bucket(distance, self.direction == "bidirectional", self.num_buckets, self.max_distance)

    def bias(self) -> Sequence[float]:
        """The number of each bucket for the chosen head: those given, or illustrative ones."""
        return self.trained() or illustrative(self.head, self.num_buckets, self.direction == "bidirectional")

    def score(self, i: int, j: int) -> float:
        """What the design adds to the score of query i and key j of the sentence."""
        if self.mode == "t5":
            return self.bias()[self._bucket(j - i)]
        if (given := self.trained()) is not None:
            if self.mode == "relative_key":
                return given[i][j - i + len(WORDS) - 1]
            return given[self.shift + i][self.shift + j]
        if self.mode == "relative_key":
            pair = query_vector(WORDS[i]), distance_vector(i - j)
        else:
            pair = position_vector(self.shift + i), position_vector(self.shift + j)
        return sum(a * b for a, b in zip(*pair, strict=True)) / 2

    def summary(self, field: str) -> str | None:
        return f"<{len(getattr(self, field))} heads>" if field in TRAINED.values() else None

    def picture(self) -> str:
        i, r, last = self.query, self.distance, len(WORDS) - 1
        j = i + r
        inside = 0 <= j <= last
        hidden = self.mode == "t5" and self.direction == "one-sided" and j > i
        value = self.bias()[self._bucket(r)] if self.mode == "t5" else self.score(i, j) if inside else None
        place = f"\u201c{WORDS[j]}\u201d at {self.shift + j}" if inside else f"{self.shift + j}{TEXT['outside']}"
        told = {
            "query": f"\u201c{WORDS[i]}\u201d at {self.shift + i}",
            "key": place.replace("-", "\u2212"),
            "distance": str(r).replace("-", "\u2212"),
            "bucket": str(self._bucket(r)) if self.mode == "t5" else TEXT["none"],
            "value": TEXT["masked"] if hidden else "\u2013" if value is None else written(value),
        }
        rows = [(TEXT["rows"][name], text) for name, text in told.items()]
        label = f"{TEXT['title']}: " + "; ".join(f"{name}: {text}" for name, text in rows)
        drawing = self._stairs() if self.mode == "t5" else self._lines()
        sentence = TEXT["live"] if self.trained() is not None else f"{TEXT['illustrative']} {TEXT['live']}"
        return figure(TEXT["title"], drawing.image(label), table(rows), sentence)

    def _stairs(self) -> Drawing:
        reach = min(300, math.ceil(1.15 * self.max_distance))
        drawing = Drawing((-reach, reach), (-1, self.num_buckets), TEXT["rows"]["distance"], TEXT["staircase"])
        steps = [(r, self._bucket(r)) for r in range(-reach, reach + 1)]
        edges = [(r + side, b) for r, b in steps for side in (-0.5, 0.5)]
        drawing.curve(edges, "curve c0")
        if abs(self.distance) <= reach:
            drawing.mark(self.distance, self._bucket(self.distance), 0)
        return drawing

    def _lines(self) -> Drawing:
        last = len(WORDS) - 1
        scores = [[self.score(i, j) for j in range(last + 1)] for i in range(last + 1)]
        low, high = (pick(0.0, *(value for row in scores for value in row)) for pick in (min, max))
        room = 0.08 * (high - low) or 1.0  # all may be 0
        y = (low - room, high + room)
        drawing = Drawing((-last - 0.5, last + 0.5), y, TEXT["rows"]["distance"], TEXT["lines"])
        for i in sorted(range(last + 1), key=lambda i: i == self.query):  # the chosen query's line above the others
            points = [(j - i, value) for j, value in enumerate(scores[i])]
            drawing.curve(points, "curve c0" if i == self.query else "curve zero")
        if 0 <= self.query + self.distance <= last:
            drawing.mark(self.distance, scores[self.query][self.query + self.distance], 0)
        return drawing
