"""Helpers for the course *Generative AI with Large Language Models*.

Importing this package loads nothing heavy: torch and transformers are imported by the modules that
need them, so ``import course_utils`` takes a fraction of a second.

At the root stands what notebooks import, one idea a module. ``studies`` made what ``trained`` holds;
``notebooks`` and ``doctor`` serve those who maintain or teach the course. No lesson imports these three.
"""

__version__ = "0.1.0"
