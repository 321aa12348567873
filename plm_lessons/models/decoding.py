"""How to generate a text token by token: greedy choice, sampling, and beam search.

All three ask the same question repeatedly: given the tokens so far, how likely is each word to come next? They
therefore need no model, only something that answers it: a `NextToken`.

Letters: B batch, K beams, T tokens so far, V vocabulary.

References:
    Beam search: Wu et al. (arXiv:1609.08144), section 7; here as in `transformers` (`generation/utils.py`, version
    5.23, `early_stopping=False`): the score of a text is its log-probability / length**length_penalty.
    Nucleus (top-p) sampling: Holtzman et al. (arXiv:1904.09751), section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from plm_lessons.checks import check_number, check_whole


class NextToken(Protocol):
    """Something that scores the next token."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens so far, [B, T] -> logits of the next one, [B, V]; each call has one more token."""

    def reorder(self, rows: Tensor) -> None:
        """Prepare for a next call whose rows continue these rows of the last call."""


def write(
    next_token: NextToken,
    tokens: Tensor,
    choose: Callable[[Tensor], Tensor],
    *,
    max_new_tokens: int,
    eos_token_id: int | None,
    pad_token_id: int,
) -> Tensor:
    """Append chosen tokens one by one until every row has ended or there are `max_new_tokens`.

    Args:
        next_token: Scores the next token.
        tokens: [B, T], the beginning of each text.
        choose: Logits [B, V] -> the next token of each row, [B].
        max_new_tokens: The maximum number of tokens to append.
        eos_token_id: The token that ends a row; None if there is none.
        pad_token_id: Fills rows that have ended.

    Returns:
        [B, T + up to `max_new_tokens`].
    """
    ended = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    for _ in range(max_new_tokens):
        chosen = choose(next_token(tokens)).masked_fill(ended, pad_token_id)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        if eos_token_id is not None:
            ended |= chosen == eos_token_id
        if ended.all():
            break
    return tokens


def most_likely(logits: Tensor) -> Tensor:
    """Greedy choice: [B, V] -> [B]."""
    return logits.argmax(dim=-1)


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Check the arguments of `sample`, before a text is begun.

    Raises:
        ValueError: An argument is impossible.
    """
    check_number("temperature", temperature, low=0, above=True)
    if top_k is not None:
        check_whole("top_k", top_k, least=1)
    if top_p is not None:
        check_number("top_p", top_p, low=0, high=1, above=True)


def sample(
    logits: Tensor,
    generator: torch.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Draw a token for each row: [B, V] -> [B].

    Args:
        logits: Unnormalised log-probabilities.
        generator: Source of randomness; on any device.
        temperature: Divides the logits: below 1 likely tokens become likelier still, above 1 all become more equal.
        top_k: See `keep_top_k`; applied after the temperature.
        top_p: See `keep_top_p`; applied after `top_k`.
    """
    check_sampling(temperature, top_k, top_p)
    scaled = logits / temperature
    if not scaled.amax(dim=-1).isfinite().all():  # so cold that it overflows: only differences count
        scaled = (logits - logits.amax(dim=-1, keepdim=True)) / max(temperature, torch.finfo(logits.dtype).tiny)
    logits = scaled
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    probabilities = logits.softmax(dim=-1).to(generator.device)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0].to(logits.device)


def keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    """Set all but the `top_k` highest logits of a row (and those equal to the lowest of these) to -inf."""
    lowest = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < lowest, -torch.inf)


def keep_top_p(logits: Tensor, top_p: float) -> Tensor:
    """Set to -inf all but the nucleus: the fewest tokens, likeliest first, whose probabilities reach `top_p`."""
    if top_p >= 1:  # all of them, whatever the sum of rounded probabilities is
        return logits
    sorted_logits, order = logits.sort(dim=-1, descending=True)
    probabilities = sorted_logits.softmax(dim=-1)
    of_likelier = probabilities.cumsum(dim=-1) - probabilities
    outside = of_likelier >= top_p
    outside[..., 0] = False  # the likeliest stays even where `top_p` is too small for the type
    return logits.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), -torch.inf)


def beam_search(
    next_token: NextToken,
    tokens: Tensor,
    *,
    num_beams: int,
    length_penalty: float,
    max_new_tokens: int,
    eos_token_id: int | None,
    pad_token_id: int,
) -> Tensor:
    """Keep the K likeliest beginnings of each text, extend all of them, keep the K likeliest again, and so on.

    The score of a text is the sum of its tokens' log-probabilities, divided by its length (including the end token) to
    the power of `length_penalty`. The sum can only fall, so short texts win without division (exponent 0), and longer
    ones as the exponent grows. A text is finished when it ends among the K best extensions, or at `max_new_tokens`. A
    row is done when it has K finished texts and its best unfinished one, scored as if it ended here, beats none.

    Args:
        next_token: Scores the next token; it is called with B * K rows, the K beams of a text one after the other.
        tokens: [B, T], the beginning of each text.
        num_beams: K.
        length_penalty: The exponent.
        max_new_tokens, eos_token_id, pad_token_id: As for `write`.

    Returns:
        The best finished text of each row, [B, T + up to `max_new_tokens`].
    """
    batch, start = tokens.shape
    first_beam = num_beams * torch.arange(batch, device=tokens.device)[:, None]  # [B, 1], of B * K rows
    beams = tokens.repeat_interleave(num_beams, dim=0)  # [B * K, T]
    totals = torch.full((batch, num_beams), -torch.inf, device=tokens.device)
    totals[:, 0] = 0.0  # at first all beams are equal: only one of them counts
    finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(batch)]  # (score, new tokens), the best first
    done = [False] * batch

    for length in range(1, max_new_tokens + 1):
        log_probabilities = next_token(beams).log_softmax(dim=-1)  # [B * K, V]
        vocab_size = log_probabilities.shape[-1]
        extended = totals[:, :, None] + log_probabilities.view(batch, num_beams, vocab_size)
        # Each beam can end in only one way. So among twice as many candidates as beams, enough go on.
        candidates = min(2, vocab_size) * num_beams
        best, places = extended.flatten(1).topk(candidates)  # [B, 2 * K], the likeliest first
        rows = first_beam + places // vocab_size  # the beam that is extended, of B * K
        words = places % vocab_size
        ends = torch.full_like(words, length == max_new_tokens, dtype=torch.bool)
        if eos_token_id is not None:
            ends |= words == eos_token_id

        best_going_on, going_on = best.masked_fill(ends, -torch.inf).topk(num_beams)  # [B, K]
        scores, parents, last_words, is_end = best.tolist(), rows.tolist(), words.tolist(), ends.tolist()
        for row in (row for row in range(batch) if not done[row]):
            for rank in range(num_beams):
                if is_end[row][rank] and scores[row][rank] > -torch.inf:
                    text = [*beams[parents[row][rank], start:].tolist(), last_words[row][rank]]
                    finished[row].append((scores[row][rank] / length**length_penalty, text))
            finished[row] = sorted(finished[row], key=lambda scored: -scored[0])[:num_beams]
            hope = best_going_on[row, 0].item() / length**length_penalty
            done[row] = len(finished[row]) == num_beams and hope <= finished[row][-1][0]
        if all(done):
            break

        totals = best_going_on
        rows = rows.gather(1, going_on).flatten()
        beams = torch.cat([beams[rows], words.gather(1, going_on).view(-1, 1)], dim=1)
        next_token.reorder(rows)

    texts = [texts[0][1] for texts in finished]
    longest = max(len(text) for text in texts)
    padded = [text + [pad_token_id] * (longest - len(text)) for text in texts]
    return torch.cat([tokens, torch.tensor(padded, dtype=tokens.dtype, device=tokens.device)], dim=1)
