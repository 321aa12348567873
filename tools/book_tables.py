"""A Sphinx extension for tables: columns of words are left-aligned, and tables of words fit on a phone.

In tables that a notebook's cell displays, every column but the first is right-aligned, whatever it holds; that suits
numbers. Here columns of words are left-aligned.

If the first column has no name, its cells name the rows, and the empty cell above them is not a header.

A table of words that is too wide for a phone is marked, so that book.css can stack the cells of a row there. Each of
its cells names its column and has the role of a cell: a browser may no longer tell screen readers that, if the cell is
laid out as a block.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from book_site import strip_tags
from docutils import nodes
from sphinx.application import Sphinx

STACKED = "stacked"
LABELS_ABOVE = "labels-above"
# If a column's name is longer than this, the names are above the cells, otherwise beside them.
LETTERS_OF_A_LABEL = 14
# If the longest cells of all columns have more letters than this in total, they do not fit side by side on a phone.
LETTERS_OF_A_PHONE = 34
NUMBER = re.compile(r"[-+−–±~≈<>]?\s?\.?\d")

TABLE = re.compile(rf'<table class="[^"]*\b{STACKED}\b.*?</table>', re.DOTALL)
# docutils writes the cells of a stub column as such headers.
CORNER = re.compile(r'<th class="(head stub[^"]*)"><p></p></th>')
ROW_NAME = re.compile(r'<th (?=class="stub)')
ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
HEADER = re.compile(r"<th\b.*?</th>", re.DOTALL)
PART = re.compile(r'<(table|thead|tbody|tr|td|th scope="row"|th)(?=[ >])')
ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell"}
ROLES |= {"th": "columnheader", 'th scope="row"': "rowheader"}


def set_columns(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Align each column of a page's tables to suit its contents; mark row headers, and tables that a phone stacks."""
    for table in doctree.findall(nodes.table):
        rows = [list(row.findall(nodes.entry)) for row in table.findall(nodes.row)]
        if len({len(row) for row in rows}) != 1 or any("morecols" in entry for row in rows for entry in row):
            continue
        head = [list(row.findall(nodes.entry)) for part in table.findall(nodes.thead) for row in part]
        if head and not head[0][0].astext().strip():
            next(table.findall(nodes.colspec))["stub"] = 1
        columns = list(zip(*rows[len(head) :], strict=True))
        of_words = [not holds_numbers([entry.astext() for entry in column]) for column in columns]
        for row in rows if is_displayed(table) else []:  # elsewhere the author chose the alignment
            for entry, words in zip(row, of_words, strict=True):
                if words:
                    entry["classes"] = ["text-left" if name == "text-right" else name for name in entry["classes"]]
        letters = sum(max(len(entry.astext()) for entry in column) for column in columns)
        if head and len(columns) > 2 and all(of_words) and letters > LETTERS_OF_A_PHONE:
            table["classes"].append(STACKED)
            if max(len(entry.astext()) for entry in head[0][1:]) > LETTERS_OF_A_LABEL:
                table["classes"].append(LABELS_ABOVE)


def is_displayed(node: nodes.Node | None) -> bool:
    """Return whether `node` is part of the output of a notebook's cell."""
    while node is not None and "cell_output" not in getattr(node, "attributes", {}).get("classes", []):
        node = node.parent
    return node is not None


def holds_numbers(cells: list[str]) -> bool:
    """Return whether at least half of the cells begin with a number, leaving out empty ones and dashes."""
    filled = [cell for cell in cells if cell.strip(" -–—\n")]
    return bool(filled) and 2 * sum(bool(NUMBER.match(cell)) for cell in filled) >= len(filled)


def label_cells(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Mark the row headers of a page's tables, and give stacked tables their labels and roles."""
    body = ROW_NAME.sub('<th scope="row" ', CORNER.sub(r'<td class="\1"></td>', context.get("body") or ""))
    context["body"] = TABLE.sub(lambda table: with_labels(table[0]), body)


def with_labels(table: str) -> str:
    """Return the HTML of a table with the role of each part, and the column's name on each cell."""
    labels = [strip_tags(header).strip() for header in HEADER.findall(table)]

    def labelled(row: re.Match[str]) -> str:
        columns = iter(labels)
        return re.sub(r"<td\b", lambda _: f'<td data-label="{escape(next(columns))}"', row[0])

    return PART.sub(lambda part: f'{part[0]} role="{ROLES[part[1]]}"', ROW.sub(labelled, table))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the build steps of this extension."""
    app.connect("doctree-resolved", set_columns)
    app.connect("html-page-context", label_cells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
