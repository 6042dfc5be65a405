"""``review``: five questions from earlier notebooks, spaced by Leitner's boxes (1972).

A question begins in box 1 when it is first answered wrong, in box 2 when right. A right answer moves
it one box up, a wrong one back to box 1. In box b it waits for 2^(b - 1) reviews: it is due in the
next one, then in the second, the fourth … No more than three of five are old ones, while there are new
ones. A quiz question counts by its first try.
"""

from __future__ import annotations

from . import engine, record
from .questions import Question
from .review_items import ITEMS

FIVE = 5
DUE = 3  # of the five, while there are questions never asked: else the newest notebooks would not come up
BOXES = 5


def lessons() -> list[str]:
    """The notebooks in teaching order, without the quizzes at their weeks' ends."""
    return [name for name in engine.NOTEBOOKS if not name.startswith("quiz")]


def pool(notebook: str) -> dict[str, Question]:
    """The questions on notebooks before this one, by id, in teaching order.

    Raises
    ------
    KeyError
        if there is no such notebook.
    """
    if notebook not in lessons():
        raise KeyError(f"There is no notebook {notebook!r}; there are {', '.join(lessons())}.")
    earlier = engine.NOTEBOOKS[: engine.NOTEBOOKS.index(notebook)]
    quizzes = [e for e in engine._all().values() if isinstance(e, Question)]
    found = [q for name in earlier for q in (*ITEMS, *quizzes) if q.notebook == name]
    return {question.id: question for question in found}


def default(notebook: str) -> list[str]:
    """The five that a learner without a record is asked: they stand in the saved notebook.

    Two are on the notebook before, one each on the second, the fourth and the eighth before it; the
    oldest notebooks fill up. Of each, the question that the notebooks before have asked least.
    """
    names = lessons()
    asked = dict.fromkeys((question.id for question in ITEMS), 0)
    chosen: list[str] = []
    for at in range(1, names.index(notebook) + 1):
        chosen = []
        for distance in (1, 1, 2, 4, 8):
            wanted = [names[at - distance]] if distance <= at else names[:at]
            ids = [q.id for name in wanted for q in ITEMS if q.notebook == name and q.id not in chosen]
            chosen.append(min(ids, key=asked.get))  # of equals the first
            asked[chosen[-1]] += 1
    return chosen


def boxes(entries: list[dict]) -> dict[str, tuple[int, int]]:
    """Of each question that was answered: its box, and the review at which it is due."""
    found: dict[str, tuple[int, int]] = {}
    reviews = 0
    for entry in entries:
        if entry["kind"] == "review":
            reviews += 1
            for id, right in entry["right"].items():
                before = found.get(id, (1, 0))[0]
                box = min(BOXES, before + 1) if right else 1
                found[id] = box, reviews + 2 ** (box - 1)
        elif entry["kind"] == "attempt" and entry["exercise"].startswith("quiz"):
            if entry["verdict"] != "not attempted" and entry["exercise"] not in found:
                box = 2 if entry["verdict"] == "right" else 1
                found[entry["exercise"]] = box, reviews + 2 ** (box - 1)
    return found


def choose(notebook: str, entries: list[dict]) -> list[str]:
    """Five questions: three of those due, lowest box first, and two never asked, the last notebook's first.

    Where one sort is short, the other fills up, and then the next ones due.
    """
    known = boxes(entries)
    now = 1 + sum(entry["kind"] == "review" for entry in entries)
    ids = list(pool(notebook))
    order = {id: place for place, id in enumerate(ids)}
    due = sorted((id for id in ids if id in known and known[id][1] <= now),
                 key=lambda id: (known[id][0], known[id][1], order[id]))  # fmt: skip
    fresh = [id for id in default(notebook) if id not in known]
    fresh += [id for id in ids if id not in known and id not in fresh and not id.startswith("quiz")]
    later = sorted((id for id in ids if id in known and id not in due),
                   key=lambda id: (known[id][1], order[id]))  # fmt: skip
    chosen = [*due[:DUE], *fresh][:FIVE]
    return [*chosen, *due[DUE:], *later][:FIVE]


def review(notebook: str, answers: str | None = None) -> None:
    """Ask five questions on earlier notebooks, or judge five letters: ``review("lab1", "b d a c a")``.

    The questions stay the same until they are answered. Answered once, the same call shows what came
    out again; without letters, it opens the next five.
    """
    questions = pool(notebook)
    if not questions:
        print("Nothing to review yet: this is the first notebook.")
        return
    entries = record.entries()
    last = next((e for e in reversed(entries) if _of(e, notebook)), None)
    if answers is None or answers is ...:
        if last is None or last["kind"] == "review":
            ids = choose(notebook, entries)
            record.add("asked", notebook=notebook, items=ids)
        else:
            ids = last["items"]
        _ask(notebook, [questions[id] for id in ids])
        return
    ids = last["items"] if last else default(notebook)
    asked = [questions[id] for id in ids]
    letters = [letter for letter in str(answers).lower() if letter.isalpha()]
    wrong = next((f"{x!r} is no letter of question {n}" for n, (x, q) in enumerate(zip(letters, asked), 1)
                  if x not in q.options), "")  # fmt: skip
    if len(letters) != len(asked) or wrong:
        print(f"{wrong or f'{len(asked)} letters are needed, not {len(letters)}'}: write one for each "
              f'question, such as review("{notebook}", "{" ".join("abcab"[: len(asked)])}").')  # fmt: skip
        return
    right = {q.id: letter == q.right for q, letter in zip(asked, letters)}
    if last is None or last["kind"] == "asked":
        record.add("review", notebook=notebook, items=ids, right=right, letters=" ".join(letters))
    _judge(asked, letters)


def _of(entry: dict, notebook: str) -> bool:
    """Is this line a set of questions asked or answered in that notebook, and can it be read?"""
    known = pool(notebook)
    return (
        entry["kind"] in ("asked", "review")
        and entry.get("notebook") == notebook
        and bool(entry["items"])
        and all(id in known for id in entry["items"])
    )


def _ask(notebook: str, questions: list[Question]) -> None:
    print(f'Five questions on earlier notebooks. Answer in this cell, for example '
          f'review("{notebook}", "{" ".join("abcab"[: len(questions)])}").')
    for number, question in enumerate(questions, 1):
        print(f"\n{number}. {question.text}")
        for letter, (text, _) in question.options.items():
            print(f"   {letter}) {text}")


def _judge(questions: list[Question], letters: list[str]) -> None:
    for number, (question, letter) in enumerate(zip(questions, letters), 1):
        text, why = question.options[letter]
        print(f"{number}. {'✓' if letter == question.right else '✗'} {letter}) {text}: {why}")
    hits = sum(letter == question.right for question, letter in zip(questions, letters))
    print(f"{hits} of {len(questions)} right. What was wrong comes back first, the rest later.")
