"""Tasks as text to text, their mixture, T5's tokenizer and batches, and the figures for what is written."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch
import transformers
from chance import assert_plausible
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from plm_lessons import T5Config, T5ForConditionalGeneration
from plm_lessons.corpus import documents
from plm_lessons.objectives.mixing import draw_examples, mixing_rates
from plm_lessons.objectives.span_corruption import sentinel_ids
from plm_lessons.objectives.text_to_text import DECADES, MOST_WORDS, ORDERS, TASKS, TextPair, passages
from plm_lessons.tokenization import load_tokenizer, train_t5_unigram
from plm_lessons.training.pretraining import pretrain
from plm_lessons.training.t5_batches import SpanExamples, TaskExamples, batches_in_order, t5_batches
from plm_lessons.training.t5_evaluation import (
    commonest_answer,
    evaluate_targets,
    rouge_l,
    task_figures,
    write_texts,
)


@cache
def tokenizer() -> Tokenizer:
    return load_tokenizer("t5_unigram")


@cache
def text_ids() -> list[list[int]]:
    texts = [document.text for document in documents("wikipedia", "held_out")[:40]]
    return [encoding.ids for encoding in tokenizer().encode_batch(texts, add_special_tokens=False)]


def tiny_t5() -> T5ForConditionalGeneration:
    config = T5Config(
        vocab_size=tokenizer().get_vocab_size(),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        initializer_factor=0.2,
    )
    return T5ForConditionalGeneration(config)


# --- The tokenizer ---------------------------------------------------------------------------------------------------


def test_ids_are_where_t5_has_them() -> None:
    found = tokenizer()
    assert [found.token_to_id(token) for token in ("<pad>", "</s>", "<unk>")] == [0, 1, 2]
    assert found.get_vocab_size() == 8192 and sorted(found.get_vocab().values()) == list(range(8192))
    sentinels = [found.token_to_id(f"<extra_id_{number}>") for number in range(100)]
    assert sentinels == list(sentinel_ids(8192)) and sentinels[0] == 8191
    assert found.encode("A b").ids[-1] == 1 and found.encode("A", "b").ids.count(1) == 2
    assert found.encode("Café ﬁn  x").ids == found.encode("Café fin x").ids != found.encode("cafe fin x").ids


def test_texts_are_encoded_as_by_the_t5_tokenizer_of_transformers() -> None:
    vocabulary = [(piece, score) for piece, score in json.loads(tokenizer().to_str())["model"]["vocab"]]
    theirs = transformers.T5Tokenizer(vocab=vocabulary, extra_ids=100)
    texts = [document.sentences[0] for document in documents("all", "held_out")[::50]]
    texts += ["Thank you <extra_id_0> me to your party <extra_id_1> week.", "It  costs (1,5)\t€\nxx"]
    for text in texts:
        assert tokenizer().encode(text).ids == theirs(text)["input_ids"]
        ids = tokenizer().encode(text).ids
        assert tokenizer().decode(ids) == theirs.decode(ids, skip_special_tokens=True)


def test_training_keeps_case_and_ends_with_the_sentinels() -> None:
    small = train_t5_unigram(["Ab ab. " * 12 + "az,"], vocab_size=30, min_character_count=3, num_sentinels=4)
    size = small.get_vocab_size()
    assert [small.token_to_id(f"<extra_id_{number}>") for number in range(4)] == list(sentinel_ids(size, 4))
    assert small.encode("Ab <extra_id_1> ab").ids[1] == size - 2
    assert small.encode("Ab").ids != small.encode("ab").ids
    assert small.encode("az").ids.count(2) == 1 and small.encode("x").tokens[-1] == "</s>"
    with pytest.raises(ValueError, match="vocab_size is"):
        train_t5_unigram(["abcdefg " * 12], vocab_size=12, num_sentinels=4)


# --- The tasks -------------------------------------------------------------------------------------------------------


def test_every_task_has_its_prefix_its_answers_and_short_inputs() -> None:
    for name, task in TASKS.items():
        sides = {split: task.examples(split) for split in ("train", "held_out")}
        assert task.prefix == f"{name}: " and len(sides["train"]) > 5 * len(sides["held_out"]) > 3000
        for source, target in itertools.chain(*sides.values()):
            assert source.startswith(task.prefix) and target
            assert len(source.split()) <= 64  # film reviews are not cut
        if task.answers is not None:
            assert (
                {pair.target for pair in sides["held_out"]}
                <= set(task.answers)
                == {pair.target for pair in sides["train"]}
            )
        texts = {pair.source for pair in sides["train"]}
        shared = sum(pair.source in texts for pair in sides["held_out"])
        assert shared <= len(sides["held_out"]) / 100, "but for phrases that presidents repeat"
        assert task.examples("held_out") == sides["held_out"]


def test_the_answers_are_those_of_the_text() -> None:
    articles = {document.sentences[0]: document for document in documents("wikipedia", "held_out")}
    checked = 0
    for source, target in TASKS["topic"].examples("held_out") + TASKS["describe"].examples("held_out"):
        prefix, _, lead = source.partition(": ")
        article = next(articles[first] for first in articles if lead.startswith(first))
        assert target == (article.topic if prefix == "topic" else article.description)
        assert " ".join(article.sentences).startswith(lead) or len(lead.split()) > 20
        checked += 1
    assert checked > 1500
    orders = TASKS["order"].examples("held_out")
    assert Counter(pair.target for pair in orders) == dict.fromkeys(ORDERS, len(orders) // 2)
    texts = [document.text.replace("\n\n", " ") for document in documents("wikipedia", "held_out")]
    for source, target in orders[:40]:
        first, second = source.removeprefix("order: first: ").split(" second: ")
        follows = any(f"{first} {second}" in text for text in texts)
        assert follows == (target == "in order")
    addresses = documents("sotu", "held_out")
    for source, target in TASKS["decade"].examples("held_out")[::300]:
        start = source.removeprefix("decade: ")[:60]
        years = {document.title.split(", ")[1][:4] for document in addresses if start in " ".join(document.sentences)}
        assert target in {f"{year[:3]}0" for year in years}
    assert DECADES[0] == "1790" and DECADES[-1] == "2020" and len(DECADES) == 24


@given(st.lists(st.integers(1, 60), max_size=30))
def test_passages_hold_whole_sentences_and_no_more_words_than_allowed(lengths: list[int]) -> None:
    sentences = tuple(" ".join([f"s{place}"] * length) for place, length in enumerate(lengths))
    found = list(passages(sentences))
    assert " ".join(found) == " ".join(text for text in sentences if len(text.split()) <= MOST_WORDS)
    assert all(0 < len(passage.split()) <= MOST_WORDS for passage in found)
    for passage, following in itertools.pairwise(found):
        opener = following.split()[0]
        skipped = any(length > MOST_WORDS for length in lengths)
        assert skipped or len(passage.split()) + following.split().count(opener) > MOST_WORDS, "as many as fit"


def test_a_passage_may_have_exactly_as_many_words_as_allowed() -> None:
    assert list(passages(("a b c", "d e", "f", "g h i j k l", "m"), most_words=5)) == ["a b c d e", "f", "m"]


# --- The mixture -----------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=8), st.integers(1, 10**7), st.floats(1, 20))
def test_rates_are_those_of_the_paper(sizes: list[int], limit: int, temperature: float) -> None:
    clipped = [min(size, limit) for size in sizes]
    proportional = mixing_rates(sizes, limit)
    assert proportional == pytest.approx([size / sum(clipped) for size in clipped])
    tempered = mixing_rates(sizes, limit, temperature)
    powers = [rate ** (1 / temperature) for rate in proportional]  # T5 raises the rates: it is the same
    assert tempered == pytest.approx([power / sum(powers) for power in powers])
    assert sum(tempered) == pytest.approx(1)
    assert max(tempered) / min(tempered) <= max(proportional) / min(proportional) * (1 + 1e-9)


def test_rates_of_an_example() -> None:
    assert mixing_rates([100, 300]) == [0.25, 0.75] and mixing_rates([100, 300], limit=100) == [0.5, 0.5]
    assert mixing_rates([1, 16], temperature=2) == [0.2, 0.8]


@pytest.mark.parametrize("seed", [0, 1])
def test_tasks_are_drawn_at_their_rates_and_examples_evenly(seed: int) -> None:
    sizes, rows = [8, 2, 30], 20_000
    rates = mixing_rates(sizes, limit=10, temperature=2)
    drawn = draw_examples(rates, sizes, range(rows), seed)
    tasks, examples = Counter(task for task, _ in drawn), Counter(drawn)
    for task, rate in enumerate(rates):
        assert_plausible(tasks[task], rows, rate, checks=100)
        for example in range(sizes[task]):
            assert_plausible(examples[task, example], tasks[task], 1 / sizes[task], checks=100)
    assert sum(tasks.values()) == rows and all(index < sizes[task] for task, index in drawn)


def test_a_row_follows_from_seed_and_number() -> None:
    rates, sizes = [0.5, 0.5], [1000, 1000]
    drawn = draw_examples(rates, sizes, range(100), seed=3)
    assert draw_examples(rates, sizes, range(40, 50), seed=3) == drawn[40:50]
    assert draw_examples(rates, sizes, range(100), seed=4) != drawn


# --- Batches ---------------------------------------------------------------------------------------------------------


def restored(inputs: list[int], targets: list[int]) -> list[int]:
    """The text before corruption."""
    spans: dict[int, list[int]] = {}
    for token in targets[:-1]:
        if token >= 8092:
            spans[token] = []
        else:
            spans[list(spans)[-1]].append(token)
    return [token for known in inputs[:-1] for token in spans.get(known, [known])]


def test_rows_of_span_corruption_are_full_and_hold_all_of_the_text() -> None:
    examples = SpanExamples(text_ids(), tokenizer(), inputs_length=64)
    batches = list(batches_in_order(examples, tokenizer(), batch_size=8, seed=1))
    text: list[int] = []
    for batch in batches:
        for ids, mask, labels in zip(*batch.values(), strict=True):
            text += restored(ids[mask.bool()].tolist(), labels[labels != -100].tolist())
    assert list(batches[0]) == ["input_ids", "attention_mask", "labels"]
    assert text == list(itertools.chain(*text_ids()))
    assert batches[0]["input_ids"].shape == (8, 64) and batches[0]["labels"].shape == (8, 14)
    assert batches[0]["attention_mask"].all() and (batches[0]["labels"] != -100).all()
    assert sum(len(batch["labels"]) for batch in batches) == len(examples) == -(-len(text) // 70)


@pytest.mark.parametrize("count", [9, 120])
def test_there_are_as_many_sentinels_as_the_tokenizer_has(count: int) -> None:
    small = train_t5_unigram(["Ab ab. " * 12], vocab_size=count + 20, min_character_count=3, num_sentinels=count)
    size = small.get_vocab_size()
    words, noise = [size - count - 1] * 1000, {"noise_density": 0.3, "mean_span_length": 1.0}
    example = SpanExamples([words], small, 3 * count, **noise).example(0, torch.Generator().manual_seed(0))
    found = [token for token in example.inputs if token >= size - count]
    assert found == list(sentinel_ids(size, count))[: len(found)] and len(found) > 0.8 * count
    with pytest.raises(
        ValueError, match=f"holds {size - count}: must be below {size - count}, where the sentinels begin"
    ):
        SpanExamples([[*words, size - count]], small, 20)
    with pytest.raises(ValueError, match=f"gives .* spans: must be at most {count}, one for each sentinel"):
        SpanExamples([words], small, 4 * count, **noise)


def test_a_last_row_of_one_token_is_none() -> None:
    assert [len(SpanExamples([[5] * count], tokenizer(), 64)) for count in (70, 71, 72, 140)] == [1, 1, 2, 2]


def test_batches_of_a_mixture_are_reproducible_and_can_begin_anywhere() -> None:
    spans, task = (
        SpanExamples(text_ids(), tokenizer(), 64),
        TaskExamples(TASKS["topic"].examples("held_out"), tokenizer()),
    )
    settings = {"batch_size": 16, "seed": 2}
    batches = list(itertools.islice(t5_batches([spans, task], [0.3, 0.7], tokenizer(), **settings), 12))
    later = next(t5_batches([spans, task], [0.3, 0.7], tokenizer(), **settings, start=5))
    assert all(torch.equal(later[name], batches[5][name]) for name in later)
    prefix = tokenizer().encode("topic:", add_special_tokens=False).ids
    is_task = torch.cat([(batch["input_ids"][:, : len(prefix)] == torch.tensor(prefix)).all(1) for batch in batches])
    assert_plausible(int(is_task.sum()), len(is_task), 0.7)
    for batch in batches:
        longest = batch["attention_mask"].sum(1).max(), (batch["labels"] != -100).sum(1).max()
        assert longest == (batch["input_ids"].shape[1], batch["labels"].shape[1])
        assert (batch["input_ids"][batch["attention_mask"] == 0] == 0).all()
    again = next(t5_batches([spans], [1.0], tokenizer(), batch_size=200, seed=2))
    sentinels = {tuple((row >= 8092).nonzero().flatten().tolist()) for row in again["input_ids"]}
    assert len(sentinels) > 50, "the noise is at other places each time"


def test_training_on_a_mixture_lowers_the_loss_of_both() -> None:
    spans = SpanExamples(text_ids()[:10], tokenizer(), 64)
    task = TaskExamples(TASKS["topic"].examples("held_out")[:32], tokenizer())
    model = tiny_t5()
    before = [evaluate_targets(model, batches_in_order(some, tokenizer(), batch_size=16)) for some in (spans, task)]
    batches = t5_batches([spans, task], [0.5, 0.5], tokenizer(), batch_size=16)
    pretrain(model, batches, steps=60, learning_rate=1e-2, warmup_steps=5, progress=False)
    after = [evaluate_targets(model, batches_in_order(some, tokenizer(), batch_size=16)) for some in (spans, task)]
    for old, new in zip(before, after, strict=True):
        assert new["loss"] < old["loss"] - 1 and new["tokens"] == old["tokens"]
    assert after[1]["accuracy"] > before[1]["accuracy"] + 0.2


# --- Figures ---------------------------------------------------------------------------------------------------------


def test_figures_of_targets_are_means_over_tokens_whatever_the_batches() -> None:
    model = tiny_t5().double()
    examples = TaskExamples(TASKS["describe"].examples("held_out")[:20], tokenizer())
    whole, parts = (
        evaluate_targets(model, batches_in_order(examples, tokenizer(), batch_size=size)) for size in (20, 3)
    )
    [batch] = batches_in_order(examples, tokenizer(), batch_size=20)
    loss = model(**batch).loss
    assert loss is not None
    assert whole == pytest.approx(parts, rel=1e-5) and whole["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert whole["tokens"] == sum(len(row.targets) for row in examples.rows)
    assert evaluate_targets(model, [{name: value.int() for name, value in batch.items()}]) == whole


def test_texts_are_written_as_by_generate_one_at_a_time() -> None:
    model = tiny_t5()
    sources = [pair.source for pair in TASKS["topic"].examples("held_out")[:5]]
    written = write_texts(model, tokenizer(), sources, max_new_tokens=6, batch_size=2)
    for source, text in zip(sources, written, strict=True):
        alone = model.generate(torch.tensor([tokenizer().encode(source).ids]), max_new_tokens=6)
        assert text == tokenizer().decode(alone[0].tolist())


def longest_common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    if not one or not other:
        return 0
    if one[-1] == other[-1]:
        return longest_common(one[:-1], other[:-1]) + 1
    return max(longest_common(one[:-1], other), longest_common(one, other[:-1]))


@settings(max_examples=50)
@given(*[st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(tuple)] * 2)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    common = longest_common(one, other)
    precision, recall = common / len(one), common / len(other)
    f1 = 2 * precision * recall / (precision + recall) if common else 0.0
    assert rouge_l(" ".join(one), " ".join(other)) == pytest.approx(f1)


def test_rouge_l_hears_words_only() -> None:
    assert rouge_l("Genus of plants.", "genus  of PLANTS") == 1.0
    assert rouge_l("city in France", "capital city of France") == pytest.approx(2 * 2 / 7)
    assert rouge_l("", "genus") == rouge_l("...", "genus") == 0.0


def test_figures_of_a_task_fit_its_answers() -> None:
    pairs: Any = (["1900", "1950", "no year", "2000"], ["1900", "1940", "1900", "2020"])
    figures = task_figures(TASKS["decade"], *pairs)
    assert figures["valid"] == 0.75 and figures["accuracy"] == 0.25 and figures["mean_error"] == 10
    assert figures["correlation"] == pytest.approx(torch.tensor([[0.0, 50, 100], [0, 40, 120]]).corrcoef()[0, 1].item())
    assert "correlation" not in task_figures(TASKS["decade"], ["1900", "1900"], ["1900", "1950"])
    assert task_figures(TASKS["sentiment"], ["positive", "good"], ["positive"] * 2) == {"valid": 0.5, "accuracy": 0.5}
    assert task_figures(TASKS["describe"], ["a city", "x"], ["city", "y"]) == {"rouge_l": pytest.approx(1 / 3)}
    assert commonest_answer([TextPair("", answer) for answer in "abb"]) == "b"
