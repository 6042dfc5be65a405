"""Exercises that check themselves, and the record of what came of them."""

from .engine import Exercise, Wrong, check, find
from .guesses import guessed, predict
from .learning import hint, progress, solution

__all__ = ["Exercise", "Wrong", "check", "find", "guessed", "hint", "predict", "progress", "solution"]
