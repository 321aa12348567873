"""Span corruption, the objective of T5: hide stretches of the text and ask for what was hidden, and nothing else.

    text     Thank you for inviting me to your party last week .
    inputs   Thank you <X> me to your party <Y> week .
    targets  <X> for inviting <Y> last <Z>

There are two steps. A mask says which tokens are noise: `span_mask` or `iid_mask`. Then a function makes inputs and
targets: `corrupt_spans` as above, or one of the alternatives that T5's authors compared with it, `bert_style`,
`mass_style` and `drop_tokens`. Whereas BERT answers at every hidden position, T5 writes a text. It is short: 114 tokens
for an input of 512.

B  batch: examples (rows)
S  length of a text, or of the longest input
T  length of the longest target

Sources: T5 (arXiv 1910.10683), section 3.1.4 (the objective), 3.3 (the alternatives; examples in table 3);
google-research/text-to-text-transfer-transformer at commit e081111, `t5/data/preprocessors.py`: `random_spans_helper`,
`random_spans_noise_mask`, `noise_span_to_unique_sentinel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plm_lessons.checks import check_number, check_whole
from plm_lessons.objectives.checks import as_bool, check_items, check_share, check_token_ids, whole_numbers
from plm_lessons.objectives.draws import Generator, integers, uniform
from plm_lessons.objectives.masking import IGNORE_INDEX
from plm_lessons.objectives.padding import pad_rows

CPU = torch.device("cpu")


class TextToText(NamedTuple):
    """An example: what the encoder reads, and what the decoder should write."""

    inputs: list[int]
    targets: list[int]


class TextToTextBatch(NamedTuple):
    """Examples as the model takes them, padded on the right. All int64."""

    input_ids: Tensor
    """[B, S]"""
    attention_mask: Tensor
    """[B, S]: 1 on tokens, 0 on padding."""
    labels: Tensor
    """[B, T]: the targets, with `IGNORE_INDEX` on padding."""


# --- how much, and where ---


def span_counts(length: int, noise_density: float = 0.15, mean_span_length: float = 3.0) -> tuple[int, int]:
    """How many tokens of a text are noise, and in how many spans: 85 in 28 for 568 tokens.

    Both are rounded (halves to the even neighbour), not drawn. There is at least one token of noise, and one that is
    not. A text of 20 tokens has a single span. (The reference code multiplies in float32: at 39 of the lengths below
    5,000, such as 190, a half comes out slightly larger there, and it takes one token more.)

    Args:
        length: tokens of the text, at least 2.
        noise_density: share of the tokens that is noise, in [0, 1].
        mean_span_length: average number of tokens in a span, at least 1.

    Raises:
        ValueError: an argument is out of its range, or there would be more spans than tokens between them.
    """
    check_whole("length", length, least=2, why=" (one token of noise and one that is not)")
    tokens, spans = _rounded_counts(length, noise_density, mean_span_length)
    if spans > length - tokens:
        raise ValueError(
            f"mean_span_length={mean_span_length!r} gives {spans} spans at noise_density={noise_density!r}: must be at "
            f"most {length - tokens}, the number of other tokens, of which at least one precedes each span"
        )
    return tokens, spans


def _rounded_counts(length: int, noise_density: float, mean_span_length: float) -> tuple[int, int]:
    """Like `span_counts`, but without checking that there is room for the spans."""
    check_share("noise_density", noise_density)
    check_number("mean_span_length", mean_span_length, low=1)
    tokens = min(max(round(length * noise_density), 1), length - 1)
    return tokens, max(round(tokens / mean_span_length), 1)


def span_lengths(inputs_length: int, noise_density: float = 0.15, mean_span_length: float = 3.0) -> tuple[int, int]:
    """How long a text must be to fill the inputs after `corrupt_spans`, and how long the targets then are.

    Each span becomes one sentinel, and both sides get an end token: inputs of 512 tokens take a text of 568 and give
    targets of 114; 128 take 141 and give 29; 64 take 70 and give 14. So a model that reads 512 tokens learns from 568.

    Args:
        inputs_length: the largest length of the inputs, at least 3.
        noise_density, mean_span_length: as for `span_counts`.

    Returns:
        The length of the text, and that of the targets.
    """
    check_whole("inputs_length", inputs_length, least=3, why=" (a token, a sentinel, an end token)")
    if noise_density == 1:
        raise ValueError(f"noise_density={noise_density!r}: must be below 1, since otherwise no text fills the inputs")

    def fits(length: int) -> bool:
        tokens, spans = _rounded_counts(length, noise_density, mean_span_length)
        return length - tokens + spans + 1 <= inputs_length

    # A longer text never leaves shorter inputs. If nearly all of it is noise, it is far longer than they are: so the
    # steps towards the largest length are doubled while the text fits, and then halved.
    length, step = inputs_length - 1, 1
    while fits(length + step):
        length, step = length + step, 2 * step
    while step > 1:
        step //= 2
        length += step * fits(length + step)
    tokens, spans = span_counts(length, noise_density, mean_span_length)
    return length, tokens + spans + 1


def random_partition(total: int, parts: int, generator: Generator) -> Tensor:
    """Cut `total` tokens into `parts` non-empty stretches; all ways to do so are equally likely.

    Of the `total - 1` places to cut, `parts - 1` are drawn. The lengths follow neither a geometric nor a Poisson
    distribution, since they add up exactly. Short ones are the most frequent.

    Returns:
        [parts] int64, the lengths in order.
    """
    check_whole("total", total, least=1)
    check_whole("parts", parts, 1, total, why=" = total")
    order = uniform((1, total - 1), generator, CPU)[0].numpy().argsort(kind="stable")
    return torch.from_numpy(np.diff(np.sort(order[: parts - 1]) + 1, prepend=0, append=total))


def span_mask(
    length: int, *, generator: Generator, noise_density: float = 0.15, mean_span_length: float = 3.0
) -> Tensor:
    """Random spans of noise, as many as `span_counts` says: T5's own mask.

    Stretches of text and noise alternate, text first and noise last, and none is empty. So the first token is never
    noise and the last one always is: the model always reads how a text begins, and never how it ends (issue 905 of the
    reference code). All masks of that kind are equally likely.

    Args:
        length: number of tokens in the text, at least 2. (The reference code leaves a text of one token as it is.)
        generator: source of randomness. `RowGenerators(seed, epoch, [index])` gives each text of a data set its own
            mask in each epoch, whatever the batches are.
        noise_density, mean_span_length: as for `span_counts`.

    Returns:
        [S] bool, True on noise.
    """
    tokens, spans = span_counts(length, noise_density, mean_span_length)
    noise = random_partition(tokens, spans, generator)
    text = random_partition(length - tokens, spans, generator)
    lengths = np.stack([text, noise], axis=1).ravel()  # numpy takes half the time of torch for so few numbers
    return torch.from_numpy(np.repeat(np.tile([False, True], spans), lengths))


def iid_mask(length: int, *, generator: Generator, noise_density: float = 0.15) -> Tensor:
    """Decide independently for each token whether it is noise, as in T5's baseline: 15% on average, and perhaps none.

    Returns:
        [S] bool, True on noise.
    """
    check_whole("length", length)
    check_share("noise_density", noise_density)
    return uniform((1, length), generator, CPU)[0] < noise_density


# --- with what ---


def sentinel_ids(vocab_size: int = 32_100, num_sentinels: int = 100) -> range:
    """The last ids of a vocabulary, in the order in which they are used: from the top down.

    <extra_id_0>, which replaces the first span, is the very last token: 32,099 in T5. `vocab_size` is that of the
    tokenizer, 32,100; the model's table has 28 more rows, which are never used.
    """
    check_whole("vocab_size", vocab_size, least=1)
    check_whole("num_sentinels", num_sentinels, 0, vocab_size, why=" = vocab_size")
    return range(vocab_size - 1, vocab_size - 1 - num_sentinels, -1)


def corrupt_spans(
    tokens: Sequence[int],
    noise_mask: Tensor,
    *,
    sentinels: Sequence[int],
    eos_token_id: int,
    final_sentinel: bool = False,
) -> TextToText:
    """Replace each span by a sentinel; the targets are the sentinels, each followed by what it replaced.

    If the text goes on after the last span, one more sentinel ends the targets. In the paper (section 3.1.4 and its
    example) one always does. With `span_mask` the text never goes on, so the reference code never writes that sentinel
    in training; `final_sentinel` adds it there too, as in the paper and in the examples of `transformers`.

    Args:
        tokens: S ids, none of them a sentinel.
        noise_mask: [S] bool, True on noise; adjacent noise is one span. (If the first token is noise, the reference
            code leaves out the first sentinel of the targets, and numbers the others one too low.)
        sentinels: the ids of <extra_id_0>, <extra_id_1>, ...: see `sentinel_ids`.
        eos_token_id: ends inputs and targets.
        final_sentinel: whether the targets always end with a sentinel.

    Returns:
        Inputs and targets.

    Raises:
        ValueError: there are too few sentinels, or the text contains one.
    """
    sentinels = whole_numbers("sentinels", sentinels)
    runs = _runs(tokens, noise_mask, sentinels, eos_token_id)
    closed = final_sentinel or not (runs and runs[-1][0])
    needed = sum(is_noise for is_noise, _ in runs) + closed
    if needed > len(sentinels):
        raise ValueError(f"sentinels must hold at least {needed} ids for these spans, got {len(sentinels)}")
    unused = iter(sentinels)
    inputs: list[int] = []
    targets: list[int] = []
    for is_noise, run in runs:
        if is_noise:
            sentinel = next(unused)
            inputs.append(sentinel)
            targets += [sentinel, *run]
        else:
            inputs += run
    if closed:
        targets.append(next(unused))
    return TextToText([*inputs, eos_token_id], [*targets, eos_token_id])


def bert_style(
    tokens: Sequence[int],
    noise_mask: Tensor,
    *,
    sentinels: Sequence[int],
    eos_token_id: int,
    generator: Generator,
    random_token_ids: Sequence[int],
    random_share: float = 0.1,
) -> TextToText:
    """BERT's masking: each token of noise becomes the mask token or a random one; the targets are the whole text.

    Args:
        tokens, noise_mask, eos_token_id: as for `corrupt_spans`.
        sentinels: the first of them serves as the mask token, for every token of noise.
        generator: source of randomness.
        random_token_ids: the ids from which a random token is drawn evenly; `range(3, 32_100)` in the reference code.
        random_share: share of the noise that becomes random. The rest becomes the mask token: in T5's version there is
            no third kind that stays as it is.
    """
    check_share("random_share", random_share)
    random_token_ids = whole_numbers("random_token_ids", random_token_ids)
    if not random_token_ids:
        raise ValueError("random_token_ids must hold at least one id")
    masked = mass_style(tokens, noise_mask, sentinels=sentinels, eos_token_id=eos_token_id)
    shape = (1, len(noise_mask))
    is_random = noise_mask.bool() & (uniform(shape, generator, CPU)[0] < random_share)
    drawn = integers(len(random_token_ids), shape, generator, CPU)[0]
    for place in is_random.nonzero().flatten().tolist():
        masked.inputs[place] = random_token_ids[int(drawn[place])]
    return masked


def mass_style(tokens: Sequence[int], noise_mask: Tensor, *, sentinels: Sequence[int], eos_token_id: int) -> TextToText:
    """Replace all noise with the mask token (the first sentinel); the targets are the whole text, as in MASS."""
    sentinels = whole_numbers("sentinels", sentinels)
    runs = _runs(tokens, noise_mask, sentinels, eos_token_id)
    inputs = [token for is_noise, run in runs for token in ([sentinels[0]] * len(run) if is_noise else run)]
    return TextToText([*inputs, eos_token_id], [*(token for _, run in runs for token in run), eos_token_id])


def drop_tokens(
    tokens: Sequence[int], noise_mask: Tensor, *, sentinels: Sequence[int], eos_token_id: int
) -> TextToText:
    """Leave out the noise without a trace; the targets are the noise, one span after the other."""
    runs = _runs(tokens, noise_mask, sentinels, eos_token_id)
    text, noise = ([token for is_noise, run in runs if is_noise == side for token in run] for side in (False, True))
    return TextToText([*text, eos_token_id], [*noise, eos_token_id])


def text_to_text_batch(examples: Sequence[TextToText], *, pad_token_id: int) -> TextToTextBatch:
    """Pad examples to the longest input and the longest target of the batch."""
    check_items("examples", examples, TextToText)
    check_token_ids(pad_token_id=pad_token_id)
    input_ids, attention_mask = pad_rows("examples", [example.inputs for example in examples], pad_token_id)
    labels, _ = pad_rows("examples", [example.targets for example in examples], IGNORE_INDEX)
    return TextToTextBatch(input_ids, attention_mask, labels)


def _runs(
    tokens: Sequence[int], noise_mask: Tensor, sentinels: Sequence[int], eos_token_id: int
) -> list[tuple[bool, list[int]]]:
    """The stretches of noise and of text in order, each as (whether it is noise, its tokens)."""
    ids = whole_numbers("tokens", tokens)
    flags = as_bool("noise_mask", noise_mask, torch.Size([len(ids)])).tolist()
    check_token_ids(eos_token_id=eos_token_id)
    sentinels = whole_numbers("sentinels", sentinels)
    reserved = set(sentinels)
    if not reserved:
        raise ValueError("sentinels must hold at least one id")
    if len(reserved) < len(sentinels):
        raise ValueError(f"sentinels={sentinels!r:.80}: must all be different")
    if eos_token_id in reserved:
        raise ValueError(f"eos_token_id={eos_token_id}: must not be a sentinel")
    for token in ids:
        if token in reserved:
            raise ValueError(f"tokens must hold no sentinel, got {token}")
    pairs = groupby(zip(flags, ids, strict=True), key=lambda pair: pair[0])
    return [(is_noise, [token for _, token in run]) for is_noise, run in pairs]
