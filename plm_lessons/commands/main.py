"""The entry point of all commands, which also turns their errors into one line on stderr.

Exit codes: 0 done; 2 refused or failed, with the reason on stderr; 128 plus the signal's number if the command was
asked to stop, so 130 after Ctrl-C and 143 after SIGTERM, and 141 if nobody reads its output any more.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from plm_lessons.commands import evaluate, fill_mask, finetune, pretrain
from plm_lessons.training.runs import Stopped

COMMANDS = (pretrain, finetune, evaluate, fill_mask)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What follows `python -m plm_lessons`; None for the arguments of this process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m plm_lessons",
        description="Train small BERTs, RoBERTas, ALBERTs and T5s, and see what they have learnt.",
        epilog="python -m plm_lessons COMMAND --help says more, with examples.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    chosen = parser.parse_args(arguments)
    try:
        chosen.run(chosen)
        sys.stdout.flush()  # here, where an error can be told
    except Stopped as stopped:
        return _say(str(stopped), 128 + stopped.signal_number)
    except KeyboardInterrupt:
        return _say("interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does. Python, too, must not write there when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as if SIGPIPE had ended it, which Windows does not have
    except OSError as error:
        place, reason = error.filename, error.strerror or error
        if place and isinstance(error, FileExistsError | NotADirectoryError):
            path, reason = Path(place), "must be a folder, not a file"
            place = next((part for part in (path, *path.parents) if part.is_file()), path)
        return _say(f"error: {f'{place}: ' if place else ''}{reason}", 2)
    except (ValueError, ModuleNotFoundError) as error:
        return _say(f"error: {error}", 2)
    except (MemoryError, RuntimeError) as error:
        of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not of_memory and "allocate memory" not in str(error):  # PyTorch's words for the CPU's memory
            raise
        return _say("error: out of memory: choose a smaller batch, length or model", 2)
    return 0


def _say(message: str, code: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return code
