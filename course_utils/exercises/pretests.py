"""``pretest`` before a week and ``gained`` after its quiz: what was learnt, question by question."""

from __future__ import annotations

from . import record
from .pretest_items import WEEKS
from .questions import Question


def questions_of(week: str) -> list[Question]:
    """The week's ten questions.

    Raises
    ------
    KeyError
        if there is no such week.
    """
    if week not in WEEKS:
        raise KeyError(f"There is no week {week!r}; there are {', '.join(WEEKS)}.")
    return WEEKS[week][1]


def pretest(week: str, answers: str | None = None) -> None:
    """Print ten questions, or keep ten letters: ``pretest("week1", "a c b …")``. A dash is "no idea".

    The first letters count, and nothing is judged: ``gained`` does so after the quiz.
    """
    questions = questions_of(week)
    if answers is None or answers is ...:
        print(f'Answer in this cell: pretest("{week}", "a - b …"), a letter for each question, - for '
              '"no idea".')  # fmt: skip
        for number, question in enumerate(questions, 1):
            print(f"\n{number}. {question.text}")
            for letter, (text, _) in question.options.items():
                print(f"   {letter}) {text}")
        return
    letters = [sign for sign in str(answers).lower() if sign.isalpha() or sign == "-"]
    if len(letters) != len(questions) or not set(letters) <= set("abcd-"):
        print(f"{len(questions)} letters from a to d are needed, or - for \"no idea\"; "
              f"{len(letters)} signs were given: {' '.join(letters)}")  # fmt: skip
        return
    if before(week, record.entries()) is None:
        right = [letter == question.right for letter, question in zip(letters, questions)]
        record.add("pretest", week=week, letters=" ".join(letters), right=right)
    print(f"{week}: your first ten letters are kept. After the quiz, gained(\"{week}\") compares.")


def before(week: str, entries: list[dict]) -> list[bool] | None:
    """Which pretest questions were right; None if the pretest was not taken."""
    found = (e["right"] for e in entries if e["kind"] == "pretest" and e.get("week") == week)
    return next((right for right in found if len(right) == len(questions_of(week))), None)


def after(week: str, entries: list[dict]) -> list[bool | None]:
    """Which quiz questions were right at the first try; None where there was none."""
    quiz, questions = WEEKS[week]
    first: dict[str, bool] = {}
    for entry in entries:
        if entry["kind"] == "attempt" and entry["verdict"] in ("right", "wrong"):
            first.setdefault(entry["exercise"], entry["verdict"] == "right")
    return [first.get(f"{quiz}.{number}") for number in range(1, len(questions) + 1)]


def gained(week: str) -> None:
    """Print the gain from the pretest to the quiz's first tries, with its interval over questions."""
    from .. import metrics

    questions_of(week)
    entries = record.entries()
    early, late = before(week, entries), after(week, entries)
    tried = [n for n, right in enumerate(late) if right is not None]
    if early is None or len(tried) < len(late):
        missing = "the pretest" if early is None else f"the quiz ({len(tried)} of {len(late)} questions)"
        print(f"{week}: the gain is printed once pretest and quiz are answered; {missing} is not yet.")
        return
    a, b = [float(right) for right in late], [float(right) for right in early]
    gain = metrics.paired(a, b, unit="question").line(metrics.SHARE_MATTERS, "+.2f")
    print(f"{week}: {sum(b):.0f} of {len(b)} right before, {sum(a):.0f} of {len(a)} at the first try after.")
    print(f"Gain per question {gain}. (One answer in four is right by luck.)")
