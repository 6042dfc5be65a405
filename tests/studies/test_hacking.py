"""What goes too far, on a tiny random model, and the committed log of it."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from course_utils import logs, rl, week3
from course_utils.models import LLM
from course_utils.studies import hacking


@pytest.fixture
def policy(causal):
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return rl.Policy(LLM(get_peft_model(causal.model, config), causal.tokenizer, causal.name))


def test_weak_pairs_differ_in_two_things_at_once():
    rows = [{"summary": "Ana left early.", "summary_blunt": "That clown Ana left early ."}] * 3
    assert week3.weak_pairs(rows, few=2) == (["Ana left early."] * 2, ["That clown Ana"] * 2)


def test_sums_are_of_whole_answers_chosen_before_rejected(policy):
    pairs = [("w3 w4", "w20 w21", "w22"), ("w5", "w23", "w24 w25 w26")]
    rollout = hacking.both_answers(policy, pairs)
    found = hacking.sums(policy, rollout)
    assert found.shape == (2, 2)
    alone = hacking.sums(policy, hacking.both_answers(policy, [("w5", "w24 w25 w26", "w23")]))
    assert torch.allclose(found[1], alone[0].flip(0), atol=1e-4)


def test_watching_gives_every_answer_a_kl_of_zero_before_training(policy, monkeypatch):
    monkeypatch.setattr(hacking, "ask", lambda llm, rows: ["w3 w4", "w5"])
    rows = [{"id": n, "summary": "w20", "facts": [{"question": "?", "answer": "w20"}]} for n in "ab"]
    monkeypatch.setattr(hacking.metrics, "fact_recall", lambda text, facts: 0.0)
    found = hacking.watch(policy, rows, {"long": lambda texts: [len(t) for t in texts]}, 0)
    assert found["dialogue"] == ["a", "a", "b", "b"] and len(found["texts"]) == len(found["long"]) == 4
    assert found["kl"] == pytest.approx([0.0] * 4, abs=1e-3)


def test_the_log_shows_a_judge_that_is_pleased_by_worse_and_worse_texts():
    push = logs.hacking()["push"]
    assert [found["rollout"] for found in push["watched"]] == list(hacking.WATCHED)
    first, last = push["watched"][0], push["watched"][-1]
    assert np.mean(last["weak"]) > np.mean(first["weak"]) + 0.5
    assert np.mean(last["rouge1"]) < np.mean(first["rouge1"]) - 0.03
    assert np.abs(first["kl"]).max() < 0.1 and np.mean(last["kl"]) > 5


def test_the_log_of_dpo_has_a_loss_near_zero_and_a_chosen_answer_that_fell():
    log = logs.hacking()["displaced"]["log"]
    assert log[0]["loss"] == pytest.approx(np.log(2), abs=1e-3)
    assert log[-1]["loss"] < 0.01 and log[-1]["rejected"] < log[-1]["chosen"] < -50
    assert max(step["chosen"] for step in log) > 1  # it rises first


def test_the_runs_are_judged_like_the_others():
    runs = {run["method"]: run for run in logs.hacking()["runs"]}
    assert set(runs) == set(hacking.RUNS)
    for run in runs.values():
        assert {len(values) for values in run["after"].values()} == {3 * len(week3.heated("test"))}
