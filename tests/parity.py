"""How models are compared with those of `transformers` that have the same weights: outputs, losses and gradients.

They agree within 1e-5 in float32, and within 1e-10 in float64, which only the same mathematics can do. Hypothesis draws
the configurations and the inputs.
"""

from __future__ import annotations

import dataclasses
import tempfile
from typing import Any

import torch
import transformers
from hypothesis import Phase, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import plm_lessons
from plm_lessons.models.outputs import ModelOutput

transformers.utils.logging.disable_progress_bar()

BOUND = {torch.float32: 1e-5, torch.float64: 1e-10}

# A failing example is already small: making it smaller would take minutes.
thorough = settings(deadline=None, max_examples=20, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@st.composite
def batches(draw: st.DrawFn, config: Any, class_name: str, longest: int) -> dict[str, Tensor]:
    """Arguments for an encoder: ids, perhaps segments, perhaps padding (on the left, right or anywhere), labels.

    Which labels there are follows from the end of the class's name: "ForMaskedLM" and so on.
    """
    rows, length = draw(st.integers(1, 4)), draw(st.integers(2, longest))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))

    def whole(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    batch = {"input_ids": whole(config.vocab_size, rows, length)}
    if draw(st.booleans()):
        batch["token_type_ids"] = whole(config.type_vocab_size, rows, length)
    padding = draw(st.sampled_from(["none", "behind", "in front", "anywhere"]))
    kept = torch.arange(length) < 1 + whole(length, rows, 1)
    if padding == "anywhere":
        kept = whole(2, rows, length).bool()
        kept[torch.arange(rows), whole(length, rows)] = True
    if padding != "none":
        batch["attention_mask"] = (kept.flip(1) if padding == "in front" else kept).long()

    if class_name.endswith(("ForPreTraining", "ForMaskedLM", "ForTokenClassification")):
        classes = config.num_labels if class_name.endswith("ForTokenClassification") else config.vocab_size
        labels = whole(classes, rows, length)
        labels[whole(3, rows, length) > 0] = -100
        labels[0, 1] = 0  # at least one
        batch["labels"] = labels
    if class_name.endswith("ForPreTraining"):
        batch["sentence_order_label" if class_name.startswith("Albert") else "next_sentence_label"] = whole(2, rows)
    if class_name.endswith("ForQuestionAnswering"):
        batch |= {"start_positions": whole(length, rows), "end_positions": whole(length, rows)}
    if class_name.endswith("ForSequenceClassification"):
        if config.num_labels == 1:  # regression
            batch["labels"] = torch.randn(rows, generator=generator)
        elif draw(st.booleans()):  # one class of several
            batch["labels"] = whole(config.num_labels, rows)
        else:  # several at once
            batch["labels"] = whole(2, rows, config.num_labels).float()
    return batch


def randomise(model: nn.Module, seed: int) -> None:
    """Draw weights so large that a missing term would show, but not so large that rounding errors blow up."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 2:
                noise = 0.15 * noise
            elif "norm" in name.lower() and name.endswith("weight"):
                noise = 1 + 0.3 * noise
            else:
                noise = 0.3 * noise
            parameter.copy_(noise)


def model_pair(
    class_name: str,
    config: Any,
    reference_config: Any,
    seed: int = 0,
    from_here: bool = False,
    attention: str = "eager",
) -> tuple[Any, Any]:
    """Our model and theirs, with the same random weights, handed over through a folder that one of the two wrote.

    Args:
        config, reference_config: The same configuration, ours and that of `transformers`.
        from_here: Whether we write the folder and they read it.
    """
    ours_class, theirs_class = getattr(plm_lessons, class_name), getattr(transformers, class_name)
    with tempfile.TemporaryDirectory() as folder:
        if from_here:
            ours = ours_class(config).eval()
            randomise(ours, seed)
            ours.save_pretrained(folder)
            theirs = theirs_class.from_pretrained(folder, attn_implementation=attention).eval()
        else:
            reference_config._attn_implementation = attention
            theirs = theirs_class(reference_config).eval()
            randomise(theirs, seed)
            theirs.save_pretrained(folder)
            ours = ours_class.from_pretrained(folder)
    return ours, theirs


def outputs_of(result: Any) -> dict[str, Tensor]:
    """All that a model returned, by name."""
    found: dict[str, Tensor] = {}
    for name in (field.name for field in dataclasses.fields(ModelOutput)):
        value = getattr(result, name, None)
        if isinstance(value, tuple):
            found |= {f"{name}[{number}]": part for number, part in enumerate(value)}
        elif value is not None:
            found[name] = value
    return found


def gradients_of(model: Any, result: Any, names: Any = str) -> dict[str, Tensor]:
    """Backpropagate the loss (or, without one, a sum that weighs every number differently)."""
    loss = getattr(result, "loss", None)
    if loss is None:
        parts = [result.last_hidden_state, result.pooler_output]
        loss = torch.stack(
            [(part * torch.arange(part.numel()).reshape(part.shape).cos()).sum() for part in parts]
        ).sum()
    model.zero_grad()
    loss.backward()
    return {names(name): parameter.grad for name, parameter in model.named_parameters()}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor], bound: float, scale: float = 1.0) -> None:
    """Check that we have all of their names, and that no two numbers differ by more than `bound * scale`."""
    assert ours.keys() >= theirs.keys()
    for name in theirs:
        assert ours[name].shape == theirs[name].shape, name
        difference = (ours[name] - theirs[name]).abs().max().item()
        assert difference <= bound * scale, f"{name}: {difference:.2e}, allowed {bound * scale:.2e}"


def assert_parity(ours: Any, theirs: Any, batch: dict[str, Tensor], reference_batch: dict[str, Tensor]) -> None:
    for dtype, bound in BOUND.items():
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        more: dict[str, Any] = {"output_hidden_states": True, "output_attentions": True}

        def as_type(batch: dict[str, Tensor], dtype: torch.dtype = dtype) -> dict[str, Tensor]:
            return {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.items()}

        result, expected = ours(**as_type(batch), **more), theirs(**as_type(reference_batch), **more)
        assert_equal(outputs_of(result), outputs_of(expected), bound)
        gradients = gradients_of(theirs, expected)
        largest = max(gradient.abs().max().item() for gradient in gradients.values())
        assert_equal(gradients_of(ours, result, ours.checkpoint_name), gradients, bound, max(1.0, largest))
