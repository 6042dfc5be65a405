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
import sysconfig
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import record
from .answers import Kind, Wrong, shown, something
from .guard import (
    SECONDS,
    Guarded,
    TooLong,
    nobody_to_ask,
    reading,
    same_random_numbers,
    time_limit,
)

NOTEBOOKS = (
    "what", "transformer", "families", "building", "lab1", "compute", "scaling", "domains", "quiz1",
    "tuning", "lab2", "peft", "adapters", "quiz2",
    "reward", "lab3", "beyond", "reasoning", "cheap", "applications", "quiz3",
)  # fmt: skip

# What moved to another notebook and kept its id: records of learners hold it.
MOVED = {
    "what.4": "building", "what.5": "building", "what.6": "building", "what.7": "building",
    "scaling.7": "domains", "scaling.8": "domains", "scaling.p2": "domains",
    "peft.6": "adapters", "peft.7": "adapters", "peft.8": "adapters", "peft.9": "adapters",
    "peft.r3": "adapters", "peft.r4": "adapters",
    "shipping.1": "cheap", "shipping.8": "cheap", "shipping.2": "cheap", "shipping.3": "cheap",
    "shipping.7": "cheap", "shipping.p1": "cheap", "shipping.p2": "cheap",
    "shipping.4": "reasoning", "shipping.p3": "reasoning",
    "shipping.5": "applications", "shipping.6": "applications", "shipping.p4": "applications",
}  # fmt: skip


def home(id: str) -> str:
    """Where an exercise or a guess stands: ``lab1`` for ``lab1.3``, unless it has moved."""
    return MOVED.get(id, id.split(".")[0])


@dataclass(frozen=True)
class Exercise:
    """One exercise: what is asked, the reference answer, how an answer is tested, and help.

    ``test(answer)`` returns for a right answer and raises :class:`Wrong` for a wrong one. A function
    reaches it guarded (:class:`.guard.Guarded`): with copies of its arguments, and with what it
    returns read as the kind ``returns``. ``seconds`` is how long a test may take before the answer
    counts as endless. ``praise`` is printed after a right answer. ``minutes`` is its study time, where
    the length of the reference would misjudge it.
    """

    id: str
    title: str
    reference: Any
    test: Callable[[Any], None]
    hints: tuple[str, ...]
    praise: str = ""
    returns: Kind = something
    seconds: float = SECONDS
    minutes: float | None = None

    @property
    def notebook(self) -> str:
        """Where it stands: ``lab1`` for ``lab1.3``, unless it has moved."""
        return home(self.id)


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
        own = [other for other in known if other.startswith(f"{str(id).split('.')[0]}.")]
        there = own or [f"{notebook}.1 …" for notebook in NOTEBOOKS]
        raise KeyError(f"There is no exercise {id!r}; there are {', '.join(there)}.")
    return known[id]


def _all() -> dict[str, Exercise]:
    modules = [importlib.import_module(f"{__package__}.{name}") for name in NOTEBOOKS]
    return {exercise.id: exercise for module in modules for exercise in module.EXERCISES}


def check(id: str, answer: Any) -> Any:
    """Test an answer, say what came out, and return it if right, else the reference answer.

    An answer counts as not attempted if it is None or ``...``, or a function that still raises
    NotImplementedError. An error in the learner's code is shown with its line. A right answer that
    returns another type than the cells after it need (a list for a tensor) comes back converting.
    """
    exercise = find(id)
    status, message, usable = _judge(exercise, answer)
    fallback = f'Going on with the reference answer. hint("{id}") helps.'
    if status == "right":
        print(lines(f"{id} ✓ {exercise.title}: right. {exercise.praise}".rstrip()))
    elif status == "not attempted":
        print(f"{id} not attempted yet. {fallback}")
    else:
        print(lines(f"{id} ✗ {message}\n{fallback}"))
    record.attempt(id, status, message)
    return usable if status == "right" else copy.deepcopy(exercise.reference)


def lines(text: str, width: int = 100) -> str:
    """The text with new lines between words; lines that begin with a blank, such as code, stay.

    JupyterLab shows some 105 characters beside its list of files, and breaks longer lines within words.
    """
    return "\n".join(
        line if line.startswith(" ") else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )


def judge(exercise: Exercise, answer: Any) -> tuple[str, str]:
    """``("right" | "wrong" | "not attempted", message)``, without printing or remembering."""
    return _judge(exercise, answer)[:2]


def _judge(exercise: Exercise, answer: Any) -> tuple[str, str, Any]:
    """Status, message, and the answer as the cells after it need it."""
    if answer is None or answer is ...:
        return "not attempted", "", None
    if not callable(exercise.reference):
        return _verdict(exercise, answer, lambda: exercise.returns.read(answer), lambda kept: kept)
    if not callable(answer):
        return "wrong", f"Expected a function, got {shown(answer)}.", None
    guarded = Guarded(answer, exercise.returns)

    def usable(kept):
        return reading(answer, exercise.returns) if guarded.converted else answer

    return _verdict(exercise, answer, lambda: guarded, usable)


def _verdict(exercise: Exercise, answer: Any, read: Callable, usable: Callable) -> tuple[str, str, Any]:
    tested = None
    try:
        with time_limit(exercise.seconds), same_random_numbers(), nobody_to_ask():
            tested = read()
            exercise.test(tested)
    except NotImplementedError:
        return "not attempted", "", None
    except Wrong as wrong:
        message = str(wrong)
        if isinstance(tested, Guarded) and tested.called and tested.only_none and "`return`" not in message:
            message += " (Your function has only returned None so far: is `return` missing?)"
        return "wrong", message, None
    except TooLong:
        return "wrong", f"Still running after {exercise.seconds:g} s: an endless loop?", None
    except KeyboardInterrupt:
        return "wrong", "Stopped before the check was done: is there a loop that never ends?", None
    except (Exception, SystemExit) as error:  # the learner's code may raise anything
        return "wrong", _describe(error, tested, exercise.returns), None
    return "right", "", usable(tested)


def _describe(error: BaseException, tested: Any, wanted: Kind) -> str:
    """Type, message and the last line of the learner's own code that an error passed through.

    An error inside the check is the answer's too: then the message says what came back.
    """
    here = str(Path(__file__).parents[1])
    own = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(here)]
    # Prefer notebook cells to libraries the learner's code called.
    libraries = "site-packages", "<frozen", sysconfig.get_path("stdlib")
    cells = [f for f in own if not any(part in f.filename for part in libraries)]
    name = f"{type(error).__name__}: {error}".rstrip(": ")
    if not cells and isinstance(tested, Guarded) and tested.called:
        return f"What your function returned cannot be used: {shown(tested.last)}; wanted: {wanted.words}."
    if not (cells or own):
        return f"The check could not use your answer: {name}"
    frame = (cells or own)[-1]
    line = frame.line or linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"Your code raised {name}\n  line {frame.lineno}: {line}"


def source(exercise: Exercise) -> str:
    """The reference answer as code: a function's source, or a value's literal."""
    if callable(exercise.reference):
        return textwrap.dedent(inspect.getsource(exercise.reference)).rstrip()
    return repr(exercise.reference)
