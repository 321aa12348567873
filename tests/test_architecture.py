"""The package is built in layers, documented throughout, and does nothing when imported."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import plm_lessons

ROOT = Path(plm_lessons.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LONGEST = 330  # lines that can be read at one sitting

# What each part may import besides itself; a new part must be entered here.
FLOORS: dict[str, set[str]] = {
    "checks": set(),
    "files": set(),
    "layers": {"checks"},
    "corpus": {"checks"},
    "corpus_cleaning": {"checks", "corpus"},
    "downstream": {"checks", "corpus"},
    "tokenization": {"checks", "corpus"},
    "objectives": {"checks", "corpus"},
    "models": {"checks", "layers", "files"},
    "text_sources": {"corpus", "checks"},
    "training": {
        "corpus",
        "downstream",
        "tokenization",
        "files",
        "objectives",
        "models",
        "text_sources",
        "checks",
    },  # fmt: skip
    "widgets": {"checks"},
    "notebook": set(),
    "records": {"files"},
    "commands": {
        "training",
        "models",
        "objectives",
        "downstream",
        "tokenization",
        "text_sources",
        "checks",
        "files",
        "",
    },
    "__main__": {"commands"},
    "": {"models"},  # the package's own list of names
}
# Parts that must come without torch: the text and the widgets are plain data.
WITHOUT_TORCH = (
    "checks", "corpus", "corpus_cleaning", "downstream", "files", "notebook", "records", "text_sources", "tokenization",
    "widgets",
)  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf8")) for path in FILES}


def part_of(name: str) -> str:
    """`plm_lessons.models.bert` -> `models`."""
    return (name.split(".") + [""])[1]


def imports(module: str, only_at_the_top: bool = False) -> Iterator[str]:
    """All modules that a module imports, also inside its functions, with names of the package in full."""
    nodes = TREES[module].body if only_at_the_top else ast.walk(TREES[module])
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}: imports are written in full here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in TREES else node.module


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public_definitions(module: str) -> Iterator[tuple[str, Definition]]:
    """Public classes and functions, and the public methods of the classes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in TREES[module].body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, kinds) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


@pytest.mark.parametrize("part", sorted({part_of(module) for module in TREES}))
def test_each_part_imports_what_is_entered_and_no_more(part: str) -> None:
    assert part in FLOORS, f"{part}: say on which floor it stands"
    modules = [module for module in TREES if part_of(module) == part]
    used = {part_of(name) for module in modules for name in imports(module) if name.startswith("plm_lessons")}
    assert used - {part} == FLOORS[part]


def test_the_floors_hold_no_circle() -> None:
    order: list[str] = []
    while len(order) < len(FLOORS):
        free = [part for part in FLOORS if part not in order and FLOORS[part] <= set(order)]
        assert free, f"a circle among {sorted(set(FLOORS) - set(order))}"
        order += free


def test_no_modules_import_each_other_in_a_circle() -> None:
    needs = {module: {name for name in imports(module, only_at_the_top=True) if name in TREES} for module in TREES}
    order: set[str] = set()
    while len(order) < len(needs):
        free = {module for module in needs if module not in order and needs[module] <= order}
        assert free, f"a circle among {sorted(set(needs) - order)}"
        order |= free


@pytest.mark.parametrize("part", WITHOUT_TORCH)
def test_text_and_widgets_need_neither_torch_nor_models(part: str) -> None:
    for module in TREES:
        if part_of(module) == part:
            roots = {name.split(".")[0] for name in imports(module)}
            assert not roots & {"torch", "safetensors"}, module


def test_nothing_in_the_package_unpickles_or_needs_what_only_tests_have() -> None:
    forbidden = {"pickle", "transformers", "pytest", "hypothesis"}
    for module in TREES:
        assert not {name.split(".")[0] for name in imports(module)} & forbidden, module
        for node in ast.walk(TREES[module]):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) != ("torch", "load"), module


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_module_can_be_read_at_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf8").splitlines()) <= LONGEST


@pytest.mark.parametrize("module", TREES)
def test_everything_public_says_what_it_does(module: str) -> None:
    assert ast.get_docstring(TREES[module]), "the module"
    silent = [name for name, node in public_definitions(module) if not ast.get_docstring(node)]
    if part_of(module) == "widgets":  # where a method may be a hook of traitlets, documented there
        silent = [name for name in silent if "." not in name]
    assert not silent


@pytest.mark.parametrize("module", TREES)
def test_the_letters_of_shapes_are_explained(module: str) -> None:
    """If docstrings mention [B, S, H], that of the module or of a class says what H is."""
    texts = [ast.get_docstring(TREES[module]) or ""]
    texts += [ast.get_docstring(node) or "" for _, node in public_definitions(module)]
    shapes = [shape for text in texts for shape in re.findall(r"\[([A-Z](?:(?:, | or )[A-Z])+)\]", text)]
    used = set("".join(shapes)) - set(" ,or")
    if used <= {"B", "S"}:
        return  # the batch and the sequence need no legend of their own
    legends = "\n".join(text for text in texts if "Letters: " in text or re.search(r"^B  +\w", text, re.MULTILINE))
    unexplained = [letter for letter in sorted(used) if not re.search(rf"\b{letter}\b +[a-z]", legends)]
    assert not unexplained


def test_the_promised_names_are_there() -> None:
    parts = ["Config", "Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"]
    parts.append("ForQuestionAnswering")
    promised = {f"{family}{part}" for family in ("Bert", "Roberta", "Albert") for part in parts}
    promised |= {"BertForPreTraining", "AlbertForPreTraining", "T5Config", "T5ForConditionalGeneration"}
    assert promised <= set(plm_lessons.__all__)
    assert all(hasattr(plm_lessons, name) for name in plm_lessons.__all__)


def test_importing_writes_nothing_and_draws_no_random_number(tmp_path: Path) -> None:
    """In a fresh interpreter: every module, from an empty folder that must stay empty."""
    modules = [name for name in TREES if not name.endswith("__main__")]
    code = f"""
import random, sys
import numpy, torch
states = random.getstate(), numpy.random.get_state()[1].tobytes(), torch.random.get_rng_state().tolist()
settings = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
for name in {modules}:
    __import__(name)
assert states == (random.getstate(), numpy.random.get_state()[1].tobytes(), torch.random.get_rng_state().tolist())
assert settings == (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
assert "transformers" not in sys.modules
"""
    command = [sys.executable, "-W", "error::UserWarning:plm_lessons", "-c", code]
    environment = {"PYTHONPATH": str(ROOT.parent), "HOME": str(tmp_path), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and not list(tmp_path.iterdir())
