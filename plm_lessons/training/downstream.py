"""The downstream tasks for a model: examples encoded as inputs and labels, and figures on the model's answers.

Letters: N examples, W windows, S sequence length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from plm_lessons.downstream import Task
from plm_lessons.models.tasks import QuestionAnsweringModel
from plm_lessons.objectives.masking import IGNORE_INDEX
from plm_lessons.training.encoding import (
    QuestionWindows,
    encode_pairs,
    encode_questions,
    encode_texts,
    encode_words,
    without_limits,
)
from plm_lessons.training.fine_tuning import Model, predict_logits, predict_spans
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.question_answering import answer_figures, best_answers


@dataclass(frozen=True)
class EncodedTask:
    """Examples of a task in the form that `fine_tune` takes.

    Attributes:
        inputs: [N, S]; for questions [W, S].
        labels: [N]; for words [N, S]; for questions as in `QuestionWindows`.
        windows: For questions only: what is needed to turn scores into answers.
    """

    inputs: Batch
    labels: Tensor | Mapping[str, Tensor]
    windows: QuestionWindows | None = None


def fitting(task: Task, examples: Sequence[Any], tokenizer: Tokenizer, max_length: int) -> list[Any]:
    """Return the examples that fit into `max_length` tokens, and all questions, which are read in windows.

    About one in several thousand of the tasks' training examples is longer than 128 tokens.
    """
    if task.kind == "question" or not examples:
        return list(examples)
    texts = [(example.first, example.second) if task.kind == "pair" else example.text for example in examples]
    lengths = [len(encoding.ids) for encoding in without_limits(tokenizer).encode_batch_fast(texts)]
    return [example for example, length in zip(examples, lengths, strict=True) if length <= max_length]


def encode_task(task: Task, examples: Sequence[Any], tokenizer: Tokenizer, max_length: int) -> EncodedTask:
    """Encode examples of a task as inputs and labels of a model.

    Args:
        max_length: The largest S. Longer contexts of questions are split into windows; see also `fitting`.
    """
    if task.kind == "question":
        windows = encode_questions(tokenizer, examples, max_length)
        return EncodedTask(windows.inputs, windows.labels, windows)
    if task.kind == "words":
        texts, labels = [example.text for example in examples], [example.labels for example in examples]
        return EncodedTask(*encode_words(tokenizer, texts, labels, max_length))
    if task.kind == "pair":
        firsts, seconds = [example.first for example in examples], [example.second for example in examples]
        inputs = encode_pairs(tokenizer, firsts, seconds, max_length)
    else:
        inputs = encode_texts(tokenizer, [example.text for example in examples], max_length)
    return EncodedTask(inputs, torch.tensor([example.label for example in examples]))


def evaluate_task(model: Model, examples: Sequence[Any], encoded: EncodedTask) -> dict[str, float]:
    """Measure how well a fine-tuned model does on the examples of a task.

    Returns:
        The figures of `answer_figures` for questions, otherwise those of `class_figures` (over words if words have
        labels).
    """
    if isinstance(model, QuestionAnsweringModel):
        assert encoded.windows is not None
        starts, ends = predict_spans(model, encoded.inputs)
        answers = best_answers(examples, encoded.windows, starts, ends)
        return answer_figures(answers, [question.answer for question in examples])
    assert isinstance(encoded.labels, Tensor)
    asked = encoded.labels != IGNORE_INDEX
    predicted = predict_logits(model, encoded.inputs).argmax(-1)
    return class_figures(predicted[asked].tolist(), encoded.labels[asked].tolist())


def class_figures(predicted: Sequence[int], labels: Sequence[int]) -> dict[str, float]:
    """Measure in two ways how many predicted classes are right.

    Returns:
        `accuracy`, the share that is right, and `macro_f1`, the mean of the F1 scores of the classes that occur: a rare
        class counts as much as a frequent one. F1 is 2 * hits / (times predicted + times in the labels).

    Raises:
        ValueError: The numbers of predictions and labels differ, or there are none.
    """
    if len(predicted) != len(labels) or not labels:
        raise ValueError(f"predicted has {len(predicted)} classes, labels {len(labels)}: must be equal, and at least 1")
    guesses, truths = np.asarray(predicted), np.asarray(labels)
    scores = [
        2 * np.sum((guesses == label) & (truths == label)) / (np.sum(guesses == label) + np.sum(truths == label))
        for label in np.union1d(guesses, truths)
    ]
    return {"accuracy": float(np.mean(guesses == truths)), "macro_f1": float(np.mean(scores))}
