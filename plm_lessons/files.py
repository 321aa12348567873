"""Writing files so that an interruption leaves the old one whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def _umask() -> int:
    """What a new file may not be, which can only be read by setting it."""
    os.umask(mask := os.umask(0o077))
    return mask


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, making its folder: whoever reads the path sees the old file or the new, never a part.

    A file that was there keeps its permissions; a new one gets those of any new file.

    Raises:
        OSError: The folder cannot be made or written to; a file that was there stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
