"""Templated sums, their reward, and one step of GRPO on a tiny random model."""

import pytest
import torch

from course_utils import finetune, preference, reasoning, rl
from course_utils.models import LLM
from course_utils.settings import CourseError
from course_utils.tools import calculate


@pytest.mark.parametrize("group, kinds", [("known", 9), ("other", 5)])
def test_every_expression_has_the_answer_that_is_a_whole_number(group, kinds):
    problems = reasoning.draw(group, 200, seed=3)
    assert len({p.kind for p in problems}) == kinds
    for p in problems:
        assert calculate(p.expression) == p.answer > 0
        assert all(number in p.question for number in p.expression.replace("*", " ").split() if number.isdigit())


def test_problems_are_the_same_for_the_same_seed_and_a_wrong_group_is_refused():
    assert reasoning.draw("known", 7, 1) == reasoning.draw("known", 7, 1) != reasoning.draw("known", 7, 2)
    with pytest.raises(CourseError, match="known"):
        reasoning.draw("unknown", 1, 0)


def test_no_question_is_trained_on_and_tested():
    tested = {p.question for p in reasoning.tested("known")}
    for seed in range(5):
        trained = {q for q, _ in reasoning.lesson(seed)}
        trained |= {p.question for problems in reasoning.practice(seed) for p in problems}
        assert not trained & tested


def test_the_twenty_sums_and_the_worked_examples_are_different():
    assert len({q for q, _ in reasoning.SUMS}) == 20
    assert not {q for q, _ in reasoning.SUMS} & {row["question"] for row in reasoning.SOLVED}
    for row in reasoning.SOLVED:
        assert calculate(row["expression"]) == float(row["answer"])


def test_the_rule_reads_the_first_line_and_asks_for_the_value_alone():
    assert reasoning.reward(" 8 * 4\n\nQuestion: 7", 32) == 1
    assert [reasoning.reward(text, 32) for text in ("4 + 8", "", "about 32", "32 / 0")] == [0, 0, 0, 0]
    assert reasoning.value("6 / 4") == 1.5 and reasoning.value("six") is None


def test_each_way_has_its_own_reading():
    assert reasoning.read("18 euros", "at once") == 18
    assert reasoning.read("50 - 3 = 47. The answer is 47.", "chain of thought") == 47
    assert reasoning.read("50 - 3", "program-aided") == 47
    assert [reasoning.read("no idea", way) for way in ("at once", "chain of thought", "program-aided")] == [None] * 3


def test_shares_are_counted_by_kind():
    problems = reasoning.draw("other", 10, 0)
    assert reasoning.by_kind([1, 0] * 5, problems) == {"fewer": 0.5, "rope": 0.5, "till": 0.5, "tank": 0.5, "months": 0.5}


def test_a_prompt_shows_worked_examples_only_if_asked():
    assert reasoning.prompt("What?") == "Question: What?\nExpression:"
    assert reasoning.prompt("What?", shots=True).count("Expression:") == 5
    assert reasoning.prompt("What?", shots=True).endswith(reasoning.prompt("What?"))
    assert reasoning.few_shot("What?", "chain of thought").count("The answer is") == 4
    assert reasoning.few_shot("What?", "at once").endswith("Question: What?\nAnswer:")


def test_right_texts_are_kept_once_per_problem_and_cut_at_their_first_line():
    problems = reasoning.draw("known", 2, seed=0)
    texts = [" 2 + 3\n\nQuestion: 7", "2 + 3", "3 + 2", "2 * 3", "2 + 3", "6"]
    kept = reasoning.keep_right(problems, texts, torch.tensor([[1.0, 1, 1], [0, 1, 0]]))
    first, second = (p.question for p in problems)
    assert kept == [(first, "2 + 3"), (first, "3 + 2"), (second, "2 + 3")]


def test_an_adapter_goes_on_where_it_was(causal):
    tuned = reasoning.with_adapter(causal, 2)
    weights = [p for p in tuned.model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in weights]
    assert reasoning.go_on(tuned, [("w1 w2", "w7")] * 17, 1e-2) == 3
    assert all(a is b for a, b in zip(weights, (p for p in tuned.model.parameters() if p.requires_grad)))
    assert not all(torch.equal(a, b) for a, b in zip(before, weights))


def logits(model):
    with torch.no_grad():
        return model(torch.arange(1, 9)[None]).logits


def test_a_second_adapter_takes_the_place_of_the_first(causal):
    before = logits(causal.model)
    first = reasoning.with_adapter(causal, 1)
    for p in first.model.parameters():
        if p.requires_grad:
            p.data += 0.1
    assert not torch.allclose(logits(first.model), before)
    second = reasoning.with_adapter(causal, 1, seed=1)
    assert torch.equal(logits(second.model), before)
    assert len(second.model.peft_config) == 1
    assert torch.equal(logits(reasoning.bare(second.model)), before)


def test_a_step_raises_what_was_right_and_lowers_what_was_wrong(causal):
    policy = rl.Policy(reasoning.with_adapter(causal, 2))
    weights = [p for p in policy.llm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.0)
    rollout = rl.sample(policy, ["w3 w4", "w5"], 4, 1.0, seed=0, group=3)
    rewards = torch.tensor([[1.0, 0, 0], [0, 0, 0]])
    before = preference.answer_log_probs(policy, rollout).detach().sum(1)
    reasoning.update(policy, optimizer, rollout, rewards)
    after = preference.answer_log_probs(policy, rollout).detach().sum(1)
    assert after[0] > before[0] and after[1:3].sum() < before[1:3].sum()


def test_groups_of_equal_rewards_move_nothing(causal):
    policy = rl.Policy(reasoning.with_adapter(causal, 2))
    weights = [p for p in policy.llm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.0)
    rollout = rl.sample(policy, ["w3 w4", "w5"], 4, 1.0, seed=0, group=3)
    before = [p.detach().clone() for p in weights]
    reasoning.update(policy, optimizer, rollout, torch.tensor([[1.0, 1, 1], [0, 0, 0]]))
    assert all(torch.equal(a, b) for a, b in zip(before, weights))


def test_the_gradient_is_that_of_the_whole_loss_without_a_price_of_kl(causal):
    policy = rl.Policy(reasoning.with_adapter(causal, 2))
    weights = [p for p in policy.llm.model.parameters() if p.requires_grad]
    rollout = rl.sample(policy, ["w3 w4", "w5"], 4, 1.0, seed=0, group=3)
    rewards = torch.tensor([[1.0, 0, 0], [0, 1, 1]])
    optimizer = torch.optim.SGD(weights, lr=0.0)
    reasoning.update(policy, optimizer, rollout, rewards)
    ours = torch.cat([p.grad.flatten() for p in weights])
    optimizer.zero_grad()
    with finetune.mixed_precision():
        log_probs = preference.answer_log_probs(policy, rollout)
    old, advantages = log_probs.detach(), preference.group_advantages(rewards).flatten()
    preference.grpo_loss(log_probs, old, old, advantages, rollout.mask, beta=0).backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    assert torch.allclose(ours, torch.cat([p.grad.flatten() for p in weights]), atol=1e-5)


def test_imitation_makes_its_answers_likelier(causal):
    pairs = [("w1 w2", "w7"), ("w3", "w7"), ("w4", "w7")] * 8
    tuned = reasoning.imitate(causal, pairs, 1e-2)
    assert isinstance(tuned, LLM) and tuned.model.peft_config
