"""The pieces of PPO against numbers worked out by hand, sums written out, and plain autograd.

The numbers in the names are those of the sixteen ways PPO for language models goes wrong that the
course lists (week 3).
"""

import math

import pytest
import torch

from course_utils import rl


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).bool()


# ---------------------------------------------------------------- log-probabilities and masks


def test_01_a_padded_rows_log_probs_equal_the_unpadded_rows(llama):
    rows = [[5, 6, 7, 8, 9], [10, 11, 2]]  # the second ends in 2, which is also the pad token
    lengths = torch.tensor([3, 1])  # response tokens; the prompts have two
    padded = torch.tensor([rows[0], rows[1] + [2, 2]])
    attention = torch.tensor([[1] * 5, [1] * 3 + [0] * 2])
    logits = llama(padded, attention_mask=attention).logits[:, 1:-1]
    found = rl.token_log_probs(logits, padded[:, 2:])
    mask = rl.response_mask(lengths, 3)
    for row, ids in enumerate(rows):
        alone = torch.tensor([ids])
        expected = rl.token_log_probs(llama(alone).logits[:, 1:-1], alone[:, 2:])[0]
        assert torch.allclose(found[row][mask[row]], expected, atol=1e-4)


def test_03_the_log_prob_is_taken_at_the_sampling_temperature():
    logits, tokens = random(2, 3, 7), torch.tensor([[0, 1, 2], [3, 4, 5]])
    expected = (logits / 0.7).log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)
    assert torch.allclose(rl.token_log_probs(logits, tokens, 0.7), expected, atol=1e-6)


def test_05_the_mask_holds_the_first_token_and_the_first_end_token_and_nothing_after():
    assert rl.response_mask(torch.tensor([3, 4, 1]), 4).equal(MASK)
    assert not rl.response_mask(torch.tensor([0]), 4).any()


def test_logits_of_another_length_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        rl.token_log_probs(random(2, 4, 7), torch.zeros(2, 3, dtype=torch.long))


def test_entropy_of_a_uniform_distribution_is_log_n():
    assert rl.entropy(torch.zeros(1, 1, 8)).item() == pytest.approx(torch.log(torch.tensor(8.0)))


# ---------------------------------------------------------------- KL and rewards


def test_06_rewards_sum_to_score_minus_beta_kl():
    log_probs, reference, scores = random(3, 4), random(3, 4, seed=1), torch.tensor([1.0, -2, 3])
    rewards = rl.rewards_per_token(scores, log_probs, reference, MASK, beta=0.1)
    kl = torch.where(MASK, log_probs - reference, 0).sum(1)
    assert torch.allclose(rewards.sum(1), scores - 0.1 * kl, atol=1e-6)
    plain = rl.rewards_per_token(scores, reference, reference, MASK, beta=0.1)
    assert plain.nonzero().tolist() == [[0, 2], [1, 3], [2, 0]]  # the last valid token of each


def test_an_empty_response_gets_no_reward():
    mask = torch.tensor([[0, 0], [1, 1]]).bool()
    rewards = rl.rewards_per_token(torch.ones(2), random(2, 2), random(2, 2), mask, beta=0.0)
    assert rewards.tolist() == [[0, 0], [0, 1]]


def categorical(kind):
    """Expected value and expected gradient of an estimator on six words, by enumeration."""
    logits, reference = random(6).requires_grad_(), random(6, seed=1)
    log_p, log_q = logits.log_softmax(-1), reference.log_softmax(-1)
    estimates = rl.estimate(log_p, log_q, kind)
    value = (log_p.exp() * estimates).sum()
    # a loss averages over samples: the sampling probabilities themselves carry no gradient
    (gradient,) = torch.autograd.grad((log_p.exp().detach() * estimates).sum(), logits)
    return logits, reference, value.item(), gradient


def test_07_what_each_kl_estimator_estimates_and_which_gradient_it_has():
    for kind in ("k1", "k3"):
        logits, reference, value, _ = categorical(kind)
        assert value == pytest.approx(rl.exact(logits, reference).item(), abs=1e-6)
    logits, reference, _, k1 = categorical("k1")
    assert k1.abs().max() < 1e-6
    (reverse,) = torch.autograd.grad(rl.exact(logits, reference), logits)
    assert torch.allclose(categorical("k2")[3], reverse, atol=1e-6)
    (forward,) = torch.autograd.grad(rl.exact(reference, logits), logits)
    assert torch.allclose(categorical("k3")[3], forward, atol=1e-6)
    assert (rl.estimate(random(99), random(99, seed=1), "k3") >= 0).all()
    assert rl.estimate(random(9), random(9), "k3").abs().max() == 0


def test_an_unknown_estimator_is_refused():
    with pytest.raises(ValueError, match="none of k1"):
        rl.estimate(random(2), random(2), "k4")


# ---------------------------------------------------------------- advantages


def double_sum(rewards, values, gamma, lam):
    """GAE of one row from its definition, O(T²)."""
    n = len(rewards)
    following = [*values[1:], 0.0]
    delta = [rewards[t] + gamma * following[t] - values[t] for t in range(n)]
    return [sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, n)) for t in range(n)]


@pytest.mark.parametrize("gamma, lam", [(1.0, 0.95), (0.9, 0.5), (1.0, 0.0), (0.99, 1.0)])
def test_08_gae_equals_the_double_sum_and_padding_changes_nothing(gamma, lam):
    rewards, values = random(3, 4), random(3, 4, seed=1)
    advantages, returns = rl.gae(rewards, values, MASK, gamma, lam)
    for row in range(3):
        n = int(MASK[row].sum())
        expected = double_sum(rewards[row, :n].tolist(), values[row, :n].tolist(), gamma, lam)
        assert advantages[row, :n].tolist() == pytest.approx(expected, abs=1e-5)
        assert advantages[row, n:].abs().sum() == 0
    assert torch.allclose(returns[MASK], (advantages + values)[MASK])
    other = torch.where(MASK, rewards, 99.0), torch.where(MASK, values, -99.0)
    assert torch.equal(rl.gae(*other, MASK, gamma, lam)[0], advantages)


def test_08_lambda_one_is_the_reward_to_go_minus_the_value():
    rewards, values = random(1, 4), random(1, 4, seed=1)
    advantages, returns = rl.gae(rewards, values, MASK[1:2], 1.0, 1.0)
    to_go = rewards.flip(1).cumsum(1).flip(1)
    assert torch.allclose(returns, to_go, atol=1e-6)
    assert torch.allclose(advantages, to_go - values, atol=1e-6)


def test_09_whitening_is_over_response_tokens_and_never_nan():
    advantages = random(3, 4) * 5 + 3
    white = rl.whiten(advantages, MASK)
    assert white[MASK].mean().abs() < 1e-6 and white[MASK].std(correction=0) == pytest.approx(1)
    assert white[~MASK].abs().sum() == 0
    assert torch.equal(rl.whiten(torch.where(MASK, advantages, 1e6), MASK), white)
    one = torch.tensor([[True, False]])
    assert rl.whiten(torch.tensor([[4.0, 7.0]]), one).tolist() == [[0.0, 0.0]]


def test_10_a_value_head_of_zeros_leaves_the_discounted_reward_sum():
    rewards = random(1, 4)
    advantages, _ = rl.gae(rewards, torch.zeros(1, 4), MASK[1:2], 0.9, 1.0)
    assert advantages[0, 0].item() == pytest.approx(
        sum(0.9**t * r for t, r in enumerate(rewards[0].tolist())), abs=1e-6
    )


# ---------------------------------------------------------------- losses


def test_10_value_clipping_takes_the_larger_error_and_is_half_mse_inside_the_band():
    old, returns = random(3, 4), random(3, 4, seed=1)
    inside = old + 0.1 * random(3, 4, seed=2).clamp(-1, 1)
    mse = (inside - returns).square()[MASK].mean() / 2
    assert torch.allclose(rl.value_loss(inside, old, returns, MASK), mse)
    one = torch.ones(1, 1, dtype=torch.bool)
    values, target = torch.tensor([[1.0]]), torch.tensor([[1.0]])  # right, but five bands too far
    assert rl.value_loss(values, torch.zeros(1, 1), target, one).item() == pytest.approx(0.32)


def test_11_at_ratio_one_the_loss_is_minus_the_mean_advantage():
    log_probs, advantages = random(3, 4).requires_grad_(), random(3, 4, seed=1)
    loss = rl.policy_loss(log_probs, log_probs.detach(), advantages, MASK)
    assert loss.item() == pytest.approx(-advantages[MASK].mean().item(), abs=1e-6)
    loss.backward()
    expected = torch.where(MASK, -advantages / MASK.sum(), 0.0)
    assert torch.allclose(log_probs.grad, expected, atol=1e-6)


@pytest.mark.parametrize(
    "advantage, ratio, alive",
    [(1.0, 1.3, False), (1.0, 0.7, True), (-1.0, 1.3, True), (-1.0, 0.7, False)],
)
def test_11_clipping_stops_what_has_gone_far_enough_and_lets_the_rest_return(
    advantage, ratio, alive
):
    log_probs = torch.tensor([[ratio]]).log().requires_grad_()
    one = torch.ones(1, 1, dtype=torch.bool)
    rl.policy_loss(log_probs, torch.zeros(1, 1), torch.tensor([[advantage]]), one).backward()
    assert (log_probs.grad.abs().item() > 0) == alive
    assert rl.clip_fraction(log_probs, torch.zeros(1, 1), one) == 1.0


def test_14_accumulated_gradients_of_ragged_rows_equal_one_batch():
    log_probs, advantages = random(3, 4).requires_grad_(), random(3, 4, seed=1)
    old, total = log_probs.detach() - 0.05, int(MASK.sum())
    rl.policy_loss(log_probs, old, advantages, MASK).backward()
    whole, log_probs.grad = log_probs.grad.clone(), None
    for row in range(3):
        part = [x[row : row + 1] for x in (log_probs, old, advantages, MASK)]
        rl.policy_loss(*part, tokens=total).backward()
    assert torch.allclose(log_probs.grad, whole, atol=1e-7)


@pytest.mark.parametrize("lam, value", [(1.0, 0.0), (0.95, 0.7)])
def test_15_equal_scores_give_no_policy_gradient(lam, value):
    """At λ = 1, or once the value head foresees them; else late tokens seem better than early ones."""
    log_probs = random(3, 4).requires_grad_()
    old = log_probs.detach()
    mask = torch.ones(3, 4, dtype=torch.bool)
    rewards = rl.rewards_per_token(torch.full((3,), 0.7), old, old, mask, beta=0.1)
    advantages, _ = rl.gae(rewards, torch.full((3, 4), value), mask, 1.0, lam)
    rl.policy_loss(log_probs, old, rl.whiten(advantages, mask), mask).backward()
    assert log_probs.grad.isfinite().all() and log_probs.grad.abs().max() < 1e-6


def test_explained_variance_by_hand():
    returns = torch.tensor([[1.0, 2.0, 3.0]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert rl.explained_variance(returns, returns, mask) == 1.0
    assert rl.explained_variance(torch.full((1, 3), 2.0), returns, mask) == 0.0
    assert math.isnan(rl.explained_variance(returns, torch.ones(1, 3), mask))  # nothing to explain
