"""The attention viewer: weights packed and measured as in torch, and every control by keyboard and by pointer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from widget_page import IMPORT, MARKUP, STICKING_OUT, bare, close, drawn, render_with_model, set_theme
from write_goldens import attention_viewer

from plm_lessons.widgets import AttentionViewer
from plm_lessons.widgets.attention_viewer import TEXT, shortened
from plm_lessons.widgets.attention_weights import head_measures, pack, token_class, unpack

GOLDEN = json.loads((Path(__file__).parent / "golden" / "attention_viewer.json").read_text())
POSITIONAL = ("previous", "self", "next", "distance")
SHARES = ("previous", "self", "next", "special", "punctuation")


def weights(layers: int, heads: int, queries: int, keys: int, seed: int, causal: bool = False) -> np.ndarray:
    scores = 2 * np.random.default_rng(seed).normal(size=(layers, heads, queries, keys))
    if causal:
        scores[..., np.triu_indices(queries, 1)[0], np.triu_indices(queries, 1)[1]] = -np.inf
    found = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(found / found.sum(-1, keepdims=True))


def with_decoder(tokens: list[str], target: list[str], seed: int) -> dict[str, Any]:
    s, t = len(tokens), len(target)
    attentions = {
        "encoder": weights(2, 3, s, s, seed),
        "decoder": weights(3, 3, t, t, seed + 1, causal=True),
        "cross": weights(3, 3, t, s, seed + 2),
    }
    return {"name": f"number {seed}", "tokens": tokens, "target_tokens": target, "attentions": attentions}


SENTENCES = [
    with_decoder(["\u2581The", "\u2581cat", ",", "\u2581old", ".", "</s>"], ["<pad>", "\u2581Die", "\u2581Katze"], 10),
    with_decoder(["\u2581It", "\u2581rains", "</s>"], ["<pad>", "\u2581Es", "\u2581regnet", "."], 20),
]
ENCODER: dict[str, Any] = {"tokens": ["[CLS]", "a", "[SEP]"], "attentions": weights(2, 2, 3, 3, 0)}


# --- mathematics ------------------------------------------------------------------------------------------------------


def measures_close(found: dict[str, float | None], wanted: dict[str, float | None], tolerance: float) -> None:
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=tolerance)), name


def test_goldens_are_what_torch_says() -> None:
    again = attention_viewer()
    assert again["classes"] == GOLDEN["classes"]
    for made, kept in zip(again["cases"], GOLDEN["cases"], strict=True):
        assert {**made, "rows": 0, "measures": 0} == {**kept, "rows": 0, "measures": 0}
        close(made["rows"], kept["rows"], 1e-14)
        for one, other in zip(made["measures"], kept["measures"], strict=True):
            measures_close(one, other, 1e-12)


def test_python_unpacks_and_measures_as_torch_does() -> None:
    for case in GOLDEN["cases"]:
        found = unpack(case["weights"], (4, case["queries"], len(case["keys"])))
        close(found, case["rows"], 1e-14)
        for head, wanted in zip(found, case["measures"], strict=True):
            measures_close(head_measures(head, case["keys"], case["kind"]), wanted, 1e-12)
    assert {token: token_class(token) for token in GOLDEN["classes"]} == GOLDEN["classes"]


def test_page_unpacks_and_measures_as_torch_does(open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank")
    page.evaluate(IMPORT, AttentionViewer()._esm)
    for case in GOLDEN["cases"]:
        code = """(c) => {
          const rows = lib.unpack(c, c.queries, c.keys.length);
          return [rows, rows.map((head) => lib.headMeasures(head, c.keys, c.kind)), rows.map(lib.received)];
        }"""
        rows, measures, received = page.evaluate(code, case)
        close(rows, case["rows"], 1e-14)
        close(np.sum(rows, -1), np.ones((4, case["queries"])), 1e-14)
        close(received, np.mean(case["rows"], 1), 1e-14)
        for found, wanted in zip(measures, case["measures"], strict=True):
            measures_close(found, wanted, 1e-12)
    assert page.evaluate("(all) => all.map(lib.tokenClass)", list(GOLDEN["classes"])) == list(
        GOLDEN["classes"].values()
    )


def test_page_names_the_habit_of_a_head(open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank")
    page.evaluate(IMPORT, AttentionViewer()._esm)
    even = [page.evaluate(f"lib.evenSpread({kind!r}, 5, 7)") for kind in ("encoder", "cross", "decoder")]
    assert even == [7, 7, pytest.approx(math.factorial(5) ** (1 / 5))]  # in a decoder each query sees one key more
    none = dict.fromkeys(SHARES, 0.1)
    for more, wanted in (
        ({"next": 0.5, "spread": 9}, {"best": "next", "kind": "mostly"}),
        ({"next": 0.49, "spread": 6}, {"best": "next", "kind": "even"}),
        ({"punctuation": 0.3, "spread": 5.9}, {"best": "punctuation", "kind": "mixed"}),
        (
            {"previous": None, "self": None, "next": None, "special": 0.6, "spread": 1},
            {"best": "special", "kind": "mostly"},
        ),
    ):
        assert page.evaluate("(measures) => lib.habitOf(measures, 10)", {**none, **more}) == wanted


def test_packing_errs_no_more_than_it_says() -> None:
    """Rows of many kinds, and the worst case: one large weight among small ones that are all rounded alike."""
    for length in (2, 20, 64):
        for temperature in (0.5, 1, 3, 6):
            scores = temperature * np.random.default_rng(length).normal(size=(1, 1, 60, length))
            rows = np.exp(scores - scores.max(-1, keepdims=True))
            rows /= rows.sum(-1, keepdims=True)
            error = abs(unpack(pack(rows), rows.shape) - rows)
            assert error.max() < 0.004 and (error < 0.001).mean() > 0.5
            spread = [
                np.array([head_measures(row, ["a"] * length, "cross")["spread"] for row in found[0, 0, :, None]])
                for found in (rows, unpack(pack(rows), rows.shape))
            ]
            assert abs(spread[1] / spread[0] - 1).max() < 0.02
    large = np.linspace(0.2, 0.98, 3000)[:, None]
    worst = np.concatenate([large, np.repeat((1 - large) / 63, 63, axis=1)], axis=1)[None, None]
    error = abs(unpack(pack(worst), worst.shape) - worst).max()
    assert 0.01 < error < 0.0135


# --- from Python's side -----------------------------------------------------------------------------------------------


def test_weights_are_taken_in_every_usual_form() -> None:
    tokens, array = ENCODER["tokens"], ENCODER["attentions"]
    tensors = tuple(torch.tensor(layer)[None] for layer in array)  # as a model returns them, with a batch of one
    forms = [array, array.tolist(), tensors, [layer.tolist() for layer in tensors], [t.float() for t in tensors]]
    states = [AttentionViewer([{"tokens": tokens, "attentions": form}]).state() for form in forms]
    assert all(state == states[0] for state in states[:4])
    assert AttentionViewer([{"tokens": tokens, "attentions": {"encoder": array}}]).state() == states[0]
    viewer = AttentionViewer([ENCODER], layer=1, head=1)
    close(viewer.weights(), array[1, 1], 0.004)
    assert viewer.texts() == (tokens, tokens) and viewer.sentences[0]["name"] == "[CLS] a [SEP]"
    both = AttentionViewer(SENTENCES, sentence=1, kind="cross", layer=2, head=1)
    assert both.texts() == (SENTENCES[1]["target_tokens"], SENTENCES[1]["tokens"])
    close(both.weights(), SENTENCES[1]["attentions"]["cross"][2, 1], 0.004)


def changed(**parts: Any) -> list[dict[str, Any]]:
    return [ENCODER, {**ENCODER, **parts}]


def spoiled(value: float) -> np.ndarray:
    array = ENCODER["attentions"].copy()
    array[1, 0, 2, 0] = value
    return array


NO_SENSE: list[tuple[Any, str]] = [
    ([], "got 0 of them"),
    ([ENCODER] * 13, "got 13 of them"),
    (ENCODER, "got {'attentions': "),
    ([ENCODER["tokens"]], "sentence 0: it must be a dict with"),
    ([{"tokens": ["a"]}], "sentence 0: it must be a dict with"),
    (changed(colour="red"), "sentence 1: it must be a dict with .*colour"),
    (changed(tokens=["a"] * 65), "sentence 1: tokens must be a list of 1 to 64 texts, got 65 of them"),
    (changed(tokens=[]), "tokens must be a list of 1 to 64 texts, got 0 of them"),
    (changed(tokens="abc"), "tokens must be a list of 1 to 64 texts, got 'abc'"),
    (changed(tokens=["a", "", "b"]), "tokens must be texts of 1 to 64 characters, got ''"),
    (changed(tokens=["a", 3, "b"]), "tokens must be texts of 1 to 64 characters, got 3"),
    (changed(tokens=["a", "b" * 65, "c"]), "tokens must be texts of 1 to 64 characters"),
    (changed(tokens=["a", "b"]), r"encoder: the weights must be numbers \[layers\]\[heads\]\[2\]\[2\], got .*3, 3\]"),
    (changed(attentions=spoiled(math.nan)), "sentence 1: encoder, layer 1, head 0, query 2: .* sum nan"),
    (changed(attentions=spoiled(-0.1)), "encoder, layer 1, head 0, query 2: .* the least is -0.1"),
    (changed(attentions=spoiled(1.0)), "encoder, layer 1, head 0, query 2: .* sum to 1"),
    (changed(attentions=ENCODER["attentions"] * 1.0011), "encoder, layer 0, head 0, query 0: .* the sum 1.0011"),
    (changed(attentions=ENCODER["attentions"][0]), "encoder: the weights must be numbers"),
    (changed(attentions=np.stack([ENCODER["attentions"]] * 2, 1)), "encoder: the weights must be numbers"),
    (changed(attentions=[]), "encoder: the weights must be nested lists"),
    (changed(attentions=7), "encoder: the weights must be nested lists"),
    (changed(attentions=[[[[0.5, 0.5], [1.0]]]]), "encoder: the weights must be nested lists"),
    (changed(attentions=[[[["1", "0", "0"]] * 3]]), "encoder: the weights must be numbers"),
    (changed(attentions=[torch.eye(3)[None, None].requires_grad_()]), "encoder: the weights must be nested lists"),
    (changed(attentions=np.tile(np.eye(3), (25, 1, 1, 1))), "1 to 24 layers of 1 to 16 heads, got 25 of 1"),
    (changed(attentions=np.tile(np.eye(3), (1, 17, 1, 1))), "1 to 24 layers of 1 to 16 heads, got 1 of 17"),
    (changed(attentions=np.tile(np.eye(3), (1, 2, 1, 1))), r"sentence 1 has \(layers, heads\) .*\(1, 2\).*\(2, 2\)"),
    (changed(attentions={}), "attentions must have some of"),
    (changed(attentions={"other": ENCODER["attentions"]}), "attentions must have some of .* got \\['other'\\]"),
    (changed(attentions={"decoder": ENCODER["attentions"]}), "target_tokens must be given with decoder or cross"),
    (changed(target_tokens=["a"]), "target_tokens must be given with decoder or cross, and only then"),
    (changed(name=""), "name must be a text"),
]


@pytest.mark.parametrize(("wrong", "said"), NO_SENSE)
def test_senseless_sentences_are_refused_and_the_error_says_where(wrong: Any, said: str) -> None:
    viewer = AttentionViewer([ENCODER])
    before = viewer.state()
    for attempt in (lambda: AttentionViewer(wrong), lambda: setattr(viewer, "sentences", wrong)):
        with pytest.raises(ValueError, match=rf"AttentionViewer\.sentences must be .*{said}") as caught:
            attempt()
        assert len(str(caught.value)) < 500
    assert viewer.state() == before


def test_values_must_go_with_the_sentences() -> None:
    viewer = AttentionViewer(SENTENCES)
    for field, value, said in (
        ("sentence", 2, "sentence must be a whole number below 2, got 2"),
        ("layer", 2, "layer must be a whole number below 2, got 2"),
        ("head", 3, "head must be a whole number below 3, got 3"),
        ("query", 6, "query must be a whole number below 6, got 6"),
        ("query", -2, "query must be a whole number from -1 to 63, got -2"),
    ):
        for attempt in (lambda f, v: AttentionViewer(SENTENCES, **{f: v}), lambda f, v: setattr(viewer, f, v)):
            with pytest.raises(ValueError, match=re.escape(said)):
                attempt(field, value)
    viewer.query = 5
    with pytest.raises(ValueError, match="query must be a whole number below 3, got 5"):
        viewer.sentence = 1
    with pytest.raises(ValueError, match="kind must be one that the sentence has: 'encoder', got 'cross'"):
        AttentionViewer([ENCODER], kind="cross")
    viewer.kind = "encoder"
    viewer.set_state({"sentence": 1, "query": 2, "kind": "decoder", "layer": 2})
    assert (viewer.sentence, viewer.query, viewer.kind, viewer.layer) == (1, 2, "decoder", 2)


def test_a_viewer_is_small() -> None:
    """Three sentences of 20 tokens, 4 layers of 4 heads: the weights take 26 kB of text."""
    tokens = ["[CLS]", *(f"word{i}" for i in range(18)), "[SEP]"]
    viewer = AttentionViewer([{"tokens": tokens, "attentions": weights(4, 4, 20, 20, seed)} for seed in range(3)])
    state = json.dumps(viewer.state())
    assert len(state) < 27_500
    assert len(viewer.html()) - len(viewer._esm) - len(viewer._css) < 42_000
    assert len(repr(viewer)) < 300 and "word" not in repr(viewer)


def test_picture_draws_the_head_and_tells_its_measures() -> None:
    viewer = AttentionViewer(SENTENCES, kind="decoder", layer=1, head=2, query=1)
    svg, rows = drawn(viewer)
    found = viewer.weights()
    cells = set()
    for path, opacity in re.findall(r'<path d="([^"]+)" fill-opacity="([\d.]+)"', svg):
        for j, i in re.findall(r"M(\d+) (\d+)h1v1h-1z", path):
            cells.add((int(i), int(j)))
            assert float(opacity) - 1 / 8 < math.sqrt(found[int(i), int(j)]) <= float(opacity) + 1e-9
    assert cells == {(i, j) for i in range(3) for j in range(3) if found[i, j] >= 0.01}
    assert svg.count("\u2581Katze</text>") == 2 and svg.count('class="cursor"') == 1
    told = dict(rows)
    assert told[TEXT["sentence"]] == "number 10" and told[TEXT["shown"]] == "decoder, layer 1, head 2"
    for name, value in head_measures(found, viewer.texts()[1], "decoder").items():
        assert value is not None
        text = f"{100 * value:.0f}\u00a0%" if name in SHARES else f"{value:.1f}"
        assert told[TEXT["measures"][name]] == text
    _, rows = drawn(AttentionViewer(SENTENCES, kind="cross"))
    assert not {TEXT["measures"][name] for name in POSITIONAL} & set(dict(rows))


def test_picture_holds_any_text() -> None:
    odd = ["\x00\x1b", "\x7f", "\uffff\ufffe", MARKUP, "a&b", "\u05e9\u05dc\u05d5\u05dd"]
    svg, _ = drawn(AttentionViewer([{"tokens": odd, "attentions": [[np.eye(6)]], "name": MARKUP}]))
    assert "\ufffd" in svg and "<img" not in svg
    assert "<img src=x" not in AttentionViewer([{"tokens": odd, "attentions": [[np.eye(6)]], "name": MARKUP}]).picture()
    many, _ = drawn(AttentionViewer([{"tokens": ["ab"] * 64, "attentions": [[np.eye(64)]]}]))
    assert many.count(">ab</text>") == 64  # a narrow column has no name


# --- the widget in a reader's hands -----------------------------------------------------------------------------------

START: dict[str, Any] = {"sentence": 0, "kind": "encoder", "layer": 0, "head": 0, "query": -1, "measure": "previous"}

READ = """root => {
  const all = (selector, get) => [...root.querySelectorAll(selector)].map(get);
  const shown = (part) => part.checkVisibility();
  const seen = (selector, get) => [...root.querySelectorAll(selector)].filter(shown).map(get);
  const alphas = (canvas) => {
    const { width, height } = canvas, { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    const row = (i) => Array.from({ length: width }, (_, j) => data[4 * (i * width + j) + 3]);
    return Array.from({ length: height }, (_, i) => row(i));
  };
  const ground = root.querySelector('.plm-heads-ground'), frame = root.querySelector('.plm-heads-row');
  const box = ground.getBoundingClientRect(), place = frame.getBoundingClientRect();
  const slider = root.querySelector('input[type=range]'), queries = '.plm-heads-queries > *';
  return {
    sentence: root.querySelector('select').value,
    kinds: seen('input[name=kind]', (input) => [input.value, input.checked]),
    numbers: all('.plm-heads-all label > span', (span) => span.textContent),
    best: all('.plm-heads-all label > span', (span) => span.classList.contains('plm-heads-best')),
    names: all('.plm-heads-all input', (input) => input.getAttribute('aria-label')),
    head: all('.plm-heads-all input:checked', (input) => input.value),
    small: all('.plm-heads-all canvas', alphas),
    table: seen('tbody input', (input) => [input.value, input.closest('tr').lastChild.textContent, input.checked]),
    map: alphas(ground.firstChild),
    frame: shown(frame) ? [place.top - box.top, place.height] : null,
    height: box.height,
    queries: all(queries, (item) => [item.textContent, item.classList.contains('plm-heads-looks')]),
    keys: all('.plm-heads-lines div[role=listitem]', (item) => [
      item.firstChild.textContent, item.lastChild.textContent, item.classList.contains('plm-heads-most'),
      parseFloat(item.style.backgroundSize)]),
    lines: all('.plm-heads-line', (path) => path.getAttribute('d')),
    strengths: all('.plm-heads-line', (path) => ['width', 'opacity'].map((n) => +path.getAttribute('stroke-' + n))),
    row: parseFloat(getComputedStyle(root.querySelector(queries)).height),
    slider: [slider.value, slider.getAttribute('aria-valuetext')],
    readout: root.querySelector('.plm-heads-readout').textContent,
    label: ground.firstChild.getAttribute('aria-label'),
  };
}"""


def number(text: str) -> float:
    return float(text.split("\u00a0")[0]) / (100 if "%" in text else 1)


class Viewer:
    """The widget on a page, and what a reader sees of it."""

    def __init__(self, page: Page, sentences: list[dict[str, Any]] = SENTENCES) -> None:
        self.page, self.root, self.sentences = page, page.locator(".plm-widget"), sentences
        self.message = self.root.locator(".plm-message")
        self.query = self.root.get_by_role("slider", name="Query", exact=True)
        self.map = self.root.locator(".plm-heads-ground canvas")

    def head(self, layer: int, head: int) -> Locator:
        return self.root.locator(f'input[name=head][value="{layer} {head}"]')

    def token(self, query: int) -> Locator:
        return self.root.locator(f'[data-query="{query}"]')

    def point(self, i: float, j: float) -> None:
        """Moves the pointer onto a cell of the map."""
        self.map.scroll_into_view_if_needed()
        box = self.map.bounding_box()
        assert box is not None
        shown = self.root.evaluate(READ)["map"]
        x, y = (j + 0.5) * box["width"] / len(shown[0]), (i + 0.5) * box["height"] / len(shown)
        self.page.mouse.move(box["x"] + x, box["y"] + y)

    def assert_shows(self, over: tuple[int, ...] = (), **changed: Any) -> None:
        """All texts and drawings follow from the weights: the start with some changes, and what is pointed at."""
        state = {**START, **changed}
        kind, layer, head = state["kind"], state["layer"], state["head"]
        one = AttentionViewer(self.sentences, **state)
        packed = one.sentences[state["sentence"]]["attentions"]
        (layers, heads), (queries, keys) = (packed[kind]["layers"], packed[kind]["heads"]), one.texts()
        every = unpack(packed[kind]["weights"], (layers * heads, len(queries), len(keys)))
        found, shown = every[layer * heads + head], self.root.evaluate(READ)
        assert shown["sentence"] == str(state["sentence"])
        assert shown["kinds"] == ([[k, k == kind] for k in packed if len(packed) > 1])
        # The overview: a map, a number and a name for each head.
        close(shown["small"], np.rint(255 * np.sqrt(every)), 1.01)
        measures = [head_measures(map_, keys, kind) for map_ in every]
        named = "spread" if measures[0][state["measure"]] is None else state["measure"]
        assert shown["head"] == [f"{layer} {head}"]
        values = [float(measure[named] or 0) for measure in measures]
        for n, (text, name) in enumerate(zip(shown["numbers"], shown["names"], strict=True)):
            assert number(text) == pytest.approx(values[n], abs=0.00501 if named in SHARES else 0.0501)
            assert name == f"layer {n // heads}, head {n % heads}. {TEXT['measures'][named]}: {text}"
        assert shown["best"] == [value >= max(values) - 1e-12 for value in values]
        # What the head looks at.
        chosen = measures[layer * heads + head]
        assert [row[0] for row in shown["table"]] == [name for name in TEXT["measures"] if chosen[name] is not None]
        for name, text, checked in shown["table"]:
            assert number(text) == pytest.approx(chosen[name], abs=0.00501 if name in SHARES else 0.0501)
            assert checked == (name == named)
        # The map.
        close(shown["map"], np.rint(255 * np.sqrt(found)), 1.01)
        i = over[0] if over else state["query"]
        assert (shown["frame"] is None) == (i < 0)
        if i >= 0:
            close(shown["frame"], np.array([i, 1]) * shown["height"] / len(queries), 0.1)
        # The lines: from every query, or from one.
        wanted: dict[int, set[tuple[int, int]]] = {}
        for a, row in enumerate(found):
            for b, weight in enumerate(row):
                if (i < 0 or a == i) and weight > 0.01:
                    wanted.setdefault(math.ceil(10 * math.sqrt(weight)), set()).add((a, b))
        drawn_ = {}
        for level, d in enumerate(shown["lines"], start=2):
            ends = re.findall(r"M0 ([\d.]+)C\S+ \1 \S+ ([\d.]+) \S+ \2", d)
            assert len(ends) == d.count("M")
            if ends:
                drawn_[level] = {
                    (round(float(a) / shown["row"] - 0.5), round(float(b) / shown["row"] - 0.5)) for a, b in ends
                }
        assert drawn_ == wanted
        assert shown["strengths"] == sorted(shown["strengths"])
        # The tokens, with the weights that the keys get.
        assert [text for text, _ in shown["queries"]] == queries
        assert [n for n, (_, looks) in enumerate(shown["queries"]) if looks] == ([i] if i >= 0 else [])
        gets = found.mean(0) if i < 0 else found[i]
        most = int(gets.argmax())
        for b, (text, value, strongest, bar) in enumerate(shown["keys"]):
            assert text == keys[b] and strongest == (b == most)
            assert float(value) == pytest.approx(gets[b], abs=0.00501)
            assert bar == pytest.approx(100 * gets[b], abs=0.051)
        j = over[1] if len(over) > 1 else most
        assert f"\u201c{keys[j]}\u201d ({j})" in shown["readout"] and f"{gets[j]:.2f}" in shown["readout"]
        assert i < 0 or shown["readout"].startswith(f"\u201c{queries[i]}\u201d ({i})")
        distance = str(j - i).replace("-", "\u2212")
        assert (f"at distance {distance}." in shown["readout"]) == (i >= 0 and kind != "cross")
        assert shown["readout"] in shown["label"] and f"layer {layer}, head {head}" in shown["label"]
        said = "all tokens" if state["query"] < 0 else f"\u201c{queries[state['query']]}\u201d ({state['query']})"
        assert shown["slider"] == [str(state["query"]), said]


@pytest.fixture(scope="module")
def shared_page(tmp_path_factory: pytest.TempPathFactory, open_shared_page: Callable[..., Page]) -> Page:
    return open_shared_page(bare(tmp_path_factory.mktemp("bare"), AttentionViewer(SENTENCES)))


@pytest.fixture
def viewer(shared_page: Page) -> Iterator[Viewer]:
    """The widget as it starts; the page is shared, so its controls are put back."""
    shared_page.set_default_timeout(3_000)
    shared_page.mouse.move(0, 0)
    found = Viewer(shared_page)
    found.root.get_by_role("radio", name="encoder", exact=True).check()
    found.root.get_by_label("Sentence").select_option("0")
    found.head(0, 0).check()
    found.root.get_by_role("radio", name=TEXT["measures"]["previous"], exact=True).check()
    found.query.fill("-1")
    found.assert_shows()
    yield found


def test_every_head_by_keyboard_and_by_pointer(viewer: Viewer) -> None:
    for layer, head in ((1, 2), (0, 1)):
        viewer.head(layer, head).click()
        viewer.assert_shows(layer=layer, head=head)
    for key, layer, head in (
        ("ArrowRight", 0, 2),
        ("ArrowDown", 1, 2),
        ("ArrowDown", 1, 2),  # there is no layer below
        ("ArrowLeft", 1, 1),
        ("ArrowUp", 0, 1),
        ("ArrowUp", 0, 1),
    ):
        viewer.page.keyboard.press(key)
        viewer.assert_shows(layer=layer, head=head)
        expect(viewer.head(layer, head)).to_be_focused()


def test_query_by_slider(viewer: Viewer) -> None:
    for key, query in (("ArrowRight", 0), ("ArrowRight", 1), ("End", 5), ("ArrowLeft", 4), ("Home", -1)):
        viewer.query.press(key)
        viewer.assert_shows(query=query)
    box = viewer.query.bounding_box()
    assert box is not None
    viewer.page.mouse.click(box["x"] + 0.72 * box["width"], box["y"] + box["height"] / 2)
    viewer.page.mouse.move(0, 0)
    viewer.assert_shows(query=3)


def test_query_is_followed_while_the_pointer_rests_on_the_map(viewer: Viewer) -> None:
    viewer.point(4, 1)
    viewer.assert_shows(over=(4, 1))
    for key, query in (("ArrowRight", 0), ("ArrowRight", 1), ("End", 5), ("Home", -1)):
        viewer.query.press(key)
        viewer.assert_shows(query=query)
    viewer.point(2, 3)
    viewer.assert_shows(over=(2, 3))
    viewer.page.mouse.down()
    viewer.page.mouse.up()
    viewer.assert_shows(query=2, over=(2, 3))  # a click keeps what it shows


def test_the_numbers_of_a_head_have_a_caption(viewer: Viewer) -> None:
    table = viewer.root.get_by_role("table", name="Number below each head", exact=True)
    assert table.locator("caption").count() == 1 and table.locator("[colspan]").count() == 0


def test_sentence_and_kind(viewer: Viewer) -> None:
    viewer.query.press("End")
    viewer.head(1, 1).check()
    sentence = viewer.root.get_by_label("Sentence")
    assert sentence.locator("option").all_inner_texts() == ["number 10", "number 20"]
    sentence.focus()
    viewer.page.keyboard.press("ArrowDown")
    viewer.assert_shows(sentence=1, layer=1, head=1)  # another sentence has other tokens: all of them are shown
    viewer.query.press("End")
    viewer.root.locator("label", has_text="decoder").get_by_text("decoder", exact=True).click()
    viewer.assert_shows(sentence=1, kind="decoder", layer=1, head=1)  # the other kind has this layer and head, too
    viewer.head(2, 1).check()
    viewer.query.press("End")
    viewer.assert_shows(sentence=1, kind="decoder", layer=2, head=1, query=3)
    viewer.root.get_by_role("radio", name="decoder", exact=True).focus()
    viewer.page.keyboard.press("ArrowRight")
    viewer.assert_shows(sentence=1, kind="cross", layer=2, head=1)
    viewer.query.press("End")
    viewer.assert_shows(sentence=1, kind="cross", layer=2, head=1, query=3)
    sentence.select_option("0")
    viewer.assert_shows(kind="cross", layer=2, head=1)


@pytest.mark.parametrize("width", (320, 1000))
def test_a_token_that_is_pointed_at_stays_under_the_pointer(viewer: Viewer, width: int) -> None:
    viewer.page.set_viewport_size({"width": width, "height": 900})
    viewer.page.wait_for_timeout(150)
    viewer.token(2).scroll_into_view_if_needed()
    before = viewer.token(2).bounding_box()
    viewer.token(2).hover()
    expect(viewer.token(2)).to_have_class("plm-heads-looks")
    assert viewer.token(2).bounding_box() == before


def test_number_below_each_head(viewer: Viewer) -> None:
    for name, text in TEXT["measures"].items():
        viewer.root.locator("tbody label", has_text=text).click()
        viewer.assert_shows(measure=name)
    viewer.page.keyboard.press("ArrowUp")
    viewer.assert_shows(measure="distance")
    viewer.root.get_by_role("radio", name="cross").check()
    viewer.assert_shows(measure="distance", kind="cross")  # there is none: spread is shown
    viewer.root.get_by_role("radio", name=TEXT["measures"]["special"]).check()
    viewer.assert_shows(measure="special", kind="cross")


@pytest.mark.parametrize("width", (320, 1000))
def test_pointing_shows_a_query_and_a_click_keeps_it(viewer: Viewer, width: int) -> None:
    viewer.page.set_viewport_size({"width": width, "height": 900})
    viewer.page.wait_for_timeout(150)
    viewer.assert_shows()
    viewer.token(2).hover()
    viewer.assert_shows(over=(2,))
    viewer.point(4, 1)
    viewer.assert_shows(over=(4, 1))
    viewer.point(0, 5)
    viewer.assert_shows(over=(0, 5))
    viewer.page.mouse.move(0, 0)
    viewer.assert_shows()
    viewer.token(3).click()
    viewer.page.mouse.move(0, 0)
    viewer.assert_shows(query=3)
    viewer.point(5, 0)
    viewer.assert_shows(query=3, over=(5, 0))
    viewer.page.mouse.down()
    viewer.page.mouse.up()
    viewer.page.mouse.move(0, 0)
    viewer.assert_shows(query=5)
    viewer.token(5).click()
    viewer.page.mouse.move(0, 0)
    viewer.assert_shows()
    viewer.page.set_viewport_size({"width": 1000, "height": 900})
    viewer.page.wait_for_timeout(150)


def test_change_is_announced_politely(viewer: Viewer) -> None:
    status = viewer.root.locator("[role=status]")
    expect(status).to_have_attribute("aria-live", "polite")
    viewer.query.press("ArrowRight")
    expect(status).to_contain_text("Encoder, layer 0, head 0. ")
    expect(status).to_contain_text("“\u2581The” (0) gives ")


COLOURS = """root => [...root.querySelectorAll('canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const pixels = Array.from({ length: data.length / 4 }, (_, n) => [...data.slice(4 * n, 4 * n + 4)]);
  return pixels.reduce((a, b) => (b[3] > a[3] ? b : a)).slice(0, 3);  // of the strongest: the others are rounded
})"""


def test_maps_follow_the_theme(viewer: Viewer) -> None:
    for theme, colour in (("dark", (125, 183, 255)), ("light", (11, 87, 164))):
        set_theme(viewer.page, theme)
        for found in viewer.root.evaluate(COLOURS):
            assert found == pytest.approx(colour, abs=4)


def test_example_answers_its_question(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """Heads for the token before, the next, [SEP], and all alike; and the widget says that they are made up."""
    viewer = Viewer(open_page(bare(tmp_path, AttentionViewer())))
    assert "made by rules, not by a model" in viewer.root.locator("option").inner_text()
    for layer, head, said in (
        (0, 0, "It mostly looks at the token before: 78\u00a0% of its weight."),
        (0, 1, "It mostly looks at the next token: 78\u00a0% of its weight."),
        (1, 0, "It mostly looks at special tokens: 89\u00a0% of its weight."),
        (1, 1, "It spreads its weight as if evenly over 9.0 tokens; an even head would have 9.0."),
    ):
        viewer.head(layer, head).check()
        expect(viewer.root.get_by_text(said)).to_be_visible()
    assert viewer.root.locator("fieldset").is_hidden()  # there is only one kind
    for name, count in (("previous", 0), ("next", 1), ("special", 2)):
        viewer.root.get_by_role("radio", name=TEXT["measures"][name], exact=True).check()
        assert viewer.root.evaluate(READ)["best"] == [n == count for n in range(4)]


# --- texts and sizes of all sorts -------------------------------------------------------------------------------------

ODD = [
    "[CLS]",
    "Donaudampfschifffahrtsgesellschaft",
    "\U0001f469\u200d\U0001f467",
    "\u05e9\u05dc\u05d5\u05dd",
    MARKUP[:60],
]
SORTS: dict[str, dict[str, Any]] = {
    "one token": {"tokens": ["a"], "attentions": [[[[1.0]]]]},
    "many": {"tokens": [f"token{i}" for i in range(64)], "attentions": weights(2, 2, 64, 64, 1)},
    "odd": {"tokens": ODD, "attentions": weights(12, 12, 5, 5, 2), "name": MARKUP},
    "wide": {"tokens": ["\u6f22" * 64] * 20, "attentions": weights(24, 16, 20, 20, 3)},
}


@pytest.mark.parametrize("width", (320, 1600))
@pytest.mark.parametrize("name", SORTS)
def test_every_sort_of_sentence_fits(name: str, width: int, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(bare(tmp_path, AttentionViewer([SORTS[name]])), width=width)
    assert page.locator(".plm-block").evaluate(STICKING_OUT) == []
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    viewer = Viewer(page, [SORTS[name]])
    if name in ("one token", "many"):
        viewer.assert_shows()
        viewer.query.press("End")
        viewer.assert_shows(query=len(SORTS[name]["tokens"]) - 1)
    assert page.locator(".plm-widget img").count() == 0
    small = """root => [...root.querySelectorAll('*')].filter((part) => part.checkVisibility())
      .map((part) => parseFloat(getComputedStyle(part).fontSize))"""
    assert min(viewer.root.evaluate(small)) >= 12
    # Rows of tokens are as high as the rows of the map, and no name runs into the next.
    high = "root => [...root.querySelectorAll('.plm-heads-side > *')].map((e) => e.getBoundingClientRect().height)"
    heights, ground = viewer.root.evaluate(high), viewer.map.bounding_box()
    assert ground is not None and sum(heights) == pytest.approx(ground["height"], abs=1) and min(heights) >= 14


# --- the model of a kernel --------------------------------------------------------------------------------------------


def test_python_moves_the_view_and_the_view_sets_the_trait(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), AttentionViewer([ENCODER]))
    viewer = Viewer(page)
    packed = json.loads(json.dumps(AttentionViewer(SENTENCES).state()))["sentences"]
    state: dict[str, Any] = {}
    for name, value in (
        ("sentences", packed),
        ("sentence", 1),
        ("kind", "cross"),
        ("layer", 2),
        ("head", 1),
        ("query", 3),
        ("measure", "special"),
    ):
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, value])
        if name != "sentences":
            state[name] = value
        viewer.assert_shows(**state)
    assert page.evaluate("sent") == [] and viewer.message.inner_text() == ""
    viewer.head(1, 0).check()
    viewer.query.press("ArrowLeft")
    viewer.token(0).click()
    page.mouse.move(0, 0)
    viewer.root.get_by_role("radio", name="encoder", exact=True).check()
    viewer.root.get_by_label("Sentence").select_option("0")
    assert [message for message in page.evaluate("sent") if message] == [
        {"layer": 1, "head": 0},
        {"query": 2},
        {"query": 0},
        {"query": -1, "kind": "encoder"},
        {"sentence": 0},
    ]
    viewer.assert_shows(measure="special", layer=1)


def test_senseless_sentences_of_a_kernel_leave_the_view(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), AttentionViewer(SENTENCES, query=2, layer=1))
    viewer = Viewer(page)
    good = json.loads(json.dumps(AttentionViewer(SENTENCES).state()))["sentences"]
    for spoil in (
        "all = []",
        "all = Array(13).fill(all[0])",
        "all = Array(10000).fill(all[0])",
        "all[0].tokens = []",
        "all[0].tokens = Array(10000).fill('a')",
        "all[0].tokens[0] = 3",
        "all[0].tokens[0] = ''",
        "all[0].target_tokens = []",
        "all[0].name = null",
        "delete all[1].attentions",
        "all[1].attentions = {}",
        "all[1].attentions.other = all[1].attentions.cross",
        "all[1].attentions.cross = null",
        "all[1].attentions.cross.layers = 0",
        "all[1].attentions.cross.layers = 2",
        "all[1].attentions.cross.heads = 1e9",
        "all[1].attentions.cross.weights = 'A==='",
        "all[1].attentions.cross.weights = '\\u20ac'",
        "all[1].attentions.cross.weights = all[1].attentions.cross.weights.slice(4)",
        "all[1].attentions.cross.weights = [1, 2, 3]",
    ):
        page.evaluate(f"(all) => {{ {spoil}; fake.fromKernel('sentences', all); }}", good)
        expect(viewer.message).to_contain_text("sentences must be a list of 1 to 12 sentences")
    viewer.assert_shows(query=2, layer=1)
    page.evaluate("(all) => fake.fromKernel('sentences', all)", good)
    assert viewer.message.inner_text() == ""
    for name, strange in (("sentence", 2), ("kind", "other"), ("layer", 2), ("head", 3), ("query", 6), ("query", -2)):
        before = page.evaluate(f"fake.get({name!r})")
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, strange])
        expect(viewer.message).to_contain_text(f"{name} must be")
        viewer.assert_shows(query=2, layer=1)
        page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, before])
    # Values that no longer fit are replaced, with a message.
    page.evaluate("(all) => fake.fromKernel('sentences', [all[1]])", good)
    viewer.sentences = SENTENCES[1:]
    viewer.assert_shows(query=2, layer=1)
    page.evaluate("fake.fromKernel('query', 0); fake.fromKernel('sentence', 1)")
    expect(viewer.message).to_contain_text("sentence must be")
    viewer.assert_shows(query=0, layer=1)


def test_nothing_is_left_behind(open_page: Callable[..., Page]) -> None:
    page = render_with_model(open_page("about:blank"), AttentionViewer(SENTENCES))
    page.evaluate("cleanup()")
    assert page.evaluate("fake.listeners()") == 0
    before = page.locator(".plm-widget").evaluate(COLOURS)
    set_theme(page, "dark")
    page.wait_for_timeout(50)
    assert page.locator(".plm-widget").evaluate(COLOURS) == before  # nobody watches the theme any more


NAMES = """root => {
  const isUpright = (part) => getComputedStyle(part).writingMode !== 'horizontal-tb';
  const whole = (part) =>
    isUpright(part) ? part.scrollHeight <= part.clientHeight : part.scrollWidth <= part.clientWidth;
  const read = (selector) => [...root.querySelectorAll(selector)].map((part) => {
    const { left, right } = part.getBoundingClientRect();
    return { text: (part.lastElementChild ?? part).textContent, shown: part.checkVisibility(), whole: whole(part),
      left, right, full: part.title };
  });
  return Object.fromEntries(Object.entries({
    queries: '.plm-heads-queries > span', keys: '.plm-heads-lines div[role=listitem] > span',
    rows: '.plm-heads-side > span', columns: '.plm-heads-top > div > span',
  }).map(([name, selector]) => [name, read(selector)]));
}"""
SENTINELS = [f"<extra_id_{n}>" if n % 3 else f"\u2581word{n}" for n in range(21)]


@pytest.mark.parametrize("width", (320, 358, 390, 1000))
@pytest.mark.parametrize("count", (5, 19, 64))
def test_tokens_can_be_told_apart_however_narrow_the_page(
    width: int, count: int, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    """A shortened token keeps its end, where sentinels differ; in the map, names of columns are side by side."""
    tokens = (SENTINELS * 4)[:count]
    one = {
        "tokens": tokens,
        "target_tokens": SENTINELS,
        "attentions": {"encoder": weights(2, 2, count, count, 0), "cross": weights(2, 2, 21, count, 1)},
    }
    page = open_page(bare(tmp_path, AttentionViewer([one])), width=width)
    for kind in ("encoder", "cross"):
        page.locator(f"input[value={kind}]").check()
        shown = page.locator(".plm-widget").evaluate(NAMES)
        for names in shown.values():
            assert [name for name in names if name["shown"] and not name["whole"]] == []
            assert len({name["text"] for name in names}) == len({name["full"] for name in names})
            assert [name for name in names if name["text"][-2:] != name["full"][-2:]] == []
        cut = "names => names.some(name => getComputedStyle(name).overflowX !== 'visible')"  # an underscore is low
        assert not page.locator(".plm-heads-top span").evaluate_all(cut)
        columns = [name for name in shown["columns"] if name["shown"]]
        assert len(columns) >= min(count, 10)
        assert all(one["right"] <= other["left"] + 1.5 for one, other in zip(columns, columns[1:], strict=False))
        assert all(name["shown"] for part in ("queries", "keys", "rows") for name in shown[part])


def test_page_and_picture_shorten_alike_and_a_screen_reader_hears_the_whole(open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank")
    page.evaluate(IMPORT, AttentionViewer()._esm)
    for text in ("", "abc", "<extra_id_0>", "<extra_id_99>", "\U0001f469\U0001f467" * 9, "internationalisation"):
        for most in (3, 4, 8, 11, 12):
            short = page.evaluate("([text, most]) => lib.shortened(text, most)", [text, most])
            assert short == shortened(text, most) and len(short) == min(len(text), most)
    svg, _ = drawn(AttentionViewer([{"tokens": ["<extra_id_10>", "<extra_id_11>"], "attentions": [[np.eye(2)]]}]))
    assert all(svg.count(f"&lt;ext\u2026_id_1{n}&gt;</text>") == 2 for n in (0, 1))
    page = open_page("about:blank")
    page.set_viewport_size({"width": 320, "height": 700})
    token = "donaudampfschifffahrtsgesellschaft"
    render_with_model(page, AttentionViewer([{"tokens": [token], "attentions": [[[[1.0]]]]}]))
    lines = page.locator(".plm-heads-lines").aria_snapshot()
    assert lines.count(token) == 2 and "\u2026" not in lines
