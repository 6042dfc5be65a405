"""The course's own corpora, and loaders for data of the same form."""

from .dialogues import load_dialogues, references

__all__ = ["load_dialogues", "references"]
