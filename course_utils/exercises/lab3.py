"""Lab 3, detoxify by reinforcement learning: reference answers and their tests."""

from __future__ import annotations

import numpy as np
import torch

from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ lab3.1 spot the bug: the prompt judged


def response_ids(ids, prompt_length, eos_id):
    response = ids[prompt_length:]
    return response[: response.index(eos_id)] if eos_id in response else response


def _test_response_ids(response_ids):
    got = list(response_ids([5, 2, 7, 8, 9, 2, 2, 2], 3, 2))
    if got[:1] == [5]:
        raise Wrong("The prompt is still in: an insult in the *dialogue* would count against the answer.")
    if 2 in got:
        raise Wrong("The end token or the padding after it is still there: cut before the first end.")
    if got == []:
        raise Wrong("You looked for the end token in the whole row: the prompt holds one too.")
    if got == [9]:
        raise Wrong("One token of the answer is lost: it begins at position prompt_length.")
    if got != [8, 9]:
        raise Wrong(f"For a prompt of 3 in [5, 2, 7, 8, 9, 2, 2, 2] the answer is [8, 9]; yours: {got}.")
    if list(response_ids([5, 2, 7, 8, 9, 2, 0, 0], 3, 2)) != [8, 9]:
        raise Wrong("Where the padding is another token than the end, it is still there: cut at the first end, whatever follows.")
    if list(response_ids([5, 6, 7, 8], 2, 2)) != [7, 8]:
        raise Wrong("An answer without an end token (the limit stopped it) counts whole.")


# ------------------------------------------------------------ lab3.2 spot the bug: wrong reference


def policy_and_reference(base, tuned, rl):
    reference = base + tuned
    return reference + rl, reference


def _test_policy_and_reference(policy_and_reference):
    base, tuned, rl = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0]), torch.tensor([0.0, 0.25])
    got = policy_and_reference(base.clone(), tuned.clone(), rl.clone())
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong("Return two weights: the policy's and the reference's.")
    policy, reference = got
    if close(reference, base):
        raise Wrong("The reference is the raw model: the KL is not 0 at the start, and its price un-learns summarising.")
    if close(reference, base + tuned + rl):
        raise Wrong("The reference moves with the policy: the KL would be 0 for ever and hold nothing back.")
    if not close(reference, base + tuned):
        raise Wrong("The reference is the model as it was before reinforcement learning: base and first adapter.")
    if close(policy, base + rl):
        raise Wrong("The policy lost the first adapter: it starts from the *tuned* model.")
    if not close(policy, base + tuned + rl):
        raise Wrong("The policy is the reference plus the new adapter.")


# ------------------------------------------------------------ lab3.3 spot the bug: padding scored


def sum_log_probs(log_probs, lengths):
    columns = torch.arange(log_probs.shape[1])
    mask = columns[None, :] < lengths[:, None]
    return torch.where(mask, log_probs, 0.0).sum(1)


def _test_sum_log_probs(sum_log_probs):
    log_probs = torch.tensor([[-1.0, -2.0, -4.0, -8.0], [-1.0, -3.0, -5.0, -7.0]])
    got = torch.as_tensor(sum_log_probs(log_probs.clone(), torch.tensor([2, 4])))
    if close(got, [-15.0, -16.0]):
        raise Wrong("All columns are summed: row one has 2 tokens, the rest is padding.")
    if close(got, [-1.0, -9.0]):
        raise Wrong("The last token is missing: the length counts the end token, which the policy chose too.")
    if close(got, [-2.0, -15.0]):
        raise Wrong("The first response token is left out: it was chosen like any other.")
    if close(got, [-1.5, -4.0]):
        raise Wrong("That is the mean; the probability of an answer is a product, so its log is a *sum*.")
    if not close(got, [-3.0, -16.0]):
        raise Wrong(f"Row one: −1 − 2 = −3; row two: −16. Yours: {got.tolist()}.")
    nan = torch.tensor([[-1.0, float("nan")]])
    if not close(sum_log_probs(nan, torch.tensor([1])), [-1.0]):
        raise Wrong("NaN in the padding got through: NaN times 0 is NaN. Select with torch.where.")


# ------------------------------------------------------------ lab3.4 a reward for each token


def token_rewards(score, log_probs, reference, beta):
    rewards = -beta * (log_probs - reference)
    rewards[-1] += score
    return rewards


def _test_token_rewards(token_rewards):
    new, reference = torch.tensor([-1.0, -1.0, -2.0]), torch.tensor([-1.5, -1.0, -1.0])
    keep = new.clone()
    got = torch.as_tensor(token_rewards(2.0, new, reference, 0.1))
    if not close(new, keep):
        raise Wrong("You changed log_probs in place.")
    if close(got, [0.05, 0.0, 1.9]):
        raise Wrong("The sign of the KL is turned: a token that the policy likes *more* than the reference does costs.")
    if close(got, [1.95, 2.0, 2.1]):
        raise Wrong("The score is added to each token: it is given once, at the last one.")
    if close(got, [1.95, 0.0, 0.1]):
        raise Wrong("The score came at the first token: it is known only after the last.")
    if close(got, [-0.5, 0.0, 3.0]):
        raise Wrong("beta is missing: a nat costs 0.1.")
    if not close(got, [-0.05, 0.0, 2.1]):
        raise Wrong(f"Expected [−0.05, 0, 2.1]; yours: {[round(x, 3) for x in got.tolist()]}.")


# ------------------------------------------------------------ lab3.5 advantages


def advantages_of(rewards, values, lam):
    advantages, running = [], 0.0
    for t in reversed(range(len(rewards))):
        following = values[t + 1] if t + 1 < len(values) else 0.0
        running = rewards[t] + following - values[t] + lam * running
        advantages.insert(0, running)
    return advantages


def _test_advantages_of(advantages_of):
    got = list(advantages_of([0.0, 0.0, 1.0], [0.5, 0.5, 0.5], 0.0))
    if len(got) != 3:
        raise Wrong(f"One advantage a token: 3, not {len(got)}.")
    if close(got, [0.0, 0.0, 1.0]):
        raise Wrong("With λ = 0 the last one is reward − value = 0.5: after the end the value is 0.")
    if not close(got, [0.0, 0.0, 0.5]):
        raise Wrong("With λ = 0 an advantage is r + V(next) − V(now): 0, 0 and 0.5 here.")
    got = list(advantages_of([0.0, 0.0, 1.0], [0.5, 0.5, 0.5], 1.0))
    if close(got, [1.0, 1.0, 1.0]):
        raise Wrong("You forgot to take the value off: with λ = 1 the advantage is what comes minus V.")
    if not close(got, [0.5, 0.5, 0.5]):
        raise Wrong("With λ = 1 each token gets everything that comes after it, minus its value: 0.5 thrice.")
    if not close(advantages_of([0.0, 1.0], [0.0, 0.0], 0.5), [0.5, 1.0]):
        raise Wrong("Each step back multiplies what comes by λ once.")


# ------------------------------------------------------------ lab3.6 spot the bug: maximise advantages


def learning_curve(log):
    return [float(np.mean(iteration["scores"])) for iteration in log]


def _test_learning_curve(learning_curve):
    log = [
        {"scores": [0.0, 2.0], "advantages": [-1.0, 1.0], "kl": [0.0, 0.0]},
        {"scores": [3.0, 5.0], "advantages": [-1.0, 1.0], "kl": [1.0, 3.0]},
    ]
    got = learning_curve(log)
    try:
        got = [float(x) for x in got]
    except TypeError:
        raise Wrong("Return a list with one number an iteration.") from None
    if close(got, [0.0, 0.0]):
        raise Wrong("Whitened advantages have mean 0 in *every* iteration, whatever was learnt.")
    if close(got, [1.0, 1.0]):
        raise Wrong("The spread of whitened advantages is 1 in every iteration: it shows nothing either.")
    if close(got, [0.0, 2.0]):
        raise Wrong("The KL says how far the policy went, not how good it got.")
    if close(got, [2.0, 8.0]):
        raise Wrong("Sums depend on the number of answers: take the mean.")
    if not close(got, [1.0, 4.0]):
        raise Wrong(f"The mean scores are 1 and 4; yours: {got}.")


# ------------------------------------------------------------ lab3.7 the clipped objective


def clipped(ratio, advantage, epsilon):
    return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


def _test_clipped(clipped):
    ratio = torch.tensor([1.0, 1.5, 0.5, 1.5, 0.5])
    advantage = torch.tensor([2.0, 1.0, 1.0, -1.0, -1.0])
    got = torch.as_tensor(clipped(ratio.clone(), advantage.clone(), 0.2))
    if close(got, ratio * advantage):
        raise Wrong("Nothing is clipped: beyond 1 + ε a good token may earn nothing more.")
    if close(got, ratio.clamp(0.8, 1.2) * advantage):
        raise Wrong("Only clipped: a *bad* token whose ratio grew to 1.5 must still be pushed down. Take the minimum of both.")
    if close(got, torch.maximum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)):
        raise Wrong("You took the maximum: the objective is the more *pessimistic* of the two.")
    if not close(got, [2.0, 1.2, 0.5, -1.5, -0.8]):
        raise Wrong(f"Expected [2, 1.2, 0.5, −1.5, −0.8]; yours: {[round(x, 2) for x in got.tolist()]}.")


# ------------------------------------------------------------ lab3.8 spot the bug: n = 11


def z_score(mean_before, sd_before, mean_after, sd_after, n):
    standard_error = ((sd_before**2 + sd_after**2) / n) ** 0.5
    return (mean_before - mean_after) / standard_error


def _test_z_score(z_score):
    got = z_score(5.0, 3.0, 2.0, 4.0, 25)
    if close(got, 0.6):
        raise Wrong("That is the difference over the spread of single answers; a mean of n varies √n times less.")
    if close(got, 15.0):
        raise Wrong("Divide the *variances* by n, or the standard deviations by √n.")
    if close(got, -3.0):
        raise Wrong("A fall should be positive here: before − after.")
    if close(got, 60.0) or close(got, 0.6 * 25):
        raise Wrong("Divide the *variances* by n, or the standard deviations by √n.")
    if close(got, 3.0 / (7 / 5)):
        raise Wrong("Standard deviations do not add: add their squares, then take the root.")
    if not close(got, 3.0):
        raise Wrong(f"Difference 3, standard error √((9 + 16) / 25) = 1: z is 3, not {got:.3f}.")
    if not close(z_score(5.0, 3.0, 2.0, 4.0, 100), 6.0):
        raise Wrong("Four times the answers should double z.")


# ------------------------------------------------------------ lab3.9 a sign-flip test


def sign_flip_p(differences, draws, seed):
    differences = np.asarray(differences, float)
    signs = np.random.default_rng(seed).choice([-1, 1], size=(draws, len(differences)))
    flipped = np.abs((signs * differences).mean(1))
    return (np.sum(flipped >= abs(differences.mean()) - 1e-12) + 1) / (draws + 1)


def _test_sign_flip_p(sign_flip_p):
    exact = 2 / 2**5
    got = sign_flip_p([1.0, 1.0, 1.0, 1.0, 1.0], 20_000, 0)
    if close(got, exact / 2, 0.008):
        raise Wrong("One-sided: a change of that size in the *other* direction is as surprising. Compare absolute values.")
    if abs(got - exact) > 0.008:
        raise Wrong(f"Five equal differences: only 2 of 32 sign patterns are as extreme, p = 0.0625; yours: {got:.4f}.")
    if sign_flip_p([0.3, -0.3, 0.1, -0.1], 5_000, 0) < 0.9:
        raise Wrong("These differences cancel: p should be 1. Compare the *means*.")
    if sign_flip_p([5.0] * 40, 1_000, 0) == 0:
        raise Wrong("p = 0 is never right: with 1,000 draws nothing smaller than 1/1,001 can be shown. Add 1 to both counts.")
    if sign_flip_p([1.0, 2.0, -0.5], 500, 1) != sign_flip_p([1.0, 2.0, -0.5], 500, 1):
        raise Wrong("The same seed gave two results: make a generator from it inside the function.")


EXERCISES = [
    Exercise("lab3.1", "spot the bug: the prompt is judged", response_ids, _test_response_ids, (
        "Everything before position prompt_length is the prompt.",
        "list.index finds the first end token of the response, if there is one.",
    )),
    Exercise("lab3.2", "spot the bug: the wrong reference", policy_and_reference, _test_policy_and_reference, (
        "At the start the new adapter is 0: what must the KL be then?",
        "Merging the first adapter makes `base + tuned` the new base.",
    )),
    Exercise("lab3.3", "spot the bug: padding is scored", sum_log_probs, _test_sum_log_probs, (
        "Column t of a row counts if t is smaller than the row's length.",
        "torch.arange(columns)[None, :] < lengths[:, None], then torch.where.",
    )),
    Exercise("lab3.4", "a reward for each token", token_rewards, _test_token_rewards, (
        "−β (log π − log π_ref) for each token.",
        "The score is added at index −1.",
    )),
    Exercise("lab3.5", "advantages, backwards", advantages_of, _test_advantages_of, (
        "Go from the last token to the first and keep a running sum.",
        "running = (reward + next value − value) + λ · running; the value after the end is 0.",
    )),
    Exercise("lab3.6", "spot the bug: maximise advantages", learning_curve, _test_learning_curve, (
        "What is the mean of whitened numbers?",
        "The score of an answer is what the policy should raise.",
    )),
    Exercise("lab3.7", "the clipped objective", clipped, _test_clipped, (
        "Two candidates: ratio · A, and the clamped ratio · A.",
        "torch.minimum takes the smaller of two tensors, place by place.",
    )),
    Exercise("lab3.8", "spot the bug: eleven answers", z_score, _test_z_score, (
        "The variance of a mean of n is the variance divided by n.",
        "The variances of two independent means add up.",
    )),
    Exercise("lab3.9", "a sign-flip test", sign_flip_p, _test_sign_flip_p, (
        "If nothing had changed, each difference could as well have the other sign.",
        "Draw signs [draws, n], take the absolute mean of each row, count those at least as large as yours.",
    )),
]  # fmt: skip
