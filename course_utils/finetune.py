"""Train, and measure the loss: causal and sequence-to-sequence models alike, full or with an adapter.

Everything here works on plain transformers or peft models and plain tensors. A run is
:func:`train`; one step of it is :func:`update`; what it minimises is :func:`answer_loss`. Where the
examples come from is :mod:`.examples`, how a run is kept :mod:`.checkpoint`.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import math
import mmap
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import torch
from torch.nn import functional as F

from . import progress, ranks
from .checkpoint import Checkpoint, State
from .examples import (
    IGNORED,
    Example,
    collate,
    encode,
    encode_pair,
    encode_text,
    in_parts,
    make_batches,
)
from .llm import LLM, decoder_start, positions, soft_tokens, turning_point
from .settings import SHAPE_STEP, CourseError, bfloat16_pays, current

__all__ = [
    "IGNORED", "Example", "Recipe", "Step", "add_gradients", "answer_log_probs", "answer_loss", "collate", "encode",
    "encode_pair", "encode_text", "evaluating", "give_back", "in_parts", "make_batches", "mean_loss", "memory_in_use",
    "mixed_precision", "nll", "release_memory", "schedule", "train", "update",
]  # fmt: skip

# A loss that has doubled, and two nats on top, does not come back: small losses may double by chance.
DIVERGED_FACTOR, DIVERGED_NATS = 2, 2
NO_MEMORY = "out of memory|not enough memory|allocate memory"  # in the words of torch's errors
RELEASE_EVERY = 10  # steps between giving freed memory back: at each it would take a fifth of the time
LARGE = 2**25  # trained numbers from which on a backward pass gives back what it frees on its way
GIVEN_BACK_AT_ONCE = 40  # weight matrices, some five layers
RECOMPUTED = 4  # so many times the tokens at once where layers keep nothing but their input
SHORT = 512  # tokens of a row: the scores of a layer's heads take a few MB
MADV_PAGEOUT = 21  # Linux's <sys/mman.h>; Python's mmap does not name it
MOVED_AT_ONCE = 16  # weights whose gradients are in fp32 at the same time
VALIDATE_EVERY = 8  # steps between two looks at rows that are not trained on
SEEDS_APART = 100_003  # of two runs' dropout: more than a run has steps, and prime


@dataclass(frozen=True)
class Recipe:
    """How to train: every choice in one place. Learning rate: peak, after a linear warm-up."""

    learning_rate: float
    epochs: int = 1
    batch_size: int = 8
    # Of a batch, padded to its longest row. Fewer: same gradient, less memory. Larger batches, and full
    # fine-tuning, compute each layer twice and keep so little of a token that RECOMPUTED times as many fit.
    tokens_at_once: int = 600
    warmup_share: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    seed: int = 0
    save_every: int = 20  # steps between checkpoints


@dataclass(frozen=True)
class Step:
    """One update: mean loss in nats per token (before it), learning rate, gradient norm, seconds."""

    step: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int  # all tokens read, prompts included, padding not
    seconds: float  # since the start, resumed parts included
    memory: int = 0  # bytes this update needed beyond what was in use before the first one
    validation: float | None = None  # mean loss on other rows, nats per token, after it; None: not measured


# ---------------------------------------------------------------- loss


def answer_log_probs(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log p of each answer token, one after the other, shape [answer tokens of the batch].

    The logits are the model's own: some families scale them after the output layer. Of a decoder-only
    model only those columns are computed in which some row predicts an answer token: the output layer
    is the widest of all.
    """
    found: dict[int, torch.Tensor] = {}
    for rows, part in _apart(model, batch):
        found |= zip(rows, _each_rows_log_probs(model, part))
    return torch.cat([found[row] for row in range(len(found))])


def _apart(model, batch: dict[str, torch.Tensor]) -> Iterator[tuple[Iterable[int], dict[str, torch.Tensor]]]:
    """The numbers of the rows that may be computed together, and their part of the batch: mostly all, and all of it.

    Where a model's positions turn by the longest row (:func:`course_utils.llm.turning_point`), rows on both sides
    come apart, each side without columns that are padding in all of its rows.
    """
    limit, soft = turning_point(model.config), soft_tokens(model)
    if limit is None:
        yield range(len(batch["labels"])), batch
        return
    lengths = batch["attention_mask"].sum(1)
    for side in (lengths + soft <= limit, lengths + soft > limit):
        rows = side.nonzero().squeeze(1)
        if len(rows):
            yield rows.tolist(), {name: tensor[rows, : lengths[rows].max()] for name, tensor in batch.items()}


def _each_rows_log_probs(model, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    plain = _plain(model)
    if model.config.is_encoder_decoder:
        labels = batch["labels"]
        asked = {name: tensor for name, tensor in batch.items() if name != "labels"}
        logits = plain(**asked, decoder_input_ids=_decoder_inputs(plain, labels), use_cache=False).logits
    else:
        # A token is predicted one column before it: column c of the logits goes with label c + 1.
        labels = batch["labels"][:, 1:]
        columns = (labels != IGNORED).any(0).nonzero().squeeze(1)
        inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
        labels = labels[:, columns]
        columns = columns - batch["input_ids"].shape[1]  # from the end: a soft prompt's columns come first
        logits = plain(**inputs, use_cache=False, logits_to_keep=columns).logits
        if logits.shape[1] != len(columns):  # a model that knows no such argument gives all of them
            logits = logits[:, columns]
    # Row by row: no copy of all logits is made.
    return [_chosen(row[ids != IGNORED], ids[ids != IGNORED]) for row, ids in zip(logits, labels)]


def _decoder_inputs(model, labels: torch.Tensor) -> torch.Tensor:
    """What a decoder reads to predict each label: the token that answers begin after, then the labels but the last.

    Where a label is ignored, what is read there plays no role: the padding token, as in the library.
    """
    known = labels.masked_fill(labels == IGNORED, model.config.pad_token_id or 0)
    return torch.cat([torch.full_like(known[:, :1], decoder_start(model)), known[:, :-1]], 1)


def _plain(model):
    """The transformers model, without peft's wrapper, unless that is what adds a soft prompt."""
    wrapped = hasattr(model, "get_base_model") and not soft_tokens(model)
    return model.get_base_model() if wrapped else model


def _chosen(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return -F.cross_entropy(logits.float(), labels, reduction="none")


def answer_loss(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean negative log-probability of the batch's answer tokens, nats: ``model(**batch).loss``."""
    return -answer_log_probs(model, batch).mean()


def shape_step(rows: Sequence[Example]) -> int:
    """What the length of these rows is rounded up to (see :data:`course_utils.settings.SHAPE_STEP`).

    Rows of at most two steps are rounded to a quarter of a step: there are eight such lengths, and 36 tokens
    padded to 64 would nearly double the arithmetic.
    """
    longest = max(max(len(row.ids), len(row.labels)) for row in rows)
    return SHAPE_STEP if longest > 2 * SHAPE_STEP else SHAPE_STEP // 4


def _padded(model, rows: Sequence[Example], pad_id: int) -> dict[str, torch.Tensor]:
    """The rows' batch, on the model's device, its length rounded up as far as the model has positions."""
    room = min(positions(model.config), default=None)
    most = room and room - soft_tokens(model)
    return collate(rows, pad_id, model.device, shape_step(rows), most)


@torch.no_grad()
def nll(llm: LLM, examples: Sequence[Example], batch_size: int = 8) -> list[float]:
    """Mean negative log-probability of each example's answer, nats per token, in the given order.

    The model is measured in evaluation mode (no dropout) and given back in the mode it was in.
    """
    result = [0.0] * len(examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    with evaluating(llm.model), progress.Bar("measuring the loss", len(examples)) as bar:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            rows = [examples[i] for i in chosen]
            batch = _padded(llm.model, rows, llm.tokenizer.pad_token_id)
            sizes = [_count_predicted(llm.model, e) for e in rows]
            parts = answer_log_probs(llm.model, batch).split(sizes)
            for i, part in zip(chosen, parts):
                result[i] = -part.mean().item()
            bar.at(start + len(chosen))
    return result


def mean_loss(llm: LLM, examples: Sequence[Example]) -> float:
    """Mean loss per answer token over all examples, nats, computed as training computes it; of several
    processes, each measures its share."""
    examples = ranks.share(examples)
    with mixed_precision(str(llm.model.device), cache_enabled=False):
        losses = nll(llm, examples, batch_size=4)  # beside the moments, memory is short
    sizes = [_count_predicted(llm.model, e) for e in examples]
    return ranks.total(sum(loss * size for loss, size in zip(losses, sizes))) / ranks.total(sum(sizes))


def evaluation_mode(model) -> None:
    """``model.eval()``, but layers of 4 bits stay ready to be trained.

    On some processors bitsandbytes repacks such a layer at its first pass in evaluation mode, for
    speed, and lets no gradient through from then on. It has no dropout, so its mode changes nothing else.
    """
    model.eval()
    for layer in model.modules():
        if type(layer).__name__ == "Linear4bit":
            layer.train()


@contextmanager
def evaluating(model):
    """Evaluation mode inside, the former mode after."""
    training = model.training
    evaluation_mode(model)
    try:
        yield model
    finally:
        model.train(training)


# ---------------------------------------------------------------- one step


def update(
    model, optimizer: torch.optim.Optimizer, rows: Sequence[Example], rate: float, recipe: Recipe,
    pad_id: int, before_step: Callable[[float, float], None] | None = None, loss_of: Callable | None = None,
) -> tuple[float, float, int]:  # fmt: skip
    """One step: the gradient of a batch's mean loss, its norm cut, one move of the weights.

    Returns the loss before the move (nats per answer token), the gradient's norm before the cut, and
    the bytes in use at most. ``before_step`` is told the first two; if it raises, nothing moves.
    ``loss_of`` as in :func:`add_gradients`.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    alone = ranks.count() == 1  # else DDP holds the gradients
    with gradients_in_short(weights) if alone else nullcontext() as gradients:
        with looked_up_apart(model, gradients) if alone else nullcontext():
            loss, used = add_gradients(model, rows, recipe.tokens_at_once, pad_id, loss_of)
    if not alone:
        gradients = {p: p.grad for p in weights}
        for p in weights:  # the optimizer moves what has a gradient: some at a time, below
            p.grad = None
    norm = total_norm(gradients.values())
    if before_step:
        before_step(loss, norm)
    cut = min(1.0, recipe.max_grad_norm / (norm + 1e-6))
    for start in range(0, len(weights), MOVED_AT_ONCE):
        some = [p for p in weights[start : start + MOVED_AT_ONCE] if p in gradients]
        for p in some:
            p.grad = gradients.pop(p).to(p.dtype).mul_(cut)
        optimizer.step()  # weights without a gradient stay as they are
        for p in some:
            p.grad = None
    return loss, norm, max(used, memory_in_use(model.device))  # the first step makes Adam's moments


@contextmanager
def gradients_in_short(weights: Sequence[torch.nn.Parameter]):
    """Take the weights' gradients as they become complete; the dictionary is full after the block.

    Under autocast the gradient of a linear layer's weight is computed in bfloat16 and written out in
    fp32. Where all its numbers are bfloat16's, it is kept so: nothing is lost, and all gradients take half
    the memory. A batch in several parts adds up in fp32.
    """
    gradients: dict[torch.nn.Parameter, torch.Tensor] = {}
    large = sum(p.numel() for p in weights) > LARGE  # an adapter's gradients are not worth the seconds
    taken = itertools.count(1)

    def take(p):
        gradient = p.grad if p not in gradients else p.grad.add_(gradients[p])  # no third copy
        gradients[p] = gradient.bfloat16() if _fits_bfloat16(gradient) else gradient
        p.grad = None
        if large and next(taken) % GIVEN_BACK_AT_ONCE == 0:  # layers that are done have freed what they took
            give_back()

    if large:  # what the step before has left
        give_back()
    hooks = [p.register_post_accumulate_grad_hook(take) for p in weights]
    try:
        yield gradients
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def looked_up_apart(model, gradients: dict[torch.nn.Parameter, torch.Tensor]):
    """Add what the embedding's look-ups contribute to ``gradients`` after the block, for the ids that were read.

    Autograd would make a gradient as large as the embedding, all zeros but a few rows. Where the output layer
    shares its weights, it would also hold that layer's gradient in fp32 until the first layer is reached.
    """
    embedding = model.get_input_embeddings()
    weight, read = embedding.weight, []
    # Another class may do more than look up (Gemma's scales).
    if type(embedding) is not torch.nn.Embedding or not weight.requires_grad or embedding.scale_grad_by_freq:
        yield
        return

    def note(module, args, vectors):
        read.append((args[0], vectors.detach().requires_grad_()))
        return read[-1][1]

    hook = embedding.register_forward_hook(note)
    try:
        yield
    finally:
        hook.remove()
    for ids, vectors in read:
        if vectors.grad is not None:
            learns = ids != (-1 if embedding.padding_idx is None else embedding.padding_idx)
            whole = gradients[weight].float() if weight in gradients else torch.zeros_like(weight)
            gradients[weight] = whole.index_add_(0, ids[learns], vectors.grad[learns].to(whole.dtype))


def _fits_bfloat16(numbers: torch.Tensor) -> bool:
    """bfloat16 is fp32 without the lower 16 of its 32 bits: are they all 0? (Counted where they are: a copy
    of an embedding's gradient is large, and comparing copies takes ten times as long.)"""
    if numbers.dtype != torch.float32 or sys.byteorder == "big":
        return torch.equal(numbers.bfloat16().to(numbers.dtype), numbers)
    halves = numbers.contiguous().flatten().view(torch.int16)
    return not torch.count_nonzero(halves[::2])


def total_norm(gradients: Iterable[torch.Tensor]) -> float:
    """The length of all gradients as one vector, added up in fp32 whatever they are kept in."""
    norms = [torch.linalg.vector_norm(g, dtype=torch.float32) for g in gradients]
    return torch.linalg.vector_norm(torch.stack(norms)).item()


@contextmanager
def recomputing(model):
    """Inside, each layer keeps its input alone and is computed once more in the backward pass. Gives how
    many times as many tokens fit then.

    Activation (or gradient) checkpointing, Chen et al. 2016 (arXiv:1604.06174): a third more arithmetic for
    a small part of the memory, and the same gradients. Models that know no such thing train as they are,
    and so do those with a soft prompt: layers computed twice would not see a prefix.

    Raises
    ------
    ValueError
        for a model in evaluation mode, in which transformers' layers keep all activations without a word.
    """
    plain = _plain(model)
    if not plain.training:
        raise ValueError("Layers are computed twice in training mode only: call model.train() first.")
    if soft_tokens(model) or not getattr(plain, "supports_gradient_checkpointing", False):
        yield 1
        return
    plain.activation_checkpointing_enable({"use_reentrant": False})
    try:
        yield RECOMPUTED
    finally:
        plain.activation_checkpointing_disable()


@contextmanager
def short_attention(model, longest: int):
    """Inside, attention over rows of at most ``SHORT`` tokens as plain matrix products on a processor.

    PyTorch's fused kernel (SDPA) never holds the [tokens, tokens] scores, which pays for long rows and on a GPU.
    With a gradient to compute, on a processor and for short rows, transformers' "eager" attention takes half as long.
    """
    plain = _plain(model)
    fused = getattr(plain.config, "_attn_implementation", None) == "sdpa"
    pays = fused and longest <= SHORT and plain.device.type == "cpu"
    try:
        if pays:
            plain.set_attn_implementation("eager")
        yield
    finally:
        if pays:
            plain.set_attn_implementation("sdpa")


@contextmanager
def frozen_in_short(model, tight: bool):
    """Where training computes in bfloat16, frozen linear weights in it inside, and the same fp32 ones after.

    Autocast would cast them in every pass, to the same numbers. An output layer that shares its weights
    with the embedding stays as it is. Where memory is ``tight``, the fp32 ones leave it meanwhile; reading them
    back takes half a second.
    """
    embedding = model.get_input_embeddings().weight
    linear = [m.weight for m in model.modules() if isinstance(m, torch.nn.Linear)]
    frozen = [p for p in linear if not p.requires_grad and p.dtype == torch.float32 and p is not embedding]
    short = not isinstance(mixed_precision(str(model.device)), nullcontext)
    own = [(p, p.data) for p in frozen if short]
    try:
        for p, weight in own:
            p.data = weight.bfloat16()
        if tight:
            page_out(weight for _, weight in own)
        yield
    finally:
        for p, weight in own:
            p.data = weight


def add_gradients(
    model, rows: Sequence[Example], at_once: int, pad_id: int, loss_of: Callable | None = None
) -> tuple[float, int]:
    """Add up the gradients of a batch, part by part; its mean loss and the bytes in use at most.

    Each part counts by its answer tokens, so that the sum is the gradient of the whole batch's mean. Of
    several processes each computes its share of the rows; ``loss_of`` (:func:`ranks.distributed`) makes them
    exchange gradients, and loss and gradient are those of the whole batch on each.
    """
    device, loss_of = model.device, loss_of or partial(answer_loss, model)
    total = sum(_count_predicted(model, e) for e in rows)
    mine = ranks.share(rows)
    # A process without rows takes part with one that does not count: the others wait for it.
    parts = in_parts(mine or rows[:1], at_once)
    loss, used = 0.0, 0
    for number, part in enumerate(parts, 1):
        share = sum(_count_predicted(model, e) for e in part) / total if mine else 0.0
        with ranks.exchanging(loss_of, now=number == len(parts)):
            with mixed_precision(str(device), cache_enabled=False):
                mean = loss_of(_padded(model, part, pad_id))
            used = max(used, memory_in_use(device))  # activations are at their largest
            give_back()  # what the layers freed: the gradients come now
            (mean * (share * ranks.count())).backward()  # gradients add up until they are set to None
        loss += mean.item() * share
    return ranks.total(loss), used


def _count_predicted(model, example: Example) -> int:
    """Of a decoder-only model nothing predicts the first token, even where it is labelled."""
    labels = example.labels if model.config.is_encoder_decoder else example.labels[1:]
    return sum(label != IGNORED for label in labels)


def mixed_precision(device: str | None = None, cache_enabled: bool = True):
    """A context for the forward pass: bfloat16 arithmetic where the processor gains by it, else fp32.

    ``device`` is where the model is (default: the device of the settings). ``cache_enabled`` keeps the
    weights' bfloat16 copies until the end of the context, for passes to come. Weights, gradients and
    optimiser stay in fp32: a bfloat16 weight has 8 significant bits, and an update of 1e-5 of its
    size would be rounded away.
    """
    kind = torch.device(device or current().device).type
    if kind == "cuda":  # older GPUs only imitate it
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = kind == "cpu" and bfloat16_pays()
    return torch.autocast(kind, dtype=torch.bfloat16, cache_enabled=cache_enabled) if fast else nullcontext()


def memory_in_use(device: torch.device | str = "cpu", release: bool = False) -> int:
    """Bytes this process holds: resident memory, or what tensors take on a GPU.

    ``release`` first gives freed blocks back to the system (where its C library can), so that they
    do not hide what comes next.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    if release:
        give_back()
    return psutil.Process().memory_info().rss


def release_memory() -> None:
    """Free what nobody holds, models in circles of references too, and give the blocks back."""
    gc.collect()
    give_back()


def give_back() -> None:
    """What was freed goes back to the system, where its C library can (Linux with glibc)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):
        pass


def page_out(tensors: Iterable[torch.Tensor]) -> None:
    """These tensors leave memory until they are read again: those in a file for the file, others for swap space.
    (Linux; elsewhere they stay.)"""
    if sys.platform != "linux":
        return
    for tensor in tensors:
        # Whole pages, those that hold nothing else. An older kernel refuses, and nothing happens.
        start, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
        start, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if start < end:
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_PAGEOUT)


# ---------------------------------------------------------------- a run


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
    title: str = "training",
    validation: Sequence[Example] = (),
) -> list[Step]:
    """Update the model's trainable weights in place and return the log; the model ends in eval mode.

    Weights are trained in fp32: a model with trainable weights in half precision is cast first. A
    frozen base may stay in half precision beside an adapter, whose weights peft keeps in fp32.

    Parameters
    ----------
    folder : where to keep a checkpoint. Called again with the same model, data and recipe after an
        interruption, training goes on from there, with the same result as without one; a finished
        run is read and not repeated. Delete the folder to train afresh.
    on_step : called with each :class:`Step` and the number of steps, for a plot.
    title : stands before the bar that a person sees meanwhile (:mod:`course_utils.progress`).
    validation : rows not trained on, whose loss every ``VALIDATE_EVERY``-th step and the last one notes.

    Raises
    ------
    CourseError
        if the loss diverges (the last good weights are put back), or memory runs out.
    """
    model, device = llm.model, llm.model.device
    plan = _plan(examples, recipe)
    weights = _trainable(model)
    optimizer = torch.optim.AdamW(
        weights.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay,
        fused=device.type == "cpu",  # one pass over the weights, no temporary copies
    )  # fmt: skip
    data = [[[e.ids, e.labels] for e in rows] for rows in (examples, validation) if rows]
    checkpoint = Checkpoint(folder, [llm.name, asdict(recipe), data], weights, optimizer, Step)
    log = checkpoint.load()
    if len(log) == len(plan):  # a finished run was read
        if on_step:
            on_step(log[-1], len(plan))
        evaluation_mode(model)
        return log
    if not log:
        checkpoint.keep(log, State.UNTRAINED)
    before, saving = log[-1].seconds if log else 0.0, 0.0
    start = time.monotonic()

    def check_and_keep(loss: float, norm: float) -> None:
        """The loss is that of the weights as they are: only now they are known to be good."""
        nonlocal saving
        _stop_if_diverged(loss, norm, log, checkpoint, recipe)
        if log and len(log) % recipe.save_every == 0:
            began = time.monotonic()
            checkpoint.keep(log, State.RUNNING)
            saving += time.monotonic() - began  # full fine-tuning writes 1.6 GB, an adapter 60 MB

    loss_of = ranks.distributed(weights.values(), partial(answer_loss, model))
    longest = max(max(len(e.ids), len(e.labels)) for e in (*examples, *validation))
    tight = _short_of_memory(weights.values(), [[examples[i] for i in batch] for batch in plan], recipe)
    model.train()
    try:
        with (
            recomputing(model) if tight else nullcontext(1) as times, short_attention(model, longest),
            frozen_in_short(model, tight), progress.Bar(title, len(plan), len(log)) as bar,
        ):  # fmt: skip
            for p in model.parameters():
                p.sum()  # weights in a file take memory from when they are first read: that is not training's
            release_memory()
            at_rest = memory_in_use(device)
            as_fits = replace(recipe, tokens_at_once=times * recipe.tokens_at_once)
            for number in range(len(log), len(plan)):
                rows = [examples[i] for i in plan[number]]
                rate = schedule(number, len(plan), recipe)
                with torch.random.fork_rng(devices=[]):
                    seed = recipe.seed * SEEDS_APART + number  # of dropout: the same when resumed
                    torch.manual_seed(seed * ranks.count() + ranks.rank())
                    loss, norm, used = update(
                        model, optimizer, rows, rate, as_fits, llm.tokenizer.pad_token_id, check_and_keep, loss_of
                    )
                if number % RELEASE_EVERY == RELEASE_EVERY - 1:
                    memory_in_use(device, release=True)
                seconds = before + time.monotonic() - start - saving
                tokens = sum(len(e.ids) for e in rows)
                looked, began = None, time.monotonic()
                if validation and ((number + 1) % VALIDATE_EVERY == 0 or number + 1 == len(plan)):
                    looked = mean_loss(llm, validation)
                saving += time.monotonic() - began  # as little a part of training as a checkpoint
                log.append(Step(number, loss, rate, norm, tokens, seconds, used - at_rest, looked))
                bar.at(number + 1, f"loss {loss:.2f}")
                if on_step:
                    on_step(log[-1], len(plan))
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or re.search(NO_MEMORY, str(error)):
            kept = f" Run it again: it goes on from the state kept in {folder}." if folder else ""
            raise CourseError(
                f"Training ran out of memory; lower tokens_at_once (now {recipe.tokens_at_once}) or "
                f"max_length, or close other notebooks.{kept}"
            ) from error
        raise
    finally:
        optimizer.zero_grad(set_to_none=True)
        evaluation_mode(model)
    checkpoint.keep(log, State.FINISHED)
    optimizer.state.clear()  # two numbers for each trained weight
    checkpoint.copy.clear()
    memory_in_use(device, release=True)
    return log


def _plan(examples: Sequence[Example], recipe: Recipe) -> list[list[int]]:
    """Indices of the examples of every step, epoch after epoch."""
    if not examples:
        raise CourseError("There is nothing to train on: the list of examples is empty.")
    return [
        batch
        for epoch in range(recipe.epochs)
        for batch in make_batches(examples, recipe.batch_size, recipe.seed * 1000 + epoch)
    ]


def _short_of_memory(weights: Iterable[torch.Tensor], batches: Sequence[Sequence[Example]], recipe: Recipe) -> bool:
    """Are layers to be computed twice? Not where an adapter learns from batches that fit ``tokens_at_once``."""
    large = sum(p.numel() for p in weights) > LARGE  # gradients and moments take the room
    return large or any(len(in_parts(rows, recipe.tokens_at_once)) > 1 for rows in batches)


def _trainable(model) -> dict[str, torch.nn.Parameter]:
    """The trainable weights by name, in fp32."""
    if any(p.requires_grad and p.dtype in (torch.bfloat16, torch.float16) for p in model.parameters()):
        model.float()  # in place: the parameters stay the same objects
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not weights:
        raise CourseError("No weight of the model is trainable; load its adapter with is_trainable=True.")
    states = (getattr(p, "quant_state", None) for p in model.parameters())
    if any(getattr(state, "packing_format_for_cpu", False) for state in states):
        raise CourseError(
            "This model's 4-bit weights have been repacked for answering, and no gradient passes through "
            "them any more; load it anew, and train it before it answers."
        )
    return weights


def _stop_if_diverged(loss: float, norm: float, log: list[Step], checkpoint: Checkpoint, recipe) -> None:
    first = log[0].loss if log else loss
    if math.isfinite(loss) and math.isfinite(norm) and loss < DIVERGED_FACTOR * first + DIVERGED_NATS:
        return
    checkpoint.put_back()
    raise CourseError(
        f"The loss went from {first:.2f} to {loss:.2f} in {len(log)} steps: it diverges. The weights of "
        f"the last good state were put back; lower learning_rate (now {recipe.learning_rate:g})."
    )
