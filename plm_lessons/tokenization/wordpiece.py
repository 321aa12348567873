"""WordPiece, as BERT uses it (Devlin et al. 2019, arXiv:1810.04805, section 3).

The method has two halves that are easily confused:

* *Training* chooses the pieces. Schuster and Nakajima (2012), "Japanese and Korean voice search", add at each step
  the piece that raises the likelihood of the training text most. The code that made BERT's vocabulary was not released
  (google-research/bert, README: it depends on internal libraries). `tokenizers` trains its WordPiece as byte-pair
  encoding does, by the most frequent pair: see `training_merges`. So ours is trained that way too.
* *Using* them is greedy: from the left, always the longest piece that fits: see `longest_match`. In this the library
  and BERT's own `tokenization.py` agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from plm_lessons.checks import check_whole
from plm_lessons.tokenization.loading import check_tokenizer, count_words, the_word
from plm_lessons.tokenization.merges import alphabet, train_pieces, without_rare

# Their ids are their places here: [PAD] = 0 ... [MASK] = 4.
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PREFIX = "##"  # marks a piece that continues a word


@dataclass(frozen=True, slots=True)
class MatchStep:
    """One step of the greedy longest match.

    Attributes:
        start: where in the word the step begins.
        tried: the pieces looked up, longest first; those before the last are not in the vocabulary.
        piece: the piece taken, the last one tried; None if nothing fits, which makes the whole word `[UNK]`.
    """

    start: int
    tried: tuple[str, ...]
    piece: str | None


def _bert_tokenizer(model: models.Model) -> Tokenizer:
    # Lower case without accents; white space and every punctuation mark separate words; CJK characters are words.
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def train_wordpiece(texts: Iterable[str], vocab_size: int = 8192, min_character_count: int = 10) -> Tokenizer:
    """Train WordPiece with `tokenizers`, uncased and set up like BERT's; every run gives the same result.

    Args:
        texts: the training text, in any portions.
        vocab_size: the most pieces in all: special tokens, alphabet and merges.
        min_character_count: a character seen less often is left out of the alphabet, and words that contain it are left
            out of training and become `[UNK]`. So no piece is spent on characters that are too rare to be learnt.

    Returns:
        A tokenizer that encodes a text as `[CLS] A [SEP]` (segment 0) and a pair as `[CLS] A [SEP] B [SEP]` (B: segment
        1).

    Raises:
        ValueError: if `vocab_size` cannot hold even the special tokens and the alphabet, or an argument is invalid.
    """
    check_whole("vocab_size", vocab_size, least=1)
    check_whole("min_character_count", min_character_count)
    kept = without_rare(count_words(_bert_tokenizer(models.WordPiece()), texts), min_character_count)
    pieces, _ = train_pieces(kept, vocab_size, [*SPECIAL_TOKENS, *alphabet(kept, PREFIX)], PREFIX)
    vocabulary = {piece: index for index, piece in enumerate(pieces)}

    tokenizer = _bert_tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix=PREFIX))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.decoder = decoders.WordPiece(prefix=PREFIX)
    return tokenizer


def longest_match(tokenizer: Tokenizer, word: str) -> list[MatchStep]:
    """Show how WordPiece cuts one word: from the left, always the longest piece in the vocabulary.

    Args:
        tokenizer: a WordPiece tokenizer.
        word: one word as the pre-tokenizer leaves it (lower case, no white space, no punctuation attached).

    Returns:
        The steps. A step in which no piece fits is the last and has `piece=None`: the whole word is then `[UNK]`,
        including the pieces found before.

    Raises:
        ValueError: if the tokenizer is not WordPiece, or the word is empty, longer than the model's limit (it is then
            `[UNK]` without a search), or changed by the normalizer or pre-tokenizer.
    """
    check_tokenizer(tokenizer, models.WordPiece)
    if (seen := the_word(tokenizer, word)) != word:
        raise ValueError(f"word is {word!r}; it must be one word as the tokenizer sees it, which is {seen!r}")
    if len(word) > tokenizer.model.max_input_chars_per_word:
        limit = tokenizer.model.max_input_chars_per_word
        raise ValueError(
            f"word has {len(word)} characters; it must have at most {limit}, a longer one is [UNK] at once"
        )
    steps, start = [], 0
    while start < len(word):
        tried = []
        prefix = tokenizer.model.continuing_subword_prefix if start else ""
        for end in range(len(word), start, -1):
            tried.append(prefix + word[start:end])
            if tokenizer.token_to_id(tried[-1]) is not None:
                steps.append(MatchStep(start, tuple(tried), tried[-1]))
                start = end
                break
        else:
            return [*steps, MatchStep(start, tuple(tried), None)]
    return steps
