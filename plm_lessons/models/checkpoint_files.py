"""The files of a checkpoint, in the layout of `transformers`: where they are and what they hold.

Weights are read from safetensors files only. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from tokenizers import Tokenizer
from torch import Tensor

from plm_lessons.files import write_atomically
from plm_lessons.models.configuration import ModelConfig

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"


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


def refuse_finished(folder: Path, *others: str) -> None:
    """Refuse a folder in which a model would be overwritten.

    Args:
        others: The names of other files that must not be there.

    Raises:
        ValueError: The folder holds weights of a model, or one of these files.
    """
    for name in (WEIGHTS, *others):
        if (folder / name).exists():
            found = "a finished model" if name == WEIGHTS else f"the {name} of another model"
            raise ValueError(f"{folder} holds {found}: name another folder, or remove it first")


def save_tokenizer(folder: Path, tokenizer: Tokenizer, config: ModelConfig) -> None:
    """Write a model's tokenizer, and what `transformers` must know: the longest text, and whether it has segments.

    Raises:
        OSError: A file cannot be written; an existing one stays as it was.
    """
    write_atomically(folder / TOKENIZER, tokenizer.to_str(pretty=True).encode("utf-8"))
    about: dict[str, Any] = {} if config.longest is None else {"model_max_length": config.longest}
    if getattr(config, "type_vocab_size", 1) > 1:  # the ALBERT of `transformers` 5 would not pass them
        about["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    if about:
        write_atomically(folder / TOKENIZER_CONFIG, (json.dumps(about, indent=2) + "\n").encode("utf-8"))


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
