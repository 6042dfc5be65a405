"""The committed runs with verifiable rewards, and how a study of them goes on."""

import json

import numpy as np

from course_utils import logs, reasoning
from course_utils.studies import reasoning as study

GROUPS = ("known", "other")


def of(what):
    return [run for run in logs.reasoning() if run["what"] == what]


def test_the_committed_log_is_whole():
    assert sorted((run["seed"], run["what"]) for run in logs.reasoning()) == sorted(study.grid())
    assert json.loads((logs.HERE / "reasoning.json").read_text())["command"] == study.COMMAND
    for run in logs.reasoning():
        assert all(len(right[group]) == reasoning.TESTED for right in run["right"].values() for group in GROUPS)
    assert all(len(run["log"]) == reasoning.UPDATES for run in of(study.GRPO))


def share(run, way, group):
    return np.mean(run["right"][way][group])


def test_grpo_gains_with_every_seed_on_the_kinds_it_trained_on():
    for run in of(study.GRPO):
        assert share(run, "GRPO", "known") >= share(run, "tuned", "known") + 0.1, run["seed"]
        first, last = run["log"][0]["reward"], np.mean([step["reward"] for step in run["log"][-4:]])
        assert last > 2 * first, run["seed"]


def test_other_kinds_are_no_worse_in_the_mean():
    gains = [share(run, "GRPO", "other") - share(run, "tuned", "other") for run in of(study.GRPO)]
    assert np.mean(gains) > 0 > min(gains)  # the lesson tells of the seed that lost


def test_a_study_does_what_its_log_lacks(tmp_path, monkeypatch):
    asked = []

    def run(seed, what):
        asked.append((seed, what))
        return {"seed": seed, "what": what, "right": {"tuned": {"known": [1, 0], "other": [0, 0]}}, "cpu_seconds": 1}

    monkeypatch.setattr(study, "run", run)
    study.main(tmp_path / "log.json")
    content = json.loads((tmp_path / "log.json").read_text())
    content["runs"] = content["runs"][:2]
    (tmp_path / "log.json").write_text(json.dumps(content))
    study.main(tmp_path / "log.json")
    assert asked == [*study.grid(), *study.grid()[2:]]
