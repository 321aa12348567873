"""Whole-word masking and n-gram masking: words are chosen instead of tokens.

If one of a word's pieces is hidden, spelling alone can restore it: "phil ##am [MASK] ##on". BERT's authors later chose
whole words; ALBERT chooses up to three words in a row. Only the choice of positions changes: each token still becomes
[MASK], a random token or itself independently of the others (`corrupt_positions`).

B  batch: sequences (rows)
S  sequence length, padding included
V  vocabulary size

Sources: google-research/bert, README of 2019-05-31 and `create_pretraining_data.py`, `do_whole_word_mask`;
ALBERT (arXiv 1909.11942), section 4.1 and equation 1; google-research/albert `create_pretraining_data.py`,
`create_masked_lm_predictions`; fairseq `data/mask_tokens_dataset.py`, `mask_whole_words`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from plm_lessons.checks import check_choice, check_whole, each_text
from plm_lessons.objectives.checks import as_bool, check_ids, check_share
from plm_lessons.objectives.draws import Generator, uniform
from plm_lessons.objectives.prediction_counts import prediction_counts, row_lengths

_STARTS_WORD: dict[str, Callable[[str], bool]] = {
    "wordpiece": lambda token: not token.startswith("##"),
    "byte_level": lambda token: token.startswith("Ġ"),
    "unigram": lambda token: not (token.isascii() and token.isalpha()),
}


def word_starts(tokens: Sequence[str], scheme: str) -> Tensor:
    """Which tokens of a vocabulary begin a word.

    - "wordpiece": all but those marked with "##".
    - "byte_level" (GPT-2, RoBERTa): those that begin with a space, written "Ġ". As in fairseq, a punctuation mark thus
      belongs to the word before it.
    - "unigram" (ALBERT): all but plain pieces of the letters a to z; so "▁dog" begins a word, "ly" does not, and a
      digit, a punctuation mark or a piece with an accent does. ALBERT's code nearly agrees: there, several punctuation
      marks in one piece ("...") continue a word, too.

    Args:
        tokens: the vocabulary in the order of its ids.
        scheme: "wordpiece", "byte_level" or "unigram".

    Returns:
        [V] bool.
    """
    check_choice("scheme", scheme, _STARTS_WORD)
    return torch.tensor([_STARTS_WORD[scheme](token) for token in each_text("tokens", tokens)], dtype=torch.bool)


def number_words(input_ids: Tensor, starts: Tensor, candidates: Tensor) -> Tensor:
    """Number the words of each row.

    A token that is not a candidate belongs to no word and ends the one before: the token after it begins the next,
    whatever it is. (In BERT's code, a "##" piece left at the start of segment B by truncation joins the last word of
    segment A.)

    Args:
        input_ids: [B, S] int64.
        starts: [V] bool: which ids begin a word, see `word_starts`.
        candidates: [B, S] bool, True where a token may be chosen.

    Returns:
        [B, S] int64: 0, 1, 2, ... from the left; -1 where no token may be chosen.
    """
    starts = as_bool("starts", starts)
    if starts.dim() != 1:
        raise ValueError(f"starts must have shape [V], got {list(starts.shape)}")
    check_ids(input_ids, len(starts))
    candidates = as_bool("candidates", candidates, input_ids.shape)
    after_none = torch.ones_like(candidates)
    after_none[:, 1:] = ~candidates[:, :-1]
    begins = candidates & (starts.to(input_ids.device)[input_ids] | after_none)
    return (begins.cumsum(dim=1) - 1).masked_fill(~candidates, -1)


def ngram_probabilities(max_ngram: int) -> list[float]:
    """How often an n-gram of 1, 2, ..., `max_ngram` words is drawn: p(n) = (1/n) / (1/1 + 1/2 + ... + 1/max_ngram).

    For 3: 6/11, 3/11, 2/11; a mean of 18/11 = 1.64 words (ALBERT, equation 1).
    """
    check_whole("max_ngram", max_ngram, least=1)
    total = sum(1 / n for n in range(1, max_ngram + 1))
    return [1 / n / total for n in range(1, max_ngram + 1)]


def choose_whole_words(
    word_ids: Tensor,
    *,
    attention_mask: Tensor | None,
    generator: Generator,
    masking_rate: float = 0.15,
    max_predictions: int | None = None,
    selection: str = "fixed_count",
    max_ngram: int = 1,
) -> Tensor:
    """Choose whole words to predict: one at a time, or up to `max_ngram` in a row.

    How many tokens to choose in a row is decided first, as in `choose_positions`. Then, for its words in random order:

    1. Draw n from `ngram_probabilities`; take this word and those after it, n in all or as many as there are.
    2. While these are more tokens than may still be chosen, leave the last word out. If even the first word alone is
       too long, go on to the next.
    3. If one of the words has already been chosen, go on to the next; otherwise choose them all.

    So the count is never exceeded, but sometimes not reached, when only longer words are left. Steps 2 and 3 favour
    short words and short n-grams: p(n) holds for what is drawn, not for what is chosen.

    With `max_ngram=1` this is BERT's whole-word masking; with 3, ALBERT's n-gram masking. One thing differs from
    ALBERT's code: there an n-gram may extend from segment A into segment B; here it ends at [SEP].

    Args:
        word_ids: [B, S] int64: the tokens of a word are neighbours with the same number; -1 where no token may be
            chosen. See `number_words`; the `word_ids` of an `Encoding` of `tokenizers` can also be used, with
            -1 in place of None.
        attention_mask: [B, S], 1 on tokens, 0 on padding; None if no row has padding.
        generator: source of randomness.
        masking_rate: share of the tokens to choose, in [0, 1].
        max_predictions: cap on the positions of a row; None for no cap.
        selection: how the share is rounded, "fixed_count" or "rounded".
        max_ngram: the most words in a row, at least 1.

    Returns:
        [B, S] bool, True where chosen.
    """
    check_ids(word_ids, name="word_ids")
    check_share("masking_rate", masking_rate)
    probabilities = ngram_probabilities(max_ngram)
    counts = prediction_counts(
        row_lengths(word_ids >= 0, attention_mask, name="word_ids", absent="-1"),
        masking_rate=masking_rate,
        max_predictions=max_predictions,
        selection=selection,
        generator=generator,
    )
    cpu = torch.device("cpu")
    orders = uniform(word_ids.shape, generator, cpu).tolist()
    sizes = torch.ones(word_ids.shape, dtype=torch.int64)
    if max_ngram > 1:
        # n is one more than the number of cumulative probabilities p(1), p(1) + p(2), ... that the draw has passed.
        passed = torch.tensor(probabilities, dtype=torch.float64).cumsum(0)[:-1]
        sizes += torch.bucketize(uniform(word_ids.shape, generator, cpu).double(), passed, right=True)
    chosen = [[False] * len(row) for row in orders]
    for row, (numbers, count) in enumerate(zip(word_ids.tolist(), counts.tolist(), strict=True)):
        for start, stop in _chosen_spans(_words(numbers), orders[row], sizes[row].tolist(), count):
            chosen[row][start:stop] = [True] * (stop - start)
    return torch.tensor(chosen, dtype=torch.bool, device=word_ids.device).reshape(word_ids.shape)


def _words(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Where each word begins, and the position after its end."""
    words, stop = [], 0
    for number, tokens in groupby(numbers):
        start, stop = stop, stop + len(list(tokens))
        if number >= 0:
            words.append((start, stop))
    return words


def _chosen_spans(
    words: Sequence[tuple[int, int]], order: Sequence[float], sizes: Sequence[int], count: int
) -> Iterator[tuple[int, int]]:
    """Steps 1 to 3. A word's random numbers, its rank and the n drawn for it, are those at its first position."""
    taken: set[int] = set()
    for first in sorted(range(len(words)), key=lambda word: order[words[word][0]]):
        if len(taken) >= count:
            return
        start, last = words[first][0], first
        while last + 1 < min(first + sizes[start], len(words)) and words[last + 1][0] == words[last][1]:
            last += 1
        while last >= first and len(taken) + words[last][1] - start > count:
            last -= 1
        if last < first:
            continue
        stop = words[last][1]
        if taken.isdisjoint(range(start, stop)):
            taken.update(range(start, stop))
            yield start, stop
