"""What the pre-training of each family needs besides the common loop: a model, an optimiser, batches, figures."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, ClassVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from plm_lessons.checks import check_whole
from plm_lessons.models.albert import AlbertConfig, AlbertForPreTraining
from plm_lessons.models.bert import BertConfig, BertForPreTraining
from plm_lessons.models.pretrained import PretrainedModel
from plm_lessons.models.roberta import RobertaConfig, RobertaForMaskedLM
from plm_lessons.models.t5 import T5Config, T5ForConditionalGeneration
from plm_lessons.objectives.mixing import mixing_rates
from plm_lessons.objectives.text_to_text import TASKS
from plm_lessons.text_sources import Sentences
from plm_lessons.tokenization import encode_documents, token_id
from plm_lessons.training.albert_batches import albert_batches
from plm_lessons.training.bert_batches import bert_batches
from plm_lessons.training.evaluation import evaluate_pretraining, unmasked
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.optimization import adafactor, adamw
from plm_lessons.training.recipes import Recipe
from plm_lessons.training.roberta_batches import roberta_batches, roberta_rows
from plm_lessons.training.t5_batches import SpanExamples, TaskExamples, batches_in_order, t5_batches
from plm_lessons.training.t5_evaluation import evaluate_targets


class Family(ABC):
    """One family's part of pre-training.

    Attributes:
        model_class: The model with the heads of pre-training.
        config_class: Its configuration.
        padding: What the padding token may be called.
        separator: Put between the sentences of a document: see `encode_documents`.
        least_text: What gives a batch.
    """

    model_class: ClassVar[Any]
    config_class: ClassVar[Any]
    padding: ClassVar[tuple[str, ...]] = ("<pad>", "[PAD]")
    separator: ClassVar[str] = ""
    least_text: ClassVar[str] = "a document"

    def config(self, recipe: Recipe, tokenizer: Tokenizer) -> Any:
        """The shape that the recipe asks for.

        Raises:
            ValueError: A field is unknown or impossible, does not fit the tokenizer or `max_length`, or could not be
                saved.
        """
        needed = self.needed(recipe, tokenizer)
        config = self.config_class(**(needed | recipe.model))
        for name, value in needed.items():
            found, is_id = getattr(config, name), name.endswith("_id")
            if (found != value) if is_id else (found < value):
                reason = f"for this tokenizer and max_length={recipe.max_length}"
                raise ValueError(f"{name}={found}: must be {'' if is_id else 'at least '}{value} {reason}")
        config.to_dict()  # refuses now what could not be saved when it is trained
        return config

    def needed(self, recipe: Recipe, tokenizer: Tokenizer) -> dict[str, int]:
        """The fields that follow from tokenizer and `max_length`. A size may also be larger."""
        return {
            "vocab_size": tokenizer.get_vocab_size(),
            "pad_token_id": token_id(tokenizer, *self.padding),
            "max_position_embeddings": recipe.max_length,
        }

    def model(self, recipe: Recipe, tokenizer: Tokenizer) -> PretrainedModel:
        """The model with its first weights."""
        return self.model_class(self.config(recipe, tokenizer), torch.Generator().manual_seed(recipe.seed))

    def optimizer(self, model: PretrainedModel, recipe: Recipe) -> torch.optim.Optimizer:
        """The optimiser that the family was trained with (but for the layer-wise rates of ALBERT's, LAMB)."""
        return adamw(model, recipe.learning_rate, recipe.weight_decay)

    def encode(self, documents: Iterable[Sentences], tokenizer: Tokenizer) -> list[list[list[int]]]:
        """document -> sentence -> ids; a document without a token is left out."""
        return [document for document in encode_documents(tokenizer, documents, self.separator) if document]

    @abstractmethod
    def batches(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe, epoch: int
    ) -> Iterator[Batch]:
        """One pass over the documents."""

    def held_out(self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe) -> Iterator[Batch]:
        """What the model is measured on: always the same batches of 64 rows."""
        return self.batches(documents, tokenizer, dataclasses.replace(recipe, batch_size=64), 0)

    def evaluate(self, model: Any, batches: Iterable[Batch]) -> dict[str, float]:
        """Held-out figures: see `evaluate_pretraining`."""
        return evaluate_pretraining(model, batches)

    def rows_to_count(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe
    ) -> list[list[int]]:
        """What baselines that count words are given to read: the text of each document."""
        return [list(chain.from_iterable(document)) for document in documents]

    def asked(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What stands in the rows that baselines are asked about, and which of it they must guess: see `unmasked`."""
        return unmasked(batch)


class Bert(Family):
    """Sentence pairs, masked in ten copies."""

    model_class = BertForPreTraining
    config_class = BertConfig
    least_text = "two documents (in a plain file, a blank line ends one)"

    def batches(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe, epoch: int
    ) -> Iterator[Batch]:
        """See `bert_batches`. One document gives no batch: the second segment of a random pair comes from another."""
        if len(documents) < 2:
            return iter(())
        settings = {"max_length": recipe.max_length, "batch_size": recipe.batch_size, "seed": recipe.seed}
        return bert_batches(documents, tokenizer, **settings, epochs=[epoch])


class Roberta(Family):
    """Rows of full sentences, masked anew in each epoch."""

    model_class = RobertaForMaskedLM
    config_class = RobertaConfig
    separator = " "

    def needed(self, recipe: Recipe, tokenizer: Tokenizer) -> dict[str, int]:
        """Positions are counted from behind the padding token's id. There is one segment."""
        fields = super().needed(recipe, tokenizer)
        return fields | {
            "max_position_embeddings": recipe.max_length + fields["pad_token_id"] + 1,
            "type_vocab_size": 1,
        }

    def batches(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe, epoch: int
    ) -> Iterator[Batch]:
        """See `roberta_batches`."""
        rows = roberta_rows(documents, tokenizer, recipe.max_length, recipe.seed)
        return roberta_batches(rows, tokenizer, batch_size=recipe.batch_size, seed=recipe.seed, epochs=[epoch])


class Albert(Family):
    """Two segments in order or swapped, n-grams masked in forty copies."""

    model_class = AlbertForPreTraining
    config_class = AlbertConfig
    least_text = "a document of two sentences"

    def encode(self, documents: Iterable[Sentences], tokenizer: Tokenizer) -> list[list[list[int]]]:
        """As for the others, and without documents of a single sentence, in which nothing can be swapped."""
        return [document for document in super().encode(documents, tokenizer) if len(document) > 1]

    def batches(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe, epoch: int
    ) -> Iterator[Batch]:
        """See `albert_batches`."""
        return albert_batches(
            documents,
            tokenizer,
            max_length=recipe.max_length,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            epochs=[epoch],
        )


class T5(Family):
    """Span corruption, and with the text of the book tasks as text to text."""

    model_class = T5ForConditionalGeneration
    config_class = T5Config
    least_text = "two tokens"

    def needed(self, recipe: Recipe, tokenizer: Tokenizer) -> dict[str, int]:
        """T5 has no position table, and must know the token with which it ends a text."""
        fields = super().needed(recipe, tokenizer) | {"eos_token_id": token_id(tokenizer, "</s>")}
        del fields["max_position_embeddings"]
        return fields

    def optimizer(self, model: PretrainedModel, recipe: Recipe) -> torch.optim.Optimizer:
        """AdaFactor."""
        return adafactor(model, recipe.learning_rate)

    def batches(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe, epoch: int
    ) -> Iterator[Batch]:
        """As many batches as the rows of span corruption fill. Rows are drawn: some come twice, others not at all."""
        spans = self._spans(documents, tokenizer, recipe)
        has_tasks = recipe.task_share or recipe.late_task_share
        tasks = _tasks(tokenizer) if has_tasks else []
        rates = mixing_rates([len(task) for task in tasks], limit=recipe.task_limit) if tasks else []
        count, more = -(-len(spans) // recipe.batch_size), 0
        if recipe.short_epochs and has_tasks:  # those before this one had some batches more, or less
            short = recipe.of_epoch(0)
            short_count = -(-len(self._spans(documents, tokenizer, short)) // short.batch_size)
            more = recipe.short_epochs * (short_count - count)
        for number in range(epoch * count, (epoch + 1) * count):
            late = (number + more) // recipe.accumulation_steps >= recipe.steps - recipe.late_steps
            share = recipe.late_task_share if late else recipe.task_share
            mixture = [1 - share, *(share * rate for rate in rates)]
            settings = {"batch_size": recipe.batch_size, "seed": recipe.seed, "start": number}
            yield next(t5_batches([spans, *tasks], mixture, tokenizer, **settings))

    def held_out(self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe) -> Iterator[Batch]:
        """Span corruption alone, each row once."""
        return batches_in_order(self._spans(documents, tokenizer, recipe), tokenizer, batch_size=64)

    def _spans(self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe) -> SpanExamples:
        """All documents in a random order, one after the other."""
        check_whole("max_length", recipe.max_length, least=3, why=" (a token, a sentinel, an end token)")
        order = torch.randperm(len(documents), generator=torch.Generator().manual_seed(recipe.seed)).tolist()
        text = [list(chain.from_iterable(documents[place])) for place in order]
        return SpanExamples(text, tokenizer, recipe.max_length)

    def evaluate(self, model: Any, batches: Iterable[Batch]) -> dict[str, float]:
        """Held-out figures: see `evaluate_targets`."""
        return evaluate_targets(model, batches)

    def rows_to_count(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe
    ) -> list[list[int]]:
        """The targets of one pass over the text: they are what is predicted here, sentinels included."""
        batches = self.held_out(documents, tokenizer, recipe)
        return [row[row != -100].tolist() for batch in batches for row in batch["labels"]]

    def asked(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The targets, all of them; a decoder, too, has seen only what stands before."""
        return batch["labels"], batch["labels"] != -100


@lru_cache(maxsize=1)
def _tasks(tokenizer: Tokenizer) -> list[TaskExamples]:
    """The tasks as ids, which take many seconds to make and are the same in every epoch."""
    return [TaskExamples(task.examples("train"), tokenizer) for task in TASKS.values()]


FAMILIES: dict[str, Family] = {"bert": Bert(), "roberta": Roberta(), "albert": Albert(), "t5": T5()}
