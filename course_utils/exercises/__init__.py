"""Exercises that check themselves: ``check``, ``hint``, ``solution``, ``progress``."""

from .engine import Exercise, Wrong, check, find, hint, progress, solution

__all__ = ["Exercise", "Wrong", "check", "find", "hint", "progress", "solution"]
