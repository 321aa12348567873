"""How well a model does, and what doing well is worth: held-out figures and the baselines beside them.

Letters: B batch, S sequence length, P positions predicted, V vocabulary, C number of labels.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from plm_lessons.models.tasks import PreTrainingModel
from plm_lessons.training.pretraining import Batch


@torch.no_grad()
def evaluate_pretraining(model: PreTrainingModel, batches: Iterable[Batch]) -> dict[str, float]:
    """Held-out figures of a pre-training model, each a mean over its predictions.

    Returns:
        `masked_lm_loss` in nats, `masked_lm_accuracy`, `next_sentence_loss` in nats, `next_sentence_accuracy`, and how
        many predictions they rest on: `masked_words`, `pairs`.
    """
    totals = dict.fromkeys(("word_loss", "word_hits", "words", "pair_loss", "pair_hits", "pairs"), 0.0)
    model.eval()
    for batch in batches:
        inputs = {name: value.to(model.device) for name, value in batch.items()}
        labels, pair_labels = inputs.pop("labels"), inputs.pop("next_sentence_label")
        output = model(**inputs)
        assert output.prediction_logits is not None and output.seq_relationship_logits is not None
        for prefix, logits, truth in (
            ("word", output.prediction_logits.flatten(0, 1), labels.flatten()),
            ("pair", output.seq_relationship_logits, pair_labels),
        ):
            asked = truth != -100
            logits, truth = logits[asked].float(), truth[asked]
            totals[f"{prefix}_loss"] += torch.nn.functional.cross_entropy(logits, truth, reduction="sum").item()
            totals[f"{prefix}_hits"] += (logits.argmax(-1) == truth).sum().item()
            totals[f"{prefix}s"] += len(truth)
    if not totals["words"] or not totals["pairs"]:
        raise ValueError("batches: there is nothing to predict in them")
    return {
        "masked_lm_loss": totals["word_loss"] / totals["words"],
        "masked_lm_accuracy": totals["word_hits"] / totals["words"],
        "next_sentence_loss": totals["pair_loss"] / totals["pairs"],
        "next_sentence_accuracy": totals["pair_hits"] / totals["pairs"],
        "masked_words": totals["words"],
        "pairs": totals["pairs"],
    }


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
