"""What the chapters use to show things: source code and tables, in the reader's theme."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

from IPython.display import Markdown, display


def show_source(*objects: Any, docstrings: bool = False) -> None:
    """Display the source of functions or classes, as code in the theme of the page.

    Args:
        objects: Functions, methods or classes.
        docstrings: Whether to keep their docstrings, which the text around usually makes superfluous.
    """
    parts = []
    for obj in objects:
        source = textwrap.dedent(inspect.getsource(obj))
        parts.append(source if docstrings else _without_docstrings(source))
    display(Markdown("```python\n" + "\n\n".join(part.rstrip() for part in parts) + "\n```"))


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Display a table: the first column to the left, the others to the right.

    Raises:
        ValueError: A row has not as many cells as the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"rows: a row has {len(row)} cells, the header {len(header)}")
    lines = [header, [":--"] + ["--:"] * (len(header) - 1), *rows]
    display(Markdown("\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)))


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
