"""What the chapters use to show things: source code and tables, in the reader's theme."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from IPython.display import Markdown, display


def show_source(*objects: Any) -> None:
    """Display the source of functions or classes, as code in the theme of the page.

    Docstrings are left out, for the text around says what they do, and so are comments to tools.

    Args:
        objects: Functions, methods or classes.

    Raises:
        ValueError: There is none, or one that has no source in Python.
    """
    if not objects:
        raise ValueError("objects: must name at least one function or class")
    parts = []
    for number, obj in enumerate(objects):
        try:
            source = textwrap.dedent(inspect.getsource(obj))
        except (TypeError, OSError) as error:
            raise ValueError(
                f"objects[{number}]={obj!r:.80}: must be a function or class in Python ({error})"
            ) from None
        parts.append(_without_docstrings(re.sub(r"  # (?:type: ignore|noqa|fmt: ).*", "", source)))
    display(Markdown("```python\n" + "\n\n".join(part.rstrip() for part in parts) + "\n```"))


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Display a table: the first column to the left, the others to the right.

    Raises:
        ValueError: A row has not as many cells as the header, or is no list.
    """
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        raise ValueError(f"rows={rows!r:.80}: must be a list of rows")
    for name, row in (("header", header), *((f"rows[{number}]", row) for number, row in enumerate(rows))):
        if isinstance(row, str) or not hasattr(row, "__len__") or not len(row):
            raise ValueError(f"{name}={row!r:.80}: must be a list of at least one cell")
        if len(row) != len(header):
            raise ValueError(f"{name} has {len(row)} cells: must have {len(header)}, as the header")
    lines = [header, [":--"] + ["--:"] * (len(header) - 1), *rows]
    cells = ([str(cell).replace("|", r"\|") for cell in line] for line in lines)  # a bare bar would end a cell
    display(Markdown("\n".join("| " + " | ".join(line) + " |" for line in cells)))


def _without_docstrings(source: str) -> str:
    """Cut out each string that stands alone, as the first statement of a class or function, with its lines."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            assert docstring.end_lineno is not None
            for number in range(docstring.lineno - 1, docstring.end_lineno):
                lines[number] = "\0"
    kept = [line for line in lines if line != "\0"]
    # An empty line after a class's docstring would now follow the class's first line.
    return "\n".join(line for i, line in enumerate(kept) if line or not (i and kept[i - 1].rstrip().endswith(":")))
