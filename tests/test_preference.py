"""Preference losses against values worked out by hand."""

import math

import pytest
import torch

from course_utils.preference import bradley_terry, dpo_loss, group_advantages, grpo_loss


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equal_scores_cost_ln_two_and_a_lead_of_three_little():
    assert bradley_terry(random(5), random(5)).item() == pytest.approx(math.log(2))
    lead = bradley_terry(torch.tensor([3.0]), torch.tensor([0.0]))
    assert lead.item() == pytest.approx(math.log(1 + math.exp(-3)))


def test_a_large_lead_overflows_in_no_direction():
    loss = bradley_terry(torch.tensor([0.0]), torch.tensor([1e4])).item()
    assert loss == pytest.approx(1e4)


def test_dpo_starts_at_ln_two_with_a_gradient_towards_the_chosen():
    chosen, rejected = random(4).requires_grad_(), random(4, seed=1).requires_grad_()
    loss = dpo_loss(chosen, rejected, chosen.detach(), rejected.detach(), beta=0.1)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()  # d/dx −log σ(βx) at 0 is −β/2, for a mean over four pairs
    assert chosen.grad.tolist() == pytest.approx([-0.1 / 2 / 4] * 4)
    assert rejected.grad.tolist() == pytest.approx([0.1 / 2 / 4] * 4)


def test_dpo_by_hand():
    loss = dpo_loss(*(torch.tensor([x]) for x in (-10.0, -14.0, -12.0, -11.0)), beta=0.5)
    margin = 0.5 * ((-10 + 12) - (-14 + 11))  # 2.5
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-margin)))


def test_group_advantages_by_hand_and_for_equal_scores():
    found = group_advantages(torch.tensor([[1.0, 3.0], [0.7, 0.7]]))
    assert found[0].tolist() == pytest.approx([-1 / math.sqrt(2), 1 / math.sqrt(2)])
    assert found[1].tolist() == [0.0, 0.0]
    assert group_advantages(torch.tensor([[1.0, 3.0]]), scale=False).tolist() == [[-1.0, 1.0]]
    one = group_advantages(torch.tensor([[0.1] * 7]))
    assert one.abs().max() == 0 and one.isfinite().all()


def test_grpo_starts_at_zero_with_a_gradient():
    log_probs = random(4, 3).requires_grad_()
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]]).bool()
    advantages = group_advantages(random(2, 2, seed=1)).flatten()
    loss = grpo_loss(log_probs, log_probs.detach(), log_probs.detach(), advantages, mask)
    assert loss.item() == pytest.approx(0.0, abs=1e-7)
    loss.backward()
    sizes = mask.sum(1, keepdim=True)
    expected = torch.where(mask, -advantages[:, None] / sizes / 4, 0.0)
    assert torch.allclose(log_probs.grad, expected, atol=1e-6) and log_probs.grad.abs().max() > 0


def test_grpo_without_spread_or_drift_has_no_gradient():
    log_probs = random(4, 3).requires_grad_()
    mask = torch.ones(4, 3, dtype=torch.bool)
    advantages = group_advantages(torch.full((2, 2), 0.3)).flatten()
    grpo_loss(log_probs, log_probs.detach(), log_probs.detach(), advantages, mask).backward()
    assert log_probs.grad.abs().max() == 0


def test_grpo_pays_for_leaving_the_reference():
    log_probs, mask = random(2, 3), torch.ones(2, 3, dtype=torch.bool)
    near = grpo_loss(log_probs, log_probs, log_probs, torch.zeros(2), mask, beta=1.0)
    far = grpo_loss(log_probs, log_probs, log_probs - 1, torch.zeros(2), mask, beta=1.0)
    assert near.item() == 0 and far.item() == pytest.approx(math.exp(-1))
