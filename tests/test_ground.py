"""One address, exact pins for the book and lower bounds for the package, commands, the notebooks' form."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import check_mutations
import make_notebooks
import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import plm_lessons
from plm_lessons.records import KEEP
from plm_lessons.widgets import GeluWidget

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
URL, BRANCH = make_notebooks.repository()
COLAB = URL.replace("https://github.com", "https://colab.research.google.com/github")
NOTEBOOKS = make_notebooks.notebooks()
# Every address of the repository, whoever owns it: github.com/OWNER/plm-lessons and what follows.
ADDRESS = re.compile(r"https://(?:github\.com|colab\.research\.google\.com/github)/[\w.-]+/plm-lessons(?:/[\w./-]*)?")


def texts() -> Iterator[tuple[Path, str]]:
    """Yield the files that may name the repository's address, with their text."""
    paths = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CITATION.cff",
        ROOT / "pyproject.toml",
        *(ROOT / "book").glob("*.md"),
        *NOTEBOOKS,
    ]
    for path in paths:
        yield path, path.read_text(encoding="utf-8")


def pins() -> dict[str, Requirement]:
    """Return the pins that hold for this Python and this machine, by name."""
    lines = [
        line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    ]
    requirements = [Requirement(line) for line in lines if line]
    return {canonicalize_name(one.name): one for one in requirements if one.marker is None or one.marker.evaluate()}


# One address


def test_every_address_agrees_with_the_one_in_the_configuration() -> None:
    pages = re.compile(r"https://[\w.-]+\.github\.io/[\w./-]*")
    base = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]
    for path, text in texts():
        others = [address for address in pages.findall(text) if not address.startswith(base)]
        others += [address for address in ADDRESS.findall(text) if not address.startswith((URL, COLAB))]
        assert not others, f"{path.name} names {', '.join(others)}; _config.yml names {URL} and {base}"
        for address in ADDRESS.findall(text):
            file = re.search(rf"/(?:blob|edit|raw)/{BRANCH}/(.+)", address)
            if "/blob/" in address or "/edit/" in address:
                assert file is not None, f"{path.name}: {address} is not on the branch {BRANCH}"
                assert (ROOT / file[1]).is_file(), f"{path.name}: {address} leads to no file"


def test_the_readme_opens_every_notebook_in_colab() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f"{COLAB}/blob/{BRANCH}/{path.relative_to(ROOT).as_posix()}" in readme


def test_the_citation_is_complete_and_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"] and citation["title"] and all(author["name"] for author in citation["authors"])
    assert citation["repository-code"] == URL
    assert citation["url"] == yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]
    assert citation["version"] == PROJECT["version"] == plm_lessons.__version__


# Versions


def test_the_package_asks_for_lower_bounds_only() -> None:
    """An upper bound or an exact version would make Colab replace its own torch or numpy."""
    optional = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for line in [*PROJECT["dependencies"], *optional]:
        operators = [specifier.operator for specifier in Requirement(line).specifier]
        assert operators == [">="], f"{line!r} is not a lower bound"


def test_the_book_is_built_with_versions_that_the_package_allows() -> None:
    pinned = pins()
    optional = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *optional]):
        (pin,) = pinned[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(pin.version), f"{requirement} does not allow the pinned {pin.version}"


def test_every_version_is_pinned_and_every_asked_for_package_is_among_them() -> None:
    pinned = pins()
    for name, requirement in pinned.items():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], f"{name} is not pinned"
    assert str(pinned["torch"].specifier) == "==2.13.0"
    assert str(pinned["jupyter-book"].specifier) == "==1.0.4.post1"
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()]
    for requirement in [Requirement(line) for line in lines if line]:
        pin = pinned[canonicalize_name(requirement.name)]
        (specifier,) = pin.specifier
        assert requirement.specifier.contains(specifier.version), f"`make lock` is due: {requirement} against {pin}"


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_no_package_is_pinned_twice_for_one_python(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.1"}
    names = []
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.lstrip().startswith("#"):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                names.append(canonicalize_name(requirement.name))
    assert len(names) == len(set(names))


# Commands


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make in `folder` and return the result."""
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def test_make_alone_lists_every_command_that_the_readme_names() -> None:
    shown = make()
    assert shown.returncode == 0
    listed = set(re.findall(r"^  (\w+) +\S", shown.stdout, flags=re.MULTILINE))
    assert {"book", "test", "lab", "notebooks", "help"} <= listed
    for path in (ROOT / "README.md", ROOT / "book" / "index.md"):
        assert set(re.findall(r"(?:^|`)make (\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)) <= listed


@pytest.mark.parametrize("python", ["", "/nowhere/python3", "false"])
def test_an_unusable_python_is_named_as_the_reason(tmp_path: Path, python: str) -> None:
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    answer = make("book", f"PYTHON={python}", folder=tmp_path)
    assert answer.returncode != 0
    assert "Python 3.10 or newer is needed" in answer.stderr
    assert not (tmp_path / ".venv" / ".installed").exists()


def test_an_environment_is_made_anew_where_its_python_is_gone_or_the_folder_has_moved(tmp_path: Path) -> None:
    here = tmp_path / "a clone"
    here.mkdir()
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, here)
    target, python = ".venv/.installed", f"PYTHON={sys.executable}"

    def installed(folder: Path) -> str:
        answer = make(target, "PIP=true", python, folder=folder)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    assert "Making .venv" in installed(here)
    assert "Installing" not in installed(here)
    (here / ".venv" / "bin" / "python").unlink()
    assert "Making .venv" in installed(here)
    moved = here.rename(tmp_path / "elsewhere")
    assert "Making .venv" in installed(moved)
    assert "Installing" not in installed(moved)
    interrupted = moved.rename(tmp_path / "again elsewhere")
    (interrupted / target).unlink()
    assert "Making .venv" in installed(interrupted)
    assert "Installing" not in installed(interrupted)


def test_every_path_in_the_maps_exists() -> None:
    """The table chapter -> module -> widget -> test, the same in the README and on the first page."""
    maps = []
    for path in (ROOT / "README.md", ROOT / "book" / "index.md"):
        rows = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("| [")]
        assert rows, f"{path.name} has no map"
        maps.append([row.replace("](book/", "](") for row in rows])
        for row in rows:
            for folder, names in zip(("plm_lessons", "plm_lessons/widgets", "tests"), row.split("|")[2:], strict=False):
                for name in re.findall(r"`([^`]+)`", names):
                    assert list(ROOT.glob(f"{folder}/{name}")), f"{path.name} names {folder}/{name}"
    assert maps[0] == maps[1]


def test_every_file_that_the_readme_shows_or_links_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", readme)
    for target in ("".join(groups) for groups in targets):
        assert target.startswith("https://") or (ROOT / target).is_file(), f"README.md leads to {target}"


# The package


def test_the_package_runs_without_what_only_tests_and_notebooks_use() -> None:
    others = "transformers", "sklearn", "huggingface_hub", "pytest", "playwright", "nbclient", "jupyter_book"
    code = f"import sys, plm_lessons; print(*(set({others}) & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""


# Notebooks


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_stored_notebook_is_as_the_tool_writes_it(path: Path) -> None:
    assert make_notebooks.problems(path) == []


def run_setup_cell(monkeypatch: pytest.MonkeyPatch, in_colab: bool) -> list[tuple[str, str]]:
    """Run the set-up cell with a recorder in place of IPython; return the magics it called."""
    called: list[tuple[str, str]] = []

    class Recorder:
        def run_line_magic(self, name: str, line: str, **_: Any) -> None:
            called.append((name, line))

    if in_colab:
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    source = TransformerManager().transform_cell(make_notebooks.setup_source())
    exec(compile(source, "set-up cell", "exec"), {"get_ipython": Recorder})
    return called


def test_the_setup_cell_does_nothing_outside_colab(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_setup_cell(monkeypatch, in_colab=False) == []


def test_the_setup_cell_installs_the_package_in_colab(monkeypatch: pytest.MonkeyPatch) -> None:
    ((magic, line),) = run_setup_cell(monkeypatch, in_colab=True)
    asked = re.fullmatch(r'install --quiet "([^"]+)"', line)
    assert magic == "pip" and asked is not None
    requirement = Requirement(asked[1])
    assert canonicalize_name(requirement.name) == PROJECT["name"]
    assert requirement.extras <= set(PROJECT["optional-dependencies"])
    assert requirement.url == f"git+{URL}@{BRANCH}"


def a_notebook(*sources: str) -> nbformat.NotebookNode:
    """Return a notebook that was never run, with one code cell for each source."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


def test_running_a_notebook_stores_the_same_file_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    widget = "import ipywidgets\n\nipywidgets.IntSlider(value=3, description='n')"
    keeps = f"import os\n\nprint(os.environ.get({KEEP!r}))"  # prints whether results of experiments are kept
    nbformat.write(a_notebook("print('one')\nprint('two')", widget, "6 * 7", keeps), path)
    assert make_notebooks.main([str(path)]) == 0
    first = path.read_bytes()
    assert make_notebooks.main([str(path)]) == 0
    assert path.read_bytes() == first
    assert make_notebooks.problems(path) == []
    stored = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in stored.cells] == [1, 2, 3, 4, 5]
    assert stored.cells[1].outputs[0].text == "one\ntwo\n"
    assert stored.cells[3].outputs[0].data == {"text/plain": "42"} and stored.cells[4].outputs[0].text == "1\n"
    assert "widget" not in str(stored.metadata) and list(stored.cells[2].outputs[0].data) == ["text/plain"]


def test_progress_bars_are_not_stored() -> None:
    notebook = a_notebook("pass")
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("stream", name="stderr", text="training:  10%|#         | 1/10 [00:01<00:09,  1.0it/s]"),
        nbformat.v4.new_output("stream", name="stdout", text="done: 10%\n"),
        nbformat.v4.new_output("stream", name="stderr", text="a warning\n"),
        nbformat.v4.new_output("display_data", {"text/plain": "training:   0%|          | 0/10 [00:00<?, ?step/s]"}),
    ]
    assert [output.text for output in make_notebooks.normalised(notebook).cells[0].outputs] == [
        "done: 10%\n",
        "a warning\n",
    ]


def test_a_failing_cell_leaves_the_notebook_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.ipynb"
    nbformat.write(a_notebook("x = 1", "assert x == 2, 'x is not two'"), path)
    before = path.read_bytes()
    assert make_notebooks.main([str(path)]) == 1
    assert "x is not two" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


FAULTS = [
    "widget metadata", "widget view", "old script", "second set-up", "old set-up", "order", "id", "semicolon",
    "not compared",
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_finds(tmp_path: Path, fault: str) -> None:
    notebook = make_notebooks.normalised(make_notebooks.with_setup_cell(a_notebook("1 + 1", "2")))
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook, path)
    assert make_notebooks.main(["--check", str(path)]) == 0
    if fault == "widget metadata":
        notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    elif fault == "widget view":
        data = {make_notebooks.WIDGET_VIEW: {"model_id": "a"}, "text/plain": "IntSlider()"}
        notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", data)]
    elif fault == "old script":
        data = {"text/html": GeluWidget().html().replace("export function", "export  function", 1), "text/plain": ""}
        notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", data)]
    elif fault == "second set-up":
        notebook.cells.append({**notebook.cells[0], "id": "another"})
    elif fault == "semicolon":
        notebook.cells[1].source = "1 + 1;"
    elif fault == "not compared":
        notebook.cells[1].metadata["tags"] = ["nbval-ignore-output"]
    elif fault == "old set-up":
        notebook.cells[0].source = notebook.cells[0].source.replace("plm-lessons[notebooks]", "plm-lessons")
    elif fault == "order":
        notebook.cells[1].execution_count, notebook.cells[2].execution_count = 3, 2
    elif fault == "id":
        notebook.cells[1].id = "mine"
    nbformat.write(nbformat.from_dict(notebook), path)
    assert make_notebooks.main(["--check", str(path)]) == 1


@pytest.mark.parametrize(
    ("ignored", "found"), [(2, []), (3, ["leaves 3 of 8 code cells uncompared: at most a quarter may be"])]
)
def test_a_quarter_of_the_cells_may_be_uncompared_and_no_more(ignored: int, found: list[str], tmp_path: Path) -> None:
    notebook = make_notebooks.with_setup_cell(a_notebook(*["1 + 1", "assert True"] * 3, "2"))
    for cell in notebook.cells[1 : 1 + 2 * ignored : 2]:
        cell.metadata["tags"] = ["nbval-ignore-output"]
    make_notebooks.write(make_notebooks.normalised(notebook), tmp_path / "a.ipynb")
    assert make_notebooks.problems(tmp_path / "a.ipynb") == found


def test_a_stored_widget_gets_the_present_script_and_style_and_keeps_its_state(tmp_path: Path) -> None:
    now = GeluWidget(x=0.5).html()
    old = now.replace("export function", "export  function", 1).replace(".plm-widget {", ".plm-widget  {", 1)
    notebook = make_notebooks.with_setup_cell(a_notebook("1 + 1", "2"))
    notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", {"text/html": old, "text/plain": ""})]
    nbformat.write(notebook, tmp_path / "a.ipynb")
    assert old != now and make_notebooks.main(["--no-execute", str(tmp_path / "a.ipynb")]) == 0
    assert nbformat.read(tmp_path / "a.ipynb", as_version=4).cells[1].outputs[0].data["text/html"] == now


def test_a_run_that_did_experiments_tells_no_run_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers get the records, and do not wait that long."""
    for name, path in {"BOOK": "", "RUN_TIMES": "run_times.json", "RECORDS": "records"}.items():
        monkeypatch.setattr(make_notebooks, name, tmp_path / path)
    (tmp_path / "records").mkdir()
    nbformat.write(a_notebook("1"), tmp_path / "a.ipynb")

    def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
        (folder / "records" / "done.jsonl").write_text("a record", encoding="utf-8")
        return notebook

    monkeypatch.setattr(make_notebooks, "execute", execute)
    make_notebooks.remake(tmp_path / "a.ipynb", run=True)
    assert not make_notebooks.RUN_TIMES.exists()
    make_notebooks.remake(tmp_path / "a.ipynb", run=True)
    assert list(json.loads(make_notebooks.RUN_TIMES.read_text(encoding="utf-8"))) == ["a"]


TOOLS = [path for path in sorted((ROOT / "tools").glob("*.py")) if "__main__" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", [path.stem for path in TOOLS])
def test_a_tool_that_is_asked_for_help_does_nothing_else(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"tools/{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(name).main()
    assert ended.value.code == 0 and capsys.readouterr().out.startswith("usage:")


@pytest.mark.parametrize("mutation", check_mutations.MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_code_that_a_mutation_breaks_is_there_once(mutation: check_mutations.Mutation) -> None:
    file = ROOT / "plm_lessons" / mutation.file
    assert file.read_text(encoding="utf-8").count(mutation.right) == 1
