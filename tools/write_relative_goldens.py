"""Write `tests/golden/relative_key.*`: what transformers 4.44.2 computes with relative positions.

Version 5 of transformers has neither `relative_key` nor `relative_key_query`, so the reference must be an old one, in
an environment of its own:

    python3.11 -m venv old
    old/bin/pip install torch==2.13.0 transformers==4.44.2
    old/bin/python tools/write_relative_goldens.py

Two tiny models with random weights, one of each type; everything is computed in float64, so that it can judge float32.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
TYPES = ("relative_key", "relative_key_query")
SHAPE: dict[str, Any] = {
    "vocab_size": 23,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 9,
    "hidden_act": "gelu",
}


def inputs(generator: torch.Generator) -> dict[str, Tensor]:
    """Return two sequences of 7 tokens, one of them with padding, and labels for both tasks."""
    ids = torch.randint(1, SHAPE["vocab_size"], (2, 7), generator=generator)
    attention_mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    labels = torch.full_like(ids, -100)
    labels[0, [1, 5]], labels[1, 2] = torch.tensor([4, 17]), torch.tensor(8)
    return {
        "input_ids": ids * attention_mask,
        "attention_mask": attention_mask,
        "token_type_ids": torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]]),
        "labels": labels,
        "next_sentence_label": torch.tensor([0, 1]),
    }


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Draw large weights, biases and gains, so that no term is too small to matter."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.3 * noise if name.endswith("LayerNorm.weight") else 0.4 * noise)


def results(kind: str) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return the tensors of one type, and the `config.json` that version 4 writes for it."""
    generator = torch.Generator().manual_seed(TYPES.index(kind))
    options: dict[str, Any] = {"position_embedding_type": kind, "attn_implementation": "eager"}
    config = transformers.BertConfig(**SHAPE, **options)
    model = transformers.BertForPreTraining(config).eval()
    randomise(model, generator)
    batch = inputs(generator)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        weights = load_file(Path(folder) / "model.safetensors")
        written = json.loads((Path(folder) / "config.json").read_text(encoding="utf8"))

    model.double()
    output = model(**batch, output_hidden_states=True, output_attentions=True)
    output.loss.backward()
    tensors = {f"weights/{name}": value for name, value in weights.items()}
    tensors |= {f"inputs/{name}": value for name, value in batch.items()}
    tensors |= {f"hidden_states/{number}": value for number, value in enumerate(output.hidden_states)}
    tensors |= {f"attentions/{number}": value for number, value in enumerate(output.attentions)}
    for name in ("loss", "prediction_logits", "seq_relationship_logits"):
        tensors[f"outputs/{name}"] = getattr(output, name)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:  # the table of absolute positions is there, but not used
            tensors[f"gradients/{name}"] = parameter.grad
    return {f"{kind}/{name}": value.detach().contiguous() for name, value in tensors.items()}, written


def main() -> None:
    """Write both files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if transformers.__version__ != "4.44.2":
        sys.exit(f"transformers {transformers.__version__} is installed: this needs 4.44.2, see the top of this file")
    tensors: dict[str, Tensor] = {}
    configs: dict[str, object] = {}
    for kind in TYPES:
        found, configs[kind] = results(kind)
        tensors |= found
    GOLDEN.mkdir(exist_ok=True)
    save_file(tensors, GOLDEN / "relative_key.safetensors")
    described = {
        "made_by": "tools/write_relative_goldens.py",
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "config": configs,
    }
    text = json.dumps(described, indent=2, sort_keys=True) + "\n"
    (GOLDEN / "relative_key.json").write_text(text, encoding="utf8")


if __name__ == "__main__":
    main()
