"""A short training that `test_large_batches.py` runs in its own process, and under `torchrun` in two that share it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torch import distributed

from plm_lessons import BertConfig, BertForPreTraining, RobertaConfig, RobertaForMaskedLM
from plm_lessons.corpus import documents
from plm_lessons.tokenization import encode_documents, load_tokenizer
from plm_lessons.training.bert_batches import bert_batches
from plm_lessons.training.pretraining import pretrain
from plm_lessons.training.roberta_batches import roberta_batches, roberta_rows

SHAPE: dict[str, Any] = {
    "vocab_size": 8192,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 34,
    "initializer_range": 0.1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
STEPS = 3


def train(family: str, accumulation_steps: int) -> tuple[Any, list[dict[str, float]]]:
    """Three steps; each batch has eight rows and its own number of masked words."""
    tokenizer = load_tokenizer("byte_level_bpe" if family == "roberta" else "wordpiece")
    texts = encode_documents(tokenizer, documents("wikipedia", "train")[:40])
    if family == "roberta":
        model: Any = RobertaForMaskedLM(RobertaConfig(**SHAPE))
        batches = roberta_batches(roberta_rows(texts, tokenizer, 32), tokenizer, batch_size=8)
    else:
        model = BertForPreTraining(BertConfig(**SHAPE))
        batches = bert_batches(texts, tokenizer, max_length=32, batch_size=8)
    log = pretrain(
        model.double(),  # some machines compute float32 in bfloat16, which would hide small mistakes
        batches,
        steps=STEPS,
        learning_rate=1e-3,
        warmup_steps=1,
        accumulation_steps=accumulation_steps,
        progress=False,
    )
    return model, log


if __name__ == "__main__":
    family, folder = sys.argv[1], Path(sys.argv[2])
    distributed.init_process_group("gloo")
    trained, losses = train(family, accumulation_steps=2)
    trained.save_pretrained(folder / str(distributed.get_rank()))
    (folder / f"{distributed.get_rank()}.json").write_text(json.dumps(losses), encoding="utf8")
    distributed.destroy_process_group()
