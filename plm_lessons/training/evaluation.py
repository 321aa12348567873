"""How well a model does, and what doing well is worth: held-out figures and the baselines beside them.

Letters: B batch, S sequence length, P positions predicted, V vocabulary, C number of labels.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from plm_lessons.models.tasks import MaskedLMModel
from plm_lessons.training.large_batches import Batch

# Each kind of labels: what its figures are called, what the predictions are, and the fields that may hold the scores.
TASKS = {
    "labels": ("masked_lm", "masked_words", ("prediction_logits", "logits")),
    "next_sentence_label": ("next_sentence", "pairs", ("seq_relationship_logits",)),
    "sentence_order_label": ("sentence_order", "pairs", ("sop_logits",)),
}


@torch.no_grad()
def evaluate_pretraining(model: MaskedLMModel, batches: Iterable[Batch]) -> dict[str, float]:
    """Held-out figures of a pre-trained model, each a mean over its predictions.

    Returns:
        For words `masked_lm_loss` in nats, `masked_lm_accuracy`, and `masked_words`, how many they rest on; if the
        batches ask about pairs, also `next_sentence_loss` and `next_sentence_accuracy` (or `sentence_order_...`) and
        `pairs`.

    Raises:
        ValueError: One kind of labels, or all, leave nothing to predict.
    """
    figures: dict[str, float] = {}
    model.eval()
    for batch in batches:
        inputs = {name: value.to(model.device) for name, value in batch.items()}
        answers = {kind: inputs.pop(kind) for kind in TASKS if kind in inputs}
        output = model(**inputs)
        for kind, truth in answers.items():
            name, counted, fields = TASKS[kind]
            logits = next(scores for field in fields if (scores := getattr(output, field)) is not None)
            asked = truth != -100
            logits, truth = logits[asked].float(), truth[asked]
            loss = torch.nn.functional.cross_entropy(logits, truth, reduction="sum").item()
            hits = (logits.argmax(-1) == truth).sum().item()
            for figure, value in ((f"{name}_loss", loss), (f"{name}_accuracy", hits), (counted, len(truth))):
                figures[figure] = figures.get(figure, 0.0) + value
    for name, counted, _ in TASKS.values():
        if f"{name}_loss" in figures:
            if not figures[counted]:
                raise ValueError(f"batches: there is nothing to predict in them, no {counted}")
            figures[f"{name}_loss"] /= figures[counted]
            figures[f"{name}_accuracy"] /= figures[counted]
    if not figures:
        raise ValueError(f"batches: there is nothing to predict in them, no {', '.join(TASKS)}")
    return figures


def unigram_baseline(training_ids: Tensor, labels: Tensor, vocab_size: int) -> dict[str, float]:
    """What a model reaches that knows how common each word is, and looks at nothing.

    Args:
        training_ids: Any shape; the words to count. One is added to each count, so that no word is impossible.
        labels: Any shape; the words to predict, -100 where none is asked for.
        vocab_size: V.

    Returns:
        `masked_lm_loss` in nats and `masked_lm_accuracy`, that of always saying the commonest word.
    """
    counts = torch.bincount(training_ids.flatten(), minlength=vocab_size).double() + 1
    asked = labels[labels != -100]
    return {
        "masked_lm_loss": -(counts / counts.sum()).log()[asked].mean().item(),
        "masked_lm_accuracy": (asked == counts.argmax()).double().mean().item(),
    }
