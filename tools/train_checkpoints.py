"""Train the small models that ship with the package, on the training split only.

python tools/train_checkpoints.py t5                  # writes plm_lessons/checkpoints/t5

About every minute everything that training needs to go on is saved in a scratch folder. If it is interrupted, the same
command goes on there, and comes to the same weights as if it had never stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import Tensor
from torch.optim import Optimizer
from tqdm.auto import tqdm

import plm_lessons
from plm_lessons import T5Config, T5ForConditionalGeneration
from plm_lessons.corpus import documents
from plm_lessons.files import write_atomically
from plm_lessons.objectives.mixing import mixing_rates
from plm_lessons.objectives.text_to_text import TASKS
from plm_lessons.tokenization import TOKENIZERS, load_tokenizer
from plm_lessons.training.large_batches import Batch, accumulate_gradients
from plm_lessons.training.optimization import adafactor, best_device
from plm_lessons.training.t5_batches import Examples, SpanExamples, TaskExamples, batches_in_order, t5_batches
from plm_lessons.training.t5_evaluation import commonest_answer, evaluate_targets, task_figures, write_texts

CHECKPOINTS = Path(plm_lessons.__file__).parent / "checkpoints"
LOG_EVERY = 20  # steps
Model = T5ForConditionalGeneration


@dataclass(frozen=True)
class Recipe:
    """How a T5 is trained.

    Attributes:
        steps: Updates of the weights.
        continued_steps: So many of them, at the end, have the share `continued_span_share` of span corruption.
        span_share: The share of the rows that are span corruption before that; the rest are tasks.
        task_limit: K of `mixing_rates`.
        batch_size: Rows of a step.
        learning_rate: The largest: see `adafactor`.
        cooldown_steps: Over so many steps, at the end, it falls linearly to 0.
        inputs_length: Tokens of an input of span corruption.
        seed: Fixes the first weights, what is drawn, and dropout.
    """

    steps: int = 3600
    continued_steps: int = 1200
    span_share: float = 0.5
    continued_span_share: float = 0.25
    task_limit: int = 8192
    batch_size: int = 64
    inputs_length: int = 64
    learning_rate: float = 0.02
    cooldown_steps: int = 1600
    seed: int = 0
    d_model: int = 128
    d_kv: int = 32
    d_ff: int = 512
    num_layers: int = 3
    num_heads: int = 4
    dropout_rate: float = 0.1

    def config(self, tokenizer: Tokenizer) -> T5Config:
        """The shape of the model."""
        names = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "dropout_rate")
        return T5Config(vocab_size=tokenizer.get_vocab_size(), **{name: getattr(self, name) for name in names})


def span_examples(tokenizer: Tokenizer, split: str, inputs_length: int) -> SpanExamples:
    """All articles and addresses of a split, in a fixed random order, one after the other."""
    texts = [document.text for document in documents("all", split)]
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    ids = tokenizer.encode_batch_fast([texts[place] for place in order], add_special_tokens=False)
    return SpanExamples([encoding.ids for encoding in ids], tokenizer, inputs_length)


def batches(recipe: Recipe, tokenizer: Tokenizer, start: int) -> Iterator[Batch]:
    """The batches of all steps from `start` on: first mostly span corruption, then mostly tasks."""
    tasks = [TaskExamples(task.examples("train"), tokenizer) for task in TASKS.values()]
    sources: list[Examples] = [span_examples(tokenizer, "train", recipe.inputs_length), *tasks]
    of_tasks = mixing_rates([len(task) for task in tasks], limit=recipe.task_limit)
    change = recipe.steps - recipe.continued_steps
    for share, first, last in (
        (recipe.span_share, start, change),
        (recipe.continued_span_share, max(start, change), recipe.steps),
    ):
        if first < last:
            rates = [share, *((1 - share) * rate for rate in of_tasks)]
            settings = {"batch_size": recipe.batch_size, "seed": recipe.seed, "start": first}
            yield from islice(t5_batches(sources, rates, tokenizer, **settings), last - first)


# --- Going on after an interruption ----------------------------------------------------------------------------------


def save_state(
    path: Path, step: int, recipe: Recipe, log: list[dict[str, float]], model: Model, optimizer: Optimizer
) -> None:
    """Weights, the optimiser's state and the log so far, in one file that is whole at any time."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
    about = {"step": str(step), "recipe": json.dumps(asdict(recipe)), "log": json.dumps(log)}
    write_atomically(path, save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, about))


def load_state(path: Path, recipe: Recipe, model: Model, optimizer: Optimizer) -> tuple[int, list[dict[str, float]]]:
    """Put weights and the optimiser's state where they were; the steps that are done, and their log.

    Raises:
        ValueError: The file belongs to another recipe.
    """
    with safe_open(path, "pt") as file:
        about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if json.loads(about["recipe"]) != asdict(recipe):
        raise ValueError(f"{path} belongs to training with other settings: finish that, or name another --scratch")
    model.load_state_dict(
        {name.removeprefix("model."): value for name, value in tensors.items() if name[:5] == "model"}
    )
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, field = name.split(".")
            states.setdefault(int(number), {})[field] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": states})
    return int(about["step"]), json.loads(about["log"])


def train(
    recipe: Recipe, tokenizer: Tokenizer, scratch: Path, stop_after: int | None = None, save_every: float = 60.0
) -> tuple[Model, list[dict[str, float]]]:
    """Train, or go on with what lies in `scratch`.

    Args:
        recipe: What to do.
        tokenizer: T5's.
        scratch: Where the state is saved.
        stop_after: Save and stop at this step, as if interrupted.
        save_every: Seconds between two savings.

    Returns:
        The model and the log: for every 20th step its number, the mean loss since the last entry, and the learning
        rate; for some also `held_out_span_loss`.
    """
    device = best_device()
    model = Model(recipe.config(tokenizer), torch.Generator().manual_seed(recipe.seed)).to(device)
    optimizer = adafactor(model, recipe.learning_rate)
    state, done = scratch / "state.safetensors", 0
    log: list[dict[str, float]] = []
    if state.is_file():
        done, log = load_state(state, recipe, model, optimizer)
        print(f"going on after step {done}", file=sys.stderr)
    held_out = span_examples(tokenizer, "held_out", recipe.inputs_length)
    some_held_out = list(islice(batches_in_order(held_out, tokenizer, batch_size=64), 8))
    last = min(recipe.steps, stop_after or recipe.steps)
    losses: list[float] = []
    saved = time.monotonic()
    progress = tqdm(total=recipe.steps, initial=done, unit="step", mininterval=10, disable=None)
    for step, batch in enumerate(batches(recipe, tokenizer, done), done + 1):
        if step > last:
            break
        torch.manual_seed(recipe.seed * 2**32 + step)  # of dropout: a step's own, whatever came before
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (recipe.steps - step + 1) / recipe.cooldown_steps)
        model.train()
        losses.append(accumulate_gradients(model, [batch])["loss"])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        progress.update()
        if step % LOG_EVERY == 0:
            log.append({"step": step, "loss": round(sum(losses) / len(losses), 4)})
            log[-1]["learning_rate"] = round(optimizer.param_groups[0]["lr"], 7)
            losses = []
            if step % (20 * LOG_EVERY) == 0 or step == recipe.steps:
                log[-1]["held_out_span_loss"] = round(evaluate_targets(model, some_held_out)["loss"], 4)
            # Only here, where no loss waits for its entry in the log.
            if time.monotonic() - saved > save_every and step < last:
                save_state(state, step, recipe, log, model, optimizer)
                saved = time.monotonic()
    save_state(state, last, recipe, log, model, optimizer)
    progress.close()
    return model.eval(), log


# --- What comes out --------------------------------------------------------------------------------------------------


def held_out_figures(model: Model, tokenizer: Tokenizer, inputs_length: int, most: int = 1000) -> dict[str, dict]:
    """Figures on the held-out split: of span corruption, and for each task beside the commonest answer's.

    Args:
        most: Of a task with more examples, so many are taken at random.
    """
    spans = batches_in_order(span_examples(tokenizer, "held_out", inputs_length), tokenizer, batch_size=64)
    figures: dict[str, dict] = {"span corruption": {"model": evaluate_targets(model, spans)}}
    for name, task in TASKS.items():
        examples = task.examples("held_out")
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0)).tolist()
        examples = [examples[place] for place in order[:most]]
        targets = [example.target for example in examples]
        written = write_texts(model, tokenizer, [example.source for example in examples])
        baseline = [commonest_answer(task.examples("train"))] * len(targets)
        figures[name] = {
            "examples": len(examples),
            "model": task_figures(task, written, targets),
            "commonest answer": task_figures(task, baseline, targets),
        }
    return figures


def model_card(recipe: Recipe, model: Model, figures: dict[str, dict], command: str) -> str:
    """README.md of the checkpoint."""
    rows = []
    for name, found in figures.items():
        for figure, value in found["model"].items():
            beside = found.get("commonest answer", {}).get(figure)
            rows.append(f"| {name} | {figure} | {value:,.4g} | {'' if beside is None else f'{beside:,.4g}'} |")
    table = "\n".join(rows)
    counts = ", ".join(f"{name} {found['examples']:,}" for name, found in figures.items() if "examples" in found)
    change = recipe.steps - recipe.continued_steps
    layers = f"{recipe.num_layers} + {recipe.num_layers} layers"
    return f"""# A tiny T5

A T5 of {model.num_parameters():,} parameters (d_model {recipe.d_model}, {layers}, {recipe.num_heads} heads)
of the first version (ReLU, tied embeddings), made for the T5 chapter of the book. It shows how one model does several
tasks as text to text; it is far too small to be of use otherwise.

* **Text.** The training split of what ships with the package: openings of English Wikipedia articles (CC BY-SA 4.0),
  State of the Union addresses (public domain), sentences of film reviews (Rotten Tomatoes, CC BY 4.0). See
  `../../data`.
* **Tokenizer.** `../../data/tokenizers/t5_unigram`, 8,192 pieces with 100 sentinels; the same file lies here.
* **Training.** Span corruption (15% noise, mean span 3, inputs of {recipe.inputs_length} tokens) and the five tasks of
  `plm_lessons.objectives.text_to_text` in one mixture, as in T5's multi-task pre-training. Of {recipe.steps:,} steps of
  {recipe.batch_size} rows the first {change:,} take {recipe.span_share:.0%} of their rows from span corruption,
  the rest {recipe.continued_span_share:.0%}; the tasks share what remains by their sizes, limited to
  {recipe.task_limit:,}. AdaFactor with the learning rate min({recipe.learning_rate:g}, 1 / sqrt(n)) in step n,
  falling to 0 in the last {recipe.cooldown_steps:,}; dropout {recipe.dropout_rate:g}; seed {recipe.seed}. The losses
  are in `training_log.jsonl`.
* **Command.** `{command}`: about half an hour on one core.
  On another processor the weights will differ in their last digits, and so, after thousands of steps, will the figures
  a little.

On the held-out split, written greedily; beside it what always writing the commonest answer reaches. `loss` and
`accuracy` of span corruption are per token of the targets.
Examples: {counts}.

| task | figure | model | commonest answer |
|:--|:--|--:|--:|
{table}

**Limits.** It writes fluent nonsense. It has read little more than three million tokens, most of them speeches of
presidents, the rest first sentences of encyclopedia articles, and has their views and gaps. The sentiment sentences are
from film critics alone. It knows English only.

**Licence.** Weights trained on the text above. As far as they are derived from Wikipedia's text, they are under the
same licence, CC BY-SA 4.0, with the same attribution.
"""


def main(arguments: list[str] | None = None) -> int:
    """Train the model named, or go on with it, and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["t5"], metavar="NAME", help="t5")
    parser.add_argument("--out", type=Path, default=CHECKPOINTS / "t5", help="folder of the checkpoint")
    parser.add_argument("--log", type=Path, help="log of the losses; by default training_log.jsonl in that folder")
    parser.add_argument("--scratch", type=Path, default=Path("build/checkpoints/t5"), help="what training goes on with")
    parser.add_argument("--steps", type=int, help=f"by default {Recipe.steps}; a third of them are the continued ones")
    chosen = parser.parse_args(arguments)
    recipe = Recipe()
    if chosen.steps is not None:
        recipe = Recipe(steps=chosen.steps, continued_steps=chosen.steps // 3, cooldown_steps=chosen.steps // 2)
    tokenizer = load_tokenizer("t5_unigram")
    model, log = train(recipe, tokenizer, chosen.scratch)

    model.save_pretrained(chosen.out)
    shutil.copyfile(TOKENIZERS / "t5_unigram" / "tokenizer.json", chosen.out / "tokenizer.json")
    lines = "".join(json.dumps(entry) + "\n" for entry in log)
    write_atomically(chosen.log or chosen.out / "training_log.jsonl", lines.encode("utf-8"))
    figures = held_out_figures(model, tokenizer, recipe.inputs_length)
    command = "python tools/train_checkpoints.py t5" + (f" --steps {chosen.steps}" if chosen.steps else "")
    write_atomically(chosen.out / "README.md", model_card(recipe, model, figures, command).encode("utf-8"))
    for name, found in figures.items():
        print(name, json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
