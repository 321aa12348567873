"""Sentence pairs drawn from text, and what pre-trained models make of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from chance import seeded
from tokenizers import Tokenizer

from plm_lessons import AlbertConfig, AlbertForPreTraining, BertConfig, BertForPreTraining
from plm_lessons.corpus import Document, documents
from plm_lessons.objectives import IN_ORDER, IS_NEXT, IS_RANDOM, SWAPPED
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.pair_examples import PairExample, draw_pair_examples, pair_probabilities

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.5,  # so that pairs differ by more than rounding
}


def document(title: str, *paragraphs: tuple[str, ...]) -> Document:
    return Document(title, "wikipedia", "held_out", None, None, paragraphs, "")


def sentence(title: str, number: int, words: int = 6) -> str:
    return " ".join([title, str(number), *["word"] * (words - 2)])


# --- drawing ----------------------------------------------------------------------------------------------------------


def test_pairs_of_the_corpus_are_what_their_labels_say() -> None:
    held_out = documents("wikipedia", "held_out")
    text = {one.title: one for one in held_out}
    pairs = draw_pair_examples(held_out, 100, seeded())
    assert Counter((pair.task, pair.label) for pair in pairs) == {
        (task, label): 50 for task in ("nsp", "sop") for label in (0, 1)
    }

    def neighbours(title: str) -> set[tuple[str, str]]:
        return {pair for part in text[title].paragraphs for pair in zip(part, part[1:], strict=False)}

    for pair in pairs:
        a, b = pair.sources
        assert all(6 <= len(some.split()) <= 40 for some in (pair.first, pair.second))
        if (pair.task, pair.label) == ("nsp", IS_RANDOM):
            assert a != b
            assert pair.first in {first for first, _ in neighbours(a)}  # A has a follower all the same ...
            assert pair.second in {second for _, second in neighbours(b)}  # ... and B follows something
        else:
            assert a == b
            swapped = (pair.task, pair.label) == ("sop", SWAPPED)
            found = (pair.second, pair.first) if swapped else (pair.first, pair.second)
            assert found in neighbours(a)
    used = [title for pair in pairs for title in dict.fromkeys(pair.sources)]
    assert len(set(used)) == len(used) == 250  # no document twice


def test_labels_come_in_no_order_and_hang_on_the_seed_alone() -> None:
    held_out = documents("wikipedia", "held_out")
    pairs = draw_pair_examples(held_out, 20, seeded(1))
    torch.rand(7)  # nothing depends on the global state
    assert draw_pair_examples(held_out, 20, seeded(1)) == pairs
    others = draw_pair_examples(held_out, 20, seeded(2))
    assert [pair.first for pair in others] != [pair.first for pair in pairs]
    labels = [pair.label for pair in pairs[:20]]
    assert labels != sorted(labels) and labels != [pair.label for pair in others[:20]]


def test_neighbours_are_drawn_evenly_within_the_limits_and_a_paragraph() -> None:
    """Documents of four fitting sentences, then one that is too short, one that is too long, and another paragraph."""
    texts = []
    for i in range(40):
        title = f"t{i}"
        fitting = [sentence(title, n, words) for n, words in enumerate((6, 7, 8, 6))]
        misfits = [sentence(title, 4, 5), sentence(title, 5), sentence(title, 6, 9)]
        texts.append(document(title, (*fitting, *misfits), (sentence(title, 7),), (sentence(title, 8),)))
    found: Counter[tuple[str, ...]] = Counter()
    for seed in range(30):
        for pair in draw_pair_examples(texts, 20, seeded(seed), tasks=("sop",), most_words=8):
            numbers = [some.split()[1] for some in (pair.first, pair.second)]
            found[tuple(sorted(numbers))] += 1
            assert (numbers == sorted(numbers)) == (pair.label == IN_ORDER)
    assert set(found) == {("0", "1"), ("1", "2"), ("2", "3")} and found.total() == 600
    assert all(abs(count - 200) < 4 * (600 * 2 / 9) ** 0.5 for count in found.values())  # four standard deviations


def test_tasks_are_chosen_and_come_in_their_order() -> None:
    texts = [document(f"t{i}", (sentence(f"t{i}", 0), sentence(f"t{i}", 1))) for i in range(10)]
    for tasks in (("nsp",), ("sop", "nsp")):
        pairs = draw_pair_examples(texts, 4, seeded(), tasks=tasks)
        assert [pair.task for pair in pairs] == [task for task in tasks for _ in range(4)]
    next_ones = [pair for pair in pairs if (pair.task, pair.label) == ("nsp", IS_NEXT)]
    assert all(pair.second.split()[:2] == [pair.sources[0], "1"] for pair in next_ones) and len(next_ones) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"count": 8},
            "documents: 10 of them hold neighbouring sentences of 6 to 40 words, but there must be at least 20 for",
        ),
        (
            {"most_words": 5},
            "documents: 0 of them hold neighbouring sentences of 6 to 5 words, but there must be at least 5",
        ),
        (
            {"fewest_words": 7},
            "documents: 0 of them hold neighbouring sentences of 7 to 40 words, but there must be at least 5",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(changed: dict[str, Any], message: str) -> None:
    texts = [document(f"t{i}", (sentence(f"t{i}", 0), sentence(f"t{i}", 1))) for i in range(10)]
    with pytest.raises(ValueError, match=message):
        draw_pair_examples(texts, **{"count": 2, "generator": seeded(), **changed})


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs() -> list[PairExample]:
    return draw_pair_examples(documents("wikipedia", "held_out"), 6, seeded())


def models() -> list[tuple[BertForPreTraining | AlbertForPreTraining, Tokenizer, str]]:
    wordpiece, unigram = load_tokenizer("wordpiece"), load_tokenizer("unigram")
    bert = BertForPreTraining(BertConfig(vocab_size=wordpiece.get_vocab_size(), **SMALL))
    albert = AlbertForPreTraining(AlbertConfig(vocab_size=unigram.get_vocab_size(), embedding_size=16, **SMALL))
    return [(bert, wordpiece, "seq_relationship_logits"), (albert, unigram, "sop_logits")]


@pytest.mark.parametrize("which", (0, 1), ids=("BERT", "ALBERT"))
def test_probability_is_that_of_label_0_for_each_pair_alone(which: int, pairs: list[PairExample]) -> None:
    """Compared with rows of one pair without padding, written by hand; dropout is off, and batches change nothing."""
    model, tokenizer, scores = models()[which]
    model.train()
    found = pair_probabilities(model, tokenizer, pairs, batch_size=5)
    assert model.training, "left as it was"
    model.eval()
    for pair, probability in zip(pairs, found, strict=True):
        first, second = (tokenizer.encode(some, add_special_tokens=False).tokens for some in pair[1:3])
        tokens = ["[CLS]", *first, "[SEP]", *second, "[SEP]"]
        types = [0] * (len(first) + 2) + [1] * (len(second) + 1)
        with torch.no_grad():
            output = model(
                torch.tensor([[tokenizer.token_to_id(token) for token in tokens]]), token_type_ids=torch.tensor([types])
            )
        next_, random = getattr(output, scores)[0].double().exp().tolist()
        assert probability == pytest.approx(next_ / (next_ + random), abs=1e-5)
    assert max(found) - min(found) > 0.01
    swapped = [pair._replace(first=pair.second, second=pair.first) for pair in pairs]
    assert pair_probabilities(model, tokenizer, swapped) != pytest.approx(found, abs=1e-3)


def test_what_cannot_be_asked_is_said(pairs: list[PairExample]) -> None:
    model, tokenizer, _ = models()[0]
    with pytest.raises(ValueError, match=r"must be at most max_position_embeddings = 512"):
        pair_probabilities(model, tokenizer, [pairs[0]._replace(second="word " * 600)])
    with pytest.raises(ValueError, match=r"tokenizer has no token '\[CLS\]'"):
        pair_probabilities(model, load_tokenizer("byte_level_bpe"), pairs)
