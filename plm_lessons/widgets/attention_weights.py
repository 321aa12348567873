"""Attention weights as the attention viewer keeps them: checked, packed in few bytes, and measured head by head.

Letters: L layers, A heads, T queries, S keys.
"""

from __future__ import annotations

import base64
import re
import reprlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plm_lessons.checks import check_text

KINDS = ("encoder", "decoder", "cross")  # cross: the decoder's tokens look at the encoder's
MOST_TOKENS, MOST_CHARACTERS, MOST_LAYERS, MOST_HEADS = 64, 64, 24, 16
TOLERANCE = 1e-3  # of the sum of a row


def pack(weights: np.ndarray) -> str:
    """Attention weights [L, A, T, S] as base64: one byte per weight, its square root in steps of 1/255, row by row.

    The root keeps small weights, of which a row has many, apart: most are off by less than 0.001, and none by more than
    0.0135 (a large weight beside 63 small ones that are all rounded the same way).
    """
    return base64.b64encode(np.rint(255 * np.sqrt(weights)).astype(np.uint8).tobytes()).decode("ascii")


def unpack(text: str, shape: Sequence[int]) -> np.ndarray:
    """Weights of a given shape from what `pack` has kept: the squares, each row divided by its sum."""
    squares = np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape).astype(np.float64) ** 2
    return np.asarray(squares / squares.sum(-1, keepdims=True))


def token_class(token: str) -> str:
    """The class of a token: "special" for [SEP], </s> and the like, "punctuation", or "" for any other token."""
    if re.fullmatch(r"\[.+\]|<.+>", token, re.DOTALL):
        return "special"
    rest = re.sub("^(##|\u2581|\u0120)", "", token)  # how tokenizers mark the middle and the beginning of a word
    signs = [unicodedata.category(sign)[0] == "P" for sign in rest]
    return "punctuation" if signs and all(signs) else ""


def head_measures(weights: Any, keys: Sequence[str], kind: str = "encoder") -> dict[str, float | None]:
    """Measures of what one head looks at.

    Args:
        weights: [T, S], each row sums to 1.
        keys: the S tokens that are looked at.
        kind: "encoder", "decoder" or "cross". Positions in two different texts ("cross") have no distance.

    Returns:
        "previous", "self", "next": the mean weight on the token at that position, over the queries that have one.
        "special", "punctuation": the mean weight of a query on all such tokens together.
        "distance": the mean distance between query and key. "spread": exp of the mean entropy of a row, in nats: S if
        all keys have the same weight, 1 if one has all. What does not exist is None.
    """
    found = np.asarray(weights, dtype=np.float64)
    classes = np.array([token_class(key) for key in keys])
    logarithms = np.log(found, out=np.zeros_like(found), where=found > 0)

    def at(offset: int) -> float | None:
        along = np.diagonal(found, offset)
        return None if kind == "cross" or not len(along) else float(along.mean())

    i, j = np.indices(found.shape)
    return {
        "previous": at(-1),
        "self": at(0),
        "next": at(1),
        "special": float(found[:, classes == "special"].sum(-1).mean()),
        "punctuation": float(found[:, classes == "punctuation"].sum(-1).mean()),
        "distance": None if kind == "cross" else float((found * abs(i - j)).sum(-1).mean()),
        "spread": float(np.exp(-(found * logarithms).sum(-1).mean())),
    }


def sides(sentence: Mapping[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    """The tokens that look and those that are looked at, for each kind."""
    source, target = sentence["tokens"], sentence["target_tokens"]
    return {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)}


def shapes(sentence: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The number of layers and heads of each kind."""
    return {kind: (found["layers"], found["heads"]) for kind, found in sentence["attentions"].items()}


def _checked_weights(kind: str, found: Any, queries: int, keys: int) -> np.ndarray:
    """The weights [L, A, T, S], from nested lists or arrays that may have a batch dimension of one after the layers."""
    wanted = f"[layers][heads][{queries}][{keys}]"
    try:
        layers = [np.asarray(layer) for layer in found]
        weights = np.stack(layers)
    except (TypeError, ValueError, RuntimeError) as error:  # from numpy, also for tensors that it cannot read
        raise ValueError(f"{kind}: the weights must be nested lists of numbers, {wanted}") from error
    if weights.ndim == 5 and weights.shape[1] == 1:
        weights = weights[:, 0]
    if weights.dtype.kind not in "fiu" or weights.ndim != 4 or weights.shape[2:] != (queries, keys):
        raise ValueError(f"{kind}: the weights must be numbers {wanted}, got {weights.dtype} {list(weights.shape)}")
    if not 1 <= weights.shape[0] <= MOST_LAYERS or not 1 <= weights.shape[1] <= MOST_HEADS:
        limits = f"1 to {MOST_LAYERS} layers of 1 to {MOST_HEADS} heads"
        raise ValueError(f"{kind}: there must be {limits}, got {weights.shape[0]} of {weights.shape[1]}")
    with np.errstate(over="ignore"):  # a sum that is infinite is refused below
        weights = weights.astype(np.float64)
        sums = weights.sum(-1)
    wrong = np.argwhere(~((weights >= 0).all(-1) & (abs(sums - 1) <= TOLERANCE)))  # also NaN
    if len(wrong):
        layer, head, query = wrong[0]
        least, total = weights[layer, head, query].min(), sums[layer, head, query]
        raise ValueError(
            f"{kind}, layer {layer}, head {head}, query {query}: the weights must be at least 0 and sum to 1 "
            f"(within {TOLERANCE}), but the least is {least:g} and the sum {total:g}"
        )
    return np.asarray(weights / sums[..., None])


def _checked_tokens(name: str, found: Any) -> list[str]:
    if not isinstance(found, (list, tuple)) or not 1 <= len(found) <= MOST_TOKENS:
        got = f"{len(found)} of them" if isinstance(found, (list, tuple)) else reprlib.repr(found)
        raise ValueError(f"{name} must be a list of 1 to {MOST_TOKENS} texts, got {got}")
    for place, token in enumerate(found):
        if not isinstance(token, str) or not 1 <= len(token) <= MOST_CHARACTERS:
            raise ValueError(f"{name} must be texts of 1 to {MOST_CHARACTERS} characters, got {reprlib.repr(token)}")
        check_text(f"{name}[{place}]", token)
    return list(found)


class PackedSentence(dict[str, Any]):
    """What `pack_sentence` returns: "name", "tokens", "target_tokens" (possibly empty), and "attentions" by kind."""


def pack_sentence(sentence: Any) -> PackedSentence:
    """Check and pack one sentence for the page; raises ValueError for what makes no sense."""
    if isinstance(sentence, PackedSentence):
        return sentence  # traitlets validates a value again when all others are set
    needed, others = {"tokens", "attentions"}, {"name", "target_tokens"}
    if not isinstance(sentence, Mapping) or not needed <= set(sentence) <= needed | others:
        got = sorted(map(str, sentence)) if isinstance(sentence, Mapping) else type(sentence).__name__
        raise ValueError(f"it must be a dict with {sorted(needed)} and possibly {sorted(others)}, got {got}")
    tokens = _checked_tokens("tokens", sentence["tokens"])
    attentions = sentence["attentions"]
    kinds = attentions if isinstance(attentions, Mapping) else {"encoder": attentions}
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"attentions must have some of {KINDS}, got {sorted(map(str, kinds))}")
    target = sentence.get("target_tokens")
    if (target is None) != (set(kinds) == {"encoder"}):
        raise ValueError(f"target_tokens must be given with decoder or cross, and only then; kinds: {sorted(kinds)}")
    target = [] if target is None else _checked_tokens("target_tokens", target)
    name = sentence.get("name", " ".join(tokens))
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be a text, got {reprlib.repr(name)}")
    check_text("name", name)
    made = PackedSentence(name=name, tokens=tokens, target_tokens=target, attentions={})
    for kind in (kind for kind in KINDS if kind in kinds):
        weights = _checked_weights(kind, kinds[kind], *map(len, sides(made)[kind]))
        layers, heads = weights.shape[:2]
        made["attentions"][kind] = {"layers": layers, "heads": heads, "weights": pack(weights)}
    return made
