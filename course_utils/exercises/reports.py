"""``export`` writes what a learner may hand in; ``report`` makes one table of many learners' files."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from ..settings import CourseError
from . import engine, pretests, record
from .learning import Tally, tallies

FORMAT = "course_utils learner 1"
EASY, HARD = 0.8, 0.5
RULE = (
    f"easy: the whole interval of the first-try share is above {EASY:g}; hard: the whole interval of "
    f"the solved share is below {HARD:g}. Few learners make wide intervals, and then neither is said."
)


# ---------------------------------------------------------------- one learner


def export(file: str | Path = "my-progress.json", name: str = "") -> Path | None:
    """Write one JSON file with counts that a learner can hand in, and say what is in it.

    Tries, hints and messages of the checks by exercise, predictions, reviews, pretest and quiz; the
    course's version; ``name`` as it is given. No code, no answers, no times of single tries.
    """
    content = {"name": name, **summary(record.entries())}
    target = Path(file).expanduser()
    try:
        target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"{target} cannot be written ({error.strerror}); choose another place: export(\"…/{target.name}\").")
        return None
    print(f"Written to {target}: {len(content['exercises'])} exercises with the number of tries and hints and the "
          f"messages of their checks, {content['predictions']['made']} predictions, {content['reviews']['answered']} "
          f"review answers, pretests, and the course's version. Name: {name or 'none'}. It holds no code; "
          "open it and read it before you hand it in.")  # fmt: skip
    return target


def summary(entries: list[dict]) -> dict:
    """One learner's record as counts, ready for JSON."""
    from .. import __version__

    outcomes = {e["exercise"]: bool(e.get("close")) for e in entries
                if e["kind"] == "outcome" and isinstance(e.get("exercise"), str)}  # fmt: skip
    answered = [right for e in entries if e["kind"] == "review" for right in e["right"].values()]
    weeks = {}
    for week in pretests.WEEKS:
        early, late = pretests.before(week, entries), pretests.after(week, entries)
        weeks[week] = {
            "before": None if early is None else sum(early),
            "after": None if None in late else sum(map(bool, late)),
            "questions": len(late),
        }
    return {
        "format": FORMAT,
        "course": __version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "exercises": {
            id: {**vars(tally), "misconceptions": dict(tally.misconceptions)}
            for id, tally in tallies(entries).items()
        },
        "predictions": {"made": len(outcomes), "close": sum(outcomes.values())},
        "reviews": {"answered": len(answered), "right": sum(map(bool, answered))},
        "weeks": weeks,
    }


# ---------------------------------------------------------------- many learners


def report(files: str | Path | Iterable[str | Path]) -> None:
    """Print a teacher's table of learners' exports or records, one file a learner.

    A folder stands for the ``.json`` and ``.jsonl`` files in it. A file that is neither is named and
    left out.

    Raises
    ------
    CourseError
        if no file can be read.
    """
    learners = []
    for path in _files([files] if isinstance(files, str | Path) else files):
        try:
            learners.append(read(path))
        except ValueError as error:
            print(f"{path} is left out: {error}")
    if not learners:
        raise CourseError("No learner's file was found; name exports (.json), records (.jsonl) or their folder.")
    print("\n".join(lines(learners)))


def _files(paths: Iterable[str | Path]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, paths):
        inside = path.iterdir() if path.is_dir() else [path]
        found += sorted(p for p in inside if not path.is_dir() or p.suffix in (".json", ".jsonl"))
    return found


def read(path: Path) -> dict:
    """One learner's :func:`summary`, from an export or a record.

    Raises
    ------
    ValueError
        if the file is neither; the message says why.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror}).") from error
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if isinstance(content, dict) and content.get("format") == FORMAT:
        try:
            content["exercises"] = {id: _tally(counts) for id, counts in content["exercises"].items()}
            content["weeks"] = {week: _week(counts) for week, counts in content["weeks"].items()}
            return content | {"course": str(content["course"])}
        except (AttributeError, KeyError, TypeError):
            raise ValueError("its counts are damaged.") from None
    entries = record.parse(text)
    if not entries:
        raise ValueError("it is neither an export nor a record.")
    return summary(entries) | {"exercises": tallies(entries)}


def _tally(counts: dict) -> Tally:
    tally = Tally(**counts)
    numbers = (tally.tries, tally.tries_to_right, tally.hints, *tally.misconceptions.values())
    if not all(isinstance(n, int) for n in numbers):
        raise TypeError
    tally.misconceptions = Counter(tally.misconceptions)
    return tally


def _week(counts: dict) -> dict:
    right = [n for n in (counts["before"], counts["after"]) if n is not None]
    if not all(isinstance(n, int) and 0 <= n <= counts["questions"] and counts["questions"] for n in right):
        raise TypeError
    return counts


def lines(learners: list[dict]) -> list[str]:
    """The report's lines: a table, what is too easy or too hard, misconceptions, gains."""
    from .. import metrics

    by_exercise: dict[str, list[Tally]] = defaultdict(list)
    for learner in learners:
        for id, tally in learner["exercises"].items():
            if tally.tries:
                by_exercise[id].append(tally)
    known = [id for id in engine._all() if id in by_exercise]
    others = sorted(set(by_exercise) - set(known))
    versions = Counter(str(learner["course"]) for learner in learners)
    out = [f"{len(learners)} learner{'s' * (len(learners) > 1)}, course " + ", ".join(f"{v} ({n})" for v, n in versions.items()), "",
           f"{'exercise':14s}{'tried':>6s}{'solved':>7s}{'hints':>7s}   first try right"]  # fmt: skip
    easy, hard = [], []
    for id in known:
        found = by_exercise[id]
        solved = [float(t.solved) for t in found]
        first = [float(t.first == "right" and not t.solution_first) for t in found if t.first]
        text = "not known"
        if first:
            share = metrics.interval(first, unit="learner")
            text = f"{share:.2f}, n = {share.n}"
            if share.low > EASY:
                easy.append(id)
        if metrics.interval(solved, unit="learner").high < HARD:
            hard.append(id)
        hints = sum(t.hints for t in found)
        out.append(f"{id:14s}{len(found):6d}{sum(solved):7.0f}{hints:7d}   {text}")
    if others:
        out.append(f"Not in this version of the course: {', '.join(others)}")
    out += ["", f"Too easy: {', '.join(easy) or 'none'}", f"Too hard: {', '.join(hard) or 'none'}", f"({RULE})", "",
            "Misconceptions by the number of learners who showed them"]  # fmt: skip
    out += _misconceptions(by_exercise) or ["none"]
    return out + ["", *_gains(learners)]


def _misconceptions(by_exercise: dict[str, list[Tally]]) -> list[str]:
    """Messages that differ in numbers alone are one; the commonest wording is shown."""
    shown: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for id, found in by_exercise.items():
        for tally in found:
            own = {re.sub(r"\d+(\.\d+)?", "#", message): message for message in tally.misconceptions}
            for key, message in own.items():
                shown[id, key][message] += 1
    ranked = sorted(shown.items(), key=lambda item: (-item[1].total(), item[0]))
    return [f"{words.total():4d}  {id}: {words.most_common(1)[0][0]}" for (id, _), words in ranked]


def _gains(learners: list[dict]) -> list[str]:
    """Pretest against quiz, by week: the share of questions right, paired by learner."""
    from .. import metrics

    out = []
    for week in pretests.WEEKS:
        both = [w for w in (learner.get("weeks", {}).get(week) for learner in learners)
                if w and w["before"] is not None and w["after"] is not None]  # fmt: skip
        if len(both) < 2:
            out.append(f"{week}: pretest and quiz of {len(both)} learner(s); a gain needs two")
            continue
        early, late = ([w[key] / w["questions"] for w in both] for key in ("before", "after"))
        gain = metrics.paired(late, early, unit="learner").line(metrics.SHARE_MATTERS, "+.2f")
        out.append(f"{week}: share right {sum(early) / len(both):.2f} before, {sum(late) / len(both):.2f} after; gain {gain}")
    return out
