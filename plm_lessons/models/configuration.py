"""What every model's configuration shares: checked fields, published sizes, reading and writing `config.json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from plm_lessons.checks import check_choice, check_sizes, is_real, is_whole
from plm_lessons.files import read_object, write_atomically

Config = TypeVar("Config", bound="ModelConfig")

# Fields of a `config.json` that describe no part of the network: who saved it, names of labels, generation settings.
BOOKKEEPING = frozenset(
    [
        "_attn_implementation_autoset",
        "_name_or_path",
        "architectures",
        "attn_implementation",
        "bos_token_id",
        "cls_token_id",
        "directionality",
        "dtype",
        "eos_token_id",
        "finetuning_task",
        "gradient_checkpointing",
        "label2id",
        "language",
        "mask_token_id",
        "model_type",
        "output_past",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
        "problem_type",
        "sep_token_id",
        "tokenizer_class",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    ]
)
# Features of `transformers` that these models do not have: the only value allowed is the one that turns them off.
FIXED: dict[str, Any] = {
    "add_cross_attention": False,
    "chunk_size_feed_forward": 0,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "pruned_heads": {},
    "return_dict": True,
    "tie_word_embeddings": True,
    "torchscript": False,
}


class ModelConfig:
    """Base of the configuration dataclasses.

    A subclass is a frozen dataclass that lists the fields of its family's `config.json`, names its family
    (`model_type`), and gives its published sizes as differences from the defaults. `bookkeeping` lists further entries
    of a `config.json` that do not describe the network, and `fixed` those that must have the only supported value.
    """

    model_type: ClassVar[str]
    published_sizes: ClassVar[dict[str, dict[str, Any]]]
    bookkeeping: ClassVar[frozenset[str]] = BOOKKEEPING
    fixed: ClassVar[dict[str, Any]] = FIXED

    # The shared code reads these.
    vocab_size: int
    initializer_range: float

    def __new__(cls, *args: object, **fields: object) -> ModelConfig:
        """Refuse unknown fields with a `ValueError` that names them, where a dataclass would raise a `TypeError`."""
        cls._check_known(fields)
        return super().__new__(cls)

    @property
    def longest(self) -> int | None:
        """The largest number of tokens that a text may have; None if there is no limit, as in T5."""
        return None

    @classmethod
    def _field_names(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]

    @classmethod
    def _check_known(cls, fields: Mapping[str, object]) -> None:
        for name in fields:
            if name not in cls._field_names():
                raise ValueError(f"{name}: not a field of {cls.__name__}, which has {', '.join(cls._field_names())}")

    @classmethod
    def published(cls: type[Config], name: str) -> Config:
        """The configuration of a published checkpoint, by its usual name.

        Raises:
            ValueError: This family has published no model of that name.
        """
        check_choice("name", name, cls.published_sizes)
        return cls(**cls.published_sizes[name])

    @classmethod
    def from_dict(cls: type[Config], values: Mapping[str, Any]) -> Config:
        """Build a configuration from the contents of a `config.json`.

        Raises:
            ValueError: The contents belong to another family, hold an unknown field or switch on a feature that is
                not supported.
        """
        family = values.get("model_type", cls.model_type)
        if family != cls.model_type:
            raise ValueError(f"model_type={family!r}: {cls.__name__} reads only {cls.model_type!r}")
        no_fields = cls.bookkeeping | cls.fixed.keys()
        fields = {name: value for name, value in values.items() if name not in no_fields}
        for name, allowed in cls.fixed.items():
            if values.get(name, allowed) != allowed:
                raise ValueError(f"{name}={values[name]!r}: {cls.__name__} supports only {allowed!r}")
        if "id2label" in fields:
            names = _names_of_labels(fields.pop("id2label"))
            if fields.setdefault("num_labels", len(names)) != len(names):
                raise ValueError(
                    f"num_labels={fields['num_labels']!r}: must be {len(names)}, the number of labels in id2label"
                )
            fields["label_names"] = () if names == _numbered(len(names)) else names
        return cls(**fields)

    @classmethod
    def from_pretrained(cls: type[Config], folder: str | Path) -> Config:
        """Read `config.json` from a folder.

        Raises:
            FileNotFoundError: The folder has no `config.json`.
            ValueError: The file is not a JSON object, or `from_dict` refuses it.
        """
        return cls.from_dict(read_object(Path(folder) / "config.json"))

    def to_dict(self) -> dict[str, Any]:
        """The contents of a `config.json` that both `from_dict` and `transformers` read."""
        values: dict[str, Any] = {"model_type": self.model_type}
        for name in self._field_names():
            values[name] = getattr(self, name)
        num_labels, names = values.pop("num_labels", None), values.pop("label_names", ())
        if num_labels is not None:
            names = names or _numbered(num_labels)
            values["id2label"] = {str(label): name for label, name in enumerate(names)}
            values["label2id"] = {name: label for label, name in enumerate(names)}
        return values

    def save_pretrained(self, folder: str | Path, **more: Any) -> None:
        """Write `config.json` into a folder, whole or not at all; `more` is added to the file."""
        values = {**self.to_dict(), **more}
        text = json.dumps(values, indent=2, sort_keys=True, default=lambda number: number.item())  # for numpy's
        write_atomically(Path(folder) / "config.json", f"{text}\n".encode())

    def _check_counts(self, *names: str) -> None:
        """Each of the fields must be a whole number of at least 1."""
        check_sizes(**{name: getattr(self, name) for name in names})

    def _check_range(self, low: float, high: float, *names: str) -> None:
        """Each of the fields must be a number in [low, high)."""
        for name in names:
            value = getattr(self, name)
            if not is_real(value) or not low <= value < high:  # NaN is in no range
                raise ValueError(f"{name}={value!r}: must be a number in [{low}, {high})")

    def _check_divides(self, divisor: str, dividend: str) -> None:
        if getattr(self, dividend) % getattr(self, divisor):
            raise ValueError(f"{divisor}={getattr(self, divisor)}: must divide {dividend}={getattr(self, dividend)}")

    def _check_label_names(self, names: Any, num_labels: int) -> None:
        """The names must be a tuple of distinct texts: none, or one for each label."""
        right = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
        if not right or len(names) not in (0, num_labels) or len(set(names)) < len(names):
            raise ValueError(f"label_names={names!r}: must be () or num_labels={num_labels} different names")

    def _check_token(self, *names: str) -> None:
        """Each of the fields must be None or an id of the vocabulary."""
        for name in names:
            value = getattr(self, name)
            if value is None or (is_whole(value) and 0 <= value < self.vocab_size):
                continue
            raise ValueError(
                f"{name}={value!r}: must be None or an id from 0 to vocab_size - 1 = {self.vocab_size - 1}"
            )


def _numbered(num_labels: int) -> tuple[str, ...]:
    """What `transformers` calls labels that have no names."""
    return tuple(f"LABEL_{label}" for label in range(num_labels))


def _names_of_labels(id2label: Any) -> tuple[str, ...]:
    """The names in the order of their numbers, which are texts in a file."""
    try:
        names = {int(number): name for number, name in id2label.items()}
        return tuple(names[number] for number in range(len(names)))
    except (AttributeError, ValueError, TypeError, KeyError):
        raise ValueError(f"id2label={id2label!r}: must map each label's number to its name") from None
