"""The shape of a BERT, and the shapes that were published.

Letters: H hidden size, A heads, F intermediate size, L layers, V vocabulary, C number of labels.

Source: Devlin et al., arXiv:1810.04805v2, section 3; google-research/bert, `BertConfig` in modeling.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from plm_lessons.checks import check_choice
from plm_lessons.layers.activations import ACTIVATIONS
from plm_lessons.models.configuration import ModelConfig


def _size(layers: int, hidden: int, heads: int, **more: Any) -> dict[str, Any]:
    """In every published BERT the feed-forward network is four times as wide as the rest."""
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        **more,
    }


@dataclass(frozen=True)
class BertConfig(ModelConfig):
    """The shape of a BERT; the defaults are those of bert-base-uncased.

    Attributes:
        vocab_size: V, the number of word pieces.
        hidden_size: H, the size of every token's vector between layers.
        num_hidden_layers: L.
        num_attention_heads: A, a divisor of H.
        intermediate_size: F, the inner size of the feed-forward network.
        hidden_act: Activation of the feed-forward networks and the masked-LM head: "gelu" is the exact (erf) form,
            "gelu_new" the tanh form; see `layers.activations`.
        hidden_dropout_prob: Dropout on the embeddings and on the output of each sub-layer.
        attention_probs_dropout_prob: Dropout on the attention weights.
        max_position_embeddings: The longest sequence: rows of the position table.
        type_vocab_size: Number of segments.
        initializer_range: Standard deviation of the initial weights.
        layer_norm_eps: Added to the variance in a layer norm.
        pad_token_id: The padding token; None if there is none. Its embedding gets no gradient as an input, but does
            from the masked-LM head, whose matrix is the same table: it learns that the token is never the answer.
        position_embedding_type: "absolute" is BERT: one learned vector per position, added at the input.
            "relative_key" and "relative_key_query" are the two relative forms that `transformers` 4 offered for
            BERT (Huang et al. published models with them; version 5 dropped them); see `layers.positions`.
        classifier_dropout: Dropout before a classifier; None for `hidden_dropout_prob`.
        num_labels: C, the number of classes of a classification head.
        label_names: The names of the classes, `id2label` in `config.json`; () for LABEL_0, LABEL_1 and so on.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    position_embedding_type: str = "absolute"
    classifier_dropout: float | None = None
    num_labels: int = 2
    label_names: tuple[str, ...] = ()

    model_type: ClassVar[str] = "bert"
    published_sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "bert-base-uncased": {},
        "bert-base-cased": {"vocab_size": 28996},
        "bert-base-chinese": {"vocab_size": 21128},
        "bert-large-uncased": _size(24, 1024, 16),
        "bert-large-cased": _size(24, 1024, 16, vocab_size=28996),
        # The small BERTs of Turc et al. (arXiv:1908.08962).
        "bert-tiny": _size(2, 128, 2),
        "bert-mini": _size(4, 256, 4),
        "bert-small": _size(4, 512, 8),
        "bert-medium": _size(8, 512, 8),
    }

    @property
    def longest(self) -> int | None:
        """The largest number of tokens that a text may have, one for each row of the position table."""
        return self.max_position_embeddings

    def __post_init__(self) -> None:
        self._check_counts("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
        self._check_counts("intermediate_size", "max_position_embeddings", "type_vocab_size", "num_labels")
        self._check_label_names(self.label_names, self.num_labels)
        self._check_divides("num_attention_heads", "hidden_size")
        self._check_range(0.0, 1.0, "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps")
        self._check_range(0.0, float("inf"), "initializer_range")
        if self.classifier_dropout is not None:
            self._check_range(0.0, 1.0, "classifier_dropout")
        self._check_token("pad_token_id")
        check_choice("hidden_act", self.hidden_act, ACTIVATIONS)
        kinds = ("absolute", "relative_key", "relative_key_query")
        check_choice("position_embedding_type", self.position_embedding_type, kinds)
