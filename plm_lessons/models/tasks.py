"""An encoder with a head on top: pre-training and the tasks of fine-tuning, the same for every encoder family.

A family's model names its encoder and overrides only what it does differently:
`class BertForMaskedLM(BertPretrainedModel, MaskedLMModel): encoder_class = BertModel`.

Letters: B batch, S sequence length, H hidden size, V vocabulary, P positions predicted, C number of labels.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from plm_lessons.layers.dropout import Dropout
from plm_lessons.models.heads import MaskedLMHead, class_loss, gather_positions, sequence_loss, span_loss
from plm_lessons.models.outputs import ModelOutput
from plm_lessons.models.pretrained import PretrainedModel


class TaskModel(PretrainedModel):
    """An encoder, `self.encoder`, and a head.

    Args:
        config: The shape of the encoder, and `num_labels` of the head.
        generator: Draws the initial weights; seed 0 if None.
    """

    encoder_class: ClassVar[Any]
    needs_pooler: ClassVar[bool] = False

    def __init__(self, config: Any, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.encoder = self.encoder_class(config, generator, add_pooling_layer=self.needs_pooler)
        with torch.device("meta"):
            self.add_head(config)
        self.materialise(generator)

    def add_head(self, config: Any) -> None:
        """Make the modules on top of the encoder."""
        raise TypeError(f"{type(self).__name__} has no head: use one of its subclasses")


class MaskedLMModel(TaskModel):
    """Predicts the words at masked positions."""

    training_arguments = {"last_layer_everywhere": False}

    def add_head(self, config: Any) -> None:
        """Make the masked-LM head, whose output matrix is the embedding of the words."""
        size = self.encoder.embeddings.word_embeddings.embedding_dim  # H, except in ALBERT
        self.masked_lm_head = MaskedLMHead(
            config.hidden_size, size, config.vocab_size, config.hidden_act, config.layer_norm_eps
        )

    def predict_words(self, hidden_states: Tensor, masked_positions: Tensor | None) -> Tensor:
        """[B, S, H] -> logits [B, S or P, V]."""
        picked = gather_positions(hidden_states, masked_positions)
        return self.masked_lm_head(picked, self.encoder.embeddings.word_embeddings.weight)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        masked_positions: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        last_layer_everywhere: bool = True,
    ) -> ModelOutput:
        """Score every word of the vocabulary.

        Args:
            input_ids, attention_mask, token_type_ids, output_attentions, output_hidden_states: As for the encoder.
            labels: The correct word, or -100 where none is to be predicted: [B, S], or [B, P] with `masked_positions`.
            masked_positions: [B, P], where to predict; None for everywhere. Giving it saves most of the head's work.
            last_layer_everywhere: False also skips the last layer's work at all other positions; see the encoder.

        Returns:
            `logits` [B, S or P, V], and `loss` if there are labels.
        """
        early, late = (masked_positions, None) if not last_layer_everywhere else (None, masked_positions)
        encoded = self.encoder(
            input_ids, attention_mask, token_type_ids, output_attentions, output_hidden_states, early
        )
        logits = self.predict_words(encoded.last_hidden_state, late)
        return ModelOutput(
            loss=None if labels is None else class_loss(logits, labels),
            logits=logits,
            pooler_output=encoded.pooler_output,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )


def check_masked_lm(model: Any) -> None:
    """Check that a model, which `torch.compile` may have wrapped, predicts words.

    Raises:
        ValueError: The model has no masked-LM head.
    """
    if not hasattr(model, "predict_words"):
        raise ValueError(f"model is a {type(model).__name__}: must have a masked-LM head, such as BertForMaskedLM")


class PreTrainingModel(MaskedLMModel):
    """Masked language modelling together with a question about the two segments, which each family chooses."""

    needs_pooler = True

    def combine(self, words: ModelOutput, pair_loss: Tensor | None, **pair: Any) -> ModelOutput:
        """Combine the results of both: `loss` is the sum of the two mean losses, or the one whose labels are given."""
        losses = [loss for loss in (words.loss, pair_loss) if loss is not None]
        return ModelOutput(
            loss=torch.stack(losses).sum() if losses else None,
            masked_lm_loss=words.loss,
            prediction_logits=words.logits,
            hidden_states=words.hidden_states,
            attentions=words.attentions,
            **pair,
        )


class NextSentenceModel(PreTrainingModel):
    """Asks whether the second segment follows the first ([paper of BERT] section 3.1, task 2)."""

    def add_head(self, config: Any) -> None:
        """Make the masked-LM head, and two scores for the pair: 0 is next, 1 is random."""
        super().add_head(config)
        self.next_sentence_head = nn.Linear(config.hidden_size, 2)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        masked_positions: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        last_layer_everywhere: bool = True,
    ) -> ModelOutput:
        """Score the words and the pair.

        Args:
            next_sentence_label: [B], 0 if the second segment follows the first, 1 if it is random.
            Others: As for `MaskedLMModel`.

        Returns:
            `prediction_logits` [B, S or P, V], `seq_relationship_logits` [B, 2], and `loss`, the sum of the two mean
            losses ([paper of BERT] appendix A.2), or the one whose labels are given.
        """
        words = super().forward(
            input_ids, attention_mask, token_type_ids, labels, masked_positions, output_attentions,
            output_hidden_states, last_layer_everywhere,
        )  # fmt: skip
        pair = self.next_sentence_head(words.pooler_output)
        loss = None
        if next_sentence_label is not None:
            loss = class_loss(pair, next_sentence_label, "next_sentence_label")
        return self.combine(words, loss, next_sentence_loss=loss, seq_relationship_logits=pair)


class ClassifierModel(TaskModel):
    """Dropout, then one linear map to C scores."""

    def add_head(self, config: Any) -> None:
        """Make the classifier; it is new in fine-tuning, where all weights below it are trained too."""
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = Dropout(rate)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)


class SequenceClassificationModel(ClassifierModel):
    """One label (or number) for a sequence or a pair of sequences."""

    needs_pooler = True

    def score(self, encoded: ModelOutput) -> Tensor:
        """The encoder's output -> logits [B, C]."""
        return self.classifier(self.dropout(encoded.pooler_output))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """Arguments as for the encoder, and labels as for `heads.sequence_loss`; `logits` are [B, C]."""
        encoded = self.encoder(input_ids, attention_mask, token_type_ids, output_attentions, output_hidden_states)
        logits = self.score(encoded)
        return ModelOutput(
            loss=None if labels is None else sequence_loss(logits, labels),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )


class TokenClassificationModel(ClassifierModel):
    """One label for every token."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """Arguments as for the encoder; `labels` [B, S], -100 to leave a token out; `logits` are [B, S, C]."""
        encoded = self.encoder(input_ids, attention_mask, token_type_ids, output_attentions, output_hidden_states)
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        return ModelOutput(
            loss=None if labels is None else class_loss(logits, labels),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )


class QuestionAnsweringModel(TaskModel):
    """Two scores for every token: that the answer starts here, that it ends here ([paper of BERT] section 4.2)."""

    def add_head(self, config: Any) -> None:
        """A start vector and an end vector, as one linear map; `transformers` counts them as two labels."""
        if config.num_labels != 2:
            raise ValueError(f"num_labels={config.num_labels}: must be 2 in {type(self).__name__}, start and end")
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """Arguments as for the encoder; positions [B] as for `heads.span_loss`; both logits are [B, S]."""
        if (start_positions is None) != (end_positions is None):
            raise ValueError("start_positions and end_positions: give both or neither")
        encoded = self.encoder(input_ids, attention_mask, token_type_ids, output_attentions, output_hidden_states)
        start_logits, end_logits = self.qa_outputs(encoded.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start_logits, end_logits, start_positions, end_positions)
        return ModelOutput(
            loss=loss,
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
