"""ALBERT: BERT with fewer parameters for the same shape, and a different question about pairs of segments.

- Factorised embedding: the tables are E wide, and a linear map takes their sum from E to H: `AlbertEmbeddings`.
- Cross-layer parameter sharing: the same layer is applied L times: `AlbertModel`. This saves memory, not work: L layers
  are still computed (see `costs`).
- Sentence-order prediction (SOP) in place of next-sentence prediction: `AlbertForPreTraining`.

Letters: B batch, S sequence length, H hidden size, E embedding size, L layers, V vocabulary, P positions predicted,
C number of labels.

References:
    [paper] Lan et al., arXiv:1909.11942v6.
    [code]  google-research/albert, modeling.py and run_pretraining.py at commit b772393.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from plm_lessons.checks import check_choice
from plm_lessons.layers.dropout import Dropout
from plm_lessons.models.bert import BertEmbeddings, BertLayer, BertModel, BertPretrainedModel
from plm_lessons.models.bert_configuration import BertConfig
from plm_lessons.models.configuration import FIXED
from plm_lessons.models.heads import class_loss
from plm_lessons.models.outputs import ModelOutput
from plm_lessons.models.tasks import (
    MaskedLMModel,
    PreTrainingModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TokenClassificationModel,
)


@dataclass(frozen=True)
class AlbertConfig(BertConfig):
    """The shape of an ALBERT: the fields of `BertConfig` and some more.

    The defaults are those of `transformers`, which omits a field from `config.json` when it has its default; together
    they describe albert-xxlarge-v2.

    Attributes:
        embedding_size: E, the width of the tables of words, positions and segments.
        num_hidden_groups: Number of groups of successive layers; a group's layers share their parameters.
        inner_group_num: Number of different layers in a group. All of them are applied where BERT has one layer, so
            that the network has `num_hidden_layers * inner_group_num` layers.
        classifier_dropout_prob: Dropout before a classifier, including that of sentence order.
        shared_parameters: What the layers of a group share ([paper] table 4): "all" is ALBERT; "attention" or
            "feed_forward" shares only that sub-layer and its norm; "none" gives each layer parameters of its own.
        embedding_mapping: "always" is what `transformers` does; "when_sizes_differ" omits the map from E to H if
            E = H, as [code] does.
    """

    vocab_size: int = 30000
    embedding_size: int = 128
    hidden_size: int = 4096
    num_hidden_groups: int = 1
    inner_group_num: int = 1
    num_attention_heads: int = 64
    intermediate_size: int = 16384
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    classifier_dropout_prob: float = 0.1
    shared_parameters: str = "all"
    embedding_mapping: str = "always"

    # BERT's name for `classifier_dropout_prob`, only for reading: it is not a field of ALBERT.
    classifier_dropout: ClassVar[property] = property(lambda config: config.classifier_dropout_prob)  # type: ignore[misc]

    model_type: ClassVar[str] = "albert"
    # Experiments of the authors that released files still name; no released model makes use of them.
    fixed: ClassVar[dict[str, Any]] = {
        **FIXED,
        "down_scale_factor": 1,
        "gap_size": 0,
        "layers_to_keep": [],
        "net_structure_type": 0,
        "num_memory_blocks": 0,
    }
    # Version 1 was trained with dropout except for the largest size, version 2 without it (google-research/albert,
    # issue 23). All were trained with the tanh form of GELU, whatever a file's `hidden_act` says (transformers, issue
    # 2395). For xlarge [paper] section 3.1 implies 32 heads; the released file says 16.
    published_sizes: ClassVar[dict[str, dict[str, Any]]] = {
        f"albert-{name}-{version}": {
            "num_hidden_layers": layers,
            "hidden_size": hidden,
            "num_attention_heads": heads,
            "intermediate_size": 4 * hidden,
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
        }
        for name, layers, hidden, heads in (
            ("base", 12, 768, 12),
            ("large", 24, 1024, 16),
            ("xlarge", 24, 2048, 16),
            ("xxlarge", 12, 4096, 64),
        )
        for version, dropout in (("v1", 0.0 if name == "xxlarge" else 0.1), ("v2", 0.0))
    }

    def __post_init__(self) -> None:
        self._check_range(0.0, 1.0, "classifier_dropout_prob")
        super().__post_init__()
        self._check_counts("embedding_size", "num_hidden_groups", "inner_group_num")
        if self.num_hidden_groups > self.num_hidden_layers:
            raise ValueError(
                f"num_hidden_groups={self.num_hidden_groups}: must be at most num_hidden_layers="
                f"{self.num_hidden_layers}, since otherwise some groups have no layer"
            )
        check_choice("shared_parameters", self.shared_parameters, ("all", "attention", "feed_forward", "none"))
        check_choice("embedding_mapping", self.embedding_mapping, ("always", "when_sizes_differ"))

    @property
    def maps_embeddings(self) -> bool:
        """Whether there is a linear map between the embeddings and the layers."""
        return self.embedding_mapping == "always" or self.embedding_size != self.hidden_size

    @property
    def group_of_layer(self) -> list[int]:
        """The group number of each of the L layers."""
        # This order of operations matters, because rounding decides in some cases. With 18 layers in 14 groups, [code]
        # (`number / layers * groups`) and exact arithmetic begin a group at another layer than `transformers`.
        layers_per_group = self.num_hidden_layers / self.num_hidden_groups
        return [int(number / layers_per_group) for number in range(self.num_hidden_layers)]

    def to_dict(self) -> dict[str, Any]:
        """The contents of a `config.json` that both `from_dict` and `transformers` read.

        Layers that share nothing are written as groups of one layer.

        Raises:
            ValueError: `transformers` has no such model.
        """
        values = super().to_dict()
        if values.pop("shared_parameters") not in ("all", "none"):
            raise ValueError(
                f"shared_parameters={self.shared_parameters!r}: cannot be saved: transformers has only 'all' and 'none'"
            )
        if values.pop("embedding_mapping") != "always" and not self.maps_embeddings:
            raise ValueError(
                f"embedding_mapping={self.embedding_mapping!r}: cannot be saved where embedding_size = hidden_size = "
                f"{self.hidden_size}: transformers has only 'always'"
            )
        if self.shared_parameters == "none":
            values["num_hidden_groups"] = self.num_hidden_layers
        return values


class AlbertEmbeddings(BertEmbeddings):
    """Factorised embedding: like BERT's but E wide, then mapped to H ([paper] section 3.1, [code] L1083-1086).

    V * H parameters become V * E + E * H. The embedding of a piece carries no context but a hidden state
    does, so it pays to make only the hidden state wide.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, config.embedding_size)
        size = config.embedding_size, config.hidden_size
        self.mapping = nn.Linear(*size) if config.maps_embeddings else nn.Identity()

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """[B, S] and [B, S] -> [B, S, H]."""
        return self.mapping(super().forward(input_ids, token_type_ids))


class AlbertGroup(nn.Module):
    """The parameters that the layers of a group share: `inner_group_num` different layers, one in ALBERT."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.inner_group_num))


class AlbertPretrainedModel(BertPretrainedModel):
    """How the published checkpoints of ALBERT name things."""

    config: AlbertConfig
    config_class = AlbertConfig
    encoder_name = "albert"
    checkpoint_names: ClassVar[tuple[tuple[str, str], ...]] = (
        ("embeddings.norm.", "embeddings.LayerNorm."),
        ("embeddings.mapping.", "encoder.embedding_hidden_mapping_in."),
        ("groups.", "encoder.albert_layer_groups."),
        (".layers.", ".albert_layers."),
        ("attention.position_scores.", "attention."),
        ("attention.output.", "attention.dense."),
        ("attention_norm.", "attention.LayerNorm."),
        ("feed_forward.expand.", "ffn."),
        ("feed_forward.contract.", "ffn_output."),
        ("feed_forward_norm.", "full_layer_layer_norm."),
        ("pooler.dense.", "pooler."),
        ("masked_lm_head.transform.", "predictions.dense."),
        ("masked_lm_head.norm.", "predictions.LayerNorm."),
        ("masked_lm_head.", "predictions."),
        ("sentence_order_head.", "sop_classifier.classifier."),
    )
    head_names = ("albert.pooler.", "predictions.", "sop_classifier.", "classifier.", "qa_outputs.")
    copied_names = {
        "albert.embeddings.position_ids": None,  # 0, 1, 2, ...
        "albert.embeddings.position_embeddings.weight": None,  # present but not used when positions are relative
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    }


class AlbertModel(AlbertPretrainedModel, BertModel):
    """BERT's encoder with a factorised embedding and shared layers.

    Dropout is where the original code and BERT have it; `transformers` has none after the feed-forward network.
    """

    embeddings_class = AlbertEmbeddings

    def add_layers(self, config: AlbertConfig) -> None:  # type: ignore[override]
        """Cross-layer parameter sharing: make fewer layers than are applied ([paper] section 3.1, [code] L1089-1110).

        A layer that is applied at several places is one module: its parameters count once, and their gradients add up.
        """
        shared, owners = config.shared_parameters, config.group_of_layer
        # With "all", there is a module for each group of layers. Otherwise there is one for each layer, and the part
        # that a group shares is that of its first layer; `owners` holds the group number of each layer.
        groups = [AlbertGroup(config) for _ in (range(config.num_hidden_groups) if shared == "all" else owners)]
        self.groups = nn.ModuleList(groups)
        if shared in ("attention", "feed_forward"):
            for group, owner in zip(groups, owners, strict=True):
                first = groups[owners.index(owner)]
                for layer, original in zip(group.layers, first.layers, strict=True):
                    for part in (shared, f"{shared}_norm"):
                        setattr(layer, part, getattr(original, part))

    @property
    def layers(self) -> list[BertLayer]:  # type: ignore[override]
        """All layers in the order in which they are applied; a shared layer appears several times."""
        shared = self.config.shared_parameters == "all"
        order = self.config.group_of_layer if shared else range(self.config.num_hidden_layers)
        return [layer for number in order for layer in self.groups[number].layers]  # type: ignore[union-attr]


class AlbertForPreTraining(AlbertPretrainedModel, PreTrainingModel):
    """ALBERT with the two heads of its pre-training: masked language modelling and sentence-order prediction.

    SOP asks whether two consecutive segments are in their original order or were swapped. Both come from the same
    text, so the topic, which gives away most answers in next-sentence prediction, is no help ([paper] section 3.1).
    """

    encoder_class = AlbertModel

    def add_head(self, config: AlbertConfig) -> None:
        """Make the masked-LM head, and dropout and two scores for the pair: 0 is the original order, 1 is swapped.

        The dropout follows `transformers`, whose head has `num_labels` scores; [code] has none here.
        """
        if config.num_labels != 2:
            raise ValueError(f"num_labels={config.num_labels}: must be 2 in {type(self).__name__}, in order or swapped")
        super().add_head(config)
        self.dropout = Dropout(config.classifier_dropout_prob)
        self.sentence_order_head = nn.Linear(config.hidden_size, 2)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
        masked_positions: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        last_layer_everywhere: bool = True,
    ) -> ModelOutput:
        """Score the words and the order of the segments.

        Args:
            sentence_order_label: [B], 0 if the segments are in their original order, 1 if they were swapped.
            Others: As for `MaskedLMModel`.

        Returns:
            `prediction_logits` [B, S or P, V], `sop_logits` [B, 2], and `loss`, the sum of the two mean losses
            ([code] run_pretraining.py), or the one whose labels are given.
        """
        words = super().forward(
            input_ids, attention_mask, token_type_ids, labels, masked_positions, output_attentions,
            output_hidden_states, last_layer_everywhere,
        )  # fmt: skip
        assert words.pooler_output is not None
        order = self.sentence_order_head(self.dropout(words.pooler_output))
        loss = None
        if sentence_order_label is not None:
            loss = class_loss(order, sentence_order_label, "sentence_order_label")
        return self.combine(words, loss, sentence_order_loss=loss, sop_logits=order)


class AlbertForMaskedLM(AlbertPretrainedModel, MaskedLMModel):
    """ALBERT with the masked-language-modelling head, which maps H back to E before it scores the words."""

    encoder_class = AlbertModel


class AlbertForSequenceClassification(AlbertPretrainedModel, SequenceClassificationModel):
    """ALBERT with a linear classifier on the sequence's vector."""

    encoder_class = AlbertModel


class AlbertForTokenClassification(AlbertPretrainedModel, TokenClassificationModel):
    """ALBERT with a linear classifier on every token's vector."""

    encoder_class = AlbertModel


class AlbertForQuestionAnswering(AlbertPretrainedModel, QuestionAnsweringModel):
    """ALBERT with a head that marks where in the text the answer starts and ends."""

    encoder_class = AlbertModel
