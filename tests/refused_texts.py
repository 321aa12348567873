"""What text, tokenizers and the notebook's helpers refuse."""

from __future__ import annotations

import functools
from pathlib import Path

from refusals import COUNTS, TEXT, TEXTS, TOKENIZERS, WHOLE, Values, part, positional, tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers

from plm_lessons import corpus, corpus_cleaning, downstream, notebook, text_sources, tokenization
from plm_lessons.downstream import splits
from plm_lessons.tokenization import load_tokenizer

HUG = {"hug": 10, "pug": 5}
SPLIT: Values = [("test", "'validation'"), (None, "'held_out'"), ("all", "'train'")]
# Like GPT-4's: a pattern of its own splits the text into words, which are then written as bytes.
TWO_CUTS = Tokenizer(models.BPE())
TWO_CUTS.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Split(" ", "isolated"), pre_tokenizers.ByteLevel(use_regex=False)]
)
PARTS = [
    *(part(task.examples, lambda: {"split": "validation"}, split=SPLIT) for task in downstream.TASKS.values()),
    *(part(choose, lambda: {"split": "validation"}, split=SPLIT) for choose in (splits.articles, splits.reviews)),
    part(downstream.recorded_figures, dict, place=WHOLE),
    part(splits.split_of, lambda: {"key": "a"}, key=TEXT),
    part(corpus.split_of, lambda: {"key": "a"}, key=TEXT),
    part(
        corpus.documents,
        lambda: {"source": "sotu", "split": "held_out"},
        source=[("books", "'wikipedia'"), (None, "'sotu'"), (["sotu"], "'sotu'")],
        split=[("test", "'train'"), (None, "'held_out'"), ([], "'all'")],
    ),
    part(corpus.sentiment_examples, lambda: {"split": "held_out"}, split=[("test", "'train'"), (None, "'all'")]),
    part(corpus.split_sentences, lambda: {"text": "One. Two."}, text=TEXT),
    part(
        corpus_cleaning.clean_page,
        lambda: {"page": "A page.", "unwanted_words": ["bad"]},
        page=TEXT,
        unwanted_words=TEXTS,
    ),
    part(corpus_cleaning.drop_repeated_spans, lambda: {"pages": ["A. B."]}, pages=TEXTS),
    part(text_sources.CorpusText, lambda: {"source": "sotu"}, source=[("books", "'sotu'"), (None, "'wikipedia'")]),
    part(
        text_sources.FileText,
        lambda: {"paths": (Path(__file__),)},
        paths=[
            ((), "at least one"),
            ((Path("/no/such"),), FileNotFoundError, "/no/such"),
            ("a.txt", "tuple"),
            (("a.txt",), "Path"),
        ],
    ),
    part(
        text_sources.DatasetText,
        lambda: {"name": "a/b", "configuration": "c", "part": "train", "column": "text"},
        name=TEXT,
        configuration=[(3, "text")],
        part=TEXT,
        column=TEXT,
    ),
    part(
        tokenization.load_tokenizer,
        lambda: {"name_or_path": "wordpiece"},
        name_or_path=[("no such", "'wordpiece'"), ("", "'unigram'"), (None, "name"), (3, "name")],
    ),
    part(tokenization.load_gpt2, None, folder=[("/no/such", "encoder.json"), (None, "folder"), (3, "folder")]),
    part(
        tokenization.encode_documents,
        lambda: {"tokenizer": tokenizer(), "documents": [["One.", "Two."]], "separator": " "},
        tokenizer=TOKENIZERS,
        documents=[
            ("one text", "documents"),
            (3, "documents"),
            (["One."], "One.", "split_sentences"),
            ([["One.", 3]], "documents[0][1]", "text"),
            ([3], "documents[0]"),
        ],
        separator=TEXT,
    ),
    part(
        positional(tokenization.token_id),
        lambda: {"tokenizer": tokenizer(), "tokens": "[MASK]"},
        tokenizer=[*TOKENIZERS, (load_tokenizer("t5_unigram"), "'[MASK]'", "made for this model")],
    ),
    part(positional(notebook.show_source), lambda: {"objects": part}, objects=[(3, "function"), (len, "function")]),
    part(tokenization.piece_bytes, lambda: {"piece": "Ġof"}, piece=[*TEXT, (" of", "byte"), ("☃", "byte")]),
    part(
        tokenization.longest_match,
        lambda: {"tokenizer": tokenizer(), "word": "hugs"},
        tokenizer=[*TOKENIZERS, (load_tokenizer("unigram"), "Unigram", "WordPiece")],
        word=[
            *TEXT,
            ("", "one word", "there are 0"),
            ("two words", "one word", "there are 2"),
            ("Hug", "one word", "which is 'hug'"),
            ("x" * 101, "[UNK]"),
        ],
    ),
    part(
        tokenization.merge_steps,
        lambda: {"tokenizer": tokenizer("byte_level_bpe"), "word": " hugs"},
        tokenizer=[
            *TOKENIZERS,
            (load_tokenizer("wordpiece"), "WordPiece", "BPE"),
            (TWO_CUTS, "pre-tokenizer ByteLevel alone", "Sequence"),
        ],
        word=[*TEXT, ("", "one word"), ("two words", "one word")],
    ),
    part(
        tokenization.segmentations,
        lambda: {"tokenizer": tokenizer("unigram"), "word": "hugs", "top": 3},
        tokenizer=[*TOKENIZERS, (load_tokenizer("wordpiece"), "WordPiece", "Unigram")],
        word=[*TEXT, ("", "one word"), ("two words", "one word"), ("☃", "alphabet")],
        top=COUNTS,
    ),
    part(
        tokenization.training_merges,
        lambda: {"words": HUG, "steps": 1, "prefix": "##"},
        words=[
            (["hug"], "how often"),
            ({"a b": 1}, "white space"),
            ({"": 1}, "white space"),
            ({"hug": 0}, "'hug'"),
            ({"hug": 1.5}, "'hug'"),
            ({3: 1}, "3", "white space"),
        ],
        steps=WHOLE,
        prefix=TEXT,
    ),
    *(
        part(
            train,
            functools.partial(dict, texts=["hug pug hugs"] * 10, vocab_size=400, **more),
            texts=TEXTS,
            vocab_size=[*COUNTS, (3, "at least")],
            **dict.fromkeys(more, WHOLE),
        )
        for train, more in (
            (tokenization.train_wordpiece, {"min_character_count": 2}),
            (tokenization.train_byte_level_bpe, {}),
            (tokenization.train_unigram, {"min_character_count": 2}),
            (tokenization.train_t5_unigram, {"min_character_count": 2, "num_sentinels": 3}),
        )
    ),
    part(
        notebook.show_table,
        lambda: {"header": ["a"], "rows": [["1"]]},
        header=[("ab", "list"), ([], "at least one"), (3, "list")],
        rows=[([["1", "2"]], "rows[0]", "2 cells", "1"), ([3], "rows[0]", "list"), (3, "list"), (["a"], "list")],
    ),
]
