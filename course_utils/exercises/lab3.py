"""Reference answers and their tests."""

from __future__ import annotations

from .engine import Exercise

EXERCISES: list[Exercise] = []
