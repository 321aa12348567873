"""Everything that must come out the same in every process; `test_reruns.py` runs it in two of them.

It prints a line for each thing, its name and a hash of its content, and leaves the files of a pre-training in the
folder that is its only argument.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from plm_lessons import T5Config, T5ForConditionalGeneration, widgets
from plm_lessons.commands.main import main
from plm_lessons.corpus import documents, sentiment_examples, split_sentences
from plm_lessons.corpus_cleaning import clean_page, drop_repeated_spans
from plm_lessons.objectives.text_to_text import TASKS
from plm_lessons.tokenization import (
    load_tokenizer,
    train_byte_level_bpe,
    train_t5_unigram,
    train_unigram,
    train_wordpiece,
)
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.pair_examples import draw_pair_examples
from plm_lessons.training.recipes import SHIPPED
from plm_lessons.training.t5_batches import TaskExamples, t5_batches
from plm_lessons.widgets.gelu import VIEWS

TEXT = documents("sotu", "held_out")[:3]
SHAPE = ["hidden_size=16", "num_hidden_layers=1", "num_attention_heads=2", "intermediate_size=16"]


def plain(thing: Any) -> Any:
    """Return a thing as nested lists and dictionaries of texts, which print the same in every process."""
    if isinstance(thing, torch.Tensor):
        return [str(thing.dtype), list(thing.shape), hashlib.sha256(thing.detach().numpy().tobytes()).hexdigest()]
    if isinstance(thing, dict):
        return {name: plain(value) for name, value in thing.items()}
    return [plain(part) for part in thing] if isinstance(thing, list | tuple) else str(thing)


def made() -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each thing."""
    for name in widgets.__all__:
        widget = getattr(widgets, name)()
        yield name, [widget.html(), repr(widget)]
    for view in VIEWS:
        yield f"GELU, {view}", widgets.GeluWidget(x=-1.37, view=view, draws=50).html()
    texts = [sentence for document in TEXT for sentence in document.sentences]
    for train in (train_wordpiece, train_byte_level_bpe, train_unigram, train_t5_unigram):
        yield train.__name__, train(texts, vocab_size=500).to_str()
    for name, family in FAMILIES.items():
        recipe = dataclasses.replace(SHIPPED[name], task_share=0.0, late_task_share=0.0)  # tasks take long to encode
        tokenizer = load_tokenizer(recipe.tokenizer)
        encoded = family.encode([document.sentences for document in TEXT], tokenizer)
        yield f"batches of {name}", list(islice(family.batches(encoded, tokenizer, recipe, 1), 2))
        yield f"held-out batches of {name}", list(islice(family.held_out(encoded, tokenizer, recipe), 1))
        yield f"first weights of {name}", list(family.model(recipe, tokenizer).state_dict().items())
    yield "documents", [document.sentences for document in documents("all", "all")]
    yield "labelled texts", [[text.text, text.label] for text in sentiment_examples("all")]
    tasks = [task.examples("held_out") for task in TASKS.values()]
    yield "tasks", tasks
    tokenizer = load_tokenizer("t5_unigram")
    sources = [TaskExamples(examples[:9], tokenizer) for examples in tasks]
    yield "batches of tasks", list(islice(t5_batches(sources, [0.2] * 5, tokenizer, batch_size=8), 3))
    yield "pairs", draw_pair_examples(documents("sotu", "train")[:40], 4, torch.Generator().manual_seed(3))
    page = "\n".join(sentence for document in TEXT for sentence in split_sentences(document.text))
    yield "cleaned pages", [clean_page(page, {"war", "peace"}), drop_repeated_spans([page, page[:5000]])]
    model = T5ForConditionalGeneration(T5Config(vocab_size=90, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    source = torch.arange(3, 19)[None]
    yield "written texts", [model.generate(source, num_beams=3), model.generate(source, do_sample=True, top_k=9)]


def commands(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what commands print; the first of them also leaves a model in the folder."""
    text = folder / "text.txt"
    sentences = [sentence for document in TEXT for sentence in document.sentences]
    blocks = ["\n".join(sentences[start : start + 5]) for start in range(0, len(sentences), 5)]
    text.write_text("\n\n".join(blocks), encoding="utf-8")
    settings = ["--steps", "3", "--max-length", "32", "--batch-size", "8", "--text", str(text), "--threads", "1"]
    model = str(folder / "model")
    for command in (
        ["pretrain", "bert", "--out", model, *settings, "--set", *SHAPE],
        ["fill-mask", model, "The state of the [MASK] is good."],
        ["evaluate", model, "--batches", "1", "--text", str(text)],
    ):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main(command) == 0, command
        yield command[0], printed.getvalue().replace(str(folder), "FOLDER")


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = {name: hashlib.sha256(json.dumps(plain(thing)).encode()).hexdigest() for name, thing in made()}
    print(json.dumps(results | {f"printed by {name}": text for name, text in commands(Path(sys.argv[1]))}))
