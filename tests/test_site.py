"""The built book in a browser, as a reader has it: no other host, no kernel, any theme, any width."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import build_book
import make_notebooks
import pytest
import yaml
from playwright.sync_api import Browser, Page, Route, expect
from widget_page import STOP_TRANSITIONS, TWO_FRAMES, UNFINISHED, moved_by_pointer, operate, set_theme, wait_until

ROOT = build_book.ROOT
SITE = build_book.SITE
URL, BRANCH = make_notebooks.repository()
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [chapter["file"] for part in TOC["parts"] if part["caption"] != "Reference" for chapter in part["chapters"]]
APPENDICES = [page["file"] for part in TOC["parts"] if part["caption"] == "Appendix" for page in part["chapters"]]
# Pages of every kind: one of the reference stands for all of them; tests/test_site_files.py reads the files of all.
PAGES = [TOC["root"], *CHAPTERS, "book/glossary", "book/versions", "book/reference/models", "genindex", "search"]
BYTES_A_PAGE = 600_000
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def opened(book_site: str, open_shared_page: OpenPage) -> Callable[[str], Page]:
    """Return a function that gives the page with a name, opened once for all tests that leave it as it is."""
    pages: dict[str, Page] = {}

    def page_of(name: str) -> Page:
        if name not in pages:
            pages[name] = open_shared_page(f"{book_site}/{name}.html", color_scheme="light")
            pages[name].evaluate(STOP_TRANSITIONS)
        return pages[name]

    return page_of


@contextmanager
def as_wide_as(page: Page, width: int) -> Iterator[None]:
    """Give the page another width, with layout and drawings up to date; afterwards restore the old one."""
    before = page.viewport_size
    assert before is not None
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate(TWO_FRAMES)
    try:
        yield
    finally:
        page.set_viewport_size(before)


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request: pytest.FixtureRequest) -> str:
    """The name of a chapter."""
    return str(request.param)


@pytest.fixture(scope="module")
def chapter_page(chapter: str, opened: Callable[[str], Page]) -> Page:
    """The page of a chapter."""
    return opened(chapter)


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes, and the text of its style sheets."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.styles: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self.styles.append(data)


def parsed(path: Path) -> Tags:
    """Return the tags of the page at `path`."""
    tags = Tags()
    tags.feed(path.read_text(encoding="utf-8"))
    return tags


def loaded_addresses(tags: Tags) -> Iterator[str]:
    """Yield the address of everything that a browser fetches for a page without being asked to."""
    for tag, attributes in tags.tags:
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "track", "input"):
            yield attributes.get("src", "")
            yield from (part.split()[0] for part in attributes.get("srcset", "").split(",") if part.strip())
        if tag == "object":
            yield attributes.get("data", "")
        fetching = {
            "stylesheet",
            "preload",
            "modulepreload",
            "prefetch",
            "preconnect",
            "dns-prefetch",
            "icon",
            "manifest",
        }
        if tag == "link" and fetching & set(attributes.get("rel", "").split()):
            yield attributes.get("href", "")
        yield from css_addresses(attributes.get("style", ""))
    for style in tags.styles:
        yield from css_addresses(style)


def css_addresses(css: str) -> Iterator[str]:
    """Yield the addresses that a style sheet fetches."""
    for quoted in re.findall(r"url\(([^)]*)\)|@import\s+[\"']([^\"']+)", css):
        yield "".join(quoted).strip("\"' ")


# Without a browser: what the files say


@pytest.mark.usefixtures("book_site")
def test_no_file_of_the_site_fetches_from_another_host() -> None:
    for path in SITE.rglob("*.html"):
        for address in loaded_addresses(parsed(path)):
            assert not urlsplit(address).netloc, f"{path.relative_to(SITE)} fetches {address}"
    for path in SITE.rglob("*.css"):
        for address in css_addresses(path.read_text(encoding="utf-8")):
            assert not urlsplit(address).netloc, f"{path.relative_to(SITE)} fetches {address}"


@pytest.mark.usefixtures("book_site")
def test_no_page_makes_a_browser_fetch_another_one_unasked() -> None:
    """Firefox does so for `next`, and the policy of the site has it complain on every page."""
    for path in SITE.rglob("*.html"):
        kinds = {kind for tag, of in parsed(path).tags if tag == "link" for kind in of.get("rel", "").split()}
        assert not kinds & {"next", "prefetch", "prerender"}, path.relative_to(SITE)


@pytest.mark.usefixtures("book_site")
def test_every_link_inside_the_book_leads_somewhere() -> None:
    tags = {path: parsed(path) for path in SITE.rglob("*.html")}
    ids = {
        path: {attributes[name] for _, attributes in page.tags for name in ("id", "name") if name in attributes}
        for path, page in tags.items()
    }
    for path, page in tags.items():
        here = f"http://book/{path.relative_to(SITE).as_posix()}"
        for tag, attributes in page.tags:
            if tag != "a" or "href" not in attributes:
                continue
            address, fragment = urldefrag(urljoin(here, attributes["href"]))
            if urlsplit(address).netloc != "book":
                continue
            target = SITE / unquote(urlsplit(address).path).lstrip("/")
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(SITE)} links to {attributes['href']}"
            if fragment and target in ids:
                assert unquote(fragment) in ids[target], f"{path.relative_to(SITE)} links to {attributes['href']}"


# In a browser


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light(book_site: str, opened: Callable[[str], Page], name: str) -> None:
    """Everything together stays within the budget. (`open_shared_page` watches for errors and for other hosts.)"""
    page = opened(name)
    page.wait_for_load_state("networkidle")
    fetched = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    paths = {SITE / unquote(urlsplit(address).path).lstrip("/") for address in fetched if address.startswith(book_site)}
    sizes = {path: len(gzip.compress(path.read_bytes())) for path in paths | {SITE / f"{name}.html"} if path.is_file()}
    assert len(sizes) > 10, "the page fetched less than its own style sheets and scripts"
    heaviest = sorted(((size, path.name) for path, size in sizes.items()), reverse=True)[:5]
    assert sum(sizes.values()) <= BYTES_A_PAGE, f"{sum(sizes.values()):,} bytes compressed, most of them in {heaviest}"


def test_the_root_address_leads_to_the_first_page(book_site: str, open_page: OpenPage) -> None:
    page = open_page(f"{book_site}/")
    page.wait_for_url(f"{book_site}/{TOC['root']}.html")
    expect(page.locator("article h1")).to_be_visible()


RAW_TEX = r"""() => {
  const copy = document.querySelector('article').cloneNode(true);
  copy.querySelectorAll('pre, code, script, style, .katex, .plm-widget, .highlight').forEach(part => part.remove());
  return copy.textContent.match(/\\[a-zA-Z]+|\$[^$\s][^$]*\$|\$\$/g) || [];
}"""


def assert_mathematics_is_set(page: Page) -> None:
    """Check that formulas are there for eyes and for screen readers."""
    formulas = page.locator("article .katex")
    assert formulas.count() > 0
    assert page.locator("article .katex math").count() == formulas.count()
    assert page.locator("article .katex-error").count() == 0
    box = formulas.first.locator(".katex-html").bounding_box()
    assert box is not None and box["width"] > 5 and box["height"] > 5


def test_mathematics_is_set_and_no_tex_is_left_in_the_text(chapter_page: Page) -> None:
    assert_mathematics_is_set(chapter_page)
    assert chapter_page.evaluate(RAW_TEX) == []
    loaded = "document.fonts.check('16px KaTeX_Math') && document.fonts.check('16px KaTeX_Main')"
    wait_until(chapter_page, loaded)
    fonts = "[...document.fonts].filter(f => f.family.startsWith('KaTeX') && f.status === 'loaded').length"
    assert chapter_page.evaluate(fonts) >= 2


@pytest.mark.parametrize("name", CHAPTERS)
def test_mathematics_is_set_where_no_script_runs(book_site: str, open_page: OpenPage, name: str) -> None:
    assert_mathematics_is_set(open_page(f"{book_site}/{name}.html", java_script_enabled=False))


RAW_TABLE = r"""() => {
  const copy = document.querySelector('article').cloneNode(true);
  copy.querySelectorAll('pre, code, script, style').forEach(part => part.remove());
  return copy.textContent.match(/\|\s*:[-\u2013\u2014]+/g) || [];
}"""


def test_tables_that_cells_display_are_tables(chapter_page: Page) -> None:
    assert chapter_page.locator("article .cell_output table").count() > 0
    assert chapter_page.evaluate(RAW_TABLE) == []


def test_search_finds_a_word_of_the_chapter(book_site: str, open_page: OpenPage) -> None:
    """By keyboard, from any page: Ctrl+K, a word, Enter; the result leads to the chapter."""
    page = open_page(f"{book_site}/{TOC['root']}.html")
    page.keyboard.press("Control+K")
    page.keyboard.type("GELU")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=GELU*")
    result = page.locator("#search-results ul.search li a", has_text="BERT").first
    expect(result).to_be_visible(timeout=15_000)
    result.click()
    page.wait_for_url("**/bert.html*")
    page.goto(f"{book_site}/search.html?q=zzzyzzx")
    expect(page.locator("#search-results")).to_contain_text("did not match any documents", timeout=15_000)


def test_search_finds_numbers(book_site: str, open_page: OpenPage) -> None:
    page = open_page(f"{book_site}/search.html?q=80%25")
    expect(page.locator("#search-results a[href*='/bert.html']").first).to_be_visible(timeout=15_000)


def test_widgets_of_a_page_that_the_search_leads_to_are_whole(book_site: str, open_page: OpenPage) -> None:
    """The words sought are marked on it, and they also occur in the widgets' style sheets and data."""
    page = open_page(f"{book_site}/search.html?q=weight+attention")
    page.locator("#search-results a[href*='/bert.html']").first.click(timeout=15_000)
    page.wait_for_url("**/bert.html*")
    expect(page.locator("span.highlighted").first).to_be_attached()
    for block in page.locator(".plm-block").all():
        block.scroll_into_view_if_needed()
        widget = block.locator(".plm-widget:not(.plm-static)")
        expect(widget).to_be_visible()
        assert widget.evaluate("box => getComputedStyle(box).borderTopStyle") == "solid"
        assert block.locator(":is(style, script) .highlighted").count() == 0


@pytest.mark.parametrize(("name", "word"), [("book/index", "bert"), ("book/bert", "gelu")])
def test_sought_words_are_marked_in_the_text_alone_and_can_be_read(
    book_site: str, open_page: OpenPage, name: str, word: str
) -> None:
    """Not in the map, formulas or widgets; and the link above the text removes the marks."""
    page = open_page(f"{book_site}/{name}.html?highlight={word}")
    page.evaluate(STOP_TRANSITIONS)
    expect(page.locator("span.highlighted").first).to_be_attached()
    assert page.locator(":is(svg, .katex, .plm-block) .highlighted").count() == 0
    for theme in ("dark", "light"):
        set_theme(page, theme)
        ratio, where = page.evaluate(CONTRAST)
        assert ratio >= 4.5, f"{theme}: contrast {ratio:.2f} of {where}"
    page.get_by_role("link", name="Hide Search Matches").click()
    expect(page.locator(".highlighted")).to_have_count(0)


def test_the_number_of_results_is_told_and_they_fit_on_a_telephone(book_site: str, open_page: OpenPage) -> None:
    page = open_page(f"{book_site}/search.html?q=num_attention_heads", width=320)
    results = page.locator("#search-results")
    expect(results.get_by_role("status")).to_contain_text("found", timeout=15_000)
    found = results.locator("ul.search > li").count()
    expect(results.get_by_role("status")).to_contain_text(f"found {found} page(s)")
    expect(results.locator("p.context").first).to_be_visible()
    assert page.evaluate(TOO_WIDE) == []


def test_an_excerpt_has_each_formula_once_and_nothing_of_widgets(book_site: str, open_page: OpenPage) -> None:
    page = open_page(f"{book_site}/search.html?q=zzzyzzx")
    html = """<main role="main"><p>Of <span class="katex"><span class="katex-mathml"><math><mi>H</mi></math></span><span
      class="katex-html">H</span></span> numbers.</p><div class="plm-block"><p>Query</p></div></main>"""
    assert page.evaluate("html => Search.htmlToText(html)", html) == "Of H numbers."


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("n-gram", "book/glossary.html#term-n-gram-masking"),
        ("T5", "book/t5.html"),
        ("AlbertModel", "book/reference/models.html#plm_lessons.models.albert.AlbertModel"),
    ],
)
def test_the_term_title_or_name_sought_is_found_first_and_longer_names_last(
    book_site: str, open_page: OpenPage, query: str, wanted: str
) -> None:
    page = open_page(f"{book_site}/search.html?q={query}")
    expect(page.locator("#search-results").get_by_role("status")).to_contain_text("found", timeout=15_000)
    found = page.locator("#search-results li > a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert found[0] == wanted
    longer = [one for one in found if "plm_lessons" in one and one.rpartition(".")[2].lower() != query.lower()]
    chapters = [one for one in found if one.removesuffix(".html") in CHAPTERS]
    assert longer and chapters
    assert found.index(longer[0]) > found.index(chapters[-1])


def test_the_buttons_of_a_chapter(chapter_page: Page, chapter: str) -> None:
    """Download gives the notebook itself; Colab, edit and issue links lead to this chapter in the repository."""
    notebook, page = ROOT / f"{chapter}.ipynb", chapter_page
    page.locator(".dropdown-download-buttons > button").click()
    with page.expect_download() as download:
        page.locator("a.btn-download-source-button").click()
    assert Path(download.value.path()).read_bytes() == notebook.read_bytes()
    page.locator(".dropdown-download-buttons > button").click()  # closes what it opened

    colab = URL.replace("https://github.com", "https://colab.research.google.com/github")
    launch = page.locator(".dropdown-launch-buttons a")
    assert [link.get_attribute("href") for link in launch.all()] == [f"{colab}/blob/{BRANCH}/{chapter}.ipynb"]

    def repository_link(kind: str) -> str:
        return page.locator(f".dropdown-source-buttons a.btn-source-{kind}-button").get_attribute("href") or ""

    assert repository_link("repository") == URL
    assert repository_link("edit") == f"{URL}/edit/{BRANCH}/{chapter}.ipynb"
    assert repository_link("issues").startswith(f"{URL}/issues/new?")


THEME = "document.documentElement.dataset.theme"
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme_follows_the_system_until_the_reader_chooses(
    book_site: str, open_page: OpenPage, system: str
) -> None:
    page = open_page(f"{book_site}/{TOC['root']}.html", color_scheme=system)
    assert page.evaluate(THEME) == system
    grounds = {system: page.evaluate(GROUND)}
    button = page.locator(".theme-switch-button:visible").first
    for _ in range(3):
        button.click()
        page.wait_for_timeout(50)
        grounds[page.evaluate(THEME)] = page.evaluate(GROUND)
    assert set(grounds) == {"light", "dark"} and grounds["light"] != grounds["dark"]
    other = "dark" if system == "light" else "light"
    while page.evaluate(THEME) != other:
        button.click()
    page.goto(f"{book_site}/{CHAPTERS[0]}.html")
    assert page.evaluate(THEME) == other, "the choice is forgotten on the next page"


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_button_of_the_theme_tells_its_mode(book_site: str, open_page: OpenPage, system: str) -> None:
    """As its name and beside the pointer; otherwise the system's own theme and the same one when chosen look alike."""
    page = open_page(f"{book_site}/{TOC['root']}.html", color_scheme=system)
    page.evaluate(STOP_TRANSITIONS)
    button, told = page.locator(".theme-switch-button:visible"), page.locator(".tooltip")
    button.hover()
    for theme in ("as the system", *(("dark", "light") if system == "light" else ("light", "dark")), "as the system"):
        name = f"Colour theme: {theme} (press to change)"
        expect(button).to_have_accessible_name(name)
        expect(told).to_have_text(name)
        button.click()
    expect(told).to_have_css("pointer-events", "none")  # what it lies over can be clicked


# Parts wider than the screen that do not scroll inside a box of their own.
TOO_WIDE = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth) return [];
  return ['page: ' + root.scrollWidth, ...[...document.querySelectorAll('article *')]
    .filter(part => part.getBoundingClientRect().right > innerWidth + 1).slice(0, 5)
    .map(part => part.tagName + '.' + part.className)];
}"""
# Boxes that cut off what does not fit, without a way to reach it.
CUT_OFF = """() => [...document.querySelectorAll('article :is(pre, table, .text_html, .math, .katex-display, p, li)')]
  .filter(part => part.scrollWidth > part.clientWidth + 2 && getComputedStyle(part).overflowX === 'hidden'
                  && part.clientWidth > 20 && !part.closest('.katex-mathml'))
  .map(part => part.tagName + '.' + part.className)"""


@pytest.mark.parametrize("name", PAGES)
def test_nothing_scrolls_sideways(opened: Callable[[str], Page], name: str) -> None:
    page = opened(name)
    for width in (320, 390, 1280):
        with as_wide_as(page, width):
            assert page.evaluate("innerWidth") == width
            assert page.evaluate(TOO_WIDE) == [], width
            assert page.evaluate(CUT_OFF) == [], width


# Tables


CELLS = """table => [...table.rows].map(row => [...row.cells].map(cell => ({
  text: cell.innerText.trim(), role: cell.getAttribute('role'), row: row.getAttribute('role'),
  left: cell.getBoundingClientRect().left, right: cell.getBoundingClientRect().left + cell.scrollWidth,
  align: getComputedStyle(cell).textAlign, label: getComputedStyle(cell, '::before').content,
})))"""


def test_a_telephone_shows_the_whole_of_each_verdict(chapter_page: Page, chapter: str) -> None:
    """Its cells are one below the other, each with the name of its column; for screen readers it is still a table."""
    table = chapter_page.locator("article table", has=chapter_page.get_by_role("columnheader", name="evidence"))
    if chapter in APPENDICES:
        expect(table).to_have_count(0)
        return
    with as_wide_as(chapter_page, 1280):
        [head, *rows] = table.evaluate(CELLS)
        tops = table.locator("tbody tr").first.locator("td").evaluate_all("cells => cells.map(cell => cell.offsetTop)")
        assert len(set(tops)) == 1 and {cell["label"] for row in rows for cell in row} == {"none"}
    for width in (320, 390):
        with as_wide_as(chapter_page, width):
            found = table.evaluate(CELLS)
            assert [[cell["text"] for cell in row] for row in found[1:]] == [
                [cell["text"] for cell in row] for row in rows
            ]
            for row in found[1:]:
                assert all(0 <= cell["left"] < cell["right"] <= width for cell in row)
                assert [cell["role"] for cell in row] == ["rowheader", "cell", "cell", "cell"]
                assert row[0]["row"] == "row" and row[0]["label"] == "none"
                labels = [cell["label"].partition(" /")[0].strip('"') for cell in row[1:]]
                assert labels == [cell["text"] for cell in head[1:]] == ["claim", "verdict", "evidence"]
            assert chapter_page.get_by_role("columnheader", name="evidence").count() == 1
            assert table.get_by_role("cell").count() == 3 * len(rows) + 1  # including the corner
            for row in rows:
                assert table.get_by_role("rowheader", name=row[0]["text"], exact=True).count() == 1


def test_words_stand_to_the_left_and_numbers_to_the_right(opened: Callable[[str], Page]) -> None:
    for name, header, sides in (
        ("book/bert", "what comes out", ["left", "left", "left"]),
        ("book/bert", "hidden size", ["left", *["right"] * 6]),
        ("book/bert", "figure, %", ["left", "left", *["right"] * 5]),
        ("book/t5", "new sentinels", ["left", *["right"] * 7]),  # of which one column is mostly dashes
    ):
        tables = opened(name).locator("article .cell_output .pst-scrollable-table-container table")
        [head, *rows] = tables.filter(has_text=header).first.evaluate(CELLS)
        aligned = {tuple({"start": "left"}.get(cell["align"], cell["align"]) for cell in row) for row in (head, *rows)}
        assert aligned == {tuple(sides)}, header


# Words of code, and numbers with their spread, that are broken across lines.
TORN = """() => {
  const torn = [], walker = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, range = document.createRange();
    if (!text.parentElement.closest('table.table') || !text.parentElement.checkVisibility()) continue;
    const whole = text.parentElement.closest('code') ? /\\S+/g : /\\d\\S* ± \\d\\S*/g;
    for (const { 0: word, index } of text.textContent.replaceAll('\\u00a0', ' ').matchAll(whole)) {
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) torn.push(word);
    }
  }
  return torn;
}"""


@pytest.mark.parametrize("name", ["book/index", "book/bert", "book/roberta"])
def test_names_and_numbers_in_tables_are_not_torn_apart(opened: Callable[[str], Page], name: str) -> None:
    """But a path may break after a slash."""
    for width in (390, 768, 1000, 1440):
        with as_wide_as(opened(name), width):
            assert opened(name).evaluate(TORN) == [], width


# What touches a formula or a piece of code but is on another line.
LEFT_BEHIND = """() => {
  const left = [], range = document.createRange();
  const boxes = 'article :is(p, li, td, dd, h2, h3) :is(.katex-html, code.literal)';
  const touching = (box, side) => {
    const all = document.createTreeWalker(box.closest('p, li, td, dd, h2, h3'), NodeFilter.SHOW_TEXT);
    const texts = [];
    while (all.nextNode()) if (!all.currentNode.parentElement.closest('.katex-mathml')) texts.push(all.currentNode);
    const inside = texts.filter(text => box.contains(text));
    return texts[side < 0 ? texts.indexOf(inside[0]) - 1 : texts.indexOf(inside.at(-1)) + 1];
  };
  for (const box of document.querySelectorAll(boxes)) {
    if (!box.checkVisibility()) continue;
    const parts = box.matches('code') ? [box] : box.querySelectorAll(':scope > .katex-base');
    for (const side of [-1, 1]) {
      const text = touching(box, side), sign = side < 0 ? text?.textContent.at(-1) : text?.textContent[0];
      if (!sign || !(side < 0 ? '([“' : '.,;:!?)”’').includes(sign)) continue;
      if (text.parentElement.closest('code, .katex')) continue;
      range.setStart(text, side < 0 ? text.length - 1 : 0);
      range.setEnd(text, side < 0 ? text.length : 1);
      const lines = [...(side < 0 ? parts[0] : [...parts].at(-1)).getClientRects()];
      const part = lines.at(side < 0 ? 0 : -1), at = range.getBoundingClientRect(), middle = (at.top + at.bottom) / 2;
      if (middle < part.top - 4 || middle > part.bottom + 4) left.push(sign + ' at ' + box.textContent);
    }
  }
  return left;
}"""


PICTURES = """pictures => pictures.map(picture => { const { left, top, width } = picture.getBoundingClientRect();
  return { left, top, scale: width / picture.naturalWidth, alt: picture.alt }; })"""


def test_a_telephone_shows_figures_with_letters_that_can_be_read(chapter_page: Page, chapter: str) -> None:
    """They are nearly as large as they were drawn. Those of one cell are side by side if there is room."""
    groups = chapter_page.locator("article .cell_output.figures")
    cells = json.loads((ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    drawn = [sum("image/png" in output.get("data", {}) for output in cell.get("outputs", [])) for cell in cells]
    assert groups.count() == sum(number > 1 for number in drawn)
    for width in (390, 1440):
        with as_wide_as(chapter_page, width):
            alone = chapter_page.locator("article .cell_output:not(.figures) > img").evaluate_all(PICTURES)
            assert all(picture["scale"] > 0.6 for picture in alone)
            for group in groups.all():
                pictures = group.locator("img").evaluate_all(PICTURES)
                assert len({picture["alt"] for picture in pictures}) == len(pictures) > 1
                assert all(picture["scale"] > 0.75 for picture in pictures), width
                lefts, tops = ({round(picture[side]) for picture in pictures} for side in ("left", "top"))
                assert (len(lefts), len(tops)) == ((1, len(pictures)) if width == 390 else (len(pictures), 1))


# The distances between the visible parts of a cell, and to what follows it.
DISTANCES = """() => {
  const found = {}, seen = part => part.checkVisibility() && part.getBoundingClientRect().height > 0;
  const top = part => (part.matches('div.cell') ? [...part.children].find(seen) : part).getBoundingClientRect().top;
  for (const cell of [...document.querySelectorAll('article div.cell')].filter(seen)) {
    const inside = part => part.matches('.cell_output') ? [...part.children] : [part];
    const parts = [...cell.children].flatMap(inside).filter(seen);
    const next = [cell.nextElementSibling].filter(part => part && seen(part) && part.matches('div, p, blockquote'));
    [...parts, ...next].reduce((above, below) => {
      if (above.matches('.figures > img') && top(above) === top(below)) return below; // beside it
      const distance = Math.round(top(below) - above.getBoundingClientRect().bottom);
      (found[distance] ??= []).push(above.className + ', ' + below.tagName + '.' + below.className);
      return below;
    });
  }
  return found;
}"""


def test_what_a_cell_displays_is_everywhere_equally_far_from_its_neighbours(chapter_page: Page) -> None:
    for width in (390, 1440):
        with as_wide_as(chapter_page, width):
            assert list(chapter_page.evaluate(DISTANCES)) == ["16"], chapter_page.evaluate(DISTANCES)


EDGES = """parts => [...new Set(parts.filter(part => part.checkVisibility()).map(part => part.getBoundingClientRect())
  .filter(box => box.height).map(({ left, right }) => [Math.round(left), Math.round(right)].join()))]
  .map(pair => pair.split(',').map(Number))"""


def test_text_and_what_stands_between_share_their_edges(chapter_page: Page) -> None:
    """Text and its boxes share a right edge; code, what it prints and widgets another; all share the left edge."""
    with as_wide_as(chapter_page, 1440):
        article = chapter_page.locator("article")
        texts = article.locator("section > :is(p, blockquote, div.math)").evaluate_all(EDGES)
        blocks = article.locator("div.cell_input, .output.stream, .plm-block .plm-widget").evaluate_all(EDGES)
        others = article.locator(
            ".cell_output:not(.figures) > img, .pst-scrollable-table-container > table"
        ).evaluate_all(EDGES)
    assert len(texts) == len(blocks) == 1 and texts[0][0] == blocks[0][0], (texts, blocks)
    assert 650 < texts[0][1] - texts[0][0] < blocks[0][1] - blocks[0][0]
    assert {left for left, _ in others} == {blocks[0][0]}


def test_the_longest_lines_of_code_are_seen_whole_on_a_wide_screen(chapter_page: Page) -> None:
    cut = "parts => parts.filter(part => part.checkVisibility() && part.scrollWidth > part.clientWidth).length"
    for width in (1440, 1536, 1920):
        with as_wide_as(chapter_page, width):
            assert chapter_page.locator("article pre").evaluate_all(cut) == 0, width


def test_punctuation_stays_with_what_it_touches(chapter_page: Page) -> None:
    for width in range(320, 420, 12):
        with as_wide_as(chapter_page, width):
            assert chapter_page.evaluate(LEFT_BEHIND) == [], width


# The lowest contrast ratio (WCAG 2) of visible text with its background, and where it is.
CONTRAST = """() => {
  const channels = colour => {
    const parts = colour.match(/^rgba?\\(([\\d.]+), ([\\d.]+), ([\\d.]+)(?:, ([\\d.]+))?\\)$/);
    return parts ? [...parts.slice(1, 4).map(Number), parts[4] === undefined ? 1 : Number(parts[4])] : null;
  };
  const over = (top, below) => top.slice(0, 3).map((value, i) => value * top[3] + below[i] * (1 - top[3]));
  const luminance = colour => {
    const [r, g, b] = colour.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = part => {
    const layers = [];
    for (let at = part; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (!colour) return null;
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  let worst = [21, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, part = text.parentElement;
    if (!text.textContent.trim() || part.closest('svg, script, style, noscript, .katex-mathml')) continue;
    if (!part.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const below = ground(part), colour = channels(getComputedStyle(part).color);
    if (!below || !colour) continue;
    const lights = [luminance(over(colour, below)), luminance(below)].sort((a, b) => b - a);
    const ratio = (lights[0] + 0.05) / (lights[1] + 0.05);
    const where = text.textContent.trim().slice(0, 40) + ' in ' + part.tagName + '.' + part.className;
    if (ratio < worst[0]) worst = [ratio, where];
  }
  return worst;
}"""


@pytest.mark.parametrize("name", PAGES)
def test_text_stands_out_from_its_ground(opened: Callable[[str], Page], name: str) -> None:
    page = opened(name)
    for theme in ("dark", "light"):
        set_theme(page, theme)
        ratio, where = page.evaluate(CONTRAST)
        assert ratio >= 4.5, f"{theme}: contrast {ratio:.2f} of {where}"


def test_text_stands_out_where_no_script_runs_in_the_dark(book_site: str, open_page: OpenPage) -> None:
    page = open_page(f"{book_site}/{CHAPTERS[0]}.html", java_script_enabled=False, color_scheme="dark")
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, f"contrast {ratio:.2f} of {where}"
    covers = page.locator(".bd-header-article").evaluate("bar => getComputedStyle(bar).backgroundColor")
    assert covers not in ("rgba(0, 0, 0, 0)", "transparent"), "text is seen through the bar above the page"


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_map_of_the_models_can_be_read_where_no_script_runs(
    book_site: str, open_page: OpenPage, system: str
) -> None:
    page = open_page(f"{book_site}/book/index.html", java_script_enabled=False, color_scheme=system)
    fills = page.locator("svg.map .map-box").evaluate_all("boxes => boxes.map((box) => getComputedStyle(box).fill)")
    assert len(fills) == 5 and "rgb(0, 0, 0)" not in fills, "where no theme is known, boxes are black"


FOCUS_UNSEEN = """forced => {
  const places = '.bd-header-article :is(a, button), nav.bd-links a, .bd-sidebar-secondary a';
  const unseen = (part) => {
    part.focus({ focusVisible: true, preventScroll: true });
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(part);
    return (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) && (forced || boxShadow === 'none');
  };
  return [...document.querySelectorAll(places)].filter((part) => part.checkVisibility({ visibilityProperty: true }))
    .filter(unseen).map((part) => part.ariaLabel || part.textContent.trim());
}"""


@pytest.mark.parametrize("forced", ["none", "active"])
def test_where_the_focus_is_can_be_seen_around_the_page(book_site: str, open_page: OpenPage, forced: str) -> None:
    page = open_page(f"{book_site}/{CHAPTERS[0]}.html", width=1280, forced_colors=forced)
    page.evaluate(STOP_TRANSITIONS)
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS_UNSEEN, forced == "active") == []


@pytest.mark.parametrize("width", [390, 320])
def test_larger_letters_cut_nothing_off(book_site: str, open_page: OpenPage, width: int) -> None:
    """The links to the neighbouring pages are whole, and the page does not scroll sideways, with letters of 24 px."""
    for name in (CHAPTERS[1], TOC["root"]):
        page = open_page(f"{book_site}/{name}.html", width=width)
        for size in ("16px", "24px"):
            page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
            page.evaluate(TWO_FRAMES)
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width
            ends = "parts => parts.map((part) => part.getBoundingClientRect()).flatMap((box) => [box.left, box.right])"
            within = page.locator(".prev-next-footer :is(a, i, p)").evaluate_all(ends)
            assert within and min(within) >= 0 and max(within) <= width


def test_in_the_dark_outputs_stand_on_the_page_and_figures_on_paper(chapter_page: Page, chapter: str) -> None:
    """There is no grey panel behind widgets and tables, and no filter that changes a figure's colours."""
    page = chapter_page
    set_theme(page, "dark")
    panels = "parts => parts.map(part => getComputedStyle(part).backgroundColor)"
    assert set(page.locator("article .cell_output .text_html").evaluate_all(panels)) <= {"rgba(0, 0, 0, 0)"}
    looks = "parts => parts.map(part => getComputedStyle(part)).map(style => [style.filter, style.backgroundColor])"
    figures = page.locator("article .cell_output img").evaluate_all(looks)
    drawn = '"image/png"' in (ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8")
    set_theme(page, "light")
    assert bool(figures) == drawn and all(look == ["none", "rgb(255, 255, 255)"] for look in figures)


def test_the_map_keeps_its_words_inside_its_boxes(book_site: str, open_page: OpenPage) -> None:
    """This holds at every width; and on a phone its letters are no smaller than the theme's small print."""
    page = open_page(f"{book_site}/{TOC['root']}.html", width=390)
    sticking_out = """map => {
      const boxes = [...map.querySelectorAll('rect')].map(box => box.getBBox());
      return [...map.querySelectorAll('text')].map(text => [text.textContent, text.getBBox()]).filter(([, at]) =>
        !boxes.some(box => at.x > box.x && at.x + at.width < box.x + box.width && at.y > box.y
                           && at.y + at.height < box.y + box.height)).map(([words]) => words);
    }"""
    drawing = page.locator("svg.map")
    assert drawing.evaluate(sticking_out) == []
    heights = drawing.locator("text").evaluate_all("parts => parts.map(part => part.getBoundingClientRect().height)")
    assert len(heights) > 15 and min(heights) >= 12


# How a chapter is read: it comes up at once, at the place that was asked for


STYLED_AGAIN = """new MutationObserver((records) => {
  if (document.body) for (const { oldValue } of records)
    if (oldValue !== document.documentElement.dataset.theme) (window.others ??= []).push(oldValue);
}).observe(document, { attributes: true, attributeOldValue: true, subtree: true, attributeFilter: ['data-theme'] });"""


@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_page_knows_its_theme_before_it_has_text(browser: Browser, book_site: str, system: str) -> None:
    """Otherwise a whole chapter is styled twice, and flashes in the wrong colours."""
    page = browser.new_page(color_scheme=system)  # type: ignore[arg-type]
    page.add_init_script(STYLED_AGAIN)
    page.goto(f"{book_site}/{CHAPTERS[0]}.html")
    assert page.evaluate(THEME) == system and page.evaluate("window.others") is None
    page.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_link_into_a_chapter_leads_to_its_place(book_site: str, open_page: OpenPage, name: str) -> None:
    """And it stays there while widgets above come to life and get another height than their pictures."""
    sections = re.findall(r'<section id="([^"]+)">', (SITE / f"{name}.html").read_text(encoding="utf-8"))
    one, two, last = sections[len(sections) // 3], sections[2 * len(sections) // 3], sections[-1]
    top = "id => Math.round(document.getElementById(id).getBoundingClientRect().top)"
    end = "() => innerHeight + scrollY >= document.documentElement.scrollHeight - 2"
    for section, other in ((one, two), (two, one), (last, one)):
        page = open_page(f"{book_site}/{name}.html#{section}", width=390)
        page.wait_for_load_state("networkidle")
        assert abs(page.evaluate(top, section) - 64) <= 2 or page.evaluate(end), f"opened at {section}"
        page.evaluate("id => { location.hash = id }", other)
        page.wait_for_timeout(100)
        assert abs(page.evaluate(top, other) - 64) <= 2, f"moved to {other}"


# What a reader without a mouse could not scroll.
OUT_OF_REACH = """() => [...document.querySelectorAll('article *')].filter((part) =>
  part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 20 && part.checkVisibility() && part.tabIndex !== 0
  && ['auto', 'scroll'].includes(getComputedStyle(part).overflowX)).map((part) => part.outerHTML.slice(0, 90))"""


CUT_RESULTS = """() => [...document.querySelectorAll('article .output.stream pre')].filter((part) =>
  part.scrollWidth > part.clientWidth + 1 && part.checkVisibility()).map((part) => part.textContent.slice(0, 90))"""


def test_what_is_wider_than_the_page_scrolls_without_a_mouse(chapter_page: Page) -> None:
    page = chapter_page
    with as_wide_as(page, 390):
        wide = page.locator("article pre[tabindex='0']")
        expect(wide.first).to_be_attached()
        assert page.evaluate(OUT_OF_REACH) == []
        assert page.evaluate(CUT_RESULTS) == []
        unnamed = """() => [...document.querySelectorAll('article [tabindex="0"]:is(pre, div, span)')].filter((part) =>
          !part.closest('.plm-widget') && (part.role !== 'group' || !part.ariaLabel)).map((part) => part.className)"""
        assert page.evaluate(unnamed) == []
        assert page.get_by_role("group", name="Code", exact=True).count() > 0
        wide.first.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(200)
        assert wide.first.evaluate("part => part.scrollLeft") > 0


def test_a_formula_whose_font_comes_late_scrolls_without_a_mouse(browser: Browser, book_site: str) -> None:
    page = browser.new_page(viewport={"width": 320, "height": 800})
    late: list[Route] = []
    page.route("**/*.woff2", lambda route: late.append(route))
    page.goto(f"{book_site}/{CHAPTERS[0]}.html", wait_until="domcontentloaded")
    page.wait_for_timeout(1000)
    assert late
    for route in late:
        route.continue_()
    page.unroute("**/*.woff2")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    assert page.evaluate(OUT_OF_REACH) == []
    page.close()


def test_a_copy_button_can_be_seen_tells_that_it_worked_and_keeps_the_focus(
    book_site: str, open_page: OpenPage
) -> None:
    page = open_page(f"{book_site}/{CHAPTERS[0]}.html", width=390, has_touch=True, is_mobile=True)
    button = page.locator("button.copybtn").nth(1)
    expect(button).to_have_css("opacity", "1")
    expect(page.get_by_role("status").last).to_have_text("")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").last).to_have_text("Copied!")
    expect(button).to_be_focused()
    covered = """() => [...document.querySelectorAll('pre:has(+ .copybtn)')].filter((part) => {
      if (!part.checkVisibility()) return false;
      const range = document.createRange();
      range.selectNodeContents(part);
      part.scrollLeft = part.scrollWidth;
      return range.getBoundingClientRect().right > part.nextElementSibling.getBoundingClientRect().left;
    }).map((part) => part.textContent)"""
    assert page.evaluate(covered) == [], "the end of a line cannot be scrolled out from under the button"


# How a reader gets about


DRAWERS = """() => ['primary', 'secondary'].map((name) => [
  document.querySelector(`button.${name}-toggle`).getAttribute('aria-expanded'),
  getComputedStyle(document.querySelector(`.bd-sidebar-${name}`)).visibility,
])"""
CLOSED, OPEN = ["false", "hidden"], ["true", "visible"]


@pytest.fixture
def telephone(book_site: str, open_page: OpenPage) -> Page:
    """A chapter on a screen where the sidebars are drawers."""
    page = open_page(f"{book_site}/{CHAPTERS[0]}.html", width=390, height=800, has_touch=True, is_mobile=True)
    page.evaluate(STOP_TRANSITIONS)
    return page


@pytest.mark.parametrize("name", ["primary", "secondary"])
def test_what_an_open_drawer_covers_is_out_of_reach_and_escape_closes_it(telephone: Page, name: str) -> None:
    page, button = telephone, telephone.locator(f"button.{name}-toggle")
    assert page.evaluate(DRAWERS) == [CLOSED, CLOSED]
    button.tap()
    assert page.evaluate(DRAWERS) == [OPEN if name == one else CLOSED for one in ("primary", "secondary")]
    inside = f"() => document.activeElement.closest('.bd-sidebar-{name}') !== null"
    wait_until(page, inside)
    links = page.locator(f".bd-sidebar-{name} :is(a, button, summary)").count()
    for _ in range(links + 3):  # after the last entry, it is the turn of the browser itself
        page.keyboard.press("Tab")
        assert page.evaluate(inside) or page.evaluate("document.activeElement === document.body")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    assert page.evaluate(DRAWERS) == [CLOSED, CLOSED]
    expect(button).to_be_focused()
    button.tap()
    wait_until(page, inside)
    page.touchscreen.tap(8 if name == "secondary" else 382, 400)  # beside the drawer
    assert page.evaluate(DRAWERS) == [CLOSED, CLOSED]
    expect(button).to_be_focused()
    assert page.locator("[inert]").count() == 0


def test_a_drawer_closes_over_what_was_asked_for_in_it(telephone: Page) -> None:
    page = telephone
    page.locator("button.secondary-toggle").tap()
    page.locator(".bd-sidebar-secondary a").nth(3).tap()
    assert page.evaluate(DRAWERS) == [CLOSED, CLOSED] and page.evaluate("scrollY") > 800


def test_the_buttons_above_the_page_do_not_move_it(telephone: Page) -> None:
    """Focus on them, which a drawer that closes gives back, scrolls nothing: they are always in sight."""
    page = telephone
    page.evaluate("scrollTo(0, 8000)")
    wait_until(page, "scrollY === 8000")
    page.locator("button.primary-toggle").tap()
    page.keyboard.press("Escape")
    expect(page.locator("button.primary-toggle")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
        page.evaluate(TWO_FRAMES)
        assert page.evaluate("document.activeElement.closest('.bd-header-article') !== null")
        assert page.evaluate("scrollY") == 8000


def test_no_drawer_is_open_on_the_way_back(telephone: Page) -> None:
    """Whether a link in it led away from the page, or something else."""
    page = telephone
    link = page.locator(".bd-sidebar-primary a[href$='t5.html']")
    for leave in (link.tap, lambda: page.goto(page.url.replace(CHAPTERS[0], "book/t5"))):
        page.locator("button.primary-toggle").tap()
        assert page.evaluate(DRAWERS) == [OPEN, CLOSED]
        leave()
        page.wait_for_url("**/t5.html")
        page.go_back()
        page.wait_for_url(f"**/{CHAPTERS[0]}.html")
        assert page.evaluate(DRAWERS) == [CLOSED, CLOSED]


def test_beside_the_page_the_button_of_a_sidebar_says_whether_it_is_there(book_site: str, open_page: OpenPage) -> None:
    page = open_page(f"{book_site}/{CHAPTERS[0]}.html", width=1280)
    page.evaluate(STOP_TRANSITIONS)
    assert page.evaluate(DRAWERS) == [OPEN, OPEN]
    page.locator("button.primary-toggle").click()
    assert page.evaluate(DRAWERS) == [CLOSED, OPEN] and page.locator("[inert]").count() == 0
    page.set_viewport_size({"width": 390, "height": 800})  # as when the reader zooms in
    page.evaluate(TWO_FRAMES)
    assert page.evaluate(DRAWERS) == [CLOSED, CLOSED]


def test_code_is_whole_and_still_in_colour(chapter_page: Page, chapter: str) -> None:
    page = chapter_page
    cells = json.loads((ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    hidden = {"remove-cell", "remove-input"}
    sources = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and not hidden & set(cell["metadata"].get("tags", []))
    ]
    blocks = page.locator("article .cell_input pre")
    assert [text.strip() for text in blocks.all_text_contents()] == [source.strip() for source in sources]
    colours = "parts => parts.map((part) => getComputedStyle(part).color)"
    assert len(set(page.locator("article .cell_input pre span").evaluate_all(colours))) >= 5


@pytest.mark.parametrize("idle", ["() => 0", "undefined"], ids=["never idle", "no idle callbacks"])
def test_a_widget_out_of_sight_is_live_when_the_reader_comes_to_it(browser: Browser, book_site: str, idle: str) -> None:
    page = browser.new_page()
    page.add_init_script(f"window.requestIdleCallback = {idle}")
    page.goto(f"{book_site}/{CHAPTERS[0]}.html")
    blocks = page.locator(".plm-block")
    pictures = page.locator(".plm-block .plm-static")
    assert pictures.count() == (0 if idle == "undefined" else blocks.count())
    for block in blocks.all():
        block.scroll_into_view_if_needed()
        expect(block.locator(".plm-static")).to_have_count(0)
        assert block.locator(".plm-widget input, .plm-widget button").count() > 0
    page.close()


MARKED = "[...document.querySelectorAll('.bd-toc-nav a.active')].map((link) => link.getAttribute('href'))"
# The links to the section at a quarter of the window, and to those it is a part of.
READ = """[...document.querySelectorAll('.bd-toc-nav a')].map((link) => link.getAttribute('href')).filter((id) => {
  const { top, bottom } = document.querySelector(id).getBoundingClientRect(), line = 0.255 * innerHeight;
  return top <= line && line < bottom;
})"""
# How far the nearest end of a section is from there.
FAR = """Math.min(...[...document.querySelectorAll('article section')].flatMap((section) => {
  const { top, bottom } = section.getBoundingClientRect();
  return [top, bottom].map((end) => Math.abs(end - 0.255 * innerHeight));
}))"""


def test_the_section_that_is_being_read_is_marked_beside_the_page(book_site: str, open_page: OpenPage) -> None:
    """On the way down and up, in sections of any length, and where a link leads; between two sections it stays."""
    page = open_page(f"{book_site}/{CHAPTERS[0]}.html", width=1400, height=800)
    page.evaluate(STOP_TRANSITIONS)
    end = page.evaluate("document.documentElement.scrollHeight")
    seen = set()
    below = "document.documentElement.scrollHeight - innerHeight - scrollY"
    for place in [*range(0, end, 2500), *range(end, 0, -2100)]:
        page.evaluate(f"scrollTo({{ top: {place}, behavior: 'instant' }})")
        if page.evaluate(FAR) > 10 and page.evaluate(below) > 10 and page.evaluate(READ):
            wait_until(page, f"{MARKED}.join() === {READ}.join()")
            seen |= set(page.evaluate(MARKED))
    assert len(seen) > 15
    for name in ("#fine-tune-eleven-topics", "#ask-it", "#where-does-a-word-stand", "#what-to-remember"):
        page.evaluate(f"location.hash = '{name}'")
        wait_until(page, f"{MARKED}.at(-1) === '{name}'")
        bar, mark = page.locator(".bd-sidebar-secondary"), page.locator(f'.bd-toc-nav a[href="{name}"]')
        room, box = bar.bounding_box(), mark.bounding_box()
        assert room is not None and box is not None
        assert room["y"] <= box["y"] and box["y"] + box["height"] <= room["y"] + room["height"]


def test_the_member_that_is_being_read_is_marked_beside_the_reference(book_site: str, open_page: OpenPage) -> None:
    page = open_page(f"{book_site}/book/reference/models.html", width=1400, height=800)
    name = page.locator(".bd-toc-nav a").nth(3).get_attribute("href")
    page.evaluate(f"location.hash = '{name}'")
    wait_until(page, f"{MARKED}.at(-1) === '{name}'")


def test_a_browser_that_is_never_idle_has_the_whole_page_live(browser: Browser, book_site: str) -> None:
    page = browser.new_page()
    page.add_init_script("""window.late = [];
      window.requestIdleCallback = (act, { timeout } = {}) => timeout && late.push(act);""")
    page.goto(f"{book_site}/{CHAPTERS[0]}.html")
    pictures, copies = page.locator(".plm-block .plm-static"), page.locator("button.copybtn")
    unfinished = page.locator(UNFINISHED)
    assert pictures.count() > 0 and unfinished.count() == 1 and copies.count() == 0
    page.evaluate("late.splice(0).forEach((act) => act({ didTimeout: true, timeRemaining: () => 0 }))")
    assert pictures.count() == unfinished.count() == 0 and copies.count() > 10
    page.close()


def test_a_browser_without_idle_moments_has_everything(browser: Browser, book_site: str) -> None:
    """As Safari is."""
    page = browser.new_page()
    page.add_init_script("delete window.requestIdleCallback")
    page.goto(f"{book_site}/{CHAPTERS[0]}.html")
    expect(page.locator("button.copybtn").nth(10)).to_be_attached()
    expect(page.locator(".plm-block .plm-static")).to_have_count(0)
    page.close()


def test_a_picture_that_does_not_arrive_holds_nothing_up(browser: Browser, book_site: str) -> None:
    page = browser.new_page()
    page.route("**/_images/**", lambda route: None)
    page.goto(f"{book_site}/{CHAPTERS[0]}.html", wait_until="domcontentloaded")
    expect(page.locator("button.copybtn").nth(10)).to_be_attached()
    expect(page.locator(".plm-block .plm-static")).to_have_count(0)
    assert page.evaluate("document.readyState") == "interactive"
    page.close()


def test_what_is_out_of_sight_is_laid_out_late_and_moves_nothing(
    browser: Browser, book_site: str, open_page: OpenPage
) -> None:
    whole = open_page(f"{book_site}/{CHAPTERS[0]}.html", height=800)
    height = whole.evaluate("document.documentElement.scrollHeight")
    place = whole.evaluate("[...document.querySelectorAll('article section section[id]')].at(-3).id")
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.add_init_script("""addEventListener('DOMContentLoaded', () => {
      const parts = [...document.querySelectorAll('.cell > *')];
      window.waiting = parts.filter((part) => !part.checkVisibility({ contentVisibilityAuto: true })).length;
    })""")
    page.goto(f"{book_site}/{CHAPTERS[0]}.html#{place}", wait_until="domcontentloaded")
    assert page.evaluate("waiting") > 30
    distance = "place => document.getElementById(place).getBoundingClientRect().top"
    page.wait_for_load_state("load")
    before = page.evaluate(distance, place)
    assert 0 < before < 200
    expect(page.locator(UNFINISHED)).to_have_count(0)
    assert page.evaluate(distance, place) == pytest.approx(before, abs=2)
    assert page.evaluate("document.documentElement.scrollHeight") == height
    page.reload(wait_until="domcontentloaded")
    assert page.evaluate("waiting") == 0, "a browser looks for the old place where heights are those of before"
    page.close()


# The policy of the site (tools/book_site.py), under which tools/build_book.py serves it: every test above ran under it


@pytest.mark.parametrize("close", ["Escape", "Control+K", "beside", "on the way to another page"])
def test_what_the_open_search_covers_is_out_of_reach_and_closing_it_gives_the_focus_back(
    book_site: str, open_page: OpenPage, close: str
) -> None:
    page = open_page(f"{book_site}/{CHAPTERS[0]}.html", width=1280)
    link, search = page.locator("article a[href]").nth(9), page.locator(".search-button__wrapper")
    link.focus()
    place = page.evaluate("scrollY")
    page.keyboard.press("Control+K")
    expect(search.locator("input")).to_be_focused()
    for key in ("Tab", "Tab", "Shift+Tab", "Tab"):
        page.keyboard.press(key)
        assert page.evaluate("['INPUT', 'BODY'].includes(document.activeElement.tagName)")
    page.evaluate("document.activeElement.blur()")
    if close == "beside":
        page.mouse.click(640, 600)
    elif close == "on the way to another page":  # to which a browser may come back as it was left
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    else:
        page.keyboard.press(close)
    expect(search.locator("input")).to_be_hidden()
    expect(link).to_be_focused()
    assert page.locator("[inert]").count() == 0 and page.evaluate("scrollY") == place > 0


def test_the_search_closes_before_the_drawer_below_it(telephone: Page) -> None:
    page, field = telephone, telephone.locator(".search-button__wrapper input")
    page.locator("button.primary-toggle").tap()
    wait_until(page, "document.activeElement.closest('.bd-sidebar-primary')")
    page.keyboard.press("Control+K")
    expect(field).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("['INPUT', 'BODY'].includes(document.activeElement.tagName)")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    wait_until(page, "document.activeElement.closest('.bd-sidebar-primary')")
    assert page.evaluate(DRAWERS) == [OPEN, CLOSED]
    assert page.evaluate("document.querySelector('article').closest('[inert]') !== null")
    page.keyboard.press("Escape")
    assert page.evaluate(DRAWERS) == [CLOSED, CLOSED] and page.locator("[inert]").count() == 0


def test_on_a_telephone_a_closed_drawer_leaves_nothing_over_the_buttons(telephone: Page) -> None:
    """One tap on the magnifier opens the search, although the button of the drawer has the focus."""
    page = telephone
    page.locator("button.secondary-toggle").tap()
    wait_until(page, "document.activeElement.closest('.bd-sidebar-secondary')")
    page.touchscreen.tap(8, 700)  # beside the drawer
    expect(page.locator("button.secondary-toggle")).to_be_focused()
    page.wait_for_timeout(700)  # as long as a tooltip waits before it appears
    assert page.locator(".tooltip:visible").count() == 0
    box = page.locator(".bd-header-article .search-button").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".search-button__wrapper input")).to_be_focused()


def test_where_no_script_runs_no_button_promises_what_only_a_script_does(book_site: str, open_page: OpenPage) -> None:
    for width in (390, 1280):
        page = open_page(f"{book_site}/{CHAPTERS[0]}.html", width=width, java_script_enabled=False)
        assert page.locator(".bd-header-article button").count() > 3
        assert page.locator(".bd-header-article button:visible").count() == 0


def test_the_lists_of_pages_and_of_sections_have_names(opened: Callable[[str], Page]) -> None:
    """So that whoever goes from one landmark of a page to the next can tell them apart."""
    page = opened(CHAPTERS[0])
    with as_wide_as(page, 1280):
        names = page.locator("nav:visible").evaluate_all("lists => lists.map((list) => list.ariaLabel)")
    assert names == ["Main", "On this page"]


VIOLATIONS = """window.violations = [];
addEventListener('securitypolicyviolation', event => violations.push(event.violatedDirective));"""


def test_the_book_is_served_under_its_policy_and_the_policy_bites(browser: Browser, book_site: str) -> None:
    page = browser.new_page()
    page.add_init_script(VIOLATIONS)
    response = page.goto(f"{book_site}/{CHAPTERS[0]}.html")
    assert response is not None and response.headers["content-security-policy"] == build_book.policy(SITE)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("violations") == []
    page.evaluate("""() => {
      const add = (tag, attributes) => document.body.append(Object.assign(document.createElement(tag), attributes));
      add('script', { textContent: 'window.planted = true' });
      add('script', { src: 'https://example.org/a.js' });
      add('img', { src: 'https://example.org/a.png' });
      add('iframe', { src: 'https://example.org/' });
      add('style', { textContent: 'body { display: none }' });
      return fetch('https://example.org/').catch(() => 0);
    }""")
    wait_until(page, "violations.length >= 6")
    directives = {"script-src-elem", "img-src", "frame-src", "style-src-elem", "connect-src"}
    assert set(page.evaluate("violations")) == directives
    assert page.evaluate("window.planted") is None and page.locator("body").is_visible()
    page.close()


@pytest.mark.parametrize("name", CHAPTERS[:4])
def test_every_control_of_every_widget_works_under_the_policy(book_site: str, open_page: OpenPage, name: str) -> None:
    """With the data of the chapter: the page has the widgets that the notebook shows, and all of them are live."""
    page = open_page(f"{book_site}/{name}.html")
    cells = json.loads((ROOT / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    expected = len(re.findall(r"^(?:\w+Widget|AttentionViewer|SentencePairs)\(", shown, re.MULTILINE))
    widgets = page.locator(".plm-block .plm-widget")
    expect(widgets).to_have_count(expected)
    expect(page.locator(".plm-static")).to_have_count(0)
    for number in range(expected):
        assert all(moved for _, moved in moved_by_pointer(widgets.nth(number))), f"widget {number}, by pointer"
        used, silent = operate(widgets.nth(number))
        assert used and silent == [], f"widget {number}, by keyboard"


def test_the_print_button_prints(book_site: str, open_page: OpenPage) -> None:
    """Its handler is the only attribute with a script that the policy allows."""
    page = open_page(f"{book_site}/{CHAPTERS[0]}.html")
    page.evaluate("() => { window.printed = 0; window.print = () => void window.printed++; }")
    page.locator(".dropdown-download-buttons > button").click()
    page.locator(".btn-download-pdf-button").click()
    assert page.evaluate("printed") == 1


def test_a_missing_page_is_said_to_be_missing_and_leads_back(browser: Browser, book_site: str) -> None:
    page = browser.new_page()
    response = page.goto(f"{book_site}/no/such/page.html")
    assert response is not None and response.status == 404
    expect(page.locator("h1")).to_have_text("There is no such page")
    assert page.evaluate("getComputedStyle(document.querySelector('article')).paddingLeft") != "0px", "it has no style"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # "Skip to main content"
    assert page.url == f"{book_site}/no/such/page.html#main-content"
    page.get_by_role("link", name="first page").click()
    page.wait_for_url(f"{book_site}/{TOC['root']}.html")
    page.close()


# On paper


SHOWN = """selector => [...document.querySelectorAll(selector)].filter(part => part.checkVisibility()).length"""


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_prints_whole_in_dark_ink_and_without_what_only_a_screen_needs(
    book_site: str, open_page: OpenPage, name: str
) -> None:
    page = open_page(f"{book_site}/{name}.html", width=720, height=1000, color_scheme="dark")
    page.emulate_media(media="print")
    for _ in range(2):  # as a browser may do for one printing
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(THEME) == "light"
    for unwanted in (
        ".bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .prev-next-footer, .bd-footer-content",
        "button.copybtn, .headerlink, .plm-widget button, .plm-widget input[type=range]",
    ):
        assert page.evaluate(SHOWN, unwanted) == 0, f"{unwanted} is printed"
    assert page.evaluate(SHOWN, "article h1") == 1 and page.evaluate(SHOWN, "article h2") > 5
    assert page.evaluate(SHOWN, ".plm-widget svg, .plm-widget table") >= page.evaluate(SHOWN, ".plm-block")
    cut = """() => [...document.querySelectorAll('article pre')]
      .filter(part => part.checkVisibility() && part.scrollWidth > part.clientWidth + 2)
      .map(part => part.textContent)"""
    assert page.evaluate(cut) == []
    held_together = """() => [...document.querySelectorAll('article div.cell_input pre')].filter((part) => {
      for (let at = part; at.tagName !== 'ARTICLE'; at = at.parentElement)
        if (getComputedStyle(at).breakInside !== 'auto') return true;
    }).length"""
    assert page.evaluate(held_together) == 0, "code that does not fit leaves an empty frame behind"
    page.set_viewport_size({"width": 1009, "height": 700})  # A4 in landscape: lines may be longer than on a screen
    widths = "parts => [...new Set(parts.map(part => Math.round(part.getBoundingClientRect().width)))]"
    assert page.locator("article section > :is(p, div.math)").evaluate_all(widths) == [1009]
    page.set_viewport_size({"width": 680, "height": 1000})  # A4 within its margins
    too_wide = """() => [...document.querySelectorAll('article :not(svg *, .katex-mathml *)')]
      .filter(part => part.checkVisibility() && part.getBoundingClientRect().right > innerWidth + 1)
      .map(part => part.outerHTML.slice(0, 90))"""
    assert page.evaluate(too_wide) == [], "browsers shrink the whole chapter so that its widest part fits"
    page.set_viewport_size({"width": 720, "height": 1000})
    pdf = page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 5
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(THEME) == "dark", "the reader's own theme does not come back"
