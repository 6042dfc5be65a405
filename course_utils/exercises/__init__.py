"""Exercises that check themselves, and the record of what came of them."""

from .engine import Exercise, Wrong, check, find
from .guesses import guessed, predict
from .learning import hint, progress, solution
from .pretests import gained, pretest
from .reports import export, report
from .reviews import review

__all__ = [
    "Exercise", "Wrong", "check", "export", "find", "gained", "guessed", "hint", "predict", "pretest",
    "progress", "report", "review", "solution",
]  # fmt: skip
