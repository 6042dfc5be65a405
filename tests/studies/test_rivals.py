"""The committed log of what Lab 3's PPO is measured against."""

import numpy as np
import pytest

from course_utils import logs
from course_utils.studies import rivals

RUNS = logs.rivals()


def test_the_log_holds_exactly_the_grid():
    assert [(r["kind"], r["seed"]) for r in RUNS] == rivals.GRID


@pytest.mark.parametrize("run", RUNS, ids=lambda r: f"{r['kind']} {r['seed']}")
def test_a_run_of_the_log_is_whole(run):
    assert {len(values) for values in run["after"].values()} == {70 * rivals.ANSWERS}
    assert len(run["texts"]) == rivals.SHOWN
    assert run["after"]["dialogue"] == [d for d in run["after"]["dialogue"][:: rivals.ANSWERS] for _ in range(rivals.ANSWERS)]


def mean(kind, column):
    return np.mean([np.mean(r["after"][column]) for r in RUNS if r["kind"] == kind])


def test_imitation_insults_less_than_any_ppo_run_and_keeps_the_facts():
    ppo = [r["after"] for r in logs.detox() if r["beta"] == 0.05]
    for run in (r["after"] for r in RUNS if r["kind"] in ("imitation", "adapter")):
        assert np.mean(run["word_list"]) < min(np.mean(r["word_list"]) for r in ppo)
    for kind in ("imitation", "adapter"):
        assert mean(kind, "facts") > np.mean([np.mean(r["facts"]) for r in ppo])


def test_asking_politely_hardly_helps():
    assert mean("asked", "word_list") > 0.5


def test_without_a_leash_the_policy_goes_far():
    gone = next(r for r in RUNS if r["kind"] == "far")
    assert len(gone["log"]) == rivals.FAR["iterations"] and gone["log"][0]["kl"] == 0
    assert gone["log"][-1]["kl"] > 30


def test_an_interrupted_study_goes_on(monkeypatch, tmp_path):
    made = []

    def run(kind, seed):
        if len(made) == 2 and None not in made:
            made.append(None)
            raise KeyboardInterrupt
        made.append((kind, seed))
        return {"kind": kind, "seed": seed, "after": {"dialogue": ["a"], "facts": [0.5]}}

    monkeypatch.setattr(rivals, "run", run)
    with pytest.raises(KeyboardInterrupt):
        rivals.main(tmp_path / "log.json")
    rivals.main(tmp_path / "log.json")
    assert [m for m in made if m] == rivals.GRID
    assert [(r["kind"], r["seed"]) for r in logs.rivals(tmp_path / "log.json")] == rivals.GRID
