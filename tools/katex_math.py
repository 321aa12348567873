"""A Sphinx extension that sets mathematics with KaTeX while the book is built.

The pages then hold finished formulas, as HTML for display and MathML for screen readers. Nothing comes from another
host, no script runs in the reader's browser, and a formula with a mistake fails the strict build instead of showing raw
TeX. KaTeX runs inside Python, in the V8 engine of `mini-racer`; Node is not needed.

`tools/katex/katex.min.js` and `book/_static/katex/` (style sheet and fonts) come unchanged from the npm package
katex 0.19.1, except that the style sheet names only the woff2 fonts, the one format that every current browser reads.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

NUMBERED_ENVIRONMENT = re.compile(r"\\(begin|end)\{(align|alignat|equation|gather)\}")
ANNOTATION = re.compile(r"<annotation encoding=\"application/x-tex\">.*?</annotation>", re.DOTALL)
# KaTeX's name for a part of a formula after which the line may break: after a relation or a binary operator.
BASE = '<span class="katex-base">'
KATEX = Path(__file__).parent / "katex" / "katex.min.js"

logger = logging.getLogger(__name__)


@cache
def engine() -> MiniRacer:
    """Return the JavaScript engine with KaTeX loaded; one serves the whole build."""
    context = MiniRacer()
    context.eval(KATEX.read_text(encoding="utf-8"))
    return context


def close_engine(app: Sphinx, exception: Exception | None) -> None:
    """End the engine's thread when the build ends; at the exit of the interpreter it could deadlock."""
    if engine.cache_info().currsize:
        engine().close()
        engine.cache_clear()


@cache
def render(tex: str, display: bool) -> str:
    """Return the HTML of one formula; a formula that KaTeX cannot set raises `ValueError` with KaTeX's reason."""
    try:
        html = engine().call("katex.renderToString", tex, {"displayMode": display, "throwOnError": True})
    except JSEvalException as error:
        # In the engine's message, a stack trace follows the reason, which is the first line.
        raise ValueError(str(error).splitlines()[0].removeprefix("<anonymous>:1: ")) from None
    if not display:
        # The boxes of a formula are kept together (book.css), so that the last one keeps its full stop.
        first, *others = html.split(BASE)
        html = BASE.join([first, *others[:1]]) + "".join(f"<wbr>{BASE}{other}" for other in others[1:])
    # KaTeX repeats the source inside its MathML; in search results it would appear as text.
    return ANNOTATION.sub("", html)


def render_or_warn(tex: str, display: bool, node: nodes.Element) -> str:
    """Return the HTML of one formula, or warn (an error in the strict build) and return its TeX source."""
    try:
        return render(tex, display)
    except ValueError as error:
        logger.warning("%s in the formula %r", error, tex, location=node)
        return f"<code>{escape(tex)}</code>"


def display_source(tex: str) -> str:
    """Return `tex` ready for display.

    Several lines without an environment (`a &= b \\\\ c &= d`) are aligned. An environment that would number its lines
    is told not to: Sphinx gives each formula a single number.
    """
    if r"\\" in tex and r"\begin{" not in tex:
        return rf"\begin{{aligned}}{tex}\end{{aligned}}"
    return NUMBERED_ENVIRONMENT.sub(r"\\\1{\2*}", tex)


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line of text."""
    translator.body.append(render_or_warn(node.astext(), False, node))
    raise nodes.SkipNode


def visit_display(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula, with its number if it has one."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(render_or_warn(display_source(node.astext()), True, node))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer under the name `katex` (see `html_math_renderer` in _config.yml)."""
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_display, None))
    app.connect("build-finished", close_engine)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
