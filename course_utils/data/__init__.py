"""The course's own corpora, and loaders for data of the same form."""

from .dialogues import load_dialogues, references
from .prose import load_prose

__all__ = ["load_dialogues", "load_prose", "references"]
