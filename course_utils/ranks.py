"""Several processes train one model: who takes which rows, and what is added up over all of them.

    torchrun --nproc-per-node 2 -m course_utils train --task lab2

Inside :func:`joined` the processes that torchrun started know of each other. Outside of it, or with one
process, every function here gives what one process would use.

A loss is a sum over the tokens of *all* processes, divided by their number. The mean of the processes'
means is another number: for answers of 10 and 90 tokens with mean losses L10 and L90 it is off by
.5 (L10 + L90) − (.1 L10 + .9 L90) = .4 (L10 − L90).
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .settings import CourseError, current

# In the words of gloo and NCCL: it is not this process that failed.
BROKEN = "onnection (closed|reset|refused)|roken pipe|remote (peer|process|worker)|Timed out waiting"
GRACE = 20  # seconds for torchrun to find the process that failed, before this one ends too


# ---------------------------------------------------------------- joining


def join(timeout: float) -> None:
    """Join the processes that torchrun started: NCCL with a GPU for each, else gloo on the processor."""
    if os.environ["MASTER_ADDR"] in ("127.0.0.1", "localhost"):  # one machine: no name need be looked up
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback())
    processes = int(os.environ["LOCAL_WORLD_SIZE"])  # on this machine: one GPU for each, or none
    gpu = current().device.startswith("cuda") and torch.cuda.device_count() >= processes
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(seconds=timeout))


def loopback() -> str:
    """The network interface by which a machine reaches itself, or nothing if it has another name."""
    return next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "")


@contextmanager
def joined(timeout: float = 600):
    """Inside, this process is one of those that torchrun started; without torchrun it stays alone.

    Each process uses a GPU of its own or, where there are not enough, all use the processor. The first
    one alone shows progress. ``timeout``: seconds to wait for another process before giving up.

    Raises
    ------
    CourseError
        if the environment announces several processes, and only this one was started; and what was raised
        inside, with the process's number before it.
    """
    if "RANK" not in os.environ:
        check_alone()
        yield
        return
    join(timeout)
    changed = {"COURSE_DEVICE": "cpu"} if dist.get_backend() == "gloo" else {}
    if rank():
        changed["COURSE_PROGRESS"] = "off"
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
        dist.barrier()
    except CourseError as error:
        raise CourseError(f"process {rank()} of {count()}: {error}") from error
    except RuntimeError as error:
        if not re.search(BROKEN, str(error)):
            raise
        sys.stderr.write(
            f"process {rank()} of {count()}: another process has ended, and this one ends with it. What "
            "failed is said by that one, or by torchrun below.\n"
        )
        sys.stderr.flush()
        time.sleep(GRACE)  # torchrun ends it sooner, having seen the other one first
        raise SystemExit(1) from error
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        dist.destroy_process_group()


def check_alone() -> None:
    """Nothing, if nothing in the environment says that this process has others beside it.

    Raises
    ------
    CourseError
        if it does, although no number (RANK) was given to this process: ``accelerate launch --cpu
        --num_processes 2`` starts a single one, sets MASTER_ADDR as for several, and says nothing. A job
        of several SageMaker machines without a launcher runs the whole training on each.
    """
    hosts = json.loads(os.environ.get("SM_HOSTS") or "[]")
    signs = [name for name in ("MASTER_ADDR", "WORLD_SIZE") if os.environ.get(name, "1") != "1"]
    signs += ["SM_HOSTS"] if len(hosts) > 1 else []
    if signs:
        raise CourseError(
            f"The environment ({' and '.join(signs)}) announces several processes, but this one is alone: it "
            "has no RANK. `accelerate launch --cpu --num_processes 2` starts one process and does not say so. "
            "Use torchrun --nproc-per-node 2 -m course_utils …; for one process, unset "
            f"{' and '.join(signs)}."
        )


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


# ---------------------------------------------------------------- dividing and adding up


def share(rows: Sequence) -> Sequence:
    """Every ``count()``-th of the rows, from this process's own number on: neighbours are of similar length."""
    return rows[rank() :: count()]


def total(number: float) -> float:
    """The sum of all processes' numbers, the same on each."""
    if count() == 1:
        return number
    numbers = torch.tensor([number], dtype=torch.float64, device=_place())
    dist.all_reduce(numbers)
    return numbers.item()


def gathered(thing) -> list:
    """Every process's thing, by number; small things only."""
    things = [thing] * count()
    if count() > 1:
        dist.all_gather_object(things, thing)
    return things


def from_first(content, tensors: dict[str, torch.Tensor]):
    """``(content, tensors)`` of process 0, on every process; they need no disk in common."""
    if count() == 1:
        return content, tensors
    shapes = {name: [list(t.shape), str(t.dtype).removeprefix("torch.")] for name, t in tensors.items()}
    ((content, shapes), *_) = gathered((content, shapes) if rank() == 0 else (None, {}))
    found = {}
    for name, (shape, dtype) in shapes.items():
        here = tensors[name] if rank() == 0 else torch.empty(shape, dtype=getattr(torch, dtype))
        there = here.to(_place())
        dist.broadcast(there, 0)
        found[name] = there.to(here.device)
    return content, found


def same_start(weights: Iterable[torch.Tensor]) -> None:
    """Give every process the first one's weights."""
    for p in weights if count() > 1 else ():
        dist.broadcast(p.data, 0)


def add_up(weights: Iterable[nn.Parameter]) -> None:
    """Put into each weight's ``grad`` the sum of all processes' gradients, in one message."""
    if count() == 1:
        return
    weights = list(weights)
    for p in weights:
        if p.grad is None:  # this process had nothing to compute
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.flatten() for p in weights])
    dist.all_reduce(flat)
    for p, numbers in zip(weights, flat.split([p.numel() for p in weights])):
        p.grad.copy_(numbers.view_as(p))


class Loss(nn.Module):
    """``loss(…)`` as a module over ``weights``: what DistributedDataParallel wraps."""

    def __init__(self, weights: Iterable[nn.Parameter], loss: Callable):
        super().__init__()
        self.weights, self.loss = nn.ParameterList(weights), loss

    def forward(self, *args):
        return self.loss(*args)


def distributed(weights: Iterable[nn.Parameter], loss: Callable) -> Callable:
    """``loss`` under torch's DistributedDataParallel: a backward pass also exchanges the gradients, layer by
    layer while it runs. All processes begin with the first one's weights. Alone: ``loss`` itself.

    DDP leaves the *mean* of the processes' gradients. Whoever has divided by the tokens of all of them wants
    the sum: multiply by :func:`count`.
    """
    if count() == 1:
        return loss
    return DistributedDataParallel(Loss(weights, loss), gradient_as_bucket_view=True)


def exchanging(loss: Callable, now: bool):
    """A context for a forward and a backward pass; unless ``now``, gradients only add up here."""
    return nullcontext() if now or count() == 1 else loss.no_sync()


def _place() -> torch.device:
    """Where numbers must be to be sent."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
