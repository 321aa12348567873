"""Runs the set-up cell of a notebook and all code up to the end of its first section, as a reader in Colab would.

`test_installed.py` starts it with the Python of an environment in which the package is installed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell


def first_section(path: Path) -> list[str]:
    """Return the source of the code cells of a notebook's first section."""
    sources, headings = [], 0
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            headings += sum(line.startswith("## ") for line in source.splitlines())
        elif headings < 2:
            sources.append(source)
    return sources


if __name__ == "__main__":
    HistoryManager.enabled = False  # type: ignore[assignment]  # or all that run at once wait for one file
    shell = InteractiveShell.instance()
    for source in first_section(Path(sys.argv[1])):
        shell.run_cell(source).raise_error()
