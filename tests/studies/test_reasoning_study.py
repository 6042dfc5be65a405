"""The committed runs with verifiable rewards, and how a study of them goes on."""

import json
from types import SimpleNamespace

import numpy as np
import torch

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
    assert all(len(run["log"]) == study.ROUNDS for run in of(study.IMITATION))
    assert all(set(run["right"]) == {study.EXPERT, study.MORE} for run in of(study.IMITATION))


def test_expert_iteration_imitates_what_it_kept_and_more_sft_makes_as_many_updates_as_grpo(causal, monkeypatch):
    learnt = []

    def go_on(tuned, pairs, rate, seed=0):
        learnt.append(len(pairs))
        return -(-len(pairs) // 8)

    monkeypatch.setattr(study.sums, "go_on", go_on)
    monkeypatch.setattr(study.sums, "LAYERS", 2)
    monkeypatch.setattr(study.sums, "keep_right", lambda problems, texts, rewards: [("w1", text) for text in texts[:9]])
    monkeypatch.setattr(study.sums, "sample", sampled := Sampled())
    _, log = study.expert_iteration(causal, seed=3)
    assert sampled.problems == [p for some in reasoning.practice(3) for p in some]
    assert [step["updates"] for step in log] == [2] * study.ROUNDS and learnt == [9] * study.ROUNDS
    study.more_sft(causal, seed=3)
    assert learnt[-1] == reasoning.PROMPTS * reasoning.UPDATES


class Sampled:
    """Remembers the problems; the texts do not matter."""

    def __init__(self):
        self.problems = []

    def __call__(self, policy, problems, group, seed):
        self.problems += problems
        texts = [str(n) for n in range(group * len(problems))]
        rollout = SimpleNamespace(texts=texts, mask=torch.ones(len(texts), 2))
        return rollout, torch.zeros(len(problems), group)


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
