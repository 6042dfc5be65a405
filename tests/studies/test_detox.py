"""The committed study of Lab 3, and the loop that goes on with it."""

import numpy as np
import pytest

from course_utils import logs, week3
from course_utils.metrics import sign_flip_test
from course_utils.studies import detox

RUNS = logs.detox()


@pytest.mark.parametrize("run", RUNS, ids=lambda r: f"beta {r['beta']} seed {r['seed']}")
def test_a_run_of_the_log_is_whole(run):
    assert (run["beta"], run["seed"]) in detox.GRID
    assert len(run["log"]) == run["iterations"] == week3.ITERATIONS
    for part, answers in ((run["before"], detox.BEFORE), (run["after"], 3)):
        assert {len(values) for values in part.values()} == {70 * answers}
        assert part["dialogue"] == np.repeat(run["after"]["dialogue"][::3], answers).tolist()
    assert not {"reward", "score"} & set(detox.KEPT)  # no judge here trained the policy
    assert run["log"][0]["kl"] == 0 and run["log"][0]["first_ratio"] < 1e-3


def keeps_the_promise(run):
    """What week 3 promises of a run: judged by the word list, paired by dialogue."""
    before, after = (np.reshape(run[k]["word_list"], (70, -1)).mean(1) for k in ("before", "after"))
    return (
        after.mean() <= before.mean() / 2
        and sign_flip_test(after, before) < 0.01
        and np.mean(run["after"]["rouge1"]) >= np.mean(run["before"]["rouge1"]) - 0.02
        and run["kl_after"] <= 10
    )


def test_toxicity_halves_and_the_summary_stays_in_all_five_seeds():
    kept = {r["seed"]: keeps_the_promise(r) for r in RUNS if r["beta"] == week3.CONFIG.beta}
    assert len(kept) == 5
    assert all(kept.values()), kept


def test_no_pair_of_beta_and_seed_stands_twice():
    assert len({(r["beta"], r["seed"]) for r in RUNS}) == len(RUNS) > 0


def test_an_interrupted_study_goes_on_and_measures_the_start_once(monkeypatch, tmp_path):
    made = {"before": 0, "runs": []}

    def measure(llm, rows, seed, answers):
        made["before"] += 1
        return {name: [0] * answers for name in detox.KEPT}

    def run(beta, seed, score):
        if len(made["runs"]) == 2 and "stopped" not in made:
            made["stopped"] = True
            raise KeyboardInterrupt
        made["runs"].append((beta, seed))
        return {"beta": beta, "seed": seed}

    for name, fake in (("measure", measure), ("run", run), ("blunt_model", lambda: None), ("make_score", lambda rows: None), ("heated", lambda split: [])):
        monkeypatch.setattr(detox, name, fake)
    with pytest.raises(KeyboardInterrupt):
        detox.main(tmp_path / "log.json")
    detox.main(tmp_path / "log.json")
    assert made["before"] == 1 and made["runs"] == detox.GRID
    assert [(r["beta"], r["seed"]) for r in logs.detox(tmp_path / "log.json")] == detox.GRID
    assert all(len(r["before"]["rouge1"]) == detox.BEFORE for r in logs.detox(tmp_path / "log.json"))
