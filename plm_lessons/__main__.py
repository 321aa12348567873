"""`python -m plm_lessons`: see `plm_lessons.commands`."""

from __future__ import annotations

import sys

from plm_lessons.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
