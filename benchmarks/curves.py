"""Do both learn the same? Training losses from the same weights on the same batches, each side with its own dropout.

Dropout hits different places on the two sides, so the losses cannot be equal. They should differ no more than those of
one side with different seeds.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from timing import as_transformers

from plm_lessons import BertConfig, BertForMaskedLM
from plm_lessons.corpus import documents
from plm_lessons.objectives.masking import gather_masked
from plm_lessons.tokenization import encode_documents, load_tokenizer
from plm_lessons.training.bert_batches import bert_pairs, mask_pairs
from plm_lessons.training.large_batches import Batch, accumulate_gradients
from plm_lessons.training.optimization import adamw

SEEDS = (0, 1, 2)  # of dropout
WINDOWS = 6  # parts of the curve, of equal length
ROWS, LENGTH = 32, 64
DOCUMENTS = 16  # per step; they make more rows than a step takes


def training_batches(steps: int) -> tuple[BertConfig, list[tuple[Batch, Batch]]]:
    """Return a small configuration, and batches of masked text in our form and in that of `transformers`."""
    tokenizer = load_tokenizer("wordpiece")
    generator = torch.Generator().manual_seed(0)
    texts = encode_documents(tokenizer, documents("wikipedia", "train")[: DOCUMENTS * steps])
    pairs = bert_pairs(texts, tokenizer, LENGTH, generator)
    masked = mask_pairs(pairs, tokenizer, generator)
    order, batches = torch.randperm(len(masked.labels), generator=generator), []
    for step in range(steps):
        rows = order[torch.arange(step * ROWS, (step + 1) * ROWS) % len(order)]
        common = {
            "input_ids": masked.input_ids[rows],
            "attention_mask": pairs.attention_mask[rows],
            "token_type_ids": pairs.token_type_ids[rows],
        }
        positions, labels = gather_masked(masked.labels[rows])
        ours = {**common, "masked_positions": positions, "labels": labels}
        batches.append((ours, {**common, "labels": masked.labels[rows]}))
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=LENGTH,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
    )
    return config, batches


def losses(
    config: BertConfig, batches: list[tuple[Batch, Batch]], seed: int, ours: bool, precision: str
) -> list[float]:
    """Return the loss of each step, with AdamW as in BERT; the seed fixes dropout, and weights are always the same."""
    model: Any = BertForMaskedLM(config)
    if not ours:
        model = as_transformers(model)
    optimizer = adamw(model.train(), 5e-4)
    torch.manual_seed(seed)
    found = []
    for our_batch, their_batch in batches:
        if ours:
            found.append(accumulate_gradients(model, [our_batch], precision)["loss"])
        else:
            loss = model(**their_batch).loss
            loss.backward()
            found.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    return found


def compare_curves(steps: int, precision: str = "auto") -> dict[str, Any]:
    """Return the losses of all steps, by side and dropout seed; `precision` is that of ours, see `mixed_precision`."""
    config, batches = training_batches(steps)
    return {
        side: {seed: losses(config, batches, seed, side == "ours", precision) for seed in SEEDS}
        for side in ("ours", "transformers")
    }


def curves_table(found: dict[str, Any]) -> str:
    """Return a table: mean losses of parts of the curve, mean and deviation over the seeds, and their difference."""
    lines = [
        "| steps | loss, ours | loss, transformers | difference | in standard errors |",
        "| :-- | --: | --: | --: | --: |",
    ]
    steps = len(found["ours"][SEEDS[0]])
    edges = [steps * part // WINDOWS for part in range(WINDOWS + 1)]
    for first, last in zip(edges, edges[1:], strict=False):
        if first == last:
            continue
        means = {side: [statistics.mean(found[side][seed][first:last]) for seed in SEEDS] for side in found}
        middle = {side: statistics.mean(values) for side, values in means.items()}
        spread = {side: statistics.stdev(values) for side, values in means.items()}
        difference = middle["ours"] - middle["transformers"]
        error = ((spread["ours"] ** 2 + spread["transformers"] ** 2) / len(SEEDS)) ** 0.5
        cells = [f"{middle[side]:.4f} ± {spread[side]:.4f}" for side in ("ours", "transformers")]
        lines.append(
            f"| {first + 1}-{last} | {cells[0]} | {cells[1]} | {difference:+.4f} | {difference / error:+.1f} |"
        )
    return "\n".join(lines)
