"""Unigram, as SentencePiece makes it for ALBERT and T5: of all ways to cut a text, the most probable.

ALBERT (Lan et al. 2020, arXiv:1909.11942, section 4.1) takes its 30,000 pieces from SentencePiece; those of its
released models are a unigram language model (Kudo 2018, arXiv:1804.10959). The method has two halves:

* *Training* finds the pieces and their probabilities, from many pieces to few: see `unigram_training`.
* *Using* them is neither a walk from left to right, as in WordPiece, nor a replay of merges. It is a search for the way
  to cut that has the highest probability: the product of those of its pieces. `segmentations` shows the best ones.

A space belongs to the piece after it and is written "▁"; one is also put in front of the text. So spaces can be
restored when pieces become text again. But before cutting, ALBERT's uncased models discard case, accents and how many
spaces there were. T5 (Raffel et al. 2020, arXiv:1910.10683, section 2.2) has 32,000 pieces of the same kind and keeps
case and accents.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from plm_lessons.checks import check_whole
from plm_lessons.tokenization.loading import check_tokenizer, count_words, the_word
from plm_lessons.tokenization.merges import without_rare
from plm_lessons.tokenization.unigram_training import train_scores

# Their ids are their places here, as in ALBERT: <pad> = 0 ... [MASK] = 4.
SPECIAL_TOKENS = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
# As in T5, where the sentinels come last.
T5_SPECIAL_TOKENS = ("<pad>", "</s>", "<unk>")
SPACE = "▁"  # U+2581, which is not an underscore

# No piece mixes letters, digits and other signs; otherwise frequent words would get a second piece with a comma.
# SentencePiece keeps these apart, too (split_by_unicode_script, split_by_number).
_UNIT = re.compile(rf"{SPACE}?(?:[^\W\d]+|\d+|[^\w{SPACE}]+)|{SPACE}")


def _albert_tokenizer(model: models.Unigram) -> Tokenizer:
    tokenizer = Tokenizer(model)
    # Like preprocess_text in google-research/albert, tokenization.py; the quotation marks are as in `transformers`. At
    # the end NFKC, as in SentencePiece, puts together what NFKD took apart except accents, such as Korean syllables.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.NFKC(),
        ]
    )
    return _with_marked_spaces(tokenizer)


def _t5_tokenizer(model: models.Unigram) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFKC()
    return _with_marked_spaces(tokenizer)


def _with_marked_spaces(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return tokenizer


def _count_units(scratch: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    units: Counter[str] = Counter()
    for word, count in count_words(scratch, texts).items():
        for unit in _UNIT.findall(word):
            units[unit] += count
    return units


def _check_sizes(vocab_size: int, min_character_count: int) -> None:
    check_whole("vocab_size", vocab_size, least=1)
    check_whole("min_character_count", min_character_count)


def train_unigram(texts: Iterable[str], vocab_size: int = 8192, min_character_count: int = 10) -> Tokenizer:
    """Train Unigram, uncased and set up like ALBERT's; every run gives the same result.

    Args:
        texts: the training text, in any portions.
        vocab_size: the most pieces in all: 5 special tokens, the alphabet and longer pieces.
        min_character_count: a character seen less often is left out of the alphabet, and parts of words that contain it
            are left out of training. Such a character becomes `<unk>`; unlike in WordPiece, the whole word does not.

    Returns:
        A tokenizer that encodes a text as `[CLS] A [SEP]` (segment 0) and a pair as `[CLS] A [SEP] B [SEP]` (B: segment
        1). A `[MASK]` takes in the white space before it.

    Raises:
        ValueError: if `vocab_size` cannot hold even the special tokens and the alphabet, or an argument is invalid.
    """
    _check_sizes(vocab_size, min_character_count)
    units = _count_units(_albert_tokenizer(models.Unigram()), texts)
    # Special tokens are found before a text is lower-cased, so "<PAD>" is not one. Nor does it become one afterwards if
    # it can be spelled, for which these two characters are needed.
    units.update(dict.fromkeys("<>", max(1, min_character_count)))
    vocabulary = train_scores(without_rare(units, min_character_count), vocab_size, SPECIAL_TOKENS)
    tokenizer = _albert_tokenizer(models.Unigram(vocabulary, unk_id=SPECIAL_TOKENS.index("<unk>")))
    tokenizer.add_special_tokens([*SPECIAL_TOKENS[:-1], AddedToken(SPECIAL_TOKENS[-1], lstrip=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def train_t5_unigram(
    texts: Iterable[str], vocab_size: int = 8192, min_character_count: int = 10, num_sentinels: int = 100
) -> Tokenizer:
    """Train Unigram, set up like T5's, which differs from ALBERT's in four ways.

    Case and accents stay: what a model writes should look like what it has read. The special tokens are `<pad>` 0,
    `</s>` 1 and `<unk>` 2. A text ends with `</s>` and has no special token in front. And the highest ids are those of
    the sentinels, from the top down: `<extra_id_0>` is the last.

    Args:
        texts, min_character_count: as for `train_unigram`.
        vocab_size: the most pieces in all: 3 special tokens, the alphabet, longer pieces and the sentinels. T5 has
            32,000 and 100 sentinels; its model has 28 rows more than these need: see `T5Config`.
        num_sentinels: number of sentinels.

    Returns:
        A tokenizer that encodes a text as `A </s>` and a pair as `A </s> B </s>`.

    Raises:
        ValueError: if `vocab_size` cannot hold even the special tokens, the alphabet and the sentinels, or an argument
            is invalid.
    """
    _check_sizes(vocab_size, min_character_count)
    check_whole("num_sentinels", num_sentinels)
    kept = without_rare(_count_units(_t5_tokenizer(models.Unigram()), texts), min_character_count)
    sentinels = [f"<extra_id_{number}>" for number in reversed(range(num_sentinels))]
    trained = train_scores(kept, vocab_size, [*T5_SPECIAL_TOKENS, *sentinels])
    first = len(T5_SPECIAL_TOKENS)
    vocabulary = trained[:first] + trained[first + num_sentinels :] + trained[first : first + num_sentinels]
    tokenizer = _t5_tokenizer(models.Unigram(vocabulary, unk_id=T5_SPECIAL_TOKENS.index("<unk>")))
    tokenizer.add_special_tokens([*T5_SPECIAL_TOKENS, *sentinels])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A:0 </s>:0", pair="$A:0 </s>:0 $B:0 </s>:0", special_tokens=[("</s>", T5_SPECIAL_TOKENS.index("</s>"))]
    )
    return tokenizer


def segmentations(tokenizer: Tokenizer, word: str, top: int = 5) -> list[tuple[tuple[str, ...], float]]:
    """Show how Unigram cuts one word: the most probable of all ways.

    Args:
        tokenizer: a Unigram tokenizer.
        word: one word; it is normalised and given its "▁" here.
        top: the most ways to return.

    Returns:
        The ways, the most probable first, each as its pieces and the natural logarithm of its probability. The first is
        the one that the tokenizer uses. Over all ways, the probabilities sum to that of the word.

    Raises:
        ValueError: if the tokenizer is not Unigram, `word` is not one word or has a character that is not in the
            alphabet, or `top` is less than 1.
    """
    check_tokenizer(tokenizer, models.Unigram)
    check_whole("top", top, least=1)
    normal = the_word(tokenizer, word)
    scores: dict[str, float] = dict(json.loads(tokenizer.to_str())["model"]["vocab"])
    for character in normal:
        if character not in scores:
            raise ValueError(f"word is {word!r}; {character!r} is not in the alphabet of the tokenizer")
    # For each place, only the best ways to reach it are kept: the rest of the word adds the same to all of them.
    best: list[list[tuple[tuple[str, ...], float]]] = [[((), 0.0)]]
    for end in range(1, len(normal) + 1):
        ways = (
            ((*pieces, piece), score + scores[piece])
            for start in range(end)
            if (piece := normal[start:end]) in scores
            for pieces, score in best[start]
        )
        best.append(heapq.nlargest(top, ways, key=itemgetter(1)))
    return best[-1]
