"""All that training needs to resume, in one file: the weights, the optimiser's state, and the place in the run.

The states of random generators need not be kept: the number of a step fixes what it draws (see
`pretraining.training_steps`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from plm_lessons.files import write_atomically


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, about: dict[str, Any]) -> None:
    """Write the state; if that is interrupted, an older file stays as it was.

    Args:
        path: A safetensors file.
        model, optimizer: Their tensors are written.
        about: What else is to be stored, as JSON.

    Raises:
        OSError: The file cannot be written; an older one stays as it was.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for number, memory in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in memory.items()}
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, {"about": json.dumps(about)})
    write_atomically(path, content)


def read_about(path: Path) -> dict[str, Any]:
    """Return what `save_state` stored as `about`.

    Raises:
        ValueError: The file is not a complete one from `save_state`.
    """
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["about"])
    except (SafetensorError, TypeError, LookupError, ValueError) as error:
        raise ValueError(f"{path}: not a whole training state ({error})") from None


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load the weights and the optimiser's state.

    Raises:
        ValueError: The tensors are not those of this model and optimiser.
    """
    weights: dict[str, Tensor] = {}
    memory: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as file:
        for full_name in file.keys():  # noqa: SIM118, it is not a dictionary
            part, name = full_name.split(".", 1)
            if part == "model":
                weights[name] = file.get_tensor(full_name)
            else:
                number, name = name.split(".", 1)
                # Copied, because the optimiser keeps it, and Windows replaces no file that is still mapped into memory.
                memory.setdefault(int(number), {})[name] = file.get_tensor(full_name).clone()
    try:
        model.load_state_dict(weights)
        optimizer.load_state_dict(optimizer.state_dict() | {"state": memory})
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: must be the state of this model ({error})") from None
