"""What a learner calls beside ``check``: hints one at a time, solutions, and progress."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from . import engine, record


def hint(id: str) -> None:
    """Print the exercise's next hint; after the last one, all of them again.

    The first call prints the first hint. Which one was last read is in the record.
    """
    hints = engine.find(id).hints
    read = sum(e.get("exercise") == id for e in record.entries("hint"))
    if read < len(hints):
        print(engine.lines(f"Hint {read + 1} of {len(hints)}: {hints[read]}"))
        record.add("hint", exercise=id, number=read + 1)
        return
    for position, text in enumerate(hints, 1):
        print(engine.lines(f"Hint {position} of {len(hints)}: {text}"))
    print(f'That was all. After an attempt, solution("{id}") prints one way to do it.')


def solution(id: str, now: bool = False) -> None:
    """Print the reference answer, once the exercise was attempted; ``now=True`` does not wait."""
    exercise = engine.find(id)
    if not now and not tallies(record.entries()).get(id, Tally()).tries:
        print(f"Try {id} first, however roughly: the check tells what is missing. "
              f'Or call solution("{id}", now=True).')  # fmt: skip
        return
    record.add("solution", exercise=id)
    print(engine.source(exercise))


@dataclass
class Tally:
    """What the record says of one exercise."""

    tries: int = 0  # checks that said right or wrong
    tries_to_right: int = 0  # 0: not solved
    first: str = ""  # verdict of the first try; empty: none, or not known
    hints: int = 0
    solution_first: bool = False  # the solution was read before the first try
    misconceptions: Counter = field(default_factory=Counter)  # message → times

    @property
    def solved(self) -> bool:
        """Was it right once?"""
        return self.tries_to_right > 0


def tallies(entries: list[dict]) -> dict[str, Tally]:
    """One :class:`Tally` for each exercise that one learner's record names.

    An earlier version of the course kept only the best verdict: what was copied from it counts as
    solved or not, and its first try as not known.
    """
    found: dict[str, Tally] = defaultdict(Tally)
    for entry in entries:
        if entry["kind"] not in ("attempt", "hint", "solution"):
            continue
        tally = found[str(entry.get("exercise"))]
        if entry["kind"] == "hint":
            tally.hints += 1
        elif entry["kind"] == "solution":
            tally.solution_first |= not tally.tries
        elif entry["verdict"] in ("right", "wrong"):
            tally.tries += 1
            if tally.tries == 1 and entry["session"] != record.FORMER_SESSION:
                tally.first = entry["verdict"]
            if entry["verdict"] == "wrong":
                tally.misconceptions[entry["message"]] += 1
            elif not tally.solved:
                tally.tries_to_right = tally.tries
    return dict(found)


def progress(notebook: str = "", reset: bool = False) -> None:
    """Print what is solved, of one notebook (``"lab1"``) or all, and what the first try showed.

    ``reset=True`` begins an empty record; the former one is put aside, and where is said.
    """
    if reset:
        _reset()
    known = {id: e for id, e in engine._all().items() if notebook in ("", e.notebook)}
    if not known:
        print(f"There is no notebook {notebook!r}; there are {', '.join(engine.NOTEBOOKS)}.")
        return
    done = tallies(record.entries())
    for id, exercise in known.items():
        print(f"{id:14s} {_state(done.get(id, Tally())):26s} {exercise.title}".rstrip())
    done = {id: tally for id, tally in done.items() if id in known}
    solved = sum(tally.solved for tally in done.values())
    first = sum(tally.first == "right" and not tally.solution_first for tally in done.values())
    print(f"{solved} of {len(known)} solved, {first} of them at the first try")


def _state(tally: Tally) -> str:
    if not tally.tries:
        return "not attempted"
    if not tally.solved:
        return f"wrong ({tally.tries} tr{'y' if tally.tries == 1 else 'ies'})"
    if tally.solution_first:
        return "right (after the solution)"
    return f"right (try {tally.tries_to_right})" if tally.first else "right"


def _reset() -> None:
    try:
        aside = record.reset()
    except OSError as error:
        print(f"The record cannot be put aside ({error.strerror}); it stays as it is.")
        return
    print(f"Your former record is now {aside}." if aside else "There was no record yet.")
