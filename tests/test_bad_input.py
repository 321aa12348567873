"""What is refused, and with which message: for every public function, configuration field, trait and file."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import refused_models
import refused_objectives
import refused_texts
import refused_training
import refused_widgets
import torch
from refusals import INF, NAN, Part, fault
from refused_models import CONFIGS, FAMILY, ONES, WORDS, model
from safetensors.torch import load_file, save_file
from torch import Tensor

import plm_lessons
from plm_lessons import (
    objectives,
    tokenization,
    widgets,
)
from plm_lessons.models.pretrained import PretrainedModel
from plm_lessons.objectives import span_counts
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.widgets.base import WidgetValueError

PARTS = [
    *refused_texts.PARTS,
    *refused_objectives.PARTS,
    *refused_models.PARTS,
    *refused_training.PARTS,
    *refused_widgets.PARTS,
]


# What everyone may call: the names in `__all__` of the parts of the package, and what the chapters import.
ROOT = Path(plm_lessons.__file__).parent
BOOK = sorted((ROOT.parent / "book").glob("*.ipynb"))
SHOWN = re.compile(r"^from (plm_lessons[\w.]*) import (?:\(([^)]*)\)|(.+))$", re.MULTILINE)
# An argument with one of these names may be anything: only its truth value counts, it names what is in a message,
# or it is an object with methods of the caller's own.
FREE = {
    *("add_pooling_layer", "bidirectional", "do_sample", "final_sentinel", "progress"),
    *("output_attentions", "output_hidden_states", "output_logits", "use_cache", "with_key", "name", "self", "masking"),
    *("last_layer_everywhere", "logits", "make_optimizer", "model", "position_scores", "source", "sources", "task"),
    "tokens",
}
UNCHECKED = {
    "AlbertEmbeddings": "part of a model",
    "BertLayer": "part of a model",
    "CachedNextToken": "part of a model",
    "RobertaEmbeddings": "part of a model",
    "T5Layer": "part of a model",
    "albert_batch": "rows of a batch, chosen by `albert_batches`",
    "bert_batch": "rows of a batch, chosen by `bert_batches`",
    "best_device": "takes nothing",
    "overlap_guess": "of a pair that `SentencePairs` takes",
    "position_ids": "of ids that the model has checked",
    "recorded": "takes any settings by their own names; test_records.py says what it refuses",
    "training_steps": "the loop of `pretrain`, which a chapter shows and does not call",
}


def is_record(thing: Any) -> bool:
    """Whether a class holds results of the package: a tuple with names, or a dataclass that checks nothing."""
    return isinstance(thing, type) and (
        issubclass(thing, tuple) or (dataclasses.is_dataclass(thing) and not hasattr(thing, "__post_init__"))
    )


def named_for_everyone() -> dict[str, Any]:
    """Functions and classes by their names."""
    found = {
        name: getattr(part, name) for part in (plm_lessons, objectives, tokenization, widgets) for name in part.__all__
    }
    for path in BOOK:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for module, several, one in SHOWN.findall("".join(cell["source"])):
                for name in re.findall(r"\w+", several or one):
                    found[name] = getattr(importlib.import_module(module), name)
    return {name: thing for name, thing in found.items() if callable(thing) and not is_record(thing)}


def test_every_argument_of_everything_public_is_in_the_tables() -> None:
    told: dict[Any, set[str]] = {}
    for one in PARTS:
        told.setdefault(inspect.unwrap(one.call), set()).update(one.bad)
    public = {name: thing for name, thing in named_for_everyone().items() if name not in UNCHECKED}
    assert len(public) > 100
    models = [thing for thing in public.values() if isinstance(thing, type) and issubclass(thing, PretrainedModel)]
    methods = [(kind, name) for kind in models for name in ("forward", "generate") if hasattr(kind, name)]
    calls = public | {f"{kind.__name__}.{name}": getattr(kind, name) for kind, name in methods}
    missing = {
        name: sorted(set(inspect.signature(call).parameters) - FREE - told.get(inspect.unwrap(call), set()))
        for name, call in calls.items()
    }
    missing = {name: arguments for name, arguments in missing.items() if arguments}
    assert not missing, f"a file tests/refused_*.py must say what these refuse: {missing}"


@pytest.mark.parametrize("one", [one for one in PARTS if one.good], ids=lambda one: one.call.__qualname__)
def test_what_is_right_is_taken(one: Part) -> None:
    assert one.good is not None
    one.call(**one.good())


@pytest.mark.parametrize(
    ("one", "argument"),
    [pytest.param(one, name, id=f"{one.call.__qualname__}-{name}") for one in PARTS for name in one.bad],
)
def test_what_is_wrong_is_refused_by_name(one: Part, argument: str) -> None:
    good = one.good or dict
    found = [fault(one.call, good(), argument, value, told) for value, *told in one.bad[argument]]
    assert list(filter(None, found)) == []


# --- widgets: what no trait takes ---

NEVER: list[Any] = [None, NAN, -INF, {}, b"text", -(10**30), [None], [[NAN]], object()]
TRAITS = [(name, trait) for name in widgets.__all__ for trait in getattr(widgets, name).fields]


@pytest.mark.parametrize(("name", "trait"), TRAITS)
def test_a_trait_refuses_what_is_senseless_and_keeps_what_it_had(name: str, trait: str) -> None:
    kind = getattr(widgets, name)
    shown = kind()
    before = shown.state()
    for value in NEVER:
        for attempt in (lambda value=value: kind(**{trait: value}), lambda value=value: setattr(shown, trait, value)):
            with pytest.raises(WidgetValueError, match=rf"^{name}\.{trait}\b.* must "):
                attempt()
    assert shown.state() == before


# --- files ---


def edit_config(**entries: Any) -> Callable[[Path], object]:
    """Change entries of `config.json`; None removes one."""

    def spoil(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | entries))

    return spoil


def edit_weights(change: Callable[[dict[str, Tensor], str], object]) -> Callable[[Path], object]:
    """Change the tensors; `change` is given the name of one matrix of a layer."""

    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors, min(name for name in tensors if ".weight" in name and tensors[name].shape == (8, 8)))
        save_file(tensors, folder / "model.safetensors")

    return spoil


def as_pickle(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()


def cut_off(name: str, size: int) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


# What happens to the folder of a saved model: (what is done, what the message says besides the folder).
SPOILED: dict[str, tuple[Any, ...]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json", FileNotFoundError),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors", FileNotFoundError),
    "config cut off": (cut_off("config.json", 20), "config.json", "not valid JSON"),
    "empty config": (write("config.json", b""), "config.json", "not valid JSON"),
    "config is a list": (write("config.json", b"[1, 2]"), "config.json", "JSON object", "list"),
    "config is no text": (write("config.json", b"\xff\xfe"), "config.json", "not valid JSON"),
    "another family": (edit_config(model_type="gpt2"), "model_type='gpt2'", "reads only"),
    "unknown field": (edit_config(n_head=12), "n_head: not a field"),
    "impossible field": (edit_config(vocab_size=0), "vocab_size=0"),
    "a decoder": (edit_config(is_decoder=True), "is_decoder=True", "only False"),
    "weights cut off": (cut_off("model.safetensors", 200), "model.safetensors", "not a whole safetensors file"),
    "last byte gone": (cut_off("model.safetensors", -1), "model.safetensors", "not a whole safetensors file"),
    "empty weights": (write("model.safetensors", b""), "model.safetensors", "not a whole safetensors file"),
    "a web page": (write("model.safetensors", b"<html>Not found</html>"), "not a whole safetensors file"),
    "pickled weights": (as_pickle, "pickled weights", "model.safetensors"),
    "missing tensor": (edit_weights(lambda tensors, name: tensors.pop(name)), "missing", ".weight"),
    "unexpected tensor": (
        edit_weights(lambda tensors, name: tensors.update(extra=torch.ones(1))),
        "unexpected",
        "extra",
    ),
    "misshapen tensor": (
        edit_weights(lambda tensors, name: tensors.update({name: torch.ones(8, 7)})),
        "has shape (8, 7)",
        "needs (8, 8)",
    ),
    "whole numbers": (
        edit_weights(lambda tensors, name: tensors.update({name: torch.ones(8, 8, dtype=torch.int8)})),
        "of type torch.int8",
        "floating-point",
    ),
    "NaN": (edit_weights(lambda tensors, name: tensors[name].fill_(NAN)), "not finite"),
    "infinity": (edit_weights(lambda tensors, name: tensors[name][0].fill_(INF)), "not finite"),
    "index of nothing": (
        lambda folder: (folder / "model.safetensors").rename(folder / "model.safetensors.index.json"),
        "model.safetensors.index.json",
        "weight_map",
    ),
}
SAVED = ("BertForPreTraining", "RobertaForMaskedLM", "AlbertForPreTraining", "T5ForConditionalGeneration")


@pytest.mark.parametrize("name", SAVED)
def test_a_spoiled_folder_is_refused(name: str, tmp_path: Path) -> None:
    model(name).save_pretrained(tmp_path / "whole")
    load = type(model(name)).from_pretrained
    load(tmp_path / "whole")
    for what, (spoil, *told) in SPOILED.items():
        folder = tmp_path / what
        shutil.copytree(tmp_path / "whole", folder)
        spoil(folder)
        error = next((item for item in told if isinstance(item, type)), ValueError)
        with pytest.raises(error) as caught:
            load(folder)
        assert [text for text in told if isinstance(text, str) and text not in str(caught.value)] == [], caught.value


@pytest.mark.parametrize(
    ("name", "other"), [pair for pair in itertools.permutations(SAVED, 2) if FAMILY[pair[0]] != FAMILY[pair[1]]]
)
def test_no_family_reads_another_ones_folder(name: str, other: str, tmp_path: Path) -> None:
    model(other).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"model_type='{FAMILY[other].lower()}'.* reads only '{FAMILY[name].lower()}'"):
        type(model(name)).from_pretrained(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": {}}', b"\xff\xfe"])
def test_a_file_that_is_no_tokenizer_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ValueError, match="tokenizer.json: not a whole tokenizer.json"):
        load_tokenizer(tmp_path)


def test_gpt2s_files_must_be_whole_and_fit_each_other(tmp_path: Path) -> None:
    for vocabulary, merges in (("{", "#version: 0.2\n"), ("{}", "#version: 0.2\na b\n")):
        (tmp_path / "encoder.json").write_text(vocabulary)
        (tmp_path / "vocab.bpe").write_text(merges)
        with pytest.raises(ValueError, match="folder is .*encoder.json and vocab.bpe must match"):
            tokenization.load_gpt2(tmp_path)


@pytest.mark.parametrize("name", SAVED)
def test_a_model_without_weights_writes_nothing(name: str, tmp_path: Path) -> None:
    with torch.device("meta"):
        shape = type(model(name))(CONFIGS[FAMILY[name]])
    with pytest.raises(ValueError, match=f"{name} is on the meta device"):
        shape.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


# --- what is not refused, but defined ---


@pytest.mark.parametrize("name", SAVED)
def test_where_everything_is_hidden_all_tokens_count_alike(name: str) -> None:
    inputs = {"labels": WORDS} if name.startswith("T5") else {}
    output = model(name)(WORDS, 0 * ONES, **inputs, output_attentions=True)
    weights = output.encoder_attentions if name.startswith("T5") else output.attentions
    torch.testing.assert_close(weights[0], torch.full_like(weights[0], 0.25))
    logits = output.logits if output.prediction_logits is None else output.prediction_logits
    assert logits.isfinite().all()


def test_a_number_that_python_does_not_write_is_refused_by_name() -> None:
    for number in (10**5000, -(10**5000)):
        with pytest.raises(ValueError, match="length=a value too long to be written .int.: must be a whole number"):
            span_counts(number)
        with pytest.raises(ValueError, match="mean_span_length=a value too long to be written"):
            span_counts(9, 0.15, number)
