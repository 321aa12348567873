"""The widget of model sizes: its counts compared with the package's, and what a reader's moves show."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from widget_page import IMPORT, Scales, bare, drawn, path_of, render_with_model

from plm_lessons import AlbertConfig, BertConfig, RobertaConfig
from plm_lessons.models.costs import count_activations, count_multiply_adds, count_parameters, training_bytes
from plm_lessons.objectives import prediction_count
from plm_lessons.widgets import model_sizes
from plm_lessons.widgets.model_sizes import PUBLISHED, SHARED, VIEWS, ModelSizesWidget, Sizes, amount

RELEASED = {
    "BERT base": BertConfig.published("bert-base-uncased"),
    "BERT large": BertConfig.published("bert-large-uncased"),
    "RoBERTa base": RobertaConfig.published("roberta-base"),
    "RoBERTa large": RobertaConfig.published("roberta-large"),
    "ALBERT base": AlbertConfig.published("albert-base-v2"),
    "ALBERT large": AlbertConfig.published("albert-large-v2"),
    "ALBERT xlarge": AlbertConfig.published("albert-xlarge-v2"),
    "ALBERT xxlarge": AlbertConfig.published("albert-xxlarge-v2"),
}


def config_of(state: dict[str, Any]) -> AlbertConfig:
    """Return the package's configuration that has the sizes of a widget's state."""
    rate = 0.1 if state["dropout"] else 0.0
    left = {name: state[name] for name in (*Sizes._fields, "intermediate_size") if name != "dropout"}
    return AlbertConfig(
        **left, embedding_mapping="when_sizes_differ", hidden_dropout_prob=rate, attention_probs_dropout_prob=rate
    )


def some_states(count: int) -> list[dict[str, Any]]:
    rng = random.Random(3)
    states = []
    for i in range(count):
        heads = rng.choice((1, 2, 12, 16))
        hidden = heads * rng.randint(1, 96)
        states.append(
            ModelSizesWidget(
                vocab_size=rng.randint(1, 300_000),
                embedding_size=rng.choice((hidden, rng.randint(1, 2048))),
                hidden_size=hidden,
                num_hidden_layers=rng.randint(1, 48),
                num_attention_heads=heads,
                shared_parameters=SHARED[i % 4],
                dropout=i % 3 == 0,
                max_position_embeddings=(longest := rng.randint(1, 2048)),
                type_vocab_size=rng.randint(1, 4),
                intermediate_size=rng.randint(1, 8192),
                head=("none", "masked_lm")[i % 2],
                sequence_length=rng.randint(1, longest),
                batch_size=rng.randint(1, 64),
            ).state()
        )
    return states


@pytest.fixture(scope="module")
def lib(open_shared_page: Callable[..., Page]) -> Page:
    """A page in which `lib` is the module of the widget."""
    page = open_shared_page("about:blank")
    page.evaluate(IMPORT, ModelSizesWidget()._esm)
    return page


ALL = """([c, B, S, P]) => [
  lib.countParameters(c), lib.countMultiplyAdds(c, S, P),
  lib.countActivations(c, B, S, P), lib.trainingBytes(c, B, S, P),
]"""


def without_pair(parts: dict[str, int]) -> dict[str, int]:
    assert parts.pop("pair head") == 0
    return parts


def assert_counts(lib: Page, config: BertConfig, state: dict[str, Any], length: int, predicted: int) -> None:
    """Page and Python count what the package counts, part by part, to the last unit."""
    head, batch = state["head"], 4
    found = lib.evaluate(ALL, [state, batch, length, predicted])
    parameters = without_pair(count_parameters(config, head))
    work = without_pair(count_multiply_adds(config, head, length, predicted))
    kept = without_pair(count_activations(config, head, batch, length, predicted))
    if head == "masked_lm":  # both count the scored positions as gathered
        assert kept["masked-LM head"] == found[2]["masked-LM head"]
    memory = training_bytes(config, head, batch, length, predicted)
    assert found == [parameters, work, kept, memory]
    sizes, inner = Sizes(*(state[name] for name in Sizes._fields)), state["intermediate_size"]
    assert model_sizes.count_parameters(sizes, inner, head) == parameters
    assert model_sizes.count_multiply_adds(sizes, inner, head, length, predicted) == sum(work.values())
    assert model_sizes.activation_bytes(sizes, inner, head, batch, length, predicted) == memory["activations"]


def test_published_models_cost_what_the_package_says(lib: Page) -> None:
    page = {c["name"]: c for c in lib.evaluate("lib.PUBLISHED")}
    assert list(page) == list(PUBLISHED) == list(RELEASED)
    for name, config in RELEASED.items():
        assert {field: page[name][field] for field in Sizes._fields} == PUBLISHED[name]._asdict()
        for head in ("none", "masked_lm"):
            for length, predicted in ((128, 19), (512, 77), (1, 1)):
                assert_counts(lib, config, {**page[name], "head": head}, length, predicted)


def test_amounts_are_written_in_one_way(lib: Page) -> None:
    for count, written, as_bytes in (
        (0, "0", "0\u00a0B"),
        (999.4, "999", "999\u00a0B"),
        (999.6, "1.000\u00a0k", "1.000\u00a0kB"),
        (65_792, "65.79\u00a0k", "65.79\u00a0kB"),
        (109_482_240, "109.5\u00a0M", "109.5\u00a0MB"),
        (22_961_135_616, "22.96\u00a0G", "22.96\u00a0GB"),
        (999_960_000_000, "1.000\u00a0T", "1.000\u00a0TB"),
    ):
        assert amount(count) == written and amount(count, "B") == as_bytes
        assert lib.evaluate("(n) => [lib.amount(n), lib.amount(n, 'B')]", count) == [written, as_bytes]
    rng = random.Random(5)
    for count in (10 ** rng.uniform(-1, 14) for _ in range(300)):
        assert lib.evaluate("(n) => lib.amount(n)", count) == amount(count)


LOOKS = """root => [...root.querySelectorAll('tbody .plm-key')].filter((key) => key.checkVisibility()).map((key) => {
  const { fill, fillOpacity } = getComputedStyle(key.querySelector('rect'));
  return [`${fill} ${fillOpacity}`, key.textContent];
})"""


@pytest.mark.parametrize("theme", ("light", "dark"))
def test_no_two_parts_look_alike(theme: str, address: str, open_page: Callable[..., Page]) -> None:
    """They differ in colour and strength, and in a letter that the bar has below every visible part."""
    page = open_page(address, color_scheme=theme)
    for view in ("parts", "memory"):
        page.locator(f"input[type=radio][value={view}]").check()
        root = page.locator(".plm-widget")
        looks = root.evaluate(LOOKS)
        assert len(looks) >= 4 and all(len(set(kind)) == len(looks) for kind in zip(*looks, strict=True))
        wide = root.evaluate(
            "root => [...root.querySelectorAll('.plm-bar rect')].filter((r) => r.width.baseVal.value > 4).length"
        )
        assert root.locator(".plm-bar text").count() >= wide >= 4


def test_any_sizes_cost_what_the_package_says(lib: Page) -> None:
    for state in some_states(60):
        length = state["sequence_length"]
        assert lib.evaluate("(n) => lib.predictionCount(n)", length) == prediction_count(length)
        assert_counts(lib, config_of(state), state, length, prediction_count(length))


# --- from Python's side -----------------------------------------------------------------------------------------------


def test_sizes_must_fit_together() -> None:
    widget = ModelSizesWidget()
    for name, value, rule in (
        ("hidden_size", 100, "a multiple of num_attention_heads = 64"),
        ("num_attention_heads", 48, "a divisor of hidden_size = 4096"),
        ("sequence_length", 513, "at most max_position_embeddings = 512"),
        ("max_position_embeddings", 511, "at least sequence_length = 512"),
    ):
        before = repr(widget)
        with pytest.raises(ValueError, match=rf"ModelSizesWidget\.{name} must be {rule}, got {value}"):
            setattr(widget, name, value)
        assert repr(widget) == before
    widget.set_state({"num_attention_heads": 5, "hidden_size": 100})
    assert (widget.hidden_size, widget.num_attention_heads) == (100, 5)
    for wrong in (0, 2, 1.0, None, "true"):
        with pytest.raises(ValueError, match=r"ModelSizesWidget\.dropout must be True or False"):
            widget.dropout = wrong


def test_picture_tells_what_is_counted() -> None:
    svg, rows = drawn(ModelSizesWidget(head="masked_lm", sequence_length=128, batch_size=2))
    config, told = RELEASED["ALBERT xxlarge"], dict(rows)
    parts = count_parameters(config, "masked_lm")
    assert {part: told[part] for part in parts if part in told} == {
        part: amount(count) for part, count in without_pair(parts).items()
    }
    assert told["Total"] == amount(sum(parts.values()))
    work = sum(count_multiply_adds(config, "masked_lm", 128, 19).values())
    assert told["Multiply-adds per token"] == amount(work / 128)
    memory = amount(sum(training_bytes(config, "masked_lm", 2, 128, 19).values()), "B")
    assert told["Memory in training (1 GB is 10\u2079 bytes)"] == memory
    assert svg.count("mark") > 9


# --- in the page ------------------------------------------------------------------------------------------------------

READ = """root => ({
  rows: Object.fromEntries([...root.querySelectorAll('tbody tr')].map((row) => [
    row.querySelector('th').lastChild.textContent, [...row.querySelectorAll('td')].map((cell) => cell.textContent),
  ])),
  bar: Object.fromEntries([...root.querySelectorAll('.plm-bar rect')].map((part) => [
    part.dataset.part, +part.getAttribute('width'),
  ])),
  labels: [...root.querySelectorAll('.plm-plot svg[role=img] > text:not(.plm-name)')].map((t) => [
    t.getAttribute('text-anchor'), +t.getAttribute('x'), +t.getAttribute('y'), t.textContent,
  ]),
  marks: Object.fromEntries([...root.querySelectorAll('.plm-plot [data-model]')].map((m) => [
    m.dataset.model, m.getAttribute('transform').match(/[\\d.-]+/g).map(Number),
  ])),
  curves: Object.fromEntries([...root.querySelectorAll('.plm-plot [data-curve]')].map((c) => [
    c.dataset.curve, c.getAttribute('d'),
  ])),
})"""


class Widget:
    """The widget on a page, and what it should show: the same state in Python."""

    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".plm-widget")
        self.python = ModelSizesWidget()

    def slider(self, name: str) -> Locator:
        return self.root.get_by_role("slider", name=name, exact=True)

    def show(self, view: str) -> None:
        self.root.locator(f'input[type=radio][value="{view}"]').check()
        self.python.view = view

    def assert_shows(self, **changes: Any) -> None:
        """The table, the bar and the plot show the package's counts for the state with these changes."""
        with self.python.hold_trait_notifications():
            for name, value in changes.items():
                setattr(self.python, name, value)
        state, shown = self.python.state(), self.root.evaluate(READ)
        config, head, length = config_of(state), state["head"], state["sequence_length"]
        predicted = prediction_count(length)
        parts = without_pair(count_parameters(config, head))
        work = without_pair(count_multiply_adds(config, head, length, predicted))
        memory = training_bytes(config, head, state["batch_size"], length, predicted)
        counts = memory if state["view"] == "memory" else parts
        total, unit = sum(counts.values()), "B" if state["view"] == "memory" else ""
        for part, count in counts.items():
            assert shown["rows"][part][:2] == [amount(count, unit), f"{100 * count / total:.1f} %"], part
        assert shown["rows"]["Total"][0] == amount(total, unit)
        if state["view"] != "memory":
            assert shown["rows"]["Total"][2] == amount(sum(work.values()) / length)
            for part, count in work.items():
                assert shown["rows"][part][2] == amount(count / length), part
        if state["view"] in ("parts", "memory"):
            width = sum(shown["bar"].values())
            for part, count in counts.items():
                assert shown["bar"].get(part, 0) == pytest.approx(width * count / total, abs=0.05)
        elif state["view"] == "models":
            places: dict[str, tuple[float, float]] = {"here": (sum(work.values()) / length, total)}
            for name, released in RELEASED.items():
                at = min(length, 512)
                if at == length:
                    cost = sum(count_multiply_adds(released, head, at, prediction_count(at)).values()) / at
                    places[name] = (cost, sum(count_parameters(released, head).values()))
            self.assert_marks(shown, places)
        else:
            self.assert_marks(shown, {"here": (state["embedding_size"] * 1e6, total)})

    def assert_marks(self, shown: dict[str, Any], places: dict[str, tuple[float, float]]) -> None:
        across = [(x, float(text)) for anchor, x, _, text in shown["labels"][:-2] if anchor == "middle"]
        (x0, v0), (x1, v1) = across[0], across[-1]
        scales = Scales(shown["labels"])
        for name, (work, count) in places.items():
            x, y = shown["marks"][name]
            wanted = v0 * (v1 / v0) ** ((x - x0) / (x1 - x0))
            assert wanted == pytest.approx(work / 1e6, rel=0.02), name
            assert float(scales.y(y)) == pytest.approx(count / 1e6, abs=scales.pixel), name


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return bare(tmp_path_factory.mktemp("sizes"), ModelSizesWidget())


@pytest.fixture
def widget(open_page: Callable[..., Page], address: str) -> Widget:
    return Widget(open_page(address))


@pytest.mark.parametrize("view", VIEWS)
def test_every_slider_moves_what_is_shown(widget: Widget, view: str) -> None:
    widget.show(view)
    widget.assert_shows()
    widget.slider("layers, L").press("ArrowRight")
    widget.assert_shows(num_hidden_layers=13)
    widget.slider("vocabulary, V").press("Home")
    widget.assert_shows(vocab_size=1000)
    widget.slider("embedding size, E").press("ArrowRight")
    widget.assert_shows(embedding_size=256)
    widget.slider("attention heads, A").press("ArrowLeft")
    widget.assert_shows(num_attention_heads=32)
    widget.slider("intermediate size, in H").press("ArrowLeft")
    widget.assert_shows(intermediate_size=3 * 4096)
    widget.slider("sequence length, S").press("ArrowLeft")
    widget.assert_shows(sequence_length=384)
    widget.slider("batch size, B").press("ArrowRight")
    widget.assert_shows(batch_size=16)
    box = widget.slider("layers, L").bounding_box()
    assert box is not None
    widget.page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)
    widget.assert_shows(num_hidden_layers=1)


def test_hidden_size_takes_heads_and_inner_size_along(widget: Widget) -> None:
    widget.show("parts")
    widget.slider("hidden size, H").press("ArrowLeft")
    widget.assert_shows(hidden_size=3072, num_attention_heads=64, intermediate_size=4 * 3072)
    expect(widget.root.locator(".plm-message")).to_have_text("")
    widget.slider("hidden size, H").press("ArrowLeft")
    widget.slider("hidden size, H").press("ArrowLeft")
    widget.slider("hidden size, H").press("ArrowLeft")
    widget.slider("hidden size, H").press("ArrowLeft")
    widget.assert_shows(hidden_size=1280, num_attention_heads=64, intermediate_size=4 * 1280)
    for _ in range(3):
        widget.slider("hidden size, H").press("ArrowLeft")
    assert widget.slider("hidden size, H").get_attribute("aria-valuetext") == "640"
    widget.slider("hidden size, H").press("Home")
    widget.assert_shows(hidden_size=128, num_attention_heads=64, intermediate_size=4 * 128)


def test_hidden_size_there_and_back_again(widget: Widget, open_page: Callable[..., Page]) -> None:
    """Nothing is lost, even if H passes the size of E, or a size that the heads do not divide."""
    hidden = widget.slider("hidden size, H")
    before = hidden.input_value()
    hidden.press("Home")
    widget.assert_shows(hidden_size=128, num_attention_heads=64, intermediate_size=4 * 128)
    while hidden.input_value() != before:
        hidden.press("ArrowRight")
    widget.assert_shows(hidden_size=4096, num_attention_heads=64, intermediate_size=4 * 4096, embedding_size=128)
    start = ModelSizesWidget(hidden_size=768, embedding_size=768, num_attention_heads=12, intermediate_size=3072)
    tied = Widget(render_with_model(open_page("about:blank"), start))
    hidden, now = tied.slider("hidden size, H"), 768
    for size, heads in ((640, 10), (768, 12), (1024, 8), (768, 12)):
        hidden.press("ArrowRight" if size > now else "ArrowLeft")
        tied.assert_shows(hidden_size=size, embedding_size=size, num_attention_heads=heads, intermediate_size=4 * size)
        now = size


def test_heads_that_cannot_stay_are_said(open_page: Callable[..., Page]) -> None:
    start = ModelSizesWidget(hidden_size=768, num_attention_heads=12, intermediate_size=3072)
    widget = Widget(render_with_model(open_page("about:blank"), start))
    widget.slider("hidden size, H").press("ArrowRight")
    expect(widget.root.locator(".plm-message")).to_contain_text(
        "The number of heads must divide H: at H = 1024 it is 8."
    )
    widget.assert_shows(hidden_size=1024, num_attention_heads=8, intermediate_size=4096)


@pytest.mark.parametrize("by", ("keyboard", "pointer"))
def test_published_models_are_chosen(widget: Widget, by: str) -> None:
    widget.slider("sequence length, S").press("ArrowLeft")
    widget.assert_shows(sequence_length=384)  # and it stays so
    select = widget.root.get_by_role("combobox", name="published model", exact=True)
    expect(select).to_have_value("ALBERT xxlarge")
    for name in ("ALBERT xlarge", "ALBERT large", "ALBERT base", "RoBERTa large", "RoBERTa base", "BERT large"):
        if by == "keyboard":
            select.press("ArrowUp")
        else:
            select.select_option(name)
        sizes = PUBLISHED[name]
        widget.assert_shows(**sizes._asdict(), intermediate_size=4 * sizes.hidden_size)
        expect(select).to_have_value(name)
    widget.slider("layers, L").press("ArrowRight")
    expect(select).to_have_value("")


def test_sharing_head_and_dropout(widget: Widget) -> None:
    widget.show("memory")
    for shared in ("none", "attention", "feed_forward", "all"):
        widget.root.get_by_role("combobox", name="layers share", exact=True).select_option(shared)
        widget.assert_shows(shared_parameters=shared)
    widget.root.get_by_label("dropout").press("Space")
    widget.assert_shows(dropout=True)
    widget.root.get_by_role("combobox", name="head", exact=True).select_option("masked_lm")
    for view in VIEWS:
        widget.show(view)
        widget.assert_shows(head="masked_lm")


def test_positions_and_segments_are_typed(widget: Widget) -> None:
    widget.show("parts")
    widget.root.get_by_label("positions in the table").fill("1024")
    widget.root.get_by_label("segments in the table").fill("1")
    widget.assert_shows(max_position_embeddings=1024, type_vocab_size=1)
    widget.slider("sequence length, S").press("ArrowRight")
    widget.assert_shows(sequence_length=1024)
    widget.slider("sequence length, S").press("ArrowRight")
    expect(widget.root.locator(".plm-message")).to_contain_text("S cannot exceed the 1024 positions of the table.")
    field = widget.root.get_by_label("positions in the table")
    field.fill("100")
    field.press("Tab")
    expect(widget.root.locator(".plm-message")).to_have_text("Choose from 1024 (S) to 8192 positions.")
    widget.assert_shows()


def test_curve_of_the_embedding_size(widget: Widget) -> None:
    """Each point is the package's count; the curve meets the line for BERT's way near V*E + E*H = V*H."""
    widget.show("embedding")
    shown = widget.root.evaluate(READ)
    across = [(x, float(text)) for anchor, x, _, text in shown["labels"][:-2] if anchor == "middle"]
    (x0, v0), (x1, v1) = across[0], across[-1]
    xs, ys = path_of(shown["curves"]["factored"])
    scales = Scales(shown["labels"])
    heights = scales.y(ys)
    for x, height in list(zip(xs, heights, strict=True))[::12]:
        width = round(v0 * (v1 / v0) ** ((x - x0) / (x1 - x0)))
        config = config_of({**widget.python.state(), "embedding_size": width})
        assert height == pytest.approx(sum(count_parameters(config).values()) / 1e6, abs=2 * scales.pixel)
    line = float(scales.y(path_of(shown["curves"]["tied"])[1][0]))
    tied = config_of({**widget.python.state(), "embedding_size": 4096})
    assert line == pytest.approx(sum(count_parameters(tied).values()) / 1e6, abs=scales.pixel)
    crossing = xs[(heights > line).argmax()]
    assert v0 * (v1 / v0) ** ((crossing - x0) / (x1 - x0)) == pytest.approx(30000 * 4096 / 34096, rel=0.08)


OVERLAPS = """root => {
  const seen = [...root.querySelectorAll('.plm-name')].filter((t) => t.checkVisibility({ visibilityProperty: true }));
  const boxes = seen.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  return [boxes.length, boxes.flatMap(([name, a], i) =>
    boxes.slice(i + 1).filter(([, b]) => over(a, b)).map(([other]) => [name, other]))];
}"""


@pytest.mark.parametrize("width", (320, 390, 1000))
def test_names_of_models_do_not_run_into_each_other(width: int, address: str, open_page: Callable[..., Page]) -> None:
    widget = Widget(open_page(address, width=width))
    widget.show("models")
    assert widget.root.evaluate(OVERLAPS) == [8, []]
    for name in ("vocabulary, V", "embedding size, E", "hidden size, H", "intermediate size, in H", "layers, L"):
        for key in ("Home", "End"):
            widget.slider(name).press(key)
            count, overlaps = widget.root.evaluate(OVERLAPS)
            assert count >= 2 and overlaps == [], name
    widget.root.get_by_role("combobox", name="published model", exact=True).select_option("BERT base")
    assert widget.root.evaluate(OVERLAPS) == [8, []]


def test_python_and_the_view_move_each_other(open_page: Callable[..., Page]) -> None:
    widget = Widget(render_with_model(open_page("about:blank"), ModelSizesWidget()))
    for name, value in (("view", "parts"), ("vocab_size", 12_345), ("num_hidden_layers", 60), ("dropout", True)):
        widget.page.evaluate("([name, value]) => fake.fromKernel(name, value)", [name, value])
        widget.assert_shows(**{name: value})
    assert widget.page.evaluate("sent") == []
    widget.page.evaluate("fake.fromKernel('num_attention_heads', 48)")
    expect(widget.root.locator(".plm-message")).to_have_text("num_attention_heads must divide hidden_size.")
    widget.assert_shows()
    widget.page.evaluate("fake.fromKernel('num_attention_heads', 64)")
    widget.root.get_by_role("combobox", name="layers share", exact=True).select_option("none")
    assert widget.page.evaluate("sent") == [{"shared_parameters": "none"}]
