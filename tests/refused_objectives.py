"""What the objectives refuse."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from refusals import CAPS, COUNTS, GENERATORS, INF, NAN, SHARES, TEXTS, WHOLE, Values, first, generator, ids, part

from plm_lessons import corpus, objectives
from plm_lessons.objectives import mixing, padding, text_to_text

IDS = ids([0, 2, 3, 1], [0, 3, 1, 4])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
CANDIDATES = torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0]]).bool()
DOCUMENTS = [[[1, 2, 3], [4, 5], [6]], [[7, 8], [9, 1]]]
PAIR = objectives.SentencePair((1, 2), (3,), 0, 0, 0)
ROW = objectives.PackedRow((1, 2), (0,))
HALF: Any = 1.5  # not an id
EXAMPLE = objectives.TextToText([1, 2], [3])

# Not a tensor; not two dimensions; not whole numbers.
TENSORS: Values = [([[1, 2]], "tensor"), (None, "tensor"), ("ids", "tensor")]
BAD_IDS = [*TENSORS, (IDS[0], "[4]"), (IDS.float(), "float32"), (IDS.int(), "int32")]
BAD_CANDIDATES = [*TENSORS, (CANDIDATES[:1], "[1, 4]", "[2, 4]")]
BAD_MASKS = [
    ([[1, 0]], "tensor"),
    (MASK[:1], "[1, 4]", "[2, 4]"),
    (MASK * 2, "0 and 1"),
    (MASK - 1, "0 and 1"),
    (MASK * NAN, "0 and 1"),
]
TOKENS: Values = [(value, "whole number") for value in (-1, 1.5, "[CLS]", None, True)]
BAD_DOCUMENTS: Values = [
    ([], "at least"),
    (None, "list"),
    ("text", "list"),
    ([[], [[1]]], "documents[0]", "at least one sentence"),
    ([[[1]], [[]]], "documents[1][0]", "at least one token"),
    ([[[1]], [[1.5]]], "documents[1][0]", "int"),
    ([[[1]], [[-1]]], "documents[1][0]", "not negative"),
    ([[[1]], [["text"]]], "documents[1][0]", "int"),
    ([[[1]], ["text"]], "documents[1][0]", "list"),
    ([[[1]], [1, 2]], "documents[1][0]", "list"),
    ([1, 2], "documents[0]", "list"),
]
MIN_PAIR: Values = [(value, "at least 5") for value in (4, -1, 16.0, "16", None)]
MIN_ROW: Values = [(value, "at least 3") for value in (2, -1, 16.0, "16", None)]
NOISE = torch.tensor([False, True, True, False])
BAD_NOISE: Values = [([0, 1], "tensor"), (NOISE[:2], "[2]", "[4]"), (NOISE * 2, "0 and 1")]
SENTINELS: Values = [
    ([], "at least one"),
    (None, "list"),
    (["<extra_id_0>"], "whole number"),
    ([9, 9], "different"),
    ([9, 10**400], "sentinels[1]", "below 2**63"),
]


def spans(**more: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"tokens": [1, 2, 3, 4], "noise_mask": NOISE, "sentinels": [9, 8], "eos_token_id": 0, **more}


BAD_SPANS: dict[str, Values] = {
    "tokens": [
        ([1, 2, 3, 9], "sentinel", "9"),
        ("text", "whole number"),
        ([1, 2, 3, 1.5], "whole number"),
        (3, "list"),
    ],
    "noise_mask": BAD_NOISE,
    "sentinels": SENTINELS,
    "eos_token_id": [*TOKENS, (9, "not be a sentinel")],
}
MASKING = {"attention_mask": MASK, "mask_token_id": 4, "vocab_size": 9}
COUNTING: dict[str, Values] = {
    "attention_mask": BAD_MASKS,
    "masking_rate": SHARES,
    "max_predictions": CAPS,
    "selection": [("half", "fixed_count"), (None, "fixed_count")],
}
FATES: dict[str, Values] = {
    "input_ids": [*BAD_IDS, (IDS + 7, "11", "vocab_size=9"), (IDS - 1, "-1", "vocab_size=9")],
    "mask_token_id": [*TOKENS, (9, "8")],
    "vocab_size": COUNTS,
    "mask_share": [*SHARES, (0.95, "at most 1")],
    "random_share": [*SHARES, (0.5, "at most 1")],
    "random_token_ids": [
        ([], "at least one"),
        ([9], "vocab_size=9"),
        ([-1], "-1"),
        ([1.5], "whole number"),
        ("ab", "whole number"),
        (torch.tensor([[2, 3]]), "shape [N]"),
        (torch.tensor(2), "shape [N]"),
    ],
}
PARTS = [
    part(
        objectives.candidate_positions,
        lambda: {"input_ids": IDS, "special_token_ids": [0, 1], "attention_mask": MASK},
        input_ids=BAD_IDS,
        special_token_ids=[(["[CLS]"], "whole number"), (3, "list"), ([1.5], "whole number")],
        attention_mask=BAD_MASKS,
    ),
    part(
        objectives.choose_positions,
        lambda: {"candidates": CANDIDATES, "attention_mask": MASK, "generator": generator(), "max_predictions": 2},
        candidates=[*TENSORS, (CANDIDATES[0], "[4]"), (IDS, "0 and 1"), (~MASK.bool(), "attention_mask")],
        generator=GENERATORS,
        **{**COUNTING, "selection": [*COUNTING["selection"], ("bernoulli", "max_predictions must be None", "got 2")]},
    ),
    part(
        objectives.corrupt_positions,
        lambda: {"input_ids": IDS, "chosen": CANDIDATES, "mask_token_id": 4, "vocab_size": 9, "generator": generator()},
        chosen=[*TENSORS, (CANDIDATES[:1], "[1, 4]", "[2, 4]"), (IDS, "0 and 1")],
        generator=GENERATORS,
        **FATES,
    ),
    part(
        objectives.mask_tokens,
        lambda: {"input_ids": IDS, "candidates": CANDIDATES, "generator": generator(), **MASKING},
        candidates=BAD_CANDIDATES,
        generator=GENERATORS,
        word_ids=[([[0]], "tensor"), (IDS[:1], "shape"), (IDS, "-1")],
        max_ngram=[(0, "1"), (3, "word_ids")],
        **COUNTING,
        **FATES,
    ),
    part(
        objectives.static_copy,
        lambda: {"input_ids": IDS, "candidates": CANDIDATES, "epoch": 0, "seed": 0, "copies": 2, **MASKING},
        input_ids=BAD_IDS,
        candidates=BAD_CANDIDATES,
        epoch=WHOLE,
        seed=[*WHOLE, (2**32, "4294967295")],
        copies=COUNTS,
    ),
    part(
        objectives.dynamic_mask,
        lambda: {"input_ids": IDS, "candidates": CANDIDATES, "indices": [0, 1], "epoch": 0, "seed": 0, **MASKING},
        input_ids=BAD_IDS,
        candidates=BAD_CANDIDATES,
        indices=[([0], "1", "2"), ([0, -1], "-1"), ([0, 2**32], "4294967295"), (3, "list"), ([0, 0.5], "whole number")],
        epoch=[*WHOLE, (2**32, "4294967295")],
        seed=[*WHOLE, (2**32, "4294967295")],
    ),
    part(
        objectives.RowGenerators,
        lambda: {"seed": 0, "epoch": 0, "indices": [1]},
        seed=WHOLE,
        epoch=WHOLE,
        indices=[([-1], "-1")],
    ),
    part(objectives.gather_masked, lambda: {"labels": IDS}, labels=BAD_IDS),
    part(
        objectives.prediction_count,
        lambda: {"length": 10, "masking_rate": 0.15, "max_predictions": 3},
        length=[*WHOLE, (10**400, "below 2**63")],
        masking_rate=[*SHARES, (10**400, "finite")],
        max_predictions=CAPS,
    ),
    part(objectives.ngram_probabilities, lambda: {"max_ngram": 3}, max_ngram=COUNTS),
    part(
        objectives.word_starts,
        lambda: {"tokens": ["a", "##b"], "scheme": "wordpiece"},
        tokens=TEXTS,
        scheme=[("bpe", "'byte_level'"), (None, "'unigram'")],
    ),
    part(
        objectives.number_words,
        lambda: {"input_ids": IDS, "starts": torch.ones(5).bool(), "candidates": CANDIDATES},
        input_ids=[*BAD_IDS, (IDS + 3, "7", "5"), (IDS - 1, "-1")],
        starts=[([True], "tensor"), (torch.ones(5, 5).bool(), "[5, 5]"), (torch.full((5,), 2), "0 and 1")],
        candidates=BAD_CANDIDATES,
    ),
    part(
        objectives.choose_whole_words,
        lambda: {"word_ids": ids([-1, 0, 0, -1], [-1, 0, 1, -1]), "attention_mask": MASK, "generator": generator()},
        word_ids=[*BAD_IDS, (IDS, "-1")],
        generator=GENERATORS,
        max_ngram=COUNTS,
        **{**COUNTING, "selection": [("bernoulli", "fixed_count"), (None, "fixed_count")]},
    ),
    *(
        part(
            function,
            functools.partial(dict, documents=[*DOCUMENTS, [[2]]], max_length=9, generator=generator(), **good),
            documents=[*BAD_DOCUMENTS, (DOCUMENTS[:1], "at least 2 documents, got 1")],
            max_length=MIN_PAIR,
            generator=GENERATORS,
            **bad,
        )
        for function, good, bad in (
            (objectives.next_sentence_pairs, {}, {"short_sequence_probability": SHARES}),
            (objectives.single_sentence_pairs, {}, {}),
            (
                objectives.sentence_order_pairs,
                {"single_sentences": "random"},
                {
                    "short_sequence_probability": SHARES,
                    "single_sentences": [("drop", "'join'"), (None, "'random'")],
                },
            ),
        )
    ),
    part(
        objectives.sentence_order_pairs,
        lambda: {"documents": DOCUMENTS, "max_length": 9, "generator": generator()},
        documents=[([], "at least 1 document"), ([[[1], [2]], [[3]]], "documents[1]", "at least two sentences")],
    ),
    part(
        objectives.pair_batch,
        lambda: {"pairs": [PAIR], "cls_token_id": 10, "sep_token_id": 11, "pad_token_id": 0, "max_length": 6},
        pairs=[
            ([], "at least one"),
            (None, "list"),
            ([ROW], "pairs[0]", "SentencePair"),
            ([((1,), (2,), 0)], "pairs[0]"),
            ([PAIR, PAIR._replace(second=(HALF,))], "pairs[1][4]=1.5", "whole number"),
            ([PAIR._replace(label=HALF)], "label of pairs[0]=1.5", "whole number"),
        ],
        cls_token_id=TOKENS,
        sep_token_id=TOKENS,
        pad_token_id=TOKENS,
        max_length=[(5, "at least 6", "pairs[0]"), (6.0, "whole number"), ("6", "whole number")],
    ),
    part(
        objectives.packed_batch,
        lambda: {"rows": [ROW], "cls_token_id": 10, "sep_token_id": 11, "pad_token_id": 0, "max_length": 4},
        rows=[
            ([], "at least one"),
            (None, "list"),
            ([PAIR], "rows[0]", "PackedRow"),
            ([[1, 2]], "rows[0]", "PackedRow"),
            ([ROW._replace(tokens=(1, 10**30))], "rows[0][2]=1000", "below 2**63"),
        ],
        cls_token_id=TOKENS,
        sep_token_id=TOKENS,
        pad_token_id=TOKENS,
        max_length=[(3, "at least 4", "rows[0]"), (6.0, "whole number"), ("6", "whole number")],
    ),
    part(
        objectives.full_sentences,
        lambda: {"documents": DOCUMENTS, "max_length": 5, "sep_token_id": 0},
        documents=BAD_DOCUMENTS,
        max_length=MIN_ROW,
        sep_token_id=TOKENS,
    ),
    part(
        objectives.doc_sentences,
        lambda: {"documents": DOCUMENTS, "max_length": 5},
        documents=BAD_DOCUMENTS,
        max_length=MIN_ROW,
    ),
    *(
        part(
            function,
            functools.partial(dict, **{name: 20}, noise_density=0.15, mean_span_length=3.0, **more),
            **{name: [(value, f"at least {least}") for value in (least - 1, -1, 20.0, "20", None)]},
            noise_density=[*SHARES, (0.95, "mean_span_length=3.0 gives", "other tokens")],
            mean_span_length=[(value, "at least 1") for value in (0.5, -1, NAN, "3", None)] + [(INF, "finite")],
            **({"generator": GENERATORS} if more else {}),
        )
        for function, name, least, more in (
            (objectives.span_counts, "length", 2, {}),
            (objectives.span_lengths, "inputs_length", 3, {}),
            (objectives.span_mask, "length", 2, {"generator": generator()}),
        )
    ),
    part(
        objectives.iid_mask,
        lambda: {"length": 5, "generator": generator(), "noise_density": 0.15},
        length=WHOLE,
        generator=GENERATORS,
        noise_density=SHARES,
    ),
    part(
        objectives.random_partition,
        lambda: {"total": 5, "parts": 2, "generator": generator()},
        total=[(1, "parts"), *COUNTS],
        parts=[(6, "5"), *COUNTS],
        generator=GENERATORS,
    ),
    part(
        objectives.sentinel_ids,
        lambda: {"vocab_size": 100, "num_sentinels": 10},
        vocab_size=[*COUNTS, (5, "num_sentinels")],
        num_sentinels=[*WHOLE, (101, "100")],
    ),
    part(objectives.corrupt_spans, spans(), **{**BAD_SPANS, "sentinels": [*SENTINELS, ([9], "at least 2", "got 1")]}),
    part(objectives.mass_style, spans(), **BAD_SPANS),
    part(objectives.drop_tokens, spans(), **BAD_SPANS),
    part(
        objectives.bert_style,
        spans(generator=generator(), random_token_ids=[5, 6]),
        generator=GENERATORS,
        random_token_ids=[([], "at least one"), (["a"], "whole number"), (3, "list")],
        random_share=SHARES,
        **BAD_SPANS,
    ),
    part(
        objectives.text_to_text_batch,
        lambda: {"examples": [EXAMPLE], "pad_token_id": 0},
        examples=[
            ([], "at least one"),
            (None, "list"),
            ([[1, 2]], "examples[0]", "TextToText"),
            ([EXAMPLE, EXAMPLE._replace(inputs=[HALF])], "examples[1][0]=1.5", "whole number"),
            ([EXAMPLE._replace(targets=[])], "examples[0]", "at least one id"),
        ],
        pad_token_id=TOKENS,
    ),
    part(
        padding.pad_rows,
        lambda: {"name": "rows", "rows": [[1, 2], [3]], "pad_token_id": 0, "max_length": 2},
        rows=[
            ([], "at least one row"),
            (None, "list"),
            (iter([[1]]), "list"),
            ([[1], []], "rows[1]", "at least one id"),
            ([[]], "rows[0]", "at least one id"),
            ([[1, 1.7]], "rows[0][1]=1.7", "whole number"),
            ([[True]], "rows[0][0]=True", "whole number"),
            (["ab"], "rows[0]='ab'", "list"),
        ],
        pad_token_id=[(1.5, "whole number"), (-101, "-100"), ("[PAD]", "whole number")],
        max_length=[(1, "at least 2", "rows[0]"), (2.0, "whole number")],
    ),
    part(
        mixing.mixing_rates,
        lambda: {"sizes": [1, 5], "limit": 3, "temperature": 2.0},
        sizes=[
            ([], "at least one"),
            ([0, 1], "sizes[0]"),
            ([1, 1.5], "sizes[1]"),
            ([1, 10**400], "sizes[1]"),
            (3, "list"),
            (None, "list"),
        ],
        limit=CAPS,
        temperature=[(value, "at least 1") for value in (0.5, -1, NAN, INF, "2", None)],
    ),
    part(
        mixing.draw_examples,
        lambda: {"rates": [0.5, 0.5], "sizes": [1, 5], "rows": range(3), "seed": 0},
        rates=[
            ([1.0], "2"),
            ([0.5, 0.6], "sum"),
            ([1.5, -0.5], "rates[0]=1.5"),
            ([NAN, NAN], "nan"),
            (None, "list"),
            (["a", "b"], "'a'"),
        ],
        sizes=[([0, 1], "sizes[0]"), (None, "list")],
        rows=[(3, "list"), ([0.5], "whole number"), (range(-1, 2), "-1")],
        seed=WHOLE,
    ),
    part(
        text_to_text.TASKS["decade"].examples,
        lambda: {"split": "held_out"},
        split=[("test", "'train'"), (None, "'held_out'")],
    ),
    part(
        first(text_to_text.passages),
        lambda: {"sentences": ("One.", "Two."), "most_words": 3},
        sentences=TEXTS,
        most_words=COUNTS,
    ),
    part(
        text_to_text.year_of,
        lambda: {"document": corpus.documents("sotu")[0]},
        document=[(corpus.documents("wikipedia", "held_out")[0], "title")],
    ),
]
