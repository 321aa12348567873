"""Widgets from Python's side: traits, the three forms of a display, the static picture; and the page's mathematics.

What a reader does with the GELU widget is tested in test_gelu_page.py.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import traitlets
from hypothesis import example, given
from hypothesis import strategies as st
from playwright.sync_api import Page
from widget_page import IMPORT, MARKUP, Strict, close, drawn, path_of, render_with_model
from write_goldens import gelu

from plm_lessons.widgets import GeluWidget
from plm_lessons.widgets.base import LessonWidget, inert
from plm_lessons.widgets.gelu import CURVES, TEXT, VIEWS, normal_cdf, uniforms
from plm_lessons.widgets.picture import COLOURS, DASHES, MARKS, figure, table, ticks, written

HERE = Path(__file__).resolve().parent
GOLDEN = json.loads((HERE / "golden" / "gelu.json").read_text())
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
NAMES = ("exact", "tanh", "sigmoid", "relu", "constant", "bracket")


# --- traits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trait", "wrong"),
    [
        *(
            ("x", value)
            for value in (math.nan, math.inf, -math.inf, 4.001, -5, "1", None, True, 1j, [1.0], np.zeros(2))
        ),
        *(("view", value) for value in ("curves", "", None, 3, ["function"])),
        *(
            ("curves", value)
            for value in ("exact", ["gelu"], ["exact", "exact"], [1], None, {"exact"}, ["<b>exact</b>"])
        ),
        *(("seed", value) for value in (-1, 2**32, 1.5, "0", True, math.nan, None)),
        *(("draws", value) for value in (-1, 10_001, 2.0, "9", False, None)),
    ],
)
def test_wrong_value_is_refused_by_name_and_changes_nothing(trait: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"GeluWidget\.{trait} must be .+, got {re.escape(repr(wrong))}"):
        GeluWidget(**{trait: wrong})
    widget = GeluWidget(x=1.5, view="masks", curves=("relu",), seed=7, draws=9)
    before = repr(widget)
    with pytest.raises(ValueError, match=rf"GeluWidget\.{trait} must be"):
        setattr(widget, trait, wrong)
    assert repr(widget) == before
    # What a front end sends passes the same check.
    with pytest.raises(traitlets.TraitError):
        widget.set_state({trait: wrong})
    assert repr(widget) == before


def test_error_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=re.escape("GeluWidget.x must be a number from -4 to 4, got 9")):
        GeluWidget(x=9)
    with pytest.raises(ValueError, match="'exact', 'tanh', 'sigmoid', 'relu', 'constant', 'bracket'"):
        GeluWidget(curves=("erf",))
    with pytest.raises(ValueError, match="'function', 'derivative', 'difference', 'masks'"):
        GeluWidget(view="plot")
    with pytest.raises(TypeError, match="colour"):
        GeluWidget(colour="red")  # type: ignore[call-arg]


def test_right_values_are_kept_as_plain_python() -> None:
    widget = GeluWidget(x=np.float32(0.5), seed=np.int64(3), curves=["bracket", "exact"], draws=np.uint8(4))  # type: ignore[arg-type]
    assert repr(widget) == "GeluWidget(x=0.5, curves=('exact', 'bracket'), seed=3, draws=4)"
    assert type(widget.x) is float and type(widget.seed) is int
    assert repr(GeluWidget(x=-0.0)) == repr(GeluWidget(x=0.0))
    again = eval(repr(widget), {"GeluWidget": GeluWidget})
    assert again.state() == widget.state()


# --- the three forms --------------------------------------------------------------------------------------------------


def forms(widget: LessonWidget) -> dict[str, Any]:
    data, _ = widget._repr_mimebundle_()
    return data


def test_display_offers_live_view_block_and_text() -> None:
    widget = GeluWidget(x=-3)
    data = forms(widget)
    assert data[WIDGET_VIEW]["model_id"] == widget.model_id
    assert data["text/html"] == widget.html()
    assert data["text/plain"] == "GeluWidget(x=-3.0)"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the package of this repository, wherever the notebook under test is."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=HERE.parent, env=environment
    )


@pytest.mark.parametrize("view", VIEWS)
def test_block_is_well_formed_and_points_nowhere(view: str) -> None:
    html = GeluWidget(view=view, draws=30).html()
    parsed = Strict(html)
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    for _, attributes in parsed.tags:
        assert not {"href", "id", "onclick", "onload"} & set(attributes)
        assert (attributes.get("src") or "data:image/svg+xml;base64,").startswith("data:image/svg+xml;base64,")
    # The only address is the name of SVG's namespace, which is never fetched.
    assert set(re.findall(r"https?://[^\s\"'`]+", html)) == {"http://www.w3.org/2000/svg"}
    assert "import " not in re.sub(r"//.*", "", LessonWidget._esm.fget(GeluWidget()))  # type: ignore[attr-defined]


class Hostile(LessonWidget):
    """A widget whose state and text try to break out of their places."""

    name = "gelu"
    fields = ("words",)
    words = traitlets.Unicode("</script><script>alert(1)</script><!--\u2028\u202e&amp;'\"\\").tag(sync=True)

    def picture(self) -> str:
        return figure(self.words, "", table([(self.words, self.words)]), self.words)


def test_hostile_text_stays_text() -> None:
    widget = Hostile()
    html = widget.html()
    parsed = Strict(html)
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    state = re.search(r'<script [^>]*type="application/json">(.*?)</script>', html, re.DOTALL)
    assert state is not None and json.loads(state[1]) == {"words": widget.words}
    assert parsed.texts["th"] == parsed.texts["td"] == widget.words
    for text in ("a </script> b", "a </SCRIPT", "a <!-- b"):
        with pytest.raises(ValueError, match="script"):
            inert(text, "script")


def test_stored_block_passes_strict_nbval_and_another_state_fails(tmp_path: Path) -> None:
    """As in the book: it is stored without the kernel's view, and compared in a later run, which has one."""
    data = forms(GeluWidget(x=-3))
    del data[WIDGET_VIEW]
    notebook = nbformat.v4.new_notebook()
    for count, x in enumerate((-3, -2), start=1):
        source = f"from plm_lessons.widgets import GeluWidget\n\nGeluWidget(x={x})"
        output = nbformat.v4.new_output("execute_result", data, execution_count=count)
        notebook.cells.append(nbformat.v4.new_code_cell(source, execution_count=count, outputs=[output]))
    nbformat.write(notebook, tmp_path / "widget.ipynb")
    run = python("-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-rA", str(tmp_path / "widget.ipynb"))
    assert re.search(r"PASSED .*Cell 0", run.stdout) and re.search(r"FAILED .*Cell 1", run.stdout), run.stdout


# --- the picture for readers without JavaScript -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_python_mathematics_equals_torch(name: str) -> None:
    curve, wanted = CURVES[name], GOLDEN["curves"][name]
    close([curve.f(x) for x in GOLDEN["x"]], wanted["f"], 1e-12)
    close([curve.slope(x) for x in GOLDEN["x"]], wanted["slope"], 1e-12)


def test_goldens_are_what_torch_says() -> None:
    for name, curve in gelu()["curves"].items():
        close(curve["f"], GOLDEN["curves"][name]["f"], 1e-14)
        close(curve["slope"], GOLDEN["curves"][name]["slope"], 1e-14)


def test_misprints_are_the_ones_of_the_notes() -> None:
    """Values computed for the notes' formula as it is printed, and for its constant alone (five digits)."""
    assert [round(CURVES["bracket"].f(x), 4) for x in (-3, -2, -1, 1, 3)] == [2.7486, 0.5757, -0.1529, 0.8471, 5.7486]
    assert [round(CURVES["constant"].f(x), 6) for x in (-3, -1, 3)] == [-0.003276, -0.15829, 2.996724]


@pytest.mark.parametrize("x", (-4.0, -1.25, 2.5))
@pytest.mark.parametrize("view", ("function", "derivative", "difference"))
def test_picture_draws_and_tells_the_values(view: str, x: float) -> None:
    widget = GeluWidget(x=x, view=view, curves=NAMES)
    svg, rows = drawn(widget)
    assert all(f">{TEXT['curves'][name]}</text>" in svg for name in NAMES)  # the key
    i = GOLDEN["x"].index(x)
    scale = axis(svg)
    low, high = sorted(
        scale(float(end)) for end in re.findall(r'class="grid" [^>]*y1="([\d.]+)" y2="([\d.]+)"', svg)[0]
    )
    for name, kind in zip(NAMES, range(6), strict=True):
        wanted = GOLDEN["curves"][name]["slope" if view == "derivative" else "f"][i]
        if view == "difference":
            wanted -= GOLDEN["curves"]["exact"]["f"][i]
        (told,) = (value for label, value in rows if label.startswith(TEXT["curves"][name] + ","))
        assert told == written(wanted)
        # The mark is at this value on the axis as labelled, or on the edge if the value lies beyond.
        _, at = re.findall(rf'class="c{kind} mark" d="[^"]*" transform="translate\(\S+ (\S+)\)"', svg)
        assert abs(scale(float(at)) - min(high, max(low, wanted))) < 0.003 * (high - low)


def axis(svg: str) -> Callable[[float], float]:
    """The vertical scale by the labels of its ticks, from pixels to values."""
    labels = re.findall(r'<text x="44.0" y="([\d.]+)" text-anchor="end">([^<]+)</text>', svg)
    pixels = [float(y) - 4 for y, _ in labels]
    values = [float(text.replace("\u2212", "-")) for _, text in labels]
    assert len(values) >= 3
    slope, start = np.polyfit(pixels, values, 1)
    return lambda pixel: float(start + slope * pixel)


def test_picture_and_page_look_alike() -> None:
    style, script = GeluWidget()._css, GeluWidget()._esm
    for name, (light, dark) in COLOURS.items():
        assert f"--plm-{name}: {light};" in style and f"--plm-{name}: light-dark({light}, {dark})" in style
    for dash in DASHES[1:]:
        assert f"stroke-dasharray: {dash};" in style
    assert json.dumps(MARKS, ensure_ascii=False) in script


def test_picture_of_masks_tells_the_mean() -> None:
    _, rows = drawn(GeluWidget(x=1.0, view="masks", seed=5, draws=400))
    kept = sum(u < 0.8413447460685429 for u in uniforms(5, 400))
    told = dict(rows)
    assert told["Masks drawn"] == "400"
    assert told["Kept (m = 1)"] == f"{kept} = {kept / 4:.1f} %"
    assert told["Mean of m·x"] == written(kept / 400)
    assert told["Expected: x·Φ(x), the exact GELU"] == "0.84134"


@pytest.mark.parametrize("x", (-1.0, 1.0))
def test_the_band_of_a_picture_is_two_standard_errors_wide(x: float) -> None:
    svg, _ = drawn(GeluWidget(x=x, view="masks", draws=400))
    [band] = re.findall(r'class="band" d="([^"]*)"', svg)
    chance, scale, (_, up) = normal_cdf(x), axis(svg), path_of(band)
    for at_one_mask, errors in ((up[0], 2), (up[-1], -2)):
        wanted = x * chance + errors * math.sqrt(chance * (1 - chance))
        assert scale(at_one_mask) == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("x", (-4.0, 0.0, 4.0, 1e-9))
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("curves", ((), ("exact",), NAMES))
def test_picture_holds_at_the_edges(x: float, view: str, curves: tuple[str, ...]) -> None:
    for draws in (0, 1, 10_000 if view == "masks" and curves else 11):
        svg, rows = drawn(GeluWidget(x=x, view=view, curves=curves, draws=draws))
        assert not re.search("nan|inf", svg) and len(rows) == (5 if view == "masks" else 1 + len(curves))


@given(low=st.floats(-100, 100), width=st.floats(1e-4, 100), count=st.integers(2, 12))
@example(low=1.0, width=41.0, count=2)
def test_ticks_are_round_inside_and_evenly_spaced(low: float, width: float, count: int) -> None:
    found = ticks(low, low + width, count)
    assert 1 <= len(found) <= 2 * count + 1
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in found)
    if len(found) > 1:
        step = found[1] - found[0]
        assert np.allclose(np.diff(found), step, rtol=1e-3, atol=1e-7)


# --- random masks -----------------------------------------------------------------------------------------------------


def mulberry32(seed: int, count: int) -> np.ndarray:
    """The generator once more, with numpy's wrapping integers."""
    with np.errstate(over="ignore"):
        state = np.uint32(seed) + np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x6D2B79F5)
        z = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
        z ^= z + (z ^ (z >> np.uint32(7))) * (z | np.uint32(61))
    return (z ^ (z >> np.uint32(14))) / 2**32


@pytest.mark.parametrize("seed", (0, 1, 12345, 2**31, 2**32 - 1))
def test_generator_is_mulberry32(seed: int) -> None:
    assert uniforms(seed, 500) == mulberry32(seed, 500).tolist()


def test_mean_of_masks_goes_to_gelu() -> None:
    """Over 400 seeds: Hoeffding's bound makes a difference above 0.0105*|x| less likely than 2e-7 for fair masks."""
    count = 200
    draws = 400 * count
    bound = math.sqrt(math.log(2 / 2e-7) / (2 * draws))
    for x in (-1.5, -0.3, 0.8):
        kept = sum(GeluWidget(x=x, view="masks", seed=seed, draws=count).kept_so_far()[-1] for seed in range(400))
        assert abs(x * kept / draws - x * normal_cdf(x)) < abs(x) * bound


# --- the mathematics in the page --------------------------------------------------------------------------------------


@pytest.fixture
def module(open_page: Callable[..., Page]) -> Page:
    """A page in which `lib` is the module of the GELU widget."""
    page = open_page("about:blank")
    page.evaluate(IMPORT, GeluWidget()._esm)
    return page


def test_page_mathematics_equals_torch(module: Page) -> None:
    """Within 1e-12 of torch's double precision, over twice the slider's range."""
    for name in NAMES:
        found = module.evaluate(
            "([name, xs]) => ['f', 'slope'].map((what) => xs.map(lib.CURVES[name][what]))", [name, GOLDEN["x"]]
        )
        close(found[0], GOLDEN["curves"][name]["f"], 1e-12)
        close(found[1], GOLDEN["curves"][name]["slope"], 1e-12)
    close(module.evaluate("(zs) => zs.map(lib.erf)", GOLDEN["z"]), GOLDEN["erf"], 1e-14)
    close(module.evaluate("(zs) => zs.map(lib.Phi)", GOLDEN["z"]), GOLDEN["Phi"], 1e-14)


def test_page_mathematics_at_strange_numbers(module: Page) -> None:
    assert module.evaluate("[lib.erf(Infinity), lib.erf(-Infinity), lib.erf(0), lib.erf(NaN)].map(String)") == [
        *("1", "-1", "0", "NaN")
    ]
    assert module.evaluate("lib.mulberry32(0, 0).length") == 0
    assert module.evaluate("Array.from(lib.keptSoFar(lib.mulberry32(0, 0), 1))") == []


def test_text_given_to_an_element_stays_text(module: Page) -> None:
    markup = "<img src=x onerror=alert(1)></p><script>alert(2)</script>"
    found = module.evaluate(
        "(t) => { const p = lib.node('p', { title: t }, t); return [p.textContent, p.title, p.children.length]; }",
        markup,
    )
    assert found == [markup, markup, 0]


def test_page_and_python_agree(module: Page) -> None:
    assert module.evaluate("Object.keys(lib.CURVES)") == list(CURVES)
    for seed in (0, 99, 2**32 - 1):
        assert list(module.evaluate("(s) => Array.from(lib.mulberry32(s, 300))", seed)) == uniforms(seed, 300)
    widget = GeluWidget(x=-0.4, seed=3, draws=1000)
    assert module.evaluate("Array.from(lib.keptSoFar(lib.mulberry32(3, 1000), -0.4))") == widget.kept_so_far()
    numbers = [0, 1.25, -0.5, 9.99e-4, -0.00047, 0.001, 123.456789, -1e-12, 5.7486]
    assert module.evaluate("(all) => all.map((v) => lib.format(v))", numbers) == [written(v) for v in numbers]
    for low, high, count in ((-4, 4, 8), (-0.00023, 0.00048, 7), (0, 10_000, 5)):
        assert module.evaluate("(a) => lib.ticks(...a)", [low, high, count]) == ticks(low, high, count)
    source = GeluWidget()._esm
    for text in (*TEXT["curves"].values(), *(t for t in TEXT.values() if isinstance(t, str) and t != TEXT["live"])):
        assert json.dumps(text, ensure_ascii=False) in source, f"the page says {text!r} in other words"


# --- the model interface of anywidget ---------------------------------------------------------------------------------


@pytest.fixture
def with_model(open_page: Callable[..., Page]) -> Callable[..., Page]:
    def start(**state: Any) -> Page:
        return render_with_model(open_page("about:blank"), GeluWidget(), **state)

    return start


def cell(page: Page, name: str) -> str:
    label = TEXT["curves"][name]
    return page.locator("tr", has_text=label).locator("td").first.inner_text()


def test_moving_the_view_sets_the_trait(with_model: Callable[..., Page]) -> None:
    page = with_model()
    page.get_by_role("slider").press("ArrowRight")
    assert page.evaluate("sent") == [{"x": -0.74}]
    page.get_by_role("checkbox", name="ReLU").check()
    assert page.evaluate("sent.at(-1)") == {"curves": ["exact", "tanh", "relu", "bracket"]}
    page.get_by_role("radio", name="random masks").check()
    assert page.evaluate("sent.at(-1)") == {"view": "masks"}
    page.get_by_role("button", name="Draw 100", exact=True).click()
    assert page.evaluate("sent.at(-1)") == {"draws": 100}
    page.get_by_label("seed").fill("5")
    assert page.evaluate("sent.at(-1)") == {"seed": 5}
    # Python accepts everything that was sent.
    widget = GeluWidget()
    for message in page.evaluate("sent"):
        widget.set_state(message)
    assert repr(widget) == (
        "GeluWidget(x=-0.74, view='masks', curves=('exact', 'tanh', 'relu', 'bracket'), seed=5, draws=100)"
    )


def test_keys_of_the_notebook_do_not_take_those_of_the_controls(with_model: Callable[..., Page]) -> None:
    """JupyterLab moves between cells on arrow keys and cuts a cell on X, even while a slider in it has the focus."""
    page = with_model()
    page.evaluate("""() => {
      window.outside = [];
      document.body.addEventListener('keydown', (event) => {
        window.outside.push(event.key);
        event.preventDefault();
      });
    }""")
    slider = page.get_by_role("slider")
    for key in ("ArrowRight", "ArrowUp", "x"):
        slider.press(key)
    assert slider.input_value() == "-0.73" and page.evaluate("outside") == []
    for key in ("Control+s", "Escape"):  # saving the notebook and leaving the cell still work
        slider.press(key)
    assert page.evaluate("outside") == ["Control", "s", "Escape"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("x", value) for value in ("NaN", "Infinity", "-Infinity", "5", "null", "'2'", "undefined", "[1]")),
        *(("view", value) for value in ("'toString'", "''", "null", "7", json.dumps(MARKUP))),
        *(
            ("curves", value)
            for value in ("['nan']", "['exact', 'exact']", "'exact'", "null", json.dumps([MARKUP]), "{}")
        ),
        *(("seed", value) for value in ("-1", "0.5", "NaN", "2**32", "'0'")),
        *(("draws", value) for value in ("-1", "NaN", "1e9", "10001", "null")),
    ],
)
def test_senseless_value_is_named_and_the_view_stays(with_model: Callable[..., Page], name: str, wrong: str) -> None:
    page = with_model()
    before = cell(page, "exact")
    page.evaluate(f"fake.fromKernel('{name}', {wrong})")
    assert page.locator(".plm-message").inner_text().startswith(f"{name} must ")
    assert cell(page, "exact") == before
    assert page.locator("svg[role=img]").is_visible()
    assert page.locator("img, .plm-widget script").count() == 0
    assert "NaN" not in page.locator(".plm-widget").inner_html()
    good = {"x": "1", "view": "'function'", "curves": "['exact']", "seed": "1", "draws": "1"}[name]
    page.evaluate(f"fake.fromKernel('{name}', {good})")
    assert page.locator(".plm-message").inner_text() == ""


def test_senseless_first_state_still_draws(with_model: Callable[..., Page]) -> None:
    page = with_model(x=None, view=MARKUP, curves=7, seed="a", draws=-4)
    assert page.locator(".plm-message").inner_text() != ""
    assert page.locator("svg[role=img]").is_visible() and cell(page, "exact") == "\u22120.16997"
