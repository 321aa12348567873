"""How well a pre-trained model does its own task on held-out text, compared with baselines that need no network."""

from __future__ import annotations

import itertools
import math
from itertools import islice
from typing import Any

import torch
from tokenizers import Tokenizer

from plm_lessons.text_sources import TextSource
from plm_lessons.training.evaluation import asked_trigrams, trigram_baseline, unigram_baseline
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.recipes import Recipe
from plm_lessons.training.streams import SHARD, held_out_batches, shards_of


def held_out_figures(
    model: Any, tokenizer: Tokenizer, recipe: Recipe, source: TextSource, most_batches: int | None = None
) -> dict[str, dict[str, float]]:
    """Compute the figures of a model and of two baselines on the same words, those that pre-training has it predict.

    Args:
        model: A model of the recipe's family, with its pre-training heads.
        tokenizer: The model's tokenizer.
        recipe: Sets the length of rows, and fixes what is masked.
        source: The text. Its held-out split is predicted; the baselines count its training split (of a long text, the
            first 50 million characters).
        most_batches: The largest number of batches, of 64 rows each; None for all.

    Returns:
        For "model", "unigram" and "trigram" (see `unigram_baseline`, `trigram_baseline`): `loss` in nats for each word,
        `perplexity`, its exponential, and `accuracy`. For the model also `words`, the number of words predicted, and
        the figures of its task on pairs, if it has one: see `evaluate_pretraining`.

    Raises:
        ValueError: There is no training text, or no held-out text.
    """
    family = FAMILIES[recipe.family]
    batches = list(islice(held_out_batches(source, tokenizer, recipe), most_batches))
    if not batches:
        raise ValueError(f"{source.describe()}: {why_nothing_is_held_out(source)}, so that none of it is held out")
    documents = family.encode(next(shards_of(source.read("train"), SHARD), []), tokenizer)
    rows = family.rows_to_count(documents, tokenizer, recipe)
    if not rows:
        raise ValueError(
            f"{source.describe()}: there is no training text for the baselines to count, only held-out text"
        )
    size = tokenizer.get_vocab_size()
    trigrams = torch.cat([asked_trigrams(*family.asked(batch), size) for batch in batches])
    counted = torch.tensor([word for row in rows for word in row])
    figures = {
        "model": family.evaluate(model, batches),
        "unigram": unigram_baseline(counted, trigrams[:, 2], size),
        "trigram": trigram_baseline(rows, trigrams, size),
    }
    return {name: _named_alike(found) for name, found in figures.items()}


def why_nothing_is_held_out(source: TextSource) -> str:
    """Return the reason in words; even a long text can be a single document, which cannot be divided."""
    documents = itertools.chain(source.read("train"), source.read("held_out"))
    single = len(list(islice(documents, 2))) == 1
    return "it is a single document (in a plain file, a blank line ends one)" if single else "it is too short"


def _named_alike(figures: dict[str, float]) -> dict[str, float]:
    """Name the figures `loss`, `perplexity` and `accuracy` whatever the task is called, and keep the others."""
    names = {"masked_lm_loss": "loss", "masked_lm_accuracy": "accuracy", "masked_words": "words", "tokens": "words"}
    alike = {names.get(name, name): value for name, value in figures.items()}
    loss = alike["loss"]
    return {"loss": loss, "perplexity": math.inf if loss >= 709 else math.exp(loss)} | alike  # exp would soon overflow
