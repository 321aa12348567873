"""A Sphinx extension that computes or looks up the facts that the pages state about the book itself.

The pages get these substitutions: `reading`, the minutes that each notebook takes to read, and to run if
`make notebooks` has measured that; `notebooks` and `versions`, the tables of the page on versions and run times;
`citation`, the book as an entry of BibTeX.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import nbformat
import yaml
from packaging.requirements import Requirement
from sphinx.application import Sphinx
from sphinx.config import Config

WORDS_A_MINUTE = 200
# Code is read more slowly than prose.
LINES_A_MINUTE = 10
# Cells that the page does not show, or only on request.
UNSEEN = {"remove-cell", "hide-input"}


def shown(notebook: Path) -> list[Any]:
    """Return the cells that a reader of the built page meets."""
    cells: list[Any] = nbformat.read(notebook, as_version=4).cells
    return [cell for cell in cells if not UNSEEN & set(cell.metadata.get("tags", []))]


def words(notebook: Path) -> int:
    """Return how many words of text a notebook has; outputs are not counted."""
    return sum(len(cell.source.split()) for cell in shown(notebook) if cell.cell_type == "markdown")


def code_lines(notebook: Path) -> int:
    """Return how many lines of code a notebook has, with those of the package that `show_source` displays."""
    code = [cell for cell in shown(notebook) if cell.cell_type == "code"]
    texts = [output.get("data", {}).get("text/markdown", "") for cell in code for output in cell.outputs]
    sources = [text.partition("\n")[2].rstrip("`") for text in texts if text.startswith("```")]
    return sum(bool(line.strip()) for text in [*(cell.source for cell in code), *sources] for line in text.splitlines())


def minutes(notebook: Path) -> int:
    """Return about how long a notebook takes to read, in minutes: a multiple of five."""
    return 5 * round((words(notebook) / WORDS_A_MINUTE + code_lines(notebook) / LINES_A_MINUTE) / 5)


def run_seconds(book: Path) -> dict[str, int]:
    """Return how long each notebook took when `make notebooks` last ran it, as far as that is known."""
    stored = book / "run_times.json"
    seconds: dict[str, int] = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    return seconds


def in_order(book: Path) -> list[Path]:
    """Return the notebooks in the order of the contents; those that are not in it come last."""
    contents = book.parent / "_toc.yml"
    text = contents.read_text(encoding="utf-8") if contents.exists() else ""
    places = {name: place for place, name in enumerate(re.findall(r"\bbook/(\w+)", text))}
    return sorted(book.glob("*.ipynb"), key=lambda path: (places.get(path.stem, len(places)), path.stem))


def citation(root: Path, year: str) -> str:
    """Return the book as an entry of BibTeX, made from `CITATION.cff`, in a fence of Markdown."""
    book = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    # Braces around the title keep its capitals; around a name they say that it has no first and last part.
    fields = {
        "title": f"{{{book['title']}}}",
        "author": " and ".join(f"{{{author['name']}}}" for author in book["authors"]),
        "year": year,
        "url": book["url"],
        "version": book["version"],
    }
    lines = [f"  {name:7} = {{{value}}}" for name, value in fields.items()]
    return "\n".join(["```bibtex", "@misc{plm-lessons,", ",\n".join(lines), "}", "```"])


def table(header: list[str], rows: list[list[str]], side: str = "--:") -> str:
    """Return a Markdown table with the first column left-aligned, and the others right-aligned or as `side` says."""
    lines = [header, [":--"] + [side] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def find_facts(app: Sphinx, config: Config) -> None:
    """Set the substitutions that the pages use."""
    book = Path(app.srcdir, "book")
    seconds = run_seconds(book)
    reading, rows = {}, []
    for path in in_order(book):
        name = path.stem
        run = f"{seconds[name]} s" if name in seconds else "not measured"
        reading[name] = f"{minutes(path)} minutes to read" + (f", {run} to run" if name in seconds else "")
        title = nbformat.read(path, as_version=4).cells[1].source.splitlines()[0].removeprefix("# ")
        rows.append(
            [
                f"[{title}]({path.name})",
                f"{words(path):,}",
                f"{code_lines(path):,}",
                f"{minutes(path)}\u00a0min",
                run.replace(" s", "\u00a0s"),
            ]
        )
    asked = Path(app.srcdir, "requirements.in").read_text(encoding="utf-8").splitlines()
    lines = (line.split("#")[0].strip() for line in asked)
    packages = sorted({Requirement(line).name for line in lines if line}, key=str.lower)
    config.myst_substitutions = {
        **config.myst_substitutions,
        "citation": citation(Path(app.srcdir), config.copyright),
        "reading": reading,
        "notebooks": table(["Notebook", "Words", "Lines of code", "To read", "To run"], rows),
        "versions": table(
            ["Package", "Version"],
            [["Python", python_version()], *([name, version(name)] for name in packages)],
            side=":--",  # a version is not a number
        ),
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the build step that finds the facts."""
    app.connect("config-inited", find_facts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
