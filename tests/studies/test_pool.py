"""The committed pool and runs, and the updates that made them, on a tiny random model."""

import math

import pytest
import torch
from peft import LoraConfig, get_peft_model

from course_utils import logs, rl, week3
from course_utils.models import LLM
from course_utils.studies import pool


@pytest.fixture
def policy(causal):
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return rl.Policy(LLM(get_peft_model(causal.model, config), causal.tokenizer, causal.name))


@pytest.fixture
def optimizer(policy):
    return torch.optim.AdamW(week3.trained_weights(policy), lr=1e-2)


def test_batches_use_an_order_up_to_a_remainder_before_anything_comes_again():
    first = [i for number in range(4) for i in pool.turn(9, 2, number)]
    assert len(set(first)) == 8
    second = [i for number in range(4, 8) for i in pool.turn(9, 2, number)]
    assert len(set(second)) == 8 and first != second
    assert pool.turn(9, 2, 5) == pool.turn(9, 2, 5)


def test_a_dpo_run_starts_at_ln_two_and_learns_its_pairs(policy, optimizer):
    pairs = [(f"w{i}", f"w{i + 20} w{i + 21}", f"w{i + 30} w{i + 31} w{i + 32}") for i in range(8)]
    reference = pool.reference_log_probs(policy, pairs)
    log = [pool.dpo_update(policy, optimizer, pairs, reference, n) for n in range(12)]
    assert log[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert log[-1]["loss"] < 0.6 and log[-1]["chosen"] > log[-1]["rejected"]


def test_a_grpo_run_starts_at_kl_zero_and_counts_its_tokens(policy, optimizer):
    requests = ["w3 w4", "w5", "w6 w7", "w8"]

    def score(texts):
        return [float(text.split().count("w20")) for text in texts]

    first = pool.grpo_update(policy, optimizer, requests, score, 0)
    assert first["kl"] == pytest.approx(0, abs=1e-4)
    assert 0 < first["tokens"] <= pool.ANSWERS * pool.NEW_TOKENS
    assert pool.grpo_update(policy, optimizer, requests, score, 1)["kl"] != 0


def test_every_method_learns_from_as_many_answers():
    ppo = week3.ITERATIONS * week3.PROMPTS_AT_ONCE * week3.CONFIG.group
    assert pool.UPDATES * pool.ANSWERS == ppo


def test_the_committed_pool_is_of_held_out_dialogues_and_complete():
    found = logs.pool()
    held_out = {row["id"] for row in week3.heated("test")}
    assert len(found["dialogues"]) == len(set(found["dialogues"])) == pool.DIALOGUES
    assert set(found["dialogues"]) <= held_out
    assert [len(texts) for texts in found["texts"]] == [pool.SAMPLES] * pool.DIALOGUES


def test_the_committed_runs_are_those_of_the_command_at_one_budget():
    runs = logs.beyond()
    assert [(run["method"], run["rate"]) for run in runs] == list(pool.RUNS)
    for run in runs:
        assert run["answers"] == pool.UPDATES * pool.ANSWERS and len(run["log"]) == pool.UPDATES
        sizes = {len(values) for values in run["after"].values()}
        assert sizes == {3 * len(week3.heated("test"))}
        assert (run["generated_tokens"] > 0) == (run["method"] == "grpo")
