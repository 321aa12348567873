"""The package as pip installs it, with the oldest versions that it allows: what a reader in Google Colab has.

The environment has those versions of all packages but torch, which is that of the tests, as is everything else. Without
a package registry these tests are skipped, or fail when REQUIRE_NETWORK=1. Python 3.12 is too new for them: the oldest
versions have no wheels for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import make_notebooks
import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED_FOR = map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["hub"]])
OLDEST = [f"{one.name}=={next(iter(one.specifier)).version}" for one in ASKED_FOR if one.name != "torch"]
# What they need in addition, in versions of that time.
WITH_THEM = [
    "contourpy<1.3",
    "ipython<8.24",
    "decorator",
    "ipython_genutils",
    "widgetsnbextension~=3.6.0",
    "jupyterlab_widgets<3",
]
PIP: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder from which no package can be imported."""
    settings: dict[str, Any] = {"env": {**os.environ, "MPLBACKEND": "agg"}, "cwd": Path(command[0]).parent}
    return subprocess.run([*map(str, command)], **settings, capture_output=True, text=True, check=check, timeout=300)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the oldest versions and without the package."""
    if sys.version_info >= (3, 12) and os.environ.get("REQUIRE_NETWORK") != "1":
        pytest.skip("the oldest versions have no wheels for this Python")
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))  # is searched after the environment's own
    install: list[str | Path] = [*PIP, "--python", python, "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = run(*install, *OLDEST, *WITH_THEM, check=False)
    if done.returncode:
        reason = f"the oldest versions cannot be installed here: {done.stderr[-300:]}"
        if os.environ.get("REQUIRE_NETWORK") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds from the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        ROOT / "plm_lessons", folder / "source" / "plm_lessons", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    command: list[str | Path] = [
        *PIP,
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        folder,
    ]
    run(*command, folder / "source")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(python: Path, wheel: Path) -> Path:
    """The Python of an environment in which the package is installed, not the repository."""
    run(*PIP, "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    return python


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = wheel.parent / "source" / "plm_lessons"
    there = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    assert there <= set(zipfile.ZipFile(wheel).namelist())


def test_it_runs_beside_the_oldest_versions_that_it_asks_for(installed: Path) -> None:
    checked = run(*PIP, "--python", installed, "check", check=False)  # some of the others may lack something
    assert checked.returncode in (0, 1) and "plm-lessons" not in checked.stdout
    code = "import plm_lessons; from importlib.metadata import version; print(plm_lessons.__file__, *map(version, {}))"
    where, *found = run(installed, "-c", code.format([one.split("==")[0] for one in OLDEST])).stdout.split()
    assert not Path(where).is_relative_to(ROOT)
    for one, version in zip(OLDEST, found, strict=True):
        assert Requirement(f"{one}.*").specifier.contains(version)


def test_no_window_of_a_long_text_is_lost(installed: Path, tmp_path: Path) -> None:
    """Even with tokenizers 0.23.2, which itself loses the last ones (huggingface/tokenizers#2091)."""
    lossy = "tokenizers==0.23.2"
    done = run(*PIP, "install", "--quiet", "--no-deps", "--target", tmp_path, lossy, check=False)
    if done.returncode and os.environ.get("REQUIRE_NETWORK") != "1":
        pytest.skip(f"{lossy} cannot be installed here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import tokenizers
from plm_lessons.downstream import Question
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.encoding import encode_questions
text = " ".join(map(str, range(60)))
windows = encode_questions(load_tokenizer("wordpiece"), [Question("which", text, "59", len(text) - 2)], 16, overlap=4)
print(tokenizers.__version__, int(windows.offsets.max()) == len(text), sum(windows.labels["end_positions"] > 0).item())
"""
    assert run(installed, "-c", code).stdout.split() == ["0.23.2", "True", "1"]


def test_every_widget_and_every_tokenizer_is_there(installed: Path) -> None:
    code = """
from plm_lessons import widgets
from plm_lessons.tokenization import load_tokenizer
print([len(getattr(widgets, name)()._repr_mimebundle_()[0]["text/html"]) > 10_000 for name in widgets.__all__])
print([load_tokenizer(name).get_vocab_size() for name in ("wordpiece", "byte_level_bpe", "unigram", "t5_unigram")])
"""
    widgets, tokenizers = run(installed, "-c", code).stdout.splitlines()
    assert set(eval(widgets)) == {True} and eval(tokenizers) == [8192] * 4


@pytest.mark.parametrize("path", make_notebooks.notebooks(), ids=lambda path: path.name)
def test_a_chapter_begins_well(installed: Path, path: Path) -> None:
    done = run(installed, ROOT / "tests" / "installed_worker.py", path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
