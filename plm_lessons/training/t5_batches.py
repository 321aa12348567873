"""Batches for T5: span corruption, tasks as text to text, and any mixture of them.

Each row of a batch is drawn independently: first its source, then an example of that source. A row, including its
noise, depends on (seed, number of the row) alone.

Letters: B batch, S source length, T target length.

Source: T5 (arXiv:1910.10683), sections 2.4, 3.1.4 and 3.5.2; google-research/text-to-text-transfer-transformer at
commit e081111, t5/data/preprocessors.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, takewhile
from typing import Protocol

from tokenizers import Tokenizer

from plm_lessons.checks import check_whole
from plm_lessons.objectives.checks import check_items, whole_numbers
from plm_lessons.objectives.draws import Generator, RowGenerators
from plm_lessons.objectives.mixing import draw_examples
from plm_lessons.objectives.span_corruption import (
    TextToText,
    corrupt_spans,
    span_counts,
    span_lengths,
    span_mask,
    text_to_text_batch,
)
from plm_lessons.objectives.text_to_text import TextPair
from plm_lessons.tokenization.loading import check_whole_texts, token_id
from plm_lessons.training.large_batches import Batch


class Examples(Protocol):
    """A source of examples."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def example(self, index: int, generator: Generator) -> TextToText:
        """Return an example as ids; the generator draws what is random in it."""


class TaskExamples:
    """Pairs of texts as ids, each text with its end token.

    Args:
        pairs: From `Task.examples`.
        tokenizer: A tokenizer of T5.

    Raises:
        ValueError: The tokenizer does not end a text with `</s>`, or cuts or pads; or an item is not a `TextPair`.
    """

    def __init__(self, pairs: Sequence[TextPair], tokenizer: Tokenizer) -> None:
        check_whole_texts(tokenizer)
        check_items("pairs", pairs, TextPair)
        if (ends := tokenizer.encode("").ids[-1:]) != [token_id(tokenizer, "</s>")]:
            raise ValueError(
                f"tokenizer ends a text with {ends}: must end it with </s>, since otherwise no written text ends"
            )
        sources, targets = (tokenizer.encode_batch_fast([pair[side] for pair in pairs]) for side in (0, 1))
        self.rows = [TextToText(source.ids, target.ids) for source, target in zip(sources, targets, strict=True)]

    def __len__(self) -> int:
        return len(self.rows)

    def example(self, index: int, generator: Generator) -> TextToText:
        """Return the example; nothing in it is random."""
        return self.rows[index]


class SpanExamples:
    """One long text, cut into rows whose inputs have the full length once spans are corrupted: see `span_lengths`.

    Documents follow each other without a separator, as in the reference code.

    Args:
        documents: Token ids of each document, without end tokens.
        tokenizer: A tokenizer of T5, whose highest ids are sentinels.
        inputs_length: S, exact for all examples but the last, which is the remainder. (A remainder of a single token is
            dropped: it has no context from which it could be predicted.)
        noise_density, mean_span_length: As for `span_mask`.

    Raises:
        ValueError: An id is not that of a word, the tokenizer has no sentinels or fewer than there are spans, or a
            number is impossible.
    """

    def __init__(
        self,
        documents: Iterable[Sequence[int]],
        tokenizer: Tokenizer,
        inputs_length: int,
        noise_density: float = 0.15,
        mean_span_length: float = 3.0,
    ) -> None:
        length, _ = span_lengths(inputs_length, noise_density, mean_span_length)
        _, spans = span_counts(length, noise_density, mean_span_length)
        self.eos = token_id(tokenizer, "</s>")
        names = takewhile(lambda name: tokenizer.token_to_id(name) is not None, map("<extra_id_{}>".format, count(1)))
        self.sentinels = [token_id(tokenizer, name) for name in ("<extra_id_0>", *names)]
        lowest = min(self.sentinels)
        if spans > len(self.sentinels):
            allowed = f"at most {len(self.sentinels)}, one for each sentinel"
            raise ValueError(f"inputs_length={inputs_length} gives {spans} spans: must be {allowed}")
        tokens: list[int] = []
        for number, document in enumerate(documents):
            ids = whole_numbers(f"documents[{number}]", document)
            if max(ids, default=0) >= lowest:
                raise ValueError(
                    f"documents[{number}] holds {max(ids)}: must be below {lowest}, where the sentinels begin"
                )
            tokens += ids
        self.rows = [tokens[start : start + length] for start in range(0, len(tokens) - 1, length)]
        self.noise = {"noise_density": noise_density, "mean_span_length": mean_span_length}

    def __len__(self) -> int:
        return len(self.rows)

    def example(self, index: int, generator: Generator) -> TextToText:
        """Return a row with corrupted spans, whose places the generator draws."""
        row = self.rows[index]
        noise_mask = span_mask(len(row), generator=generator, **self.noise)
        return corrupt_spans(row, noise_mask, sentinels=self.sentinels, eos_token_id=self.eos)


def t5_batches(
    sources: Sequence[Examples],
    rates: Sequence[float],
    tokenizer: Tokenizer,
    *,
    batch_size: int,
    seed: int = 0,
    start: int = 0,
) -> Iterator[Batch]:
    """Yield batches of a mixture without end.

    Args:
        sources: Any number of `SpanExamples` and `TaskExamples`.
        rates: How often each source is drawn: see `mixing_rates`. [1.0] for a single source.
        tokenizer: A tokenizer of T5.
        batch_size: B.
        seed: Fixes what is drawn, and the noise.
        start: The number of the first batch; training that resumes starts with the batch that was next.

    Returns:
        Batches of `input_ids`, `attention_mask` [B, S] and `labels` [B, T], as long as their longest row.
    """
    check_whole("batch_size", batch_size, least=1)
    check_whole("start", start)
    sizes = [len(source) for source in sources]
    for number in count(start):
        rows = range(number * batch_size, (number + 1) * batch_size)
        drawn = zip(rows, draw_examples(rates, sizes, rows, seed), strict=True)
        examples = [sources[task].example(index, RowGenerators(seed, 1, [row])) for row, (task, index) in drawn]
        yield _batch(examples, tokenizer)


def batches_in_order(
    source: Examples, tokenizer: Tokenizer, *, batch_size: int, seed: int = 0, order: Sequence[int] | None = None
) -> Iterator[Batch]:
    """Yield batches with each example of one source once; arguments and batches are as for `t5_batches`.

    Args:
        order: The numbers of the examples, from 0, in the order to use; None for their own order.
    """
    check_whole("batch_size", batch_size, least=1)
    numbers = range(len(source)) if order is None else whole_numbers("order", order)
    if sorted(numbers) != list(range(len(source))):
        raise ValueError(f"order={order!r:.80}: must hold each number below {len(source)} once")
    for start in range(0, len(source), batch_size):
        rows = numbers[start : start + batch_size]
        yield _batch([source.example(row, RowGenerators(seed, 1, [row])) for row in rows], tokenizer)


def _batch(examples: Sequence[TextToText], tokenizer: Tokenizer) -> Batch:
    return text_to_text_batch(examples, pad_token_id=token_id(tokenizer, "<pad>"))._asdict()
