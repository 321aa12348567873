"""How well a T5 model does: on the tokens of its targets, and on the texts that it writes.

Letters: B batch, S source length, T target length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from rapidfuzz.distance import Indel
from tokenizers import Tokenizer

from plm_lessons.checks import check_text, check_whole, each_text
from plm_lessons.models.pretrained import evaluation_mode
from plm_lessons.models.t5 import T5ForConditionalGeneration
from plm_lessons.objectives.padding import pad_rows
from plm_lessons.objectives.text_to_text import Task, TextPair
from plm_lessons.tokenization import token_id
from plm_lessons.training.inference import check_fits
from plm_lessons.training.large_batches import Batch


def evaluate_targets(model: T5ForConditionalGeneration, batches: Iterable[Batch]) -> dict[str, float]:
    """Measure how well each token of the targets is predicted given all tokens before it (teacher forcing).

    Returns:
        `loss` in nats and `accuracy`, means over all tokens of the targets, and `tokens`, the number of these tokens.

    Raises:
        ValueError: There is no token to predict.
    """
    loss = hits = tokens = 0.0
    for batch in batches:
        inputs = {name: value.to(model.device) for name, value in batch.items()}
        if "labels" not in inputs:
            raise ValueError(f"batches: must have labels, but this one has {', '.join(inputs)}")
        asked = inputs["labels"] != -100
        with evaluation_mode(model):
            logits, truth = model(**inputs).logits[asked].float(), inputs["labels"][asked].long()
        loss += torch.nn.functional.cross_entropy(logits, truth, reduction="sum").item()
        hits += (logits.argmax(-1) == truth).sum().item()
        tokens += len(truth)
    if not tokens:
        raise ValueError("batches: must hold something to predict")
    return {"loss": loss / tokens, "accuracy": hits / tokens, "tokens": tokens}


def write_texts(
    model: T5ForConditionalGeneration,
    tokenizer: Tokenizer,
    sources: Sequence[str],
    *,
    max_new_tokens: int = 40,
    batch_size: int = 64,
    num_beams: int = 1,
    length_penalty: float = 1.0,
) -> list[str]:
    """Return what the model writes for each source text (which includes its task's prefix).

    Args:
        max_new_tokens, num_beams, length_penalty: As for `generate`.

    Raises:
        ValueError: The tokenizer does not fit the model, or an argument is impossible.
    """
    check_fits(tokenizer, model)
    check_whole("batch_size", batch_size, least=1)
    sources = list(each_text("sources", sources))
    padding, texts = token_id(tokenizer, "<pad>"), []
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(sources)]
    for start in range(0, len(encoded), batch_size):
        ids, mask = pad_rows("sources", encoded[start : start + batch_size], padding)
        written = model.generate(
            ids.to(model.device),
            mask.to(model.device),
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            length_penalty=length_penalty,
        )
        texts += tokenizer.decode_batch(written.tolist(), skip_special_tokens=True)
    return texts


def rouge_l(written: str, target: str) -> float:
    """Compute ROUGE-L (Lin 2004): how much two texts share in order, from 0 to 1, ignoring case and punctuation.

    It is the F1 score of the longest common subsequence of words, 2 * longest / (words of one + words of the other).
    """
    check_text("written", written)
    check_text("target", target)
    one, other = (["".join(filter(str.isalnum, word)) for word in text.lower().split()] for text in (written, target))
    return Indel.normalized_similarity([word for word in one if word], [word for word in other if word])


def task_figures(task: Task, written: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """Compute the figures of a task over its examples.

    Returns:
        `rouge_l` if the task allows any text. Otherwise `valid`, the share of texts that are among the task's answers,
        and `accuracy`. If the answers are numbers, also `mean_error`, the mean distance, and `correlation` (Pearson's,
        where it is defined), both over the valid texts.

    Raises:
        ValueError: The numbers of texts and targets differ, or there are none.
    """
    if len(written) != len(targets) or not targets:
        raise ValueError(f"written has {len(written)} texts, targets {len(targets)}: must be equal, and at least 1")
    pairs = list(zip(written, targets, strict=True))
    if task.answers is None:
        return {"rouge_l": float(np.mean([rouge_l(text, target) for text, target in pairs]))}
    valid = [(text, target) for text, target in pairs if text in task.answers]
    figures = {"valid": len(valid) / len(pairs), "accuracy": sum(text == target for text, target in pairs) / len(pairs)}
    if all(answer.isdecimal() for answer in task.answers) and valid:
        numbers = np.array([[int(text), int(target)] for text, target in valid]).T
        figures["mean_error"] = float(np.abs(numbers[0] - numbers[1]).mean())
        if numbers.std(axis=1).all():
            figures["correlation"] = float(np.corrcoef(numbers)[0, 1])
    return figures


def commonest_answer(train: Sequence[TextPair]) -> str:
    """Return the most frequent target: what a model writes that has learnt nothing else."""
    if not train:
        raise ValueError("train: must hold at least one pair")
    return Counter(pair.target for pair in train).most_common(1)[0][0]
