"""Helpers for the course *Generative AI with Large Language Models*.

Importing this package loads nothing heavy: torch and transformers are imported by the modules that
need them, so ``import course_utils`` takes a fraction of a second.
"""

__version__ = "0.1.0"
