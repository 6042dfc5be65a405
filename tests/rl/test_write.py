"""Responses written side by side: the same model, the same plain sampling, and the trunk on the way."""

from dataclasses import replace

import pytest
import torch
from test_fast import FAMILIES, PROMPTS, make, wrap

from course_utils import rl
from course_utils.rl import write as module
from course_utils.rl.write import draw


def policy_of(family, layers=None):
    name, options = FAMILIES[family]
    return rl.FastPolicy(wrap(make(name, **options), layers))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_distributions_drawn_from_are_those_of_the_log_probs(family, monkeypatch):
    policy, seen = policy_of(family), []

    def noted(logits, temperature, generator):
        token = draw(logits, temperature, generator)
        log_probs = (logits.float() / temperature).log_softmax(-1)
        seen.append(log_probs.gather(1, token[:, None]).squeeze(1))
        return token

    monkeypatch.setattr(module, "draw", noted)
    rollout = rl.sample(policy, PROMPTS, 6, 0.7, seed=0, group=3)
    with torch.no_grad():
        found, _, _ = rl.evaluate(rl.Policy(policy.llm), rollout, rl.PPO(temperature=0.7))
    steps = torch.stack(seen, 1)[:, : found.shape[1]]
    assert rollout.mask.sum() > len(rollout.mask)  # more than first tokens
    assert torch.allclose(found[rollout.mask], steps[rollout.mask], atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_near_temperature_zero_it_writes_what_greedy_search_writes(family):
    policy = policy_of(family)
    greedy = policy.llm.answer(PROMPTS, max_new_tokens=6)
    rollout = rl.sample(policy, PROMPTS, 6, 1e-4, seed=0, group=2)
    assert rollout.texts == [answer.text for answer in greedy for _ in range(2)]
    assert rollout.mask.sum(1).tolist() == [answer.tokens for answer in greedy for _ in range(2)]


def test_the_same_seed_writes_the_same_and_another_seed_others():
    policy = policy_of("llama")
    texts = [rl.sample(policy, PROMPTS, 6, 1.0, seed, group=4).texts for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0][:4])) > 1  # four responses to one prompt are four draws


def test_the_trunk_kept_while_writing_is_the_one_that_is_read_afterwards():
    policy = policy_of("llama", "last")
    assert policy.frozen == 1
    rollout = rl.sample(policy, PROMPTS, 5, 1.0, seed=0, group=2)
    again = policy.read_frozen(replace(rollout, trunk=None))
    real = torch.stack([rollout.mask[i : i + 2, 1:] for i in range(0, 6, 2)])  # the last token is not read
    assert rollout.trunk[1].shape == again.trunk[1].shape
    assert torch.allclose(rollout.trunk[1][real], again.trunk[1][real], atol=1e-4)
    longest = max(map(len, rollout.prompts))
    for row, prompt in enumerate(rollout.prompts):
        kept, read = (r.trunk[0][row, longest - len(prompt) :] for r in (rollout, again))
        assert torch.allclose(kept, read, atol=1e-4)


def test_a_response_of_one_token_has_no_trunk_of_its_own():
    policy = policy_of("llama", "last")
    rollout = rl.sample(policy, PROMPTS, 1, 1.0, seed=0, group=2)
    assert rollout.tokens.shape == (6, 1) and rollout.trunk[1].shape[:3] == (3, 2, 0)
    with torch.no_grad():
        found, plain = (rl.evaluate(p, rollout, rl.PPO())[0] for p in (policy, rl.Policy(policy.llm)))
    assert torch.allclose(found, plain, atol=1e-4)


def test_tokens_are_drawn_in_proportion_to_their_probabilities():
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(20_000, 3)
    drawn = draw(logits, 1.0, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    assert shares.tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.015)  # four standard errors
    # At temperature ½ the probabilities are squared: .25, .09 and .04 of .38.
    drawn = draw(logits, 0.5, torch.Generator().manual_seed(0))
    assert (drawn == 0).float().mean().item() == pytest.approx(0.25 / 0.38, abs=0.015)


def test_a_token_of_no_probability_is_never_drawn():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]).expand(5_000, 5)
    drawn = draw(logits, 1.0, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {1, 3}
