"""A Sphinx extension that controls where lines may break.

- A formula or a piece of code stays with the punctuation that touches it. Both are boxes, and next to a box a browser
  may break the line where it would not between letters: before a full stop, or after an opening bracket.
- A number stays with its spread: "87.4 ± 0.4".
- A path breaks after a slash rather than in the middle of a name.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

KEPT = "kept-together"
# What may not begin a line after a box, and what may not end one before it.
AFTER = re.compile(r"[^\s\w(\[{“‘–—]+")
BEFORE = re.compile(r"[^\s\w.,;:!?)\]}”’–—]+$")
SPREAD = re.compile(r"(?<=[\d%]) ± (?=\d)")
CODE = re.compile(r'<code class="[^"]*\bliteral\b.*?</code>', re.DOTALL)
SLASH = re.compile(r"(?<=\w)/(?=\w)")


def keep_punctuation(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Wrap each formula and each piece of code together with the punctuation that touches it."""
    for box in [*doctree.findall(nodes.math), *doctree.findall(nodes.literal)]:
        outer: nodes.Element = box.parent if isinstance(box.parent, nodes.reference) else box
        parent = outer.parent
        place = parent.index(outer)
        before, after = parent[:place][-1:], parent[place + 1 :][:1]
        opening = BEFORE.search(before[0]) if before and isinstance(before[0], nodes.Text) else None
        closing = AFTER.match(after[0]) if after and isinstance(after[0], nodes.Text) else None
        if not opening and not closing:
            continue
        kept = nodes.inline("", "", classes=[KEPT])
        parent.replace(outer, kept)
        if opening:
            parent.replace(before[0], nodes.Text(before[0][: opening.start()]))
            kept += nodes.Text(opening[0])
        kept += outer
        if closing:
            parent.replace(after[0], nodes.Text(after[0][closing.end() :]))
            kept += nodes.Text(closing[0])


def keep_spreads(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Join each number of a page to its spread with no-break spaces."""
    for text in list(doctree.findall(nodes.Text)):
        if SPREAD.search(text) and not isinstance(text.parent, nodes.FixedTextElement | nodes.raw | nodes.literal):
            text.parent.replace(text, nodes.Text(SPREAD.sub("\u00a0±\u00a0", text)))


def let_paths_break(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Mark the places at which a browser may break the paths of a page."""
    context["body"] = CODE.sub(lambda code: SLASH.sub("/<wbr>", code[0]), context.get("body") or "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the build steps of this extension."""
    app.connect("doctree-resolved", keep_punctuation, priority=400)  # before links are made of names
    app.connect("doctree-resolved", keep_spreads)
    app.connect("html-page-context", let_paths_break)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
