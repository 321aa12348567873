"""Build the book strictly, and serve it on this machine.

    python tools/build_book.py build     from the outputs stored in the notebooks; a warning is an error
    python tools/build_book.py serve     on http://localhost:8000/, or the next free port

`make book` runs both; the browser tests call the same functions.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
# Its presence says that a build was completed, its date when that build began.
FINISHED = ROOT / "_build" / "finished"
LAST_PORT = 65_535


def sources() -> Iterator[Path]:
    """Yield all files that shape the pages: the book and its folders, what builds it, and the package it refers to."""
    yield from (ROOT / name for name in ("_config.yml", "_toc.yml", "requirements.in", "requirements.txt"))
    yield ROOT / "tools" / "katex_math.py"
    yield from (ROOT / "tools").glob("book_*.py")
    yield from (ROOT / "plm_lessons").rglob("*.py")
    for folder in (ROOT / "book", ROOT / "tools" / "katex"):
        yield from (path for path in (folder, *folder.rglob("*")) if ".ipynb_checkpoints" not in path.parts)


def is_fresh() -> bool:
    """Return whether the last build was completed and nothing has changed since."""
    return FINISHED.exists() and all(path.stat().st_mtime <= FINISHED.stat().st_mtime for path in sources())


def build() -> None:
    """Build the book from scratch: a page that Sphinx remembers from an earlier build would not warn a second time.

    Raises:
        RuntimeError: the build failed or warned; its messages are on the terminal.
    """
    began = time.time()
    shutil.rmtree(ROOT / "_build", ignore_errors=True)
    command = ["build", ".", "-n", "-W", "--keep-going"]
    print("jupyter-book", *command, flush=True)
    finished = subprocess.run([str(Path(sys.executable).with_name("jupyter-book")), *command], cwd=ROOT)
    if finished.returncode:
        raise RuntimeError(f"the book was not built: see the messages above (exit code {finished.returncode})")
    FINISHED.touch()
    os.utime(FINISHED, (began, began))


class BookHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the site as a host should: under its policy, and with its own 404 page. Writes no log."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", policy(Path(self.directory)))
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        if code != http.HTTPStatus.NOT_FOUND:
            return super().send_error(code, message, explain)
        page = Path(self.directory, "404.html").read_text(encoding="utf-8")
        # The page is made for the address at which the book is published.
        body = re.sub(r'<base href="[^"]*"', '<base href="/"', page, count=1).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def policy(site: Path) -> str:
    """Return the Content-Security-Policy that tools/book_site.py wrote for a site."""
    return (site / "_headers").read_text(encoding="utf-8").partition("Content-Security-Policy: ")[2].strip()


def server(port: int, site: Path = SITE) -> http.server.ThreadingHTTPServer:
    """Return a server of a built book, for this machine only; port 0 means any free one.

    Raises:
        OSError: the port is taken.
    """
    handler = functools.partial(BookHandler, directory=str(site))
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def serve(first_port: int) -> None:
    """Serve the built book until Ctrl-C, on the first free port from `first_port` on."""
    if not (SITE / "_headers").exists():  # written at the end of a build
        sys.exit(
            f"Error: there is no book in {SITE}: `{Path(sys.executable).name} tools/build_book.py build` makes it."
        )
    last_port = min(first_port + 99, LAST_PORT)
    for port in range(first_port, last_port + 1):
        try:
            httpd = server(port)
            break
        except OSError:
            continue
    else:
        sys.exit(f"No free port between {first_port} and {last_port}: try `make book PORT=...`.")
    print(f"The book is at http://localhost:{httpd.server_address[1]}/   (Ctrl-C ends)", flush=True)
    try:
        httpd.serve_forever()
    except KeyboardInterrupt:
        print()


def port_number(text: str) -> int:
    """Return the number of a port.

    Raises:
        argparse.ArgumentTypeError: there is no such port.
    """
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: must be a whole number from 0 to {LAST_PORT}")
    return int(text)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Build the book strictly, and serve it on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build _build/html; a warning is an error")
    serving = commands.add_parser("serve", help="serve _build/html on localhost until Ctrl-C")
    serving.add_argument("--port", type=port_number, default=8000, help="the first port to try (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.command == "serve":
        serve(arguments.port)
        return
    try:
        build()
    except RuntimeError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
