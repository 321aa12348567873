"""Inference with a trained model: the words for a mask, and attention weights."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from plm_lessons.checks import check_text, check_whole
from plm_lessons.models.pretrained import PretrainedModel, evaluation_mode
from plm_lessons.models.t5 import T5ForConditionalGeneration
from plm_lessons.models.tasks import MaskedLMModel, check_masked_lm
from plm_lessons.tokenization.loading import check_whole_texts, token_id


def check_fits(tokenizer: Tokenizer, model: PretrainedModel) -> None:
    """Check that a tokenizer has no more words than the model (which may have spare rows), and neither cuts nor pads.

    Raises:
        ValueError: The tokenizer has more words, cuts or pads, or is not a tokenizer.
    """
    check_whole_texts(tokenizer)
    words, rows = tokenizer.get_vocab_size(), model.config.vocab_size
    if words > rows:
        raise ValueError(f"tokenizer has {words} words: must have at most the model's vocab_size={rows}")


def _ids_of(text: str, tokenizer: Tokenizer, model: PretrainedModel) -> list[int]:
    ids, longest = tokenizer.encode(text).ids, model.config.longest
    if longest is not None and len(ids) > longest:
        raise ValueError(f"text={text!r:.80} has {len(ids):,} tokens: must be at most {longest:,} for this model")
    return ids


def fill_mask(model: MaskedLMModel, tokenizer: Tokenizer, text: str, top: int = 5) -> list[list[tuple[str, float]]]:
    """Return the most probable words for each `[MASK]` (RoBERTa: `<mask>`) in a text.

    Args:
        model: A model with a masked-LM head; used in evaluation mode.
        tokenizer: The tokenizer that the model was trained with.
        text: A text that holds the mask at least once.
        top: How many words to return for each mask.

    Returns:
        For each mask, in order, `top` pairs (word piece, probability), the most probable first.

    Raises:
        ValueError: The model has no such head, the text holds no mask or is too long for the model, or an argument is
            impossible.
    """
    check_masked_lm(model)
    check_fits(tokenizer, model)
    check_text("text", text)
    words = tokenizer.get_vocab_size()  # the model may have spare rows
    check_whole("top", top, 1, words)
    mask = token_id(tokenizer, "[MASK]", "<mask>")
    input_ids = torch.tensor([_ids_of(text, tokenizer, model)], device=model.device)
    places = (input_ids[0] == mask).nonzero().flatten()
    if not len(places):
        raise ValueError(f"text={text!r}: must hold {tokenizer.id_to_token(mask)}")
    with evaluation_mode(model):
        output = model(input_ids)
    logits = output.logits if output.logits is not None else output.prediction_logits
    assert logits is not None  # such a head gives one of the two
    best = logits[0, places].float().softmax(-1)[:, :words].topk(top)
    return [
        [
            (str(tokenizer.id_to_token(token)), probability)
            for token, probability in zip(tokens, probabilities, strict=True)
        ]
        for tokens, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def attention_maps(
    model: PretrainedModel, tokenizer: Tokenizer, text: str, target: str | None = None
) -> dict[str, Any]:
    """Return every head's attention weights on a text, in the form that `plm_lessons.widgets.AttentionViewer` takes.

    Args:
        model: BERT, RoBERTa or ALBERT, with any head or none, or T5; used in evaluation mode.
        tokenizer: The tokenizer that the model was trained with.
        text: The text that the encoder reads.
        target: The text that T5's decoder is to write: under teacher forcing, it reads the start token and then this
            text without its end token. None for a model without a decoder.

    Returns:
        Plain lists: "name" (the text), "tokens", and "attentions" [layers][heads][queries][keys]. For T5 "attentions"
        is a dict of such lists for "encoder", "decoder" and "cross" (the decoder's attention to the encoder), and
        "target_tokens" are the tokens that the decoder reads.

    Raises:
        ValueError: A target is given for a model without a decoder, or missing for one with a decoder; the text is too
            long for the model; or the tokenizer does not fit the model.
    """
    check_fits(tokenizer, model)
    check_text("text", text)

    def ids(words: str) -> Tensor:
        return torch.tensor([_ids_of(words, tokenizer, model)], device=model.device)

    def tokens(numbers: Tensor) -> list[str]:
        return [str(tokenizer.id_to_token(number)) for number in numbers[0].tolist()]

    def lists(layers: tuple[Tensor, ...]) -> list[Any]:
        return [layer[0].float().tolist() for layer in layers]

    input_ids = ids(text)
    found: dict[str, Any] = {"name": text, "tokens": tokens(input_ids)}
    if not isinstance(model, T5ForConditionalGeneration):
        if target is not None:
            raise ValueError(f"target={target!r}: must be None for {type(model).__name__}, which has no decoder")
        with evaluation_mode(model):
            return found | {"attentions": lists(model(input_ids, output_attentions=True).attentions)}
    if target is None:
        raise ValueError(f"target=None: must be a text for {type(model).__name__}, which has a decoder")
    labels = ids(target)
    with evaluation_mode(model):
        output = model(input_ids, labels=labels, output_attentions=True)
    attentions = {
        "encoder": lists(output.encoder_attentions),
        "decoder": lists(output.decoder_attentions),
        "cross": lists(output.cross_attentions),
    }
    return found | {"target_tokens": tokens(model.shift_right(labels)), "attentions": attentions}
