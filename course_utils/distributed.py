"""Train one model on several processes: DDP, and the three stages of ZeRO. The entry point for torchrun.

    torchrun --standalone --nproc-per-node 2 -m course_utils.distributed --strategy ddp zero1 zero2 zero3

Each strategy starts from the same weights and reads the same rows; rank 0 prints one line of JSON: the
losses, each rank's bytes of weights, gradients and optimiser state, the traffic and the seconds. On a
machine without GPUs the processes talk through gloo, on GPUs through NCCL, one GPU a process. Started
without torchrun it trains in one process, for comparison.

Sources: Li et al. 2020 (DDP, arXiv:2006.15704); Rajbhandari et al. 2019 (ZeRO, arXiv:1910.02054); Zhao
et al. 2023 (FSDP, arXiv:2304.11277).
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import DTensor
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from . import progress, ranks
from .settings import CourseError, current

STRATEGIES = ("ddp", "zero1", "zero2", "zero3")
TEXT = Path(__file__).parent / "data" / "texts" / "domain.jsonl"


# ---------------------------------------------------------------- the model and its data


class Block(nn.Module):
    """One causal transformer layer, [rows, length, width] → the same shape."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Tiny(nn.Module):
    """A small causal language model over bytes: ids [rows, length] → logits [rows, length, 256]."""

    def __init__(self, width: int = 128, layers: int = 4, heads: int = 4, context: int = 128):
        super().__init__()
        self.token, self.position = nn.Embedding(256, width), nn.Embedding(context, width)
        self.layers = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, 256, bias=False)

    def forward(self, ids):
        x = self.token(ids) + self.position(torch.arange(ids.shape[1], device=ids.device))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def make_model(name: str, seed: int):
    """``(model, encode)``: ``tiny``, or ``course`` for the model COURSE_MODEL names, fp32 on the CPU."""
    torch.manual_seed(seed)  # the same start on every rank
    if name == "tiny":
        return Tiny(), lambda text: list(text.encode())
    from dataclasses import replace

    from .models import load_llm

    llm = load_llm(replace(current(), device="cpu", dtype="float32"))
    if llm.family != "decoder-only":
        raise CourseError(f"{llm.name} is {llm.family}; this entry point trains decoder-only models.")
    return llm.model, llm.encode


def make_rows(text: str, encode, rows: int, length: int) -> torch.Tensor:
    """The text's tokens, repeated if there are too few, as [rows, length + 1]."""
    ids = encode(text)
    need = rows * (length + 1)
    return torch.tensor((ids * (need // len(ids) + 1))[:need]).view(rows, length + 1)


def next_token_loss(model, rows: torch.Tensor) -> torch.Tensor:
    """Mean negative log-probability of each token after the first, nats; ``rows`` is [rows, length + 1]."""
    output = model(rows[:, :-1])
    logits = getattr(output, "logits", output)  # transformers wraps them
    return F.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten())


def find_layers(model: nn.Module) -> nn.ModuleList:
    """The model's transformer layers: its largest list of modules."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise CourseError("The model has no list of layers to shard.")
    return max(lists, key=lambda layers: sum(p.numel() for p in layers.parameters()))


# ---------------------------------------------------------------- the four strategies


def distribute(model: nn.Module, strategy: str, learning_rate: float):
    """``(model, optimizer)`` over all processes. This is all that differs between the strategies."""
    adam = {"lr": learning_rate, "weight_decay": 0.0}
    if strategy == "ddp":  # everything on every rank; gradients are averaged
        model = DistributedDataParallel(model, gradient_as_bucket_view=True)
        return model, torch.optim.AdamW(model.parameters(), **adam)
    if strategy == "zero1":  # the same, and each rank keeps the moments of its own part of the weights
        model = DistributedDataParallel(model, gradient_as_bucket_view=True)
        return model, ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW, **adam)
    place = next(model.parameters()).device.type
    mesh = init_device_mesh(place, (dist.get_world_size(),))  # all processes in one row
    again = strategy == "zero3"  # give a layer's weights back after its forward pass?
    for layer in find_layers(model):
        fully_shard(layer, mesh=mesh, reshard_after_forward=again)
    fully_shard(model, mesh=mesh, reshard_after_forward=again)
    return model, torch.optim.AdamW(model.parameters(), **adam)


# ---------------------------------------------------------------- measuring


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor this rank holds."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def held_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes this rank really holds: each block of memory once, as large as it is."""
    storages = [local(tensor).untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def moments(optimizer) -> dict[torch.Tensor, dict]:
    """Adam's state of the parameters this rank updates."""
    inner = getattr(optimizer, "optim", optimizer)  # ZeroRedundancyOptimizer wraps one
    return inner.state


def moment_bytes(optimizer) -> int:
    """Bytes of both moments; the step counters, four bytes per parameter tensor, are left out."""
    states = moments(optimizer).values()
    return held_bytes(state[key] for state in states for key in ("exp_avg", "exp_avg_sq"))


def profiler():
    """A context that notes every operation of a step on this rank, with the shapes it was given."""
    return torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True
    )


def collectives(profile) -> dict[str, int]:
    """What a step's collectives were asked to move: kind → numbers (the whole, not a rank's part)."""
    found: Counter[str] = Counter()
    for event in profile.events():
        sizes = [math.prod(shape) for shape in event.input_shapes]
        if event.name == "c10d::_allgather_base_":  # (output, input)
            found["all_gather"] += sizes[0]
        elif event.name == "c10d::_reduce_scatter_base_":  # (output, input)
            found["reduce_scatter"] += sizes[1]
        elif event.name in ("gloo:all_reduce", "nccl:all_reduce"):
            found["all_reduce"] += max(sizes)
        elif event.name in ("gloo:broadcast", "nccl:broadcast"):
            found["broadcast"] += max(sizes)
    if dist.get_backend() == "gloo":  # it makes a reduce-scatter out of an all-reduce: count it once
        found["all_reduce"] -= found["reduce_scatter"]
    return {kind: numbers for kind, numbers in found.items() if numbers}


# ---------------------------------------------------------------- checkpoints


class Checkpoint:
    """Each rank's weights and moments in a file of its own, and one ``state.json`` that names a step.

    A file is written beside its place and renamed; ``state.json`` comes last, after all ranks are done,
    so it always names a complete state. safetensors and JSON only.
    """

    def __init__(self, folder: Path, strategy: str, run: dict, names: dict[torch.Tensor, str], optimizer):
        self.folder, self.names, self.optimizer = folder / strategy, names, optimizer
        self.rank, self.run = dist.get_rank(), {**run, "ranks": dist.get_world_size()}

    def file(self, step: int) -> Path:
        return self.folder / f"step{step}.rank{self.rank}.safetensors"

    def keep(self, losses: list[float]) -> None:
        """Write the state after ``len(losses)`` steps."""
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"weight.{name}": local(p.detach()).contiguous() for p, name in self.names.items()}
        for p, state in moments(self.optimizer).items():
            for key in ("exp_avg", "exp_avg_sq"):
                tensors[f"{key}.{self.names[p]}"] = local(state[key]).contiguous()
        target = self.file(len(losses))
        save_file(tensors, target.with_suffix(".tmp"))
        target.with_suffix(".tmp").replace(target)
        dist.barrier()
        if self.rank == 0:
            state = self.folder / "state.json"
            state.with_suffix(".tmp").write_text(json.dumps({**self.run, "losses": losses}))
            state.with_suffix(".tmp").replace(state)
        dist.barrier()
        for old in self.folder.glob(f"step*.rank{self.rank}.*"):
            if old != target:
                old.unlink()

    @torch.no_grad()
    def load(self) -> list[float]:
        """Put the last state back and return its losses; an empty list if there is none.

        Raises
        ------
        CourseError
            if the state belongs to a run with other settings or another number of processes.
        """
        from safetensors.torch import load_file

        if not (self.folder / "state.json").is_file():
            return []
        state = json.loads((self.folder / "state.json").read_text())
        losses = state.pop("losses")
        if state != self.run:
            raise CourseError(
                f"The checkpoint in {self.folder} was made with {state}, not with {self.run}; use "
                "another folder, or the same settings and number of processes."
            )
        tensors = load_file(self.file(len(losses)))
        for p, name in self.names.items():
            local(p).copy_(tensors[f"weight.{name}"])
            if f"exp_avg.{name}" in tensors:
                again = {"step": torch.tensor(float(len(losses)))}
                for key in ("exp_avg", "exp_avg_sq"):
                    again[key] = torch.zeros_like(p)
                    local(again[key]).copy_(tensors[f"{key}.{name}"])
                moments(self.optimizer)[p] = again
        return losses


# ---------------------------------------------------------------- training


def train(strategy: str, options: argparse.Namespace) -> dict:
    """Train on all processes of the group; every rank returns the same report.

    ``options`` as :func:`parse` gives them. Each rank reads its own rows of every batch; all have
    equally many tokens, so that the average of the ranks' gradients is the gradient of the batch's mean.
    """
    rank, world = dist.get_rank(), dist.get_world_size()
    if options.rows % world:
        raise CourseError(f"{options.rows} rows per step cannot be shared equally by {world} processes.")
    model, encode = make_model(options.model, options.seed)
    parameters = sum(p.numel() for p in model.parameters())
    text = read_text(options.text)
    data = make_rows(text, encode, options.steps * options.rows, options.length)
    data = data.view(options.steps, options.rows, -1)[:, rank::world]  # this rank's rows
    device = torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if dist.get_backend() == "nccl" else "cpu")
    layers = list(find_layers(model))
    peak = [0]  # largest bytes of weights seen inside a step

    def note(*_):
        peak[0] = max(peak[0], held_bytes([*shards, *model.parameters()]))

    for layer in layers:  # before sharding: our hook must see a layer's weights before they go back
        layer.register_forward_hook(note)
    model, optimizer = distribute(model.to(device).train(), strategy, options.learning_rate)
    shards = list(model.parameters())
    names = {p: name for name, p in model.named_parameters()}
    checkpoint, losses = None, []
    if options.checkpoint:
        keys = ("model", "seed", "rows", "length", "learning_rate")
        run = {key: getattr(options, key) for key in keys}
        run["text"] = hashlib.sha256(text.encode()).hexdigest()
        checkpoint = Checkpoint(Path(options.checkpoint), strategy, run, names, optimizer)
        losses = checkpoint.load()
    resumed, seconds, report, moved = len(losses), [], {}, {}
    for step in range(len(losses), options.steps):
        if step == options.die_at and rank == world - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == options.fail_at and rank == world - 1:
            raise RuntimeError(f"rank {rank} was asked to fail before step {step}")
        start = time.monotonic()
        with profiler() if step == options.steps - 1 else nullcontext() as profile:
            loss = next_token_loss(model, data[step].to(device))
            note()
            loss.backward()
            report = {"gradients": held_bytes(p.grad for p in model.parameters())}
            optimizer.step()
        moved = collectives(profile) if profile else {}
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.monotonic() - start)
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        losses.append(mean.item() / world)
        if checkpoint and (step + 1) % options.save_every == 0:
            checkpoint.keep(losses)
    report |= {
        "weights": held_bytes(model.parameters()),
        "weights in a step": peak[0],
        "optimizer": moment_bytes(optimizer),
    }
    ranks = [None] * world
    dist.all_gather_object(ranks, report)
    return {
        "strategy": strategy, "ranks": world, "parameters": parameters, "resumed_at": resumed,
        "losses": losses, "per_rank": ranks, "collectives": moved,
        "seconds_a_step": statistics.median(seconds) if seconds else None,
    }  # fmt: skip


def train_alone(options: argparse.Namespace) -> list[float]:
    """The same training in one process with plain PyTorch: the losses to compare with."""
    model, encode = make_model(options.model, options.seed)
    data = make_rows(read_text(options.text), encode, options.steps * options.rows, options.length)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=0.0)
    losses = []
    for batch in data.view(options.steps, options.rows, -1):
        loss = next_token_loss(model.train(), batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return losses


def read_text(file: str | None) -> str:
    """A text file, or the course's sentences."""
    if file is None:
        lines = TEXT.read_text(encoding="utf-8").splitlines()
        return "\n".join(json.loads(line)["text"] for line in lines)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"--text {file} cannot be read as a UTF-8 text file.") from error
    if not text.strip():
        raise CourseError(f"--text {file} is empty.")
    return text


# ---------------------------------------------------------------- starting it


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line's options, with their defaults."""
    parser = argparse.ArgumentParser(prog="course_utils.distributed", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--strategy", nargs="+", choices=STRATEGIES, default=["ddp"])
    add("--model", choices=("tiny", "course"), default="tiny", help="course: the one COURSE_MODEL names")
    add("--text", help="a UTF-8 text file to train on (the course's sentences)")
    add("--steps", type=int, default=5)
    add("--rows", type=int, default=8, help="of a batch, over all processes")
    add("--length", type=int, default=64, help="tokens per row")
    add("--learning-rate", type=float, default=1e-3)
    add("--seed", type=int, default=0)
    add("--checkpoint", help="folder to save to and to go on from")
    add("--save-every", type=int, default=1, help="steps between checkpoints")
    add("--timeout", type=float, default=60, help="seconds to wait for another process before giving up")
    add("--die-at", type=int, default=-1, help="the last rank kills itself before this step, to see what happens")
    add("--fail-at", type=int, default=-1, help="the last rank raises an error before this step")
    options = parser.parse_args(arguments)
    if min(options.steps, options.rows, options.length, options.save_every) < 1:
        parser.error("--steps, --rows, --length and --save-every are at least 1")
    if options.model == "tiny" and options.length > 128:
        parser.error("--length: the tiny model reads at most 128 tokens")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the strategies one after the other and print their reports as one line of JSON."""
    options = parse(arguments)
    if "RANK" not in os.environ:  # not under torchrun
        try:
            ranks.check_alone()
        except CourseError as error:
            print(f"CourseError: {error}", file=sys.stderr)
            return 1
        print(json.dumps([{"strategy": "one process", "losses": train_alone(options)}]))
        return 0
    ranks.join(options.timeout)
    try:
        reports = [record(train)(strategy, options) for strategy in options.strategy]
        if dist.get_rank() == 0:
            print(json.dumps(reports), flush=True)
        dist.barrier()
    except CourseError as error:
        print(f"CourseError: {error}", file=sys.stderr)
        return 1
    finally:
        dist.destroy_process_group()
    return 0


def command(*arguments: str, processes: int = 2) -> list[str]:
    """The command that starts this module on several processes of one machine, as a list."""
    return [*_torchrun(processes), "-m", "course_utils.distributed", *arguments]


def _torchrun(processes: int) -> list[str]:
    """``torchrun`` for processes of this machine."""
    here = ["--standalone", "--local-addr=127.0.0.1"]
    return [sys.executable, "-m", "torch.distributed.run", *here, f"--nproc-per-node={processes}"]


def launch(*arguments: str, processes: int = 2, timeout: float = 300) -> list[dict]:
    """Run :func:`command`, wait, and return the reports. No process outlives the call.

    Raises
    ------
    CourseError
        if a process fails or dies, or nothing has come back after ``timeout`` seconds.
    """
    out = _finish(command(*arguments, processes=processes), processes, timeout)
    return json.loads(out.strip().splitlines()[-1])


def torchrun(function: Callable[[], None], processes: int = 2, timeout: float = 120) -> list[str]:
    """Run a notebook's function on several processes; what each of them printed, by rank.

    The function's source goes into a file that imports ``torch`` and ``torch.distributed as dist``
    and calls it, so it can use these two and its own names. That file is started as
    ``torchrun --nproc-per-node 2 train.py`` would start it.

    Raises
    ------
    CourseError
        if a process fails or dies, or they have not finished after ``timeout`` seconds.
    """
    source = textwrap.dedent(inspect.getsource(function))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "train.py"
        imports = "import torch\nimport torch.distributed as dist"
        script.write_text(f"{imports}\n\n{source}\n{function.__name__}()\n", encoding="utf-8")
        logs = ["--redirects=1", f"--log-dir={folder}"]  # a file for what each rank prints
        _finish([*_torchrun(processes), *logs, str(script)], processes, timeout)
        files = sorted(Path(folder).rglob("stdout.log"), key=lambda file: int(file.parent.name))
        return [file.read_text(encoding="utf-8") for file in files]


def _finish(arguments: list[str], processes: int, timeout: float) -> str:
    """Run a command of several processes to its end; what it printed. See :func:`launch`."""
    import psutil

    # One thread is torchrun's own choice, without its warning; nothing leaves the machine.
    environment = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": ranks.loopback(), **os.environ}
    started = subprocess.Popen(
        arguments, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        out, errors = _wait(started, timeout, f"{processes} processes at work")
    except subprocess.TimeoutExpired as error:
        raise CourseError(f"The processes did not finish within {timeout:g} s and were stopped.") from error
    finally:  # also when the reader interrupts: torchrun's workers live in sessions of their own
        if started.poll() is None:
            family = [*psutil.Process(started.pid).children(recursive=True), started]
            for process in family:
                process.kill()
            started.communicate()
    if started.returncode:
        raise CourseError(f"The run failed: {_reason(errors)}")
    return out


def _wait(started: subprocess.Popen, timeout: float, title: str) -> tuple[str, str]:
    """What the processes print, once they are done; meanwhile a person is told the seconds."""
    end = time.monotonic() + timeout
    with progress.Bar(title, None) as bar:
        while True:
            try:
                return started.communicate(timeout=max(0, min(1, end - time.monotonic())))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= end:
                    raise
                bar.at()


def _reason(errors: str) -> str:
    """What torchrun's long report says about the first failure.

    A rank that fails takes the others with it: their connection breaks, or torchrun ends them (SIGTERM).
    Neither is the cause.
    """
    own = re.search(r"^(?:CourseError|course_utils.distributed: error): (.+)", errors, re.M)
    if own:
        return own[1]
    signals = re.findall(r"Signal \d+ \((SIG\w+)\) received by PID", errors)
    raised = re.findall(r"^(?:\[rank\d+\]:)? *([\w.]*Error: .+)", errors, re.M)
    raised = [e for e in raised if "ChildFailedError" not in e and "remote worker" not in e]
    if signals and (set(signals) - {"SIGTERM", "SIGABRT"} or not raised):
        return (
            "a worker was killed and torchrun stopped the others; with --checkpoint, the same "
            "command goes on from the last complete step."
        )
    # The report ends with what the first rank to fail has recorded.
    return raised[-1] if raised else (errors.strip().splitlines() or ["no message"])[-1]


if __name__ == "__main__":
    sys.exit(main())
