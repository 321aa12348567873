"""Training computes a masked language model's last layer only where words are predicted: the same loss, less work."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

import plm_lessons
from plm_lessons.training.large_batches import accumulate_gradients

CLASSES = ["BertForMaskedLM", "BertForPreTraining", "RobertaForMaskedLM", "AlbertForMaskedLM", "AlbertForPreTraining"]
LENGTH = 10
IDS = torch.randint(5, 40, (3, LENGTH), generator=torch.Generator().manual_seed(0))
PLACES = torch.tensor([[1, 4, 7, 0], [3, 2, 9, 5], [6, 0, 0, 0]])
LABELS = torch.tensor([[31, 6, 0, -100], [17, -100, 8, 8], [12, -100, -100, -100]])
PADDING = (torch.arange(LENGTH) < torch.tensor([[8], [10], [7]])).long()


def a_model(class_name: str, **fields: Any) -> Any:
    """A small model in double precision, without dropout, with weights so large that everything has an effect."""
    model_class = getattr(plm_lessons, class_name)
    config = model_class.config_class(
        vocab_size=40, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=50,
        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    small = {"embedding_size": 12, "classifier_dropout_prob": 0.0} if "Albert" in class_name else {}
    model = model_class(dataclasses.replace(config, **small, **fields)).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(std=0.3, generator=generator))
    return model


def asked(class_name: str) -> dict[str, Tensor]:
    """What a batch of pre-training asks a model to predict."""
    pair = {"BertForPreTraining": "next_sentence_label", "AlbertForPreTraining": "sentence_order_label"}
    labels = {pair[class_name]: torch.tensor([1, 0, 1])} if class_name in pair else {}
    return {"labels": LABELS, "masked_positions": PLACES, **labels}


def found(model: Any, **arguments: Any) -> list[Tensor]:
    """Return the loss, the scores and all gradients."""
    model.zero_grad()
    output = model(IDS, **arguments)
    output.loss.backward()
    scores = [output.logits, output.prediction_logits, output.seq_relationship_logits, output.sop_logits]
    return [output.loss, *(one for one in scores if one is not None), *(part.grad for part in model.parameters())]


MASKS = {
    "no padding": None,
    "padding": PADDING,
    "a mask for each query": torch.ones(LENGTH, LENGTH).tril().expand(3, -1, -1),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("class_name", CLASSES)
def test_the_losses_the_scores_and_the_gradients_are_those_of_the_whole_layer(class_name: str, mask: str) -> None:
    model, arguments = a_model(class_name), {"attention_mask": MASKS[mask], **asked(class_name)}
    whole, picked = (found(model, last_layer_everywhere=everywhere, **arguments) for everywhere in (True, False))
    torch.testing.assert_close(picked, whole, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("positions", ["relative_key", "relative_key_query"])
def test_so_they_are_with_relative_positions(positions: str) -> None:
    model, arguments = a_model("BertForPreTraining", position_embedding_type=positions), asked("BertForPreTraining")
    whole, picked = (found(model, last_layer_everywhere=everywhere, **arguments) for everywhere in (True, False))
    torch.testing.assert_close(picked, whole, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("class_name", CLASSES)
def test_training_spares_the_other_positions_and_nothing_else_does(class_name: str) -> None:
    model, seen = a_model(class_name), []
    model.encoder.layers[-1].feed_forward.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[1]))
    batch = {"input_ids": IDS, **asked(class_name)}
    model(**batch)
    assert set(seen) == {LENGTH}
    seen.clear()
    accumulate_gradients(model, [batch])
    # ALBERT applies its one layer three times, and saves work only the last time. If the batch asks about pairs, the
    # first token is kept as well.
    assert seen[-1] == 4 + ("PreTraining" in class_name) and set(seen[:-1]) <= {LENGTH}


def test_the_encoder_gives_the_wanted_vectors_and_its_pooler_the_first_tokens() -> None:
    encoder = a_model("BertForPreTraining").encoder
    whole, picked = encoder(IDS, PADDING), encoder(IDS, PADDING, masked_positions=PLACES)
    index = PLACES[:, :, None].expand(-1, -1, 24)
    torch.testing.assert_close(picked.last_hidden_state, whole.last_hidden_state.gather(1, index))
    torch.testing.assert_close(picked.pooler_output, whole.pooler_output)


@pytest.mark.parametrize("wanted", ["output_attentions", "output_hidden_states"])
def test_what_is_of_all_tokens_is_refused_together_with_some(wanted: str) -> None:
    model = a_model("BertForMaskedLM")
    with pytest.raises(ValueError, match="masked_positions.*output_attentions or output_hidden_states"):
        model(IDS, masked_positions=PLACES, last_layer_everywhere=False, **{wanted: True})
    assert model(IDS, masked_positions=PLACES, **{wanted: True}).logits.shape == (3, 4, 40)
