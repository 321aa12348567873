"""How two programs are timed against each other, and what the machine can reach at best."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from plm_lessons.training.optimization import mixed_precision

CPU = torch.device("cpu")


def take_turns(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds that each run takes, `repeats` times, after one that does not count.

    The runs take turns, in an order that is reversed each time, so that whatever else the machine does affects all of
    them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    order = list(runs.items())
    for _ in range(repeats):
        for name, run in order:
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
        order.reverse()
    return seconds


def training_precision(precision: str = "auto") -> str:
    """Return the precision that `mixed_precision` chooses on this machine."""
    with mixed_precision(CPU, precision):
        return "bfloat16" if torch.is_autocast_enabled("cpu") else "float32"


def matmul_peaks(size: int, training: str, repeats: int = 15) -> dict[str, float]:
    """Return the most multiply-adds per second of a product of square matrices, in float32 and in `training`."""
    left, right, peaks = torch.randn(size, size), torch.randn(size, size), {}
    for precision in dict.fromkeys(("float32", training)):
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            peaks[precision] = size**3 / min(take_turns({"product": lambda: left @ right}, repeats)["product"])
    return peaks


def as_transformers(model: Any) -> Any:
    """Return the model of `transformers` with the same name and weights."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return getattr(transformers, type(model).__name__).from_pretrained(folder)


def processor() -> str:
    """Return the processor's name as Linux or, on other systems, Python knows it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine(peaks: Mapping[str, float], training: str) -> dict[str, Any]:
    """Return what the results depend on."""
    return (
        {
            "processor": processor(),
            "cores": os.cpu_count(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "precision of training": training,
        }
        | {f"matmul peak in {precision}": f"{2 * peak / 1e9:.0f} GFLOP/s" for precision, peak in peaks.items()}
        | {
            "load at the start": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else "unknown",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
    )


def median_ratio(theirs: list[float], ours: list[float]) -> float:
    """Return how many times as fast we are: the ratio of the medians."""
    return statistics.median(theirs) / statistics.median(ours)
