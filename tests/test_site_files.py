"""The files of the built book, read without a browser: headings, descriptions, reference, glossary, policy."""

from __future__ import annotations

import base64
import hashlib
import importlib
import inspect
import json
import pkgutil
import re
from functools import cache
from html import unescape
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import book_facts
import book_figures
import book_reference
import book_site
import build_book
import draw_figures
import make_notebooks
import nbformat
import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document
from PIL import Image
from sphinx.util.inventory import InventoryFile

import plm_lessons

ROOT, SITE = build_book.ROOT, build_book.SITE
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
BASE = CONFIG["html"]["baseurl"]
pytestmark = pytest.mark.usefixtures("book_site")


class Page(HTMLParser):
    """What the tags of a page say: headings, title, meta tags, links and pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.headings: list[tuple[int, str]] = []
        self.title = ""
        self.meta: dict[str, str] = {}
        self.links: dict[str, list[str]] = {}
        self.pictures: list[tuple[str, str]] = []
        self.open: list[list[str]] = []
        self.in_article = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta":
            self.meta[given.get("name", given.get("property", ""))] = given.get("content", "")
        self.in_article = self.in_article or tag == "article"
        if tag == "img" and self.in_article:
            self.pictures.append((given.get("src", ""), given.get("alt", "")))
        if tag == "svg" and given.get("role") == "img":
            self.pictures.append(("", given.get("aria-label", "")))
        if re.fullmatch("h[1-6]|a|title", tag):
            self.open.append([tag, given.get("href", ""), ""])

    def handle_data(self, data: str) -> None:
        for part in self.open:
            part[2] += data

    def handle_endtag(self, tag: str) -> None:
        self.in_article = self.in_article and tag != "article"
        if self.open and self.open[-1][0] == tag:
            _, href, text = self.open.pop()
            if tag == "title":
                self.title = self.title or text.strip()
            elif tag == "a":
                self.links.setdefault(text.strip(), []).append(href)
            else:
                self.headings.append((int(tag[1]), text.removesuffix("#").strip()))


@cache
def pages() -> tuple[Page, ...]:
    """Every page that a reader can reach. The others redirect at once, or are parts of the theme."""
    paths = (path for path in sorted(SITE.rglob("*.html")) if path.relative_to(SITE).parts[0] != "_static")
    return tuple(Page(path) for path in paths if path != SITE / "index.html")


def page(name: str) -> Page:
    """The page with this name, such as `book/bert`."""
    [found] = [page for page in pages() if page.path == SITE / f"{name}.html"]
    return found


TOC = re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
NOTEBOOKS = [ROOT / f"{name}.ipynb" for name in TOC if (ROOT / f"{name}.ipynb").exists()]


# What every page must have


def test_each_page_has_one_title_and_its_headings_skip_no_level() -> None:
    assert len(pages()) > 50
    for one in pages():
        levels = [level for level, _ in one.headings]
        assert levels.count(1) == 1 and levels[0] == 1, f"{one.path}: {one.headings[:3]}"
        steps = [(higher, lower) for higher, lower in zip(levels, levels[1:], strict=False) if lower > higher + 1]
        assert not steps, f"{one.path}: {steps}"
        assert all(text for _, text in one.headings), f"{one.path} has an empty heading"


def test_titles_and_descriptions_are_there_and_no_two_are_the_same() -> None:
    titles = [one.title for one in pages()]
    descriptions = [one.meta.get("description", "") for one in pages()]
    assert len(set(titles)) == len(titles)
    assert len(set(descriptions)) == len(descriptions)
    for one in pages():
        text = one.meta.get("description", "")
        assert 50 <= len(text) <= 160 and text.endswith("."), f"{one.path} is described as {text!r}"
    assert page("book/index").title == CONFIG["title"]
    assert page("book/bert").title.endswith(CONFIG["title"]) and page("book/bert").title.startswith("BERT")


def test_a_page_without_a_description_fails_the_build() -> None:
    class App:
        config = type("Config", (), {"page_descriptions": {"book/index": "The first page."}})
        env = type("Env", (), {"found_docs": {"book/index", "book/new"}})

    assert book_site.description(App, "book/index") == "The first page."  # type: ignore[arg-type]
    with pytest.raises(book_site.ExtensionError, match="book/new"):
        book_site.description(App, "book/new")  # type: ignore[arg-type]


def test_each_figure_of_a_cell_has_its_own_description_or_the_build_fails() -> None:
    page = new_document("page")
    pictures = [nodes.image(uri=name, alt="One thing. | Another.") for name in ("a.png", "b.png")]
    page += nodes.container("", *pictures, classes=["cell_output"])
    book_figures.lay_out_figures(None, page, "book/new")  # type: ignore[arg-type]
    assert [picture["alt"] for picture in pictures] == ["One thing.", "Another."]
    assert page[0]["classes"] == ["cell_output", "figures", "figures-2"]
    for count in (0, 1):
        page[0] += [nodes.image(uri="c.png", alt="")] * count
        with pytest.raises(book_site.ExtensionError, match=f"book/new: a cell draws {2 + count} figures, .* 1 part"):
            book_figures.lay_out_figures(None, page, "book/new")  # type: ignore[arg-type]


def test_link_previews_are_complete() -> None:
    for one in pages():
        name = one.path.relative_to(SITE).as_posix()
        assert one.meta["og:url"] == BASE + name
        assert one.meta["og:description"] == one.meta["description"]
        assert one.meta["og:title"] and "<" not in one.meta["og:title"]
        assert one.meta["og:image"].startswith(BASE) and one.meta["twitter:card"] == "summary_large_image"
        card = SITE / one.meta["og:image"].removeprefix(BASE)
        assert card.stat().st_size < 100_000
        with Image.open(card) as image:
            assert image.size == (int(one.meta["og:image:width"]), int(one.meta["og:image:height"]))
    assert page("book/bert").meta["og:title"] == "BERT: read everything at once, then fine-tune"


def test_every_picture_is_described_by_a_sentence() -> None:
    """Even those that widgets show where no script runs."""
    seen = 0
    for one in pages():
        for source, alt in one.pictures:
            words = alt.split()
            named_after_file = source and not source.startswith("data:") and alt.split("/")[-1] in source
            assert len(words) >= 4 and not named_after_file, f"{one.path}: {source[:60]} is described as {alt!r}"
            seen += 1
    assert seen > 20


def test_the_address_of_the_book_is_that_of_the_repositorys_pages() -> None:
    owner, name = urlsplit(CONFIG["repository"]["url"]).path.strip("/").split("/")
    assert f"https://{owner}.github.io/{name}/" == BASE


def test_the_sitemap_lists_the_pages_of_the_contents() -> None:
    tree = ElementTree.parse(SITE / "sitemap.xml")
    listed = {(element.text or "").removeprefix(BASE) for element in tree.iter() if element.tag.endswith("}loc")}
    assert listed == {f"{name}.html" for name in TOC}
    assert all((SITE / name).is_file() for name in listed)
    assert f"Sitemap: {BASE}sitemap.xml\n" in (SITE / "robots.txt").read_text(encoding="utf-8")


def test_the_page_for_missing_ones_leads_back_from_any_depth() -> None:
    text = (SITE / "404.html").read_text(encoding="utf-8")
    base = re.search(r'<base href="([^"]+)"', text)
    assert base is not None and urljoin(BASE, base[1]) == BASE
    assert text.index("<base") < text.index("<link")
    [first], [search] = page("404").links["first page"], page("404").links["the search page"]
    assert (SITE / first).is_file() and (SITE / search).is_file()


def test_the_map_is_as_the_tool_draws_it() -> None:
    assert draw_figures.MAP.read_text(encoding="utf-8") == draw_figures.draw_map()
    assert draw_figures.draw_map() in (SITE / "book" / "index.html").read_text(encoding="utf-8")


def test_behind_the_widgets_of_a_page_stands_a_script_to_wait_for() -> None:
    """It comes once, after all of them, and is a file of the site; a page without widgets has none."""
    waited = 0
    for page in pages():
        html = page.path.read_text(encoding="utf-8")
        found = [match.start() for match in re.finditer("after_widgets.js", html)]
        widgets = [match.start() for match in re.finditer('<div class="plm-block" data-plm-widget=', html)]
        assert len(found) == bool(widgets), page.path
        if widgets:
            assert found[0] > html.rindex('type="module">') > widgets[-1], page.path
            waited += 1
    assert waited >= 4 and (SITE / "_static" / "after_widgets.js").is_file()


def test_no_page_has_an_id_twice() -> None:
    for page in pages():
        html = re.sub(r"<(script|style)\b.*?</\1>", "", page.path.read_text(encoding="utf-8"), flags=re.DOTALL)
        ids = re.findall(r'<[a-z][^<>]*?\sid="([^"]+)"', html)
        assert [one for one in set(ids) if ids.count(one) > 1] == [], page.path


def test_what_opens_a_hidden_cell_is_named_by_its_words() -> None:
    html = page("book/bert").path.read_text(encoding="utf-8")
    summaries = re.findall(r"<summary[^>]*>\s*<p[^>]*>Show code", html)
    assert summaries and not [summary for summary in summaries if "aria-label" in summary]


def test_headers_of_tables_have_names_and_the_first_column_names_the_rows_where_it_has_none() -> None:
    corners = 0
    for one in pages():
        for table in re.findall(
            r'<table[^>]*class="[^"]*\btable".*?</table>', one.path.read_text(encoding="utf-8"), re.DOTALL
        ):
            cells = re.findall(r"<(t[hd])\b([^>]*)>(.*?)</t[hd]>", table, re.DOTALL)
            assert all(kind == "td" or book_site.strip_tags(text) for kind, _, text in cells), one.path
            if cells and not book_site.strip_tags(cells[0][2]):
                corners += 1
                rows = re.findall(r"<tr\b[^>]*>\s*<(t[hd])\b([^>]*)>", table.partition("<tbody")[2])
                assert rows and all(kind == "th" and 'scope="row"' in attributes for kind, attributes in rows)
    assert corners > 10


def test_a_script_that_is_no_longer_the_one_that_is_changed_fails_the_build(tmp_path: Path) -> None:
    class App:
        outdir = tmp_path
        builder = type("Builder", (), {"name": "html"})

    for name, changes in book_site.CHANGES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("; ".join(changes), encoding="utf-8")
        assert not [old for old, new in changes.items() if old in new]
    for _ in range(2):  # the second time, as a build that finds the files as the last one left them
        book_site.change_scripts(App, None)  # type: ignore[arg-type]
        for name, changes in book_site.CHANGES.items():
            assert (tmp_path / name).read_text(encoding="utf-8") == "; ".join(changes.values())
            assert all(new in (SITE / name).read_text(encoding="utf-8") for new in changes.values())
    for name in book_site.CHANGES:
        kept = (tmp_path / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(kept[1:], encoding="utf-8")
        with pytest.raises(book_site.ExtensionError, match=name):
            book_site.change_scripts(App, None)  # type: ignore[arg-type]
        (tmp_path / name).write_text(kept, encoding="utf-8")


# The policy


def test_the_policy_names_what_is_inline_and_allows_no_other_host() -> None:
    def known(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    one = "<style>p{color:red}</style><script>a < b && 1</script><script type='application/json'>{}</script>"
    two = '<script src="a.js"></script><script type="module">\nimport\n</script><button onclick="go(&quot;x&quot;)">'
    rules = dict(rule.split(" ", 1) for rule in book_site.policy([one, two]).split("; "))
    assert rules["default-src"] == "'none'"
    scripts = {"'self'", "'unsafe-hashes'", known("a < b && 1"), known("\nimport\n"), known('go("x")')}
    assert set(rules["script-src"].split()) == scripts
    assert set(rules["style-src-elem"].split()) == {"'self'", known("p{color:red}")}
    assert "unsafe" not in dict(rule.split(" ", 1) for rule in book_site.policy([one]).split("; "))["script-src"]

    written = build_book.policy(SITE)
    assert "http" not in written and "*" not in written and "unsafe-eval" not in written
    assert re.findall(r"(\S+)-src\S* [^;]*'unsafe-inline'", written) == ["style"]
    assert written.count("sha256") < 60


# The reference


def package_modules() -> list[ModuleType]:
    """Every module of the package that can be imported without running something."""
    found = pkgutil.walk_packages(plm_lessons.__path__, "plm_lessons.")
    return [importlib.import_module(one.name) for one in found if not one.name.rpartition(".")[2].startswith("_")]


@cache
def inventory() -> dict[str, dict[str, tuple[str, str, str, str]]]:
    with (SITE / "objects.inv").open("rb") as file:
        loaded: dict[str, dict[str, tuple[str, str, str, str]]] = InventoryFile.load(file, "", lambda _, path: path)
    return loaded


def test_every_public_module_class_and_function_has_an_entry() -> None:
    entries = inventory()
    for module in package_modules():
        assert module.__name__ in entries["py:module"], f"{module.__name__} is on no page: see book/reference"
        for name, value in vars(module).items():
            own = getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
            if own and (inspect.isclass(value) or inspect.isfunction(value)) and value.__doc__:
                path = f"{module.__name__}.{name}"
                kinds = ("py:class", "py:function", "py:exception")
                assert any(path in entries.get(kind, {}) for kind in kinds), f"{path} has no entry"


def test_the_reference_leads_to_the_sections_that_use_it() -> None:
    links = page("book/reference/objectives").links
    assert "../roberta.html#second-change-a-new-mask-every-time" in links["Second change: a new mask every time"]
    assert "../bert.html#pre-training-first-task-fill-in-the-missing-words" in sum(links.values(), [])


def test_names_in_the_code_of_a_chapter_lead_to_their_entries() -> None:
    links = page("book/bert").links
    [config] = set(links["BertConfig"])
    assert config == "reference/models.html#plm_lessons.models.bert_configuration.BertConfig"
    assert set(links["load_tokenizer"]) == {
        "reference/tokenization.html#plm_lessons.tokenization.loading.load_tokenizer"
    }
    # If an imported name is written twice, it is a link twice; an attribute of the same name is something else.
    assert len(links["BertConfig"]) > 2 and "config" not in links


def test_names_between_backticks_lead_to_their_entries() -> None:
    links = page("book/reference/objectives").links
    assert "#plm_lessons.objectives.masking.choose_positions" in links["choose_positions"]
    assert not {"transformers", "input_ids", "device"} & set(links)


def test_what_a_colon_stands_behind_is_not_taken_for_a_type() -> None:
    for page in (SITE / "book" / "reference").glob("*.html"):
        types = re.findall(r'<dt class="field-\w+">Type<.*?<dd[^>]*>(.*?)</dd>', page.read_text("utf-8"), re.DOTALL)
        assert types == [], page.name
    text = re.sub(r"<[^>]+>", "", (SITE / "book" / "reference" / "index.html").read_text("utf-8"))
    assert "The most words that a task takes from an article or address at a time: always whole sentences." in text


def test_defaults_in_the_reference_can_be_read() -> None:
    """They are as they are written in the code, never the address or the type of an object."""
    signatures = {}
    for page in (SITE / "book" / "reference").glob("*.html"):
        for name, html in re.findall(
            r'<dt class="sig [^"]*" id="([^"]+)">(.*?)</dt>', page.read_text("utf-8"), re.DOTALL
        ):
            signatures[name] = unescape(re.sub(r"<[^>]+>", "", html))
    unreadable = r"<(?!=)[^>]*>|~|object at|0x[0-9a-f]{6}"
    assert len(signatures) > 300 and [text for text in signatures.values() if re.search(unreadable, text)] == []
    assert "families: Container[str] = FAMILIES" in signatures["plm_lessons.commands.loading.find_model"]
    assert re.search(r"source: TextSource = \w+\(\)", signatures["plm_lessons.training.runs.Run"])


def test_docstrings_lose_nothing_on_their_way_to_a_page() -> None:
    text = (SITE / "book" / "reference" / "objectives.html").read_text(encoding="utf-8")
    assert '<div class="line">B  batch: sequences (rows)</div>' in text  # each letter on a line of its own
    assert "inputs   Thank you &lt;X&gt; me to your party" in re.sub("</?span[^>]*>", "", text)  # its columns are kept
    assert "<p>SEGMENT-PAIR</p>" in text  # a table is a table
    assert "Variables:" not in text and "Alias for field number" not in text


def test_uses_are_found_by_section(tmp_path: Path) -> None:
    cells = [
        nbformat.v4.new_code_cell("if colab:\n    %pip install x"),
        nbformat.v4.new_code_cell(
            "from plm_lessons import BertModel as Encoder\nfrom plm_lessons.objectives import mask_tokens"
        ),
        nbformat.v4.new_markdown_cell("# Title\n\n## First\n\nText."),
        nbformat.v4.new_code_cell("model = Encoder(config)"),
        nbformat.v4.new_markdown_cell("### Second, part"),
        nbformat.v4.new_code_cell("mask_tokens(Encoder)"),
    ]
    notebook = tmp_path / "new.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    assert book_reference.uses(notebook) == (
        ("plm_lessons.models.bert.BertModel", "First"),
        ("plm_lessons.objectives.masking.mask_tokens", "Second, part"),
    )
    assert list(book_reference.places("plm_lessons.objectives.masking", [notebook])) == [
        "[Second, part](../new.ipynb#second-part)"
    ]
    assert list(book_reference.places("plm_lessons.models.roberta", [notebook])) == []


# The glossary


# Words that the chapters set in bold for emphasis, not to introduce them.
STRESSED = {"Several machines", "two things change at once"}


def bold_terms(notebook: Path) -> set[str]:
    """The terms that the running text of a notebook sets in bold: no verdicts, tables, whole sentences or numbers."""
    cells = nbformat.read(notebook, as_version=4).cells
    paragraphs = [part for cell in cells if cell.cell_type == "markdown" for part in cell.source.split("\n\n")]
    text = "\n\n".join(part for part in paragraphs if not part.lstrip().startswith((">", "|", "1. ")))
    bold = (re.sub(r"\s+", " ", term) for term in re.findall(r"\*\*([^*]+)\*\*", text))
    return {term for term in bold if re.fullmatch(r"[A-Za-z][\w /-]+[\w]", term)}


def glossary() -> dict[str, str]:
    """The terms of the glossary with their explanations."""
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8").split("```")[1]
    entries = re.split(r"\n(?=\S)", text.removeprefix("{glossary}\n"))
    return {entry.partition("\n")[0]: entry.partition("\n")[2] for entry in entries if entry.strip()}


def same_term(one: str, other: str) -> bool:
    """Whether two spellings name the same term: capitals and plurals do not matter."""
    return one.lower().rstrip("s") == other.lower().rstrip("s")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_term_that_a_chapter_introduces_is_in_the_glossary(notebook: Path) -> None:
    text = " ".join(glossary()) + " ".join(glossary().values())
    found = bold_terms(notebook)
    assert found
    missing = {term for term in found - STRESSED if not any(same_term(term, known) for known in glossary())}
    # Or it is mentioned in an entry, as "Gaussian error linear unit" is in that of GELU.
    assert not {term for term in missing if term.lower() not in text.lower()}, "enter these in book/glossary.md"


def test_the_glossary_is_in_order_and_each_entry_says_where_the_term_is_explained() -> None:
    terms = list(glossary())
    assert terms == sorted(terms, key=str.lower) and len(terms) > 30
    for term, text in glossary().items():
        assert re.search(r"\]\(\w+\.ipynb#[\w-]+\)", text), f"{term} leads to no section"
        prose = re.sub(r"\s*See\s+\[.*", "", re.sub(r"\s+", " ", text))
        assert 1 <= prose.count(". ") + 1 <= 4 and len(prose) < 330, f"{term}: one or two sentences"


# What is counted and looked up


def test_reading_times_count_the_words_and_the_code_that_are_shown(tmp_path: Path) -> None:
    def displayed(text: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_output("display_data", {"text/markdown": text, "text/plain": ""})

    source, table = "```python\n" + "y = 1\n\n" * 20 + "```", "| a |\n| --: |\n" + "| 1 |\n" * 50
    cells = [
        nbformat.v4.new_code_cell("not counted", metadata={"tags": ["remove-cell"]}),
        nbformat.v4.new_markdown_cell(" ".join(["word"] * 2000)),
        nbformat.v4.new_code_cell("one two three", metadata={"tags": ["hide-input"]}),
        nbformat.v4.new_code_cell("x = 1\n\n" * 30, outputs=[displayed(source), displayed(table)]),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    assert book_facts.words(tmp_path / "a.ipynb") == 2000
    assert book_facts.code_lines(tmp_path / "a.ipynb") == 30 + 20  # neither empty lines nor the table
    assert book_facts.minutes(tmp_path / "a.ipynb") == 10 + 5


def test_the_pages_say_how_long_and_with_what() -> None:
    text = re.sub(r"<[^>]+>", "", (SITE / "book" / "versions.html").read_text(encoding="utf-8"))
    for notebook in NOTEBOOKS:
        assert f"{book_facts.words(notebook):,}" in text and f"{book_facts.code_lines(notebook):,}" in text
    for package in ("torch", "jupyter-book", "transformers"):
        assert re.search(rf"{package}\s+{re.escape(version(package))}", text)
    first = re.sub(r"<[^>]+>", "", (SITE / "book" / "index.html").read_text(encoding="utf-8"))
    assert f"Start here · {book_facts.minutes(ROOT / 'book' / 'bert.ipynb')} minutes to read" in first


def test_the_first_page_says_how_to_cite_the_book() -> None:
    text = unescape(re.sub(r"<[^>]+>", "", (SITE / "book" / "index.html").read_text(encoding="utf-8")))
    entry = dict(re.findall(r"^ +(\w+) += \{+(.+?)\}+,?$", text[text.index("@misc{") :], flags=re.MULTILINE))
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert entry == {
        "title": cited["title"],
        "author": " and ".join(author["name"] for author in cited["authors"]),
        "year": str(CONFIG["copyright"]),
        "url": BASE,
        "version": cited["version"],
    }


def test_the_notebooks_are_listed_in_the_order_of_the_contents() -> None:
    text = (SITE / "book" / "versions.html").read_text(encoding="utf-8")
    listed = re.findall(r'href="(\w+)\.html"', text[text.index('id="run-times"') : text.index('id="versions"')])
    assert listed == [notebook.stem for notebook in NOTEBOOKS]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("a warning\n\rtraining:  10%|#    | 1/10\rtraining: 100%|#####| 10/10\nanother\n", "a warning\nanother\n"),
        ("\rtraining:  10%|#    | 1/10\r               \ra message\n\rtraining: 100%|#####| 10/10", "a message\n"),
        ("outer:  50%|##   | 1/2\ninner: 100%|#####| 9/9\x1b[A\nthe end\n", "the end\n"),
        ("10% | of all\n\n  indented\n", "10% | of all\n\n  indented\n"),
    ],
)
def test_of_what_a_cell_says_beside_a_progress_bar_nothing_is_lost(written: str, kept: str) -> None:
    cell = nbformat.v4.new_code_cell("pass", outputs=[nbformat.v4.new_output("stream", name="stderr", text=written)])
    notebook = make_notebooks.normalised(nbformat.v4.new_notebook(cells=[cell]))
    assert [output.text for output in notebook.cells[0].outputs] == [kept]


def test_run_times_are_noted_beside_the_notebooks_and_forgotten_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_notebooks, "BOOK", tmp_path)
    monkeypatch.setattr(make_notebooks, "RUN_TIMES", tmp_path / "run_times.json")
    for name in ("a", "b"):
        (tmp_path / f"{name}.ipynb").touch()
        make_notebooks.note_run_time(name, 70)
    (tmp_path / "b.ipynb").unlink()
    make_notebooks.note_run_time("a", 61)
    assert json.loads((tmp_path / "run_times.json").read_text(encoding="utf-8")) == {"a": 61}
    assert book_facts.run_seconds(tmp_path) == {"a": 61} and book_facts.run_seconds(tmp_path / "none") == {}


# Ways in from the repository


def test_everything_that_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"(?:^|`)make (\w+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{command}:", make, flags=re.MULTILINE), f"there is no `make {command}`"
    paths = re.findall(r"(?<![\w/])(?:tools|tests|book|plm_lessons)/[\w/]+(?:\.\w+)?", text)
    for path in {path for path in paths if "NAME" not in path}:
        assert (ROOT / path).exists(), f"CONTRIBUTING.md names {path}"


def test_issue_forms_are_such_and_the_errata_page_opens_one() -> None:
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    forms = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.glob("*.yml")}
    del forms["config.yml"]
    assert len(forms) == 2
    for form in forms.values():
        assert form["name"] and form["description"]
        ids = [field["id"] for field in form["body"]]
        assert len(set(ids)) == len(ids) and all(field["attributes"]["label"] for field in form["body"])
        assert {field["type"] for field in form["body"]} <= {"dropdown", "textarea", "input", "markdown", "checkboxes"}
    addresses = [address for found in page("book/errata").links.values() for address in found]
    [address] = [address for address in addresses if "template=" in address]
    assert address == f"{CONFIG['repository']['url']}/issues/new?template=mistake.yml" and "mistake.yml" in forms
    wheres = next(field for field in forms["mistake.yml"]["body"] if field["id"] == "chapter")["attributes"]["options"]
    for notebook in NOTEBOOKS:
        assert any(notebook.stem.lower() in where.lower() for where in wheres), (
            f"the form does not offer {notebook.stem}"
        )
