"""Fine-tuning: all weights of a pre-trained model are trained further, with a new head, on labelled examples.

Letters: B batch, N examples, S sequence length, C number of labels.

Source: BERT (arXiv:1810.04805v2), section 3.2 and appendix A.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm.auto import tqdm

from plm_lessons.models.tasks import SequenceClassificationModel
from plm_lessons.tokenization import token_id
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.optimization import adamw, mixed_precision, warmup_then_decay


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> Batch:
    """Texts as the model reads them, padded on the right: `[CLS] text [SEP]`, or as the tokenizer frames them.

    Args:
        max_length: S, special tokens included. A longer text keeps its beginning and its last token: a model cannot
            read more than its position table has rows. How many texts that concerns is for the caller to say; the
            `overflowing` part of `tokenizer.encode` tells.

    Returns:
        `input_ids`, `attention_mask`, `token_type_ids`, each [N, S of the longest].
    """
    if not texts:
        raise ValueError("texts: must hold at least one text")
    tokenizer = Tokenizer.from_str(tokenizer.to_str())  # settings are kept inside a tokenizer: leave the caller's alone
    tokenizer.enable_truncation(max_length)
    padding = token_id(tokenizer, "[PAD]", "<pad>")
    tokenizer.enable_padding(pad_id=padding, pad_token=tokenizer.id_to_token(padding))
    encodings = tokenizer.encode_batch(list(texts))
    return {
        "input_ids": torch.tensor([encoding.ids for encoding in encodings]),
        "attention_mask": torch.tensor([encoding.attention_mask for encoding in encodings]),
        "token_type_ids": torch.tensor([encoding.type_ids for encoding in encodings]),
    }


def select_rows(inputs: Batch, rows: Tensor, device: torch.device) -> Batch:
    """Some examples, on a device, without the columns in which all of them are padding."""
    length = int(inputs["attention_mask"][rows].sum(dim=1).max())
    return {name: value[rows, :length].to(device) for name, value in inputs.items()}


def fine_tune(
    model: SequenceClassificationModel,
    inputs: Batch,
    labels: Tensor,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int = 32,
    weight_decay: float = 0.01,
    seed: int = 0,
    progress: bool = True,
) -> list[float]:
    """Train a sequence classifier in place, where it is; the warm-up is a tenth of the steps.

    Args:
        model: In evaluation mode afterwards.
        inputs: From `encode_texts`.
        labels: [N].
        seed: Fixes the order of the examples and dropout.

    Returns:
        The loss at each step.
    """
    if len(labels) != len(inputs["input_ids"]):
        raise ValueError(f"labels has {len(labels)} rows: must have one for each of {len(inputs['input_ids'])} inputs")
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs={epochs}, batch_size={batch_size}: both must be at least 1")
    steps_per_epoch = -(-len(labels) // batch_size)
    steps = epochs * steps_per_epoch
    optimizer = adamw(model, learning_rate, weight_decay)
    schedule = warmup_then_decay(optimizer, steps // 10, steps)
    device, losses = model.device, []
    model.train()
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        tqdm(total=steps, desc="fine-tuning", unit="step", disable=not progress) as bar,
    ):
        torch.manual_seed(seed)
        for epoch in range(epochs):
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + epoch))
            for rows in order.split(batch_size):
                with mixed_precision(device):
                    loss = model(**select_rows(inputs, rows, device), labels=labels[rows].to(device)).loss
                assert loss is not None
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                losses.append(loss.item())
                bar.update()
    model.eval()
    return losses


@torch.no_grad()
def predict_logits(model: SequenceClassificationModel, inputs: Batch, batch_size: int = 256) -> Tensor:
    """Scores of every example, [N, C], on the CPU."""
    model.eval()
    rows = torch.arange(len(inputs["input_ids"])).split(batch_size)
    return torch.cat([model(**select_rows(inputs, part, model.device)).logits.float().cpu() for part in rows])
