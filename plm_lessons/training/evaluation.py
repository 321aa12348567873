"""How well a model does on held-out text, and how well simple baselines do on the same words.

Letters: B batch, S sequence length, P positions predicted, V vocabulary, M words asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from plm_lessons.checks import check_whole
from plm_lessons.models.checks import check_whole_numbers
from plm_lessons.models.pretrained import evaluation_mode
from plm_lessons.models.tasks import MaskedLMModel, check_masked_lm
from plm_lessons.training.large_batches import LOSSES, Batch
from plm_lessons.training.ngrams import NgramModel

# Each kind of labels in `LOSSES`: what is predicted, and the fields that may hold the scores.
SCORES = {
    "labels": ("masked_words", ("prediction_logits", "logits")),
    "next_sentence_label": ("pairs", ("seq_relationship_logits",)),
    "sentence_order_label": ("pairs", ("sop_logits",)),
}
ACCURACIES = {kind: loss.replace("_loss", "_accuracy") for kind, loss in LOSSES.items()}


def evaluate_pretraining(model: MaskedLMModel, batches: Iterable[Batch]) -> dict[str, float]:
    """Compute the held-out figures of a pre-trained model, each a mean over its predictions.

    Returns:
        For words, `masked_lm_loss` in nats, `masked_lm_accuracy` and `masked_words`, the number of words predicted; if
        the batches ask about pairs, also `next_sentence_loss` and `next_sentence_accuracy` (or `sentence_order_...`)
        and `pairs`, the number of pairs.

    Raises:
        ValueError: The model has no masked-LM head, or no head for one kind of labels; or there is nothing to predict,
            at all or for one kind of labels.
    """
    check_masked_lm(model)
    figures: dict[str, float] = {}
    for batch in batches:
        inputs = {name: value.to(model.device) for name, value in batch.items()}
        answers = {kind: inputs.pop(kind) for kind in SCORES if kind in inputs}
        with evaluation_mode(model):
            output = model(**inputs)
        for kind, truth in answers.items():
            counted, fields = SCORES[kind]
            logits = next((scores for field in fields if (scores := getattr(output, field)) is not None), None)
            if logits is None:
                raise ValueError(f"batches have {kind}: {type(model).__name__} has no head for it")
            asked = truth != -100
            logits, truth = logits[asked].float(), truth[asked].long()
            loss = torch.nn.functional.cross_entropy(logits, truth, reduction="sum").item()
            hits = (logits.argmax(-1) == truth).sum().item()
            for figure, value in ((LOSSES[kind], loss), (ACCURACIES[kind], hits), (counted, len(truth))):
                figures[figure] = figures.get(figure, 0.0) + value
    for kind, (counted, _) in SCORES.items():
        if LOSSES[kind] in figures:
            if not figures[counted]:
                raise ValueError(f"batches: must hold something to predict, but have no {counted}")
            figures[LOSSES[kind]] /= figures[counted]
            figures[ACCURACIES[kind]] /= figures[counted]
    if not figures:
        raise ValueError(f"batches: must hold something to predict, but have no {', '.join(SCORES)}")
    return figures


def unigram_baseline(training_ids: Tensor, labels: Tensor, vocab_size: int) -> dict[str, float]:
    """Compute the figures of a model that knows only how common each word is, and ignores the context.

    Args:
        training_ids: Any shape; the words to count. One is added to each count, so that no word is impossible.
        labels: Any shape; the words to predict, and -100 where nothing is predicted.
        vocab_size: V.

    Returns:
        `masked_lm_loss` in nats, and `masked_lm_accuracy`, that of always predicting the commonest word.

    Raises:
        ValueError: There is nothing to predict, or a word is not below V.
    """
    check_whole("vocab_size", vocab_size, least=1)
    for name, ids in (("training_ids", training_ids), ("labels", labels)):
        check_whole_numbers(name, ids)
        wrong = ids[((ids < 0) | (ids >= vocab_size)) & ((ids != -100) | (name == "training_ids"))]
        if len(wrong):
            raise ValueError(f"{name} holds {wrong[0].item()}: must be from 0 to vocab_size - 1 = {vocab_size - 1}")
    if not (labels != -100).any():
        raise ValueError("labels: must hold something to predict, but all are -100")
    counts = torch.bincount(training_ids.flatten(), minlength=vocab_size).double() + 1
    asked = labels[labels != -100]
    return {
        "masked_lm_loss": -(counts / counts.sum()).log()[asked].mean().item(),
        "masked_lm_accuracy": (asked == counts.argmax()).double().mean().item(),
    }


def trigram_baseline(training_rows: Sequence[Sequence[int]], trigrams: Tensor, vocab_size: int) -> dict[str, float]:
    """Compute the figures of a model that has counted which word follows which two words: see `NgramModel`.

    It sees the two words on the left unmasked, even where the model that it is compared with sees a mask; it sees
    nothing of what is on the right.

    Args:
        training_rows: Token ids of stretches of text; with fewer than ten, the weights of the mixture are not fitted.
        trigrams: [M, 3] From `asked_trigrams`.
        vocab_size: V.

    Returns:
        As for `unigram_baseline`.
    """
    ngrams, counted = trigrams.numpy(), NgramModel(training_rows, vocab_size)
    hits = counted.best_words(ngrams[:, :2]) == ngrams[:, 2]
    loss = -np.log(counted.probabilities(ngrams)).mean()
    return {"masked_lm_loss": float(loss), "masked_lm_accuracy": float(hits.mean())}


def asked_trigrams(rows: Tensor, asked: Tensor, vocab_size: int) -> Tensor:
    """Return each word to be predicted, preceded by the two words before it, or by V where there is no word.

    Args:
        rows: [B, S] The text before masking.
        asked: [B, S] Whether a word is to be predicted.

    Returns:
        [M, 3].
    """
    padded = torch.nn.functional.pad(rows, (2, 0), value=vocab_size)
    return padded.unfold(1, 3, 1)[asked]


def unmasked(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the rows of a masked batch before masking, and where words are to be predicted, both [B, S]."""
    rows, labels = batch["input_ids"].clone(), batch["labels"]
    asked = torch.zeros_like(rows, dtype=torch.bool)
    row, place = (labels != -100).nonzero(as_tuple=True)
    column = batch["masked_positions"][row, place]
    rows[row, column], asked[row, column] = labels[row, place], True
    return rows, asked
