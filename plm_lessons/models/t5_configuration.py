"""The shape of a T5, by the field names of its `config.json`.

Letters: H hidden size (d_model), A heads (num_heads), D head size (d_kv), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from plm_lessons.checks import check_choice, check_whole
from plm_lessons.layers.activations import ACTIVATIONS
from plm_lessons.models.configuration import BOOKKEEPING, FIXED, ModelConfig


def _size(layers: int, hidden: int, heads: int, inner: int, head_size: int = 64) -> dict[str, Any]:
    """v1.0; encoder and decoder are equally deep."""
    return {"num_layers": layers, "d_model": hidden, "num_heads": heads, "d_ff": inner, "d_kv": head_size}


def _size_v1_1(layers: int, hidden: int, heads: int, inner: int) -> dict[str, Any]:
    """v1.1: gated feed-forward networks, and a separate output matrix."""
    return _size(layers, hidden, heads, inner) | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


@dataclass(frozen=True)
class T5Config(ModelConfig):
    """The shape of a T5; the defaults are those of t5-small, and the names those of its `config.json`.

    Where None means another field's value, it is replaced by that value at once. So `dataclasses.replace(config,
    num_layers=2)` leaves the decoder as deep as it was.

    Attributes:
        vocab_size: V. 32,000 word pieces and 100 sentinels, rounded up to a multiple of 128.
        d_model: H, the size of every token's vector between layers.
        d_kv: D, the size of a head; A * D need not equal H.
        d_ff: The inner size of the feed-forward network.
        num_layers: Layers of the encoder.
        num_decoder_layers: Layers of the decoder; None for as many as the encoder has.
        num_heads: A.
        relative_attention_num_buckets, relative_attention_max_distance: See `relative_position_bucket`.
        dropout_rate: Dropout on the embeddings, on the output of each sub-layer and of each stack, on attention
            weights, and inside the feed-forward network.
        layer_norm_epsilon: Added to the mean square in a norm.
        initializer_factor: Multiplies the standard deviations of the initial weights.
        feed_forward_proj: An activation ("relu": v1.0), or "gated-" and an activation. "gated-gelu" (v1.1) means the
            tanh form of GELU, which is called "gelu_new" elsewhere.
        pad_token_id: The padding token.
        eos_token_id: The token that ends a text; None if there is none.
        decoder_start_token_id: What the decoder reads first; None for the padding token.
        tie_word_embeddings: Whether the output matrix is the embedding (v1.0) or a separate one (v1.1).
        scale_decoder_outputs: Whether the decoder's output is divided by sqrt(H) before the output matrix; None for
            `tie_word_embeddings`. `transformers` 5 can also make a tied model that does not scale.
    """

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int = None  # type: ignore[assignment]  # a number once the configuration is made
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    initializer_factor: float = 1.0
    feed_forward_proj: str = "relu"
    pad_token_id: int = 0
    eos_token_id: int | None = 1
    decoder_start_token_id: int = None  # type: ignore[assignment]
    tie_word_embeddings: bool = True
    scale_decoder_outputs: bool = None  # type: ignore[assignment]

    model_type: ClassVar[str] = "t5"
    published_sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "t5-small": _size(6, 512, 8, 2048),
        "t5-base": _size(12, 768, 12, 3072),
        "t5-large": _size(24, 1024, 16, 4096),
        "t5-3b": _size(24, 1024, 32, 16384, head_size=128),
        "t5-11b": _size(24, 1024, 128, 65536, head_size=128),
        "google/t5-v1_1-small": _size_v1_1(8, 512, 6, 1024),
        "google/t5-v1_1-base": _size_v1_1(12, 768, 12, 2048),
        "google/t5-v1_1-large": _size_v1_1(24, 1024, 16, 2816),
        "google/t5-v1_1-xl": _size_v1_1(24, 2048, 32, 5120),
        "google/t5-v1_1-xxl": _size_v1_1(24, 4096, 64, 10240),
    }
    # T5 has no longest sequence (`n_positions` is the length used in pre-training) and, here, no classifier.
    bookkeeping: ClassVar[frozenset[str]] = (BOOKKEEPING - {"eos_token_id"}) | {
        "classifier_dropout",
        "n_positions",
        "task_specific_params",
    }
    fixed: ClassVar[dict[str, Any]] = {
        **{name: value for name, value in FIXED.items() if name != "tie_word_embeddings"},
        "is_encoder_decoder": True,
    }

    def __post_init__(self) -> None:
        for name, default in (
            ("num_decoder_layers", self.num_layers),
            ("decoder_start_token_id", self.pad_token_id),
            ("scale_decoder_outputs", self.tie_word_embeddings),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)  # the way to set a field of a frozen dataclass
        self._check_counts("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads")
        buckets, distance = self.relative_attention_num_buckets, self.relative_attention_max_distance
        check_whole("relative_attention_num_buckets", buckets, least=4)
        why = f", more than {buckets // 2}, half of relative_attention_num_buckets"
        check_whole("relative_attention_max_distance", distance, least=buckets // 2 + 1, why=why)
        self._check_range(0.0, 1.0, "dropout_rate", "layer_norm_epsilon")
        self._check_range(0.0, float("inf"), "initializer_factor")
        networks = (*ACTIVATIONS, *(f"gated-{name}" for name in ACTIVATIONS))
        check_choice("feed_forward_proj", self.feed_forward_proj, networks)
        for name in ("tie_word_embeddings", "scale_decoder_outputs"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r}: must be True or False")
        self._check_token("pad_token_id", "eos_token_id", "decoder_start_token_id")
        if self.pad_token_id is None:
            raise ValueError("pad_token_id=None: must be an id: it pads, and by default the decoder starts with it")

    @property
    def is_gated_act(self) -> bool:
        """Whether the feed-forward networks are gated."""
        return self.feed_forward_proj.startswith("gated-")

    @property
    def dense_act_fn(self) -> str:
        """The activation of the feed-forward networks, as `layers.activations` calls it."""
        return "gelu_new" if self.feed_forward_proj == "gated-gelu" else self.feed_forward_proj.removeprefix("gated-")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> T5Config:
        """Build as for every family; what `transformers` derives from `feed_forward_proj` must agree with it."""
        derived = ("is_gated_act", "dense_act_fn")
        config = super().from_dict({name: value for name, value in values.items() if name not in derived})
        for name in derived:
            if values.get(name, getattr(config, name)) != getattr(config, name):
                raise ValueError(
                    f"{name}={values[name]!r}: must agree with feed_forward_proj={config.feed_forward_proj!r}"
                )
        return config
