"""Answers to questions: the best span of tokens, and how close an answer is to the right one.

Letters: W windows, S sequence length.

Sources: BERT (arXiv:1810.04805v2), section 4.2, for the span; SQuAD (arXiv:1606.05250), section 6.1, and its program
evaluate-v1.1.py for the two figures.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from plm_lessons.checks import check_text, check_whole
from plm_lessons.downstream import Question
from plm_lessons.training.encoding import QuestionWindows


def best_answers(
    questions: Sequence[Question],
    windows: QuestionWindows,
    start_logits: Tensor,
    end_logits: Tensor,
    max_answer_tokens: int = 30,
) -> list[str]:
    """Return the span of each text with the highest score: its first token's as start plus its last token's as end.

    A span has only tokens of the text, and its end is not before its start; of several windows, the one with the
    best score gives the answer.

    Args:
        questions: The questions that were encoded.
        windows: From `encode_questions`.
        start_logits, end_logits: [W, S].
        max_answer_tokens: The largest number of tokens in an answer.

    Raises:
        ValueError: The scores do not have the shape of the windows, or `max_answer_tokens` is not at least 1.
    """
    check_whole("max_answer_tokens", max_answer_tokens, least=1)
    for name, scores in (("start_logits", start_logits), ("end_logits", end_logits)):
        if scores.shape != windows.offsets.shape[:2]:
            found, needed = tuple(scores.shape), tuple(windows.offsets.shape[:2])
            raise ValueError(f"{name} has shape {found}: must be {needed}, a score for each token of the windows")
    best: list[tuple[float, str]] = [(-float("inf"), "")] * len(questions)
    length = start_logits.shape[1]
    places = torch.arange(length)
    distance = places[None, :] - places[:, None]  # [S, S], from start to end
    possible = (distance >= 0) & (distance < max_answer_tokens)
    in_text = windows.offsets[..., 0] >= 0
    for number, (example, offsets) in enumerate(zip(windows.examples.tolist(), windows.offsets, strict=True)):
        allowed = possible & in_text[number, :, None] & in_text[number, None, :]
        scores = (start_logits[number, :, None] + end_logits[number, None, :]).masked_fill(~allowed, -torch.inf)
        place = int(scores.argmax())
        start, end = divmod(place, length)
        found = questions[example].context[int(offsets[start, 0]) : int(offsets[end, 1])].strip()
        best[example] = max(best[example], (scores.flatten()[place].item(), found), key=lambda answer: answer[0])
    return [answer for _, answer in best]


def normalised(answer: str) -> list[str]:
    """Return the words of an answer that are compared: in lower case, without punctuation marks and articles."""
    check_text("answer", answer)
    kept = "".join(character for character in answer.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def answer_f1(answer: str, truth: str) -> float:
    """Return how many words two answers share, from 0 to 1: 2 * shared / (words of one + words of the other)."""
    one, other = normalised(answer), normalised(truth)
    if not one or not other:
        return float(one == other)
    return 2 * (Counter(one) & Counter(other)).total() / (len(one) + len(other))


def answer_figures(answers: Sequence[str], truths: Sequence[str]) -> dict[str, float]:
    """Compute the figures of SQuAD, means over the questions.

    Returns:
        `exact_match`, the share of answers that are right but for case, punctuation marks and articles, and `f1`.

    Raises:
        ValueError: The numbers of answers and truths differ, or there are none.
    """
    if len(answers) != len(truths) or not truths:
        raise ValueError(f"answers has {len(answers)} texts, truths {len(truths)}: must be equal, and at least 1")
    pairs = list(zip(answers, truths, strict=True))
    return {
        "exact_match": sum(normalised(answer) == normalised(truth) for answer, truth in pairs) / len(pairs),
        "f1": sum(answer_f1(answer, truth) for answer, truth in pairs) / len(pairs),
    }
