"""A slightly changed reference is a wrong answer, and its check must say so."""

import importlib

import pytest
from mutate import mutants, survivors

from course_utils.exercises import engine

ALL = engine._all()
EQUIVALENT = {}  # id → {change that nobody can see: why}
for name in (name for name in engine.NOTEBOOKS if not name.startswith("quiz")):
    planted = importlib.import_module(f"planted.{name}")
    if hasattr(planted, "EQUIVALENT"):
        EQUIVALENT |= {e.id: planted.EQUIVALENT.get(e.id, {}) for e in ALL.values() if e.notebook == name}


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("id", EQUIVALENT)
def test_the_check_notices_every_small_change_to_its_reference(id):
    live, _ = survivors(ALL[id])
    assert set(live) == set(EQUIVALENT[id])


def test_an_unseen_change_has_a_reason():
    assert all(reason.strip() for changes in EQUIVALENT.values() for reason in changes.values())


def twice(x, low):
    if x < low and not x == 3:
        return 2 * x
    return abs(x)


def test_changes_are_made_one_at_a_time():
    made = dict(mutants(twice))
    assert made["x < low → x <= low"](4, 4) == 8 and twice(4, 4) == 4
    assert made["not x == 3 → x == 3"](1, 4) == 1
    assert made["2 → 3"](1, 4) == 3 and made["abs(x) → x"](-5, -9) == -5
    assert len(made) == 12 and [name for name, _ in mutants(twice)] == list(made)
