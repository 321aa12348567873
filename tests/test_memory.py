"""Memory that is kept is not requested again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from plm_lessons.training import memory

SCRIPT = """
import resource
import torch
from plm_lessons.training.memory import keep_freed_memory

def page_faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        tensors = [torch.ones(3_000_000) for _ in range(4)]  # 12 MB each
        large = torch.ones(12_000_000)
        del tensors, large
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults()
print(page_faults())
assert keep_freed_memory()
page_faults()
print(page_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is nothing to set")
def test_tensors_of_a_size_are_made_again_without_new_pages() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 100 and after < before / 20  # if pages are huge, there are few of them


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", None)  # would be an error
    assert memory.keep_freed_memory() is False
