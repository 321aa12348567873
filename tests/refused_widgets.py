"""What the traits of widgets refuse."""

from __future__ import annotations

from refusals import INF, INSIDE, NAN, Part, Values, part

from plm_lessons import widgets
from plm_lessons.widgets.base import LessonWidget, WidgetValueError

SENTENCE = {"tokens": ["a", "b"], "attentions": [[[[0.5, 0.5], [1.0, 0.0]]]]}
GAME = {"task": "nsp", "first": "A.", "second": "B.", "label": 0}
HALF = "a\ud800"  # half of a surrogate pair that would be a character
BIG, HUGE = 10**400, 10**5000  # larger than any float; with more digits than Python turns into text


def widget(kind: type[LessonWidget], /, **bad: Values) -> Part:
    """Return what the traits of a widget refuse; the message begins with the names of the widget and the trait.

    If two traits do not fit together, either may be named: such values are marked with INSIDE.
    """
    named = {
        trait: [
            (value, WidgetValueError, f"{kind.__name__}.{'' if INSIDE in told else trait}", "must", *told)
            for value, *told in cases
        ]
        for trait, cases in bad.items()
    }
    return part(kind, dict, **named)


PARTS = [
    widget(
        widgets.GeluWidget,
        x=[(4.1, "-4 to 4"), (-INF, "-4 to 4"), (BIG, "-4 to 4"), ([0.0], "number"), ("1", "number")],
        view=[("plot", "'derivative'"), (["masks"], "'masks'")],
        curves=[(["erf"], "'exact'"), (["exact", "exact"], "at most once"), ("exact", "list")],
        seed=[(-1, "0 to 4294967295"), (2**32, "4294967295"), (0.0, "whole")],
        draws=[(-1, "0 to 10000"), (10_001, "10000"), (True, "whole")],
    ),
    widget(
        widgets.RMSNormWidget,
        components=[
            ([], "1 to 8"),
            ([0.0] * 9, "1 to 8"),
            ([NAN], "-10 to 10"),
            ([11], "-10 to 10"),
            (["1"], "numbers"),
            ([HUGE], "-10 to 10", "too long"),
        ],
        log10_scale=[(4, "-6 to 3"), (0.5, "whole")],
        log10_eps=[(1, "-12 to 0"), (-INF, "-12 to 0")],
        gain=[(1.6, "0 to 1.5"), (-0.1, "0 to 1.5")],
    ),
    widget(
        widgets.RelativeBiasWidget,
        mode=[("rope", "'t5'")],
        num_buckets=[(33, "even"), (7, "even"), (2, "4 to 32")],
        max_distance=[(16, "17 to 256"), (257, "17 to 256")],
        direction=[("both", "'one-sided'")],
        shift=[(21, "0 to 20")],
        query=[(12, "0 to 11"), (-1, "0 to 11")],
        distance=[(301, "-300 to 300")],
        head=[(3, "below 3"), (-1, "whole")],
        values=[
            ([[1.0] * 5], "even number"),
            ([[NAN] * 8], "finite"),
            ([[1e308, -1e308] * 4], "finite", "-1e6 to 1e6"),
            ([[BIG] * 8], "finite", "-1e6 to 1e6"),
            ([[1.0] * 8, [1.0] * 6], "same"),
            ([[]], "4 to 32"),
        ],
        relative_key_scores=[
            ([[[1.0]]], "12 lists of 23"),
            ([[[NAN] * 23] * 12], "finite"),
            ([[[1e308] * 23] * 12], "-1e6 to 1e6"),
        ],
        absolute_scores=[
            ([[[1.0]]], "32 lists of 32"),
            ([[[INF] * 32] * 32], "finite"),
            ([[[BIG] * 32] * 32], "-1e6 to 1e6"),
        ],
    ),
    widget(
        widgets.ModelSizesWidget,
        view=[("pie", "'parts'")],
        vocab_size=[(0, "1 to 1000000")],
        embedding_size=[(0, "1 to 16384")],
        hidden_size=[(0, "1 to 16384"), (4097, INSIDE, "hidden_size", "num_attention_heads", "64")],
        num_hidden_layers=[(97, "1 to 96")],
        num_attention_heads=[(0, "1 to 256"), (63, INSIDE, "hidden_size", "num_attention_heads", "4096")],
        shared_parameters=[("some", "'feed_forward'")],
        dropout=[(1, "True or False"), ("yes", "True or False")],
        max_position_embeddings=[(8193, "8192"), (5, INSIDE, "sequence_length", "max_position_embeddings", "512")],
        type_vocab_size=[(0, "1 to 16")],
        intermediate_size=[(0, "1 to 131072")],
        head=[("pair", "'masked_lm'")],
        sequence_length=[(0, "1 to 8192"), (513, INSIDE, "sequence_length", "max_position_embeddings", "512")],
        batch_size=[(0, "1 to 16384")],
    ),
    widget(
        widgets.MaskingPatternsWidget,
        text=[
            ("a b " * 12 + HALF, "half a character", "place 49"),
            ("", "2 to 128 tokens"),
            ("x " * 200, "2 to 128 tokens"),
            ("a" * 601, "at most 600 characters"),
        ],
        tokenizer=[("bpe", "'wordpiece'")],
        unit=[("letters", "'spans'")],
        masking_rate=[(0.6, "0 to 0.5"), (-0.1, "0 to 0.5")],
        mask_share=[(1.1, "0 to 1"), (0.95, INSIDE, "mask_share", "random_share", "at most 1")],
        random_share=[(-0.1, "0 to 1"), (0.3, INSIDE, "mask_share", "random_share", "at most 1")],
        mean_span_length=[(0.5, "1 to 10")],
        copies=[(0, "1 to 40")],
        seed=[(-1, "4294967295")],
        epochs=[(0, "1 to 400"), (401, "1 to 400")],
    ),
    widget(
        widgets.AttentionViewer,
        sentences=[
            ([], "1 to 12"),
            ([SENTENCE] * 13, "1 to 12"),
            ([{"tokens": ["a"]}], "sentence 0", "attentions"),
            ([{**SENTENCE, "tokens": []}], "sentence 0", "tokens must be a list of 1 to 64"),
            ([{**SENTENCE, "tokens": ["a"]}], "sentence 0", "[layers][heads][1][1]"),
            ([{**SENTENCE, "attentions": [[[[0.5, 0.4], [1.0, 0.0]]]]}], "sentence 0", "sum to 1", "0.9"),
            ([{**SENTENCE, "attentions": [[[[NAN, 0.5], [1.0, 0.0]]]]}], "sentence 0", "nan"),
            ([{**SENTENCE, "attentions": [[[[1.5, -0.5], [1.0, 0.0]]]]}], "sentence 0", "at least 0"),
            ([{**SENTENCE, "attentions": {"decoder": SENTENCE["attentions"]}}], "target_tokens"),
            ([{**SENTENCE, "attentions": [[[[1e308, 1e308], [1.0, 0.0]]]]}], "sentence 0", "sum inf"),
            ([SENTENCE, {**SENTENCE, "tokens": ["a", HALF]}], "sentence 1", "tokens[1]", "half a character"),
            ([{**SENTENCE, "name": HALF}], "sentence 0", "name", "half a character"),
        ],
        sentence=[(12, "0 to 11"), (1, "below 1")],
        kind=[("self", "'decoder'"), ("cross", "'encoder'")],
        layer=[(-1, "whole"), (2, "below 2")],
        head=[(16, "0 to 15"), (2, "below 2")],
        query=[(-2, "-1 to 63"), (9, "below 9")],
        measure=[("entropy", "'spread'")],
    ),
    widget(
        widgets.SentencePairs,
        pairs=[
            ([], "1 to 200"),
            ([GAME] * 201, "1 to 200"),
            (["text"], "[0]", "dictionary"),
            ([{**GAME, "task": "mlm"}], "[0]['task']", "'sop'"),
            ([{**GAME, "first": " "}], "[0]['first']", "not all white space"),
            ([{**GAME, "second": "x" * 1001}], "[0]['second']", "1 to 1000 characters"),
            ([{**GAME, "label": 2}], "[0]['label']", "0 (is next, in order) or 1"),
            ([{**GAME, "probabilities": {"BERT": NAN}}], "[0]['probabilities']['BERT']", "0 to 1"),
            ([{**GAME, "probabilities": {"you": 0.5}}], "[0]['probabilities']", "other than 'you'"),
            ([{**GAME, "probabilities": {"BERT": HUGE}}], "[0]['probabilities']['BERT']", "0 to 1"),
            ([{**GAME, "probabilities": {HALF: 0.5}}], "[0]['probabilities']", "half a character"),
            ([GAME, {**GAME, "first": HALF}], "[1]['first']", "half a character", "place 1"),
            ([{**GAME, "second": HALF}], "[0]['second']", "half a character"),
            ([{**GAME, "sources": ["one", HALF]}], "[0]['sources'][1]", "half a character"),
            ([{**GAME, "sources": ["one"]}], "[0]['sources']", "two texts"),
            ([{**GAME, "extra": 1}], "[0]", "dictionary"),
        ],
        seed=[(-1, "4294967295")],
        task=[("mlm", "'sop'")],
        guesses=[([2], "0, 1 or None"), ([0], "for each of"), ("01", "list")],
    ),
]
