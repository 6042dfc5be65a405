"""The course's own corpora, and loaders for data of the same form."""

from .dialogues import is_local, load_dialogues, references
from .prose import load_prose
from .texts import (
    load_domain,
    load_glossary,
    load_instructions,
    load_questions,
    load_tasks,
    load_unrelated,
    small_tasks,
)

__all__ = [
    "is_local", "load_dialogues", "load_domain", "load_glossary", "load_instructions", "load_prose",
    "load_questions", "load_tasks", "load_unrelated", "references", "small_tasks",
]  # fmt: skip
