"""What all models share: initial weights, parameter counts, loading and saving in the layout of `transformers`.

Loading never unpickles: see `checkpoint_files`.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from plm_lessons.files import read_object, write_atomically
from plm_lessons.layers.normalization import RMSNorm
from plm_lessons.models.checkpoint_files import WEIGHTS, checkpoint_folder, read_tensors
from plm_lessons.models.configuration import ModelConfig

Model = TypeVar("Model", bound="PretrainedModel")

CLASSIFIERS = "ForSequenceClassification", "ForTokenClassification", "ForMultipleChoice"
"""Tasks whose heads have the same name in a checkpoint, `classifier`."""


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Turn off dropout and gradients; afterwards each part of the model is back in its previous mode."""
    in_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in in_training:
            module.training = True


class PretrainedModel(nn.Module):
    """Base of all models.

    A model with a head keeps its encoder as `self.encoder`. A family states where the names in its published
    checkpoints differ from those used here.

    Attributes:
        config_class: The family's configuration.
        encoder_name: The encoder's name in checkpoints of models with a head.
        checkpoint_names: Pairs (part of a name here, part of a name in checkpoints), replaced in this order.
        head_names: Prefixes of the names of the heads' tensors in checkpoints. A checkpoint of another task may lack
            a head that this model has, or have one that this model lacks; everything else must fit.
        copied_names: Tensors that some checkpoints store although the model does not need them, each with the name of
            the tensor that it must repeat, or None if its content does not matter.
        training_arguments: What training passes to `forward` besides a batch, to skip work that no loss needs.
    """

    config_class: ClassVar[type[ModelConfig]]
    encoder_name: ClassVar[str]
    checkpoint_names: ClassVar[tuple[tuple[str, str], ...]]
    head_names: ClassVar[tuple[str, ...]]
    copied_names: ClassVar[dict[str, str | None]]
    training_arguments: ClassVar[dict[str, Any]] = {}

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if type(config) is not self.config_class:  # not isinstance: RoBERTa's is also a BertConfig
            found, needed = type(config).__name__, self.config_class.__name__
            raise ValueError(f"config is of type {found}: must be {needed} for {type(self).__name__}")
        self.config = config

    # --- weights ---

    def materialise(self, generator: torch.Generator | None = None) -> None:
        """Allocate and draw the parameters that were built without memory (on the meta device).

        Every weight is thus drawn once, from `generator`, and PyTorch's own initialisation, which draws from global
        random state, never runs. Under `torch.device("meta")` nothing is drawn: the model only has a shape.
        """
        device = torch.empty(0).device  # before PyTorch 2.8, `get_default_device` does not know `with torch.device`
        if device.type == "meta":
            return
        drawn = set()
        for prefix, module in self.named_modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                if parameter.is_meta:
                    setattr(module, name, nn.Parameter(torch.empty_like(parameter, device=device)))
                    drawn.add(f"{prefix}.{name}" if prefix else name)
        self.initialise(generator, only=drawn)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None, only: set[str] | None = None) -> None:
        """Draw the initial weights anew.

        Matrices come from a normal distribution of standard deviation `config.initializer_range`, truncated at two
        deviations as in google-research/bert (`transformers` does not truncate); biases are 0, norms the identity.

        Args:
            generator: A CPU generator; seed 0 if None. The weights are the same on every device and, except
                for rounding, in every floating-point type.
            only: Names of the parameters to draw; all if None.
        """
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        elif not isinstance(generator, torch.Generator):
            raise ValueError(f"generator={generator!r:.80}: must be a torch.Generator, or None")
        for prefix, module in self.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                full_name = f"{prefix}.{name}" if prefix else name
                if parameter.is_meta or (only is not None and full_name not in only):
                    continue
                if isinstance(module, nn.LayerNorm | RMSNorm):
                    parameter.fill_(1.0 if name == "weight" else 0.0)
                elif parameter.dim() == 1:
                    parameter.zero_()
                else:
                    parameter.copy_(self.draw_matrix(full_name, parameter.shape, generator))
                    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                        parameter[module.padding_idx].zero_()

    def draw_matrix(self, name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Initial values of the matrix of that name, in float32; a family with another rule overrides this.

        They follow a normal distribution truncated at two standard deviations: values outside are drawn again.
        PyTorch's `trunc_normal_` does the same since 2.12; before, it made other numbers from the same seed.
        """
        values = torch.empty(shape, dtype=torch.float32, device="cpu").normal_(generator=generator)
        while (outside := values.abs() > 2).any():
            values = torch.where(outside, torch.empty_like(values).normal_(generator=generator), values)
        return self.config.initializer_range * values

    def num_parameters(self) -> int:
        """How many numbers the model learns; a matrix used twice counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    # --- names in checkpoints ---

    @classmethod
    def checkpoint_name(cls, name: str) -> str:
        """The name that a parameter of this model has in checkpoints of `transformers`."""
        if name.startswith("encoder."):
            name = cls.encoder_name + name.removeprefix("encoder")
        for ours, theirs in cls.checkpoint_names:
            name = name.replace(ours, theirs)
        return name

    @classmethod
    def _full_name(cls, name: str) -> str:
        """The name in a checkpoint of a model with a head: that of a bare encoder gets the encoder's prefix."""
        is_full = name.startswith((cls.encoder_name + ".", *cls.head_names))
        return name if is_full else f"{cls.encoder_name}.{name}"

    @classmethod
    def _head_of(cls, name: str) -> str | None:
        return next((head for head in cls.head_names if name.startswith(head)), None)

    @classmethod
    def _has_other_head(cls, folder: Path) -> bool:
        """Whether the checkpoint's `classifier` is that of another task."""
        written = str(read_object(folder / "config.json").get("architectures"))
        tasks = [task for task in CLASSIFIERS if task in written]
        known = bool(tasks) and "classifier." in cls.head_names
        return known and not any(task in base.__name__ for task in tasks for base in cls.__mro__)

    # --- loading ---

    @classmethod
    def from_pretrained(cls: type[Model], folder_or_hub_name: str | Path, **config_fields: Any) -> Model:
        """Build a model from a folder in the layout of `transformers` (`config.json`, `model.safetensors`).

        The encoder must fit tensor by tensor. A head that the checkpoint lacks, such as the classifier that
        fine-tuning adds, is drawn anew (seed 0), and heads of other tasks are ignored, both with a warning. (Only
        `architectures` in `config.json` tells whether a classifier is one for sequences or for tokens.)

        Args:
            folder_or_hub_name: A folder, or a model's name on the Hugging Face hub, which is fetched with
                `huggingface_hub` if that is installed.
            **config_fields: Fields that replace those of `config.json`, such as `num_labels=3`.

        Returns:
            The model, float32, on the CPU, in evaluation mode.

        Raises:
            FileNotFoundError: There is no such folder, or it lacks a file.
            ValueError: A tensor is missing, unexpected or of the wrong shape, or a file is invalid.
        """
        folder = checkpoint_folder(folder_or_hub_name)
        config = dataclasses.replace(cls.config_class.from_pretrained(folder), **config_fields)  # type: ignore[type-var]
        tensors = read_tensors(folder)
        with torch.device("meta"):
            model = cls(cls._fit_config(config, tensors))
        model.float().to_empty(device="cpu")  # whatever PyTorch's default type is
        fresh = model._copy_from(tensors, folder)
        model.initialise(only=fresh)
        return model.eval()

    @classmethod
    def _fit_config(cls, config: Any, tensors: dict[str, Tensor]) -> Any:
        """The configuration, or a corrected one if the checkpoint's tensors tell more than its `config.json`."""
        return config

    @torch.no_grad()
    def _copy_from(self, tensors: dict[str, Tensor], folder: Path) -> set[str]:
        """Copy a checkpoint's tensors into the parameters; return the names of those of heads that it lacks."""
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            if found.setdefault(self._full_name(_modern_name(name)), tensor) is not tensor:
                raise ValueError(f"{folder} has {self._full_name(_modern_name(name))} twice, under two names")
        wanted = {self._full_name(self.checkpoint_name(name)): name for name, _ in self.named_parameters()}
        for name, original in self.copied_names.items():
            repeats = name in found and (original is None or torch.equal(found[name], found.get(original, found[name])))
            if repeats and name not in wanted:
                del found[name]

        others = [name for name in found if name.startswith("classifier.")] if self._has_other_head(folder) else []
        found = {name: tensor for name, tensor in found.items() if name not in others}
        heads_found = {self._head_of(name) for name in found}
        missing = [name for name in wanted if name not in found]
        fresh = [name for name in missing if self._head_of(name) and self._head_of(name) not in heads_found]
        heads_wanted = {self._head_of(name) for name in wanted}
        unexpected = [name for name in found if name not in wanted]
        left_aside = [name for name in unexpected if self._head_of(name) and self._head_of(name) not in heads_wanted]
        told = [*(f"{name} of another task" for name in others), *left_aside]

        parameters = dict(self.named_parameters())
        problems = [f"missing {name}" for name in missing if name not in fresh]
        problems += [f"unexpected {name}" for name in unexpected if name not in left_aside]
        for name in wanted.keys() & found.keys():
            shape, needed = tuple(found[name].shape), tuple(parameters[wanted[name]].shape)
            if shape != needed:
                problems.append(f"{name} has shape {shape}, the configuration needs {needed}")
            if not found[name].is_floating_point():
                problems.append(f"{name} is of type {found[name].dtype}, not a floating-point type")
            elif not found[name].isfinite().all():
                problems.append(f"{name} holds numbers that are not finite")
        if problems:
            raise ValueError(f"{folder} does not fit {type(self).__name__}: " + "; ".join(sorted(problems)))

        if fresh:
            warnings.warn(f"{folder} has no {', '.join(fresh)}: drawn anew, to be trained", stacklevel=4)
        if told:
            warnings.warn(f"{folder} also has {', '.join(told)}: not used by {type(self).__name__}", stacklevel=4)
        for name in wanted.keys() & found.keys():
            parameters[wanted[name]].copy_(found[name])
        return {wanted[name] for name in fresh}

    # --- saving ---

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors`, which `transformers` can load; each file whole or not at all.

        Raises:
            ValueError: The model is on the meta device, or `transformers` has no such model.
            OSError: A file cannot be written; an existing one stays as it was.
        """
        if self.device.type == "meta":
            raise ValueError(f"{type(self).__name__} is on the meta device: it has a shape, but no weights to save")
        tensors = {
            self.checkpoint_name(name): value.detach().cpu().contiguous() for name, value in self.named_parameters()
        }
        self.config.save_pretrained(folder, architectures=[type(self).__name__])  # first, because this may fail
        write_atomically(Path(folder) / WEIGHTS, safetensors.torch.save(tensors, metadata={"format": "pt"}))


def _modern_name(name: str) -> str:
    """Replace gamma and beta, TensorFlow's names for a layer norm's gain and shift, found in the oldest checkpoints."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.{ {'gamma': 'weight', 'beta': 'bias'}.get(last, last) }" if stem else name
