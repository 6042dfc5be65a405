"""The exercise engine.

A notebook holds a stub and one line, ``f = check("lab1.3", f)``. The line says whether ``f`` is
right, and returns the learner's ``f`` if it is and the reference answer if not, so that the cells
after it always run. The references and their tests live in one module a notebook, in teaching
order in ``NOTEBOOKS``; each week ends with a quiz, a module of its own.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import linecache
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import record

NOTEBOOKS = (
    "what", "transformer", "families", "lab1", "compute", "scaling", "quiz1",
    "tuning", "lab2", "peft", "quiz2",
    "reward", "lab3", "beyond", "shipping", "quiz3",
)  # fmt: skip


class Wrong(Exception):
    """Raised by an exercise's test; the message names the misconception, not the answer."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: what is asked, the reference answer, how an answer is tested, and help.

    ``test(answer)`` returns for a right answer and raises :class:`Wrong` for a wrong one.
    ``praise`` is printed after a right answer.
    """

    id: str
    title: str
    reference: Any
    test: Callable[[Any], None]
    hints: tuple[str, ...]
    praise: str = ""

    @property
    def notebook(self) -> str:
        """The part of the id before the dot: ``lab1`` of ``lab1.3``."""
        return self.id.split(".")[0]


def close(a, b, tolerance: float = 1e-4) -> bool:
    """Same shape, and equal up to ``tolerance``: numbers, lists or tensors."""
    import torch

    a, b = torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)
    return a.shape == b.shape and bool(torch.allclose(a, b, atol=tolerance))


def find(id: str) -> Exercise:
    """The exercise of that id.

    Raises
    ------
    KeyError
        if there is none.
    """
    known = _all()
    if id not in known:
        raise KeyError(f"There is no exercise {id!r}; there are {', '.join(known)}.")
    return known[id]


def _all() -> dict[str, Exercise]:
    modules = [importlib.import_module(f"{__package__}.{name}") for name in NOTEBOOKS]
    return {exercise.id: exercise for module in modules for exercise in module.EXERCISES}


def check(id: str, answer: Any) -> Any:
    """Test an answer, say what came out, and return it if right, else the reference answer.

    An answer counts as not attempted if it is None or ``...``, or a function that still raises
    NotImplementedError. An error in the learner's code is shown with its line.
    """
    exercise = find(id)
    status, message = judge(exercise, answer)
    fallback = f'Going on with the reference answer. hint("{id}") helps.'
    if status == "right":
        print(f"{id} ✓ {exercise.title}: right. {exercise.praise}".rstrip())
    elif status == "not attempted":
        print(f"{id} not attempted yet. {fallback}")
    else:
        print(f"{id} ✗ {message}\n{fallback}")
    record.attempt(id, status, message)
    return answer if status == "right" else copy.deepcopy(exercise.reference)


def judge(exercise: Exercise, answer: Any) -> tuple[str, str]:
    """``("right" | "wrong" | "not attempted", message)``, without printing or remembering."""
    if answer is None or answer is ...:
        return "not attempted", ""
    if callable(exercise.reference) and not callable(answer):
        return "wrong", f"Expected a function, got {type(answer).__name__}."
    try:
        exercise.test(answer)
    except NotImplementedError:
        return "not attempted", ""
    except Wrong as wrong:
        return "wrong", str(wrong)
    except Exception as error:  # the learner's code may raise anything
        return "wrong", _describe(error)
    return "right", ""


def _describe(error: Exception) -> str:
    """Type, message and the last line of the learner's own code that an error passed through."""
    here = str(Path(__file__).parents[1])
    own = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(here)]
    # Prefer notebook cells to libraries the learner's code called.
    cells = [f for f in own if "site-packages" not in f.filename] or own
    if not cells:
        return f"The check could not use your answer: {type(error).__name__}: {error}"
    frame = cells[-1]
    line = frame.line or linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"Your code raised {type(error).__name__}: {error}\n  line {frame.lineno}: {line}"


def source(exercise: Exercise) -> str:
    """The reference answer as code: a function's source, or a value's literal."""
    if callable(exercise.reference):
        return textwrap.dedent(inspect.getsource(exercise.reference)).rstrip()
    return repr(exercise.reference)
