"""One record of everything that determines a pre-trained model, and the recipes of the book's tiny models.

Letters: B batch, S sequence length.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plm_lessons.checks import check_number, check_whole
from plm_lessons.training.optimization import share_of_peak


@dataclass(frozen=True)
class Recipe:
    """How a model is pre-trained. Together with the text, and up to the machine's rounding, it fixes the weights.

    Attributes:
        family: One of `families.FAMILIES`.
        tokenizer: The name of a tokenizer of the book, or the path of a `tokenizer.json`.
        model: Fields of the family's configuration. Those that follow from tokenizer and `max_length` are filled in.
        steps: The number of updates of the weights.
        batch_size: B, the number of rows in a batch.
        accumulation_steps: The number of batches for an update.
        max_length: S. For T5 the length of the inputs of span corruption.
        short_epochs: In this many first passes over the text, rows have only `short_length` tokens, and batches have
            proportionally more rows. Attention is cheaper there, and nearby context is learnt sooner. (BERT used 128
            tokens in the first nine tenths of the steps, then 512 to learn the later positions.)
        short_length: See `short_epochs`; 0 if there is no such pass.
        learning_rate, warmup_steps, schedule, cooldown_steps: See `optimization.share_of_peak`. For T5 the learning
            rate is relative: see `optimization.adafactor`.
        weight_decay: The weight decay of AdamW.
        max_gradient_norm: A gradient with a larger norm is scaled down to this norm.
        task_share: T5 only: the share of rows that are tasks as text to text (`objectives.text_to_text.TASKS`) instead
            of span corruption. It requires the text of the book, because the tasks are made from it.
        late_task_share, late_steps: In the last `late_steps` steps, `late_task_share` replaces `task_share`.
        task_limit: A task counts as having at most this many examples: see `objectives.mixing.mixing_rates`.
        seed: Fixes the initial weights, pairs, masks, the order of the rows, and dropout.
    """

    family: str
    tokenizer: str
    model: dict[str, Any] = field(default_factory=dict)
    steps: int = 1000
    batch_size: int = 32
    accumulation_steps: int = 1
    max_length: int = 128
    short_epochs: int = 0
    short_length: int = 0
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    schedule: str = "linear"
    cooldown_steps: int = 0
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    task_share: float = 0.0
    late_task_share: float = 0.0
    late_steps: int = 0
    task_limit: int = 8192
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulation_steps", "max_length", "task_limit"):
            check_whole(name, getattr(self, name), least=1)
        for name in ("warmup_steps", "cooldown_steps", "late_steps"):
            check_whole(name, getattr(self, name), most=self.steps, why=" = steps")
        for name in ("learning_rate", "max_gradient_norm"):
            check_number(name, getattr(self, name), 0, above=True)
        check_number("weight_decay", self.weight_decay, 0)
        for name in ("task_share", "late_task_share"):
            check_number(name, getattr(self, name), 0, 1)
        check_whole("seed", self.seed, most=2**31 - 1)
        check_whole("short_epochs", self.short_epochs)
        if self.short_epochs:
            check_whole("short_length", self.short_length, least=1, most=self.max_length, why=" = max_length")
        self.learning_rate_of(1)  # refuses an impossible schedule
        for name, value in vars(self).items():
            if isinstance(value, np.generic):  # which neither JSON nor torch's generators accept
                object.__setattr__(self, name, value.item())

    def learning_rate_of(self, step: int) -> float:
        """Return the learning rate of a step; steps are counted from 1."""
        share = share_of_peak(step - 1, self.warmup_steps, self.steps, self.schedule, self.cooldown_steps)
        return self.learning_rate * share

    def of_epoch(self, epoch: int) -> Recipe:
        """Return the recipe for a pass over the text, counted from 0: see `short_epochs`."""
        if epoch >= self.short_epochs:
            return self
        rows = self.batch_size * self.max_length // self.short_length
        return dataclasses.replace(self, max_length=self.short_length, batch_size=rows, short_epochs=0)

    def with_steps(self, steps: int) -> Recipe:
        """Return the recipe for more or fewer steps; warm-up and the other parts keep their shares, rounded down."""
        check_whole("steps", steps, least=1)
        names = ("warmup_steps", "cooldown_steps", "late_steps", "short_epochs")
        return dataclasses.replace(
            self, steps=steps, **{name: getattr(self, name) * steps // self.steps for name in names}
        )


# The spread of the initial weights is larger than BERT's 0.02, which is meant for wider layers. There is no dropout,
# because models this small are far from knowing the text by heart.
_TINY = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "initializer_range": 0.08,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}

# Most steps read short rows. How many passes over the text these make depends on what a family puts in a row.
_SHORT_FIRST: dict[str, Any] = {"steps": 12000, "warmup_steps": 200, "learning_rate": 2e-3, "short_length": 32}

SHIPPED: dict[str, Recipe] = {
    "bert": Recipe("bert", "wordpiece", _TINY, short_epochs=12, **_SHORT_FIRST),
    "roberta": Recipe("roberta", "byte_level_bpe", _TINY, short_epochs=8, **_SHORT_FIRST),
    "albert": Recipe(
        "albert",
        "unigram",
        _TINY | {"embedding_size": 64, "classifier_dropout_prob": 0.1},
        short_epochs=24,
        **_SHORT_FIRST,
    ),
    "t5": Recipe(
        "t5",
        "t5_unigram",
        {"d_model": 128, "d_kv": 32, "d_ff": 512, "num_layers": 3, "num_heads": 4, "dropout_rate": 0.1},
        steps=9600,
        batch_size=64,
        max_length=64,
        learning_rate=0.02,
        warmup_steps=0,
        schedule="constant",
        cooldown_steps=3200,
        task_share=0.5,
        late_task_share=0.75,
        late_steps=3200,
    ),
}
"""The recipes of the models in `plm_lessons/checkpoints`, which are also the defaults of the command line."""
