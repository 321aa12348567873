"""What training, evaluation and the use of trained models refuse."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import torch
from refusals import (
    CAPS,
    COUNTS,
    GENERATORS,
    INF,
    INSIDE,
    NAN,
    SHARES,
    TEXT,
    TEXTS,
    TOKENIZERS,
    WHOLE,
    Values,
    first,
    generator,
    part,
    tokenizer,
)
from refused_models import ONES, PAIR_LABELS, WORDS, model
from refused_objectives import BAD_DOCUMENTS, DOCUMENTS, MIN_PAIR, MIN_ROW, PAIR
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordPiece
from tokenizers.pre_tokenizers import Whitespace

from plm_lessons import corpus, objectives
from plm_lessons.downstream import Question
from plm_lessons.objectives import text_to_text
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training import (
    downstream,
    encoding,
    evaluation,
    fine_tuning,
    inference,
    large_batches,
    optimization,
    pair_examples,
    pretraining,
    question_answering,
    t5_batches,
    t5_evaluation,
)
from plm_lessons.training.albert_batches import albert_batches, albert_pairs, mask_ngrams
from plm_lessons.training.bert_batches import bert_batches, bert_pairs, mask_pairs
from plm_lessons.training.recipes import Recipe
from plm_lessons.training.roberta_batches import roberta_batches, roberta_rows
from plm_lessons.training.runs import Run

LONG_DOCUMENTS = [[[20, 21, 22], [23, 24]], [[25, 26], [27]], [[28, 29], [30]]]
QUESTION = Question("Which animal?", "The cat sat.", "cat", 4)
ENCODED = {"input_ids": WORDS, "attention_mask": ONES}
BATCH = {**ENCODED, "labels": WORDS}
RATES: Values = [(value, "finite number of at least 0") for value in (-1, NAN, INF, "1", None)]
BATCHES: dict[str, Values] = {
    "documents": BAD_DOCUMENTS,
    "tokenizer": [*TOKENIZERS, (load_tokenizer("t5_unigram"), "no token", "made for this model")],
    "max_length": MIN_PAIR,
    "batch_size": COUNTS,
    "seed": WHOLE,
    "copies": COUNTS,
    "epochs": [(3, "range(3)"), ([-1], "whole number"), ([0.5], "whole number")],
}
TOO_MANY_WORDS: Values = [*TOKENIZERS, (load_tokenizer("wordpiece"), "8192 words", "vocab_size=20")]


@functools.cache
def tiny_tokenizer() -> Tokenizer:
    """Return a tokenizer with as few words as the small models have."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmno"]
    tokenizer = Tokenizer(WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(pieces[:5])
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


@functools.cache
def tiny_t5_tokenizer() -> Tokenizer:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -1.0) for letter in "abcdefghijklmnopq")]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=2))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return tokenizer


def spans_of(**arguments: Any) -> object:
    return t5_batches.SpanExamples(**arguments)


def fresh(name: str) -> Any:
    """Return a model that may be trained."""
    return copy.deepcopy(model(name))


def pretrained() -> dict[str, Any]:
    return {
        "model": fresh("BertForMaskedLM"),
        "batches": [BATCH] * 4,
        "steps": 2,
        "learning_rate": 0.001,
        "warmup_steps": 1,
        "accumulation_steps": 2,
        "weight_decay": 0.0,
        "max_gradient_norm": 1.0,
        "seed": 0,
        "precision": "float32",
        "progress": False,
    }


def fine_tuned(kind: str, labels: Any) -> dict[str, Any]:
    return {
        "model": fresh(f"BertFor{kind}"),
        "inputs": ENCODED,
        "labels": labels,
        "epochs": 1,
        "learning_rate": 0.001,
        "batch_size": 2,
        "weight_decay": 0.0,
        "seed": 0,
        "progress": False,
    }


WITHOUT_MASKED_LM: Values = [
    (model(name), name, "masked-LM head")
    for name in (
        "BertModel",
        "BertForSequenceClassification",
        "BertForTokenClassification",
        "T5ForConditionalGeneration",
    )
]
DOCUMENTS_AND_LENGTH = {"documents": LONG_DOCUMENTS, "max_length": 9}
BAD_INPUTS: Values = [
    (WORDS, "input_ids and attention_mask"),
    ({"input_ids": WORDS}, "input_ids and attention_mask"),
    *(
        ({**ENCODED, "attention_mask": mask}, INSIDE, f"attention_mask has shape {tuple(mask.shape)}", "(2, 4)")
        for mask in (torch.ones(2, 4, 4), ONES[:, :3], ONES[0])
    ),
    ({**ENCODED, "attention_mask": ONES * torch.tensor([[1], [0]])}, INSIDE, "attention_mask[1]", "must have a token"),
]
SCHEDULE: dict[str, Values] = {
    "warmup_steps": [*WHOLE, (9, "0 to 4")],
    "total_steps": COUNTS,
    "cooldown_steps": [*WHOLE, (9, "0 to 3")],
    "schedule": [("step", "'cosine'"), (None, "'linear'")],
}


def padding(name: str) -> Tokenizer:
    """Return a tokenizer of the book that pads each batch."""
    made = load_tokenizer(name)
    made.enable_padding()
    return made


def endless(name: str) -> Tokenizer:
    """Return a tokenizer of the book that adds no special tokens to a text."""
    made = load_tokenizer(name)
    made.post_processor = None
    return made


PARTS = [
    *(
        part(
            first(batches),
            functools.partial(dict, DOCUMENTS_AND_LENGTH, tokenizer=tokenizer(name), batch_size=2),
            **BATCHES,
            **more,
        )
        for batches, name, more in (
            (bert_batches, "wordpiece", {}),
            (
                albert_batches,
                "unigram",
                {"question": [("sop", "'sentence_order'"), (None, "'next_sentence'")], "max_ngram": COUNTS},
            ),
        )
    ),
    *(
        part(
            pairs,
            functools.partial(dict, DOCUMENTS_AND_LENGTH, tokenizer=tokenizer(name), generator=generator()),
            documents=BAD_DOCUMENTS,
            tokenizer=BATCHES["tokenizer"],
            max_length=MIN_PAIR,
            generator=GENERATORS,
            **more,
        )
        for pairs, name, more in (
            (bert_pairs, "wordpiece", {}),
            (albert_pairs, "unigram", {"question": [("sop", "'sentence_order'"), (None, "'next_sentence'")]}),
        )
    ),
    *(
        part(
            mask,
            functools.partial(dict, pairs=pairs, tokenizer=tokenizer(name), generator=generator()),
            pairs=[(None, "SentencePairBatch"), (DOCUMENTS, "SentencePairBatch")],
            tokenizer=BATCHES["tokenizer"],
            generator=GENERATORS,
            **more,
        )
        for mask, name, more in ((mask_pairs, "wordpiece", {}), (mask_ngrams, "unigram", {"max_ngram": COUNTS}))
        for pairs in [objectives.pair_batch([PAIR], cls_token_id=2, sep_token_id=3, pad_token_id=0)]
    ),
    part(
        roberta_rows,
        lambda: {"documents": LONG_DOCUMENTS, "tokenizer": tokenizer("byte_level_bpe"), "max_length": 9},
        documents=BAD_DOCUMENTS,
        tokenizer=[*TOKENIZERS, (load_tokenizer("wordpiece"), "no token", "made for this model")],
        max_length=MIN_ROW,
        seed=WHOLE,
    ),
    part(
        first(roberta_batches),
        lambda: {
            "rows": roberta_rows(LONG_DOCUMENTS, tokenizer("byte_level_bpe"), 9),
            "tokenizer": tokenizer("byte_level_bpe"),
            "batch_size": 2,
        },
        rows=[(DOCUMENTS, "PackedBatch"), (None, "PackedBatch")],
        tokenizer=[*TOKENIZERS, (load_tokenizer("wordpiece"), "no token", "made for this model")],
        batch_size=COUNTS,
        seed=WHOLE,
        copies=CAPS,
        epochs=BATCHES["epochs"],
    ),
    part(
        t5_batches.SpanExamples,
        lambda: {"documents": [[3, 4, 5, 6]], "tokenizer": tokenizer("t5_unigram"), "inputs_length": 9},
        documents=[
            ([[9000]], "documents[0]", "9000", "8092"),
            ([[8100]], "sentinels"),
            ([3, 4], "documents[0]", "list"),
            ([["a"]], "documents[0][0]"),
        ],
        tokenizer=[*TOKENIZERS, (load_tokenizer("byte_level_bpe"), "'<extra_id_0>'", "made for this model")],
        inputs_length=[*((value, "at least 3") for value in (2, 9.0, "9")), (2048, "114 spans", "at most 100")],
        noise_density=SHARES,
        mean_span_length=[(0.5, "at least 1")],
    ),
    part(
        t5_batches.TaskExamples,
        lambda: {"pairs": [text_to_text.TextPair("a", "b")], "tokenizer": tokenizer("t5_unigram")},
        pairs=[([("a", "b")], "pairs[0]", "TextPair"), (None, "list")],
        tokenizer=[
            *TOKENIZERS,
            (load_tokenizer("wordpiece"), "'</s>'", "made for this model"),
            (padding("t5_unigram"), "padding switched on", "neither"),
            (endless("t5_unigram"), "ends a text with []", "</s>"),
        ],
    ),
    part(
        first(t5_batches.t5_batches),
        lambda: {
            "sources": [t5_batches.SpanExamples([[3, 4, 5, 6]], tokenizer("t5_unigram"), 9)],
            "rates": [1.0],
            "tokenizer": tokenizer("t5_unigram"),
            "batch_size": 2,
        },
        rates=[([0.5], "sum to 1"), ([0.5, 0.5], "1 shares")],
        tokenizer=TOKENIZERS,
        batch_size=COUNTS,
        seed=WHOLE,
        start=WHOLE,
    ),
    part(
        first(t5_batches.batches_in_order),
        lambda: {
            "source": t5_batches.SpanExamples([[3, 4, 5, 6]], tokenizer("t5_unigram"), 9),
            "tokenizer": tokenizer("t5_unigram"),
            "batch_size": 2,
        },
        tokenizer=TOKENIZERS,
        batch_size=COUNTS,
        seed=WHOLE,
        order=[([1], "order=[1]"), ([0, 0], "each number below 1"), ([], "once"), (["a"], "order")],
    ),
    part(
        large_batches.accumulate_gradients,
        lambda: {"model": fresh("BertForMaskedLM"), "parts": [BATCH]},
        parts=[([], "at least one"), (BATCH, "list"), ([ENCODED], "labels"), ([BATCH, ENCODED], "parts[1]", "labels")],
        precision=[("half", "'float32'"), (None, "'auto'")],
    ),
    part(
        pretraining.pretrain,
        pretrained,
        batches=[([], "ended after 0"), ([BATCH] * 3, "ended after 3", "at least 4")],
        steps=COUNTS,
        learning_rate=RATES,
        warmup_steps=[*WHOLE, (3, "0 to 2")],
        accumulation_steps=COUNTS,
        weight_decay=RATES,
        max_gradient_norm=[(value, "finite number above 0") for value in (0, -1, NAN, INF, "1", None)],
        seed=WHOLE,
        precision=[("half", "'float32'"), (None, "'auto'")],
    ),
    part(
        optimization.adamw,
        lambda: {"model": model("BertModel"), "learning_rate": 0.1},
        learning_rate=RATES,
        weight_decay=RATES,
    ),
    part(optimization.adafactor, lambda: {"model": model("BertModel")}, learning_rate=RATES),
    part(optimization.share_of_peak, lambda: {"step": 0, "warmup_steps": 1, "total_steps": 4}, step=WHOLE, **SCHEDULE),
    part(
        evaluation.evaluate_pretraining,
        lambda: {"model": model("BertForMaskedLM"), "batches": [BATCH]},
        model=WITHOUT_MASKED_LM,
        batches=[
            ([], "something to predict"),
            ([{**ENCODED, "labels": WORDS * 0 - 100}], "something to predict"),
            ([{**BATCH, "next_sentence_label": torch.tensor([0, 1])}], "next_sentence_label", "no head"),
        ],
    ),
    part(
        evaluation.unigram_baseline,
        lambda: {"training_ids": WORDS, "labels": WORDS, "vocab_size": 20},
        training_ids=[([1], "tensor"), (WORDS.float(), "float32"), (WORDS + 20, "22", "19"), (WORDS - 9, "-7")],
        labels=[([1], "tensor"), (WORDS + 20, "22", "19"), (WORDS * 0 - 100, "something to predict")],
        vocab_size=COUNTS,
    ),
    part(
        inference.fill_mask,
        lambda: {"model": model("BertForMaskedLM"), "tokenizer": tiny_tokenizer(), "text": "a [MASK] b", "top": 2},
        model=WITHOUT_MASKED_LM,
        tokenizer=[*TOO_MANY_WORDS, (tiny_t5_tokenizer(), "'[MASK]'", "made for this model")],
        text=[(None, "text"), ("a b", "must hold [MASK]")],
        top=[*COUNTS, (21, "1 to 20")],
    ),
    part(
        encoding.encode_texts,
        lambda: {"tokenizer": tokenizer(), "texts": ["one text"], "max_length": 9},
        tokenizer=[*TOKENIZERS, (Tokenizer(WordPiece({"a": 0}, unk_token="a")), "no token")],
        texts=[*TEXTS, ([], "at least one")],
        max_length=[*COUNTS, (2, "at least 3", "special tokens")],
    ),
    part(
        encoding.encode_pairs,
        lambda: {"tokenizer": tokenizer(), "firsts": ["one"], "seconds": ["two"], "max_length": 9},
        tokenizer=TOKENIZERS,
        firsts=[*TEXTS, ([], "seconds has 1")],
        seconds=[*TEXTS, (["two", "three"], "has 2 texts", "1 firsts")],
        max_length=[*COUNTS, (4, "pairs[0] has 5 tokens")],
    ),
    part(
        encoding.encode_words,
        lambda: {"tokenizer": tokenizer(), "texts": ["one text"], "labels": [[0, 1]], "max_length": 9},
        tokenizer=TOKENIZERS,
        texts=TEXTS,
        labels=[
            ([], "0 rows"),
            ([[0]], "labels[0] has 1", "2 words"),
            ([[0, "a"]], "labels[0][1]"),
            ([3], "labels[0]"),
            (3, "list"),
        ],
        max_length=[*COUNTS, (3, "texts[0] has 4 tokens")],
    ),
    part(
        encoding.encode_questions,
        lambda: {"tokenizer": tokenizer(), "questions": [QUESTION], "max_length": 20, "overlap": 3},
        tokenizer=TOKENIZERS,
        questions=[([("q", "c")], "questions[0]", "Question"), (None, "list"), ([], "at least one")],
        max_length=[*COUNTS, (8, "questions[0]", "overlap=3")],
        overlap=[*WHOLE, (19, "questions[0]")],
    ),
    part(
        Question,
        lambda: {"question": "Which?", "context": "The cat.", "answer": "cat", "start": 4},
        answer=[("", "context"), ("dog", "context")],
        start=[(3, "answer"), (-4, "answer"), (1e308, "answer"), (10**400, "answer")],
    ),
    part(
        fine_tuning.length_buckets,
        lambda: {"lengths": torch.tensor([1, 2]), "batch_size": 2, "generator": generator()},
        batch_size=COUNTS,
        pool=COUNTS,
    ),
    part(
        fine_tuning.fine_tune,
        functools.partial(fine_tuned, "SequenceClassification", PAIR_LABELS),
        model=[(model("BertForMaskedLM"), "BertForMaskedLM", "head for fine-tuning")],
        inputs=[
            *BAD_INPUTS,
            ({**ENCODED, "input_ids": WORDS + 11}, INSIDE, "input_ids holds 20", "vocab_size - 1 = 19"),
            ({**ENCODED, "attention_mask": ONES * 2}, INSIDE, "attention_mask holds 2"),
            (
                {name: value.repeat(1, 3) for name, value in ENCODED.items()},
                INSIDE,
                "12 positions",
                "max_position_embeddings = 9",
            ),
        ],
        labels=[
            ([0, 1], "list"),
            (PAIR_LABELS[:1], "1 rows", "2 inputs"),
            (PAIR_LABELS + 1, "2", "0 to 1"),
            ({"start_positions": PAIR_LABELS}, "start_positions", "must have labels"),
        ],
        epochs=COUNTS,
        learning_rate=RATES,
        batch_size=COUNTS,
        weight_decay=RATES,
        seed=WHOLE,
    ),
    part(
        fine_tuning.fine_tune,
        functools.partial(fine_tuned, "TokenClassification", ONES),
        labels=[(ONES[:, :3], "(2, 3)", "(2, 4)"), (ONES + 1, "2", "0 to 1"), (ONES.float(), "float32")],
    ),
    part(
        fine_tuning.fine_tune,
        functools.partial(
            fine_tuned, "QuestionAnswering", {"start_positions": PAIR_LABELS, "end_positions": PAIR_LABELS}
        ),
        labels=[
            (PAIR_LABELS, "start_positions"),
            ({"start_positions": PAIR_LABELS}, "end_positions"),
            (
                {"start_positions": PAIR_LABELS, "end_positions": PAIR_LABELS + 3},
                INSIDE,
                "end_positions holds 4",
                "0 to 3",
            ),
        ],
    ),
    part(
        fine_tuning.predict_logits,
        lambda: {"model": model("BertForSequenceClassification"), "inputs": ENCODED, "batch_size": 2},
        model=[(model("BertForQuestionAnswering"), "BertForQuestionAnswering", "must give logits")],
        inputs=BAD_INPUTS,
        batch_size=COUNTS,
    ),
    part(
        fine_tuning.predict_spans,
        lambda: {"model": model("BertForQuestionAnswering"), "inputs": ENCODED, "batch_size": 2},
        model=[(model("BertForSequenceClassification"), "BertForSequenceClassification", "must give start_logits")],
        inputs=BAD_INPUTS,
        batch_size=COUNTS,
    ),
    part(
        question_answering.best_answers,
        lambda: {
            "questions": [QUESTION],
            "windows": (windows := encoding.encode_questions(tokenizer(), [QUESTION], 20, 3)),
            "start_logits": torch.zeros(windows.offsets.shape[:2]),
            "end_logits": torch.zeros(windows.offsets.shape[:2]),
        },
        start_logits=[(torch.zeros(1, 3), "(1, 3)")],
        end_logits=[(torch.zeros(1, 3), "(1, 3)")],
        max_answer_tokens=COUNTS,
    ),
    part(
        question_answering.answer_figures,
        lambda: {"answers": ["cat"], "truths": ["cat"]},
        answers=[([], "0 texts"), (["a", "b"], "2 texts")],
        truths=[([], "0"), (["a", "b"], "2")],
    ),
    part(question_answering.answer_f1, lambda: {"answer": "cat", "truth": "cat"}, answer=TEXT),
    part(
        downstream.class_figures,
        lambda: {"predicted": [0, 1], "labels": [0, 1]},
        predicted=[([0], "1 classes")],
        labels=[([], "0"), ([0], "1")],
    ),
    part(
        t5_evaluation.evaluate_targets,
        lambda: {"model": model("T5ForConditionalGeneration"), "batches": [BATCH]},
        batches=[
            ([], "something to predict"),
            ([ENCODED], "labels"),
            ([{**BATCH, "labels": WORDS * 0 - 100}], "something to predict"),
        ],
    ),
    part(
        t5_evaluation.write_texts,
        lambda: {
            "model": model("T5ForConditionalGeneration"),
            "tokenizer": tiny_t5_tokenizer(),
            "sources": ["ab"],
            "max_new_tokens": 2,
        },
        tokenizer=[*TOKENIZERS, (load_tokenizer("t5_unigram"), "8192 words", "vocab_size=20")],
        sources=TEXTS,
        max_new_tokens=COUNTS,
        batch_size=COUNTS,
        num_beams=COUNTS,
        length_penalty=[(NAN, "finite"), (0.6, "num_beams=1")],
    ),
    part(
        t5_evaluation.task_figures,
        lambda: {"task": text_to_text.TASKS["topic"], "written": ["Arts"], "targets": ["Arts"]},
        written=[([], "0 texts")],
        targets=[([], "0"), (["a", "b"], "2")],
    ),
    part(t5_evaluation.rouge_l, lambda: {"written": "a", "target": "b"}, written=TEXT, target=TEXT),
    part(
        inference.attention_maps,
        lambda: {"model": model("BertModel"), "tokenizer": tiny_tokenizer(), "text": "a b"},
        tokenizer=TOO_MANY_WORDS,
        text=[*TEXT, ("a " * 20, INSIDE, "20 tokens: must be at most 9")],
        target=[("a", "must be None", "no decoder")],
    ),
    part(
        t5_evaluation.commonest_answer,
        lambda: {"train": [text_to_text.TextPair("a", "b")]},
        train=[([], "at least one")],
    ),
    part(
        pair_examples.draw_pair_examples,
        lambda: {"documents": corpus.documents("sotu")[:9], "count": 2, "generator": generator()},
        documents=[([], "0 of them", "at least 5")],
        count=[*COUNTS, (3, "even"), (100, "at least 250")],
        generator=GENERATORS,
        tasks=[(["mlm"], "'mlm'", "nsp")],
        fewest_words=COUNTS,
        most_words=COUNTS,
    ),
    part(
        pair_examples.pair_probabilities,
        lambda: {
            "model": model("BertForPreTraining"),
            "tokenizer": tiny_tokenizer(),
            "pairs": [pair_examples.PairExample("nsp", "a b", "c", 0, ("", ""))],
        },
        model=[(model("BertForMaskedLM"), "BertForMaskedLM", "head for pairs")],
        tokenizer=TOO_MANY_WORDS,
        pairs=[
            ([], "at least one"),
            ([pair_examples.PairExample("nsp", "a", "", 0, ("", ""))], "pairs[0]", "must have a token"),
        ],
        batch_size=COUNTS,
    ),
    part(
        Recipe,
        lambda: {"family": "bert", "tokenizer": "wordpiece"},
        steps=COUNTS,
        batch_size=COUNTS,
        accumulation_steps=COUNTS,
        max_length=COUNTS,
        short_epochs=WHOLE,
        learning_rate=[(0, "above 0"), (NAN, "above 0"), (INF, "above 0"), ("1", "above 0")],
        warmup_steps=[*WHOLE, (1001, "0 to 1000")],
        schedule=[("step", "'cosine'")],
        cooldown_steps=[*WHOLE, (1001, "0 to 1000")],
        weight_decay=RATES,
        max_gradient_norm=[(0, "above 0"), (-1, "above 0"), (NAN, "above 0")],
        task_share=SHARES,
        late_task_share=SHARES,
        late_steps=[*WHOLE, (1001, "0 to 1000")],
        task_limit=COUNTS,
        seed=[*WHOLE, (2**31, "2147483647")],
    ),
    part(
        Run,
        lambda: {"recipe": Recipe("bert", "wordpiece"), "folder": Path("/no/such")},
        recipe=[(Recipe("gpt", "wordpiece"), INSIDE, "family='gpt'", "'bert'")],
        log_every=COUNTS,
        evaluate_every=WHOLE,
        evaluation_batches=COUNTS,
        save_minutes=RATES,
        precision=[("half", "'float32'")],
        shard_characters=COUNTS,
    ),
]
