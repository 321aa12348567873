"""A Sphinx extension for what surrounds the pages: what search engines, link previews, hosts and lost readers see.

- Each page gets a description (`page_descriptions` in _config.yml) and the tags from which a link preview is made.
- `404.html`, `sitemap.xml` and `robots.txt` are made.
- The theme's script starts after the widgets; what does not suit the book in its and Sphinx's scripts is changed.
- `_headers` holds the Content-Security-Policy under which the site works. Hosts such as Netlify and Cloudflare Pages
  read that file; tools/build_book.py serves the book with it, so that the tests run under it.

The policy lets a page load only from its own host, and run only scripts that are files of the site or among the few
inline scripts that were there when the book was built, which it names by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

CARD = "_static/card.png"
CARD_SIZE = (1200, 630)
CARD_ALT = "The title of the book, and a map of its four models: BERT, and what RoBERTa, ALBERT and T5 changed."
NOT_FOUND = "404"
SCRIPT_TYPES = ("", "module", "text/javascript")


# The head of a page


def description(app: Sphinx, page: str) -> str:
    """Return a sentence or two on what a page holds.

    Raises:
        ExtensionError: the page is one of the book's own, and _config.yml has no description of it.
    """
    written: dict[str, str] = app.config.page_descriptions
    if page in written:
        return written[page]
    if page in app.env.found_docs:
        raise ExtensionError(f"_config.yml, page_descriptions: {page} has none")
    module = page.removeprefix("_modules/").replace("/", ".")
    return f"The source code of {module}, as the reference of the book's package links to it."


def complete_head(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the description and the tags of the link preview, and remove what a page does not need."""
    root = page == app.config.root_doc
    if root:
        context["docstitle"] = ""  # otherwise the title of the book would appear twice
    # Only the theme's menu of versions, which we do not have, needs this inline script; it differs from page to page.
    context["script_files"] = [
        file
        for file in context["script_files"]
        if "DOCUMENTATION_OPTIONS.pagename" not in (file.attributes.get("body") or "")
    ]
    base = app.config.html_baseurl
    text = description(app, page)
    properties = {
        "og:type": "website" if root else "article",
        "og:site_name": app.config.html_title,
        "og:title": app.config.html_title if root else strip_tags(context.get("title", page)),
        "og:description": text,
        "og:url": base + app.builder.get_target_uri(page),
        "og:image": base + CARD,
        "og:image:width": str(CARD_SIZE[0]),
        "og:image:height": str(CARD_SIZE[1]),
        "og:image:alt": CARD_ALT,
    }
    tags = [
        f'<meta name="description" content="{escape(text)}"/>',
        '<meta name="twitter:card" content="summary_large_image"/>',
    ]
    tags += [f'<meta property="{name}" content="{escape(value)}"/>' for name, value in properties.items()]
    if page == NOT_FOUND:
        # A host shows this page in place of any missing one, at any depth.
        tags.insert(0, f'<base href="{escape(urlsplit(base).path)}"/>')
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def let_widgets_come_first(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Add, after the widgets of a page, a script for which the browser has to wait.

    Otherwise the module of the last widget and all the work of the theme and its extensions after loading form a single
    task, and on a phone the widget cannot be used for half a second.
    """
    if '<div class="plm-block" data-plm-widget=' in context.get("body", ""):
        address = escape(context["pathto"]("_static/after_widgets.js", 1))
        context["body"] += f'<script defer="defer" src="{address}"></script>'


def let_summaries_name_themselves(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Remove the label of what opens a hidden cell, so that users of speech control can say the words they see."""
    context["body"] = context.get("body", "").replace(' aria-label="Toggle hidden content"', "")


def strip_tags(html: str) -> str:
    """Return the text of a piece of HTML."""
    texts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = texts.append  # type: ignore[method-assign, assignment]
    parser.feed(html)
    parser.close()
    return "".join(texts)


# The policy


class Inline(HTMLParser):
    """Collects the inline scripts, style sheets and event handlers of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, set[str]] = {"script": set(), "style": set(), "handler": set()}
        self.open = ""
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.found["handler"] |= {value for name, value in attributes.items() if name.startswith("on")}
        script = tag == "script" and "src" not in attributes and attributes.get("type", "") in SCRIPT_TYPES
        self.open, self.text = (tag if script or tag == "style" else ""), ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if self.open:
            self.found[self.open].add(self.text)
        self.open = ""


def policy(pages: Iterable[str]) -> str:
    """Return the strictest Content-Security-Policy under which the given pages, as HTML, work.

    All style attributes must be allowed: KaTeX sets each formula with hundreds of different ones.
    """
    inline = Inline()
    for page in pages:
        inline.feed(page)
        inline.reset()
    handlers = ["'unsafe-hashes'", *hashes(inline.found["handler"])] if inline.found["handler"] else []
    sources = {
        "default-src": ["'none'"],
        "base-uri": ["'self'"],
        "connect-src": ["'self'"],  # the search reads the pages that it found, for an excerpt
        "font-src": ["'self'"],
        "form-action": ["'self'"],
        "img-src": ["'self'", "data:"],
        "script-src": ["'self'", *hashes(inline.found["script"]), *handlers],
        "style-src-attr": ["'unsafe-inline'"],
        "style-src-elem": ["'self'", *hashes(inline.found["style"])],
    }
    return "; ".join(" ".join([name, *values]) for name, values in sources.items())


def hashes(texts: Iterable[str]) -> list[str]:
    """Return the hashes by which a policy names the texts."""
    return sorted(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)


def let_pages_be_light_where_no_script_runs(app: Sphinx, exception: Exception | None) -> None:
    """Name the light theme in each page; where scripts run, they choose the theme before anything is shown.

    The theme of the book names its own default, "auto", for which it has no colours: boxes would be black.
    """
    if exception is not None or app.builder.name != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        light = page.replace(' data-theme="auto">', ' data-theme="light">', 1)
        if light != page:  # an earlier build may have done it
            path.write_text(light, encoding="utf-8")


# Files beside the pages


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """Write the files that are not pages, once the pages are built."""
    if exception is not None or app.builder.name != "html":
        return
    out, base = Path(app.outdir), app.config.html_baseurl
    pages = "".join(
        f"  <url><loc>{escape(base + app.builder.get_target_uri(page))}</loc></url>\n"
        for page in sorted(app.env.found_docs)
    )
    files = {
        "sitemap.xml": '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{pages}</urlset>\n',
        "robots.txt": f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n",
    }
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
    built = (path.read_text(encoding="utf-8") for path in sorted(out.rglob("*.html")))
    (out / "_headers").write_text(f"/*\n  Content-Security-Policy: {policy(built)}\n", encoding="utf-8")


# Scripts of the theme and of Sphinx

# What is replaced in them, and by what. No replacement may contain the text that it replaces: see `change_scripts`.
#
# What can wait until the widgets are live (buttons that copy, tooltips, what follows the reader's scrolling) waits for
# an event of book.js: on a phone it takes a tenth of a second.
CHANGES = {
    "_static/copybutton.js": {"('DOMContentLoaded', cb)": "('at-rest', cb)"},
    "_static/scripts/sphinx-book-theme.js": {'("DOMContentLoaded",e)': '("at-rest",e)'},
    # Bootstrap marks the section that is being read when a tenth of it is in view, which in a long one never happens,
    # and on the way up it marks the outer one. With a selector that matches nothing it marks nothing; book.js does it.
    "_static/scripts/bootstrap.js": {
        't():document.addEventListener("DOMContentLoaded",t)': 't():document.addEventListener("at-rest",t)',
        """'[data-bs-spy="scroll"]'""": "'.marked-by-book-js'",
    },
    # The theme lets the Tab key stop at code that is wider than the page. To find such code, it measures all blocks
    # when a page has been read, and again after every change on it, such as a widget's, and makes changes in between,
    # so that a chapter is laid out dozens of times. With a selector that matches nothing it measures nothing;
    # instead, book.js measures a block once each time it is laid out.
    "_static/scripts/pydata-sphinx-theme.js": {
        '"pre, .nboutput > .output_area, .cell_output > .output, .jp-RenderedHTMLCommon"': '".measured-by-book-js"',
    },
    # On a page that the search leads to, the words sought are marked. In a drawing the marks are bright boxes over
    # other words, in a formula they pull its symbols apart, and the text of a widget must stay as it is.
    "_static/sphinx_highlight.js": {
        '"button, select, textarea"': '"button, select, textarea, svg, .katex, .plm-block"',
    },
    # An excerpt of a page is plain text. A formula is in the page twice: the excerpt has the form for screen readers.
    # It has nothing of the widgets. Screen readers announce the number of results. Terms of the glossary are found by a
    # third of their letters, and come first; then titles, exact names in the package, and texts; in each case chapters
    # come before the reference. Longer names in which the word occurs come last. Numbers are found as words are, for
    # readers look for "80%" and "512".
    "_static/searchtools.js": {
        '[".headerlink", "script", "style"]': '[".headerlink", "script", "style", ".katex-html", ".plm-block"]',
        'searchSummary.innerText = "";': 'searchSummary.setAttribute("role", "status");',
        "queryLower.length >= entry.length/2": "queryLower.length >= entry.length/3",
        "// query matches the full name of an object": 'score: (a) => a[4] - 3 * a[0].startsWith("book/reference/"),',
        "objPartialMatch: 6,": "objPartialMatch: 2,",
        r"queryTerm.match(/^\d+$/)": "false // numbers count",
        "0: 15, //": "0: 0, //",
        "1: 5, //": "1: 0, //",
    },
}


def change_scripts(app: Sphinx, exception: Exception | None) -> None:
    """Change what does not suit this book in the scripts of the theme and of Sphinx.

    Raises:
        ExtensionError: a script differs from the one for which the change was written.
    """
    if exception is not None or app.builder.name != "html":
        return
    for name, changes in CHANGES.items():
        path = Path(app.outdir) / name
        script = path.read_text(encoding="utf-8")
        for old, new in changes.items():
            if script.count(old) + script.count(new) != 1:  # also 1 if an earlier build has changed it already
                raise ExtensionError(f"{name} has changed: see what it does now, and correct CHANGES: {old}")
            script = script.replace(old, new)
        path.write_text(script, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the setting and the build steps of this extension."""
    app.add_config_value("page_descriptions", {}, "html", [dict])
    app.connect("html-page-context", complete_head, priority=900)  # when theme and extensions have had their say
    app.connect("html-page-context", let_widgets_come_first)
    app.connect("html-page-context", let_summaries_name_themselves)
    app.connect("build-finished", let_pages_be_light_where_no_script_runs)
    app.connect("build-finished", write_files)
    app.connect("build-finished", change_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
