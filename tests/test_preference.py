"""Preference losses against values worked out by hand."""

import math

import pytest
import torch

from course_utils.models import LLM
from course_utils.preference import (
    answer_log_probs,
    bradley_terry,
    dpo_loss,
    given,
    group_advantages,
    grpo_loss,
)
from course_utils.rl import Policy, Rollout
from course_utils.settings import CourseError


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

# ---------------------------------------------------------------- given answers, as rollouts


def test_a_given_answer_counts_its_own_tokens_and_end_whatever_the_prompt(policy):
    rollout = given(policy.llm, ["w3 w4 w5 w6", "w7"], ["w20", "w21 w22 w23 "])
    assert rollout.mask.sum(1).tolist() == [2, 4] and rollout.ended.all()
    assert rollout.tokens[0, :2].tolist() == [23, 2]  # w20 is id 23, the end token 2
    found = answer_log_probs(policy, rollout)
    assert found[0, 2:].tolist() == [0.0, 0.0]
    logits = policy.llm.model(torch.tensor([[*policy.llm.encode("w7"), 24, 25, 26]])).logits[0]
    by_hand = logits.log_softmax(-1)[-4:].gather(1, torch.tensor([[24], [25], [26], [2]]))
    assert torch.allclose(found[1], by_hand[:, 0], atol=1e-5)


def test_the_reference_of_given_answers_is_the_policy_without_its_adapter(policy):
    rollout = given(policy.llm, PROMPTS, ANSWERS)
    acting, reference = (answer_log_probs(policy, rollout, r) for r in (False, True))
    assert not torch.allclose(acting, reference, atol=1e-3)
    set_adapter(policy, 0)
    assert torch.allclose(answer_log_probs(policy, rollout), reference, atol=1e-5)


def test_two_answers_to_one_prompt_are_scored_as_if_alone(policy):
    said = ["w20 w21", "w22 w23 w24", "w26", "w30 w31"]
    together = answer_log_probs(policy, given(policy.llm, PROMPTS, said)).sum(1)
    asked = [PROMPTS[0]] * 2 + [PROMPTS[1]] * 2
    assert torch.allclose(together, answer_log_probs(policy, given(policy.llm, asked, said)).sum(1), atol=1e-5)


@pytest.mark.parametrize("asked, said", [([], []), (["w3"], []), (["w3", "w4"], ["w5"] * 3)])
def test_given_answers_are_as_many_for_each_prompt(policy, asked, said):
    with pytest.raises(CourseError, match="as many answers"):
        given(policy.llm, asked, said)


# ---------------------------------------------------------------- TRL's own trainers, on one batch

PROMPTS = ["w3 w4 w5 w6", "w7"]
ANSWERS = ["w20 w21", "w22 w23 w24 w25"]


@pytest.fixture
def policy(causal):
    """The tiny Llama with an adapter that already moved."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    policy = Policy(LLM(get_peft_model(causal.model, config), causal.tokenizer, causal.name))
    set_adapter(policy, 0.3)
    return policy


def set_adapter(policy, spread):
    """The adapter's B matrices random, or 0 as at the start, where it changes nothing."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in policy.llm.model.named_parameters():
            if "lora_B.default" in name:
                p.copy_(spread * torch.randn(p.shape, generator=generator))


def gradients(policy, loss):
    parameters = [p for p in policy.llm.model.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])


OPTIONS = {"bf16": False, "use_cpu": True, "gradient_checkpointing": False, "report_to": "none"}


def rows_of(prompts):
    datasets = pytest.importorskip("datasets")
    return datasets.Dataset.from_dict(prompts)


@pytest.mark.parametrize("moved", [True, False])
def test_dpo_equals_trl_in_value_and_gradient(policy, tmp_path, moved):
    trl = pytest.importorskip("trl", reason="trl is not installed: pip install trl (see requirements.txt)")
    set_adapter(policy, 0)  # TRL keeps the adapter it is given as the reference
    data = {"prompt": PROMPTS, "chosen": [" w20 w21", " w26"], "rejected": [" w22 w23 w24", " w30 w31"]}
    trainer = trl.DPOTrainer(
        policy.llm.model, args=trl.DPOConfig(output_dir=str(tmp_path), beta=0.3, **OPTIONS),
        train_dataset=rows_of(data), processing_class=policy.llm.tokenizer,
    )  # fmt: skip
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
    set_adapter(policy, 0.3 * moved)
    model = policy.llm.model.eval()
    theirs = trainer.compute_loss(model, batch)
    both = [text for pair in zip(data["chosen"], data["rejected"]) for text in pair]
    rollout = given(policy.llm, PROMPTS, both)
    acting = answer_log_probs(policy, rollout).sum(1).view(2, 2).T
    with torch.no_grad():
        reference = answer_log_probs(policy, rollout, reference=True).sum(1).view(2, 2).T
    ours = dpo_loss(*acting, *reference, beta=0.3)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert (abs(ours.item() - math.log(2)) < 1e-6) is not moved
    a, b = gradients(policy, ours), gradients(policy, theirs)
    assert a.abs().max() > 1e-3 and torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("moved", [True, False])
def test_grpo_equals_trl_in_value_gradient_and_advantages(policy, tmp_path, moved):
    """TRL samples and scores a batch; both losses are computed on it."""
    trl = pytest.importorskip("trl", reason="trl is not installed: pip install trl (see requirements.txt)")
    set_adapter(policy, 0)  # TRL keeps the adapter it is given as the reference
    with torch.no_grad():  # the end token becomes likely: answers of several lengths
        policy.llm.model.get_output_embeddings().weight[2] *= 3

    def words_above_30(completions, **_):
        return [float(sum(int(w[1:]) > 30 for w in c.split() if w[0] == "w")) for c in completions]

    config = trl.GRPOConfig(
        output_dir=str(tmp_path), beta=0.3, num_generations=4, per_device_train_batch_size=8,
        max_completion_length=6, loss_type="grpo", epsilon=0.2, temperature=1.0, top_k=0, seed=0,
        use_bias_correction_kl=False,  # theirs weighs the KL by the ratio; the paper does not
        **OPTIONS,
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        policy.llm.model, reward_funcs=words_above_30, args=config,
        train_dataset=rows_of({"prompt": PROMPTS}), processing_class=policy.llm.tokenizer,
    )  # fmt: skip
    set_adapter(policy, 0.3 * moved)
    model = policy.llm.model.eval()
    rows = [{"prompt": p} for p in PROMPTS for _ in range(4)]
    batch = trainer._generate_and_score_completions(rows)
    mask = batch["completion_mask"].bool()
    texts = policy.llm.tokenizer.batch_decode(batch["completion_ids"], skip_special_tokens=True)
    scores = torch.tensor(words_above_30(texts)).view(2, 4)
    advantages = group_advantages(scores).flatten()
    assert torch.allclose(advantages, batch["advantages"], atol=1e-3)  # theirs adds 1e-4 to the spread
    assert advantages.abs().max() > 0.5 and mask.sum(1).min() < mask.sum(1).max()
    asked = [policy.llm.encode(prompt) for prompt in PROMPTS]
    rollout = Rollout(asked, batch["completion_ids"], mask, torch.ones(8, dtype=torch.bool), texts)
    log_probs = answer_log_probs(policy, rollout)
    with torch.no_grad():
        reference = answer_log_probs(policy, rollout, reference=True)
    # An old policy that was a little different, so that ratios leave 1 and some are clipped.
    old = (log_probs + 0.3 * random(*log_probs.shape, seed=1)).detach() if moved else log_probs.detach()
    batch["old_per_token_logps"] = old
    theirs = trainer.compute_loss(model, batch)
    ours = grpo_loss(log_probs, old, reference, batch["advantages"], mask, beta=0.3, clip=0.2)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert moved or abs(ours.item()) < 1e-5  # the value is 0 at the start, the gradient is not
    a, b = gradients(policy, ours), gradients(policy, theirs)
    assert a.abs().max() > 1e-3 and torch.allclose(a, b, atol=1e-5)
