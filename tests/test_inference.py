"""Asking a trained model: the attention weights of every head, compared with those of `transformers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer

import plm_lessons
from plm_lessons import AlbertConfig, AlbertModel, BertConfig, BertForMaskedLM, T5ForConditionalGeneration
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.inference import attention_maps
from plm_lessons.widgets import AttentionViewer

T5 = Path(plm_lessons.__file__).parent / "checkpoints" / "t5"
TEXT = "the cat sat on the mat ."
SOURCE, TARGET = "Hamlet was <extra_id_0> by Shakespeare .", "<extra_id_0> written <extra_id_1>"
SHAPE: dict[str, Any] = {
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}


@pytest.fixture(scope="module")
def wordpiece() -> Tokenizer:
    return load_tokenizer("wordpiece")


@pytest.fixture(scope="module")
def t5() -> T5ForConditionalGeneration:
    return T5ForConditionalGeneration.from_pretrained(T5)


def assert_are(found: list[Any], wanted: tuple[torch.Tensor, ...]) -> None:
    """Check that plain nested lists, [L][A][T][S], hold what `transformers` has in tensors [1, A, T, S]."""
    assert type(found) is list and type(found[0][0][0][0]) is float
    torch.testing.assert_close(torch.tensor(found), torch.cat(wanted), rtol=0, atol=1e-5)


def test_weights_of_an_encoder_are_those_of_transformers(wordpiece: Tokenizer, tmp_path: Path) -> None:
    model = BertForMaskedLM(BertConfig(vocab_size=wordpiece.get_vocab_size(), **SHAPE)).train()  # dropout must not act
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)  # otherwise all heads are nearly even
    model.save_pretrained(tmp_path)
    theirs: Any = transformers.BertForMaskedLM.from_pretrained(tmp_path, attn_implementation="eager")
    found = attention_maps(model, wordpiece, TEXT)
    assert set(found) == {"name", "tokens", "attentions"} and found["name"] == TEXT
    assert found["tokens"] == ["[CLS]", "the", "cat", "sat", "on", "the", "mat", ".", "[SEP]"]
    with torch.no_grad():
        ids = torch.tensor([wordpiece.encode(TEXT).ids])
        wanted = theirs.eval()(ids, output_attentions=True).attentions
    assert torch.cat(wanted).std(-1).max() > 0.2
    assert_are(found["attentions"], wanted)


def test_weights_of_t5_are_those_of_transformers(t5: T5ForConditionalGeneration) -> None:
    tokenizer = load_tokenizer("t5_unigram")
    found = attention_maps(t5, tokenizer, SOURCE, TARGET)
    source, target = (tokenizer.encode(text) for text in (SOURCE, TARGET))
    assert found["name"] == SOURCE and found["tokens"] == source.tokens
    assert found["target_tokens"] == ["<pad>", *target.tokens[:-1]] and target.tokens[-1] == "</s>"
    theirs: Any = transformers.T5ForConditionalGeneration.from_pretrained(T5, attn_implementation="eager").eval()
    with torch.no_grad():
        read = torch.tensor([[0, *target.ids[:-1]]])
        wanted = theirs(torch.tensor([source.ids]), decoder_input_ids=read, output_attentions=True)
    assert list(found["attentions"]) == ["encoder", "decoder", "cross"]
    for kind, weights in found["attentions"].items():
        assert_are(weights, wanted[f"{kind}_attentions"])


def test_any_model_goes_into_the_viewer(wordpiece: Tokenizer, t5: T5ForConditionalGeneration) -> None:
    config = AlbertConfig(vocab_size=wordpiece.get_vocab_size(), embedding_size=6, **SHAPE)
    sentences = [attention_maps(AlbertModel(config).half(), wordpiece, text) for text in (TEXT, "a cat")]
    viewer = AttentionViewer(sentences, sentence=1, layer=2, head=1)
    assert viewer.texts()[0] == ["[CLS]", "a", "cat", "[SEP]"]
    viewer = AttentionViewer([attention_maps(t5, load_tokenizer("t5_unigram"), SOURCE, TARGET)], kind="cross")
    assert viewer.weights().shape == tuple(map(len, viewer.texts()))


def test_a_model_with_a_decoder_needs_a_target(t5: T5ForConditionalGeneration) -> None:
    with pytest.raises(ValueError, match=r"target=None: must be a text for T5"):
        attention_maps(t5, load_tokenizer("t5_unigram"), TEXT)
