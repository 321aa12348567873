"""The downstream tasks: which texts are in which split, what the labels say, and the tool that measures models."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import downstream_baselines
import downstream_tables
import measure_downstream
import numpy as np
import pytest
from chance import assert_plausible
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from plm_lessons import BertConfig, BertForPreTraining, corpus, downstream
from plm_lessons.corpus import MOST_WORDS, TOPICS, Document, documents, opening, sentiment_examples
from plm_lessons.downstream import SPLITS, TASKS, LabelledPair, LabelledWords, Question, recorded_figures
from plm_lessons.downstream.capitals import CASES, capitalised, case_of
from plm_lessons.downstream.measured import current_runs
from plm_lessons.downstream.pairs import partners, similarities
from plm_lessons.downstream.questions import LEADS, MOST_LEAD_WORDS
from plm_lessons.downstream.splits import articles, reviews, split_of
from plm_lessons.objectives import text_to_text
from plm_lessons.tokenization import TOKENIZERS


@cache
def examples(task: str, split: str) -> list[Any]:
    return TASKS[task].examples(split)


@cache
def by_first_sentence(split: str) -> dict[str, dict[str, Document]]:
    """The articles of a split that have a topic, by ten characters of the first sentence, then by all of it."""
    found: dict[str, dict[str, Document]] = defaultdict(dict)
    for one in articles(split):
        if one.topic:
            found[one.sentences[0][:10]][one.sentences[0]] = one
    return found


def articles_of(context: str, split: str) -> list[Document]:
    """The articles whose first sentences make up a context."""
    found = []
    while context:
        known = by_first_sentence(split)[context[:10]]
        lead = next(
            lead for lead in known if context.startswith(lead) and context[len(lead) : len(lead) + 1] in ("", " ")
        )
        found.append(known[lead])
        context = context[len(lead) + 1 :]
    return found


# --- The splits ------------------------------------------------------------------------------------------------------


def test_each_article_is_in_one_split_and_what_the_corpus_holds_out_stays_there() -> None:
    titles = {split: [article.title for article in articles(split)] for split in SPLITS}
    assert sorted(itertools.chain(*titles.values())) == sorted(
        article.title for article in documents("wikipedia", "all")
    )
    assert titles["held_out"] == [article.title for article in documents("wikipedia", "held_out")]
    assert len(titles["validation"]) == pytest.approx(0.09 * 10033, rel=0.1)
    sentences = {split: [review.text for review in reviews(split)] for split in SPLITS}
    assert sorted(itertools.chain(*sentences.values())) == sorted(review.text for review in sentiment_examples("all"))
    assert sentences["held_out"] == [review.text for review in sentiment_examples("held_out")]
    assert [split_of(key) for key in ("1911 Revolution", "Aaron Copland", "Abkhazia")] == [*SPLITS]


@pytest.mark.parametrize("name", TASKS)
def test_no_text_of_a_task_is_on_two_sides(name: str) -> None:
    """Traced back to the articles: every text that is read comes from an article (or is a review) of its own split."""
    sides: dict[str, set[str]] = {}
    for split in SPLITS:
        if TASKS[name].kind == "question":
            read = [one.sentences[0] for asked in examples(name, split) for one in articles_of(asked.context, split)]
        else:
            read = [one.second if TASKS[name].kind == "pair" else one.text for one in examples(name, split)]
        own = {review.text for review in reviews(split)} if name == "sentiment" else set()
        for article in articles(split):
            own |= {article.sentences[0], opening(article), opening(article).lower()}
        sides[split] = set(read)
        assert sides[split] <= own
    for one, other in itertools.combinations(SPLITS, 2):
        assert not sides[one] & sides[other]


def test_examples_are_the_same_at_every_call() -> None:
    for name, task in TASKS.items():
        assert task.examples("validation") == examples(name, "validation")


def test_openings_are_whole_sentences() -> None:
    for article in documents("wikipedia", "held_out"):
        text = opening(article)
        assert " ".join(article.sentences).startswith(text) and len(text.split()) <= MOST_WORDS
        rest = " ".join(article.sentences)[len(text) :].split()
        following = corpus.split_sentences(" ".join(rest))[:1]
        assert not following or len(text.split()) + len(following[0].split()) > MOST_WORDS or not text
    pairs = text_to_text.TASKS["topic"].examples("held_out")
    ours = [(f"topic: {one.text}", TOPICS[one.label]) for one in examples("topics", "held_out")]
    assert ours == pairs, "T5 is asked the same"


# --- The labels ------------------------------------------------------------------------------------------------------


def test_sizes_and_shares_are_those_that_are_told() -> None:
    for name, task in TASKS.items():
        sizes = " | ".join(f"{len(examples(name, split)):,}" for split in SPLITS)
        assert re.search(rf"^\| `{name}` .*\| {sizes} \|$", str(downstream.__doc__), re.MULTILINE)
        if task.kind in ("text", "pair"):
            assert {one.label for one in examples(name, "held_out")} == set(range(len(task.labels)))
    shares = Counter(label for one in examples("capitals", "train") for label in one.labels)
    assert [round(100 * shares[case] / shares.total()) for case in range(3)] == [83, 17, 1]


@pytest.mark.parametrize("split", SPLITS)
def test_neither_half_of_a_pair_tells_its_label(split: str) -> None:
    pairs: list[LabelledPair] = examples("pairs", split)
    for half in ("first", "second"):
        counts: dict[str, Counter[int]] = defaultdict(Counter)
        for pair in pairs:
            counts[getattr(pair, half)][pair.label] += 1
        assert all(count[0] == count[1] for count in counts.values())
    own = {(article.description, opening(article)) for article in articles(split)}
    assert all(((pair.first, pair.second) in own) == bool(pair.label) for pair in pairs)


def test_wrong_pairs_are_of_one_topic_and_hard_to_tell_from_the_right_ones() -> None:
    by_opening = {opening(article): article for article in articles("held_out") if article.topic}
    by_description = defaultdict(set)
    for article in by_opening.values():
        by_description[article.description].add(article.topic)
    wrong = [pair for pair in examples("pairs", "held_out") if not pair.label]
    assert all(by_opening[pair.second].topic in by_description[pair.first] for pair in wrong)

    def shared(pairs: list[LabelledPair]) -> float:
        words = [[set(re.findall(r"\w+", text.lower())) for text in (pair.first, pair.second)] for pair in pairs]
        return sum(len(one & other) / len(one) for one, other in words) / len(words)

    draws = random.Random(0)
    topics = {topic: [text for text, article in by_opening.items() if article.topic == topic] for topic in TOPICS}
    others = [LabelledPair(pair.first, draws.choice(topics[by_opening[pair.second].topic or ""]), 0) for pair in wrong]
    assert shared(wrong) > 1.4 * shared(others), "they share more words than random ones of the topic"


def article(title: str, description: str, text: str) -> Document:
    return Document(title, "wikipedia", "train", TOPICS[0], description, ((text,),), "")


@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5), min_size=2, max_size=9))
def test_partners_are_always_the_two_most_alike_of_those_left(texts: list[list[str]]) -> None:
    group = [article(str(place), f"{place % 3}", " ".join(words)) for place, words in enumerate(texts)]
    alike = similarities([f"{one.description} {opening(one)}" for one in group])
    free, expected = set(range(len(group))), []
    while True:
        left = [pair for pair in itertools.combinations(sorted(free), 2) if pair[0] % 3 != pair[1] % 3]
        if not left:
            break
        best = max(left, key=lambda pair: (alike[pair], -pair[0], -pair[1]))
        expected.append((group[best[0]], group[best[1]]))
        free -= set(best)
    assert partners(group) == expected


def test_similarity_is_the_cosine_of_weighted_words() -> None:
    texts = ["the red cat", "the red red dog", "the blue cat.", "THE"]
    weights = [
        {"red": math.log(2), "cat": math.log(2)},
        {"red": (1 + math.log(2)) * math.log(2)},
        {"cat": math.log(2)},
        {},
    ]  # "the" is everywhere and has weight 0; "dog" and "blue" are in one text only

    def cosine(one: dict[str, float], other: dict[str, float]) -> float:
        sizes = math.hypot(*one.values()) * math.hypot(*other.values())
        return sum(one[word] * other.get(word, 0.0) for word in one) / sizes if sizes else 0.0

    expected = [[cosine(one, other) for other in weights] for one in weights]
    np.testing.assert_allclose(similarities(texts), expected, atol=1e-8)


def restored(text: str, labels: Sequence[int]) -> str:
    """The text in the case that the labels say, with all capitals for `"other"`."""
    forms = (str, capitalised, str.upper)
    return " ".join(forms[label](word) for word, label in zip(text.split(), labels, strict=True))


def test_the_case_of_words_is_told_and_restored() -> None:
    cases = {"cat": 0, "1990": 0, "(born": 0, "Cat": 1, "I": 1, "“The": 1, "École": 1, "NASA": 2, "McCartney": 2,
             "Anglo-Saxon": 2, "U.S.": 2, "pH": 2, "1st": 0, "Straße": 1}  # fmt: skip
    assert {word: case_of(word) for word in cases} == cases
    assert restored("the “sun is nasa 1st", [1, 1, 0, 2, 0]) == "The “Sun is NASA 1st"


@pytest.mark.parametrize("split", SPLITS)
def test_labels_of_words_bring_the_text_back(split: str) -> None:
    texts = [text for one in articles(split) if (text := opening(one))]
    assert len(texts) == len(examples("capitals", split))
    whole = 0
    for text, example in zip(texts, examples("capitals", split), strict=True):
        assert isinstance(example, LabelledWords) and example.text == text.lower()
        back = restored(example.text, example.labels)
        differing = [(one, other) for one, other in zip(text.split(), back.split(), strict=True) if one != other]
        assert all(case_of(one) == CASES.index("other") for one, _ in differing)
        whole += not differing
    assert whole > 0.8 * len(texts), "but for mixed words"


@pytest.mark.parametrize("split", SPLITS)
def test_questions_have_one_answer_and_three_that_it_could_be(split: str) -> None:
    places: Counter[int] = Counter()
    for question in examples("questions", split):
        assert question.context[question.start : question.end] == question.answer
        assert not re.search(rf"\b{re.escape(question.answer.lower())}\b", question.question.lower())
        found = articles_of(question.context, split)
        leads = [one.sentences[0] for one in found]
        assert len(set(leads)) == LEADS and all(len(lead.split()) <= MOST_LEAD_WORDS for lead in leads)
        assert len({one.topic for one in found}) == 1
        assert all(one.title in lead for one, lead in zip(found, leads, strict=True)), "all could be asked for"
        assert sum(one.description == question.question for one in found) == 1
        place = [one.title for one in found].index(question.answer)
        assert found[place].description == question.question
        pattern = rf"(?<!\w){re.escape(question.answer)}(?!\w)"
        assert [number for number, lead in enumerate(leads) if re.search(pattern, lead)] == [place]
        assert question.start == re.search(pattern, question.context).start()  # type: ignore[union-attr]
        places[place] += 1
    for place in range(LEADS):
        assert_plausible(places[place], places.total(), 1 / LEADS, checks=LEADS)


def test_an_answer_ends_after_its_last_character() -> None:
    assert Question("what sat?", "the cat sat", "cat", 4).end == 7


# --- The tool --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_baselines_learn_from_the_examples(name: str) -> None:
    task, draws = TASKS[name], random.Random(0)
    sizes = {"train": 600, "validation": 100, "held_out": 200}
    figures = downstream_baselines.BASELINES[task.kind](
        *(draws.sample(examples(name, split), size) for split, size in sizes.items())
    )
    worst = {"topics": 0.5, "sentiment": 0.55, "pairs": 0.65, "capitals": 0.6, "questions": 0.7}
    assert set(task.figures) <= figures.keys() and worst[name] < figures[task.figures[0]] < 0.95


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small BERT, and settings with which it is quick."""
    few = cache(lambda task, split: examples(task, split)[-400:][::10])  # some of each class: they come in two blocks
    monkeypatch.setattr(measure_downstream, "examples", few)
    steps = {"pre-trained": 2, "from scratch": 2, "from scratch, longer": 5}
    monkeypatch.setattr(measure_downstream, "LEAST_STEPS", steps)
    monkeypatch.setattr(measure_downstream, "CURVE_TASK", "sentiment")
    monkeypatch.setattr(measure_downstream, "CURVE", (4, 8))
    folder = tmp_path / "checkpoints" / "bert"
    write_checkpoint(folder, hidden_size=16)
    (folder / "tokenizer.json").write_bytes((TOKENIZERS / "wordpiece" / "tokenizer.json").read_bytes())
    return folder.parent


def write_checkpoint(folder: Path, hidden_size: int) -> None:
    config = BertConfig(
        vocab_size=8192,
        hidden_size=hidden_size,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    BertForPreTraining(config).save_pretrained(folder)


def measure(checkpoints: Path, out: Path, *more: str) -> list[dict[str, Any]]:
    arguments = ["--checkpoints", str(checkpoints), "--out", str(out), "--tasks", "sentiment", "--limit", "16", *more]
    assert measure_downstream.main(arguments) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_what_is_done_is_not_done_again_and_an_interruption_changes_nothing(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "downstream.jsonl"
    whole = measure(checkpoints, out, "--seeds", "0", "1", "--curve", "--longer")
    runs = [entry["run"] for entry in whole]
    counted = [run for run in runs if run["start"] == "counting"]
    tried = [run for run in runs if run["split"] == "validation"]
    assert {run["examples"] for run in counted} == {4, 8, 16}
    assert len(runs) - len(tried) == 3 * 4 * 2, "three sizes, four ways, two seeds"
    steps = {start: {run["epochs"] for run in runs if run["start"] == start} for start in measure_downstream.STARTS}
    assert steps == {"pre-trained": {4}, "from scratch": {4}, "from scratch, longer": {5}}
    for start in measure_downstream.STARTS:
        of_start = [entry for entry in whole if entry["run"]["start"] == start]
        best = max(
            (entry for entry in of_start if entry["run"]["split"] == "validation"),
            key=lambda entry: entry["figures"]["accuracy"],
        )
        chosen = best["run"]["learning_rate"]
        assert {entry["run"]["learning_rate"] for entry in of_start if entry["run"]["split"] == "held_out"} == {chosen}
        rates = {run["learning_rate"] for run in tried if run["start"] == start}
        place = measure_downstream.LEARNING_RATES.index(chosen)
        assert rates >= {
            *measure_downstream.FIRST_TRIED,
            *measure_downstream.LEARNING_RATES[max(0, place - 1) : place + 2],
        }
    capsys.readouterr()
    assert measure(checkpoints, out, "--seeds", "0", "1", "--curve", "--longer") == whole
    assert "accuracy" not in capsys.readouterr().err, "nothing was done"
    table = out.with_suffix(".md").read_text(encoding="utf-8")

    kept = out.read_text(encoding="utf-8").splitlines(keepends=True)[:7]
    out.write_text("".join(kept), encoding="utf-8")  # as if it had been killed here
    again = measure(checkpoints, out, "--seeds", "0", "1", "--curve", "--longer")
    assert [(entry["run"], entry["figures"]) for entry in again] == [
        (entry["run"], entry["figures"]) for entry in whole
    ]
    assert out.with_suffix(".md").read_text(encoding="utf-8") == table


@pytest.mark.parametrize(
    ("best", "tried"),
    [(1e-3, [1e-4, 3e-4, 1e-3, 3e-3]), (1e-5, [1e-4, 3e-4, 1e-3, 3e-3, 3e-5, 1e-5]),
     (1e-2, [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2])],
)  # fmt: skip
def test_the_best_learning_rate_has_neighbours_that_are_worse(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: float, tried: list[float]
) -> None:
    def figures(run: measure_downstream.Run, folder: Path) -> dict[str, float]:
        return {"accuracy": -abs(math.log(run.learning_rate / best)), "macro_f1": 0.5}

    monkeypatch.setattr(measure_downstream, "fine_tuned_figures", figures)
    runs = [entry["run"] for entry in measure(checkpoints, tmp_path / "downstream.jsonl", "--seeds", "0")]
    of_start = [run for run in runs if run["start"] == "from scratch"]
    assert [run["learning_rate"] for run in of_start] == [*tried, best]


def test_other_weights_are_measured_anew(checkpoints: Path, tmp_path: Path) -> None:
    out = tmp_path / "downstream.jsonl"
    first = measure(checkpoints, out, "--seeds", "0")
    write_checkpoint(checkpoints / "bert", hidden_size=8)
    second = measure(checkpoints, out, "--seeds", "0")
    assert second[: len(first)] == first
    assert {entry["run"]["start"] for entry in second[len(first) :]} == {"pre-trained", "from scratch"}


def test_from_scratch_nothing_is_measured_anew_when_only_the_weights_are_others(
    checkpoints: Path, tmp_path: Path
) -> None:
    out = tmp_path / "downstream.jsonl"
    first = measure(checkpoints, out, "--seeds", "0")
    weights = checkpoints / "bert" / "model.safetensors"
    save_file({name: 2 * value for name, value in load_file(weights).items()}, weights)
    second = measure(checkpoints, out, "--seeds", "0")
    assert {entry["run"]["start"] for entry in second[len(first) :]} == {"pre-trained"}
    scratch = [entry for entry in first if entry["run"]["start"] == "from scratch"]
    assert [entry for entry in current_runs(second) if entry["run"]["start"] == "from scratch"] == [scratch[-1]]


def test_a_model_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        measure_downstream.main(["--checkpoints", str(tmp_path), "--out", str(tmp_path / "downstream.jsonl")])
    assert "bert has no model.safetensors" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def entry(start: str, accuracy: float, weights: str = "a", **run: Any) -> dict[str, Any]:
    fields = {"task": "sentiment", "model": "bert", "examples": 100, "seed": 0, "split": "held_out",
              "learning_rate": 1e-3, "epochs": 2, "batch_size": 16}  # fmt: skip
    if start == "counting":
        fields |= {"model": "", "learning_rate": 0.0, "epochs": 0, "batch_size": 0}
        weights = ""
    return {"run": fields | {"start": start, "weights": weights} | run, "figures": {"accuracy": accuracy}}


def test_tables_show_means_and_deviations_of_the_last_weights_and_settings() -> None:
    text = downstream_tables.tables(
        [
            entry("counting", 0.75),
            entry("pre-trained", 0.1, weights="old"),
            entry("pre-trained", 0.2, learning_rate=1e-2),
            entry("pre-trained", 0.99, split="validation"),
            entry("pre-trained", 0.80),
            entry("pre-trained", 0.84, seed=1),
            entry("pre-trained", 0.88, seed=2),
            entry("pre-trained", 0.7, examples=10),
            entry("pre-trained", 0.6, task="pairs", model="roberta"),
        ]
    )
    assert "| task | figure | learnt from | counting words | BERT, pre-trained | RoBERTa, pre-trained |" in text
    assert "| sentiment | accuracy | 100 | 75.0 | 84.0 ± 4.0 | – |" in text
    assert "| pairs | accuracy | 100 | – | – | 60.0 |" in text
    # A curve has only the columns that it was measured for.
    assert "| learnt from | counting words | BERT, pre-trained |\n" in text
    assert "| 10 | – | 70.0 |\n| 100 | 75.0 | 84.0 ± 4.0 |" in text


def test_runs_that_two_writers_add_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"

    def add(writer: int) -> None:
        results = measure_downstream.Results(path)
        for seed in range(50):
            run = measure_downstream.Run("topics", f"writer {writer}", "counting", "", 10, seed, "held_out")
            results.add(run, {"accuracy": 0.5}, 1.0)
            assert results.figures(run) == {"accuracy": 0.5}

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, range(2)))
    kept = [(entry["run"]["model"], entry["run"]["seed"]) for entry in measure_downstream.Results(path).entries]
    assert sorted(kept) == [(f"writer {writer}", seed) for writer in range(2) for seed in range(50)]


def test_a_run_is_a_line_of_its_own_where_the_last_line_break_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    runs = [measure_downstream.Run("topics", "", "counting", "", 10, seed, "held_out") for seed in range(2)]
    for run in runs:
        measure_downstream.Results(path).add(run, {"accuracy": 0.5}, 1.0)
        path.write_text(path.read_text(encoding="utf-8").strip(), encoding="utf-8")
    assert all(measure_downstream.Results(path).figures(run) == {"accuracy": 0.5} for run in runs)


def test_the_figures_that_ship_are_those_of_the_table_beside_them() -> None:
    written = measure_downstream.RESULTS.with_suffix(".md").read_text(encoding="utf-8")
    figures = recorded_figures()
    several = {key: seeds for key, seeds in figures.items() if len(seeds) > 1}
    assert len(several) > 30 and {model for _, _, model, _ in figures} == {"", "bert", "roberta", "albert"}
    assert written == downstream_tables.tables(measure_downstream.Results(measure_downstream.RESULTS).entries)
    for key, seeds in several.items():
        assert f"| {statistics.mean(seeds):.1f} ± {statistics.stdev(seeds):.1f} |" in written, key
    assert {task for task, *_ in recorded_figures(1)} == {"topics", "capitals", "questions"}
    accuracy = recorded_figures(1)["capitals", 1500, "bert", "pre-trained"]
    assert f"{statistics.mean(accuracy):.1f} ± {statistics.stdev(accuracy):.1f}" in written


def test_what_was_measured_with_other_weights_or_settings_does_not_count() -> None:
    old = [entry("pre-trained", 0.1, weights="old"), entry("pre-trained", 0.2, learning_rate=1e-2)]
    now = [entry("pre-trained", 0.8), entry("pre-trained", 0.9, seed=1), entry("counting", 0.7)]
    other = entry("pre-trained", 0.3, split="validation")
    assert current_runs([*old, other, *now]) == now


def test_the_table_tells_which_rates_lie_at_the_edge_of_those_tried() -> None:
    trials = [entry("pre-trained", 0.5, split="validation", learning_rate=rate) for rate in (1e-4, 1e-3, 1e-2)]
    edge = "at the edge of those tried, so that another might do better: sentiment BERT pre-trained (0.0001)"
    assert edge in downstream_tables.tables([*trials, entry("pre-trained", 0.8, learning_rate=1e-4)])
    assert "at the edge" not in downstream_tables.tables([*trials, entry("pre-trained", 0.8)])
