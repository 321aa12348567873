"""Endless streams of batches from a text of any length, which can be stopped and resumed at any batch.

The text is read in shards of some million characters. A shard is turned into ids and batches in memory, then replaced
by the next one. Pairs and rows are made within a shard. A text of a single shard stays in memory from epoch to epoch.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import NamedTuple

from tokenizers import Tokenizer

from plm_lessons.text_sources import Sentences, TextSource
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.recipes import Recipe

SHARD = 50_000_000  # characters: more than the whole text of the book
HELD_OUT = 5_000_000  # characters of held-out text that are read

Shard = tuple[int, list[list[list[int]]]]
"""The number of a shard, and its text as document -> sentence -> ids."""


class Position(NamedTuple):
    """A place in a stream: the numbers of an epoch, of a shard in it, and of a batch in that; all from 0."""

    epoch: int = 0
    shard: int = 0
    batch: int = 0


class BatchStream:
    """All batches of a recipe from `position` on.

    Attributes:
        position: The position of the next batch.

    Raises:
        ValueError: While the stream is read: the text gives no batch at all, or cannot be read.
    """

    def __init__(
        self,
        source: TextSource,
        tokenizer: Tokenizer,
        recipe: Recipe,
        position: Position | None = None,
        shard_characters: int = SHARD,
    ) -> None:
        self.source, self.tokenizer, self.recipe = source, tokenizer, recipe
        self.position, self.shard_characters = position or Position(), shard_characters

    def __iter__(self) -> Iterator[Batch]:
        start, family = self.position, FAMILIES[self.recipe.family]
        only: list[Shard] = []  # the text, if it is a single shard
        for epoch in count(start.epoch):
            empty = (epoch, 0, 0) >= start
            for shard, documents in only or self._shards(start.shard if epoch == start.epoch else 0):
                only = [(shard, documents)] if shard == 0 else []
                recipe = self.recipe.of_epoch(epoch)
                recipe = dataclasses.replace(recipe, seed=(recipe.seed + shard) % 2**31)  # each shard has its own draws
                batches = family.batches(documents, self.tokenizer, recipe, epoch) if documents else iter(())
                done = start.batch if (epoch, shard) == start[:2] else 0
                for number, batch in enumerate(islice(batches, done, None), done + 1):
                    empty = False
                    self.position = Position(epoch, shard, number)
                    yield batch
            if empty:
                reason = "apart from the tenth that is held out, the text gives not a single batch"
                needs = f"{self.recipe.family} needs at least {family.least_text}"
                raise ValueError(f"{self.source.describe()}: {reason}: {needs}")

    def _shards(self, first: int) -> Iterator[Shard]:
        family = FAMILIES[self.recipe.family]
        shards = shards_of(self.source.read("train"), self.shard_characters)
        for number, documents in islice(enumerate(shards), first, None):
            yield number, family.encode(documents, self.tokenizer)


def held_out_batches(source: TextSource, tokenizer: Tokenizer, recipe: Recipe) -> Iterator[Batch]:
    """Return batches of the held-out documents, always the same; of a long text only the first 5 million characters.

    There are none if the text is so short that no document is held out.
    """
    family = FAMILIES[recipe.family]
    documents = family.encode(next(shards_of(source.read("held_out"), HELD_OUT), []), tokenizer)
    return family.held_out(documents, tokenizer, recipe) if documents else iter(())


def shards_of(documents: Iterable[Sentences], characters: int) -> Iterator[list[Sentences]]:
    """Yield lists of whole documents, each with at least `characters` characters, except perhaps the last.

    Each list has at least two documents if the text has: BERT takes the second segment of a random pair from another.
    """
    documents = iter(documents)
    ahead = deque(islice(documents, 2))
    shard: list[Sentences] = []
    size = 0
    while ahead:
        shard.append(ahead.popleft())
        ahead.extend(islice(documents, 1))
        size += sum(map(len, shard[-1]))
        if size >= characters and len(shard) > 1 and len(ahead) > 1:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def split_rows(batches: Iterable[Batch], processes: int) -> Iterator[Batch]:
    """Cut each batch by rows into one part for each process, so that together they do what one would do alone."""
    for batch in batches:
        for rank in range(processes):
            yield {name: value[rank::processes] for name, value in batch.items()}
