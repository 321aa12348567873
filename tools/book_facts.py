"""A Sphinx extension that computes or looks up the facts that the pages state about the book itself.

The pages get these substitutions: `reading`, the minutes that each notebook takes to read, and to run if
`make notebooks` has measured that; `notebooks` and `versions`, the tables of the page on versions and run times.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import nbformat
from packaging.requirements import Requirement
from sphinx.application import Sphinx
from sphinx.config import Config

WORDS_A_MINUTE = 200
# Cells that the page does not show, or only on request.
UNSEEN = {"remove-cell", "hide-input"}


def words(notebook: Path) -> int:
    """Return how many words a reader of the built page meets in text and code; outputs are not counted."""
    cells = nbformat.read(notebook, as_version=4).cells
    return sum(len(cell.source.split()) for cell in cells if not UNSEEN & set(cell.metadata.get("tags", [])))


def minutes(notebook: Path) -> int:
    """Return how long a notebook takes to read, in minutes."""
    return round(words(notebook) / WORDS_A_MINUTE)


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
            [f"[{title}]({path.name})", f"{words(path):,}", f"{minutes(path)}\u00a0min", run.replace(" s", "\u00a0s")]
        )
    asked = Path(app.srcdir, "requirements.in").read_text(encoding="utf-8").splitlines()
    lines = (line.split("#")[0].strip() for line in asked)
    packages = sorted({Requirement(line).name for line in lines if line}, key=str.lower)
    config.myst_substitutions = {
        **config.myst_substitutions,
        "reading": reading,
        "notebooks": table(["Notebook", "Words", "To read", "To run"], rows),
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
