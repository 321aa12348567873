"""The attention weights of a model on chosen sentences: which token looks at which, in every head of every layer.

Clark et al. (2019, arXiv 1906.04341) read BERT's heads this way, and found some that look at the previous token,
many that rest on [SEP], and some that spread over all tokens.

Letters: L layers, A heads, T queries, S keys.
"""

from __future__ import annotations

import math
import reprlib
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import traitlets

from plm_lessons.widgets.attention_weights import (
    KINDS,
    MOST_HEADS,
    MOST_LAYERS,
    MOST_TOKENS,
    PackedSentence,
    head_measures,
    pack_sentence,
    shapes,
    sides,
    unpack,
)
from plm_lessons.widgets.base import Checked, LessonWidget, OneOf, Whole, WidgetValueError
from plm_lessons.widgets.picture import WIDTH, document, figure, image, table

MOST_SENTENCES = 12
LEAST = 0.01  # the smallest weight that is drawn
TEXT: dict[str, Any] = {
    "title": "Attention viewer",
    "sentence": "Sentence",
    "shown": "Shown",
    "head": "{}, layer {}, head {}",
    "measures": {
        "previous": "Weight on the token before",
        "self": "Weight on the token itself",
        "next": "Weight on the next token",
        "special": "Weight on special tokens",
        "punctuation": "Weight on punctuation",
        "distance": "Mean distance, in tokens",
        "spread": "Spread, in tokens: exp of the entropy",
    },
    "map": "A row for each query, a column for each key: the stronger the colour, the more weight.",
    "live": "This picture shows one head. With JavaScript, all heads can be seen, token by token.",
}
GUTTER, HEADROOM, SHADES = 104, 92, 8  # of the picture: pixels left and above, degrees of darkness
EXAMPLE = ["[CLS]", "the", "cat", "sat", "on", "the", "mat", ".", "[SEP]"]


def illustrative() -> dict[str, Any]:
    """A sentence with weights made by rules: heads for the previous token, the next, [SEP], and all tokens equally."""
    i, j = np.indices((len(EXAMPLE), len(EXAMPLE)))
    scores = np.array([[-2.0 * abs(j - i + 1), -2.0 * abs(j - i - 1)], [4.0 * (j == len(EXAMPLE) - 1), 0.0 * j]])
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    name = f"{' '.join(EXAMPLE[1:-1])} (weights made by rules, not by a model)"
    return {"name": name, "tokens": EXAMPLE, "attentions": weights}


ILLUSTRATIVE = illustrative()


def _map(weights: np.ndarray, queries: Sequence[str], keys: Sequence[str], query: int) -> tuple[str, int]:
    """A drawing of one head's weights [T, S], with the row of `query` framed unless it is -1; and its height."""
    width = min(22.0, (WIDTH - GUTTER - 4) / len(keys))
    depth = max(width, 14.0)
    above = HEADROOM if width >= 12 else 6  # a narrow column has no name
    height = math.ceil(above + depth * len(queries)) + 6
    shades = np.ceil(SHADES * np.sqrt(weights)).astype(int)
    parts = []
    for shade in range(1, SHADES + 1):
        cells = "".join(f"M{j} {i}h1v1h-1z" for i, j in np.argwhere((shades == shade) & (weights >= LEAST)))
        if cells:
            parts.append(f'<path d="{cells}" fill-opacity="{shade / SHADES:g}"/>')
    place = f"translate({GUTTER} {above}) scale({width:.3f} {depth:.3f})"
    drawn = [f'<g fill="var(--0)" transform="{place}">{"".join(parts)}</g>']
    frames = [(0, len(queries), "zero")] + ([(query, 1, "cursor")] if query >= 0 else [])
    for first, rows, look in frames:
        box = f'y="{above + first * depth:.1f}" width="{width * len(keys):.1f}" height="{depth * rows:.1f}"'
        drawn.append(f'<rect class="{look}" fill="none" x="{GUTTER}" {box}/>')
    for i, token in enumerate(queries):
        at = above + (i + 0.5) * depth + 4
        drawn.append(f'<text x="{GUTTER - 6}" y="{at:.1f}" text-anchor="end">{_label(token)}</text>')
    if above == HEADROOM:
        for j, token in enumerate(keys):
            turned = f"translate({GUTTER + (j + 0.5) * width + 4:.1f} {above - 6}) rotate(-90)"
            drawn.append(f'<text transform="{turned}">{_label(token)}</text>')
    return document("".join(drawn), height), height


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters, cut in its first half: sentinels (<extra_id_10>) differ only at the end."""
    front = most // 3
    return text if len(text) <= most else f"{text[:front]}\u2026{text[1 + front - most :]}"


def _label(token: str) -> str:
    """A token as text in a drawing: short, escaped, and without characters that XML cannot hold."""
    short = shortened(token, 12)
    return escape("".join("\ufffd" if _is_no_xml(sign) else sign for sign in short))


def _is_no_xml(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc" or sign in "\ufffe\uffff"


class _Sentences(Checked):
    """Sentences with weights, kept as a tuple of what `pack_sentence` returns."""

    def validate(self, obj: Any, value: Any) -> tuple[PackedSentence, ...]:
        rule = f"{type(obj).__name__}.{self.name} must be {self.allowed}"
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= MOST_SENTENCES:
            got = f"{len(value)} of them" if isinstance(value, (list, tuple)) else reprlib.repr(value)
            raise WidgetValueError(f"{rule}, got {got}")
        packed: list[PackedSentence] = []
        for number, sentence in enumerate(value):
            try:
                packed.append(pack_sentence(sentence))
            except ValueError as error:
                raise WidgetValueError(f"{rule}; sentence {number}: {error}") from error
            if shapes(packed[number]) != shapes(packed[0]):
                found = f"{shapes(packed[number])}, not {shapes(packed[0])} like the first"
                raise WidgetValueError(f"{rule}; sentence {number} has (layers, heads) {found}")
        return tuple(packed)


class AttentionViewer(LessonWidget):
    """Attention weights as lines between tokens and as a map, with an overview of all heads and what each looks at.

    `plm_lessons.training.inference.attention_maps` makes a sentence from a model and a text. By hand, for an encoder:
    `AttentionViewer([{"tokens": tokens, "attentions": [layer.tolist() for layer in output.attentions]}])`.

    Args:
        sentences: 1 to 12 dicts, all from one model. Each has "tokens" (at most 64, of at most 64 characters) and
            "attentions": weights [L][A][T][S] as nested lists or arrays, each row summing to 1, of at most 24 layers
            of 16 heads; a batch dimension of one after the layers is allowed. For a model with a decoder, "attentions"
            is a dict of "encoder", "decoder" and "cross", or some of these, and "target_tokens" are what the decoder
            reads. "name" is the entry in the list of sentences, by default the tokens.
        sentence: which of them is shown.
        kind: "encoder", "decoder" or "cross".
        layer, head: the head that is shown.
        query: the position of the token that looks; -1 for all tokens.
        measure: which figure is shown below each head in the overview: "previous", "self", "next", "special",
            "punctuation", "distance" or "spread"; see `head_measures`.

    Raises:
        ValueError: for any other value; also when a trait is set later.
    """

    name = "attention_viewer"
    fields = ("sentences", "sentence", "kind", "layer", "head", "query", "measure")

    sentences = _Sentences(f"a list of 1 to {MOST_SENTENCES} sentences with their attention weights")
    sentence = Whole(MOST_SENTENCES - 1)
    kind = OneOf(KINDS)
    layer = Whole(MOST_LAYERS - 1)
    head = Whole(MOST_HEADS - 1)
    query = Whole(MOST_TOKENS - 1, least=-1)
    measure = OneOf(TEXT["measures"])

    def __init__(
        self,
        sentences: Sequence[Mapping[str, Any]] = (ILLUSTRATIVE,),
        sentence: int = 0,
        kind: str = "encoder",
        layer: int = 0,
        head: int = 0,
        query: int = -1,
        measure: str = "previous",
    ) -> None:
        super().__init__(
            sentences=sentences, sentence=sentence, kind=kind, layer=layer, head=head, query=query, measure=measure
        )

    @traitlets.validate("sentences", "sentence", "kind", "layer", "head", "query")
    def _goes_with_the_rest(self, proposal: Any) -> Any:
        now = {field: getattr(self, field) for field in self.fields} | {proposal.trait.name: proposal.value}

        def below(name: str, limit: int) -> None:
            if now[name] >= limit:
                got = f"got {now[name]}"
                raise WidgetValueError(f"{type(self).__name__}.{name} must be a whole number below {limit}, {got}")

        below("sentence", len(now["sentences"]))
        sentence = now["sentences"][now["sentence"]]
        if now["kind"] not in sentence["attentions"]:
            kinds = ", ".join(map(repr, sentence["attentions"]))
            raise WidgetValueError(
                f"{type(self).__name__}.kind must be one that the sentence has: {kinds}, got {now['kind']!r}"
            )
        for name, limit in zip(("layer", "head"), shapes(sentence)[now["kind"]], strict=True):
            below(name, limit)
        below("query", len(sides(sentence)[now["kind"]][0]))
        return proposal.value

    def texts(self) -> tuple[list[str], list[str]]:
        """The tokens that look and those that are looked at in what is shown."""
        return sides(self.sentences[self.sentence])[self.kind]

    def weights(self) -> np.ndarray:
        """The weights [T, S] of the head that is shown, as the page has them."""
        found = self.sentences[self.sentence]["attentions"][self.kind]
        shape = (found["layers"], found["heads"], *map(len, self.texts()))
        return np.asarray(unpack(found["weights"], shape)[self.layer, self.head])

    def summary(self, field: str) -> str | None:
        counted = f"<{len(self.sentences)} sentences, (layers, heads) {shapes(self.sentences[0])}>"
        return counted if field == "sentences" else None

    def picture(self) -> str:
        weights, (queries, keys) = self.weights(), self.texts()
        measures = head_measures(weights, keys, self.kind)
        head = TEXT["head"].format(self.kind, self.layer, self.head)
        rows = [(TEXT["sentence"], self.sentences[self.sentence]["name"]), (TEXT["shown"], head)]
        for name, value in measures.items():
            if value is not None:
                written = f"{value:.1f}" if name in ("distance", "spread") else f"{100 * value:.0f}\u00a0%"
                rows.append((TEXT["measures"][name], written))
        svg, height = _map(weights, queries, keys, self.query)
        label = f"{TEXT['map']} " + "; ".join(f"{name}: {value}" for name, value in rows[1:])
        return figure(TEXT["title"], image(svg, height, label), table(rows), f"{TEXT['map']} {TEXT['live']}")
