"""The counted baselines compared with the same formulas in a few lines of plain Python."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from plm_lessons.corpus import documents
from plm_lessons.tokenization import encode_documents, load_tokenizer, token_id
from plm_lessons.training.albert_batches import albert_batches
from plm_lessons.training.evaluation import asked_trigrams, trigram_baseline, unigram_baseline, unmasked
from plm_lessons.training.ngrams import NgramModel

V = 9


def some_rows(seed: int, count: int = 60) -> list[list[int]]:
    """Rows in which most words follow from the word before."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for length in torch.randint(1, 12, (count,), generator=generator).tolist():
        row = [int(torch.randint(V, (), generator=generator))]
        for draw in torch.rand(length, generator=generator).tolist():
            row.append((row[-1] * 2 + 1) % V if draw < 0.6 else int(draw * 1000) % V)
        rows.append(row)
    return rows


class Counting:
    """p(w | u, v) as the module's docstring defines it."""

    def __init__(self, rows: list[list[int]], weights: list[np.ndarray]) -> None:
        self.counts: Counter[tuple[int, ...]] = Counter()
        self.before: Counter[tuple[int, ...]] = Counter()
        self.weights, self.words = weights, sum(map(len, rows))
        for row in rows:
            padded = [V, V, *row]
            for end in range(2, len(padded)):
                for length in (1, 2, 3):
                    ngram = tuple(padded[end + 1 - length : end + 1])
                    self.counts[ngram] += 1
                    self.before[ngram[:-1]] += 1

    def probability(self, *ngram: int) -> float:
        if len(ngram) == 1:
            return (self.counts[ngram] + 1) / (self.words + V)
        seen = self.before[ngram[:-1]]
        weight = self.weights[len(ngram) - 2][seen.bit_length()]
        share = self.counts[ngram] / seen if seen else 0.0
        return weight * share + (1 - weight) * self.probability(*ngram[1:])


def test_probabilities_and_best_words_are_those_of_the_formula() -> None:
    rows = some_rows(0)
    model = NgramModel(rows, V)
    counting = Counting(rows, model.weights)
    contexts = [(u, v) for u in range(V + 1) for v in range(V + 1)]
    for context in contexts:
        expected = np.array([counting.probability(*context, word) for word in range(V)])
        found = model.probabilities(np.array([[*context, word] for word in range(V)]))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert found.sum() == pytest.approx(1)
        assert found[model.best_words(np.array([context]))[0]] == pytest.approx(found.max(), rel=1e-12)
    together = model.best_words(np.array(contexts))
    assert together.tolist() == [model.best_words(np.array([context]))[0] for context in contexts]


def test_the_weights_are_the_likeliest_on_the_rows_that_were_not_counted() -> None:
    rows = some_rows(1, count=300)
    weights = NgramModel(rows, V).weights
    counting = Counting([row for number, row in enumerate(rows, 1) if number % 10], weights)
    fitted_on = [[V, V, *row][end : end + 3] for row in rows[9::10] for end in range(len(row))]

    def loss(length: int) -> float:
        return -sum(math.log(counting.probability(*ngram[-length:])) for ngram in fitted_on) / len(fitted_on)

    for length in (2, 3):
        counting.weights = weights
        best = loss(length)
        for level in range(1, 11):
            for change in (-0.03, 0.03):
                counting.weights = [each.copy() for each in weights]
                moved = counting.weights[length - 2][level] + change
                counting.weights[length - 2][level] = min(max(moved, 0.0), 0.9999)
                assert loss(length) >= best - 3e-4  # as near as fifty rounds of fitting get
    assert all(each[0] == 0 for each in weights) and weights[0][8] > 0.8


def test_no_word_is_impossible_even_if_all_that_the_weights_were_fitted_on_had_been_counted() -> None:
    rows = [[1, 2, 3]] * 40
    model = NgramModel(rows, V)
    ngrams = np.array(list(itertools.product(range(V), repeat=3)))
    assert (model.probabilities(ngrams) > 0).all()
    assert math.isfinite(trigram_baseline(rows, torch.from_numpy(ngrams), V)["masked_lm_loss"])


def test_with_fewer_than_ten_rows_nothing_is_fitted() -> None:
    model = NgramModel(some_rows(2)[:9], V)
    assert [each[1:].tolist() for each in model.weights] == [[0.5] * 63] * 2


@pytest.mark.parametrize("empty", [range(9, 10), range(9)])
def test_nothing_is_fitted_either_where_the_words_are_all_on_one_side(empty: range) -> None:
    rows = [[] if number in empty else row for number, row in enumerate(some_rows(2)[:10])]
    model = NgramModel(rows, V)
    assert [each[1:].tolist() for each in model.weights] == [[0.5] * 63] * 2
    assert model.probabilities(np.arange(V)[:, None]).sum() == pytest.approx(1)


@pytest.mark.parametrize("rows", [[], [[]], [[]] * 10, [[1, V]], [[-1]]])
def test_rows_that_cannot_be_counted_are_refused(rows: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="rows"):
        NgramModel(rows, V)
    with pytest.raises(ValueError, match="order=0"):
        NgramModel([[1]], V, order=0)
    with pytest.raises(ValueError, match="order=3"):
        NgramModel([[1]], 2**21, order=3)


def test_baselines_judge_the_same_words_with_what_stands_on_their_left() -> None:
    rows, text = some_rows(3), torch.tensor([[4, 0, 1, 3], [2, 5, 2, 0]])
    asked = torch.tensor([[True, False, False, True], [False, True, False, False]])
    trigrams = asked_trigrams(text, asked, V)
    assert trigrams.tolist() == [[V, V, 4], [0, 1, 3], [V, 2, 5]]
    counting = Counting(rows, NgramModel(rows, V).weights)
    figures = trigram_baseline(rows, trigrams, V)
    losses = [-math.log(counting.probability(*trigram)) for trigram in trigrams.tolist()]
    assert figures["masked_lm_loss"] == pytest.approx(sum(losses) / 3)
    hits = [max(range(V), key=lambda word: counting.probability(*context, word)) == truth
            for *context, truth in trigrams.tolist()]  # fmt: skip
    assert figures["masked_lm_accuracy"] == pytest.approx(sum(hits) / 3)


def test_a_masked_batch_is_given_its_words_back() -> None:
    tokenizer = load_tokenizer("unigram")
    texts = encode_documents(tokenizer, documents("wikipedia", "train")[:20])
    texts = [text for text in texts if len(text) > 1]
    known = {tuple(sentence) for text in texts for sentence in text}
    batch = next(albert_batches(texts, tokenizer, max_length=64, batch_size=16))
    rows, asked = unmasked(batch)
    assert asked.sum() == (batch["labels"] != -100).sum()
    assert torch.equal(rows[~asked], batch["input_ids"][~asked])
    assert (rows[asked] != token_id(tokenizer, "[MASK]")).all()
    assert (batch["input_ids"][asked] == token_id(tokenizer, "[MASK]")).double().mean() > 0.5
    running = {pair for sentence in known for pair in zip(sentence, sentence[1:], strict=False)}
    pairs = [(int(rows[row, place - 1]), int(rows[row, place])) for row, place in asked.nonzero().tolist()]
    assert sum(pair in running for pair in pairs) > 0.8 * len(pairs)  # the others begin a sentence


def test_on_real_text_each_longer_memory_is_better() -> None:
    tokenizer = load_tokenizer("wordpiece")
    size = tokenizer.get_vocab_size()

    def rows(split: str, count: int) -> list[list[int]]:
        texts = encode_documents(tokenizer, documents("wikipedia", split)[:count])
        return [[token for sentence in text for token in sentence] for text in texts]

    held_out = torch.cat([asked_trigrams(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.bool), size)
                          for row in rows("held_out", 50)])  # fmt: skip
    training = rows("train", 1000)
    losses, accuracies = [], []
    for order in (1, 2, 3):
        model = NgramModel(training, size, order)
        ngrams = held_out[:, -order:].numpy()
        losses.append(-np.log(model.probabilities(ngrams)).mean())
        accuracies.append((model.best_words(ngrams[:, :-1]) == ngrams[:, -1]).mean())
    assert losses[0] > losses[1] + 0.5 and losses[1] > losses[2] and accuracies[0] < accuracies[1] < accuracies[2]
    unigram = unigram_baseline(torch.tensor([token for row in training for token in row]), held_out[:, 2], size)
    assert unigram["masked_lm_loss"] == pytest.approx(losses[0])
    assert unigram["masked_lm_accuracy"] == pytest.approx(accuracies[0])
