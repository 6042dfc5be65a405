"""Texts that differ in one thing: for tests that tell one cause of a score from another.

The sentences of the heated dialogues with other insults, with other people, or with two people exchanged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .rewards import insults

ADJECTIVES = (
    "idiotic", "pathetic", "useless", "stupid", "lazy", "selfish", "hopeless", "incompetent", "worthless",
    "spineless", "gutless", "brainless", "clueless", "pigheaded", "two-faced",
)  # fmt: skip
PLURALS = ("idiots", "clowns", "liars", "losers")


def find_insults(text: str) -> list[str]:
    """The insults of the course's list in a text, in lower case and in their order."""
    return [word.lower() for word in _any_insult().findall(text)]


def exchange(text: str, nouns: Sequence[str], adjectives: Sequence[str]) -> str:
    """The text with each insult of the course's list replaced by one of the words, the same for the same text.

    An insult that is an adjective becomes one of ``adjectives``, another one of ``nouns``. The last word
    of each list begins with a vowel: it stands where "an" stood.

    >>> exchange("Bo, a pathetic clown, calls Ana an idiot.", ["friend", "artist"], ["careful", "honest"])
    'Bo, a careful friend, calls Ana an artist.'
    """

    def other(match: re.Match) -> str:
        word = match[0].lower()
        choice = adjectives if word in ADJECTIVES else nouns
        plural = "s" if word in PLURALS else ""
        return (choice[-1] if word[0] in "aio" else choice[len(text) % (len(choice) - 1)]) + plural

    return _any_insult().sub(other, text)


def speakers(dialogue: str) -> list[str]:
    """The names before the colons, in the order of their first turn."""
    return list(dict.fromkeys(line.split(":")[0] for line in dialogue.splitlines() if ":" in line))


def rename(text: str, old: Sequence[str], new: Sequence[str]) -> str:
    """The text with the people of ``old`` called ``new``, the first the first, and so on.

    >>> rename("Ana scolds Bo.", ["Ana", "Bo"], ["Bo", "Ana"])
    'Bo scolds Ana.'
    """
    names = {name: new[min(i, len(new) - 1)] for i, name in enumerate(old)}
    any_name = rf"\b({'|'.join(map(re.escape, old))})\b"
    return re.sub(any_name, lambda match: names[match[0]], text)


def other_stories(rows: Sequence[dict]) -> list[str]:
    """For each dialogue the neutral summary of its neighbour, with its own speakers' names.

    Neighbours are the 1st and the 2nd, the 3rd and the 4th … : each summary is once the right one and once
    the wrong one, so that a judge of the summary alone can learn nothing from the pairs.
    """
    rows = list(rows)
    if len(rows) % 2:
        raise ValueError(f"Neighbours are pairs of rows; {len(rows)} rows leave one alone.")
    found = []
    for i, row in enumerate(rows):
        other = rows[i + 1 if i % 2 == 0 else i - 1]
        found.append(rename(other["summary"], speakers(other["dialogue"]), speakers(row["dialogue"])))
    return found


def roles_exchanged(row: dict) -> str:
    """The neutral summary with its speakers' names moved by one: with two, each does what the other did."""
    names = speakers(row["dialogue"])
    return rename(row["summary"], names, names[1:] + names[:1])


def _any_insult() -> re.Pattern:
    words = [word for part in insults().values() for word in part]
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, words))})(?![\w-])", re.IGNORECASE)
