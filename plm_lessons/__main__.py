"""Entry point of `python -m plm_lessons`: see `plm_lessons.commands`."""

from __future__ import annotations

import io
import sys

from plm_lessons.commands.main import main

if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):  # its encoding may lack a character, like that of files on Windows
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
