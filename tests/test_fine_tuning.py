"""Fine-tuning: what a model reads of labelled examples, the loop for every kind of example, answers and figures."""

from __future__ import annotations

import itertools
import unicodedata
from functools import cache
from typing import Any

import pytest
import sklearn.metrics
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from torch import Tensor

import plm_lessons
from plm_lessons import BertConfig, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification
from plm_lessons.downstream import TASKS, Question
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.downstream import class_figures, encode_task, evaluate_task, fitting
from plm_lessons.training.encoding import QuestionWindows, encode_pairs, encode_questions, encode_texts, encode_words
from plm_lessons.training.fine_tuning import fine_tune, length_buckets, predict_logits, predict_spans, select_rows
from plm_lessons.training.large_batches import Batch
from plm_lessons.training.optimization import adamw, mixed_precision
from plm_lessons.training.question_answering import answer_f1, answer_figures, best_answers

TOKENIZERS = ("wordpiece", "byte_level_bpe", "unigram")
FAMILIES = (("Bert", "wordpiece"), ("Roberta", "byte_level_bpe"), ("Albert", "unigram"))
CPU = torch.device("cpu")
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


@cache
def tokenizer(name: str = "wordpiece") -> Tokenizer:
    return load_tokenizer(name)


def small_model(kind: str, family: str = "Bert", dropout: float = 0.0, **fields: Any) -> Any:
    """Return a model with random weights: here, everything has to be learnt from the examples alone."""
    model_class = getattr(plm_lessons, f"{family}For{kind}")
    if family == "Roberta":
        fields |= {"pad_token_id": 1, "type_vocab_size": 1}
    if family == "Albert":
        fields |= {"embedding_size": 16, "classifier_dropout_prob": dropout}
    config = model_class.config_class(
        vocab_size=8192,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        initializer_range=0.1,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        **fields,
    )
    return model_class(config)


# --- What a model reads ----------------------------------------------------------------------------------------------


def test_a_long_text_keeps_its_beginning_and_its_end_mark() -> None:
    inputs = encode_texts(tokenizer(), ["a cat", "the cat sat on the mat and " * 20], max_length=12)
    assert inputs["input_ids"].shape == (2, 12)
    assert inputs["attention_mask"].sum(dim=1).tolist() == [4, 12]
    assert inputs["input_ids"][1, -1] == tokenizer().token_to_id("[SEP]")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_pairs_are_framed_as_the_tokenizer_frames_them(name: str) -> None:
    firsts, seconds = ["A cat.", "Where is the mat?"], ["It sat on the mat, and it was warm.", "Here."]
    inputs = encode_pairs(tokenizer(name), firsts, seconds, max_length=30)
    padding = "<pad>" if tokenizer(name).token_to_id("<pad>") is not None else "[PAD]"
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer(name), pad_token=padding)
    expected = theirs(firsts, seconds, padding=True, return_tensors="pt", return_token_type_ids=True)
    assert inputs.keys() == set(expected.keys())
    assert all(torch.equal(inputs[key], expected[key]) for key in inputs)
    assert int(inputs["token_type_ids"].max()) == (0 if name == "byte_level_bpe" else 1)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_labels_of_words_stand_on_their_first_pieces(name: str) -> None:
    texts = ["the  Nebuchadnezzar (of Babylon) reigned, 605-562!", "cats", "Zürich’s naïve “Ångström”"]
    labels = [[place % 3 for place in range(len(text.split()))] for text in texts]
    inputs, targets = encode_words(tokenizer(name), texts, labels, max_length=60)
    assert targets.shape == inputs["input_ids"].shape
    for text, row, ids, found in zip(texts, labels, inputs["input_ids"], targets, strict=True):
        assert found[found != -100].tolist() == row, "each label once, in their order"
        pieces = [tokenizer(name).id_to_token(int(piece)) for piece in ids[found != -100]]
        words = [f" {word}" if place and name == "byte_level_bpe" else word for place, word in enumerate(text.split())]
        alone = [tokenizer(name).encode(word, add_special_tokens=False).tokens for word in words]
        alone = [word[1:] if word[0] == "Ġ" else word for word in alone]  # a piece that is just a blank has no word
        assert pieces == [word[0] for word in alone]


def test_a_word_without_a_token_is_refused() -> None:
    with pytest.raises(ValueError, match=r"texts\[0\] holds the word .*which the tokenizer drops entirely"):
        encode_words(tokenizer(), ["a \u200b cat"], [[0, 1, 1]], max_length=9)


def test_a_text_without_words_has_no_labels() -> None:
    _, targets = encode_words(tokenizer(), ["a cat", ""], [[1, 0], []], max_length=9)
    assert targets.tolist() == [[-100, 1, 0, -100], [-100] * 4]


def exact_scores(windows: QuestionWindows) -> tuple[Tensor, Tensor]:
    """The scores of a model that always knows the answer, or that there is none: 1 at the right places, 0 elsewhere."""
    length = windows.inputs["input_ids"].shape[1]
    return tuple(  # type: ignore[return-value]
        torch.nn.functional.one_hot(windows.labels[name], length).float()
        for name in ("start_positions", "end_positions")
    )


@pytest.mark.parametrize(("name", "max_length"), list(itertools.product(TOKENIZERS, (64, 128))))
def test_answers_come_back_from_their_tokens(name: str, max_length: int) -> None:
    questions = TASKS["questions"].examples("held_out")
    windows = encode_questions(tokenizer(name), questions, max_length)
    assert windows.inputs["input_ids"].shape[1] <= max_length
    assert len(windows.examples) > len(questions), "some texts need several windows"
    answers = best_answers(questions, windows, *exact_scores(windows))
    assert answers == [question.answer for question in questions]
    shown = torch.zeros(len(questions), dtype=torch.bool)
    shown[windows.examples[windows.labels["start_positions"] > 0]] = True
    assert shown.all(), "each answer is whole in a window"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_windows_are_those_of_transformers(name: str) -> None:
    questions = TASKS["questions"].examples("held_out")[:20]
    windows = encode_questions(tokenizer(name), questions, max_length=60, overlap=12)
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(name), pad_token="<pad>" if name != "wordpiece" else "[PAD]"
    )
    expected = theirs(
        [question.question for question in questions],
        [question.context for question in questions],
        max_length=60,
        stride=12,
        truncation="only_second",
        return_overflowing_tokens=True,
        padding=True,
        return_tensors="pt",
    )
    assert torch.equal(windows.inputs["input_ids"], expected["input_ids"])
    assert torch.equal(windows.examples, expected["overflow_to_sample_mapping"])
    for row, question in enumerate(questions):
        read = {
            place for start, end in windows.offsets[windows.examples == row].flatten(0, 1).tolist()
            for place in range(start, end)
        }  # fmt: skip
        missing = [character for place, character in enumerate(question.context) if place not in read]
        assert not "".join(missing).strip(), "the windows together hold the whole text"


def test_a_window_without_the_whole_answer_points_to_its_beginning() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    question = Question("which", text, "nine ten", text.index("nine"))
    windows = encode_questions(tokenizer(), [question], max_length=11, overlap=2)
    tokens = [[tokenizer().id_to_token(piece) for piece in row] for row in windows.inputs["input_ids"].tolist()]
    starts, ends = windows.labels["start_positions"].tolist(), windows.labels["end_positions"].tolist()
    for row, start, end in zip(tokens, starts, ends, strict=True):
        whole = "nine" in row and "ten" in row
        assert row[start : end + 1] == (["nine", "ten"] if whole else ["[CLS]"])
    assert sum(start > 0 for start in starts) == 1 and len(starts) > 2


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_tokens_leave_out_at_the_ends_of_an_answer_does_not_count(name: str) -> None:
    """An accent that is a separate character, white space, a character without width."""
    text = unicodedata.normalize("NFD", "It is Le Café. \u200bZoé ran it in Orléans, à Zoé")

    def answer_read(answer: str) -> str:
        place = text.index(unicodedata.normalize("NFD", answer))
        question = Question("which", text, unicodedata.normalize("NFD", answer), place)
        windows = encode_questions(tokenizer(name), [question], max_length=60)
        first, last = (int(positions) for positions in windows.labels.values())
        return text[windows.offsets[0, first, 0] : windows.offsets[0, last, 1]]

    for answer in ("Café", "Le Café", " Le ", "\u200bZoé", "Orléans, à Zoé", "in"):
        read = unicodedata.normalize("NFD", answer_read(answer))
        letters = [character for character in unicodedata.normalize("NFD", answer) if character.isalpha()]
        assert [character for character in read if character.isalpha()] == letters
    if name != "byte_level_bpe":  # this one leaves nothing out
        assert answer_read("\u0301") == ""


def test_encoding_leaves_the_tokenizer_and_its_settings_alone() -> None:
    own = load_tokenizer("wordpiece")
    own.enable_truncation(4)
    own.enable_padding(length=50)
    words, targets = encode_words(own, ["a b c d e"], [[0, 1, 0, 1, 0]], max_length=9)
    assert words["input_ids"].shape == targets.shape == (1, 7)
    assert encode_pairs(own, ["a b c"], ["d e f"], 20)["input_ids"].shape == (1, 9)
    assert own.truncation is not None and own.padding is not None
    assert own.truncation["max_length"] == 4 and own.padding["length"] == 50


# --- The loop --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 60), min_size=1, max_size=200), st.integers(1, 9), st.integers(1, 5), st.integers(0, 9))
@settings(deadline=None, max_examples=50)
def test_every_example_is_in_one_batch_of_an_epoch(lengths: list[int], size: int, pool: int, seed: int) -> None:
    batches = length_buckets(torch.tensor(lengths), size, torch.Generator().manual_seed(seed), pool)
    assert sorted(torch.cat(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    assert sorted(map(len, batches)) == sorted(
        [size] * (len(lengths) // size) + [len(lengths) % size] * bool(len(lengths) % size)
    )


def test_batches_hold_examples_that_are_about_as_long_in_an_order_of_the_epochs_own() -> None:
    lengths = torch.randint(3, 60, (640,), generator=torch.Generator().manual_seed(1))

    def padded(pool: int) -> int:
        batches = length_buckets(lengths, 32, torch.Generator().manual_seed(0), pool)
        return sum(len(rows) * int(lengths[rows].max()) for rows in batches)

    assert padded(1) > 1.5 * int(lengths.sum()) and padded(16) < 1.15 * int(lengths.sum())
    generator = torch.Generator().manual_seed(0)
    first, second = (length_buckets(lengths, 32, generator) for _ in range(2))
    assert {tuple(rows.tolist()) for rows in first} != {tuple(rows.tolist()) for rows in second}
    in_one_pool = length_buckets(lengths[:512], 32, torch.Generator().manual_seed(0), pool=16)
    means = [lengths[rows].float().mean().item() for rows in in_one_pool]
    assert means != sorted(means), "not the short ones first"


def test_selected_rows_lose_only_padding() -> None:
    inputs = encode_texts(tokenizer(), ["a cat", "the cat sat on the mat"], max_length=12)
    classes = torch.rand(2, inputs["input_ids"].shape[1])  # as many as there are tokens, and yet not one for each
    targets = torch.arange(16).view(2, 8)
    short = select_rows({**inputs, "labels": targets, "classes": classes}, torch.tensor([0]), CPU)
    assert short["input_ids"].tolist() == [tokenizer().encode("a cat").ids]
    assert short["labels"].tolist() == [[0, 1, 2, 3]]
    assert torch.equal(short["classes"], classes[:1])


ANIMALS, VERBS = ("cat", "dog", "horse", "cow"), ("runs", "sleeps")
ORDERS = [list(order) for order in itertools.permutations(ANIMALS, 3)]


@pytest.mark.parametrize("device", DEVICES)
def test_fine_tuning_learns_a_class_for_each_text(device: str) -> None:
    """On whatever device the model and the examples are."""
    texts = [f"{animal} {verb}" for animal, verb in itertools.product(ANIMALS, VERBS)] * 8
    labels = torch.tensor([int("sleeps" in text) for text in texts])
    inputs = {name: value.to(device) for name, value in encode_texts(tokenizer(), texts, max_length=12).items()}
    model = small_model("SequenceClassification").to(device)
    losses = fine_tune(model, inputs, labels.to(device), epochs=12, learning_rate=1e-2, batch_size=16, progress=False)
    assert len(losses) == 12 * 4 and losses[-1] < 0.1 < losses[0]
    assert (predict_logits(model, inputs).argmax(-1) == labels).all()
    assert not model.training


@pytest.mark.parametrize(("family", "name"), FAMILIES)
def test_fine_tuning_learns_a_class_for_each_pair(family: str, name: str) -> None:
    """Whether the second animal is the same as the first: neither of them alone tells."""
    pairs = list(itertools.product(ANIMALS[:2], ANIMALS[:2])) * 16
    labels = torch.tensor([int(first == second) for first, second in pairs])
    inputs = encode_pairs(
        tokenizer(name), [f"a {first}" for first, _ in pairs], [f"a {other}" for _, other in pairs], 12
    )
    model = small_model("SequenceClassification", family)
    fine_tune(model, inputs, labels, epochs=20, learning_rate=5e-3, batch_size=16, progress=False)
    assert (predict_logits(model, inputs).argmax(-1) == labels).all()


def test_fine_tuning_learns_a_class_for_each_word() -> None:
    """Whether an animal comes last, which the word alone does not tell."""
    texts, labels = [" ".join(order) for order in ORDERS], [[0, 0, 1] for _ in ORDERS]
    inputs, targets = encode_words(tokenizer(), texts, labels, max_length=12)
    model = small_model("TokenClassification")
    fine_tune(model, inputs, targets, epochs=20, learning_rate=1e-2, batch_size=8, progress=False)
    asked = targets != -100
    assert (predict_logits(model, inputs).argmax(-1)[asked] == targets[asked]).all()


def test_fine_tuning_learns_to_find_answers() -> None:
    """The answer is the animal that the question names."""
    questions = [
        Question(f"where is the {animal}?", " and ".join(order), animal, " and ".join(order).index(animal))
        for order in ORDERS for animal in order
    ]  # fmt: skip
    windows = encode_questions(tokenizer(), questions, max_length=20, overlap=2)
    model = small_model("QuestionAnswering")
    fine_tune(model, windows.inputs, windows.labels, epochs=25, learning_rate=5e-3, batch_size=16, progress=False)
    answers = best_answers(questions, windows, *predict_spans(model, windows.inputs))
    assert answers == [question.answer for question in questions]


def test_training_follows_its_seed_and_not_global_state() -> None:
    inputs = encode_texts(tokenizer(), [f"{animal} runs" for animal in ANIMALS] * 4, max_length=12)
    labels = torch.arange(16) % 2

    def train(seed: int) -> list[float]:
        model = small_model("SequenceClassification", dropout=0.3)
        return fine_tune(model, inputs, labels, epochs=2, learning_rate=1e-3, batch_size=4, seed=seed, progress=False)

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert train(seed=0) == first != train(seed=1)


@pytest.mark.parametrize("decay", [None, 0.5])
def test_the_loop_keeps_to_its_recipe(decay: float | None) -> None:
    """AdamW, warm-up for a tenth of the steps, gradients no longer than 1; and dropout, which no checkpoint has.

    The decay is 0.01 unless another is given.
    """
    texts = [f"{animal} {verb}" for animal, verb in itertools.product(ANIMALS, VERBS)] * 2
    inputs, labels = encode_texts(tokenizer(), texts, max_length=12), torch.arange(16) % 2
    model, other = (small_model("SequenceClassification", dropout=0.3).eval() for _ in range(2))
    more = {} if decay is None else {"weight_decay": decay}
    losses = fine_tune(model, inputs, labels, epochs=5, learning_rate=1e-2, batch_size=4, progress=False, **more)  # type: ignore[arg-type]

    optimizer, order = adamw(other, 1e-2, weight_decay=decay or 0.01), torch.Generator().manual_seed(0)
    epochs = [length_buckets(inputs["attention_mask"].sum(dim=1), 4, order) for _ in range(5)]
    expected, lengths = [], []
    other.train()
    torch.manual_seed(0)
    for step, rows in enumerate(itertools.chain(*epochs)):
        with mixed_precision(CPU):
            loss = other(**select_rows({**inputs, "labels": labels}, rows, CPU)).loss
        expected.append(loss.item())
        loss.backward()
        lengths.append(float(torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0)))
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * ((step + 1) / 2 if step < 2 else (20 - step) / 18)
        optimizer.step()
        optimizer.zero_grad()
    assert max(lengths) > 1
    assert losses == expected


def test_what_cannot_be_trained_on_is_refused() -> None:
    inputs = encode_texts(tokenizer(), ["a cat", "a dog"], max_length=12)
    labels = torch.tensor([0, 1])
    settings = {"epochs": 1, "learning_rate": 1e-3, "progress": False}
    model = small_model("SequenceClassification")
    left_padded = {name: value.flip(1) for name, value in encode_texts(tokenizer(), ["a", "a red dog"], 12).items()}
    for read in (lambda: fine_tune(model, left_padded, labels, **settings), lambda: predict_logits(model, left_padded)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="attention_mask has a token after padding"):
            read()
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="the loss is nan at step 1"):
        fine_tune(model, inputs, labels, **settings)  # type: ignore[arg-type]


def test_an_answer_behind_its_row_is_refused_whatever_the_batch() -> None:
    """At that place there is padding in a batch with a longer row, and nothing in a batch without one."""
    inputs = encode_texts(tokenizer(), ["a", "the cat sat on the mat"], max_length=12)
    model = small_model("QuestionAnswering")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    inside, behind = torch.tensor([2, 7]), torch.tensor([3, 7])
    for size in (1, 2):
        settings: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-3, "batch_size": size, "progress": False}
        for name in ("start_positions", "end_positions"):
            labels = {"start_positions": inside, "end_positions": inside, name: behind}
            with pytest.raises(ValueError, match=f"^{name} holds 3 in row 0: must be from 0 to 2, its last token, or"):
                fine_tune(model, inputs, labels, **settings)
        assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    fine_tune(model, inputs, dict.fromkeys(labels, inside), **settings)


def test_a_gradient_without_end_is_found_before_it_spoils_the_weights() -> None:
    inputs, labels = encode_texts(tokenizer(), ["a cat", "a dog"], max_length=12), torch.tensor([0, 1])
    model = small_model("SequenceClassification")
    model.classifier.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(ValueError, match="the length of the gradient is (inf|nan) at step 1: try a smaller"):
        fine_tune(model, inputs, labels, epochs=1, learning_rate=1e-3, progress=False)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not model.training


def test_gradients_from_before_count_for_nothing() -> None:
    """They may be left from a call that was refused or interrupted, or be the caller's own."""
    inputs, labels = encode_texts(tokenizer(), ["a cat", "a dog"], max_length=12), torch.tensor([0, 1])
    losses = []
    for left_over in (None, float("nan"), 100.0):
        model = small_model("SequenceClassification")
        if left_over is not None:
            (left_over * model(**inputs, labels=labels).loss).backward()
        losses.append(fine_tune(model, inputs, labels, epochs=2, learning_rate=1e-2, progress=False))
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("kind", ["SequenceClassification", "TokenClassification", "QuestionAnswering"])
def test_predictions_do_not_depend_on_the_batch_and_come_in_the_order_of_the_inputs(kind: str) -> None:
    inputs = encode_texts(
        tokenizer(), ["the cat sat on the mat", "it runs", "a cat", "it is a black cat"], max_length=12
    )
    model = small_model(kind).eval()

    def predict(some: Batch, **options: int) -> Tensor:
        if kind == "QuestionAnswering":
            return torch.stack(predict_spans(model, some, **options), dim=-1)
        return predict_logits(model, some, **options)

    everything = predict(inputs)
    torch.testing.assert_close(predict(inputs, batch_size=1), everything)
    for row, mask in enumerate(inputs["attention_mask"]):
        one = {name: value[row : row + 1, : int(mask.sum())] for name, value in inputs.items()}
        alone = predict(one)[0]
        torch.testing.assert_close(everything[row][: len(alone)], alone, atol=1e-5, rtol=1e-4)
    assert len(everything[0]) == (2 if kind == "SequenceClassification" else inputs["input_ids"].shape[1])


# --- Answers and figures ---------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_the_best_span_is_that_of_all_spans(seed: int, most: int) -> None:
    text = "one two three four five six seven eight nine ten"
    questions = [Question("which of them", text, "six", text.index("six")), Question("where", "a b", "b", 2)]
    windows = encode_questions(tokenizer(), questions, max_length=13, overlap=3)
    generator = torch.Generator().manual_seed(seed)
    starts, ends = (torch.randn(windows.offsets.shape[:2], generator=generator) for _ in range(2))
    expected = []
    for number, question in enumerate(questions):
        spans = []
        for row in (windows.examples == number).nonzero().flatten().tolist():
            in_text = [place for place, (start, _) in enumerate(windows.offsets[row].tolist()) if start >= 0]
            for start, end in itertools.product(in_text, in_text):
                if start <= end < start + most:
                    score = float(starts[row, start] + ends[row, end])
                    spans.append((score, int(windows.offsets[row, start, 0]), int(windows.offsets[row, end, 1])))
        _, start, end = max(spans)
        expected.append(question.context[start:end])
    assert best_answers(questions, windows, starts, ends, max_answer_tokens=most) == expected


def test_figures_of_answers_are_those_of_squad() -> None:
    # What evaluate-v1.1.py gives for these.
    for answer, truth, exact, f1 in (
        ("The Beatles", "beatles", 1.0, 1.0),
        ("the U.S. army!", "US Army", 1.0, 1.0),
        ("a band of four", "band", 0.0, 0.5),
        ("cat cat dog", "cat dog dog", 0.0, 2 / 3),
        ("another", "other", 0.0, 0.0),
        ("", "band", 0.0, 0.0),
    ):
        assert answer_figures([answer], [truth]) == {"exact_match": exact, "f1": pytest.approx(f1)}, answer
        assert answer_f1(answer, truth) == pytest.approx(answer_f1(truth, answer))
    assert answer_figures(["band", "cat"], ["band", "dog"]) == {"exact_match": 0.5, "f1": 0.5}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_figures_of_classes_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = [list(side) for side in zip(*pairs, strict=True)]
    figures = class_figures(predicted, labels)
    assert figures["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    assert figures["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(labels, predicted, average="macro"))


HEADS = {
    "text": BertForSequenceClassification,
    "pair": BertForSequenceClassification,
    "words": BertForTokenClassification,
    "question": BertForQuestionAnswering,
}


@pytest.mark.parametrize("name", TASKS)
def test_the_examples_of_every_task_go_from_text_to_figures(name: str) -> None:
    task = TASKS[name]
    examples = task.examples("held_out")[:12]
    encoded = encode_task(task, examples, tokenizer(), max_length=128)
    config = BertConfig(
        vocab_size=8192,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        initializer_range=0.1,
        num_labels=len(task.labels) or 2,
        label_names=task.labels,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model: Any = HEADS[task.kind](config)
    fine_tune(model, encoded.inputs, encoded.labels, epochs=60, learning_rate=1e-2, batch_size=4, progress=False)
    figures = evaluate_task(model, examples, encoded)
    assert set(task.figures) <= figures.keys()
    assert figures[task.figures[0]] > 0.8, "twelve examples are known by heart"


def test_examples_that_do_not_fit_are_left_out_and_questions_are_not() -> None:
    padding = load_tokenizer("wordpiece")
    padding.enable_padding(length=70)
    for name in ("topics", "pairs", "capitals"):
        examples = TASKS[name].examples("held_out")
        kept = fitting(TASKS[name], examples, tokenizer(), 60)
        assert 0 < len(kept) < len(examples)
        assert encode_task(TASKS[name], kept, tokenizer(), 60).inputs["input_ids"].shape[1] <= 60
        assert fitting(TASKS[name], examples, tokenizer(), 512) == examples
        assert fitting(TASKS[name], examples, padding, 60) == kept
    questions = TASKS["questions"].examples("held_out")
    assert fitting(TASKS["questions"], questions, tokenizer(), 60) == questions
