"""The command that builds the book: strict, honest about what it built, and on a port that is free."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import build_book
import katex_math
import pytest
from docutils import nodes

CONFIG = "title: A book\nonly_build_toc_files: true\nexecute:\n  execute_notebooks: 'off'\n"


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A book of one page, in place of this one."""
    for name, text in {
        "_config.yml": CONFIG,
        "_toc.yml": "format: jb-book\nroot: book/index\n",
        "requirements.in": "",
        "requirements.txt": "",
        "tools/katex_math.py": "",
        "tools/katex/fonts": "",
        "book/index.md": "# A book\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    monkeypatch.setattr(build_book, "SITE", tmp_path / "_build" / "html")
    monkeypatch.setattr(build_book, "FINISHED", tmp_path / "_build" / "finished")
    return tmp_path


def test_a_warning_is_an_error_and_what_changes_makes_a_site_stale(book: Path) -> None:
    page = book / "book" / "index.md"
    page.write_text("# A book\n\n[nowhere](nowhere.md)\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="the book was not built"):
        build_book.build()
    assert not build_book.is_fresh()

    page.write_text("# A book\n", encoding="utf-8")
    build_book.build()
    assert build_book.is_fresh() and (book / "_build" / "html" / "book" / "index.html").is_file()
    built = build_book.FINISHED.stat().st_mtime
    for changed in (page, book / "requirements.txt"):
        os.utime(changed, (built + 1, built + 1))
        assert not build_book.is_fresh()
        os.utime(changed, (built - 1, built - 1))
    assert build_book.is_fresh()
    another = book / "book" / "another.md"
    another.touch()
    os.utime(another, (built - 1, built - 1))
    assert not build_book.is_fresh(), "a page has come"
    os.utime(another.parent, (built - 1, built - 1))
    assert build_book.is_fresh()
    another.unlink()
    assert not build_book.is_fresh(), "a page is gone"


@pytest.mark.parametrize("changed", [True, False])
def test_what_changes_while_the_book_is_built_makes_it_stale(
    changed: bool, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock says 2 when the build begins, and 4 at its end."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        (book / "_build").mkdir()
        if changed:
            os.utime(book / "book" / "index.md", (3, 3))
        return subprocess.CompletedProcess(command, 0)

    for source in build_book.sources():
        os.utime(source, (1, 1))
    monkeypatch.setattr(build_book, "time", SimpleNamespace(time=iter((2.0, 4.0)).__next__))
    monkeypatch.setattr(build_book.subprocess, "run", run)
    build_book.build()
    assert build_book.is_fresh() != changed


def test_the_book_is_served_on_the_next_port_that_is_free(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (book / "_build" / "html").mkdir(parents=True)
    (book / "_build" / "html" / "_headers").touch()
    taken = build_book.server(port=0)
    assert taken.server_address[0] == "127.0.0.1", "for this machine only"

    def interrupted(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build_book.http.server.ThreadingHTTPServer, "serve_forever", interrupted)
    build_book.serve(taken.server_address[1])
    taken.server_close()
    [port] = [int(part.strip("/")) for part in capsys.readouterr().out.split(":")[-1].split()[:1]]
    assert taken.server_address[1] < port < taken.server_address[1] + 100


def test_what_was_not_built_is_not_served(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["build_book.py", "serve", "--port", "0"])
    with pytest.raises(SystemExit, match=r"there is no book in .*build_book\.py build` makes it"):
        build_book.main()


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_a_port_that_cannot_be_is_refused(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["build_book.py", "serve", f"--port={port}"])
    with pytest.raises(SystemExit) as ended:
        build_book.main()
    assert ended.value.code == 2
    assert f"'{port}' is not a port: must be a whole number from 0 to 65535" in capsys.readouterr().err


def test_a_formula_with_a_mistake_is_a_warning_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="KaTeX parse error"):
        katex_math.render(r"\frac{1", False)
    said: list[str] = []
    monkeypatch.setattr(katex_math.logger, "warning", lambda text, *parts, **_: said.append(text % parts))
    assert katex_math.render_or_warn(r"\frac{1", False, nodes.math()) == r"<code>\frac{1</code>"
    assert len(said) == 1 and "KaTeX parse error" in said[0] and r"\\frac{1" in said[0]
