"""Loading and saving: both ways with `transformers`, refusals and warnings, and what an interruption leaves."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import plm_lessons
from plm_lessons import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)
from plm_lessons.files import made_folder, write_atomically

transformers.utils.logging.disable_progress_bar()

TINY = BertConfig(
    vocab_size=40,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=50,
    max_position_embeddings=16,
)
SIZES = [field.name for field in dataclasses.fields(TINY) if getattr(TINY, field.name) != field.default]
CLASSES = [
    getattr(plm_lessons, name) for name in plm_lessons.__all__ if name.startswith("Bert") and name != "BertConfig"
]
WORDS = "bert.embeddings.word_embeddings.weight"
FIRST_QUERY = "bert.encoder.layer.0.attention.self.query.weight"


@pytest.fixture(autouse=True)
def no_unexpected_warning() -> Any:
    """A warning that a test does not expect is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def fill(model: torch.nn.Module, seed: int = 0) -> None:
    """Draw biases and gains too, so that it shows if two of them are mixed up."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a pre-trained model, with both heads."""
    model = BertForPreTraining(TINY)
    fill(model)
    model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def change(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    """Edit the tensors of a saved folder."""
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# --- both ways ---


@pytest.mark.parametrize("model_class", CLASSES)
def test_transformers_loads_what_is_saved_with_no_key_missing_or_left_over(model_class: Any, tmp_path: Path) -> None:
    model = model_class(dataclasses.replace(TINY, pad_token_id=3, layer_norm_eps=1e-7, hidden_act="gelu_new"))
    fill(model)
    model.save_pretrained(tmp_path)
    reference, report = getattr(transformers, model_class.__name__).from_pretrained(tmp_path, output_loading_info=True)
    assert {name: set(keys) for name, keys in report.items()} == dict.fromkeys(report, set())
    theirs = dict(reference.named_parameters())
    names = {model.checkpoint_name(name): parameter for name, parameter in model.named_parameters()}
    assert names.keys() == theirs.keys()
    assert all(torch.equal(names[name], theirs[name]) for name in names)
    config = reference.config
    assert (config.layer_norm_eps, config.hidden_act, config.pad_token_id) == (1e-7, "gelu_new", 3)
    assert config.architectures == [model_class.__name__]


def test_the_names_of_labels_stay_with_the_model_and_transformers_reads_them(tmp_path: Path) -> None:
    names = ("negative", "neutral", "positive")
    BertForSequenceClassification(dataclasses.replace(TINY, num_labels=3, label_names=names)).save_pretrained(tmp_path)
    assert BertForSequenceClassification.from_pretrained(tmp_path).config.label_names == names
    theirs = transformers.BertForSequenceClassification.from_pretrained(tmp_path)
    assert theirs.config.id2label == dict(enumerate(names))
    theirs.save_pretrained(tmp_path / "theirs")
    assert BertForSequenceClassification.from_pretrained(tmp_path / "theirs").config.label_names == names
    with pytest.raises(ValueError, match="label_names="):
        BertForSequenceClassification.from_pretrained(tmp_path, num_labels=2)


@pytest.mark.parametrize("model_class", CLASSES)
def test_what_transformers_saves_is_loaded_whole(model_class: Any, tmp_path: Path) -> None:
    fields = dataclasses.asdict(TINY)
    del fields["position_embedding_type"], fields["label_names"]
    reference = getattr(transformers, model_class.__name__)(transformers.BertConfig(**fields))
    fill(reference)
    reference.save_pretrained(tmp_path)
    model = model_class.from_pretrained(tmp_path)
    assert model.config == TINY
    theirs = dict(reference.named_parameters())
    assert all(torch.equal(value, theirs[model.checkpoint_name(name)]) for name, value in model.named_parameters())


@pytest.mark.parametrize("model_class", CLASSES)
def test_a_saved_model_comes_back_ready_for_use(model_class: Any, tmp_path: Path) -> None:
    model = model_class(TINY)
    fill(model)
    model.save_pretrained(tmp_path / "some" / "folder")
    again = model_class.from_pretrained(str(tmp_path / "some" / "folder"))
    assert same(model, again) and again.config == TINY
    assert not again.training and again.device == torch.device("cpu")
    assert all(value.dtype == torch.float32 and value.requires_grad for value in again.parameters())
    assert {path.name for path in (tmp_path / "some" / "folder").iterdir()} == {"config.json", "model.safetensors"}


def test_a_model_is_loaded_in_float32_whatever_the_default_is(saved: Path) -> None:
    expected = BertForPreTraining.from_pretrained(saved)
    torch.set_default_dtype(torch.bfloat16)
    try:
        loaded = BertForPreTraining.from_pretrained(saved)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(expected, loaded) and all(value.dtype == torch.float32 for value in loaded.parameters())


def test_a_model_of_shapes_alone_takes_no_memory_in_older_versions_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.8, `torch.get_default_device` did not know `with torch.device`."""
    monkeypatch.setattr(torch, "get_default_device", lambda: torch.device("cpu"))
    with torch.device("meta"):
        model = BertModel(TINY)
    assert all(value.is_meta for value in model.parameters())


def test_the_file_says_whose_tensors_it_holds(saved: Path) -> None:
    """Otherwise version 4 of transformers refuses it."""
    with safe_open(saved / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_a_tied_matrix_is_stored_once(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    assert WORDS in tensors and not any("decoder" in name for name in tensors)
    assert sum(tensor.numel() for tensor in tensors.values()) == BertForPreTraining(TINY).num_parameters()


# --- the forms that published checkpoints have ---


def old_names(tensors: dict[str, Tensor]) -> None:
    for name in [name for name in tensors if "LayerNorm" in name]:
        stem, _, last = name.rpartition(".")
        tensors[f"{stem}.{ {'weight': 'gamma', 'bias': 'beta'}[last] }"] = tensors.pop(name)


def stored_copies(tensors: dict[str, Tensor]) -> None:
    tensors["cls.predictions.decoder.weight"] = tensors[WORDS].clone()
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    tensors["bert.embeddings.position_ids"] = torch.arange(16)[None]


@pytest.mark.parametrize("form", [old_names, stored_copies])
def test_older_forms_of_a_checkpoint_are_the_same_model(form: Callable[[dict[str, Tensor]], None], saved: Path) -> None:
    expected = BertForPreTraining.from_pretrained(saved)
    before = set(load_file(saved / "model.safetensors"))
    change(saved, form)
    assert set(load_file(saved / "model.safetensors")) != before
    assert same(BertForPreTraining.from_pretrained(saved), expected)


def test_an_output_matrix_of_its_own_is_refused_not_dropped(saved: Path) -> None:
    change(saved, lambda tensors: tensors.update({"cls.predictions.decoder.weight": tensors[WORDS] + 1}))
    with pytest.raises(ValueError, match="unexpected cls.predictions.decoder.weight"):
        BertForPreTraining.from_pretrained(saved)


def test_an_encoder_is_found_with_and_without_its_prefix(saved: Path, tmp_path: Path) -> None:
    expected = BertForPreTraining.from_pretrained(saved).encoder
    with pytest.warns(UserWarning, match="not used by BertModel"):
        bare = BertModel.from_pretrained(saved)
    assert same(bare, expected)
    bare.save_pretrained(tmp_path / "bare")
    assert "embeddings.word_embeddings.weight" in load_file(tmp_path / "bare" / "model.safetensors")
    assert same(BertModel.from_pretrained(tmp_path / "bare"), expected)
    with pytest.warns(UserWarning, match="drawn anew"):
        model = BertForSequenceClassification.from_pretrained(tmp_path / "bare")
    assert same(model.encoder, expected)


def test_weights_in_several_files_are_read_together(saved: Path) -> None:
    expected = BertForPreTraining.from_pretrained(saved)
    transformers.BertForPreTraining.from_pretrained(saved).save_pretrained(saved, max_shard_size="10KB")
    (saved / "model.safetensors").unlink(missing_ok=True)
    assert len(list(saved.glob("model-*-of-*.safetensors"))) > 1
    assert same(BertForPreTraining.from_pretrained(saved), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_are_read_as_float32(dtype: torch.dtype, saved: Path) -> None:
    expected = {
        name: value.to(dtype).float() for name, value in BertForPreTraining.from_pretrained(saved).named_parameters()
    }
    change(saved, lambda tensors: tensors.update({name: value.to(dtype) for name, value in tensors.items()}))
    model = BertForPreTraining.from_pretrained(saved)
    assert all(
        value.dtype == torch.float32 and torch.equal(value, expected[name]) for name, value in model.named_parameters()
    )


# --- heads that come and go ---


def test_a_head_that_is_not_there_is_drawn_anew_and_named(saved: Path) -> None:
    change(saved, lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("cls.")])
    with pytest.warns(UserWarning, match="has no classifier.weight, classifier.bias: drawn anew") as caught:
        model = BertForSequenceClassification.from_pretrained(saved, num_labels=5)
    assert len(caught) == 1 and caught[0].filename == __file__  # it points to the caller's line
    assert model.config.num_labels == 5 and model.classifier.weight.shape == (5, 24)
    assert 0 < model.classifier.weight.std() < 0.03 and (model.classifier.bias == 0).all()
    with pytest.warns(UserWarning, match="drawn anew"):
        again = BertForSequenceClassification.from_pretrained(saved, num_labels=5)
    assert same(model, again)
    assert torch.equal(model.encoder.embeddings.word_embeddings.weight, load_file(saved / "model.safetensors")[WORDS])


def test_heads_of_other_tasks_are_left_aside_and_named(saved: Path) -> None:
    with pytest.warns(UserWarning) as caught:
        BertForTokenClassification.from_pretrained(saved)
    told = " | ".join(str(warning.message) for warning in caught)
    assert "has no classifier.weight, classifier.bias: drawn anew" in told
    for name in ("bert.pooler.dense.weight", "cls.predictions.bias", "cls.seq_relationship.weight"):
        assert name in told
    assert "not used by BertForTokenClassification" in told


@pytest.mark.parametrize("family", ["Bert", "Roberta", "Albert"])
@pytest.mark.parametrize(("task", "other"), [("Sequence", "Token"), ("Token", "Sequence")])
def test_the_classifier_of_another_task_is_left_aside_in_every_family(
    family: str, task: str, other: str, tmp_path: Path
) -> None:
    """Even if it would fit: only `architectures` tells BERT's two apart."""
    saved, wanted = (getattr(plm_lessons, f"{family}For{name}Classification") for name in (task, other))
    model = saved(saved.config_class(**{name: getattr(TINY, name) for name in SIZES}))
    fill(model)
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning) as caught:
        loaded = wanted.from_pretrained(tmp_path)
    told = [str(warning.message) for warning in caught]
    assert any(re.search("has no .*classifier.*: drawn anew", message) for message in told)
    assert any(re.search(r"also has classifier\..* of another task.*: not used", message) for message in told)
    fresh, before = ({key: value for key, value in each.named_parameters() if key.startswith("classifier.")}
                     for each in (loaded, model))  # fmt: skip
    assert not any(key in before and torch.equal(value, before[key]) for key, value in fresh.items())
    assert torch.equal(
        loaded.encoder.embeddings.word_embeddings.weight, model.encoder.embeddings.word_embeddings.weight
    )
    assert same(saved.from_pretrained(tmp_path), model)
    config = json.loads((tmp_path / "config.json").read_text())
    for told_so in (None, [f"{family}Model"]):  # no class, and one that says nothing about heads
        (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": told_so}))
        assert same(saved.from_pretrained(tmp_path), model)


def test_a_missing_pooler_is_drawn_anew(saved: Path) -> None:
    change(saved, lambda tensors: [tensors.pop(name) for name in list(tensors) if "pooler" in name])
    with pytest.warns(UserWarning, match="has no bert.pooler.dense.weight, bert.pooler.dense.bias: drawn anew"):
        BertForPreTraining.from_pretrained(saved)


@pytest.mark.parametrize("missing", ["cls.predictions.bias", "cls.seq_relationship.weight", "bert.pooler.dense.bias"])
def test_half_a_head_is_an_error_not_a_fresh_head(missing: str, saved: Path) -> None:
    change(saved, lambda tensors: tensors.pop(missing))
    with pytest.raises(ValueError, match=f"missing {missing}$"):
        BertForPreTraining.from_pretrained(saved)


# --- what is refused ---


def test_a_missing_tensor_is_named(saved: Path) -> None:
    change(saved, lambda tensors: tensors.pop(FIRST_QUERY))
    with pytest.raises(ValueError, match=f"saved does not fit BertForPreTraining: missing {FIRST_QUERY}$"):
        BertForPreTraining.from_pretrained(saved)


def test_an_unexpected_tensor_is_named(saved: Path) -> None:
    change(saved, lambda tensors: tensors.update({"bert.encoder.layer.2.output.dense.bias": torch.zeros(24)}))
    with pytest.raises(ValueError, match="unexpected bert.encoder.layer.2.output.dense.bias$"):
        BertForPreTraining.from_pretrained(saved)


def test_a_misshapen_tensor_is_named_with_both_shapes(saved: Path) -> None:
    change(saved, lambda tensors: tensors.update({FIRST_QUERY: torch.zeros(24, 23)}))
    with pytest.raises(ValueError, match=rf"{FIRST_QUERY} has shape \(24, 23\), the configuration needs \(24, 24\)$"):
        BertForPreTraining.from_pretrained(saved)


def test_all_faults_of_a_file_are_told_at_once(saved: Path) -> None:
    change(saved, lambda tensors: tensors.update({"extra": torch.zeros(1), WORDS: torch.zeros(1)}))
    with pytest.raises(ValueError, match=rf"{WORDS} has shape .*; unexpected bert.extra$"):
        BertForPreTraining.from_pretrained(saved)


def test_a_tensor_under_two_names_is_refused_not_chosen(saved: Path) -> None:
    name = "bert.embeddings.LayerNorm.weight"
    change(saved, lambda tensors: tensors.update({"bert.embeddings.LayerNorm.gamma": 2 * tensors[name]}))
    with pytest.raises(ValueError, match=f"has {name} twice"):
        BertForPreTraining.from_pretrained(saved)


def test_whole_numbers_are_no_weights(saved: Path) -> None:
    change(saved, lambda tensors: tensors.update({FIRST_QUERY: torch.zeros(24, 24, dtype=torch.int8)}))
    with pytest.raises(ValueError, match=f"{FIRST_QUERY} is of type torch.int8"):
        BertForPreTraining.from_pretrained(saved)


def test_a_head_of_another_size_is_refused(tmp_path: Path) -> None:
    BertForSequenceClassification(dataclasses.replace(TINY, num_labels=3)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"classifier.weight has shape \(3, 24\), the configuration needs \(2, 24\)"):
        BertForSequenceClassification.from_pretrained(tmp_path, num_labels=2)


def test_an_unknown_field_beside_the_folder_is_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match="labels: not a field of BertConfig"):
        BertForPreTraining.from_pretrained(saved, labels=3)


def test_the_configuration_of_another_family_is_refused(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}))
    with pytest.raises(ValueError, match="model_type='roberta': BertConfig reads only 'bert'"):
        BertForPreTraining.from_pretrained(saved)


class Trap:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_file_that_is_cut_off_or_of_another_kind_is_refused_and_nothing_is_unpickled(saved: Path) -> None:
    file, trap = saved / "model.safetensors", saved / "trap"
    whole = file.read_bytes()
    for content in (b"", whole[:7], whole[:500], whole[:-1], b"<html>", pickle.dumps(Trap(trap)), os.urandom(2000)):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="model.safetensors: not a whole safetensors file"):
            BertForPreTraining.from_pretrained(saved)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap)))
    assert trap.exists()  # it would have shown


def test_a_folder_with_pickled_weights_only_is_refused_unread(saved: Path) -> None:
    os.unlink(saved / "model.safetensors")
    (saved / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(saved / "trap")))
    with pytest.raises(ValueError, match="has only pickled weights"):
        BertForPreTraining.from_pretrained(saved)
    assert not (saved / "trap").exists()


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(missing: str, saved: Path) -> None:
    os.unlink(saved / missing)
    with pytest.raises(FileNotFoundError, match=missing):
        BertForPreTraining.from_pretrained(saved)


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": [1]}', '{"weight_map": null}', "3"])
def test_an_index_that_lists_no_files_is_refused(index: str, saved: Path) -> None:
    os.unlink(saved / "model.safetensors")
    (saved / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ValueError, match="model.safetensors.index.json: must be a JSON object"):
        BertForPreTraining.from_pretrained(saved)


def test_a_listed_file_that_is_not_there_is_named(saved: Path) -> None:
    os.unlink(saved / "model.safetensors")
    (saved / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(FileNotFoundError, match="model-00001-of-00002.safetensors"):
        BertForPreTraining.from_pretrained(saved)


# --- names on the hub ---


def test_a_name_that_is_no_folder_is_fetched_from_the_hub_without_pickles(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(saved)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    model = BertForPreTraining.from_pretrained("someone/bert-of-mine")
    assert same(model, BertForPreTraining.from_pretrained(saved))
    [(name, patterns)] = asked
    assert name == "someone/bert-of-mine"
    assert {"config.json", "*.safetensors"} <= set(patterns) and not any("bin" in pattern for pattern in patterns)


def test_a_name_is_not_found_without_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileNotFoundError, match="no/such: no such folder.*install huggingface_hub"):
        BertModel.from_pretrained("no/such")


@pytest.mark.parametrize("error", [OSError("no network"), ValueError("no possible name")])
def test_a_name_that_the_hub_does_not_give_is_a_missing_folder(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot_download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(FileNotFoundError, match=f"no/such: no such folder, and not found on the hub: {error}"):
        BertModel.from_pretrained("no/such")


def test_a_path_that_cannot_be_a_hub_name_is_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="a/b/c: no such folder"):
        BertModel.from_pretrained(tmp_path / "a/b/c")


# --- interruptions ---


@pytest.mark.parametrize("call", ["replace", "fsync", "fdopen", "chmod"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_old_model_whole(
    call: str, error: BaseException, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = BertForPreTraining.from_pretrained(saved)
    new = BertForPreTraining(TINY, torch.Generator().manual_seed(1))

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(type(error)):
            new.save_pretrained(saved)
    assert {path.name for path in saved.iterdir()} == {"config.json", "model.safetensors"}
    assert same(BertForPreTraining.from_pretrained(saved), old)
    new.save_pretrained(saved)
    assert same(BertForPreTraining.from_pretrained(saved), new)


def test_a_write_that_the_system_stops_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs Unix, to limit the size of a file")
    path = tmp_path / "file"
    write_atomically(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OSError, match="large"):
            write_atomically(path, bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old" and [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_written_file_has_the_permissions_of_any_new_one_and_keeps_its_own(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"content")
        assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o640
        os.chmod(tmp_path / "file", 0o604)
        write_atomically(tmp_path / "file", b"other content")
        assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o604
    finally:
        os.umask(before)


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/file")
    for content in (b"new", b"again"):
        write_atomically(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "file").read_bytes() == content
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="circle"):
        write_atomically(tmp_path / "circle", b"content")
    assert (tmp_path / "circle").is_symlink()


def test_of_a_folder_that_cannot_be_made_nothing_is_left(tmp_path: Path) -> None:
    for parts in (("a", "b", "x" * 300), ("a", "x" * 300, "b")):
        with pytest.raises(OSError), made_folder(tmp_path.joinpath(*parts)):
            raise AssertionError("it was made")
    with pytest.raises(KeyError), made_folder(tmp_path / "a" / ".." / "b"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "\N{GRINNING FACE}" * 63])
def test_a_file_may_have_the_longest_name(name: str, tmp_path: Path) -> None:
    write_atomically(tmp_path / name, b"content")
    assert [path.name for path in tmp_path.iterdir()] == [name]


# --- Exporting -------------------------------------------------------------------------------------------------------


EXPORTED: dict[str, tuple[Any, Any]] = {
    "bert": (plm_lessons.BertForPreTraining, TINY),
    "relative": (plm_lessons.BertModel, dataclasses.replace(TINY, position_embedding_type="relative_key_query")),
    "roberta": (
        plm_lessons.RobertaForMaskedLM,
        plm_lessons.RobertaConfig(**{name: getattr(TINY, name) for name in SIZES}),
    ),
    "albert": (
        plm_lessons.AlbertForMaskedLM,
        plm_lessons.AlbertConfig(**{name: getattr(TINY, name) for name in SIZES}, embedding_size=8),
    ),
    "t5": (plm_lessons.T5ForConditionalGeneration, plm_lessons.T5Config(40, 24, d_kv=8, d_ff=50, num_layers=2)),
}


@pytest.mark.skipif(not hasattr(torch.compiler, "is_exporting"), reason="this version of torch does not tell")
@pytest.mark.parametrize(("name", "any_size"), [(name, False) for name in EXPORTED] + [
    (name, True) for name in EXPORTED if name != "t5"])  # fmt: skip
def test_what_torch_exports_computes_the_same(name: str, any_size: bool) -> None:
    """The checks of ids and masks, which need their numbers, are left out of it."""
    model_class, config = EXPORTED[name]
    model, generator = model_class(config).eval(), torch.Generator().manual_seed(1)
    batch = {"input_ids": torch.randint(40, (2, 12), generator=generator)}
    batch["attention_mask"] = (torch.arange(12) < torch.tensor([[12], [8]])).long()
    if name == "t5":
        batch["labels"] = batch["input_ids"][:, :7].contiguous()
    free = {part: {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO} for part in batch} if any_size else None
    exported = torch.export.export(model, (), kwargs=batch, dynamic_shapes=free).module()
    smaller = {part: torch.cat([value[:, :9]] * 2) for part, value in batch.items()}
    for given in (batch, smaller) if any_size else (batch,):
        found, expected = exported(**given), model(**given)
        assert type(found) is type(expected)
        for field in dataclasses.fields(expected):
            one, other = getattr(found, field.name), getattr(expected, field.name)
            assert torch.equal(one, other) if other is not None else one is None, field.name
    with pytest.raises(ValueError, match="input_ids holds 40"):
        model(**(batch | {"input_ids": torch.full((2, 12), 40)}))
