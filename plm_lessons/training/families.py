"""What pre-training needs for each family besides the common loop: a model, an optimiser, batches and figures."""

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
    """The part of pre-training that is specific to one family.

    Attributes:
        model_class: The class of the model with its pre-training heads.
        config_class: The class of its configuration.
        padding: The names that the padding token may have.
        separator: Put between the sentences of a document: see `encode_documents`.
        least_text: A phrase that names the least text that gives a batch.
    """

    model_class: ClassVar[Any]
    config_class: ClassVar[Any]
    padding: ClassVar[tuple[str, ...]] = ("<pad>", "[PAD]")
    separator: ClassVar[str] = ""
    least_text: ClassVar[str] = "a document"

    def config(self, recipe: Recipe, tokenizer: Tokenizer) -> Any:
        """Return the model configuration that the recipe asks for.

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
        config.to_dict()  # refuses now what could not be saved after training
        return config

    def needed(self, recipe: Recipe, tokenizer: Tokenizer) -> dict[str, int]:
        """Return the configuration fields that tokenizer and `max_length` require; a size may also be larger."""
        return {
            "vocab_size": tokenizer.get_vocab_size(),
            "pad_token_id": token_id(tokenizer, *self.padding),
            "max_position_embeddings": recipe.max_length,
        }

    def model(self, recipe: Recipe, tokenizer: Tokenizer) -> PretrainedModel:
        """Return the model with its initial weights."""
        return self.model_class(self.config(recipe, tokenizer), torch.Generator().manual_seed(recipe.seed))

    def optimizer(self, model: PretrainedModel, recipe: Recipe) -> torch.optim.Optimizer:
        """Return the family's optimiser: AdamW (ALBERT was trained with LAMB, which adds layer-wise rates)."""
        return adamw(model, recipe.learning_rate, recipe.weight_decay)

    def encode(self, documents: Iterable[Sentences], tokenizer: Tokenizer) -> list[list[list[int]]]:
        """Encode documents as document -> sentence -> ids; a document without a token is left out."""
        return [document for document in encode_documents(tokenizer, documents, self.separator) if document]

    @abstractmethod
    def batches(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe, epoch: int
    ) -> Iterator[Batch]:
        """Return the batches of one pass over the documents."""

    def held_out(self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe) -> Iterator[Batch]:
        """Return the batches that the model is measured on: always the same ones, of 64 rows each."""
        return self.batches(documents, tokenizer, dataclasses.replace(recipe, batch_size=64), 0)

    def evaluate(self, model: Any, batches: Iterable[Batch]) -> dict[str, float]:
        """Compute held-out figures: see `evaluate_pretraining`."""
        return evaluate_pretraining(model, batches)

    def rows_to_count(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe
    ) -> list[list[int]]:
        """Return the rows from which the baselines count words: the text of each document."""
        return [list(chain.from_iterable(document)) for document in documents]

    def asked(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the rows that the baselines are measured on, and which tokens they must predict: see `unmasked`."""
        return unmasked(batch)


class Bert(Family):
    """Sentence pairs, masked in ten copies."""

    model_class = BertForPreTraining
    config_class = BertConfig
    least_text = "two documents (in a plain file, a blank line ends one)"

    def batches(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe, epoch: int
    ) -> Iterator[Batch]:
        """See `bert_batches`. A single document gives no batch: a random second segment must come from another one."""
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
        """As for the others, but positions start after the padding token's id, and there is one segment."""
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
    """Two segments, in order or swapped, with n-grams masked in forty copies."""

    model_class = AlbertForPreTraining
    config_class = AlbertConfig
    least_text = "a document of two sentences"

    def encode(self, documents: Iterable[Sentences], tokenizer: Tokenizer) -> list[list[list[int]]]:
        """As for the others, but also without documents of a single sentence, in which nothing can be swapped."""
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
    """Span corruption and, with the text of the book, also tasks as text to text."""

    model_class = T5ForConditionalGeneration
    config_class = T5Config
    least_text = "two tokens"

    def needed(self, recipe: Recipe, tokenizer: Tokenizer) -> dict[str, int]:
        """As for the others, but T5 has no position table, and needs the id of its end token."""
        fields = super().needed(recipe, tokenizer) | {"eos_token_id": token_id(tokenizer, "</s>")}
        del fields["max_position_embeddings"]
        return fields

    def optimizer(self, model: PretrainedModel, recipe: Recipe) -> torch.optim.Optimizer:
        """Return AdaFactor."""
        return adafactor(model, recipe.learning_rate)

    def batches(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe, epoch: int
    ) -> Iterator[Batch]:
        """Yield as many batches as the rows of span corruption fill; rows are drawn, some twice, others never."""
        spans = self._spans(documents, tokenizer, recipe)
        has_tasks = recipe.task_share or recipe.late_task_share
        tasks = _tasks(tokenizer) if has_tasks else []
        rates = mixing_rates([len(task) for task in tasks], limit=recipe.task_limit) if tasks else []
        count, more = -(-len(spans) // recipe.batch_size), 0
        if recipe.short_epochs and has_tasks:  # earlier epochs had more batches, or fewer
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
        """Return batches of span corruption alone, with each row once."""
        return batches_in_order(self._spans(documents, tokenizer, recipe), tokenizer, batch_size=64)

    def _spans(self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe) -> SpanExamples:
        """Return all documents as one text, in a random order."""
        check_whole("max_length", recipe.max_length, least=3, why=" (a token, a sentinel, an end token)")
        order = torch.randperm(len(documents), generator=torch.Generator().manual_seed(recipe.seed)).tolist()
        text = [list(chain.from_iterable(documents[place])) for place in order]
        return SpanExamples(text, tokenizer, recipe.max_length)

    def evaluate(self, model: Any, batches: Iterable[Batch]) -> dict[str, float]:
        """Compute held-out figures: see `evaluate_targets`."""
        return evaluate_targets(model, batches)

    def rows_to_count(
        self, documents: Sequence[list[list[int]]], tokenizer: Tokenizer, recipe: Recipe
    ) -> list[list[int]]:
        """Return the targets of one pass over the text, sentinels included: they are what T5 predicts."""
        batches = self.held_out(documents, tokenizer, recipe)
        return [row[row != -100].tolist() for batch in batches for row in batch["labels"]]

    def asked(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the targets, all to be predicted; like the baselines, a decoder sees only the tokens before."""
        return batch["labels"], batch["labels"] != -100


@lru_cache(maxsize=1)
def _tasks(tokenizer: Tokenizer) -> list[TaskExamples]:
    """Return the tasks as ids, kept because they take many seconds to make and are the same in every epoch."""
    return [TaskExamples(task.examples("train"), tokenizer) for task in TASKS.values()]


FAMILIES: dict[str, Family] = {"bert": Bert(), "roberta": Roberta(), "albert": Albert(), "t5": T5()}
