"""Where the text for pre-training comes from: the book's corpus, files, or a data set of the Hugging Face hub.

A source is read document by document, once per epoch; of files and data sets, only what is being read is in memory.
About a tenth of the documents are held out, chosen by a hash as everywhere in the book (`corpus.split_of`).
"""

from __future__ import annotations

import importlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from plm_lessons.checks import check_choice, check_text
from plm_lessons.corpus import SOURCES, SPLITS, documents, split_of, split_sentences

Sentences = Sequence[str]
"""A document: its sentences, in order."""


class TextSource(Protocol):
    """Documents that can be read repeatedly, always in the same order."""

    def read(self, split: str) -> Iterator[Sentences]:
        """The documents of a split, "train" or "held_out"."""

    def describe(self) -> str:
        """A description of one line, by which a run recognises its text; of files it also compares the contents."""


@dataclass(frozen=True)
class CorpusText:
    """The text that ships with the book.

    Attributes:
        source: As for `corpus.documents`: "wikipedia", "sotu" or "all".
    """

    source: str = "all"

    def __post_init__(self) -> None:
        check_choice("source", self.source, (*SOURCES, "all"))

    def read(self, split: str) -> Iterator[Sentences]:
        """The documents of a split."""
        return (document.sentences for document in documents(self.source, split))

    def describe(self) -> str:
        """The name of the source."""
        return f"corpus {self.source}"


@dataclass(frozen=True)
class FileText:
    """Text files in UTF-8.

    In a plain file a blank line ends a document, as in the data files of google-research/bert. A file whose name ends
    in `.jsonl` holds one JSON object per line, with the document as its "text". Texts that are equal word for word fall
    on the same side of the split.

    Attributes:
        paths: The files, in the order in which they are read.

    Raises:
        ValueError: `paths` is empty or not a tuple of `Path`, or one of them is a pipe or device.
        FileNotFoundError, IsADirectoryError: One of the paths is not a file.
    """

    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.paths, tuple) or not all(isinstance(path, Path) for path in self.paths):
            raise ValueError(f"paths={self.paths!r:.80}: must be a tuple of pathlib.Path")
        if not self.paths:
            raise ValueError("paths: must name at least one file")
        for path in self.paths:
            if path.is_dir():
                raise IsADirectoryError(f"{path}: must be a file, not a folder")
            if not path.is_file() and (path.exists() or str(path) == "-"):
                raise ValueError(f"{path}: must be a file on disk, not a pipe: a text is read more than once")
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file")

    def read(self, split: str) -> Iterator[Sentences]:
        """The documents of a split.

        Raises:
            ValueError: A file is not UTF-8, or a line of a `.jsonl` file is not as it should be.
        """
        return _sentences_of((text for path in self.paths for text in _texts_of_file(path)), split)

    def describe(self) -> str:
        """Names and sizes of the files."""
        return "files " + ", ".join(f"{path.resolve()} ({path.stat().st_size} bytes)" for path in self.paths)

    def checksum(self) -> str:
        """The CRC-32 of the contents, by which a run sees that a file has changed; this reads the files once."""
        crc = 0
        for path in self.paths:
            with path.open("rb") as file:
                while part := file.read(2**20):
                    crc = zlib.crc32(part, crc)
        return f"{crc:08x}"


@dataclass(frozen=True)
class DatasetText:
    """A data set of the Hugging Face hub, streamed by the library `datasets`, which must be installed.

    Attributes:
        name: Its name on the hub, or anything else that `datasets.load_dataset` accepts.
        configuration: Which of its configurations, if it has several.
        part: Which of its parts to read.
        column: The column that holds the text.
    """

    name: str
    configuration: str | None = None
    part: str = "train"
    column: str = "text"

    def __post_init__(self) -> None:
        for field in ("name", "part", "column"):
            check_text(field, getattr(self, field))
        if self.configuration is not None:
            check_text("configuration", self.configuration)

    def read(self, split: str) -> Iterator[Sentences]:
        """The documents of a split; each row is a document.

        Raises:
            ValueError: `datasets` is not installed, or a row has no text in that column.
        """
        return _sentences_of(self._texts(), split)

    def describe(self) -> str:
        """Name, configuration, part and column."""
        return f"data set {self.name}, configuration {self.configuration}, part {self.part}, column {self.column}"

    def _texts(self) -> Iterator[str]:
        try:
            library: Any = importlib.import_module("datasets")
        except ImportError:
            raise ValueError(f"data set {self.name}: to read it, install the package datasets") from None
        for row in library.load_dataset(self.name, self.configuration, split=self.part, streaming=True):
            if not isinstance(row.get(self.column), str):
                raise ValueError(
                    f"data set {self.name}: column {self.column!r} holds no text; the columns are {sorted(row)}"
                )
            yield row[self.column]


def _texts_of_file(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        lines = io.TextIOWrapper(file, encoding="utf-8-sig")  # some editors begin a file with a byte-order mark
        try:
            yield from _texts_of_json(path, lines) if path.suffix.lower() == ".jsonl" else _blocks(lines)
        except UnicodeDecodeError as error:
            place = file.tell() - len(error.object) + error.start  # error.start counts from the part that was read last
            raise ValueError(f"{path}: must be UTF-8 ({error.reason} at byte {place})") from None


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    block: list[str] = []
    for line in lines:
        if line.strip():
            block.append(line)
        elif block:
            yield "".join(block)
            block = []
    if block:
        yield "".join(block)


def _texts_of_json(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                text = json.loads(line)["text"]
                text.encode()  # half a surrogate pair is not a character
            except (ValueError, LookupError, TypeError, AttributeError):
                reason = 'must be a JSON object with a string "text", of whole characters'
                raise ValueError(f"{path}, line {number}: {reason}") from None
            yield text


def _sentences_of(texts: Iterable[str], split: str) -> Iterator[Sentences]:
    check_choice("split", split, SPLITS)
    for text in texts:
        same = " ".join(text.split())  # whatever the line endings
        if split_of(same) == split and (sentences := split_sentences(text)):
            yield sentences
