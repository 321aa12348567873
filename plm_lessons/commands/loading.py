"""Loading a model and its tokenizer from a folder, whose `config.json` names the model's family."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Container
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

import plm_lessons
from plm_lessons.files import read_object
from plm_lessons.models.checkpoint_files import CONFIG, WEIGHTS, checkpoint_folder
from plm_lessons.models.pretrained import CLASSIFIERS
from plm_lessons.tokenization import load_tokenizer
from plm_lessons.training.families import FAMILIES
from plm_lessons.training.inference import check_fits
from plm_lessons.training.recipes import SHIPPED, Recipe
from plm_lessons.training.runs import RECIPE, STATE

CHECKPOINTS = Path(plm_lessons.__file__).parent / "checkpoints"


def about_models(families: Container[str] = FAMILIES) -> str:
    """Return what the help of a command says about its model."""
    *names, last = (name for name in FAMILIES if name in families)
    return f"a folder; {', '.join(names)} or {last} for a small model of the book; or a name on the Hugging Face hub"


def find_model(name: str, families: Container[str] = FAMILIES) -> tuple[Path, str]:
    """Return the folder of a model, and its family.

    Args:
        name: A folder, the name of a model that ships with the book, or one on the Hugging Face hub.
        families: The families allowed.

    Raises:
        FileNotFoundError: There is no such folder, or it holds no model.
        ValueError: The folder holds an unfinished run, or a model of a family that is not allowed.
    """
    shipped = CHECKPOINTS / name
    folder = shipped if name in SHIPPED and shipped.is_dir() and not Path(name).is_dir() else checkpoint_folder(name)
    if (folder / STATE).exists() and not (folder / WEIGHTS).exists():
        raise ValueError(f"{folder} holds an unfinished run: the command that began it resumes it")
    config = folder / CONFIG
    if not config.is_file():
        raise FileNotFoundError(f"{folder} holds no model: it has no config.json")
    family = str(read_object(config).get("model_type"))
    if family not in families:
        allowed = ", ".join(name for name in FAMILIES if name in families)
        raise ValueError(f"{config}: model_type={family!r} must be one of {allowed}")
    return folder, family


def load_model(folder: Path, model_class: Any, *, whole: bool = False, **config_fields: Any) -> tuple[Any, Tokenizer]:
    """Load a model, in evaluation mode, and its tokenizer.

    Args:
        whole: Whether it is an error if the folder lacks a head of the class; otherwise such a head is drawn anew.
        config_fields: Fields that replace those of `config.json`.

    Raises:
        FileNotFoundError: The folder lacks a file.
        ValueError: The contents of the folder do not fit the class or each other.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = model_class.from_pretrained(folder, **config_fields)
    lacks = [str(warning.message) for warning in caught if "drawn anew" in str(warning.message)]
    heads = "|".join(("ForQuestionAnswering", *CLASSIFIERS))
    tuned = re.search(rf"\w+(?:{heads})\b", str(read_object(folder / CONFIG).get("architectures")))
    if whole and lacks and tuned:
        raise ValueError(f"{folder} holds a fine-tuned model, a {tuned[0]}: must be one as pre-training leaves it")
    if whole and lacks:
        raise ValueError(lacks[0].replace("drawn anew, to be trained", "it was not pre-trained with this objective"))
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    try:
        check_fits(tokenizer, model)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    return model, tokenizer


def read_recipe(folder: Path, family: str, model: Any, tokenizer: Tokenizer) -> Recipe:
    """Return a model's recipe; without one in the folder, that of the book's model, with rows that the model can read.

    Raises:
        ValueError: The folder's recipe cannot be read.
    """
    path = folder / RECIPE
    if path.is_file():
        try:
            return Recipe(**read_object(path)["recipe"])
        except (LookupError, TypeError) as error:
            raise ValueError(f"{path}: not the recipe of a run ({error})") from None
    recipe = dataclasses.replace(SHIPPED[family], short_epochs=0)
    needed = FAMILIES[family].needed(recipe, tokenizer).get("max_position_embeddings", 0)
    missing = max(0, needed - getattr(model.config, "max_position_embeddings", needed))
    return dataclasses.replace(recipe, max_length=recipe.max_length - missing)
