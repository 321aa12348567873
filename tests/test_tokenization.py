"""Loading and encoding with any tokenizer; WordPiece: what it does, that its explanation is true, and its training."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import train_tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from plm_lessons.corpus import documents, split_sentences
from plm_lessons.tokenization import (
    SPECIAL_TOKENS,
    TOKENIZERS,
    Merge,
    encode_documents,
    load_tokenizer,
    longest_match,
    train_wordpiece,
    training_merges,
)


@cache
def wordpiece() -> Tokenizer:
    return load_tokenizer("wordpiece")


def pieces(word: str) -> list[str]:
    return wordpiece().encode(word, add_special_tokens=False).tokens


# --- The shipped tokenizer -------------------------------------------------------------------------------------------


def test_vocabulary_and_special_tokens() -> None:
    assert wordpiece().get_vocab_size() == 8192
    assert [wordpiece().token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert sorted(wordpiece().get_vocab().values()) == list(range(8192))


def test_one_text_and_a_pair_are_framed_as_in_bert() -> None:
    one = wordpiece().encode("The war ended.")
    assert one.tokens == ["[CLS]", "the", "war", "ended", ".", "[SEP]"]
    assert one.type_ids == [0] * 6
    pair = wordpiece().encode("The war ended.", "Peace!")
    assert pair.tokens == ["[CLS]", "the", "war", "ended", ".", "[SEP]", "peace", "!", "[SEP]"]
    assert pair.type_ids == [0] * 6 + [1] * 3
    assert pair.special_tokens_mask == [1, 0, 0, 0, 0, 1, 0, 0, 1]
    assert one.ids[0] == 2 and one.ids[-1] == 3


def test_nothing_is_cut_or_padded_by_default() -> None:
    assert wordpiece().truncation is None and wordpiece().padding is None
    assert len(wordpiece().encode("word " * 2000).ids) == 2002


def test_case_and_accents_do_not_matter() -> None:
    assert pieces("Café NAÏVE") == pieces("cafe naive")


def test_special_tokens_in_the_text_are_one_piece() -> None:
    assert wordpiece().encode("Paris is the [MASK] of France.").ids.count(4) == 1


def test_a_word_with_an_unknown_character_is_unknown_as_a_whole() -> None:
    assert wordpiece().encode("The word 日本 and жизнь", add_special_tokens=False).tokens == [
        *["the", "word", "[UNK]", "[UNK]", "and", "[UNK]"]
    ]
    assert pieces("state☃s") == ["[UNK]"]
    assert pieces("a" * 100) != ["[UNK]"] and pieces("a" * 101) == ["[UNK]"]


def test_unknown_words_are_rare_even_in_text_held_out() -> None:
    for source, most in (("wikipedia", 0.001), ("sotu", 0.0001)):
        ids = [
            i for document in encode_documents(wordpiece(), documents(source, "held_out")) for s in document for i in s
        ]
        assert ids.count(1) / len(ids) < most


def test_offsets_recover_the_text() -> None:
    text = "  Dr. Müller's naïve co-worker (from Łódź)\tpaid $4.50 — “cheap”!  "
    encoding = wordpiece().encode(text)
    words: dict[int, str] = {}
    for token, (start, end), word in zip(encoding.tokens, encoding.offsets, encoding.word_ids, strict=True):
        if word is None:
            assert token in ("[CLS]", "[SEP]") and start == end
        else:
            words[word] = words.get(word, "") + text[start:end]
    assert list(words.values()) == [
        *["Dr", ".", "Müller", "'", "s", "naïve", "co", "-", "worker", "(", "from", "Łódź", ")"],
        *["paid", "$", "4", ".", "50", "—", "“", "cheap", "”", "!"],
    ]


@given(st.text(alphabet="abcxyzéÅŁ .,'-—日\t\n0"))
def test_offsets_cover_everything_but_white_space(text: str) -> None:
    encoding = wordpiece().encode(text, add_special_tokens=False)
    covered = {place for start, end in encoding.offsets for place in range(start, end)}
    assert {place for place, character in enumerate(text) if not character.isspace()} == covered


def test_known_words_are_decoded_as_they_were() -> None:
    sentence = documents("wikipedia", "held_out")[0].sentences[0]
    decoded = wordpiece().decode(wordpiece().encode(sentence).ids)
    assert decoded.replace(" ", "") == wordpiece().normalizer.normalize_str(sentence).replace(" ", "")


# --- Loading ---------------------------------------------------------------------------------------------------------


def test_loading_by_name_folder_or_file(tmp_path: Path) -> None:
    text = "An expected journey."
    for place in ("wordpiece", TOKENIZERS / "wordpiece", str(TOKENIZERS / "wordpiece" / "tokenizer.json")):
        assert load_tokenizer(place).encode(text).ids == wordpiece().encode(text).ids
    with pytest.raises(
        ValueError,
        match=r"name_or_path is 'wordpieces'; .* \('byte_level_bpe', 't5_unigram', 'unigram', 'wordpiece'\), a",
    ):
        load_tokenizer("wordpieces")
    with pytest.raises(ValueError, match="name_or_path"):
        load_tokenizer(tmp_path)


def test_a_loaded_tokenizer_is_the_callers_own() -> None:
    changed = load_tokenizer("wordpiece")
    changed.enable_truncation(4)
    assert load_tokenizer("wordpiece").truncation is None


def test_a_loaded_tokenizer_cuts_and_pads_nothing_whatever_its_file_says(tmp_path: Path) -> None:
    changed = load_tokenizer("wordpiece")
    changed.enable_truncation(4)
    changed.enable_padding(length=32)
    changed.save(str(tmp_path / "tokenizer.json"))
    text = "An expected journey that is long."
    assert load_tokenizer(tmp_path).encode(text).ids == wordpiece().encode(text).ids


def test_a_folder_with_the_name_of_a_shipped_tokenizer_gives_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wordpiece").mkdir()
    load_tokenizer("unigram").save("wordpiece/tokenizer.json")
    for place in (Path("wordpiece"), "./wordpiece"):
        assert isinstance(load_tokenizer(place).model, models.Unigram)
    assert isinstance(load_tokenizer("wordpiece").model, models.WordPiece)


# --- Encoding documents ----------------------------------------------------------------------------------------------


def test_every_sentence_of_every_document_is_encoded() -> None:
    chosen = documents("wikipedia", "held_out")
    encoded = encode_documents(wordpiece(), chosen)
    assert [len(document) for document in encoded] == [len(document.sentences) for document in chosen]
    for document, ids in list(zip(chosen, encoded, strict=True))[::100]:
        assert ids == [wordpiece().encode(sentence, add_special_tokens=False).ids for sentence in document.sentences]


def test_own_sentences_are_encoded_and_only_empty_ones_left_out() -> None:
    own = [split_sentences("It rained. We stayed."), [], ["", "One.", " \t", "Two."], iter(["Three."])]
    expected = [["It rained.", "We stayed."], [], ["One.", "Two."], ["Three."]]
    assert encode_documents(wordpiece(), own) == [
        [wordpiece().encode(sentence, add_special_tokens=False).ids for sentence in document] for document in expected
    ]
    assert encode_documents(wordpiece(), []) == []


def test_a_tokenizer_that_cuts_or_pads_is_refused() -> None:
    for switch in (lambda t: t.enable_truncation(8), lambda t: t.enable_padding(length=8)):
        tokenizer = load_tokenizer()
        switch(tokenizer)
        with pytest.raises(ValueError, match="truncation or padding"):
            encode_documents(tokenizer, [["A sentence."]])


# --- Longest match ---------------------------------------------------------------------------------------------------


def check_longest_match(word: str, expected: list[str]) -> None:
    steps = longest_match(wordpiece(), word)
    taken = [step.piece for step in steps]
    assert (["[UNK]"] if taken[-1] is None else taken) == expected, word
    assert None not in taken[:-1]
    place = 0
    for step in steps:
        prefix = "##" if place else ""
        assert step.start == place
        # Every longer piece was looked up first and is not there.
        ends = range(len(word), len(word) - len(step.tried), -1)
        assert step.tried == tuple(prefix + word[place:end] for end in ends)
        assert all(wordpiece().token_to_id(piece) is None for piece in step.tried[:-1])
        if step.piece is None:
            assert ends[-1] == place + 1 and wordpiece().token_to_id(step.tried[-1]) is None
        else:
            assert step.piece == step.tried[-1]
            place = ends[-1]
    assert taken[-1] is None or place == len(word)


def test_longest_match_is_what_the_tokenizer_does_on_all_words_held_out() -> None:
    words: set[str] = set()
    for document in documents("wikipedia", "held_out"):
        normal = wordpiece().normalizer.normalize_str(document.text)
        words.update(word for word, _ in wordpiece().pre_tokenizer.pre_tokenize_str(normal))
    assert len(words) > 10_000
    for word in sorted(words):
        check_longest_match(word, pieces(word))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789жλß", min_size=1, max_size=100))
def test_longest_match_is_what_the_tokenizer_does_on_any_word(word: str) -> None:
    check_longest_match(word, pieces(word))


def test_longest_match_on_a_word_that_fails_half_way() -> None:
    first, last = longest_match(wordpiece(), "stateж")
    assert (first.piece, last.piece, last.tried) == ("state", None, ("##ж",))


# --- Training --------------------------------------------------------------------------------------------------------

HUGS = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}


@pytest.mark.parametrize("prefix", ["##", ""])
def test_each_merge_joins_the_most_frequent_pair(prefix: str) -> None:
    spelled = {word: [word[0], *(prefix + character for character in word[1:])] for word in HUGS}
    merges = training_merges(HUGS, 20, prefix)
    assert [(merge.left, merge.right, merge.merged) for merge in merges[:3]] == [
        (f"{prefix}u", f"{prefix}g", f"{prefix}ug"),
        (f"{prefix}u", f"{prefix}n", f"{prefix}un"),
        ("h", f"{prefix}ug", "hug"),
    ]
    for merge in merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, spelling in spelled.items():
            for left, right in zip(spelling, spelling[1:], strict=False):
                pairs[left, right] += HUGS[word]
        assert pairs[merge.left, merge.right] == max(pairs.values()) == merge.count
        for spelling in spelled.values():
            for place in range(len(spelling) - 1, 0, -1):
                if (spelling[place - 1], spelling[place]) == (merge.left, merge.right):
                    spelling[place - 1 : place + 1] = [merge.merged]
    # In the end every word is whole, and no more steps were returned than there are.
    assert all(spelling == [word] for word, spelling in spelled.items())
    assert len(merges) < 20 and training_merges(HUGS, 2, prefix) == merges[:2]


def test_a_piece_beside_itself_is_counted_once() -> None:
    # Three in a row are one pair and one more piece; the library counts two pairs, and so prefers them to "bc" here.
    (merge,) = training_merges({"aaa": 2, "bc": 3}, 1, prefix="")
    assert (merge.merged, merge.count) == ("aa", 2)


def test_a_pair_is_counted_wherever_it_stands_in_a_word() -> None:
    assert training_merges({"abcab": 3, "bab": 1}, 1, prefix="") == [Merge("a", "b", "ab", 7)]


def test_training_wordpiece_is_these_merges() -> None:
    text = " ".join(" ".join([word] * count) for word, count in HUGS.items())
    merged = [merge.merged for merge in training_merges(HUGS, 4)]
    alphabet = ["b", "g", "h", "n", "p", "s", "u", "##g", "##n", "##s", "##u"]
    tokenizer = train_wordpiece([text], vocab_size=5 + len(alphabet) + 4, min_character_count=1)
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary, key=vocabulary.__getitem__) == [*SPECIAL_TOKENS, *alphabet, *merged]


def test_training_gives_the_same_result_every_time_where_the_library_alone_does_not() -> None:
    # Nearly all pairs are equally frequent here: everything depends on how ties are broken.
    text = "Wel come to the Tok en izers libr ary. Any tie goes to the lower id; hash order must not decide."
    results = {train_wordpiece([text], vocab_size=80, min_character_count=1).to_str() for _ in range(50)}
    assert len(results) == 1


def test_training_leaves_rare_characters_out() -> None:
    tokenizer = train_wordpiece(["ab ab ab zebra"], vocab_size=50, min_character_count=3)
    assert tokenizer.encode("ab zebra", add_special_tokens=False).tokens == ["ab", "[UNK]"]
    assert tokenizer.token_to_id("z") is None


def test_training_refuses_a_vocabulary_that_cannot_hold_the_alphabet() -> None:
    with pytest.raises(ValueError, match="vocab_size is 8; it must be at least 9"):
        train_wordpiece(["ab ba"], vocab_size=8, min_character_count=1)


@pytest.mark.parametrize("name", train_tokenizers.TRAINERS)
def test_training_again_gives_the_shipped_file(name: str) -> None:
    assert train_tokenizers.main([name, "--check"]) == 0


def test_training_reads_the_training_split_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def record(texts: list[str]) -> Tokenizer:
        seen.extend(texts)
        return wordpiece()

    monkeypatch.setitem(train_tokenizers.TRAINERS, "wordpiece", record)
    train_tokenizers.train("wordpiece")
    assert len(seen) == 9068 + 212
    assert not set(seen) & {document.text for document in documents("all", "held_out")}


def test_check_finds_a_difference_and_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(train_tokenizers, "TOKENIZERS", tmp_path)
    monkeypatch.setattr(train_tokenizers, "train", lambda name: name.encode())
    assert train_tokenizers.main(["wordpiece", "--check"]) == 1 and not list(tmp_path.iterdir())
    assert train_tokenizers.main(["wordpiece"]) == 0
    assert (tmp_path / "wordpiece" / "tokenizer.json").read_bytes() == b"wordpiece"
    assert train_tokenizers.main(["wordpiece", "--check"]) == 0


def test_only_a_text_or_a_path_names_a_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_tokenizer("wordpiece").save(str(tmp_path / "tokenizer.json"))
    monkeypatch.chdir(tmp_path)
    assert load_tokenizer(".").get_vocab_size() == 8192
    for name in (None, 3, "", "x" * 5000):
        with pytest.raises(ValueError, match="name_or_path is"):
            load_tokenizer(name)  # type: ignore[arg-type]


def test_a_word_that_is_counted_very_often_is_not_written_out_at_once() -> None:
    script = (
        "import resource; from plm_lessons.tokenization import training_merges;"
        "words = {'hug': 20_000_000, 'pug': 5}; training_merges({'hug': 20, 'pug': 5}, 2);"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "merges = training_merges(words, 2);"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before;"
        "assert [merge.count for merge in merges] == [20_000_005, 20_000_000], merges; assert grown < 300_000, grown"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wordpiece", "what is a [MASK] or a [SEP] ?"),
        ("byte_level_bpe", "The <s>old</s> price <mask> fell."),
        ("unigram", "a [CLS] b"),
        ("t5_unigram", "Thank <extra_id_0> you </s> for<pad><extra_id_99>."),
        ("t5_unigram", "Thank \uff1cextra_id_0\uff1e you"),
    ],
)
def test_a_text_that_spells_a_special_token_has_none(name: str, text: str) -> None:
    tokenizer = load_tokenizer(name)
    before = encode_documents(tokenizer, [[text.split()[0]]])
    [[first], [ids, last]] = encode_documents(tokenizer, [[text.split()[0]], [text, text.split()[0]]])
    assert [[first]] == [[last]] == before
    plain = unicodedata.normalize("NFKC", text)  # like T5's normalizer
    named = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.content in plain}
    assert named and not named & set(ids)
    if name == "byte_level_bpe":
        assert tokenizer.decode(ids) == text
    assert named & set(tokenizer.encode(plain).ids), "elsewhere they are what they were"


def test_a_special_token_is_spelled_out_where_words_are_not_parted_before() -> None:
    pieces = [("<unk>", 0.0), ("</s>", 0.0), *((sign, -1.0) for sign in "a </s>")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.add_special_tokens(["</s>"])
    assert encode_documents(tokenizer, [["a </s> a"]]) == [[[tokenizer.token_to_id(sign) for sign in "a </s> a"]]]


def test_half_a_character_is_refused_by_place() -> None:
    with pytest.raises(ValueError, match=r"word='caf\\udce9': .+ has half a character at place 3"):
        longest_match(load_tokenizer("wordpiece"), "caf\udce9")
