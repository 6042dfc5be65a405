"""A training run kept on disk: what was trained, Adam's moments, and the log."""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path

import torch

from . import ranks
from .settings import CourseError


class State(Enum):
    """How far a kept run had come, and so what is kept of it beside its log."""

    UNTRAINED = "the weights before the first update: to put back if that one diverges"
    RUNNING = "the weights and Adam's two moments of each: training goes on from them"
    FINISHED = "the weights alone, a third of a running state: nothing is left to do"


class Checkpoint:
    """Trainable weights, Adam's moments and the log of one training run, in one folder.

    safetensors and JSON only, each written beside its place and renamed into it: a process killed
    half-way leaves the state before. Without a folder the weights alone are kept, in memory. Of several
    processes, which all hold the same, the first one alone reads and writes: the file does not tell how
    many there were, and another number of them can go on from it.

    Parameters
    ----------
    choices : tells one run from another (model, data, recipe: anything JSON can hold), together with the
        names and shapes of ``weights``. A folder that holds another run is written over.
    weights : parameters by name. Tensors that the optimizer does not train are kept beside those it does.
    entry : the dataclass of the log's entries, each after any number of updates.
    """

    def __init__(self, folder, choices, weights: dict, optimizer: torch.optim.Optimizer, entry: type):
        self.folder = Path(folder) if folder else None
        self.weights, self.optimizer, self.entry = weights, optimizer, entry
        self.copy: dict[str, torch.Tensor] = {}
        shapes = {name: list(p.shape) for name, p in weights.items()}
        text = json.dumps([choices, shapes])
        self.run = hashlib.sha256(text.encode()).hexdigest()

    def load(self) -> list:
        """Put the saved state back and return its log; an empty one if there is none for this run, or another
        version of the course wrote it."""
        state, tensors = self._read()
        try:
            log = [self.entry(**step) for step in state["log"]]
        except (KeyError, TypeError):
            log = []
        if not log or "updates" not in state or any(f"weight.{name}" not in tensors for name in self.weights):
            return []
        self._put(tensors)
        for name, p in self.weights.items():
            if f"mean.{name}" in tensors:  # State.RUNNING; a finished run has nothing to go on with
                self.optimizer.state[p] = {
                    "step": torch.tensor(float(state["updates"])),
                    "exp_avg": tensors[f"mean.{name}"].to(p.device),
                    "exp_avg_sq": tensors[f"square.{name}"].to(p.device),
                }
        return log

    def put_back(self) -> None:
        """Give the model the weights of the last :meth:`keep`."""
        self._put(self._read()[1] if self.folder else self.copy)

    def keep(self, log: list, state: State) -> None:
        """Write weights and log, and where the run goes on Adam's moments.

        Raises
        ------
        CourseError
            if the disk is full or the folder cannot be written; the state before stays.
        """
        if not self.folder:
            if state is not State.FINISHED:  # the model itself holds what a finished run is
                self.copy = {f"weight.{n}": p.detach().clone() for n, p in self.weights.items()}
            return
        if ranks.rank():
            return
        try:
            self._write(log, state)
        except Exception as error:  # safetensors has an error of its own for what the disk refuses
            if getattr(error, "errno", None) != errno.ENOSPC and "No space left" not in str(error):
                if not isinstance(error, OSError):
                    raise
                raise CourseError(
                    f"The training run cannot be kept in {self.folder} ({error.strerror}); give another folder."
                ) from error
            raise CourseError(
                f"The disk is full: the training run in {self.folder} could not be kept. Free some space "
                "or set COURSE_CACHE to a folder on another disk; the run goes on from its last state."
            ) from error

    @torch.no_grad()
    def _put(self, tensors: dict[str, torch.Tensor]) -> None:
        for name, p in self.weights.items():
            p.copy_(tensors[f"weight.{name}"])

    def _read(self) -> tuple[dict, dict[str, torch.Tensor]]:
        """What the first process finds, on each of them."""
        return ranks.from_first(*(({"log": []}, {}) if ranks.rank() else self._read_file()))

    def _read_file(self) -> tuple[dict, dict[str, torch.Tensor]]:
        from safetensors.torch import load_file

        try:
            state = json.loads((self.folder / "state.json").read_text())
            if state["run"] == self.run:
                return state, load_file(self.folder / state["file"])
        except Exception:  # no folder, no file, or half-written by something else: start anew
            pass
        return {"log": []}, {}

    def _write(self, log: list, state: State) -> None:
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"weight.{name}": p.detach().contiguous() for name, p in self.weights.items()}
        if state is State.RUNNING:
            for name, p in self.weights.items():
                if p in self.optimizer.state:
                    tensors[f"mean.{name}"] = self.optimizer.state[p]["exp_avg"].contiguous()
                    tensors[f"square.{name}"] = self.optimizer.state[p]["exp_avg_sq"].contiguous()
        file = f"step{len(log)}.safetensors"
        save_file(tensors, self.folder / f"{file}.tmp")
        (self.folder / f"{file}.tmp").replace(self.folder / file)
        updates = max((int(s["step"]) for s in self.optimizer.state.values()), default=0)
        content = {
            "run": self.run, "file": file, "updates": updates, "log": [asdict(step) for step in log],
        }  # fmt: skip
        # The log is replaced last: until then state.json names the tensors of the state before.
        (self.folder / "state.json.tmp").write_text(json.dumps(content))
        (self.folder / "state.json.tmp").replace(self.folder / "state.json")
        for old in self.folder.glob("step*.safetensors*"):
            if old.name != file:
                old.unlink()
