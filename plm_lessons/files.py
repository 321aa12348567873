"""Files: written so that an interruption leaves the old one whole; JSON objects read with errors that name the file."""

from __future__ import annotations

import errno
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, creating its folder; readers see either the old file or the new one, never a part.

    An existing file keeps its permissions; a new one gets those of any new file. If the path is a link, its target is
    written.

    Raises:
        OSError: The folder cannot be created or written to, or links form a circle; an existing file stays as it was.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[-50:]}.{secrets.token_hex(6)}"  # cut, as the length of a name is limited
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Provide a folder to write to; if the block fails, the folders created for it that are still empty are removed.

    Raises:
        OSError: The folder cannot be created or written to; this is checked before the block runs.
    """
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from None
        yield
    except BaseException:
        for part in made:
            with suppress(OSError):
                part.rmdir()
        raise


def read_object(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file, which must be an object.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not valid JSON, or does not hold an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not JSON, or not even text, or nested too deeply to be read
        raise ValueError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must hold a JSON object, not a {type(content).__name__}")
    return content
