"""Run the book's notebooks afresh and store their outputs, in a form that is the same for everyone.

    python tools/make_notebooks.py                    all notebooks of the book
    python tools/make_notebooks.py book/bert.ipynb    only this one
    python tools/make_notebooks.py --no-execute       keep the outputs, tidy the rest; widgets get their current scripts
    python tools/make_notebooks.py --check            change nothing; fail if a stored notebook is not in this form

The form: the generated set-up cell for Colab comes first; cell ids follow from the cells' content; no widget view and
no widget metadata, no time stamps, no interpreter version; execution counts as after one run from top to bottom; stored
widgets have the current scripts and styles of the package.
"""

from __future__ import annotations

import argparse
import base64
import copy
import hashlib
import io
import json
import os
import re
import sys
import time
from functools import cache
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image

from plm_lessons import widgets
from plm_lessons.files import write_atomically
from plm_lessons.records import FOLDER as RECORDS
from plm_lessons.records import KEEP

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
# How long each notebook took when it was last run. Not in the notebooks: they are the same after every run.
RUN_TIMES = BOOK / "run_times.json"
# Marks the generated cell. `remove-cell` keeps it out of the built page, where nobody can run it.
SETUP_TAGS = ["colab-setup", "remove-cell"]
KEPT_CELL_METADATA = ("tags", "mystnb")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CELL_TIMEOUT_SECONDS = 3600  # enough for experiments that are missing from the records
WIDGET_BLOCK = re.compile(r'<div class="plm-block" data-plm-widget="(\w+)">')
# The parts of a stored widget that come from the package and not from the run.
WIDGET_CODE = re.compile(
    r'<style\b.*?</style>|<script\b[^>]*type="application/json">|<script\b[^>]*type="module">.*?</script>', re.DOTALL
)


def repository() -> tuple[str, str]:
    """Return the address and the branch of the repository, which are defined in one place (_config.yml)."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return config["repository"]["url"], config["repository"]["branch"]


def setup_source() -> str:
    """Return the source of the set-up cell: it installs the package in Colab and does nothing elsewhere."""
    url, branch = repository()
    return "\n".join(
        [
            "# In Google Colab this installs the book's package. Anywhere else it does nothing.",
            "import sys",
            "",
            'if "google.colab" in sys.modules:',
            f'    %pip install --quiet "plm-lessons[notebooks] @ git+{url}@{branch}"',
        ]
    )


def with_setup_cell(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of `notebook` that starts with the set-up cell, which replaces any older one."""
    result = copy.deepcopy(notebook)
    setup = nbformat.v4.new_code_cell(setup_source(), metadata={"tags": list(SETUP_TAGS)})
    others = [cell for cell in result.cells if SETUP_TAGS[0] not in cell.metadata.get("tags", [])]
    result.cells = [setup, *others]
    return result


def normalised(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of `notebook` with nothing in it that differs from one run or one machine to the next."""
    result = copy.deepcopy(notebook)
    result.nbformat, result.nbformat_minor = 4, 5
    result.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
        }
    )
    ids: set[str] = set()
    count = 0
    for cell in result.cells:
        cell.id = unique_id(cell, ids)
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in KEPT_CELL_METADATA if key in cell.metadata}
        )
        if cell.cell_type != "code":
            continue
        # A cell without code is not run and has no count.
        count += bool(cell.source.strip())
        cell.execution_count = count if cell.source.strip() else None
        outputs = (normalised_output(output, cell.execution_count) for output in cell.outputs)
        cell.outputs = [output for output in outputs if not is_left_over(output)]
    return result


def unique_id(cell: NotebookNode, taken: set[str]) -> str:
    """Return an id that depends on the cell's type and source, and add it to `taken`."""
    for copy_number in range(len(taken) + 1):
        content = f"{cell.cell_type}\0{cell.source}\0{copy_number}".encode()
        candidate = hashlib.sha256(content).hexdigest()[:12]
        if candidate not in taken:
            break
    taken.add(candidate)
    return candidate


def is_left_over(output: NotebookNode) -> bool:
    """Return whether an output is blank text, or only the text form of a progress bar at its start."""
    if output.output_type == "stream":
        return not output.text.strip()
    return bool(re.match(r".*\d%\|.*\|", output.get("data", {}).get("text/plain", "")))


def without_progress_bars(text: str) -> str:
    """Return text written to stderr without tqdm's bars, which differ in every run.

    A bar keeps overwriting its own line, and a message printed meanwhile overwrites the bar, so such a line consists of
    several pieces.
    """
    kept = []
    for line in re.findall(r".*\n|.+", text):
        # "\x1b[A" goes one line up, from the bar of an inner loop to that of the outer one.
        pieces = re.split(r"\r|\x1b\[A", line)
        if len(pieces) == 1 and "%|" not in line:
            kept.append(line)
        elif rest := [piece for piece in pieces if piece.strip() and "%|" not in piece]:
            kept += rest
    return "".join(kept)


def normalised_output(output: NotebookNode, execution_count: int | None) -> NotebookNode:
    """Return a copy of a cell's output in the stored form, without the view that only a running kernel can fill."""
    result = copy.deepcopy(output)
    if result.output_type == "stream" and result.name == "stderr":
        result.text = without_progress_bars(result.text)
    if "data" in result:
        result.data.pop(WIDGET_VIEW, None)
        result.metadata = nbformat.from_dict({})
        if "image/png" in result.data:
            result.data["image/png"] = light_png(result.data["image/png"])
        if "text/html" in result.data:
            result.data["text/html"] = with_present_code(result.data["text/html"])
    if result.output_type == "execute_result":
        result.execution_count = execution_count
    return result


@cache
def widget_code(name: str) -> tuple[str, ...]:
    """Return the style and the script of the widget with this name, as in a page, and the opening tag of its state."""
    kind = next((kind for kind in map(vars(widgets).get, widgets.__all__) if kind and kind.name == name), None)
    return tuple(WIDGET_CODE.findall(kind().html())) if kind else ()


def with_present_code(html: str) -> str:
    """Return an output whose widget has the package's current style and script, but the run's state and picture."""
    block = WIDGET_BLOCK.match(html)
    code = iter(widget_code(block[1]) if block else ())
    return WIDGET_CODE.sub(lambda found: next(code, found[0]), html) if block else html


def light_png(encoded: str) -> str:
    """Reduce a base64 picture to 256 colours: a half to a third of the bytes, and no visible difference."""
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    if image.mode == "P":
        return encoded
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image.convert("RGBA"))
    file = io.BytesIO()
    paper.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Return a copy of `notebook`, run from top to bottom in a new kernel that starts in `folder`.

    Experiments of the notebook that are missing from the records are run, and recorded.

    Raises:
        CellExecutionError, CellTimeoutError, DeadKernelError: a cell failed, hung, or ended its kernel.
    """
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        result,
        timeout=CELL_TIMEOUT_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute(env={**os.environ, KEEP: "1"})
    return result


def problems(path: Path) -> list[str]:
    """Return how the stored notebook at `path` deviates from the form described above, as a list of phrases."""
    stored = nbformat.read(path, as_version=4)
    expected = normalised(with_setup_cell(stored))
    found = []
    if "widgets" in stored.metadata:
        found.append("holds widget metadata")
    if any(WIDGET_VIEW in output.get("data", {}) for cell in stored.cells for output in cell.get("outputs", [])):
        found.append("holds a widget view that needs a kernel")
    setups = [cell for cell in stored.cells if SETUP_TAGS[0] in cell.metadata.get("tags", [])]
    if len(setups) != 1 or setups[0] is not stored.cells[0] or setups[0].source != setup_source():
        found.append("does not start with exactly the generated set-up cell")
    code = [cell for cell in stored.cells if cell.cell_type == "code" and cell.source.strip()]
    ignored = [place for place, cell in enumerate(code) if "nbval-ignore-output" in cell.metadata.get("tags", [])]
    if len(ignored) * 4 > len(code):
        found.append(f"leaves {len(ignored)} of {len(code)} code cells uncompared: at most a quarter may be")
    if any("assert" not in "".join(cell.source for cell in code[place + 1 : place + 2]) for place in ignored):
        found.append("has a cell whose output is not compared and that no assertion follows")
    if any(cell.source.rstrip().endswith(";") for cell in code):
        found.append("has a cell that ends in a semicolon, which nbval cannot compare (nbval issue 194)")
    pages = [
        output.data["text/html"] for cell in code for output in cell.outputs if "text/html" in output.get("data", {})
    ]
    if any(with_present_code(page) != page for page in pages):
        found.append("holds a widget whose script or style is not the package's: --no-execute puts the current ones in")
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(counts) + 1)):
        found.append("was not run once from top to bottom")
    if not found and text_of(stored) != text_of(expected):
        found.append("has ids or metadata that `make notebooks` would write differently")
    return found


def text_of(notebook: NotebookNode) -> str:
    """Return the notebook as the text of its file."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def write(notebook: NotebookNode, path: Path) -> None:
    """Write `notebook` to `path` whole or not at all."""
    nbformat.validate(notebook)
    write_atomically(path, text_of(notebook).encode())


def remake(path: Path, run: bool) -> None:
    """Tidy the notebook at `path`, after running it if `run` is set.

    Raises:
        CellExecutionError, CellTimeoutError, DeadKernelError: see `execute`; the file stays as it was.
    """
    notebook = with_setup_cell(nbformat.read(path, as_version=4))
    records, start = read_records(), time.perf_counter()
    if run:
        notebook = execute(notebook, path.parent)
    write(normalised(notebook), path)
    seconds = round(time.perf_counter() - start)
    if run and path.resolve().parent == BOOK and records == read_records():  # readers do not wait for new records
        note_run_time(path.stem, seconds)
    took = f" in {seconds} s" if run else ""
    print(f"{path}: {'run and stored' if run else 'tidied'}{took}", flush=True)


def read_records() -> dict[Path, bytes]:
    """Return the results of long experiments so far: see `plm_lessons.records`."""
    return {path: path.read_bytes() for path in RECORDS.glob("*.jsonl")}


def note_run_time(name: str, seconds: int) -> None:
    """Store how long a notebook of the book took, for the page on versions and run times."""
    known = json.loads(RUN_TIMES.read_text(encoding="utf-8")) if RUN_TIMES.exists() else {}
    times = {one: known[one] for one in known if (BOOK / f"{one}.ipynb").exists()} | {name: seconds}
    write_atomically(RUN_TIMES, (json.dumps(times, indent=1, sort_keys=True) + "\n").encode())


def notebooks() -> list[Path]:
    """Return the book's notebooks."""
    return sorted(path for path in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def main(argv: list[str] | None = None) -> int:
    """Read the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Run the book's notebooks afresh and store their outputs.")
    parser.add_argument("notebook", nargs="*", type=Path, help="the notebooks (default: all in book/)")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--no-execute", action="store_true", help="keep the stored outputs, tidy the rest")
    choice.add_argument("--check", action="store_true", help="change nothing; fail if a notebook is not tidy")
    arguments = parser.parse_args(argv)
    failed = False
    for path in arguments.notebook or notebooks():
        if not path.is_file():
            parser.error(f"no such notebook: {path}")
        if arguments.check:
            for problem in problems(path):
                print(f"{path}: {problem}", file=sys.stderr)
                failed = True
            continue
        try:
            remake(path, run=not arguments.no_execute)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            # A kernel that is ended because its cell ran too long may be reported as dead.
            limit = f"(a cell may run for {CELL_TIMEOUT_SECONDS} s)" if isinstance(error, DeadKernelError) else ""
            print(f"{path}: not stored, a cell failed: {limit}\n{error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
