"""What chapters show: source that is valid without its docstrings, and tables whose cells are what they were given."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from plm_lessons import notebook

CODE = '''\
class Shown:
    """A class."""

    text = "see  # noqa: here"  # noqa: E501
    fence = """
```
````
"""

    def promised(self) -> None:
        """Nothing but this."""

    async def waiting(self) -> int:
        """It waits.

        Long.
        """
        return 1  # why  # type: ignore[x]

    def short(self): "one line"

    def two(self):
        "one"; return "é"  # fmt: skip


class Named(ValueError):
    """An error of its own."""
'''
KEPT = '''\
class Shown:
    text = "see  # noqa: here"
    fence = """
```
````
"""

    def promised(self) -> None:
        ...

    async def waiting(self) -> int:
        return 1  # why

    def short(self): ...

    def two(self):
        ...; return "é"


class Named(ValueError):
    ...
'''


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is displayed, as tokens of Markdown."""
    found: list[Any] = []
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    monkeypatch.setattr(notebook, "display", lambda markdown: found.extend(reader.parse(markdown.data)))
    return found


def test_source_is_shown_without_docstrings_and_notes_to_tools(tmp_path: Path, shown: list[Any]) -> None:
    (tmp_path / "code.py").write_text(CODE, encoding="utf8")
    spec = importlib.util.spec_from_file_location("code_to_show", tmp_path / "code.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "code_to_show", module)
        spec.loader.exec_module(module)
        notebook.show_source(module.Shown, module.Named)
    (fence,) = shown
    assert (fence.type, fence.info, fence.content) == ("fence", "python", KEPT.replace("\n\n\n", "\n\n"))
    ast.parse(fence.content)


class WithText:
    def text(self) -> str:
        return """a line
and one that begins at the margin"""


def test_a_method_whose_text_begins_at_the_margin_is_shown(shown: list[Any]) -> None:
    notebook.show_source(WithText.text)
    (fence,) = shown
    assert fence.content.startswith("def text(self)") and "\nand one that begins at the margin" in fence.content
    ast.parse(fence.content)


def test_a_cell_of_a_table_may_be_markdown_but_is_no_html_and_has_one_line(shown: list[Any]) -> None:
    cells = ["<s>", "a < b & c", "two\nlines", "a | b", "&lt;", "**6.5**", "`<s> &amp; |`", "d_model", "`open <b>"]
    cells += ["$5 <s> $6", r"\$<b>\$", r"\`<s>\`", "`a <b> ``"]
    notebook.show_table(["value", "cell <i>"], [[number, cell] for number, cell in enumerate(cells)])
    inline = [token.children for token in shown if token.type == "inline"]
    assert not [token for tokens in inline for token in tokens if token.type == "html_inline"]
    texts = ["".join(token.content for token in tokens) for tokens in inline]
    assert texts[:2] == ["value", "cell <i>"]
    assert texts[3::2] == [
        "<s>",
        "a < b & c",
        "two lines",
        "a | b",
        "&lt;",
        "6.5",
        "<s> &amp; |",
        "d_model",
        "`open <b>",
        "$5 <s> $6",
        "$<b>$",
        "`<s>`",
        "`a <b> ``",
    ]
    kinds = {token.type for tokens in inline for token in tokens}
    assert {"strong_open", "code_inline"} <= kinds


def test_a_formula_in_a_cell_stays_as_it_is() -> None:
    table = notebook.markdown_table(["claim", "cost"], [["$E < H$, not E < V", "$5"], [r"$x \& y$ & z", "a < b"]])
    assert table.splitlines()[2:] == ["| $E < H$, not E &lt; V | $5 |", r"| $x \& y$ &amp; z | a &lt; b |"]
