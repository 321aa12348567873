"""A Sphinx extension that lays out several figures of a cell side by side, or stacked where there is no room.

A cell's alternative text (`mystnb.image.alt` in its metadata) has a part for each figure, separated by bars: ` | `.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

BETWEEN = " | "


def lay_out_figures(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Mark outputs that hold several figures (book.css has their grid), and give each figure its alternative text.

    Raises:
        ExtensionError: The numbers of parts and figures of a cell differ.
    """
    for output in doctree.findall(nodes.container):
        if "cell_output" not in output["classes"]:
            continue
        images = list(output.findall(nodes.image))
        if not images:
            continue
        parts = images[0].get("alt", "").split(BETWEEN)
        if len(parts) != len(images):
            raise ExtensionError(
                f"{page}: a cell draws {len(images)} figures, its alternative text has {len(parts)} parts"
            )
        if len(images) > 1:
            output["classes"] += ["figures", f"figures-{len(images)}"]
        for image, part in zip(images, parts, strict=True):
            image["alt"] = part


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the build step of this extension."""
    app.connect("doctree-resolved", lay_out_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
