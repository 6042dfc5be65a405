"""Every exercise: stub → not attempted, reference → right, planted wrong answers → their message."""

import inspect
import json
import re

import numpy as np
import pytest
import torch
from planted_week2 import PLANTED as WEEK2

from course_utils import notebooks
from course_utils.exercises import engine
from course_utils.exercises.engine import Exercise, Wrong, judge
from course_utils.metrics import interval, paired

ALL = engine._all()


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


def block(examples, dialogue, head="", tail="Summary:"):
    return (
        head
        + "".join(f"{e['dialogue']}\nSummary: {e['summary']}\n\n" for e in examples)
        + f"{dialogue}\n{tail}"
    )


def top_p_without_crossing(probs, p):
    keep = probs.cumsum(0) <= p
    return torch.nan_to_num(probs * keep / (probs * keep).sum(), nan=0.0)


def top_p_sorted_only(probs, p):
    kept = probs * (probs.cumsum(0) - probs < p)
    return kept / kept.sum()


def top_p_unnormalised(probs, p):
    return probs * (probs.cumsum(0) - probs < p)


def divide_all(logits, seen, penalty):
    out = logits.clone()
    out[list(set(seen))] /= penalty
    return out


def punish_each_time(logits, seen, penalty):
    out = logits.clone()
    for t in seen:
        out[t] = out[t] / penalty if out[t] > 0 else out[t] * penalty
    return out


def in_place(logits, seen, penalty):
    logits[0] = 1.5
    logits[1] = -4.0
    return logits


def draw(rows, k, rng, replace=False):
    rows = list(rows)
    return [rows[i] for i in rng.choice(len(rows), k, replace=replace)]


# id → [(wrong answer, words of the message it must get)]
PLANTED = {
    "lab1.1": [
        ("Summarize: Ana: Rain? Bo: Until noon.", "no {dialogue}"),
        ("{dialogue} and again {dialogue}: summarise in one line", "2 times"),
        ("{dialogue}", "next to no words"),
        (42, "is a text"),
    ],
    "lab1.2": [
        (lambda e, d: block(e, d, tail=""), "nothing more"),
        (lambda e, d: "\n\n".join([x["dialogue"] for x in e] + [d + "\nSummary:"]), "unanswered"),
        (lambda e, d: block([], d) + "\n\n" + block(e, "")[:-8], "open question comes first"),
        (lambda e, d: "".join(f"Summary: {x['summary']}\n{x['dialogue']}\n" for x in e) + d + "\nSummary:", "before its dialogue"),
    ],
    "lab1.3": [
        (lambda a, b, k, s: draw([*a, *b], k, np.random.default_rng(s)), "test split"),
        (lambda a, b, k, s: draw(a, k, np.random.default_rng(s)), "compare the texts"),
        (lambda a, b, k, s: draw(a[:12], k, np.random.default_rng(s), True), "twice"),
        (lambda a, b, k, s: list(a)[:k], "same few examples"),
    ],
    "lab1.6": [
        (lambda z, t: torch.softmax(z * t, 0), "multiply"),
        (lambda z, t: torch.softmax(z, 0) / t, "Divide the logits"),
        (lambda z, t: (z / t).exp() / (z / t).exp().sum(), "overflows"),
        (lambda z, t: (z / t).exp(), "add up to"),
    ],
    "lab1.8": [
        (top_p_without_crossing, "*crosses*"),
        (top_p_sorted_only, "sorted input"),
        (top_p_unnormalised, "add up to 0.90"),
    ],
    "lab1.7": [
        (divide_all, "*likelier*"),
        (punish_each_time, "punished twice"),
        (in_place, "in place"),
    ],
    "lab1.9": [
        (lambda ids, e: sum(int(i) != e for i in ids), "ending is part"),
        (lambda ids, e: len(list(ids)), "padding"),
        (lambda ids, e: ids.index(e) + 1 if e in ids else 0, "limit stopped"),
    ],
    "lab1.5": [
        (lambda a, b, g: paired(a, b), "4 dialogues"),
        (lambda a, b, g: paired(b, a, groups=g), "Check the order"),
        (lambda a, b, g: np.mean(np.asarray(a) - b), "Return an interval"),
        (lambda a, b, g: interval(np.asarray(a) - b + 0.0 * len(g), groups=np.arange(12)), "4 dialogues"),
    ],
    "lab1.4": [
        (lambda e, q, m, c: sum(np.cumsum(e) <= c), "no room"),
        (lambda e, q, m, c: sum(np.cumsum(e) + q <= c), "*answer*"),
        (lambda e, q, m, c: sum(np.cumsum(e) + q + m < c), "exactly"),
        (lambda e, q, m, c: (c - q - m) // 100, "in order"),
    ],
    "lab1.10": [
        (lambda ts: float(np.mean([len({*zip(t.split(), t.split()[1:])}) / max(1, len(t.split()) - 1) for t in ts])), "pool"),
        (lambda ts: float(len({p for t in ts for p in zip(t.split(), t.split()[1:])})), "count of pairs"),
        (lambda ts: len({p for t in ts for p in zip(t.split(), t.split()[1:])}) / sum(len(t.split()) for t in ts), "not of words"),
    ],
    **WEEK2,
}  # fmt: skip
CASES = [(id, n) for id, wrong in PLANTED.items() for n in range(len(wrong))]


@pytest.mark.parametrize("id", ALL)
def test_the_reference_is_right(id):
    assert judge(ALL[id], ALL[id].reference) == ("right", "")


@pytest.mark.parametrize("id", ALL)
def test_the_stub_is_not_attempted(id):
    def stub(*args):
        raise NotImplementedError("your turn")

    answer = stub if callable(ALL[id].reference) else None
    assert judge(ALL[id], answer)[0] == "not attempted"
    assert judge(ALL[id], ...)[0] == "not attempted"


@pytest.mark.parametrize("id, number", CASES)
def test_a_planted_wrong_answer_gets_its_own_message(id, number):
    answer, words = PLANTED[id][number]
    status, message = judge(ALL[id], answer)
    assert status == "wrong" and words in message, message


@pytest.mark.parametrize("id", ALL)
def test_every_exercise_has_hints_and_two_diagnosed_misconceptions(id):
    assert len(ALL[id].hints) >= 1 and len(PLANTED[id]) >= 2
    messages = {judge(ALL[id], answer)[1] for answer, _ in PLANTED[id]}
    assert len(messages) >= 2


@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda p: p.name)
def test_notebook_stubs_match_their_references(path):
    """Name and parameters agree, each exercise appears once, and hints never give it away."""
    seen = []
    for cell in notebooks.read(path).cells:
        match = notebooks.CHECK_LINE.search(cell.source) if cell.cell_type == "code" else None
        if not match:
            continue
        name, id = match.groups()
        seen.append(id)
        reference = ALL[id].reference
        if callable(reference):
            parameters = ", ".join(inspect.signature(reference).parameters)
            assert reference.__name__ == name
            assert f"def {name}({parameters}):" in cell.source
            assert "NotImplementedError" in cell.source
        else:
            assert re.search(rf"^{name} = None", cell.source, re.M)
    (prefix,) = {id.split(".")[0] for id in seen}
    assert seen == [id for id in ALL if id.split(".")[0] == prefix]


# ---------------------------------------------------------------- the engine itself


def test_check_returns_the_learners_answer_if_right_else_the_reference(capsys):
    def mine(logits, temperature):
        return torch.softmax(logits / temperature, 0)

    assert engine.check("lab1.6", mine) is mine
    assert "right" in capsys.readouterr().out
    other = engine.check("lab1.6", lambda z, t: z)
    assert torch.allclose(
        other(torch.tensor([1.0, 2.0]), 1.0), torch.softmax(torch.tensor([1.0, 2.0]), 0)
    )
    assert "✗" in capsys.readouterr().out


def test_an_error_in_the_learners_code_is_shown_with_its_line(capsys):
    source = "def broken(logits, temperature):\n    scaled = logits / temperature\n    return scaled / nothing\n"
    space = {}
    exec(compile(source, "<cell>", "exec"), space)
    engine.check("lab1.6", space["broken"])
    out = capsys.readouterr().out
    assert "NameError" in out and "line 3" in out and "Going on with the reference" in out


def test_a_mutable_reference_value_cannot_be_spoilt(monkeypatch):
    def test(answer):
        if answer != [1, 2]:
            raise Wrong("no")

    exercise = Exercise("t.1", "t", [1, 2], test, ("h",))
    monkeypatch.setattr(engine, "_all", lambda: {"t.1": exercise})
    engine.check("t.1", None).append(3)
    assert engine.check("t.1", None) == [1, 2]


def test_progress_is_kept_counted_and_reset(capsys):
    engine.check("lab1.6", ALL["lab1.6"].reference)
    engine.check("lab1.8", top_p_sorted_only)
    engine.check("lab1.6", None)  # looking at the notebook again does not unsolve it
    capsys.readouterr()
    engine.progress()
    out = capsys.readouterr().out
    assert f"1 of {len(ALL)} solved" in out and re.search(r"lab1.8 +wrong", out)
    engine.progress(reset=True)
    assert f"0 of {len(ALL)} solved" in capsys.readouterr().out


@pytest.mark.parametrize("content", ['{"lab1.6": "ri', "[]", ""])
def test_a_damaged_progress_file_is_started_afresh(content, capsys):
    engine._file().parent.mkdir(parents=True)
    engine._file().write_text(content)
    engine.check("lab1.6", ALL["lab1.6"].reference)
    assert json.loads(engine._file().read_text()) == {"lab1.6": "right"}


def test_progress_that_cannot_be_written_does_not_stop_the_lesson(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file"))
    engine.check("lab1.6", ALL["lab1.6"].reference)
    assert "right" in capsys.readouterr().out


def test_an_unknown_id_lists_the_known_ones():
    with pytest.raises(KeyError, match="lab1.1"):
        engine.check("lab9.9", None)


def test_hint_and_solution_print(capsys):
    engine.hint("lab1.8", 1)
    assert capsys.readouterr().out.startswith("Hint 1 of 2")
    engine.solution("lab1.8")
    assert "def top_p_row" in capsys.readouterr().out
