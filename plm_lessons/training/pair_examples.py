"""Sentence pairs as text, so that people and models can be asked the same: is B next, and are A and B in order?

Models are trained on pairs of stretches of token ids, cut to fit (`objectives.sentence_pairs`,
`objectives.sentence_order`). The pairs of this module are for reading: two whole sentences.

Letters: B batch, N pairs, S sequence length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from tokenizers import Tokenizer

from plm_lessons.checks import check_sizes, check_whole
from plm_lessons.corpus import Document
from plm_lessons.models.pretrained import evaluation_mode
from plm_lessons.models.tasks import PreTrainingModel
from plm_lessons.objectives.draws import check_generator
from plm_lessons.objectives.sentence_order import SWAPPED
from plm_lessons.objectives.sentence_pairs import IS_RANDOM, SentencePair
from plm_lessons.tokenization import encode_documents
from plm_lessons.training.bert_batches import framed_pairs
from plm_lessons.training.inference import check_fits

PAIR_TASKS = ("nsp", "sop")


class PairExample(NamedTuple):
    """A question about two sentences, and its answer."""

    task: str
    """`"nsp"`: does the second follow the first? `"sop"`: are these neighbours in their original order?"""
    first: str
    second: str
    label: int
    """`IS_NEXT` or `IS_RANDOM`; `IN_ORDER` or `SWAPPED`. 0 means yes in both tasks."""
    sources: tuple[str, str]
    """The titles of the documents that `first` and `second` come from."""


def draw_pair_examples(
    documents: Sequence[Document],
    count: int,
    generator: torch.Generator,
    *,
    tasks: Sequence[str] = PAIR_TASKS,
    fewest_words: int = 6,
    most_words: int = 40,
) -> list[PairExample]:
    """Draw `count` pairs for each task, half of them with each label.

    All come from neighbours: two consecutive sentences of a paragraph, both with `fewest_words` to `most_words` words.
    NSP keeps them together or takes B from the neighbours of another document; SOP keeps or swaps them. So neither A
    nor B alone gives an NSP label away: A always has a follower, and B always follows something. Nothing else is
    filtered out: a pronoun in B, or an "is a" that opens an article, may well reveal the order, as it does in the
    models' training data.

    Documents are drawn uniformly, and used once; each gives one pair of neighbours, drawn uniformly among its own.

    Args:
        documents: enough to give `count` neighbours for SOP and half as many again for NSP.
        count: an even number.
        generator: source of randomness.
        tasks: names from `PAIR_TASKS`; their pairs are returned in this order.
        fewest_words, most_words: words are separated by white space.

    Raises:
        ValueError: An argument is impossible, or too few documents hold such neighbours.
    """
    for task in tasks:
        if task not in PAIR_TASKS:
            raise ValueError(f"tasks holds {task!r}: must be one of {PAIR_TASKS}")
    check_sizes(count=count, fewest_words=fewest_words, most_words=most_words)
    check_generator(generator, torch.Generator)
    if count % 2:
        raise ValueError(f"count={count!r}: must be an even number of at least 2, to give each label half of the pairs")
    usable = []
    for document in documents:
        neighbours = [
            pair
            for paragraph in document.paragraphs
            for pair in zip(paragraph, paragraph[1:], strict=False)
            if all(fewest_words <= len(sentence.split()) <= most_words for sentence in pair)
        ]
        if neighbours:
            usable.append((document.title, neighbours))
    needed = sum(count + count // 2 * (task == "nsp") for task in tasks)
    if len(usable) < needed:
        raise ValueError(
            f"documents: {len(usable)} of them hold neighbouring sentences of {fewest_words} to {most_words} words, "
            f"but there must be at least {needed} for count={count}"
        )
    order = torch.randperm(len(usable), generator=generator).tolist()

    def take() -> tuple[str, tuple[str, str]]:
        title, neighbours = usable[order.pop()]
        return title, neighbours[int(torch.randint(len(neighbours), (), generator=generator))]

    examples = []
    for task in tasks:
        for label in (torch.randperm(count, generator=generator) % 2).tolist():
            title, (first, second) = take()
            other = title
            if task == "nsp" and label == IS_RANDOM:
                other, (_, second) = take()
            elif task == "sop" and label == SWAPPED:
                first, second = second, first
            examples.append(PairExample(task, first, second, label, (title, other)))
    return examples


def pair_probabilities(
    model: PreTrainingModel, tokenizer: Tokenizer, pairs: Sequence[PairExample], batch_size: int = 32
) -> list[float]:
    """Return the probability that a model gives to label 0 of each pair: "is next" (BERT) or "in order" (ALBERT).

    A model answers the question of its own head, whatever the task of the pair.

    Args:
        model: A model with a head for pairs, such as `BertForPreTraining` or `AlbertForPreTraining`; used in evaluation
            mode.
        tokenizer: The tokenizer that the model was trained with.
        pairs: N pairs, at least one, read as `[CLS] A [SEP] B [SEP]`.
        batch_size: B.

    Returns:
        N probabilities.

    Raises:
        ValueError: The model has no such head, a sentence has no token, or a pair is longer than the position table.
    """
    if not isinstance(model, PreTrainingModel):
        raise ValueError(f"model is a {type(model).__name__}: must have a head for pairs, such as BertForPreTraining")
    check_fits(tokenizer, model)
    check_whole("batch_size", batch_size, least=1)
    rows = []
    for index, segments in enumerate(encode_documents(tokenizer, [(pair.first, pair.second) for pair in pairs])):
        if len(segments) < 2:
            raise ValueError(f"pairs[{index}] is {pairs[index]!r}: both sentences must have a token")
        rows.append(SentencePair(tuple(segments[0]), tuple(segments[1]), pairs[index].label, index, index))
    batch = framed_pairs(rows, tokenizer)
    probabilities: list[float] = []
    inputs = (batch.input_ids, batch.attention_mask, batch.token_type_ids)
    for parts in zip(*(tensor.split(batch_size) for tensor in inputs), strict=True):
        no_words = torch.empty(len(parts[0]), 0, dtype=torch.long, device=model.device)
        with evaluation_mode(model):
            output = model(*(part.to(model.device) for part in parts), masked_positions=no_words)
        scores = output.sop_logits if output.seq_relationship_logits is None else output.seq_relationship_logits
        probabilities += scores.float().softmax(-1)[:, 0].tolist()
    return probabilities
