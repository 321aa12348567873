"""What a BERT, a RoBERTa or an ALBERT of any size costs: parameters, multiply-adds, memory in training.

ALBERT (arXiv 1909.11942, section 3.1) saves parameters in two ways: its layers share theirs, and its embeddings are E
wide and mapped to H. Neither saves work in the layers. The counts are those of `plm_lessons.models.costs`, restated
here and in the page so that a widget needs neither torch nor a model.

Letters: B batch, S sequence length, H hidden size, E embedding size.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import traitlets

from plm_lessons.widgets.base import Checked, LessonWidget, OneOf, Whole, WidgetValueError
from plm_lessons.widgets.picture import Drawing, figure, table

VIEWS = ("parts", "models", "embedding", "memory")
SHARED = ("all", "attention", "feed_forward", "none")
HEADS = ("none", "masked_lm")
TEXT: dict[str, Any] = {
    "title": "Model sizes",
    "work": "multiply-adds per token, in millions",
    "parameters": "parameters, in millions",
    "key": ((0, "BERT"), (1, "ALBERT"), (2, "RoBERTa"), (5, "here")),
    "here": "here",
    "total": "Total",
    "per token": "Multiply-adds per token",
    "memory": "Memory in training (1 GB is 10\u2079 bytes)",
    "live": "This picture shows the first state. With JavaScript, every size can be changed.",
}


class Sizes(NamedTuple):
    """What the counts depend on, besides the lengths."""

    vocab_size: int
    embedding_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    shared_parameters: str
    dropout: bool
    max_position_embeddings: int = 512
    type_vocab_size: int = 2


# The same eight as PUBLISHED in model_sizes.js. ALBERT's are those of version 2, which was trained without dropout.
PUBLISHED = {
    "BERT base": Sizes(30522, 768, 768, 12, 12, "none", True),
    "BERT large": Sizes(30522, 1024, 1024, 24, 16, "none", True),
    "RoBERTa base": Sizes(50265, 768, 768, 12, 12, "none", True, 514, 1),
    "RoBERTa large": Sizes(50265, 1024, 1024, 24, 16, "none", True, 514, 1),
    "ALBERT base": Sizes(30000, 128, 768, 12, 12, "all", False),
    "ALBERT large": Sizes(30000, 128, 1024, 24, 16, "all", False),
    "ALBERT xlarge": Sizes(30000, 128, 2048, 24, 16, "all", False),
    "ALBERT xxlarge": Sizes(30000, 128, 4096, 12, 64, "all", False),
}


def count_parameters(sizes: Sizes, intermediate_size: int, head: str) -> dict[str, int]:
    """The number of parameters of each part; there is a map from E to H only where they differ."""
    width, hidden, inner, words = sizes.embedding_size, sizes.hidden_size, intermediate_size, head == "masked_lm"
    attentions, feed_forwards = (
        1 if sizes.shared_parameters in ("all", part) else sizes.num_hidden_layers
        for part in ("attention", "feed_forward")
    )
    return {
        "word embeddings": sizes.vocab_size * width,
        "position and segment embeddings": (sizes.max_position_embeddings + sizes.type_vocab_size) * width,
        "embedding mapping": (width != hidden) * (width * hidden + hidden),
        "attention": attentions * 4 * (hidden * hidden + hidden),
        "feed-forward": feed_forwards * (2 * hidden * inner + inner + hidden),
        "layer norms": 2 * width + (attentions + feed_forwards) * 2 * hidden,
        "pooler": (not words) * (hidden * hidden + hidden),
        "masked-LM head": words * (hidden * width + 3 * width + sizes.vocab_size),
    }


def count_multiply_adds(sizes: Sizes, intermediate_size: int, head: str, length: int, predicted: int) -> int:
    """Multiply-adds of a forward pass over one sequence, with the words scored at `predicted` of its positions."""
    width, hidden, words = sizes.embedding_size, sizes.hidden_size, head == "masked_lm"
    layer = length * (4 * hidden * hidden + 2 * length * hidden + 2 * hidden * intermediate_size)
    scores = predicted * (hidden * width + width * sizes.vocab_size) if words else hidden * hidden
    return (width != hidden) * length * width * hidden + sizes.num_hidden_layers * layer + scores


def activation_bytes(sizes: Sizes, intermediate_size: int, head: str, batch: int, length: int, predicted: int) -> int:
    """Bytes that the forward pass of a training step keeps for the backward pass, with GELU and dropout as in BERT."""
    width, hidden, layers, words = sizes.embedding_size, sizes.hidden_size, sizes.num_hidden_layers, head == "masked_lm"
    tokens, scored = batch * length, batch * predicted
    weights = layers * sizes.num_attention_heads * tokens * length
    masks = sizes.dropout * (tokens * (width + layers * 2 * hidden) + weights)
    numbers = (
        (width != hidden) * tokens * width
        + layers * tokens * (6 * hidden + 2 * intermediate_size + 2 * (hidden + 2))
        + tokens * (width + 2 + hidden)
        + weights * (1 + sizes.dropout)
        + (scored * (hidden + 3 * width + 2 + sizes.vocab_size) if words else batch * hidden)
    )
    return 4 * numbers + masks


def amount(count: float, unit: str = "") -> str:
    """An amount as the page writes it: four digits and k, M, G or T, or a whole number below a thousand."""
    rounded = float(f"{count:.3e}") if count >= 1000 else math.floor(count + 0.5)
    power = sum(rounded >= 1000**power for power in (1, 2, 3, 4))
    digits = f"{rounded / 1000**power:#.4g}" if power else str(rounded)
    return f"{digits}\u00a0{('', *'kMGT')[power]}{unit}".strip()


class _Switch(Checked):
    """True or False."""

    def validate(self, obj: Any, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refuse(obj, value)
        return value


class ModelSizesWidget(LessonWidget):
    """Sizes on sliders, what they cost, and how the published models compare.

    Args:
        view: "parts" (parameters by part), "models" (parameters against work), "embedding" (parameters for each E) or
            "memory" (bytes of a training step).
        vocab_size, embedding_size, hidden_size: as in `AlbertConfig`; with E = H there is no map between them, as in
            BERT.
        num_hidden_layers, num_attention_heads, intermediate_size: as there; the heads must divide `hidden_size`.
        max_position_embeddings, type_vocab_size: as there.
        shared_parameters: what all layers share: "all", "attention", "feed_forward" or "none".
        dropout: whether the model is trained with dropout, which keeps masks.
        head: "none" (encoder with pooler) or "masked_lm", which scores the words at 15% of the positions.
        sequence_length: S, at most `max_position_embeddings`.
        batch_size: B.

    Raises:
        ValueError: for any other value; also when a trait is set later. Traits that must agree are set together inside
            `with widget.hold_trait_notifications():`.
    """

    name = "model_sizes"
    fields = ("view", *Sizes._fields, "intermediate_size", "head", "sequence_length", "batch_size")

    view = OneOf(VIEWS)
    vocab_size = Whole(1_000_000, least=1)
    embedding_size = Whole(16_384, least=1)
    hidden_size = Whole(16_384, least=1)
    num_hidden_layers = Whole(96, least=1)
    num_attention_heads = Whole(256, least=1)
    shared_parameters = OneOf(SHARED)
    dropout = _Switch("True or False")
    max_position_embeddings = Whole(8192, least=1)
    type_vocab_size = Whole(16, least=1)
    intermediate_size = Whole(131_072, least=1)
    head = OneOf(HEADS)
    sequence_length = Whole(8192, least=1)
    batch_size = Whole(16_384, least=1)

    def __init__(
        self,
        view: str = "models",
        vocab_size: int = 30_000,
        embedding_size: int = 128,
        hidden_size: int = 4096,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 64,
        shared_parameters: str = "all",
        dropout: bool = False,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        intermediate_size: int = 16_384,
        head: str = "none",
        sequence_length: int = 512,
        batch_size: int = 8,
    ) -> None:
        super().__init__(
            view=view,
            vocab_size=vocab_size,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_hidden_layers=num_hidden_layers,
            num_attention_heads=num_attention_heads,
            shared_parameters=shared_parameters,
            dropout=dropout,
            max_position_embeddings=max_position_embeddings,
            type_vocab_size=type_vocab_size,
            intermediate_size=intermediate_size,
            head=head,
            sequence_length=sequence_length,
            batch_size=batch_size,
        )

    @traitlets.validate("hidden_size", "num_attention_heads")
    def _heads_divide(self, proposal: Any) -> int:
        name, value = proposal.trait.name, int(proposal.value)
        hidden = value if name == "hidden_size" else self.hidden_size
        heads = value if name == "num_attention_heads" else self.num_attention_heads
        if hidden % heads:
            rule = f"a multiple of num_attention_heads = {heads}"
            rule = rule if name == "hidden_size" else f"a divisor of hidden_size = {hidden}"
            raise WidgetValueError(f"{type(self).__name__}.{name} must be {rule}, got {value}")
        return value

    @traitlets.validate("sequence_length", "max_position_embeddings")
    def _sequence_fits(self, proposal: Any) -> int:
        name, value = proposal.trait.name, int(proposal.value)
        if name == "sequence_length" and value > self.max_position_embeddings:
            rule = f"at most max_position_embeddings = {self.max_position_embeddings}"
        elif name == "max_position_embeddings" and value < self.sequence_length:
            rule = f"at least sequence_length = {self.sequence_length}"
        else:
            return value
        raise WidgetValueError(f"{type(self).__name__}.{name} must be {rule}, got {value}")

    @property
    def sizes(self) -> Sizes:
        """The sizes as one record."""
        return Sizes(*(getattr(self, field) for field in Sizes._fields))

    def counts(self, sizes: Sizes, intermediate_size: int) -> tuple[dict[str, int], float]:
        """The parameters of each part and the multiply-adds per token, with this widget's head and length."""
        length = self.sequence_length
        predicted = max(1, round(0.15 * length))
        work = count_multiply_adds(sizes, intermediate_size, self.head, length, predicted)
        return count_parameters(sizes, intermediate_size, self.head), work / length

    def training_bytes(self) -> int:
        """Bytes of a training step with Adam in float32: 16 per parameter, 4 per activation, 1 per place in a mask."""
        parameters = sum(count_parameters(self.sizes, self.intermediate_size, self.head).values())
        length, predicted = self.sequence_length, max(1, round(0.15 * self.sequence_length))
        kept = activation_bytes(self.sizes, self.intermediate_size, self.head, self.batch_size, length, predicted)
        return 16 * parameters + kept

    def picture(self) -> str:
        parts, work = self.counts(self.sizes, self.intermediate_size)
        total = sum(parts.values())
        points = {name: self.counts(sizes, 4 * sizes.hidden_size) for name, sizes in PUBLISHED.items()}
        marks = [({"B": 0, "A": 1, "R": 2}[name[0]], sum(p.values()) / 1e6, w / 1e6) for name, (p, w) in points.items()]
        marks.append((5, total / 1e6, work / 1e6))
        works = [w for _, _, w in marks]
        across, up = (0.8 * min(10.0, *works), 1.2 * max(1e4, *works)), (0.0, 1.1 * max(p for _, p, _ in marks))
        drawing = Drawing(across, up, TEXT["work"], TEXT["parameters"], TEXT["key"], log_x=True)
        for kind, parameters, multiply_adds in marks:
            drawing.mark(multiply_adds, parameters, kind)
        label = f"{TEXT['here']}: {amount(total)} parameters, {amount(work)} multiply-adds per token. " + "; ".join(
            f"{name}: {amount(sum(p.values()))}, {amount(w)}" for name, (p, w) in points.items()
        )
        rows = [(part, amount(count)) for part, count in parts.items()]
        rows += [(TEXT["total"], amount(total)), (TEXT["per token"], amount(work))]
        rows.append((TEXT["memory"], amount(self.training_bytes(), "B")))
        return figure(TEXT["title"], drawing.image(label), table(rows), TEXT["live"])
