"""What goes on top of an encoder: the masked-language-modelling head, and the losses.

Letters: B batch, S sequence length, H hidden size, E embedding size, V vocabulary, P positions predicted,
C number of labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plm_lessons.layers.activations import activation
from plm_lessons.models.checks import check_device, check_labels, check_positions, has_numbers


class MaskedLMHead(nn.Module):
    """Scores every word of the vocabulary: `norm(act(transform(h))) @ E^T + bias`.

    The output matrix is the input embedding (tied), passed at each call so that it is stored once. The bias is the
    head's own. Source: google-research/bert, run_pretraining.get_masked_lm_output.
    """

    def __init__(self, hidden_size: int, embedding_size: int, vocab_size: int, hidden_act: str, eps: float) -> None:
        super().__init__()
        self.transform = nn.Linear(hidden_size, embedding_size)
        self.activation = activation(hidden_act)
        self.norm = nn.LayerNorm(embedding_size, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden_states: Tensor, embedding: Tensor) -> Tensor:
        """[B, S or P, H] and the embedding matrix [V, E] -> logits [B, S or P, V]."""
        return F.linear(self.norm(self.activation(self.transform(hidden_states))), embedding, self.bias)


def gather_positions(hidden_states: Tensor, positions: Tensor | None) -> Tensor:
    """Pick the vectors at some positions of each sequence: [B, S, H] and [B, P] -> [B, P, H].

    About 15 % of the positions have a label. Scoring the vocabulary only there saves most of the head's work;
    google-research/bert does the same (run_pretraining.gather_indexes).

    Raises:
        ValueError: `positions` is not whole numbers of shape [B, P], or holds a place outside the sequence.
    """
    if positions is None:
        return hidden_states
    check_positions("masked_positions", positions, hidden_states)
    return hidden_states.gather(1, positions.long()[:, :, None].expand(-1, -1, hidden_states.shape[-1]))


def class_loss(logits: Tensor, labels: Tensor, name: str = "labels") -> Tensor:
    """Mean cross-entropy over what has a label: sequences, tokens, or the masked words.

    Args:
        logits: [..., C], for any number of classes C, such as the vocabulary.
        labels: [...], from 0 to C - 1, or -100 where nothing is to be predicted.
        name: The caller's name for the labels.

    Returns:
        A scalar in nats, in float32 or wider: 0 if there is no label, as in google-research/bert (an empty mean would
        be NaN).

    Raises:
        ValueError: The labels have the wrong shape or type, or are not among the C classes.
    """
    check_labels(name, labels, logits.shape[:-1], logits.shape[-1], logits.device)
    logits = _wide(logits)
    total = F.cross_entropy(logits.flatten(0, -2), labels.flatten().long(), ignore_index=-100, reduction="sum")
    return total / (labels != -100).sum().clamp(min=1)


def _wide(numbers: Tensor) -> Tensor:
    """The numbers in float32 or wider: sums of many half-precision numbers are coarse, and soon infinite in float16."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def sequence_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of a sequence classifier; the labels decide its kind, as in `transformers`.

    Args:
        logits: [B, C].
        labels: [B] whole numbers for one class of C (cross-entropy); [B] or [B, 1] numbers when C = 1 (regression,
            mean squared error); [B, C] floating-point numbers from 0 to 1 for several classes at once
            (binary cross-entropy). A class of -100 excludes its row; if all rows are excluded, the loss is 0.

    Raises:
        ValueError: The labels fit none of the three.
    """
    if not isinstance(labels, Tensor):
        raise ValueError(f"labels is of type {type(labels).__name__}: must be a tensor")
    check_device("labels", labels, logits.device)
    if logits.shape[-1] == 1:
        if labels.numel() != len(logits):
            raise ValueError(
                f"labels has shape {tuple(labels.shape)}: must hold one number for each of {len(logits)} rows"
            )
        scores = _wide(logits.flatten())
        return F.mse_loss(scores, labels.flatten().to(scores.dtype))
    if labels.is_floating_point():
        if labels.shape != logits.shape:
            raise ValueError(
                f"labels has shape {tuple(labels.shape)}: floating-point labels must be {tuple(logits.shape)}"
            )
        if has_numbers(labels):
            wrong = labels[~((labels >= 0) & (labels <= 1))]
            if wrong.numel():
                raise ValueError(f"labels holds {wrong[0].item()}: floating-point labels must be from 0 to 1")
        scores = _wide(logits)
        return F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype))
    return class_loss(logits, labels)


def span_loss(start_logits: Tensor, end_logits: Tensor, start_positions: Tensor, end_positions: Tensor) -> Tensor:
    """Mean of the cross-entropies for the start and the end of an answer.

    Args:
        start_logits, end_logits: [B, S].
        start_positions, end_positions: [B], from 0 to S - 1, or -100 for a row to be ignored. (`transformers` clips a
            position beyond the sequence and then ignores it; here that is an error.)
    """
    start_loss = class_loss(start_logits, start_positions, "start_positions")
    return (start_loss + class_loss(end_logits, end_positions, "end_positions")) / 2
