"""Tokenise and mask, train, and measure the loss: causal and sequence-to-sequence models alike.

Everything here works on plain transformers or peft models and plain tensors. The pieces, in order:
:func:`encode` → :func:`make_batches` → :func:`collate` → :func:`answer_loss` → :func:`train`.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch
from torch.nn import functional as F

from .models import LLM
from .settings import SHAPE_STEP, CourseError, bfloat16_pays, current

IGNORED = -100  # torch's cross_entropy skips this label


@dataclass(frozen=True)
class Example:
    """Token ids and labels of one prompt with its answer.

    Decoder-only: both have the length of prompt + answer, the prompt's labels are −100.
    Encoder-decoder: ``ids`` is the prompt, ``labels`` the answer.
    """

    ids: list[int]
    labels: list[int]

    @property
    def answer_tokens(self) -> int:
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True)
class Recipe:
    """How to train: every choice in one place. Learning rate: peak, after a linear warm-up."""

    learning_rate: float
    epochs: int = 1
    batch_size: int = 8
    tokens_at_once: int = 600  # of a batch, padded to its longest row; fewer: same gradient, less memory
    warmup_share: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    seed: int = 0
    save_every: int = 20  # steps between checkpoints


@dataclass(frozen=True)
class Step:
    """One update: mean loss in nats a token (before it), learning rate, gradient norm, seconds."""

    step: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int  # all tokens read, prompts included, padding not
    seconds: float  # since the start, resumed parts included
    memory: int = 0  # bytes this update needed beyond what was in use before training


# ---------------------------------------------------------------- tokenise and mask


def encode_pair(llm: LLM, prompt: str, answer: str) -> Example:
    """Token ids of a prompt and its answer; the answer ends with the end-of-sequence token.

    ``prompt`` is the text as the model sees it (see :meth:`LLM.chat`). Prompt and answer are
    tokenised apart, as they are when the model generates.
    """
    tokenizer = llm.tokenizer
    prompt_ids = llm.encode(prompt)
    answer_ids = tokenizer(answer.strip(), add_special_tokens=False)["input_ids"]
    answer_ids = [*answer_ids, tokenizer.eos_token_id]
    if llm.family == "encoder-decoder":
        return Example(prompt_ids, answer_ids)
    return Example([*prompt_ids, *answer_ids], [IGNORED] * len(prompt_ids) + answer_ids)


def encode(
    llm: LLM, prompts: Sequence[str], answers: Sequence[str], max_length: int | None = 1024
) -> list[Example]:
    """Examples for training. One longer than ``max_length`` tokens is left out and counted aloud:
    cutting it would cut the end off, which is the answer.

    Raises
    ------
    CourseError
        for no examples, or if all of them are too long.
    """
    if not prompts or len(prompts) != len(answers):
        raise CourseError(
            f"Training needs one answer a prompt and at least one; got {len(prompts)} prompts and "
            f"{len(answers)} answers."
        )
    limit = min(x for x in (max_length, llm.context, 10**9) if x)
    pairs = zip(prompts, answers)
    examples = [encode_pair(llm, prompt, answer) for prompt, answer in pairs]
    kept = [e for e in examples if max(len(e.ids), len(e.labels)) <= limit]
    if not kept:
        raise CourseError(
            f"All {len(examples)} examples are longer than {limit} tokens; raise max_length (the "
            f"model's context is {llm.context}) or use shorter texts."
        )
    if len(kept) < len(examples):
        print(f"left out {len(examples) - len(kept)} of {len(examples)} examples: over {limit} tokens")
    return kept


def make_batches(examples: Sequence[Example], batch_size: int, seed: int) -> list[list[int]]:
    """Indices of examples by batch: similar lengths together, batches in random order.

    Each example occurs once. Sorting by length saves padding; a random key among similar lengths
    and a random order of batches keep the epoch random.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = (torch.rand(len(examples), generator=generator) * 16).tolist()
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids) + noise[i])
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]


def in_parts(rows: Sequence[Example], tokens: int) -> list[list[Example]]:
    """Neighbouring rows together, as many as fit into so many tokens with their padding; one at least."""
    parts: list[list[Example]] = []
    longest = 0
    for row in rows:
        length = max(len(row.ids), len(row.labels))
        longest = max(longest, length)
        if parts and longest * (len(parts[-1]) + 1) <= tokens:
            parts[-1].append(row)
        else:
            parts.append([row])
            longest = length
    return parts


def collate(
    examples: Sequence[Example], pad_id: int, device="cpu", multiple: int = 1
) -> dict[str, torch.Tensor]:
    """``input_ids, attention_mask`` [rows, longest] and ``labels``, padded on the right.

    ``multiple`` rounds the longest row up: see :data:`course_utils.settings.SHAPE_STEP`.

    The mask comes from lengths, not from ``ids != pad``: the pad token may be the end token, which
    the model must learn. Padded labels are −100.
    """

    def pad(rows, value):
        longest = -(-max(map(len, rows)) // multiple) * multiple
        return torch.tensor([r + [value] * (longest - len(r)) for r in rows], device=device)

    ids = [e.ids for e in examples]
    return {
        "input_ids": pad(ids, pad_id),
        "attention_mask": pad([[1] * len(r) for r in ids], 0),
        "labels": pad([e.labels for e in examples], IGNORED),
    }


# ---------------------------------------------------------------- loss


def answer_log_probs(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log p of each answer token, one after the other, shape [answer tokens of the batch].

    For a decoder-only model the output layer, 49,152 words wide, is applied only where an answer
    token is predicted: at the position before it.
    """
    if model.config.is_encoder_decoder:
        logits = model(**batch).logits
        wanted = batch["labels"] != IGNORED
        return _chosen(logits[wanted], batch["labels"][wanted])
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder, head = plain.get_decoder(), plain.get_output_embeddings()
    inputs = {k: v for k, v in batch.items() if k != "labels"}
    hidden = decoder(**inputs, use_cache=False).last_hidden_state
    following = batch["labels"][:, 1:]
    wanted = following != IGNORED
    return _chosen(head(hidden[:, :-1][wanted]), following[wanted])


def _chosen(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return -F.cross_entropy(logits.float(), labels, reduction="none")


def answer_loss(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean negative log-probability of the batch's answer tokens, nats: ``model(**batch).loss``."""
    return -answer_log_probs(model, batch).mean()


@torch.no_grad()
def nll(llm: LLM, examples: Sequence[Example], batch_size: int = 8) -> list[float]:
    """Mean negative log-probability of each example's answer, nats a token, in the given order.

    The model is measured in evaluation mode (no dropout) and given back in the mode it was in.
    """
    result = [0.0] * len(examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    with evaluating(llm.model):
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            rows = [examples[i] for i in chosen]
            batch = collate(rows, llm.tokenizer.pad_token_id, llm.model.device, SHAPE_STEP)
            sizes = [_count_predicted(llm.model, e) for e in rows]
            parts = answer_log_probs(llm.model, batch).split(sizes)
            for i, part in zip(chosen, parts):
                result[i] = -part.mean().item()
    return result


def encode_text(llm: LLM, texts: Sequence[str], max_length: int = 256) -> list[Example]:
    """Plain texts as examples in which every token is predicted from those before it.

    For an encoder-decoder model the first half is the prompt and the second half the answer.

    Raises
    ------
    CourseError
        for a text of fewer than two tokens.
    """
    examples = []
    for text in texts:
        ids = llm.tokenizer(text, add_special_tokens=False)["input_ids"][:max_length]
        if len(ids) < 2:
            raise CourseError(f"In the text {text!r} there is no token to predict; leave it out.")
        half = len(ids) // 2
        seq2seq = llm.family == "encoder-decoder"
        examples.append(Example(ids[:half], ids[half:]) if seq2seq else Example(ids, ids))
    return examples


@contextmanager
def evaluating(model):
    """Evaluation mode inside, the former mode after."""
    training = model.training
    model.eval()
    try:
        yield model
    finally:
        model.train(training)


# ---------------------------------------------------------------- train


def mixed_precision(device: str | None = None):
    """A context for the forward pass: bfloat16 arithmetic where the processor gains by it, else fp32.

    ``device`` is where the model is (default: the device of the settings). Weights, gradients and
    optimiser stay in fp32: a bfloat16 weight has 8 significant bits, and an update of 1e-5 of its
    size would be rounded away.
    """
    kind = torch.device(device or current().device).type
    if kind == "cuda":  # older GPUs only imitate it
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = kind == "cpu" and bfloat16_pays()
    return torch.autocast(kind, dtype=torch.bfloat16) if fast else nullcontext()


def schedule(step: int, steps: int, recipe: Recipe) -> float:
    """Learning rate of an update: linear warm-up to the peak, then linear decay towards 0."""
    warmup = max(1, round(recipe.warmup_share * steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * (steps - step) / max(1, steps - warmup)


def train(
    llm: LLM,
    examples: Sequence[Example],
    recipe: Recipe,
    folder: Path | str | None = None,
    on_step: Callable[[Step, int], None] | None = None,
) -> list[Step]:
    """Update the model's trainable weights in place and return the log; the model ends in eval mode.

    Weights are trained in fp32: a model with trainable weights in half precision is cast first. A
    frozen base may stay in half precision beside an adapter, whose weights peft keeps in fp32.

    Parameters
    ----------
    folder : where to keep a checkpoint. Called again with the same model, data and recipe after an
        interruption, training goes on from there, with the same result as without one; a finished
        run is read and not repeated. Delete the folder to train afresh.
    on_step : called with each :class:`Step` and the number of steps, for a bar or a plot.

    Raises
    ------
    CourseError
        if the loss diverges (the last good weights are put back), or memory runs out.
    """
    model, pad = llm.model, llm.tokenizer.pad_token_id
    device = str(model.device)
    if not examples:
        raise CourseError("There is nothing to train on: the list of examples is empty.")
    plan = [
        batch
        for epoch in range(recipe.epochs)
        for batch in make_batches(examples, recipe.batch_size, recipe.seed * 1000 + epoch)
    ]
    if any(p.requires_grad and p.dtype in (torch.bfloat16, torch.float16) for p in model.parameters()):
        model.float()  # in place: the parameters stay the same objects
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not weights:
        raise CourseError("No weight of the model is trainable; load its adapter with is_trainable=True.")
    optimizer = torch.optim.AdamW(
        weights.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay,
        fused=torch.device(device).type == "cpu",  # one pass over the weights, no temporary copies
    )  # fmt: skip
    data = [[e.ids, e.labels] for e in examples]
    checkpoint = Checkpoint(folder, [llm.name, asdict(recipe), data], weights, optimizer)
    log = checkpoint.load()
    if len(log) == len(plan):  # a finished run was read
        if on_step:
            on_step(log[-1], len(plan))
        model.eval()
        return log
    if not log:
        checkpoint.keep(log)
    before = log[-1].seconds if log else 0.0
    at_rest = memory_in_use(device, release=True)
    start = time.monotonic()
    model.train()
    try:
        for number in range(len(log), len(plan)):
            rows = [examples[i] for i in plan[number]]
            rate = schedule(number, len(plan), recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(recipe.seed * 100_003 + number)  # dropout, the same when resumed
                loss, used = _accumulate(model, rows, recipe, pad, device)
            norm = torch.nn.utils.clip_grad_norm_(weights.values(), recipe.max_grad_norm)
            _stop_if_diverged(loss, norm.item(), log, checkpoint, recipe)
            if number and number % recipe.save_every == 0:  # weights whose loss is known to be good
                saving = time.monotonic()
                checkpoint.keep(log)
                start += time.monotonic() - saving  # full fine-tuning writes 1.6 GB, an adapter 60 MB
            optimizer.step()
            used = max(used, memory_in_use(device)) - at_rest
            optimizer.zero_grad(set_to_none=True)
            if number % 10 == 9:  # at each step it would take a fifth of the time
                memory_in_use(device, release=True)
            seconds = before + time.monotonic() - start
            tokens = sum(len(e.ids) for e in rows)
            log.append(Step(number, loss, rate, norm.item(), tokens, seconds, used))
            if on_step:
                on_step(log[-1], len(plan))
    except RuntimeError as error:
        if re.search("out of memory|not enough memory|allocate memory", str(error)):
            raise CourseError(
                f"Training ran out of memory; lower tokens_at_once (now {recipe.tokens_at_once}) or "
                "max_length, or close other notebooks."
            ) from error
        raise
    finally:
        optimizer.zero_grad(set_to_none=True)
        model.eval()
    checkpoint.keep(log, finished=True)
    del optimizer, checkpoint  # two numbers a trained weight
    memory_in_use(device, release=True)
    return log


def _accumulate(model, rows, recipe: Recipe, pad: int, device: str) -> tuple[float, int]:
    """Add up the gradients of a batch, part by part; its mean loss and the memory used.

    Each part counts by its answer tokens, so that the sum is the gradient of the whole batch's mean.
    """
    total = sum(_count_predicted(model, e) for e in rows)
    loss, used = 0.0, 0
    for part in in_parts(rows, recipe.tokens_at_once):
        share = sum(_count_predicted(model, e) for e in part) / total
        with mixed_precision(device):
            mean = answer_loss(model, collate(part, pad, device, SHAPE_STEP))
        used = max(used, memory_in_use(device))  # activations are at their largest
        (mean * share).backward()
        loss += mean.item() * share
    return loss, used


def _count_predicted(model, example: Example) -> int:
    labels = example.labels if model.config.is_encoder_decoder else example.labels[1:]
    return sum(label != IGNORED for label in labels)


def memory_in_use(device: str = "cpu", release: bool = False) -> int:
    """Bytes this process holds: resident memory, or what tensors take on a GPU.

    ``release`` first gives freed blocks back to the system (where its C library can), so that they
    do not hide what comes next.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    if release:
        gc.collect()
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError, TypeError):  # not Linux with glibc
            pass
    return psutil.Process().memory_info().rss


def _stop_if_diverged(loss, norm, log, checkpoint, recipe) -> None:
    first = log[0].loss if log else loss
    if math.isfinite(loss) and math.isfinite(norm) and loss < 2 * first + 2:
        return
    checkpoint.put_back()
    raise CourseError(
        f"The loss went from {first:.2f} to {loss:.2f} in {len(log)} steps: it diverges. The weights of "
        f"the last good state were put back; lower learning_rate (now {recipe.learning_rate:g})."
    )


class Checkpoint:
    """Trainable weights, Adam's moments and the log of one training run, in one folder.

    safetensors and JSON only, each written beside its place and renamed into it. ``choices`` tells one
    run from another (model, data, recipe: anything JSON can hold), together with the names and shapes
    of ``weights``. ``entry`` is the dataclass of the log's entries, each after any number of updates.
    Without a folder the weights alone are kept, in memory.
    """

    def __init__(self, folder, choices, weights, optimizer, entry=Step):
        self.folder = Path(folder) if folder else None
        self.weights, self.optimizer, self.entry = weights, optimizer, entry
        self.copy = {}
        shapes = {name: list(p.shape) for name, p in weights.items()}
        text = json.dumps([choices, shapes])
        self.run = hashlib.sha256(text.encode()).hexdigest()

    def load(self) -> list:
        """Put the saved state back and return its log; an empty one if there is none for this run."""
        state, tensors = self._read()
        if not state["log"]:
            return []
        self._put(tensors)
        for name, p in self.weights.items():
            if f"mean.{name}" in tensors:  # else a finished run: there is nothing to go on with
                self.optimizer.state[p] = {
                    "step": torch.tensor(float(state["updates"])),
                    "exp_avg": tensors[f"mean.{name}"].to(p.device),
                    "exp_avg_sq": tensors[f"square.{name}"].to(p.device),
                }
        return [self.entry(**step) for step in state["log"]]

    def put_back(self) -> None:
        """Give the model the weights of the last :meth:`keep`."""
        self._put(self._read()[1] if self.folder else self.copy)

    def keep(self, log: list, finished: bool = False) -> None:
        """Write the state; at the start and the end only the weights, a third of it."""
        if self.folder:
            self._write(log, finished)
        elif not finished:
            self.copy = {f"weight.{name}": p.detach().clone() for name, p in self.weights.items()}

    @torch.no_grad()
    def _put(self, tensors) -> None:
        for name, p in self.weights.items():
            p.copy_(tensors[f"weight.{name}"])

    def _read(self) -> tuple[dict, dict]:
        from safetensors.torch import load_file

        try:
            state = json.loads((self.folder / "state.json").read_text())
            if state["run"] == self.run:
                return state, load_file(self.folder / state["file"])
        except Exception:  # no folder, no file, or half-written by something else: start anew
            pass
        return {"log": []}, {}

    def _write(self, log, finished) -> None:
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"weight.{name}": p.detach().contiguous() for name, p in self.weights.items()}
        if log and not finished:
            for name, p in self.weights.items():
                if p not in self.optimizer.state:  # kept beside the trained ones
                    continue
                tensors[f"mean.{name}"] = self.optimizer.state[p]["exp_avg"].contiguous()
                tensors[f"square.{name}"] = self.optimizer.state[p]["exp_avg_sq"].contiguous()
        file = f"step{len(log)}.safetensors"
        save_file(tensors, self.folder / f"{file}.tmp")
        (self.folder / f"{file}.tmp").replace(self.folder / file)
        updates = max((int(s["step"]) for s in self.optimizer.state.values()), default=0)
        log = [asdict(step) for step in log]
        content = {"run": self.run, "file": file, "updates": updates, "log": log}
        (self.folder / "state.json.tmp").write_text(json.dumps(content))
        (self.folder / "state.json.tmp").replace(self.folder / "state.json")
        for old in self.folder.glob("step*.safetensors"):
            if old.name != file:
                old.unlink()
