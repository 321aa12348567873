"""The files of a checkpoint, in the layout of `transformers`: where they are and what they hold.

Weights are read from safetensors files only. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

WEIGHTS = "model.safetensors"


def checkpoint_folder(folder_or_hub_name: str | Path) -> Path:
    """The folder of a checkpoint: the one given, or one fetched from the Hugging Face hub by the model's name.

    Raises:
        ValueError: The argument is neither a path nor a name.
        FileNotFoundError: There is no such folder, and `huggingface_hub` is not installed or finds no such model.
    """
    if not isinstance(folder_or_hub_name, str | Path):
        raise ValueError(f"folder_or_hub_name={folder_or_hub_name!r:.80}: must be a path, or a name on the hub")
    folder = Path(folder_or_hub_name)
    if folder.is_dir():
        return folder
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise FileNotFoundError(
            f"{folder_or_hub_name}: no such folder; to fetch it from the Hugging Face hub, install huggingface_hub"
        ) from None
    files = ["config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "vocab*", "merges.txt"]
    try:
        return Path(snapshot_download(str(folder_or_hub_name), allow_patterns=files))
    except (OSError, ValueError) as error:  # an impossible name, no such model, or no network
        raise FileNotFoundError(f"{folder_or_hub_name}: no such folder, and not found on the hub: {error}") from error


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, from one file or from the parts that an index lists.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is incomplete or malformed, or there are only pickled weights.
    """
    index = folder / f"{WEIGHTS}.index.json"
    if (folder / WEIGHTS).is_file():
        parts = [folder / WEIGHTS]
    elif index.is_file():
        parts = _listed_parts(index)
    elif list(folder.glob("*.bin")):
        raise ValueError(f"{folder} has only pickled weights, which can run any code: save them as {WEIGHTS} first")
    else:
        raise FileNotFoundError(f"{folder} has no {WEIGHTS}")
    tensors: dict[str, Tensor] = {}
    for part in parts:
        try:
            tensors |= safetensors.torch.load_file(part)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{part}: not a whole safetensors file ({error})") from None
    return tensors


def _listed_parts(index: Path) -> list[Path]:
    """The files that `model.safetensors.index.json` names, each once."""
    try:
        names = {str(name) for name in json.loads(index.read_text(encoding="utf8"))["weight_map"].values()}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError(f'{index}: must be a JSON object with a "weight_map" from tensors to files') from None
    return [index.parent / name for name in sorted(names)]
