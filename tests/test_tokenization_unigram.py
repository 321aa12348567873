"""Unigram: set up like ALBERT's, its segmentations are the most probable, and its training does what it says."""

from __future__ import annotations

import itertools
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, trainers

from plm_lessons.corpus import documents
from plm_lessons.tokenization import load_tokenizer, segmentations, train_t5_unigram, train_unigram
from plm_lessons.tokenization.unigram_training import Lattice, seed_pieces, train_scores

SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")


@cache
def unigram() -> Tokenizer:
    return load_tokenizer("unigram")


@cache
def scores() -> dict[str, float]:
    """The scores of the pieces that are not special tokens."""
    return dict(json.loads(unigram().to_str())["model"]["vocab"][5:])


def pieces(text: str) -> list[str]:
    return unigram().encode(text, add_special_tokens=False).tokens


def ways(word: str) -> list[tuple[str, ...]]:
    """All ways to cut a word, whether or not the parts are pieces."""
    cuts = [
        [place for place in range(1, len(word)) if 1 << (place - 1) & which] for which in range(1 << (len(word) - 1))
    ]
    return [tuple(word[start:end] for start, end in itertools.pairwise([0, *places, len(word)])) for places in cuts]


# --- The shipped tokenizer -------------------------------------------------------------------------------------------


def test_vocabulary_and_special_tokens_are_where_albert_has_them() -> None:
    assert [unigram().token_to_id(token) for token in SPECIAL] == [0, 1, 2, 3, 4]
    assert unigram().get_vocab_size() == 8192 and sorted(unigram().get_vocab().values()) == list(range(8192))
    assert unigram().truncation is None and unigram().padding is None
    values = list(scores().values())
    assert values == sorted(values, reverse=True)
    assert math.fsum(math.exp(value) for value in values) == pytest.approx(1, abs=1e-5)


def test_no_piece_mixes_letters_digits_and_other_signs() -> None:
    for piece in scores():
        kinds = {"letter" if c.isalpha() else "digit" if c.isdecimal() else "sign" for c in piece.removeprefix("▁")}
        assert len(kinds) <= 1, piece


def test_texts_and_pairs_are_encoded_as_by_alberts_tokenizer() -> None:
    """Compared with the class of `transformers`: [CLS] A [SEP] B [SEP], of which B [SEP] is segment 1."""
    vocabulary = [(piece, score) for piece, score in json.loads(unigram().to_str())["model"]["vocab"]]
    # The mask is as in the tokenizer.json of albert-base-v2.
    mask: Any = AddedToken("[MASK]", lstrip=True, special=True)
    theirs = transformers.AlbertTokenizer(vocab=vocabulary, mask_token=mask)
    texts = [document.sentences[0] for document in documents("all", "held_out")[::50]]
    texts += ["Paris is  the [MASK]. ", "``Café'' (1,5)\tNAÏVE\n", "日本 x☃s [SEP]"]
    assert len(texts) > 20
    for first, second in itertools.pairwise(texts):
        one, pair = unigram().encode(first), unigram().encode(first, second)
        assert one.ids == theirs(first)["input_ids"]
        assert (one.ids[0], one.ids[-1]) == (2, 3) and set(one.type_ids) == {0}
        assert pair.ids == theirs(first, second)["input_ids"]
        assert pair.type_ids == [0] * len(one) + [1] * (len(pair) - len(one))


def test_case_accents_and_the_number_of_spaces_do_not_matter() -> None:
    assert pieces(" Café \n NAÏVE  ``x''") == pieces('cafe naive "x"')
    assert pieces("한국 café") == pieces("한국 café")  # in whole syllables, or in parts


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'-() "))
def test_pieces_become_the_text_again_but_for_spaces(text: str) -> None:
    normal = unigram().normalizer.normalize_str(text)
    encoding = unigram().encode(text)
    assert unigram().decode(encoding.ids) == " ".join(normal.split())
    assert 1 not in encoding.ids
    assert "".join(encoding.tokens[1:-1]) == "".join(f"▁{word}" for word in normal.split())


def test_only_the_unknown_characters_are_unknown() -> None:
    assert unigram().encode("the states日本").ids == [*unigram().encode("the states").ids[:-1], 1, 3]
    for source, most in (("wikipedia", 0.0005), ("sotu", 0.00001)):
        encoded = unigram().encode_batch([document.text for document in documents(source, "held_out")])
        assert sum(one.ids.count(1) for one in encoded) / sum(len(one.ids) for one in encoded) < most


def test_what_spells_a_special_token_in_other_case_is_none() -> None:
    assert unigram().encode("a[MASK]", add_special_tokens=False).ids[1:] == [4]
    for text in ("<PAD>", "<Unk>", "[mask]", "[cls]"):
        assert not set(unigram().encode(text, add_special_tokens=False).ids) & set(range(5)), text


# --- Segmentations ---------------------------------------------------------------------------------------------------


def test_the_best_way_is_that_of_the_tokenizer_on_words_held_out() -> None:
    words = sorted({word for document in documents("all", "held_out") for word in document.text.split()})
    known = [word for word in words if unigram().token_to_id("<unk>") not in unigram().encode(word).ids]
    for word in known[::200]:
        best, probability = segmentations(unigram(), word, top=1)[0]
        assert list(best) == pieces(word) or probability == pytest.approx(
            sum(scores()[piece] for piece in pieces(word))
        )
        assert probability == pytest.approx(sum(scores()[piece] for piece in best))


@settings(max_examples=50)
@given(st.text(alphabet="abcdeghinorst", min_size=1, max_size=9), st.integers(1, 6))
def test_segmentations_are_the_best_of_all_ways_to_cut(word: str, top: int) -> None:
    found = {way: sum(scores()[piece] for piece in way) for way in ways(f"▁{word}") if all(p in scores() for p in way)}
    shown = segmentations(unigram(), word, top)
    assert [probability for _, probability in shown] == pytest.approx(sorted(found.values(), reverse=True)[:top])
    assert all(found[way] == pytest.approx(probability) for way, probability in shown)
    assert len({way for way, _ in shown}) == len(shown) == min(top, len(found))
    assert sum(scores()[piece] for piece in pieces(word)) == pytest.approx(shown[0][1])
    everything = segmentations(unigram(), word, top=1 << len(word))
    total = Lattice([f"▁{word}"], {p: n for n, p in enumerate(scores())}).forward(
        np.array([*scores().values()]), np.logaddexp
    )
    assert math.log(math.fsum(math.exp(probability) for _, probability in everything)) == pytest.approx(total[-1])


# --- Training --------------------------------------------------------------------------------------------------------

WORDS = st.dictionaries(st.text("abc", min_size=1, max_size=7), st.integers(1, 20), min_size=1, max_size=6)


@given(WORDS, st.randoms(use_true_random=False))
def test_expected_counts_are_those_over_all_ways_to_cut(words: dict[str, int], random: Any) -> None:
    numbers = {piece: number for number, piece in enumerate(seed_pieces(words))}
    log_p = np.array([-random.uniform(0.1, 9) for _ in numbers])
    expected = np.zeros(len(numbers))
    log_likelihood = best = 0.0
    for word, count in words.items():
        possible = [[numbers[piece] for piece in way] for way in ways(word) if all(piece in numbers for piece in way)]
        weights = np.array([np.exp(log_p[way].sum()) for way in possible])
        log_likelihood += count * np.log(weights.sum())
        best += count * np.log(weights.max())
        for way, weight in zip(possible, weights / weights.sum(), strict=True):
            np.add.at(expected, way, count * weight)
    lattice, counts = Lattice(list(words), numbers), np.array(list(words.values()), dtype=float)
    assert lattice.expected_counts(log_p, counts) == pytest.approx(expected)
    assert counts @ lattice.forward(log_p, np.logaddexp)[lattice.last] == pytest.approx(log_likelihood)
    assert counts @ lattice.forward(log_p, np.maximum)[lattice.last] == pytest.approx(best)


@given(WORDS)
def test_each_step_makes_the_text_more_probable(words: dict[str, int]) -> None:
    """This is what expectation-maximisation promises."""
    numbers = {piece: number for number, piece in enumerate(seed_pieces(words))}
    lattice, word_counts = Lattice(list(words), numbers), np.array(list(words.values()), dtype=float)
    log_p, before = np.full(len(numbers), -math.log(len(numbers))), -np.inf
    for _ in range(5):
        after = word_counts @ lattice.forward(log_p, np.logaddexp)[lattice.last]
        assert after >= before - 1e-9
        counts = np.maximum(lattice.expected_counts(log_p, word_counts), 1e-300)
        log_p, before = np.log(counts / counts.sum()), after


def test_training_begins_with_characters_and_parts_that_do_not_always_stand_in_the_same_longer_one() -> None:
    seed = seed_pieces({"hug": 10, "hugs": 5, "bug": 1})
    assert seed == {"b": 1, "g": 16, "h": 15, "s": 5, "u": 16, "hug": 15, "hugs": 5, "ug": 16}


def log_likelihood(words: dict[str, int], pieces: list[str]) -> float:
    """That of the words, after ten steps of expectation-maximisation with these pieces."""
    lattice = Lattice(list(words), {piece: number for number, piece in enumerate(pieces)})
    log_p, word_counts = np.full(len(pieces), -math.log(len(pieces))), np.array(list(words.values()), dtype=float)
    for _ in range(10):
        counts = np.maximum(lattice.expected_counts(log_p, word_counts), 1e-300)
        log_p = np.log(counts / counts.sum())
    return float(word_counts @ lattice.forward(log_p, np.logaddexp)[lattice.last])


def test_training_leaves_out_what_costs_least() -> None:
    words = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
    trained = train_scores(words, 12, ["<x>"])
    assert trained[0][0] == "<x>" and len(trained) == 12
    assert set("bghnpsu") <= {piece for piece, _ in trained}
    # Of all choices of so many longer pieces, the one under which the words are most probable: no "hugs", and no "un".
    longer = [piece for piece in seed_pieces(words) if len(piece) > 1]
    chosen = max(itertools.combinations(longer, 4), key=lambda choice: log_likelihood(words, [*"bghnpsu", *choice]))
    assert set(chosen) == {"hug", "pug", "pun", "bun"} == {piece for piece, _ in trained[1:] if len(piece) > 1}
    assert trained[1:] == sorted(trained[1:], key=lambda pair: (-pair[1], pair[0]))
    assert trained == train_scores(dict(reversed(words.items())), 12, ["<x>"])
    everything = train_scores(words, 100, [])
    assert {piece for piece, _ in everything} == set(seed_pieces(words))
    with pytest.raises(ValueError, match="vocab_size is 7; it must be at least 8"):
        train_scores(words, 7, ["<x>"])


def test_training_leaves_rare_characters_out_and_not_the_rest_of_their_words() -> None:
    tokenizer = train_unigram(["ab. " * 12 + "az,"], vocab_size=20, min_character_count=3)
    assert tokenizer.encode("ab. az", add_special_tokens=False).ids.count(1) == 1
    assert tokenizer.token_to_id("z") is None and tokenizer.token_to_id(",") is None
    assert tokenizer.token_to_id("▁ab") is not None and tokenizer.token_to_id("ab.") is None


def test_a_tokenizer_that_has_just_been_trained_normalises_and_finds_special_tokens() -> None:
    tokenizer = train_unigram(["pad 한국 " * 12], vocab_size=30)
    assert tokenizer.encode("한국 Pád").tokens == ["[CLS]", "▁한국", "▁pad", "[SEP]"]
    assert 0 in tokenizer.encode("<pad>").ids and 0 not in tokenizer.encode("<PAD>").ids


def test_held_out_text_is_more_probable_than_with_the_trainer_of_the_library() -> None:
    """In bits per word, after training on a small corpus."""
    train = [document.text for document in documents("sotu", "train")[:40]]
    test = [document.text for document in documents("sotu", "held_out")[:5]]

    def bits(tokenizer: Tokenizer) -> float:
        vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
        encoded = tokenizer.encode_batch(test, add_special_tokens=False)
        total = math.fsum(vocabulary[number][1] for one in encoded for number in one.ids if number != 1)
        return -total / math.log(2) / sum(len(text.split()) for text in test)

    ours, theirs = train_unigram(train, 2000, 1), Tokenizer(models.Unigram())
    theirs.normalizer, theirs.pre_tokenizer = ours.normalizer, ours.pre_tokenizer
    trainer = trainers.UnigramTrainer(
        vocab_size=2000, special_tokens=list(SPECIAL), unk_token="<unk>", show_progress=False
    )
    theirs.train_from_iterator(train, trainer)
    assert bits(ours) < bits(theirs)  # 14.4 and 14.5


def test_tokenizers_of_hardly_any_text_can_be_saved_and_loaded(tmp_path: Path) -> None:
    for number, made in enumerate(
        [
            train_unigram(["hello world hello"], 60, min_character_count=0),
            train_t5_unigram(["hello world"], 120),
            train_t5_unigram([], 120),
        ]
    ):
        made.save(str(tmp_path / f"{number}.json"))
        assert load_tokenizer(tmp_path / f"{number}.json").get_vocab() == made.get_vocab()
    assert made.get_vocab_size() == 103 and made.encode("a").ids == [2, 1]
