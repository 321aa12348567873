"""Masks of a text, epoch after epoch: made once and repeated (static), or made anew each time (dynamic).

BERT masked its data ten times before training; RoBERTa masks a text each time it is read (arXiv 1907.11692, section
4.1). The units chosen are single tokens, whole words, the n-grams of ALBERT (arXiv 1909.11942, equation 1) or the spans
of T5 (arXiv 1910.10683, section 3.1.4). The rules are those of `plm_lessons.objectives`; the random numbers are not
torch's, since the page has to draw the same ones.

S  sequence length
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import traitlets

from plm_lessons.widgets.base import Checked, LessonWidget, Number, OneOf, Whole, WidgetValueError
from plm_lessons.widgets.gelu import uniforms
from plm_lessons.widgets.picture import Drawing, figure, table
from plm_lessons.widgets.tokenization import MASK_TOKENS, packed, shipped, tokenize

UNITS = ("tokens", "words", "ngrams", "spans")
MOST_TOKENS, MOST_CHARACTERS, MOST_EPOCHS = 128, 600, 400
FATES = ("mask", "random", "kept")
NGRAM_SHARES = (6 / 11, 3 / 11, 2 / 11)  # ALBERT draws n-grams of n words in proportion to 1/n
TEXT: dict[str, Any] = {
    "title": "Masking patterns",
    "position": "position of the token",
    "words": "words of the n-gram",
    "times": "times chosen so far",
    "key": ((0, "dynamic"), (1, "static")),
    "epoch": "Epoch {}, static: copy {} of {}",
    "dynamic": "Epoch {}, dynamic",
    "impossible": "No mask fits: there must be two tokens or more, and no more spans than tokens outside them.",
    "distinct": "Different sets of positions",
    "fates": {"mask": "of these: mask token", "random": "random token", "kept": "left as they are"},
    "chosen": "Tokens chosen so far",
    "sizes": ("n-grams of 1 word", "of 2 words", "of 3 words"),
    "live": "This picture shows the first state. With JavaScript, you can change the epoch and type a text.",
}
START = "The constitution was ratified by nine states before the government began its work in Philadelphia."


class Mask(NamedTuple):
    """One mask: its positions in ascending order, with the fate and the possible random token (an id) of each.

    `sizes` counts the words of each n-gram, in the order of choice; it is empty for other units.
    """

    chosen: tuple[int, ...]
    fates: tuple[str, ...]
    replacements: tuple[int, ...]
    sizes: tuple[int, ...]


class Seen(NamedTuple):
    """Counts over some epochs, of positions, fates, n-grams of 1 to 3 words and distinct sets, and the last mask."""

    counts: list[int]
    fates: dict[str, int]
    sizes: list[int]
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
    """How many of `length` tokens, special ones included, BERT's code chooses (halves go to the even neighbour)."""
    return max(1, round(length * masking_rate))


def span_counts(length: int, masking_rate: float, mean_span_length: float) -> tuple[int, int] | None:
    """The numbers of noise tokens and spans in a text of `length` tokens, as in T5; None if no such mask exists."""
    if length < 2:
        return None
    noise = min(max(round(length * masking_rate), 1), length - 1)
    spans = max(round(noise / mean_span_length), 1)
    return None if spans > length - noise else (noise, spans)


def word_bounds(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First position of each word, a run of equal numbers, and the position after its last; -1 is in no word."""
    words, stop = [], 0
    for number, tokens in groupby(numbers):
        start, stop = stop, stop + len(list(tokens))
        if number >= 0:
            words.append((start, stop))
    return words


def _partition(total: int, parts: int, scores: Sequence[float]) -> list[int]:
    cuts = sorted(cut + 1 for cut in sorted(range(total - 1), key=lambda i: scores[i])[: parts - 1])
    return [stop - start for start, stop in zip([0, *cuts], [*cuts, total], strict=True)]


class _Text(Checked):
    """A text for a tokenizer; whether its tokens suffice depends on the tokenizer."""

    def validate(self, obj: Any, value: Any) -> str:
        if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
            raise self.refuse(obj, value)
        self.need_whole_characters(f"{self.refuse(obj, value)}; {self.name}", value)
        return value


class MaskingPatternsWidget(LessonWidget):
    """One text under static and dynamic masks, and what each has hidden so far, compared with the expectation.

    Args:
        text: at most 600 characters that make 2 to 128 tokens, special ones included, of which at least one may be
            chosen. Special tokens may not, whether typed or put around the text.
        tokenizer: "wordpiece" (BERT), "byte_level_bpe" (RoBERTa), "unigram" (ALBERT) or "t5_unigram": which of the
            book's tokenizers splits the text. Random tokens are drawn from its pieces.
        unit: what is chosen: "tokens", "words" (whole ones), "ngrams" (up to three words, as in ALBERT) or "spans"
            (as in T5, regardless of words).
        masking_rate: share of the tokens to choose, from 0 to 0.5 (one at least); words that do not fit are left out.
        mask_share: share of the chosen tokens that become the mask token, from 0 to 1.
        random_share: share of them that become a random token; at most 1 with `mask_share`. The rest stay as they are.
        mean_span_length: average number of tokens in a span, from 1 to 10; only for spans.
        copies: how many masks are made beforehand for static masking, from 1 to 40.
        seed: the seed of the masks, from 0 to 2**32 - 1.
        epochs: how many epochs have been read so far, from 1 to 400; the last one is shown.

    Raises:
        ValueError: for any other value; also when a trait is set later.
    """

    name = "masking_patterns"
    fields = (
        *("text", "tokenizer", "unit", "masking_rate", "mask_share", "random_share", "mean_span_length"),
        *("copies", "seed", "epochs"),
    )
    parts = ("tokenization",)

    text = _Text(
        f"a text of at most {MOST_CHARACTERS} characters that makes 2 to {MOST_TOKENS} tokens, of which at least one "
        "may be chosen",
    )
    # The page gets the pieces themselves.
    tokenizer = OneOf(MASK_TOKENS).tag(to_json=lambda name, _: packed(name))
    unit = OneOf(UNITS)
    masking_rate = Number(0, 0.5)
    mask_share = Number(0, 1)
    random_share = Number(0, 1)
    mean_span_length = Number(1, 10)
    copies = Whole(40, least=1)
    seed = Whole(2**32 - 1)
    epochs = Whole(MOST_EPOCHS, least=1)

    def __init__(
        self,
        text: str = START,
        tokenizer: str = "wordpiece",
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
            text=text,
            tokenizer=tokenizer,
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

    @traitlets.validate("text", "tokenizer")
    def _text_has_tokens(self, proposal: Any) -> str:
        pair = {"text": self.text, "tokenizer": self.tokenizer, proposal.trait.name: proposal.value}
        sentence = tokenize(pair["tokenizer"], pair["text"])
        if not 2 <= len(sentence) <= MOST_TOKENS or all(word < 0 for _, word in sentence):
            raise type(self).text.refuse(self, pair["text"])
        return str(proposal.value)

    def computed(self) -> dict[str, Any]:
        """The text's tokens, so that a page need not make the tokenizer before its reader types."""
        return {"read": {"text": self.text, "sentence": self.sentence}}

    @property
    def sentence(self) -> list[tuple[str, int]]:
        """The tokens of the text, each with the number of its word; -1 for tokens that may not be chosen."""
        return tokenize(self.tokenizer, self.text)

    def choose(self, draws: Sequence[float]) -> list[tuple[tuple[int, ...], int]] | None:
        """What a mask chooses by [4 S] random numbers: runs of positions, each with its words (spans: tokens) counted.

        None if T5's spans have no room. The first S numbers rank the positions, the last S draw the n of n-grams.
        """
        numbers = [number for _, number in self.sentence]
        candidates = [i for i, number in enumerate(numbers) if number >= 0]
        if self.unit == "spans":
            counts = span_counts(len(candidates), self.masking_rate, self.mean_span_length)
            if counts is None:
                return None
            noise, spans = counts
            hidden = _partition(noise, spans, draws)
            stretches = zip(_partition(len(candidates) - noise, spans, draws[noise:]), hidden, strict=True)
            ends = list(accumulate(length for pair in stretches for length in pair))[1::2]
            return [(tuple(candidates[end - size : end]), size) for end, size in zip(ends, hidden, strict=True)]
        count = prediction_count(len(numbers), self.masking_rate)
        if self.unit == "tokens":
            return [((i,), 1) for i in sorted(candidates, key=lambda i: draws[i])[:count]]
        words, runs, taken = word_bounds(numbers), [], set[int]()
        for first in sorted(range(len(words)), key=lambda word: draws[words[word][0]]):
            start = words[first][0]
            passed = sum(draws[3 * len(numbers) + start] >= share for share in accumulate(NGRAM_SHARES[:-1]))
            last = first
            if self.unit == "ngrams":  # as long as the words are adjacent
                while last - first < passed and words[last + 1 :] and words[last + 1][0] == words[last][1]:
                    last += 1
            while last >= first and len(taken) + words[last][1] - start > count:
                last -= 1
            run = range(start, words[last][1]) if last >= first else range(0)
            if run and taken.isdisjoint(run):
                taken.update(run)
                runs.append((tuple(run), last - first + 1))
        return runs

    def mask(self, stream: int) -> Mask | None:
        """The mask made from one stream of random numbers; None if none is possible."""
        length = len(self.sentence)
        drawn = uniforms(stream_key(self.seed, stream), 4 * length)
        runs = self.choose(drawn)
        if runs is None:
            return None
        chosen = tuple(sorted(position for run, _ in runs for position in run))
        cuts = (self.mask_share, self.mask_share + self.random_share)
        fates = tuple(FATES[sum(drawn[length + i] >= cut for cut in cuts)] for i in chosen)
        pool = shipped(self.tokenizer).get_vocab_size()
        replacements = tuple(int(drawn[2 * length + i] * pool) for i in chosen)
        return Mask(chosen, fates, replacements, tuple(size for _, size in runs) if self.unit == "ngrams" else ())

    def seen(self, kind: str) -> Seen | None:
        """What the epochs so far have shown under "static" or "dynamic" masks; None if there are no masks.

        Static epochs cycle through `copies` masks, from streams 1, 3, 5, ...; dynamic ones use streams 0, 2, 4, ...
        """
        epochs = range(self.epochs)
        streams = [2 * (epoch % self.copies) + 1 if kind == "static" else 2 * epoch for epoch in epochs]
        made = {stream: self.mask(stream) for stream in set(streams)}
        masks = [mask for stream in streams if (mask := made[stream]) is not None]
        if not masks:
            return None
        counts = [sum(position in mask.chosen for mask in masks) for position in range(len(self.sentence))]
        fates = {fate: sum(mask.fates.count(fate) for mask in masks) for fate in FATES}
        sizes = [sum(mask.sizes.count(n) for mask in masks) for n in (1, 2, 3)]
        return Seen(counts, fates, sizes, len({mask.chosen for mask in masks}), masks[-1])

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
        for position, fate, replacement in zip(mask.chosen, mask.fates, mask.replacements, strict=True):
            if fate == "mask":
                tokens[position] = MASK_TOKENS[self.tokenizer]
            elif fate == "random":
                tokens[position] = str(shipped(self.tokenizer).id_to_token(replacement))
        return " ".join(tokens)

    def picture(self) -> str:
        static, dynamic = self.seen("static"), self.seen("dynamic")
        if static is None or dynamic is None:
            return figure(TEXT["title"], "", table([(TEXT["title"], TEXT["impossible"])]), TEXT["live"])
        in_words = self.unit == "ngrams"
        counts = [seen.sizes if in_words else seen.counts for seen in (dynamic, static)]
        start, height = (0.5 if in_words else 0.0), (0.0, 1.08 * max(1, *counts[0], *counts[1]))
        name, marks = (TEXT["words"], (1, 2, 3)) if in_words else (TEXT["position"], None)
        across = (start, len(counts[0]) + start)
        drawing = Drawing(across, height, name, TEXT["times"], TEXT["key"], x_marks=marks)
        for kind, times in enumerate(counts):
            steps = [(i + start + side, value) for i, value in enumerate(times) for side in (0, 1)]
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
        if in_words:
            pairs = zip(TEXT["sizes"], static.sizes, dynamic.sizes, strict=True)
            rows += [(size, f"static {repeated}, dynamic {fresh}") for size, repeated, fresh in pairs]
        label = f"{rows[2][0]}: {rows[2][1]}. " + "; ".join(f"{name}: {value}" for name, value in rows[3:])
        return figure(TEXT["title"], drawing.image(label), table(rows), TEXT["live"])
