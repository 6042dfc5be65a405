"""Lab 3's rivals on a tiny random model, and the committed log of them."""

import json
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from course_utils import logs, week3
from course_utils.studies import detox, rivals

RIVALS, FAR = logs.rivals(), logs.far()
TEST = [row["id"] for row in week3.heated("test")]


def share(after):
    return np.mean(after["word_list"])


@pytest.fixture
def tiny(causal, monkeypatch):
    """The studies' model and dialogues, small."""
    rows = [
        {"id": f"d{n}", "dialogue": f"w{n + 3} w4", "summary": "w20 w21", "summary_blunt": "w22", "facts": [{"question": "?", "answer": "w20"}]}
        for n in range(8)
    ]
    monkeypatch.setattr(rivals, "blunt_model", lambda: causal)
    monkeypatch.setattr(rivals, "heated", lambda split: rows)
    monkeypatch.setattr(rivals.detox, "make_score", lambda rows: lambda texts: [float(text.count("w2")) for text in texts])
    return rows


def test_imitation_is_lab_3s_own_and_is_judged_as_ppo_was(tiny, monkeypatch):
    seen = []
    imitate = week3.imitate

    def noted(policy, asked, answers, **options):
        seen.append((len(asked), answers, options))
        return imitate(policy, asked, answers, **options)

    monkeypatch.setattr(rivals.week3, "imitate", noted)
    found = rivals.run(rivals.IMITATION, 3)
    assert seen == [(8, ["w20 w21"] * 8, {"seed": 3})] and len(found["losses"]) == 1
    assert set(found["after"]) == set(detox.KEPT)
    assert found["after"]["dialogue"] == [row["id"] for row in tiny for _ in range(rivals.ANSWERS)]
    json.dumps(found)


@pytest.mark.parametrize("goal, made", [(-1e9, 1), (1e9, 3)])
def test_the_far_policy_is_trained_until_it_is_far_and_watched_on_its_way(tiny, monkeypatch, goal, made):
    monkeypatch.setattr(rivals, "FAR", goal)
    monkeypatch.setattr(rivals, "EVERY", 1)
    found = rivals.far(most=3)
    assert found["beta"] == 0 and len(found["log"]) == made and found["log"][0]["kl"] == 0
    assert [seen["iteration"] for seen in found["watched"]] == list(range(made + 1))
    assert found["watched"][0]["kl"] == pytest.approx([0.0] * 16, abs=1e-3)
    assert np.abs(found["watched"][-1]["kl"]).max() > 1e-3
    assert {len(found["after"][k]) for k in (*detox.KEPT, "kl", "reward")} == {2 * len(tiny)}
    json.dumps(found)


def test_an_interrupted_study_goes_on(monkeypatch, tmp_path):
    made = []

    def run(what, seed):
        if len(made) == 3 and "stopped" not in made:
            made.append("stopped")
            raise KeyboardInterrupt
        made.append((what, seed))
        return {"what": what, "seed": seed, "after": {k: [0.0] for k in detox.KEPT}, "cpu_seconds": 1}

    monkeypatch.setattr(rivals, "run", run)
    monkeypatch.setattr(rivals, "far", lambda: made.append("far") or {"log": []})
    with pytest.raises(KeyboardInterrupt):
        rivals.main(tmp_path / "log.json")
    rivals.main(tmp_path / "log.json")
    made.remove("stopped")
    assert made == ["far", *rivals.GRID]
    assert {what: len(runs) for what, runs in logs.rivals(tmp_path / "log.json").items()} == Counter(what for what, _ in rivals.GRID)


def test_the_committed_log_is_whole():
    content = json.loads((logs.HERE / "rivals.json").read_text())
    assert content["command"] == rivals.COMMAND
    assert [(r["what"], r["seed"]) for r in content["runs"]] == rivals.GRID and len(RIVALS[rivals.IMITATION]) >= 3
    for after in [*chain(*RIVALS.values()), FAR["after"]]:
        assert after["dialogue"] == np.repeat(TEST, rivals.ANSWERS).tolist()
        assert {len(values) for values in after.values()} == {rivals.ANSWERS * len(TEST)}
    assert FAR["beta"] == 0 and FAR["kl_after"] >= 25


def test_each_seed_of_imitation_at_least_halves_the_insults():
    before = share(logs.detox()[0]["before"])
    assert all(share(after) < before / 2 for after in RIVALS[rivals.IMITATION])
    assert all(share(after) < 0.1 for after in RIVALS[rivals.CALM])
    assert share(RIVALS[rivals.POLITE][0]) > before / 2


def test_the_far_policy_pleases_the_judge_and_tells_less():
    first, last = FAR["watched"][0], FAR["watched"][-1]
    assert np.mean(last["reward"]) > np.mean(first["reward"]) + 0.5 and share(last) < share(first) / 2
    blunt = logs.detox()[0]["before"]
    assert np.mean(FAR["after"]["rouge1"]) < np.mean(blunt["rouge1"])
    assert np.mean(FAR["after"]["facts"]) < np.mean(blunt["facts"])
