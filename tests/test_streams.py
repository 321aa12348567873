"""Text from anywhere, in shards and batches that can be interrupted and resumed anywhere; and the recipes for it."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from plm_lessons.corpus import documents, split_of, split_sentences
from plm_lessons.objectives.text_to_text import TASKS, Task, TextPair
from plm_lessons.text_sources import CorpusText, DatasetText, FileText, Sentences, TextSource
from plm_lessons.tokenization import encode_documents, load_tokenizer, token_id
from plm_lessons.training import families
from plm_lessons.training.evaluation import unmasked
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.optimization import share_of_peak
from plm_lessons.training.recipes import SHIPPED, Recipe
from plm_lessons.training.streams import BatchStream, Position, held_out_batches, shards_of, split_rows

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
RECIPE = Recipe("roberta", "byte_level_bpe", TINY, batch_size=4, max_length=32)


@dataclasses.dataclass
class Counted:
    """A text that counts how many of its documents have been read."""

    texts: list[Sentences]
    read_so_far: int = 0

    def read(self, split: str) -> Iterator[Sentences]:
        for text in self.texts:
            self.read_so_far += 1
            yield text

    def describe(self) -> str:
        return "counted"


@pytest.fixture(scope="module")
def texts() -> list[Sentences]:
    return [document.sentences for document in documents("wikipedia", "train")[:40]]


def equal(batch: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return batch.keys() == other.keys() and all(torch.equal(batch[name], other[name]) for name in batch)


# --- Where text comes from -------------------------------------------------------------------------------------------


def whole(source: TextSource) -> dict[str, list[Sentences]]:
    return {split: [tuple(text) for text in source.read(split)] for split in ("train", "held_out")}


def test_a_blank_line_ends_a_document_of_a_plain_file(tmp_path: Path) -> None:
    blocks = ["One. Two lines\nof one sentence.", "Another document.", *(f"Document {number}." for number in range(50))]
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("\n \n\n" + "\n\n".join(blocks[:20]) + "\n\n\n", encoding="utf8")
    second.write_text("\r\n\r\n".join(blocks[20:]), encoding="utf8")
    found = whole(FileText((first, second)))
    assert sorted(map(tuple, chain(*found.values()))) == sorted(tuple(split_sentences(block)) for block in blocks)
    assert 0 < len(found["held_out"]) < len(blocks) / 4


@pytest.mark.parametrize("kind", ["jsonl", "data set"])
def test_documents_are_the_same_wherever_they_come_from(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" ".join(document.sentences) for document in documents("wikipedia", "all")[:50]]
    plain = tmp_path / "plain.txt"
    plain.write_text("\n\n".join(texts), encoding="utf8")
    if kind == "jsonl":
        lines = tmp_path / "lines.jsonl"
        lines.write_text("\n".join(json.dumps({"id": 1, "text": text}) for text in texts) + "\n\n", encoding="utf8")
        source: TextSource = FileText((lines,))
    else:
        asked: list[Any] = []

        def load_dataset(*names: str | None, **settings: Any) -> list[dict[str, Any]]:
            asked.append((names, settings))
            return [{"body": text, "id": 1} for text in texts]

        library = types.ModuleType("datasets")
        library.load_dataset = load_dataset  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "datasets", library)
        source = DatasetText("owner/name", "small", part="test", column="body")
        list(source.read("train"))
        assert asked == [(("owner/name", "small"), {"split": "test", "streaming": True})]
        with pytest.raises(ValueError, match=r"column 'text' holds no text; the columns are \['body', 'id'\]"):
            list(DatasetText("owner/name").read("train"))
    found = whole(source)
    assert found == whole(FileText((plain,))) and found["held_out"]
    assert [split_of(text) for text in texts].count("held_out") == len(found["held_out"])
    assert not set(found["train"]) & set(found["held_out"])


def test_text_that_cannot_be_read_is_refused_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    latin, lines = tmp_path / "latin.txt", tmp_path / "lines.jsonl"
    latin.write_bytes("Ein Käfer.".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin.txt: must be UTF-8 \(.* byte 5\)"):
        list(FileText((latin,)).read("train"))
    for before in (b"", "\ufeff".encode()):
        for bad, place in ((b"\xe4.", 0), (b"\xe4", 0), (b"\xc3\xa4\xe2\x82", 2)):
            content = before + b"A word. " * 6749
            latin.write_bytes(content + bad)
            with pytest.raises(ValueError, match=rf"latin.txt: must be UTF-8 \(.* byte {len(content) + place}\)"):
                list(FileText((latin,)).read("train"))
    for wrong in ('"text"', '{"body": "x"}', '{"text": 3}', '{"text": "x"', r'{"text": "bad \ud83d here."}'):
        lines.write_text('{"text": "Right."}\n' + wrong, encoding="utf8")
        with pytest.raises(ValueError, match='lines.jsonl, line 2: must be a JSON object with a string "text"'):
            list(FileText((lines,)).read("train"))
    for source in (CorpusText(), FileText((lines,)), DatasetText("name")):
        with pytest.raises(ValueError, match="split"):
            list(source.read("test"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="install the package datasets"):
        list(DatasetText("owner/name").read("train"))


def test_the_text_of_the_book_keeps_its_split() -> None:
    assert list(CorpusText("sotu").read("held_out")) == [one.sentences for one in documents("sotu", "held_out")]


# --- Shards and batches ----------------------------------------------------------------------------------------------


def test_shards_hold_whole_documents_and_at_least_two(texts: list[Sentences]) -> None:
    lengths = [sum(map(len, text)) for text in texts]
    for characters in (1, 2000, sum(lengths) - lengths[-1], 10**9):
        shards = list(shards_of(texts, characters))
        assert list(chain.from_iterable(shards)) == texts
        assert all(sum(map(len, chain(*shard))) >= characters for shard in shards[:-1])
        assert min(map(len, shards)) >= 2
    assert list(shards_of(texts[:1], 1)) == [texts[:1]] and not list(shards_of([], 1))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_stream_goes_on_at_any_batch(family: str, texts: list[Sentences]) -> None:
    """It is resumed from positions that it passed in three epochs of several shards."""
    recipe = dataclasses.replace(RECIPE, family=family, tokenizer=SHIPPED[family].tokenizer, batch_size=20)
    recipe = dataclasses.replace(recipe, short_epochs=1, short_length=16)
    tokenizer, source = load_tokenizer(recipe.tokenizer), Counted(texts)
    stream = BatchStream(source, tokenizer, recipe, shard_characters=6000)
    batches, positions = [], [stream.position]
    for batch in stream:
        batches.append(batch)
        positions.append(stream.position)
        if stream.position.epoch == 2 and stream.position.shard == 1:
            break
    assert {position[:2] for position in positions} >= {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)}
    assert max(position.batch for position in positions) > 1
    for done, position in islice(enumerate(positions[:-2]), 0, None, 3):
        again = BatchStream(source, tokenizer, recipe, position, shard_characters=6000)
        for number, batch in enumerate(islice(again, 2), done):
            assert equal(batch, batches[number])
            assert again.position == positions[number + 1]
    assert not equal(batches[0], batches[positions.index(Position(1, 0, 1)) - 1]), "each epoch has draws of its own"


def test_each_shard_has_draws_of_its_own(texts: list[Sentences]) -> None:
    """Even if the same text comes again."""
    recipe = dataclasses.replace(RECIPE, batch_size=1000)
    characters = sum(map(len, chain(*texts[:2])))
    source, tokenizer = Counted(texts[:2] * 2), load_tokenizer("byte_level_bpe")
    first, second = islice(BatchStream(source, tokenizer, recipe, shard_characters=characters), 2)
    assert first["attention_mask"].sum() == second["attention_mask"].sum() and not equal(first, second)


def test_the_largest_seed_is_one_for_every_shard(texts: list[Sentences]) -> None:
    recipe = dataclasses.replace(RECIPE, seed=2**31 - 1)
    stream = BatchStream(Counted(texts), load_tokenizer("byte_level_bpe"), recipe, shard_characters=6000)
    assert {stream.position.shard for _ in islice(stream, 60)} > {0, 1}


@pytest.mark.parametrize("characters", [10**9, 3000])
def test_every_token_is_read_once_an_epoch(characters: int, texts: list[Sentences]) -> None:
    tokenizer = load_tokenizer("byte_level_bpe")
    special = {token_id(tokenizer, token) for token in ("<s>", "</s>", "<pad>")}
    expected = Counter(chain.from_iterable(chain.from_iterable(encode_documents(tokenizer, texts, " "))))
    found: dict[int, Counter[int]] = {epoch: Counter() for epoch in range(4)}
    stream = BatchStream(Counted(texts), tokenizer, RECIPE, shard_characters=characters)
    for batch in stream:
        if stream.position.epoch == 3:
            break
        found[stream.position.epoch].update(unmasked(batch)[0].flatten().tolist())
    for epoch in range(3):
        assert {token: count for token, count in found[epoch].items() if token not in special} == expected


def test_a_long_text_is_read_only_as_far_as_is_needed(texts: list[Sentences]) -> None:
    source, tokenizer = Counted(texts * 100), load_tokenizer("byte_level_bpe")
    first = next(shards_of(texts, 5000))
    stream = BatchStream(source, tokenizer, RECIPE, shard_characters=5000)
    batches = iter(stream)
    next(batches)
    assert source.read_so_far == len(first) + 2  # two documents ahead, to know that more than one is left
    while stream.position.shard == 0:
        next(batches)
    assert source.read_so_far < len(texts)


def test_rows_are_short_in_the_first_epochs(texts: list[Sentences]) -> None:
    recipe = dataclasses.replace(RECIPE, max_length=64, short_epochs=2, short_length=16)
    stream = BatchStream(Counted(texts), load_tokenizer("byte_level_bpe"), recipe)
    shapes: dict[int, Counter[tuple[int, ...]]] = {epoch: Counter() for epoch in range(4)}
    for batch in stream:
        if stream.position.epoch == 3:
            break
        shapes[stream.position.epoch][tuple(batch["input_ids"].shape)] += 1
    assert [shapes[epoch].most_common(1)[0][0] for epoch in range(3)] == [(16, 16), (16, 16), (4, 64)]
    for name, value in (("short_length", 0), ("short_length", 65), ("short_epochs", -1)):
        changes: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=name):
            dataclasses.replace(recipe, **changes)


def test_a_text_of_one_shard_is_read_once(texts: list[Sentences]) -> None:
    source = Counted(texts)
    stream = BatchStream(source, load_tokenizer("byte_level_bpe"), RECIPE)
    for _ in stream:
        if stream.position.epoch == 2:
            break
    assert source.read_so_far == len(texts)


def test_held_out_documents_are_never_trained_on(tmp_path: Path) -> None:
    """Each document is one word that no other document has."""
    tokenizer = load_tokenizer("byte_level_bpe")
    words = [word for word in tokenizer.get_vocab() if word.isalpha() and word.isascii() and word.islower()][:400]
    path = tmp_path / "words.txt"
    path.write_text("\n\n".join(words), encoding="utf8")
    source = FileText((path,))
    stream, read = BatchStream(source, tokenizer, RECIPE), set()
    for batch in stream:
        if stream.position.epoch == 1:
            break
        read |= set(unmasked(batch)[0].flatten().tolist())
    judged = {
        token
        for batch in held_out_batches(source, tokenizer, RECIPE)
        for token in unmasked(batch)[0].flatten().tolist()
    }
    ids = {
        split: {token_id(tokenizer, word) for word in words if split_of(word) == split}
        for split in ("train", "held_out")
    }
    assert ids["train"] <= read and not ids["held_out"] & read
    assert ids["held_out"] <= judged and not ids["train"] & judged and len(ids["held_out"]) > 20


def test_a_text_without_a_batch_is_refused(tmp_path: Path) -> None:
    for content in ("", " \n\n \n"):
        (tmp_path / "empty.txt").write_text(content, encoding="utf8")
        source = FileText((tmp_path / "empty.txt",))
        with pytest.raises(ValueError, match="empty.txt .* gives not a single batch"):
            next(iter(BatchStream(source, load_tokenizer("byte_level_bpe"), RECIPE)))
        assert not list(held_out_batches(source, load_tokenizer("byte_level_bpe"), RECIPE))


@pytest.mark.parametrize(
    ("family", "text", "needs"),
    [
        ("bert", [["One sentence.", "Another."]], "two documents .*a blank line ends one"),
        ("roberta", [], "a document"),
        ("albert", [["One."], ["Another."]], "a document of two sentences"),
        ("t5", [["a"]], "two tokens"),
    ],
)
def test_a_text_that_is_too_short_is_told_what_it_lacks(family: str, text: list[Sentences], needs: str) -> None:
    recipe = dataclasses.replace(RECIPE, family=family, tokenizer=SHIPPED[family].tokenizer)
    tokenizer = load_tokenizer(recipe.tokenizer)
    with pytest.raises(ValueError, match=f"not a single batch: {family} needs at least {needs}"):
        next(iter(BatchStream(Counted(text), tokenizer, recipe)))
    enough: dict[str, list[Sentences]] = {"bert": [["One."], ["Another."]], "albert": [["One.", "Another."]]}
    assert next(iter(BatchStream(Counted(enough.get(family, [["Two words."]])), tokenizer, recipe)))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_text_may_spell_special_tokens(family: str) -> None:
    recipe = dataclasses.replace(RECIPE, family=family, tokenizer=SHIPPED[family].tokenizer)
    texts: list[Sentences] = [["It was <extra_id_0> </s> there .", "And [SEP] <mask> then ."]] * 2
    assert next(iter(BatchStream(Counted(texts), load_tokenizer(recipe.tokenizer), recipe)))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_single_held_out_document_is_enough_or_is_none(family: str, texts: list[Sentences]) -> None:
    """BERT has to take the second segment of a random pair from another document."""
    recipe = dataclasses.replace(RECIPE, family=family, tokenizer=SHIPPED[family].tokenizer)
    batches = list(held_out_batches(Counted(texts[:1]), load_tokenizer(recipe.tokenizer), recipe))
    assert len(batches) == (family != "bert")


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_its_text(tmp_path: Path) -> None:
    line = json.dumps({"text": "One sentence."})
    lines = {"a.txt": "One sentence.", "b.jsonl": line, "C.JSONL": line}
    for name, content in lines.items():
        (tmp_path / name).write_text(content, encoding="utf-8-sig")
        assert list(chain(*whole(FileText((tmp_path / name,))).values())) == [("One sentence.",)]


def test_the_parts_of_a_batch_are_the_batch(texts: list[Sentences]) -> None:
    batch = next(iter(BatchStream(Counted(texts), load_tokenizer("byte_level_bpe"), RECIPE)))
    for processes in (1, 3, 6):
        parts = list(split_rows([batch], processes))
        assert len(parts) == processes
        for name, value in batch.items():
            rows = [part[name][number // processes] for number in range(4) for part in [parts[number % processes]]]
            assert torch.equal(torch.stack(rows), value) and sum(len(part[name]) for part in parts) == 4


def test_t5_reads_the_documents_in_an_order_of_the_seeds_own(texts: list[Sentences]) -> None:
    tokenizer, family = load_tokenizer("t5_unigram"), FAMILIES["t5"]
    documents = family.encode(texts, tokenizer)
    recipes = [dataclasses.replace(SHIPPED["t5"], seed=seed) for seed in (0, 0, 1)]
    one, again, other = ([*family.held_out(documents, tokenizer, recipe)] for recipe in recipes)
    assert all(map(equal, one, again)) and not any(map(equal, one, other))


def test_tasks_of_t5_are_made_once_for_a_stream(texts: list[Sentences], monkeypatch: pytest.MonkeyPatch) -> None:
    """This changes nothing: a stream that begins later makes them anew."""
    made: list[str] = []

    def some_pairs(split: str) -> Iterator[TextPair]:
        made.append(split)
        return iter(pairs)

    pairs = TASKS["topic"].examples("held_out")[:50]
    monkeypatch.setattr(families, "TASKS", {"topic": Task("", "", None, some_pairs)})
    recipe = Recipe("t5", "t5_unigram", steps=1000, batch_size=20, max_length=64, task_share=0.5)
    stream = BatchStream(Counted(texts), load_tokenizer("t5_unigram"), recipe)
    *_, last = islice(stream, 30)
    assert stream.position.epoch > 1 and made == ["train"]
    start = stream.position._replace(batch=stream.position.batch - 1)
    again = BatchStream(Counted(texts), load_tokenizer("t5_unigram"), recipe, start)
    assert equal(next(iter(again)), last) and made == ["train", "train"]


def test_late_steps_of_t5_have_another_share_of_tasks(texts: list[Sentences], monkeypatch: pytest.MonkeyPatch) -> None:
    def some_pairs(pairs: list[TextPair], split: str) -> Iterator[TextPair]:
        return iter(pairs)

    pairs = {name: TASKS[name].examples("held_out")[:50] for name in ("topic", "sentiment")}
    tasks = {name: Task("", "", None, partial(some_pairs, some)) for name, some in pairs.items()}
    monkeypatch.setattr(families, "TASKS", tasks)
    tokenizer = load_tokenizer("t5_unigram")
    shares = {"task_share": 0.5, "late_task_share": 0.75, "late_steps": 10, "accumulation_steps": 2}
    recipe = Recipe("t5", "t5_unigram", steps=20, warmup_steps=0, batch_size=50, max_length=64, **shares)  # type: ignore[arg-type]
    batches = list(islice(BatchStream(Counted(texts), tokenizer, recipe), 40))
    first = token_id(tokenizer, "<extra_id_0>")
    of_tasks = [1 - (batch["labels"][:, 0] == first).double().mean().item() for batch in batches]
    assert sum(of_tasks[:20]) / 20 == pytest.approx(0.5, abs=0.06)
    assert sum(of_tasks[20:]) / 20 == pytest.approx(0.75, abs=0.06)


def test_late_steps_of_t5_are_the_last_also_after_short_epochs(
    texts: list[Sentences], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = TASKS["topic"].examples("held_out")[:50]
    monkeypatch.setattr(families, "TASKS", {"topic": Task("", "", None, lambda split: iter(pairs))})
    tokenizer = load_tokenizer("t5_unigram")
    shares: dict[str, Any] = {"late_task_share": 1.0, "late_steps": 8, "short_epochs": 2, "short_length": 8}
    recipe = Recipe("t5", "t5_unigram", steps=100, warmup_steps=0, batch_size=5, max_length=64, **shares)
    stream = BatchStream(Counted(texts), tokenizer, recipe)
    batches, epochs = [], Counter[int]()
    for batch in islice(stream, 100):
        batches.append(batch)
        epochs[stream.position.epoch] += 1
    assert epochs[0] == epochs[1] > epochs[2] > 0, "a short row holds less beside its sentinels"
    first = token_id(tokenizer, "<extra_id_0>")
    is_task = [bool((batch["labels"][:, 0] != first).all()) for batch in batches]
    assert is_task == [False] * 92 + [True] * 8


# --- Recipes ---------------------------------------------------------------------------------------------------------


def test_schedules_have_their_shapes() -> None:
    def shares(schedule: str, warmup: int, cooldown: int = 0) -> list[float]:
        return [share_of_peak(step, warmup, 12, schedule, cooldown) for step in range(13)]

    climb = [0.25, 0.5, 0.75, 1.0]
    assert shares("linear", 4) == pytest.approx([*climb, *((12 - step) / 8 for step in range(4, 13))])
    assert shares("cosine", 4) == pytest.approx(
        [*climb, *(0.5 * (1 + math.cos(math.pi * (step - 4) / 8)) for step in range(4, 13))]
    )
    assert shares("constant", 0) == [1.0] * 13
    assert shares("constant", 4, 4) == pytest.approx([*climb, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


def test_fewer_steps_keep_the_shares_of_the_schedule() -> None:
    recipe = SHIPPED["t5"].with_steps(360)
    assert (recipe.steps, recipe.cooldown_steps, recipe.late_steps, recipe.warmup_steps) == (360, 120, 120, 0)
    parts = Recipe("bert", "wordpiece", steps=100, warmup_steps=10, short_epochs=3, short_length=32)
    assert (parts.with_steps(50).warmup_steps, parts.with_steps(50).short_epochs) == (5, 1)
    with pytest.raises(ValueError, match="^steps=0"):
        parts.with_steps(0)
    rates = [recipe.learning_rate_of(step) for step in (1, 241, 301, 360)]
    assert rates == pytest.approx([0.02, 0.02, 0.01, 0.02 / 120])


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_model_that_does_not_fit_its_tokenizer_is_refused(family: str) -> None:
    recipe, tokenizer = SHIPPED[family], load_tokenizer(SHIPPED[family].tokenizer)
    config = FAMILIES[family].config(recipe, tokenizer)
    assert config.vocab_size == tokenizer.get_vocab_size()
    assert config.pad_token_id == token_id(tokenizer, "[PAD]", "<pad>")
    wrong: dict[str, Any] = {"vocab_size": 8191, "pad_token_id": 7, "unknown": 1}
    if family == "t5":
        wrong["eos_token_id"] = 5
    else:
        wrong["max_position_embeddings"] = config.max_position_embeddings - 1
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=name):
            FAMILIES[family].config(dataclasses.replace(recipe, model=recipe.model | {name: value}), tokenizer)
    larger = FAMILIES[family].config(dataclasses.replace(recipe, model=recipe.model | {"vocab_size": 9000}), tokenizer)
    assert larger.vocab_size == 9000
