"""Masks of a sentence, epoch after epoch: made once and repeated (static), or made anew each time (dynamic).

BERT masked its data ten times over before training; RoBERTa masks a text whenever it is read (arXiv 1907.11692, section
4.1). What is chosen is single tokens, whole words, or the spans of T5 (arXiv 1910.10683, section 3.1.4). The rules are
those of `plm_lessons.objectives`; the random numbers are not torch's, for the page has to draw the same ones.

S  sequence length
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import traitlets

from plm_lessons.widgets.base import Checked, LessonWidget, Number, OneOf, Whole, WidgetValueError
from plm_lessons.widgets.gelu import uniforms
from plm_lessons.widgets.picture import Drawing, figure, table

UNITS = ("tokens", "words", "spans")
MOST_TOKENS, MOST_CHARACTERS, MOST_EPOCHS = 128, 64, 400
FATES = ("mask", "random", "kept")
TEXT: dict[str, Any] = {
    "title": "Masking patterns",
    "position": "position of the token",
    "times": "times chosen so far",
    "key": ((0, "dynamic"), (1, "static")),
    "epoch": "Epoch {}, static: copy {} of {}",
    "dynamic": "Epoch {}, dynamic",
    "impossible": "At this masking rate and mean length there are more spans than tokens between them. "
    "No mask can be made.",
    "distinct": "Different sets of positions met",
    "fates": {"mask": "of these: mask token", "random": "random token", "kept": "left as they are"},
    "chosen": "Tokens chosen so far",
    "live": "This picture shows the first state. Where scripts may run, epochs go by and everything can be changed.",
}


# The shipped WordPiece vocabulary cuts the last word in four.
TOKENS = (
    "[CLS] the constitution was ratified by nine states before the government began its work in "
    "phil ##adel ##ph ##ia . [SEP]"
)
SENTENCE = tuple(zip(TOKENS.split(" "), (-1, *range(15), 14, 14, 14, 15, -1), strict=True))


class Mask(NamedTuple):
    """One mask: positions in rising order, the fate of each, and the place of the random token that each would get."""

    chosen: tuple[int, ...]
    fates: tuple[str, ...]
    replacements: tuple[int, ...]


class Seen(NamedTuple):
    """What some epochs have shown: how often each position and each fate came, how many sets of positions, the last."""

    counts: list[int]
    fates: dict[str, int]
    distinct: int
    now: Mask


def stream_key(seed: int, stream: int) -> int:
    """A 32-bit number from a seed and the number of a stream: the finaliser of MurmurHash3, applied twice."""

    def mix(h: int) -> int:
        h = (h ^ (h >> 16)) * 0x85EBCA6B & 0xFFFFFFFF
        h = (h ^ (h >> 13)) * 0xC2B2AE35 & 0xFFFFFFFF
        return h ^ (h >> 16)

    return mix(seed ^ mix(stream + 1))


def prediction_count(length: int, masking_rate: float) -> int:
    """How many tokens BERT's code chooses among `length`, special ones counted (halves go to the even neighbour)."""
    return max(1, round(length * masking_rate))


def span_counts(length: int, masking_rate: float, mean_span_length: float) -> tuple[int, int] | None:
    """Tokens of noise and spans in a text of `length` tokens, as T5 counts them; None where no such mask exists."""
    if length < 2:
        return None
    noise = min(max(round(length * masking_rate), 1), length - 1)
    spans = max(round(noise / mean_span_length), 1)
    return None if spans > length - noise else (noise, spans)


def word_bounds(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First position of each word and the one after its last: neighbours with the same number. -1 is in no word."""
    words, stop = [], 0
    for number, tokens in groupby(numbers):
        start, stop = stop, stop + len(list(tokens))
        if number >= 0:
            words.append((start, stop))
    return words


def _partition(total: int, parts: int, scores: Sequence[float]) -> list[int]:
    cuts = sorted(cut + 1 for cut in sorted(range(total - 1), key=lambda i: scores[i])[: parts - 1])
    return [stop - start for start, stop in zip([0, *cuts], [*cuts, total], strict=True)]


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MOST_CHARACTERS


class _Sentence(Checked):
    """Pairs of a token and a word number."""

    def validate(self, obj: Any, value: Any) -> tuple[tuple[str, int], ...]:
        if not isinstance(value, (list, tuple)) or not 2 <= len(value) <= MOST_TOKENS:
            raise self.refuse(obj, value)
        for pair in value:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not _is_token(pair[0]):
                raise self.refuse(obj, pair)
            word = pair[1]
            if isinstance(word, bool) or not isinstance(word, numbers.Integral) or not -1 <= int(word) < MOST_TOKENS:
                raise self.refuse(obj, pair)
        if all(word < 0 for _, word in value):
            raise self.refuse(obj, value)
        return tuple((token, int(word)) for token, word in value)


class _Token(Checked):
    """One short text."""

    def validate(self, obj: Any, value: Any) -> str:
        if not _is_token(value):
            raise self.refuse(obj, value)
        return str(value)


class _Tokens(Checked):
    """Some short texts."""

    def validate(self, obj: Any, value: Any) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 256 or not all(map(_is_token, value)):
            raise self.refuse(obj, value)
        return tuple(value)


class MaskingPatternsWidget(LessonWidget):
    """One sentence under static and under dynamic masks, with what both have hidden so far against the expectation.

    Args:
        sentence: from 2 to 128 pairs of a token and the number of its word; -1 where no token may be chosen, as on
            [CLS] and [SEP] (what `number_words` gives). Tokens of a word are neighbours with the same number.
        mask_token: what is written in the place of a hidden token.
        random_tokens: what random tokens are drawn from; in the page it must be a short list, not a vocabulary.
        unit: what is chosen: "tokens", "words" (whole ones) or "spans" (of T5, which ignores word numbers).
        masking_rate: share of the tokens to choose, from 0 to 0.5; one token at least is chosen.
        mask_share: share of the chosen tokens that become the mask token, from 0 to 1.
        random_share: share of them that become a random token; with `mask_share` at most 1. The rest stays as it is.
        mean_span_length: tokens of a span on average, from 1 to 10; only for spans.
        copies: how many masks are made beforehand for static masking, from 1 to 40.
        seed: of the masks, from 0 to 2**32 - 1.
        epochs: how many epochs were read so far, from 1 to 400; the last one is shown.

    Raises:
        ValueError: for any other value; also when a trait is set later.
    """

    name = "masking_patterns"
    fields = (
        *("sentence", "mask_token", "random_tokens", "unit", "masking_rate", "mask_share", "random_share"),
        *("mean_span_length", "copies", "seed", "epochs"),
    )

    sentence = _Sentence(
        (("no", 0), ("text", 1)),
        f"a list of 2 to {MOST_TOKENS} pairs of a token and its word number (-1: may not be chosen), one at least >= 0",
    )
    mask_token = _Token("[MASK]", f"a text of 1 to {MOST_CHARACTERS} characters")
    random_tokens = _Tokens(("other",), f"a list of 1 to 256 texts of 1 to {MOST_CHARACTERS} characters")
    unit = OneOf(UNITS, default="tokens")
    masking_rate = Number(0, 0.5, default=0.15)
    mask_share = Number(0, 1, default=0.8)
    random_share = Number(0, 1, default=0.1)
    mean_span_length = Number(1, 10, default=3.0)
    copies = Whole(40, default=10, least=1)
    seed = Whole(2**32 - 1)
    epochs = Whole(MOST_EPOCHS, default=12, least=1)

    def __init__(
        self,
        sentence: Sequence[tuple[str, int]] = SENTENCE,
        mask_token: str = "[MASK]",
        random_tokens: Sequence[str] = ("people", "##ing", "year", "of", "state", "##s", "great", "war"),
        unit: str = "tokens",
        masking_rate: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        mean_span_length: float = 3.0,
        copies: int = 10,
        seed: int = 0,
        epochs: int = 12,
    ) -> None:
        super().__init__(
            sentence=sentence,
            mask_token=mask_token,
            random_tokens=random_tokens,
            unit=unit,
            masking_rate=masking_rate,
            mask_share=mask_share,
            random_share=random_share,
            mean_span_length=mean_span_length,
            copies=copies,
            seed=seed,
            epochs=epochs,
        )

    @traitlets.validate("mask_share", "random_share")
    def _not_above_one(self, proposal: Any) -> float:
        other = "random_share" if proposal.trait.name == "mask_share" else "mask_share"
        share, rest = proposal.value, getattr(self, other)
        if share + rest > 1 + 1e-9:
            raise WidgetValueError(
                f"{type(self).__name__}.{proposal.trait.name} must be at most 1 with {other} = {rest:g}, got {share!r}"
            )
        return float(share)

    @property
    def numbers(self) -> tuple[int, ...]:
        """[S] the word numbers of the tokens."""
        return tuple(number for _, number in self.sentence)

    def choose(self, scores: Sequence[float]) -> tuple[int, ...] | None:
        """The positions that a mask chooses by random scores, in rising order; None if the spans of T5 have no room."""
        candidates = [i for i, number in enumerate(self.numbers) if number >= 0]
        if self.unit == "spans":
            counts = span_counts(len(candidates), self.masking_rate, self.mean_span_length)
            if counts is None:
                return None
            noise, spans = counts
            hidden = _partition(noise, spans, scores)
            stretches = zip(_partition(len(candidates) - noise, spans, scores[noise:]), hidden, strict=True)
            ends = accumulate(length for pair in stretches for length in pair)
            return tuple(
                position
                for stop, length in zip(list(ends)[1::2], hidden, strict=True)
                for position in candidates[stop - length : stop]
            )
        count = prediction_count(len(self.sentence), self.masking_rate)
        if self.unit == "tokens":
            return tuple(sorted(sorted(candidates, key=lambda i: scores[i])[:count]))
        chosen: list[int] = []
        for start, stop in sorted(word_bounds(self.numbers), key=lambda bounds: scores[bounds[0]]):
            if len(chosen) + stop - start <= count:
                chosen += range(start, stop)
        return tuple(sorted(chosen))

    def mask(self, stream: int) -> Mask | None:
        """The mask of one stream of random numbers; None if there is none."""
        length = len(self.sentence)
        drawn = uniforms(stream_key(self.seed, stream), 3 * length)
        chosen = self.choose(drawn)
        if chosen is None:
            return None
        cuts = (self.mask_share, self.mask_share + self.random_share)
        fates = tuple(FATES[sum(drawn[length + i] >= cut for cut in cuts)] for i in chosen)
        return Mask(chosen, fates, tuple(int(drawn[2 * length + i] * len(self.random_tokens)) for i in chosen))

    def seen(self, kind: str) -> Seen | None:
        """What the epochs so far have shown under "static" or "dynamic" masks; None if there are no masks.

        Static epochs take turns among `copies` masks, of streams 1, 3, 5, ...; dynamic ones have streams 0, 2, 4, ...
        """
        epochs = range(self.epochs)
        streams = [2 * (epoch % self.copies) + 1 if kind == "static" else 2 * epoch for epoch in epochs]
        made = {stream: self.mask(stream) for stream in set(streams)}
        masks = [mask for stream in streams if (mask := made[stream]) is not None]
        if not masks:
            return None
        counts = [sum(position in mask.chosen for mask in masks) for position in range(len(self.sentence))]
        fates = {fate: sum(mask.fates.count(fate) for mask in masks) for fate in FATES}
        return Seen(counts, fates, len({mask.chosen for mask in masks}), masks[-1])

    def written(self, mask: Mask) -> str:
        """The sentence as the model reads it."""
        tokens = [token for token, _ in self.sentence]
        if self.unit == "spans":
            hidden, parts, sentinels = set(mask.chosen), [], 0
            for position, token in enumerate(tokens):
                if position not in hidden:
                    parts.append(token)
                elif position - 1 not in hidden:
                    parts.append(f"<extra_id_{sentinels}>")
                    sentinels += 1
            return " ".join(parts)
        for position, fate, replacement in zip(*mask, strict=True):
            if fate != "kept":
                tokens[position] = self.mask_token if fate == "mask" else self.random_tokens[replacement]
        return " ".join(tokens)

    def __repr__(self) -> str:
        shown = {field: f"<{len(v)} tokens>" if isinstance(v, tuple) else repr(v) for field, v in self.state().items()}
        return f"{type(self).__name__}({', '.join(f'{field}={value}' for field, value in shown.items())})"

    def picture(self) -> str:
        static, dynamic = self.seen("static"), self.seen("dynamic")
        if static is None or dynamic is None:
            return figure(TEXT["title"], "", table([(TEXT["title"], TEXT["impossible"])]), TEXT["live"])
        length, most = len(self.sentence), max(1, *static.counts, *dynamic.counts)
        drawing = Drawing((0, length), (0, 1.08 * most), TEXT["position"], TEXT["times"], TEXT["key"])
        for kind, seen in ((0, dynamic), (1, static)):
            steps = [(i + side, times) for i, times in enumerate(seen.counts) for side in (0, 1)]
            drawing.curve(steps, f"curve c{kind}")
        rows = [
            (
                TEXT["epoch"].format(self.epochs, (self.epochs - 1) % self.copies + 1, self.copies),
                self.written(static.now),
            ),
            (TEXT["dynamic"].format(self.epochs), self.written(dynamic.now)),
            (TEXT["distinct"], f"static {static.distinct}, dynamic {dynamic.distinct}"),
            (TEXT["chosen"], f"static {sum(static.counts)}, dynamic {sum(dynamic.counts)}"),
        ]
        if self.unit != "spans":
            rows += [
                (TEXT["fates"][fate], f"static {static.fates[fate]}, dynamic {dynamic.fates[fate]}") for fate in FATES
            ]
        label = f"{rows[2][0]}: {rows[2][1]}. " + "; ".join(f"{name}: {value}" for name, value in rows[3:])
        return figure(TEXT["title"], drawing.image(label), table(rows), TEXT["live"])
