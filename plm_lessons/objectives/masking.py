"""Masked language modelling: hide some tokens and ask for them back.

BERT chooses 15% of the tokens of a sequence. Of the chosen ones 80% become `[MASK]`, 10% become a random token and
10% stay as they are; the loss is taken on all the chosen ones and on no others. There are two steps, each a function
here: `choose_positions` decides where, and `corrupt_positions` with what. `mask_tokens` does both.

B  batch: sequences (rows)
S  sequence length, padding included
P  the largest number of chosen positions in any row of the batch

Sources: BERT (arXiv 1810.04805), section 3.1 and appendices A.1, A.2; google-research/bert
`create_pretraining_data.py`, `create_masked_lm_predictions`, and `run_pretraining.py`, `gather_indexes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from plm_lessons.checks import check_choice, check_whole
from plm_lessons.objectives.checks import as_bool, check_ids, check_share, check_tensor, whole_numbers
from plm_lessons.objectives.draws import Generator, integers, uniform
from plm_lessons.objectives.prediction_counts import prediction_counts, row_lengths
from plm_lessons.objectives.whole_words import choose_whole_words

IGNORE_INDEX = -100
"""The label of a position that is not scored: the default `ignore_index` of `torch.nn.functional.cross_entropy`.
It can never be a token id. A common mistake is to use 0, which is a real token ([PAD]) and a real NSP class.
"""

Selection = Literal["fixed_count", "rounded", "bernoulli"]


class MaskedBatch(NamedTuple):
    """A corrupted batch: what the model reads and what it must answer."""

    input_ids: Tensor
    """[B, S] int64: the corrupted ids."""
    labels: Tensor
    """[B, S] int64: the original id at the chosen positions, `IGNORE_INDEX` everywhere else."""


def candidate_positions(
    input_ids: Tensor, special_token_ids: Iterable[int], attention_mask: Tensor | None = None
) -> Tensor:
    """Where a token may be chosen: everywhere but on special tokens and padding.

    The reference code excludes only `[CLS]` and `[SEP]` ([UNK] is an ordinary token there); it masks before it pads, so
    padding never comes into question. Hugging Face's collator excludes all special tokens. Here the caller names them.

    Args:
        input_ids: [B, S] int64.
        special_token_ids: ids that are never chosen, such as those of [PAD], [CLS] and [SEP].
        attention_mask: [B, S], 1 (or True) on tokens and 0 (or False) on padding; None if there is no padding.

    Returns:
        [B, S] bool, True where a token may be chosen.
    """
    check_ids(input_ids)
    special = torch.tensor(
        whole_numbers("special_token_ids", special_token_ids), dtype=torch.int64, device=input_ids.device
    )
    candidates = ~torch.isin(input_ids, special)
    if attention_mask is not None:
        candidates = candidates & as_bool("attention_mask", attention_mask, input_ids.shape)
    return candidates


def choose_positions(
    candidates: Tensor,
    *,
    attention_mask: Tensor | None,
    generator: Generator,
    masking_rate: float = 0.15,
    max_predictions: int | None = None,
    selection: Selection = "fixed_count",
) -> Tensor:
    """Choose the positions to predict.

    `selection="fixed_count"` is what BERT's reference code does: each row gets exactly `prediction_count` positions,
    drawn without replacement, all sets being equally likely. The length of a row is the number of its tokens that are
    not padding, including [CLS] and [SEP], although these are not candidates. If a row has fewer candidates than
    positions to draw, all of them are chosen; a row without any has none chosen.

    `selection="rounded"` is what fairseq does for RoBERTa: as above, but the count is `masking_rate` times the length,
    rounded up or down by chance, so that its mean is exact; a very short text may get no position. There <s> and </s>
    may be chosen too: let `candidates` be everything that is not padding.

    `selection="bernoulli"` chooses every candidate independently with probability `masking_rate`, as Hugging Face's
    `DataCollatorForLanguageModeling` does: 15% of the candidates on average, but a short text may get no position.

    BERT's paper does not decide between the first and the last: it masks "15% of all WordPiece tokens in each sequence
    at random".

    Args:
        candidates: [B, S] bool, True where a token may be chosen (see `candidate_positions`).
        attention_mask: [B, S], 1 on tokens, 0 on padding; None if no row has padding. There is no default,
            because a padded batch without its mask would count the padding and choose too many positions.
        generator: source of randomness. A CPU generator gives the same choice whatever device the batch is on.
        masking_rate: share of the tokens to choose, in [0, 1].
        max_predictions: cap on the positions of a row (not with "bernoulli"); None for no cap.
        selection: "fixed_count", "rounded" or "bernoulli".

    Returns:
        [B, S] bool, True where chosen; never True where `candidates` is False.
    """
    candidates = as_bool("candidates", candidates)
    if candidates.dim() != 2:
        raise ValueError(f"candidates must have shape [B, S], got {list(candidates.shape)}")
    check_share("masking_rate", masking_rate)
    check_choice("selection", selection, get_args(Selection))
    if selection == "bernoulli" and max_predictions is not None:
        raise ValueError(f"max_predictions must be None with selection='bernoulli', got {max_predictions!r}")
    lengths = row_lengths(candidates, attention_mask)

    scores = uniform(candidates.shape, generator, candidates.device)
    if selection == "bernoulli":
        return candidates & (scores < masking_rate)
    counts = prediction_counts(
        lengths,
        masking_rate=masking_rate,
        max_predictions=max_predictions,
        selection=selection,
        generator=generator,
    )
    # Drawing without replacement, for all rows at once: give every candidate a random score and take the `count`
    # lowest. Other positions get a score above all of these, and are taken out again if they were among the lowest.
    order = scores.masked_fill(~candidates, 2.0).argsort(dim=1)  # [B, S] positions, lowest score first
    taken = torch.arange(candidates.shape[1], device=candidates.device) < counts[:, None]  # [B, S] by rank
    return torch.zeros_like(candidates).scatter(1, order, taken) & candidates


def corrupt_positions(
    input_ids: Tensor,
    chosen: Tensor,
    *,
    mask_token_id: int,
    vocab_size: int,
    generator: Generator,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    random_token_ids: Sequence[int] | Tensor | None = None,
) -> MaskedBatch:
    """Corrupt the chosen positions: 80% `[MASK]`, 10% a random token, 10% unchanged, each independently.

    The random token is drawn evenly from the whole vocabulary, as in the reference code, including special and unused
    tokens; once in `vocab_size` draws it is the original. The paper just says "a random token". fairseq excludes <s>,
    <pad>, </s> and <unk>; `random_token_ids` says which ids may be drawn.

    The unchanged tokens are predicted too: the model cannot tell them from the rest, so it must represent every token.

    Args:
        input_ids: [B, S] int64, each in [0, vocab_size).
        chosen: [B, S] bool, the positions to predict.
        mask_token_id: id of [MASK].
        vocab_size: number of tokens in the vocabulary.
        generator: source of randomness.
        mask_share: share of the chosen that become [MASK].
        random_share: share of the chosen that become a random token; the rest stay unchanged.
        random_token_ids: the ids from which a random token is drawn evenly, such as `torch.arange(4, vocab_size)`; None
            for all.

    Returns:
        The corrupted ids and the labels, as new tensors. Putting the labels back where they are not `IGNORE_INDEX`
        gives `input_ids` again.
    """
    check_ids(input_ids, vocab_size)
    chosen = as_bool("chosen", chosen, input_ids.shape)
    check_share("mask_share", mask_share)
    check_share("random_share", random_share)
    if mask_share + random_share > 1.0 + 1e-9:  # the slack is for the rounding of shares that were computed
        raise ValueError(f"mask_share + random_share must be at most 1, got {mask_share!r} + {random_share!r}")
    check_whole("vocab_size", vocab_size, least=1)
    check_whole("mask_token_id", mask_token_id, 0, vocab_size - 1, why=" = vocab_size - 1")

    if random_token_ids is None:
        allowed = torch.arange(vocab_size)
    elif isinstance(random_token_ids, Tensor):
        allowed = random_token_ids
    else:
        allowed = torch.tensor(whole_numbers("random_token_ids", random_token_ids), dtype=torch.int64)
    is_list = allowed.dtype == torch.int64 and allowed.dim() == 1 and len(allowed) > 0
    if not is_list or allowed.min() < 0 or allowed.max() >= vocab_size:
        limits = f"[0, vocab_size={vocab_size}), int64 of shape [N]"
        raise ValueError(f"random_token_ids must hold at least one id, all in {limits}, got {random_token_ids!r:.80}")

    # One draw decides among the three fates. Two draws ("80% get [MASK], then 10% a random token") that may hit the
    # same token would give other shares, a slip that several from-scratch BERTs have made.
    fate = uniform(input_ids.shape, generator, input_ids.device)
    random_ids = allowed.to(input_ids.device)[integers(len(allowed), input_ids.shape, generator, input_ids.device)]
    masked = chosen & (fate < mask_share)
    randomised = chosen & (fate >= mask_share) & (fate < mask_share + random_share)
    corrupted = input_ids.masked_fill(masked, mask_token_id)
    corrupted = torch.where(randomised, random_ids, corrupted)
    return MaskedBatch(corrupted, input_ids.masked_fill(~chosen, IGNORE_INDEX))


def mask_tokens(
    input_ids: Tensor,
    candidates: Tensor,
    *,
    attention_mask: Tensor | None,
    mask_token_id: int,
    vocab_size: int,
    generator: Generator,
    masking_rate: float = 0.15,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    max_predictions: int | None = None,
    selection: Selection = "fixed_count",
    random_token_ids: Sequence[int] | Tensor | None = None,
    word_ids: Tensor | None = None,
    max_ngram: int = 1,
) -> MaskedBatch:
    """BERT's corruption of a batch: `choose_positions`, then `corrupt_positions`; see there for every argument.

    A `torch.Generator` serves all rows, so the mask of a row depends on its place in the batch and on the shape of the
    batch, as well as on the generator's state. The same call with the same seed gives the same masks.
    `dynamic_mask` gives each row random numbers of its own instead.

    With `word_ids` [B, S], whole words are chosen (`choose_whole_words` instead of `choose_positions`), at most
    `max_ngram` of them in a row.
    """
    check_ids(input_ids, vocab_size)
    candidates = as_bool("candidates", candidates, input_ids.shape)
    counting: dict[str, Any] = {
        "attention_mask": attention_mask,
        "generator": generator,
        "masking_rate": masking_rate,
        "max_predictions": max_predictions,
        "selection": selection,
    }
    if word_ids is None:
        if max_ngram != 1:
            raise ValueError(f"max_ngram must be 1 without word_ids, got {max_ngram!r}")
        chosen = choose_positions(candidates, **counting)
    else:
        check_tensor("word_ids", word_ids)
        if word_ids.shape != candidates.shape or bool(((word_ids >= 0) & ~candidates).any()):
            raise ValueError("word_ids must have the shape of candidates, and be -1 wherever these are False")
        chosen = choose_whole_words(word_ids, max_ngram=max_ngram, **counting)
    return corrupt_positions(
        input_ids,
        chosen,
        mask_token_id=mask_token_id,
        vocab_size=vocab_size,
        generator=generator,
        mask_share=mask_share,
        random_share=random_share,
        random_token_ids=random_token_ids,
    )


def gather_masked(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The chosen positions and their labels, packed to the left, so that the head scores only those.

    A vocabulary-wide output at every position is the costliest part of pre-training, and 85% of it would be thrown
    away. The reference code therefore gathers the chosen positions first (`gather_indexes`).

    Args:
        labels: [B, S] int64 with `IGNORE_INDEX` at positions that are not scored.

    Returns:
        masked_positions [B, P] int64, in rising order, and masked_labels [B, P] int64. Rows with fewer than P
        positions are filled up with position 0 and label `IGNORE_INDEX`, which the loss ignores.
    """
    check_ids(labels, name="labels")
    chosen = labels != IGNORE_INDEX
    counts = chosen.sum(dim=1)  # [B]
    largest = int(counts.max()) if counts.numel() else 0
    positions = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)[:, :largest]  # chosen first, in order
    filled = torch.arange(largest, device=labels.device) < counts[:, None]
    masked_labels = labels.gather(1, positions).masked_fill(~filled, IGNORE_INDEX)
    return positions.masked_fill(~filled, 0), masked_labels
