"""Fine-tuning: all weights of a pre-trained model are trained further, with a new head, on labelled examples.

All tasks share one loop: a class for each text or pair of texts, a class for each word, or the answer to a question.
The labels say what is to be predicted.

Letters: B batch, N examples, S sequence length, C number of labels.

Source: BERT (arXiv:1810.04805v2), section 3.2 and appendix A.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from plm_lessons.checks import check_number, check_sizes, check_whole
from plm_lessons.models.checks import check_ids, check_labels, check_mask
from plm_lessons.models.heads import sequence_loss
from plm_lessons.models.pretrained import evaluation_mode
from plm_lessons.models.tasks import QuestionAnsweringModel, SequenceClassificationModel, TokenClassificationModel
from plm_lessons.objectives.draws import check_seed
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.optimization import adamw, check_finite, mixed_precision, warmup_then_decay

Model = SequenceClassificationModel | TokenClassificationModel | QuestionAnsweringModel


def select_rows(examples: Batch, rows: Tensor, device: torch.device) -> Batch:
    """Move some examples to a device, without the columns in which all of them are padding.

    Args:
        examples: `attention_mask` [N, S] and other tensors: those with a whole number for every token, such as
            `input_ids` or labels of tokens, are cut too; labels of sequences have no such columns.
    """
    mask = examples["attention_mask"]
    length = int(mask[rows].sum(dim=1).max())
    cut = {}
    for name, value in examples.items():
        has_tokens = value.shape == mask.shape and not value.is_floating_point()
        cut[name] = (value[rows, :length] if has_tokens else value[rows]).to(device)
    return cut


def length_buckets(lengths: Tensor, batch_size: int, generator: torch.Generator, pool: int = 16) -> list[Tensor]:
    """Make one epoch of batches in random order, each of examples of similar length, so that there is little padding.

    The examples are shuffled; then every `pool` times `batch_size` of them are sorted by length and cut into batches.

    Args:
        lengths: [N], in tokens.
        pool: With 1, batches are as shuffled. The larger it is, the less padding there is, and the less is random.

    Returns:
        The rows of each batch; all batches have `batch_size` rows, except perhaps one, which has the rest.
    """
    check_sizes(batch_size=batch_size, pool=pool)
    lengths = lengths.cpu()  # on the CPU, like the generator
    batches: list[Tensor] = []
    for rows in torch.randperm(len(lengths), generator=generator).split(pool * batch_size):
        batches += rows[lengths[rows].argsort(stable=True)].split(batch_size)
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]


def fine_tune(
    model: Model,
    inputs: Batch,
    labels: Tensor | Mapping[str, Tensor],
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int = 32,
    weight_decay: float = 0.01,
    seed: int = 0,
    progress: bool = True,
) -> list[float]:
    """Train a model in place, on its own device; the warm-up is a tenth of the steps.

    Args:
        model: In evaluation mode afterwards.
        inputs: From `encode_texts`, `encode_pairs`, `encode_words` or `encode_questions`.
        labels: What the model takes as `labels`: [N] for sequences and pairs, [N, S] for tokens; or, for questions, the
            `labels` of `encode_questions` by their names.
        seed: Fixes the order of the examples and dropout.

    Returns:
        The loss at each step.

    Raises:
        ValueError: The numbers of labels and inputs differ, an argument is impossible, or the loss or the gradient is
            no longer finite, which is found before the weights are changed.
    """
    targets = dict(labels) if isinstance(labels, Mapping) else {"labels": labels}
    needed = {"start_positions", "end_positions"} if isinstance(model, QuestionAnsweringModel) else {"labels"}
    if targets.keys() != needed:
        raise ValueError(
            f"labels has {', '.join(targets)}: must have {', '.join(sorted(needed))} for {type(model).__name__}"
        )
    _check_inputs(inputs)
    count = len(inputs["input_ids"])
    for name, values in targets.items():
        if len(values) != count:
            raise ValueError(f"{name} has {len(values)} rows: must have one for each of the {count} inputs")
    check_sizes(epochs=epochs, batch_size=batch_size)
    check_number("learning_rate", learning_rate, low=0)
    check_seed(seed)
    seed = int(seed)  # torch does not accept numpy's integers
    _check_examples(model, inputs, targets)
    steps = epochs * math.ceil(count / batch_size)
    optimizer = adamw(model, learning_rate, weight_decay)
    schedule = warmup_then_decay(optimizer, steps // 10, steps)
    examples, lengths = {**inputs, **targets}, inputs["attention_mask"].sum(dim=1)
    order = torch.Generator().manual_seed(seed)
    device, losses = model.device, []
    optimizer.zero_grad()
    model.train()
    try:
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            tqdm(total=steps, desc="fine-tuning", unit="step", disable=not progress) as bar,
        ):
            torch.manual_seed(seed)
            for _ in range(epochs):
                for rows in length_buckets(lengths, batch_size, order):
                    with mixed_precision(device):
                        loss = model(**select_rows(examples, rows, device)).loss
                    assert loss is not None
                    losses.append(loss.item())
                    check_finite("loss", losses[-1], len(losses))
                    loss.backward()
                    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
                    check_finite("length of the gradient", norm, len(losses))
                    optimizer.step()
                    optimizer.zero_grad()
                    schedule.step()
                    bar.update()
    finally:
        model.eval()
    return losses


def _check_inputs(inputs: Batch) -> None:
    if not isinstance(inputs, Mapping) or not {"input_ids", "attention_mask"} <= inputs.keys():
        raise ValueError(f"inputs={inputs!r:.80}: must have input_ids and attention_mask, as encode_texts returns them")
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    if mask.dim() != 2 or mask.shape != ids.shape:
        found, allowed = tuple(mask.shape), tuple(ids.shape)
        raise ValueError(f"attention_mask has shape {found}: must be [N, S], that of input_ids, {allowed}")
    if (mask[:, 1:] > mask[:, :-1]).any():
        raise ValueError("attention_mask has a token after padding: rows must begin with their tokens")
    if (empty := mask.sum(dim=1) == 0).any():
        raise ValueError(f"attention_mask[{int(empty.int().argmax())}] is all padding: must have a token")


def _check_examples(model: Model, inputs: Batch, targets: Mapping[str, Tensor]) -> None:
    """Refuse at once what would fail in the midst of training: ids, lengths or labels that the model does not take."""
    if not isinstance(model, Model):
        raise ValueError(f"model is a {type(model).__name__}: must have a head for fine-tuning")
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    check_ids("input_ids", ids, None, model.config.vocab_size, "vocab_size", ids.device)
    check_mask("attention_mask", mask, ids)
    with evaluation_mode(model):
        model(**select_rows(inputs, mask.sum(dim=1).argmax()[None], model.device))  # fails if the longest is too long
    config: Any = model.config
    if isinstance(model, SequenceClassificationModel):
        sequence_loss(torch.zeros(len(ids), config.num_labels, device=ids.device), targets["labels"])
        return
    is_token = isinstance(model, TokenClassificationModel)
    shape, classes = (ids.shape, config.num_labels) if is_token else (ids.shape[:1], ids.shape[1])
    lengths = mask.sum(dim=1)
    for name, values in targets.items():
        check_labels(name, values, shape, classes, ids.device)
        if not is_token and (behind := values >= lengths).any():
            row = int(behind.int().argmax())
            allowed = f"from 0 to {int(lengths[row]) - 1}, its last token, or -100 to be ignored"
            raise ValueError(f"{name} holds {int(values[row])} in row {row}: must be {allowed}")


def predict_logits(
    model: SequenceClassificationModel | TokenClassificationModel, inputs: Batch, batch_size: int = 256
) -> Tensor:
    """Return the scores of every example, [N, C], or of every token, [N, S, C], 0 at padding; on the CPU."""
    return _scores(model, inputs, ("logits",), batch_size)[0]


def predict_spans(model: QuestionAnsweringModel, inputs: Batch, batch_size: int = 256) -> tuple[Tensor, Tensor]:
    """Return the scores of every token as start and as end of the answer, both [N, S], 0 at padding; on the CPU."""
    starts, ends = _scores(model, inputs, ("start_logits", "end_logits"), batch_size)
    return starts, ends


def _scores(model: Model, inputs: Batch, names: Sequence[str], batch_size: int) -> list[Tensor]:
    """Return the named outputs of the model, in the order of the inputs, which are read by length to save padding."""
    _check_inputs(inputs)
    check_whole("batch_size", batch_size, least=1)
    order = inputs["attention_mask"].sum(dim=1).cpu().argsort(stable=True)
    found: list[list[Tensor]] = [[] for _ in names]
    for rows in order.split(batch_size):
        with evaluation_mode(model):
            output = model(**select_rows(inputs, rows, model.device))
        for name, parts in zip(names, found, strict=True):
            scores = getattr(output, name)
            if scores is None:
                raise ValueError(f"model is a {type(model).__name__}: must give {name}, which this one does not")
            scores = scores.float().cpu()
            if not isinstance(model, SequenceClassificationModel):  # one for each token: that of padding is 0
                asked = inputs["attention_mask"][rows].cpu() == 1
                cut, scores = scores, scores.new_zeros(*asked.shape, *scores.shape[2:])
                scores[asked] = cut[asked[:, : cut.shape[1]]]
            parts.append(scores)
    return [torch.cat(parts)[order.argsort()] for parts in found]
