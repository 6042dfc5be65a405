"""Exercises that check themselves, and the record of what came of them."""

from .engine import Exercise, Wrong, check, find
from .learning import hint, progress, solution

__all__ = ["Exercise", "Wrong", "check", "find", "hint", "progress", "solution"]
