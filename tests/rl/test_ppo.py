"""The policy, the rollout and the loop, on tiny random models."""

import hashlib

import numpy as np
import pytest
import torch
from conftest import SOFT, with_soft_prompt
from peft import LoraConfig, get_peft_model

from course_utils import rl
from course_utils.models import LLM
from course_utils.rl.ppo import evaluate
from course_utils.settings import CourseError

PROMPTS = ["w3 w4 w5 w6", "w7", "w8 w9 w10", "w11 w12"]
CONFIG = rl.PPO(max_new_tokens=6, minibatch=2)
BOTH = pytest.mark.parametrize("family", ["causal", "seq2seq"])
KINDS = pytest.mark.parametrize("kind", [rl.Policy, rl.FastPolicy])


def make_policy(llm, dropout=0.0, kind=rl.FastPolicy):
    torch.manual_seed(0)
    names = ["q", "v"] if llm.family == "encoder-decoder" else ["q_proj", "v_proj"]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=names, lora_dropout=dropout)
    return kind(LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name))


def randomise(policy, spread):
    """An adapter that does something: peft starts it at zero."""
    with torch.no_grad():
        for name, p in policy.llm.model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, spread)


def base_digest(policy):
    frozen = [p for n, p in policy.llm.model.named_parameters() if "lora" not in n]
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in frozen)).hexdigest()


@pytest.fixture
def kind():
    return rl.FastPolicy  # where a test does not ask for both


@pytest.fixture
def policy(family, kind, request):
    return make_policy(request.getfixturevalue(family), kind=kind)


@BOTH
@KINDS
def test_02_rebatching_changes_no_log_prob_in_fp32(policy):
    rollout = rl.sample(policy, PROMPTS, 6, 1.0, seed=0)
    whole, values, _ = evaluate(policy, rollout, CONFIG)
    for row in range(len(PROMPTS)):
        part = rollout.part([row])
        alone, value, _ = evaluate(policy, part, CONFIG)
        n = part.tokens.shape[1]
        assert torch.allclose(alone[0], whole[row, :n], atol=1e-4)
        assert torch.allclose(value[0], values[row, :n], atol=1e-4)


@BOTH
def test_03_the_log_probs_are_those_the_generation_used(family, request):
    policy = make_policy(request.getfixturevalue(family), kind=rl.Policy)
    rollout = rl.sample(policy, PROMPTS, 6, 1.0, seed=0)
    answers = policy.llm.answer(PROMPTS, max_new_tokens=6, do_sample=True, seed=0)
    found, _, _ = evaluate(policy, rollout, CONFIG)
    sums = torch.where(rollout.mask, found, 0.0).sum(1)
    assert sums.tolist() == pytest.approx([a.log_prob for a in answers], abs=1e-3)


@BOTH
@KINDS
def test_03_the_first_ratio_is_one_and_the_first_kl_is_zero(policy):
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    stats = rl.step(policy, optimizer, PROMPTS, lambda texts: [len(t) for t in texts], CONFIG, 0)
    assert stats.kl == 0.0 and stats.first_ratio < 1e-5


@BOTH
@KINDS
def test_04_the_reference_is_the_model_without_its_adapter(policy):
    before = base_digest(policy)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for seed in range(3):
        rl.step(policy, optimizer, PROMPTS, lambda texts: [len(t) for t in texts], CONFIG, seed)
    assert base_digest(policy) == before
    rollout = rl.sample(policy, PROMPTS, 6, 1.0, seed=0)
    with torch.no_grad():
        acting, reference = (evaluate(policy, rollout, CONFIG, r)[0] for r in (False, True))
        assert not torch.allclose(acting, reference, atol=1e-3)
        bare = policy.llm.model.unload()
        policy.llm = LLM(bare, policy.llm.tokenizer, "bare")
        bare.disable_adapter, bare.get_base_model = None, lambda: bare
        assert torch.allclose(evaluate(policy, rollout, CONFIG)[0], reference, atol=1e-5)


def test_04_the_adapter_is_active_again_after_an_exception(causal, monkeypatch):
    policy = make_policy(causal)
    rollout = rl.sample(policy, PROMPTS, 4, 1.0, seed=0)
    layer = next(m for m in policy.llm.model.modules() if hasattr(m, "lora_A"))
    monkeypatch.setattr(policy, "forward", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        policy.outputs(rollout, reference=True)
    assert not layer.disable_adapters


def test_04_a_policy_without_an_adapter_is_refused(causal):
    with pytest.raises(CourseError, match="no adapter"):
        rl.Policy(causal)


def test_05_the_mask_counts_the_end_token_and_a_missing_end_costs(causal):
    policy = make_policy(causal)
    with torch.no_grad():  # the end token becomes likely
        causal.model.get_output_embeddings().weight[2] *= 3
    rollout = rl.sample(policy, PROMPTS * 8, 6, 1.0, seed=0)
    assert rollout.ended.any() and not rollout.ended.all()
    lengths = rollout.mask.sum(1)
    for row in range(len(lengths)):
        last = rollout.tokens[row, lengths[row] - 1].item()
        assert (last == 2) == rollout.ended[row].item()
        assert 2 not in rollout.tokens[row, : lengths[row] - 1]
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.0)
    stats = rl.step(policy, optimizer, PROMPTS * 8, lambda t: [0.0] * len(t), CONFIG, 0)
    assert stats.score == pytest.approx(-(1 - stats.ended)) and 0 < stats.ended < 1


def test_04_an_adapter_that_was_not_merged_shows_in_the_first_kl(causal):
    """A policy that starts from a trained adapter has the model without it as its reference."""
    policy = make_policy(causal)
    randomise(policy, 1)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.0)
    assert abs(rl.step(policy, optimizer, PROMPTS, lambda t: [0.0] * len(t), CONFIG, 0).kl) > 0.1


def test_04_a_model_with_two_adapters_is_refused_and_nothing_is_copied(causal):
    weights = {p.data_ptr() for p in causal.model.parameters()}
    policy = make_policy(causal)
    held = {p.data_ptr() for n, p in policy.llm.model.named_parameters() if "lora" not in n}
    assert held == weights
    policy.llm.model.add_adapter("second", LoraConfig(r=2, target_modules=["q_proj"]))
    with pytest.raises(CourseError, match="2 adapters.*merge"):
        rl.Policy(policy.llm)


@KINDS
@pytest.mark.parametrize("options, words", [
    ({"init_lora_weights": "pissa"}, "pissa changes the model's own weights.*init_lora_weights=True"),
    ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4 changes the model's own weights.*init_lora_weights=True"),
    ({"init_lora_weights": "olora"}, "olora changes the model's own weights.*init_lora_weights=True"),
    ({"bias": "all"}, "bias='all' trains biases of the model itself; use bias='none'"),
    ({"bias": "lora_only"}, "bias='lora_only' trains biases of the model itself; use bias='none'"),
])  # fmt: skip
def test_04_an_adapter_that_moves_the_model_itself_is_refused(causal, kind, options, words):
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], **options)
    llm = LLM(get_peft_model(causal.model, config), causal.tokenizer, causal.name)
    with pytest.raises(CourseError, match=f"not the model the policy starts from: {words}"):
        kind(llm)


def test_04_a_trained_weight_outside_the_adapter_is_refused_and_frozen_it_is_not(causal):
    llm = make_policy(causal).llm
    norm = next(p for n, p in llm.model.named_parameters() if n.endswith("model.norm.weight"))
    norm.requires_grad_(True)
    with pytest.raises(CourseError, match=r"model.norm.weight is trained and stays.*freeze it"):
        rl.Policy(llm)
    norm.requires_grad_(False)
    rl.Policy(llm)


@pytest.mark.parametrize("soft", SOFT)
def test_04_a_soft_prompt_is_refused(causal, soft):
    with pytest.raises(CourseError, match="soft prompt is read by peft's wrapper alone.*use LoRA"):
        rl.Policy(with_soft_prompt(causal, soft))


@KINDS
@pytest.mark.parametrize("module", ["lm_head", "norm", "embed_tokens"])
def test_04_a_module_trained_whole_is_gone_in_the_reference(causal, kind, module):
    """peft keeps the module it was, and switches back to it."""
    fresh = make_policy(causal)  # an adapter of zeros: the bare model
    rollout = rl.sample(fresh, PROMPTS, 6, 1.0, seed=0)
    bare = evaluate(fresh, rollout, CONFIG)[0].detach()
    fresh.llm.model.unload()
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=[module], layers_to_transform=[1])
    policy = kind(LLM(get_peft_model(causal.model, config), causal.tokenizer, causal.name))
    policy.check_start()
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(0.3 * torch.randn_like(p))
        read = policy.read_frozen(rollout)
        acting, reference = (evaluate(policy, read, CONFIG, off)[0] for off in (False, True))
    assert torch.allclose(reference, bare, atol=1e-4)
    assert not torch.allclose(acting, bare, atol=0.1)


@KINDS
def test_04_training_starts_only_where_policy_and_reference_are_one(causal, kind):
    policy = make_policy(causal, kind=kind)
    policy.check_start()
    randomise(policy, 1)
    before = [p.detach().clone() for p in policy.parameters()]
    with pytest.raises(CourseError, match=r"is \d+\.\d\d nats from its reference.*merge_and_unload"):
        rl.train(policy, PROMPTS, lambda texts: [0.0] * len(texts), CONFIG, iterations=1, prompts_at_once=2)
    assert all(torch.equal(a, b) for a, b in zip(before, policy.parameters()))
    merged = LLM(policy.llm.model.merge_and_unload(), causal.tokenizer, causal.name)
    make_policy(merged, kind=kind).check_start()  # as the sentence says


def test_09_whitening_is_over_the_whole_rollout(causal, monkeypatch):
    """Not over a minibatch, whose mean would hide that all its answers were good."""
    policy, seen = make_policy(causal), []
    whiten = rl.whiten
    monkeypatch.setattr("course_utils.rl.ppo.whiten", lambda a, m: seen.append(len(a)) or whiten(a, m))
    rl.step(policy, torch.optim.Adam(policy.parameters()), PROMPTS, lambda t: range(len(t)), CONFIG, 0)
    assert seen == [len(PROMPTS)] and CONFIG.minibatch < len(PROMPTS)


def test_10_explained_variance_rises_when_the_prompt_tells_the_score(causal):
    policy = make_policy(causal)
    prompts = PROMPTS * 4
    scores = [float(prompt in PROMPTS[:2]) for prompt in prompts]
    head = torch.optim.Adam(policy.value_head.parameters(), lr=0.03)  # the adapter stays as it is
    config = rl.PPO(max_new_tokens=6, minibatch=16, no_end_penalty=0.0, value_clip=10.0, lam=1.0)
    found = [rl.step(policy, head, prompts, lambda t: scores, config, s) for s in range(20)]
    first, last = (np.mean([x.explained_variance for x in part]) for part in (found[:3], found[-3:]))
    assert last > first + 0.2


def test_10_the_value_head_starts_at_zero(causal):
    policy = make_policy(causal)
    rollout = rl.sample(policy, PROMPTS, 4, 1.0, seed=0)
    assert (policy.outputs(rollout)[1] == 0).all()


def test_12_dropout_is_off_in_rollout_and_loss(causal):
    policy = make_policy(causal, dropout=0.5)
    randomise(policy, 1)  # an adapter of zeros would hide it
    found = {}
    for mode in (True, False):
        policy.llm.model.train(mode)
        found[mode] = rl.sample(policy, PROMPTS * 4, 4, 1.0, seed=0)
    assert found[True].texts == found[False].texts
    logits = {mode: policy.llm.model.train(mode) and policy.outputs(found[True])[0] for mode in (True, False)}
    assert torch.equal(logits[True], logits[False])


def test_12_sampling_is_plain_whatever_the_models_own_defaults_are(causal, monkeypatch):
    policy, seen = make_policy(causal, kind=rl.Policy), {}
    policy.llm.model.generation_config.top_k, policy.llm.model.generation_config.top_p = 1, 0.1
    generate = policy.llm.model.generate
    monkeypatch.setattr(policy.llm.model, "generate", lambda **options: seen.update(options) or generate(**options))
    rollout = rl.sample(policy, PROMPTS[:1], 6, 0.7, seed=0, group=8)
    assert (seen["do_sample"], seen["temperature"], seen["top_k"], seen["top_p"]) == (True, 0.7, 0, 1.0)
    assert len(set(rollout.texts)) > 1  # greedy search, or top-k = 1, would write one text eight times


def test_13_only_the_response_is_scored(causal):
    policy, seen = make_policy(causal), []

    def score(texts):
        seen.extend(texts)
        return [0.0] * len(texts)

    rl.step(policy, torch.optim.Adam(policy.parameters()), ["w3 w3 w3"] * 4, score, CONFIG, 0)
    assert len(seen) == 4
    assert not any(text.startswith("w3 w3 w3") or "</s>" in text for text in seen)


@BOTH
@KINDS
def test_16_it_learns_to_say_a_word(policy):
    """Reward: how often the response says w20. Twenty seconds suffice."""
    optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)
    config = rl.PPO(max_new_tokens=6, minibatch=16, beta=0.01, no_end_penalty=0.0)

    def score(texts):
        return [text.split().count("w20") for text in texts]

    found = [rl.step(policy, optimizer, PROMPTS * 8, score, config, s).score for s in range(25)]
    assert sum(found[-5:]) / 5 > sum(found[:5]) / 5 + 0.5


@pytest.mark.parametrize(
    "answer, words",
    [
        ([1.0], "returned 1 numbers for 4"),
        ([1.0, float("nan"), 0, 0], "NaN or infinity"),
        (["good"] * 4, "list of numbers"),
        (None, "list of numbers"),
    ],
)
def test_a_broken_reward_function_is_one_sentence(causal, answer, words):
    policy = make_policy(causal)
    optimizer = torch.optim.Adam(policy.parameters())
    with pytest.raises(CourseError, match=words):
        rl.step(policy, optimizer, PROMPTS, lambda texts: answer, CONFIG, 0)


def test_a_kl_that_runs_away_stops_before_the_update(causal):
    policy = make_policy(causal)
    randomise(policy, 50)
    before = [p.detach().clone() for p in policy.parameters()]
    config = rl.PPO(max_new_tokens=6, max_kl=0.5)
    with pytest.raises(CourseError, match="lower the learning rate or raise beta"):
        rl.step(policy, torch.optim.Adam(policy.parameters()), PROMPTS * 4, lambda t: [0] * len(t), config, 0)  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(before, policy.parameters()))
