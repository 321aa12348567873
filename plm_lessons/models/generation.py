"""Models that generate text: `generate`, and the cache that makes it cheap; `decoding` chooses the tokens.

Letters: B batch, S source length, T tokens so far, H hidden size, V vocabulary.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from plm_lessons.checks import check_number, check_whole
from plm_lessons.layers.attention import KeyValueCache
from plm_lessons.models.decoding import beam_search, check_sampling, most_likely, sample, write
from plm_lessons.models.pretrained import PretrainedModel, evaluation_mode


class GenerativeModel(PretrainedModel):
    """A model with an encoder and a decoder.

    Subclasses provide `encode`, `score_next` and `decoder.layers`; see `t5`.
    """

    config: Any
    encode: Any
    score_next: Any
    decoder: Any

    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        max_new_tokens: int = 20,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | None = None,
        use_cache: bool = True,
    ) -> Tensor:
        """Generate a target for each source, without dropout.

        Args:
            input_ids, attention_mask: As for `forward`.
            max_new_tokens: The maximum number of tokens to generate.
            num_beams: 1 for the likeliest token at each step, more for `beam_search`. (T5 is used with 1, and with 4
                for translation and summaries: section 3.7 of its paper.)
            length_penalty: For beam search: the larger, the longer the texts; from -10 to 10. (T5 uses 0.6.)
            do_sample: Draw each token at random instead.
            temperature, top_k, top_p: See `sample`; only with `do_sample`.
            generator: Draws the tokens; seed 0 if None, so that the same call gives the same texts.
            use_cache: Keep keys and values, so that each step reads only one token. False reads all tokens again at
                each step, and gives the same texts.

        Returns:
            [B, 1 + up to `max_new_tokens`]: the start token, the text with its end token, and padding.

        Raises:
            ValueError: An argument has the wrong shape, type or range, or conflicts with another; or the model's
                logits are not finite.
        """
        _check_arguments(max_new_tokens, num_beams, length_penalty, do_sample, temperature, top_k, top_p, generator)
        with evaluation_mode(self):
            encoded = self.encode(input_ids, attention_mask).last_hidden_state
            next_token = CachedNextToken(self, encoded, attention_mask, num_beams, use_cache)
            start = torch.full_like(input_ids[:, :1], self.config.decoder_start_token_id)
            limits: dict[str, Any] = {
                "max_new_tokens": max_new_tokens,
                "eos_token_id": self.config.eos_token_id,
                "pad_token_id": self.config.pad_token_id,
            }
            if num_beams > 1:
                return beam_search(next_token, start, num_beams=num_beams, length_penalty=length_penalty, **limits)
            if not do_sample:
                return write(next_token, start, most_likely, **limits)
            generator = generator or torch.Generator().manual_seed(0)
            draw = partial(sample, generator=generator, temperature=temperature, top_k=top_k, top_p=top_p)
            return write(next_token, start, draw, **limits)


class CachedNextToken:
    """Scores the next token with a model, given an encoded source and the tokens so far; a `NextToken`.

    Args:
        model: A model with an encoder and a decoder.
        encoded, attention_mask: The encoder's output, [B, S, H], and the mask of its padding, if any.
        num_beams: Rows of the decoder for each row of the encoder.
        use_cache: Whether a token is read only once.
    """

    def __init__(
        self,
        model: GenerativeModel,
        encoded: Tensor,
        attention_mask: Tensor | None,
        num_beams: int = 1,
        use_cache: bool = True,
    ) -> None:
        self.model = model
        self.encoded = encoded.repeat_interleave(num_beams, dim=0)
        self.mask = None if attention_mask is None else attention_mask.repeat_interleave(num_beams, dim=0)
        self.caches = [KeyValueCache() for _ in model.decoder.layers] if use_cache else None

    def __call__(self, tokens: Tensor) -> Tensor:
        """[B, T] -> logits [B, V], in float32 or wider.

        Raises:
            ValueError: The logits are not finite.
        """
        unread = tokens[:, self.caches[0].length :] if self.caches else tokens
        logits = self.model.score_next(unread, self.encoded, self.mask, self.caches)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if not wide.sum().isfinite():  # one number to look at: to look at each would take a twentieth of the time
            if logits.dtype == torch.float16:
                raise ValueError("the model computes in float16, which overflows in T5: must be bfloat16 or float32")
            raise ValueError(f"the model's logits hold NaN or infinity in {logits.dtype}: must all be finite")
        return wide

    def reorder(self, rows: Tensor) -> None:
        """Continue with these rows; the beams of one text share its source, so what is cached of it stays as it is."""
        for cache in self.caches or []:
            cache.reorder(rows)


def _check_arguments(
    max_new_tokens: int,
    num_beams: int,
    length_penalty: float,
    do_sample: bool,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator | None,
) -> None:
    """Raise a `ValueError` for what is impossible, and for what would have no effect."""
    check_whole("max_new_tokens", max_new_tokens, least=1)
    check_whole("num_beams", num_beams, least=1)
    check_number("length_penalty", length_penalty, low=-10, high=10)  # a power of the length, which could overflow
    check_sampling(temperature, top_k, top_p)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"generator={generator!r:.80}: must be a torch.Generator, or None")
    if num_beams == 1 and length_penalty != 1.0:
        raise ValueError(f"length_penalty={length_penalty}: must be 1 with num_beams=1, where it has no effect")
    if do_sample and num_beams > 1:
        raise ValueError(f"num_beams={num_beams}: must be 1 with do_sample=True")
    if not do_sample and (temperature != 1.0 or top_k is not None or top_p is not None):
        raise ValueError(
            f"temperature={temperature}, top_k={top_k}, top_p={top_p}: must be given only with do_sample=True"
        )
