"""Asking a trained model."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer

from plm_lessons.models.tasks import MaskedLMModel
from plm_lessons.tokenization import token_id


@torch.no_grad()
def fill_mask(model: MaskedLMModel, tokenizer: Tokenizer, text: str, top: int = 5) -> list[list[tuple[str, float]]]:
    """The most probable words for each `[MASK]` (RoBERTa: `<mask>`) in a text.

    Args:
        model: A model with a masked-LM head; used in evaluation mode.
        tokenizer: The tokenizer that the model was trained with.
        text: Holds the mask at least once.
        top: How many words to return for each.

    Returns:
        For each mask, in order, `top` pairs (word piece, probability), the most probable first.

    Raises:
        ValueError: There is no mask in the text, or it is too long for the model.
    """
    mask = token_id(tokenizer, "[MASK]", "<mask>")
    input_ids = torch.tensor([tokenizer.encode(text).ids], device=model.device)
    places = (input_ids[0] == mask).nonzero().flatten()
    if not len(places):
        raise ValueError(f"text={text!r}: must hold {tokenizer.id_to_token(mask)}")
    model.eval()
    output = model(input_ids)
    logits = output.logits if output.logits is not None else output.prediction_logits
    assert logits is not None
    best = logits[0, places].float().softmax(-1).topk(top)
    return [
        [
            (str(tokenizer.id_to_token(token)), probability)
            for token, probability in zip(tokens, probabilities, strict=True)
        ]
        for tokens, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
