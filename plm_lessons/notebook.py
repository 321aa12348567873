"""What the chapters use to show things: source code and tables, in the reader's theme."""

from __future__ import annotations

import ast
import html
import inspect
import io
import re
import tokenize
from collections.abc import Sequence
from typing import Any

from IPython.display import Markdown, display


def show_source(*objects: Any) -> None:
    """Display the source of functions or classes, as code in the theme of the page.

    Docstrings are left out, since the text around the code explains it, and so are comments that only tools read.

    Args:
        objects: Functions, methods or classes.

    Raises:
        ValueError: No object is given, or one of them has no source in Python.
    """
    if not objects:
        raise ValueError("objects: must name at least one function or class")
    parts = []
    for number, obj in enumerate(objects):
        try:
            source = inspect.getsource(obj)
        except (TypeError, OSError) as error:
            raise ValueError(
                f"objects[{number}]={obj!r:.80}: must be a function or class written in Python ({error})"
            ) from None
        indent = source[: len(source) - len(source.lstrip(" "))]
        source = re.sub(f"^{indent}", "", source, flags=re.MULTILINE)  # lines of a text may begin further to the left
        parts.append(_without_docstrings(_without_notes_to_tools(source)).rstrip())
    code = "\n\n".join(parts)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))  # longer than any in the code
    display(Markdown(f"{fence}python\n{code}\n{fence}"))


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Display a table: see `markdown_table`."""
    display(Markdown(markdown_table(header, rows)))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown: the first column is aligned to the left, the others to the right.

    Args:
        header: The names of the columns.
        rows: Their cells. These may be Markdown, such as `**best**`, on one line: line breaks in them become spaces.
            They are never HTML: "<s>" is shown as it is.

    Raises:
        ValueError: A row does not have as many cells as the header, or is not a list.
    """
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        raise ValueError(f"rows={rows!r:.80}: must be a list of rows")
    for name, row in (("header", header), *((f"rows[{number}]", row) for number, row in enumerate(rows))):
        if isinstance(row, str) or not hasattr(row, "__len__") or not len(row):
            raise ValueError(f"{name}={row!r:.80}: must be a list of at least one cell")
        if len(row) != len(header):
            raise ValueError(f"{name} has {len(row)} cells: must have {len(header)}, like the header")
    lines = [header, [":--"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    text = " ".join(str(value).splitlines()).replace("|", r"\|")  # a bare bar would end the cell
    # In code and formulas everything is literal already, even an escape.
    code = r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)"
    formula = r"(?<!\\)\$(?!\s)[^$]+(?<![\s\\])\$(?!\d)"
    return re.sub(f"{code}|{formula}|[&<]", lambda part: html.escape(part[0]) if part[0] in "&<" else part[0], text)


def _without_notes_to_tools(source: str) -> str:
    """Cut out comments that only tools read."""
    lines = source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            comment = re.sub(r"(^|  )# (type: ignore|noqa|fmt: ).*", "", token.string)
            lines[row - 1] = (lines[row - 1][:column] + comment).rstrip()
    return "\n".join(lines)


def _without_docstrings(source: str) -> str:
    """Cut out the docstrings of all classes and functions, with their lines.

    A docstring that is all of a body becomes "...".
    """
    lines: list[str | None] = [*source.split("\n")]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if ast.get_docstring(node) is None:
            continue
        docstring = node.body[0]
        start, end = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
        before = (lines[start] or "").encode()[: docstring.col_offset].decode()
        after = (lines[end - 1] or "").encode()[docstring.end_col_offset :].decode()
        lines[start:end] = [None] * (end - start)
        if len(node.body) == 1 or after.lstrip().startswith(";"):
            lines[start] = f"{before}...{after}"
        elif lines[end] == "":  # this would now follow the first line of the definition
            lines[end] = None
    return "\n".join(line for line in lines if line is not None)
