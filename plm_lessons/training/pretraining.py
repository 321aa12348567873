"""Pre-training of BERT: batches of masked sentence pairs, and the loop.

Letters: B batch, S sequence length, P positions predicted.

Source: BERT (arXiv:1810.04805v2), section 3.1 and appendix A.2; google-research/bert, run_pretraining.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm.auto import tqdm

from plm_lessons.models.tasks import PreTrainingModel
from plm_lessons.objectives.masking import MaskedBatch, candidate_positions, gather_masked, mask_tokens
from plm_lessons.objectives.sentence_pairs import Document, SentencePairBatch, next_sentence_pairs, pair_batch
from plm_lessons.tokenization import token_id
from plm_lessons.training.optimization import adamw, mixed_precision, warmup_then_decay

Batch = dict[str, Tensor]  # the keyword arguments of one call of the model


def bert_pairs(
    documents: Sequence[Document], tokenizer: Tokenizer, max_length: int, generator: torch.Generator
) -> SentencePairBatch:
    """All next-sentence pairs of the documents (document -> sentence -> ids) in one batch, padded to `max_length`."""
    pairs = next_sentence_pairs(documents, max_length=max_length, generator=generator)
    return pair_batch(
        pairs,
        cls_token_id=token_id(tokenizer, "[CLS]"),
        sep_token_id=token_id(tokenizer, "[SEP]"),
        pad_token_id=token_id(tokenizer, "[PAD]"),
        max_length=max_length,
    )


def mask_pairs(pairs: SentencePairBatch, tokenizer: Tokenizer, generator: torch.Generator) -> MaskedBatch:
    """Mask every row of `pairs` as BERT does: see `objectives.masking.mask_tokens`."""
    special = [token_id(tokenizer, token) for token in ("[PAD]", "[CLS]", "[SEP]")]
    return mask_tokens(
        pairs.input_ids,
        candidate_positions(pairs.input_ids, special, pairs.attention_mask),
        attention_mask=pairs.attention_mask,
        mask_token_id=token_id(tokenizer, "[MASK]"),
        vocab_size=tokenizer.get_vocab_size(),
        generator=generator,
    )


def bert_batch(pairs: SentencePairBatch, masked: MaskedBatch, rows: Tensor) -> Batch:
    """Some rows of the masked pairs, cut to the longest of them.

    Returns:
        `input_ids`, `attention_mask`, `token_type_ids` [B, S]; `masked_positions`, `labels` [B, P];
        `next_sentence_label` [B].
    """
    attention_mask = pairs.attention_mask[rows]
    length = int(attention_mask.sum(dim=1).max())  # the columns behind it hold padding only
    masked_positions, labels = gather_masked(masked.labels[rows])
    return {
        "input_ids": masked.input_ids[rows, :length],
        "attention_mask": attention_mask[:, :length],
        "token_type_ids": pairs.token_type_ids[rows, :length],
        "masked_positions": masked_positions,
        "labels": labels,
        "next_sentence_label": pairs.labels[rows],
    }


def bert_batches(
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    *,
    max_length: int,
    batch_size: int,
    seed: int = 0,
    copies: int = 10,
) -> Iterator[Batch]:
    """Batches without end, epoch after epoch.

    As in the reference code the data exist in ten copies, each with pairs and masks of its own, used in turn: epoch e
    reads copy e mod 10. Nothing is stored: a copy is made again from (seed, copy).

    Args:
        documents: document -> sentence -> token ids.
        max_length: S, the longest row.
        batch_size: B; a last, smaller batch of an epoch is used too.
        seed: Fixes pairs, masks and order.
        copies: In how many versions an epoch exists.
    """
    for name, value in (("batch_size", batch_size), ("copies", copies)):
        if value < 1:
            raise ValueError(f"{name}={value}: must be at least 1")
    epoch = 0
    while True:
        generator = torch.Generator().manual_seed(seed * copies + epoch % copies)
        pairs = bert_pairs(documents, tokenizer, max_length, generator)
        masked = mask_pairs(pairs, tokenizer, generator)
        order = torch.randperm(len(pairs.labels), generator=generator.manual_seed(seed + epoch))
        for rows in order.split(batch_size):
            yield bert_batch(pairs, masked, rows)
        epoch += 1


def pretrain(
    model: PreTrainingModel,
    batches: Iterable[Batch],
    *,
    steps: int,
    learning_rate: float,
    warmup_steps: int,
    weight_decay: float = 0.01,
    max_gradient_norm: float = 1.0,
    seed: int = 0,
    progress: bool = True,
) -> list[dict[str, float]]:
    """Train a model where it is, CPU or GPU.

    Args:
        model: Trained in place; in evaluation mode afterwards.
        batches: Keyword arguments of the model, at least `steps` of them.
        steps: Updates of the weights.
        learning_rate: The peak, reached after `warmup_steps`; from there it falls linearly to 0.
        seed: Fixes dropout.
        progress: Whether to show a progress bar.

    Returns:
        For each step `step`, `loss` in nats, its parts `masked_lm_loss` and `next_sentence_loss`, `learning_rate`.

    Raises:
        ValueError: The batches end before `steps`, or the loss is no longer a finite number.
    """
    optimizer = adamw(model, learning_rate, weight_decay)
    schedule = warmup_then_decay(optimizer, warmup_steps, steps)
    device, source, log = model.device, iter(batches), []
    model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for step in tqdm(range(1, steps + 1), desc="pre-training", unit="step", disable=not progress):
            batch = next(source, None)
            if batch is None:
                raise ValueError(f"batches ended after {step - 1}: must be at least steps = {steps}")
            with mixed_precision(device):
                output = model(**{name: value.to(device) for name, value in batch.items()})
            loss, words, pairs = output.loss, output.masked_lm_loss, output.next_sentence_loss
            assert loss is not None and words is not None and pairs is not None
            if not torch.isfinite(loss):
                raise ValueError(f"the loss is {loss.item()} at step {step}: try a smaller learning_rate")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_gradient_norm)
            optimizer.step()
            optimizer.zero_grad()
            log.append(
                {
                    "step": step,
                    "loss": loss.item(),
                    "masked_lm_loss": words.item(),
                    "next_sentence_loss": pairs.item(),
                    "learning_rate": schedule.get_last_lr()[0],
                }
            )
            schedule.step()
    model.eval()
    return log
