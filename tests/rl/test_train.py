"""Reading a prompt once, skipping frozen layers, and training that survives what goes wrong."""

import json
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from course_utils import rl
from course_utils.models import LLM
from course_utils.rl.ppo import evaluate
from course_utils.settings import CourseError

PROMPTS = ["w3 w4 w5 w6", "w7", "w8 w9 w10", "w11 w12"]
CONFIG = rl.PPO(max_new_tokens=6, minibatch=6, group=3, no_end_penalty=0.0)
BOTH = pytest.mark.parametrize("family", ["causal", "seq2seq"])


def make_policy(llm, layers=None, noise=0.3):
    torch.manual_seed(0)
    names = ["q", "v"] if llm.family == "encoder-decoder" else ["q_proj", "v_proj"]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=names, layers_to_transform=layers)
    policy = rl.FastPolicy(LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name))
    with torch.no_grad():  # an adapter that does something
        for p in policy.parameters():
            p.add_(noise * torch.randn_like(p))
    return policy


def one_row_a_response(rollout):
    """The same rollout with each prompt repeated for each of its responses."""
    prompts = [p for p in rollout.prompts for _ in range(rollout.group)]
    return rl.Rollout(prompts, rollout.tokens, rollout.mask, rollout.ended, rollout.texts)


@BOTH
def test_reading_a_prompt_once_changes_no_log_prob(family, request):
    policy = make_policy(request.getfixturevalue(family))
    rollout = rl.sample(policy, PROMPTS, 6, 1.0, seed=0, group=3)
    assert rollout.group == 3 and rollout.tokens.shape[0] == 12
    with torch.no_grad():
        shared, values, _ = evaluate(policy, rollout, CONFIG)
        apart, others, _ = evaluate(policy, one_row_a_response(rollout), CONFIG)
    assert torch.allclose(shared[rollout.mask], apart[rollout.mask], atol=1e-4)
    assert torch.allclose(values[rollout.mask], others[rollout.mask], atol=1e-4)


@BOTH
def test_a_part_of_a_rollout_keeps_prompts_and_responses_together(family, request):
    policy = make_policy(request.getfixturevalue(family), None if family == "seq2seq" else [1])
    rollout = rl.sample(policy, PROMPTS, 6, 1.0, seed=0, group=3)
    with torch.no_grad():
        whole, _, _ = evaluate(policy, rollout, CONFIG)
        for index in ([2, 0], [1]):
            part, rows = rollout.part(index), rollout.rows_of(index)
            found, _, _ = evaluate(policy, part, CONFIG)
            want = whole[rows, : part.tokens.shape[1]]
            assert part.texts == [rollout.texts[r] for r in rows]
            assert torch.allclose(found[part.mask], want[part.mask], atol=1e-4)


@pytest.mark.parametrize("reference", [False, True])
def test_starting_behind_the_frozen_layers_changes_neither_value_nor_gradient(causal, reference):
    policy = make_policy(causal, layers=[1])
    assert policy.frozen == 1
    rollout = rl.sample(policy, PROMPTS, 6, 1.0, seed=0, group=3)
    assert rollout.trunk  # sample has read the frozen layers
    gradients = []
    for one in (replace(rollout, trunk=None), rollout):
        for p in policy.parameters():
            p.grad = None
        log_probs, _, _ = evaluate(policy, one, CONFIG, reference)
        gradients.append([log_probs.detach()[rollout.mask]])
        if not reference:
            log_probs[rollout.mask].sum().backward()
            trained = [p for n, p in policy.llm.model.named_parameters() if p.requires_grad]
            gradients[-1] += [p.grad.clone() for p in trained]
    for a, b in zip(*gradients):
        assert torch.allclose(a, b, atol=1e-4)
    assert len(policy.llm.model.get_base_model().get_decoder().layers) == 2


def test_all_layers_are_back_after_an_exception(causal, monkeypatch):
    policy = make_policy(causal, layers=[1])
    rollout = rl.sample(policy, PROMPTS, 6, 1.0, seed=0)
    decoder = policy.llm.model.get_base_model().get_decoder()
    monkeypatch.setattr(decoder.norm, "forward", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        policy.outputs(rollout)
    assert len(decoder.layers) == 2 and not decoder.layers[1]._forward_pre_hooks


def test_an_adapter_on_every_layer_leaves_nothing_frozen(causal, seq2seq):
    for llm in (causal, seq2seq):
        policy = make_policy(llm)
        rollout = rl.sample(policy, PROMPTS, 4, 1.0, seed=0)
        assert policy.frozen == 0 and policy.read_frozen(rollout) is rollout


# ---------------------------------------------------------------- many iterations


def longest(texts):
    return [float(len(text)) for text in texts]


def run(llm, folder=None, iterations=4, score=longest, config=CONFIG, on_step=None, **options):
    policy = make_policy(llm, layers=[1], noise=0.0)
    log = rl.train(
        policy, PROMPTS, score, config, iterations, prompts_at_once=2, folder=folder, on_step=on_step,
        **options,
    )  # fmt: skip
    return policy, log


@pytest.fixture
def make_llm(causal):
    """Models like the first one: training wraps and changes the one it is given."""
    import copy

    return lambda: LLM(copy.deepcopy(causal.model), causal.tokenizer, causal.name)


def numbers(log):
    return [{**it.stats, "texts": it.texts} for it in log]


def test_an_interrupted_run_goes_on_where_it_stopped(make_llm, tmp_path):
    whole_policy, whole = run(make_llm())

    def interrupt(iteration, iterations):
        if iteration.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make_llm(), tmp_path, on_step=interrupt)
    seen = []
    policy, log = run(make_llm(), tmp_path, on_step=lambda it, n: seen.append(it.number))
    assert numbers(log) == numbers(whole) and seen == [0, 1, 2, 3]
    for a, b in zip(policy.parameters(), whole_policy.parameters()):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_finished_run_is_read_and_not_repeated(make_llm, tmp_path):
    policy, log = run(make_llm(), tmp_path)

    seen, asked = [], []

    def noted(texts):
        asked.append(texts)
        return longest(texts)

    again, same = run(make_llm(), tmp_path, score=noted, on_step=lambda it, n: seen.append(it.number))
    assert asked == [log[-1].texts]  # once, to see that it is the reward of the run
    assert numbers(same) == numbers(log) and seen == [0, 1, 2, 3]
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters()))


def test_other_choices_start_another_run(make_llm, tmp_path):
    run(make_llm(), tmp_path)
    _, log = run(make_llm(), tmp_path, learning_rate=5e-3)
    assert len(log) == 4 and log[0].number == 0


def test_a_run_with_another_reward_is_not_taken_for_this_one(make_llm, tmp_path):
    run(make_llm(), tmp_path)
    kept = (tmp_path / "state.json").read_bytes()
    with pytest.raises(CourseError, match="another reward.*Delete the folder"):
        run(make_llm(), tmp_path, score=lambda texts: [-x for x in longest(texts)])
    assert (tmp_path / "state.json").read_bytes() == kept


def test_every_prompt_is_used_before_any_is_used_again(make_llm, monkeypatch):
    import sys

    seen = []

    def step(policy, optimizer, prompts, score, config, seed):
        seen.append(list(prompts))
        return rl.step(policy, optimizer, prompts, score, config, seed)

    monkeypatch.setattr(sys.modules["course_utils.rl.train"], "step", step)
    run(make_llm())
    assert sorted(seen[0] + seen[1]) == sorted(PROMPTS) == sorted(seen[2] + seen[3])
    assert seen[:2] != seen[2:]


def test_a_kl_that_runs_away_keeps_the_last_good_adapter_in_memory_and_on_disk(make_llm, tmp_path):
    """The last update is the bad one: what is kept is the state that it was made from."""
    policy = make_policy(make_llm(), layers=[1], noise=0.0)

    def copy(*_):
        states.append([p.detach().clone() for p in policy.parameters()])

    states = []
    copy()
    config = rl.PPO(max_new_tokens=6, minibatch=6, group=3, no_end_penalty=0.0, max_kl=5.0, beta=0.0)
    with pytest.raises(rl.RanAway, match="lower the learning rate or raise beta"):
        rl.train(
            policy, PROMPTS, longest, config, 20, 2, learning_rate=1.0, folder=tmp_path, on_step=copy
        )
    assert len(states) >= 2
    assert all(torch.equal(p, kept) for p, kept in zip(policy.parameters(), states[-2]))
    state = json.loads((tmp_path / "state.json").read_text())
    kept = load_file(tmp_path / state["file"])["weight.value_head.weight"]
    assert torch.equal(kept, policy.value_head.weight) and len(state["log"]) == len(states) - 2


def test_a_run_stopped_after_its_bad_update_keeps_the_good_adapter_when_resumed(make_llm, tmp_path):
    config = rl.PPO(max_new_tokens=6, minibatch=6, group=3, no_end_penalty=0.0, max_kl=5.0, beta=0.0)
    states = []

    def train(stop_at=None):
        policy = make_policy(make_llm(), layers=[1], noise=0.0)

        def copy(*_):
            states.append([p.detach().clone() for p in policy.parameters()])
            if len(states) == stop_at:
                raise KeyboardInterrupt

        copy()
        rl.train(policy, PROMPTS, longest, config, 20, 2, learning_rate=1.0, folder=tmp_path, on_step=copy)

    with pytest.raises(rl.RanAway):
        train()
    bad = len(states)  # the start, and the state after each update up to the bad one
    for file in tmp_path.iterdir():
        file.unlink()
    states.clear()
    with pytest.raises(KeyboardInterrupt):
        train(stop_at=bad)
    good = states[bad - 2]
    policy = make_policy(make_llm(), layers=[1], noise=0.0)
    with pytest.raises(rl.RanAway):
        rl.train(policy, PROMPTS, longest, config, 20, 2, learning_rate=1.0, folder=tmp_path)
    assert all(torch.equal(p, kept) for p, kept in zip(policy.parameters(), good))


def test_a_silent_policy_is_one_sentence(make_llm, monkeypatch):
    llm = make_llm()
    monkeypatch.setattr(llm.tokenizer.__class__, "decode", lambda self, ids, **options: "")
    with pytest.raises(CourseError, match="is empty"):
        run(llm)


def test_a_policy_that_never_ends_is_one_sentence(make_llm):
    llm = make_llm()
    with torch.no_grad():
        llm.model.get_output_embeddings().weight[2] = 0
        llm.model.get_output_embeddings().weight[5:] *= 9
    config = rl.PPO(max_new_tokens=3, minibatch=6, group=3, no_end_penalty=1.0)
    with pytest.raises(CourseError, match="None of 6 answers ended within max_new_tokens=3"):
        run(llm, config=config)


def test_too_few_prompts_are_one_sentence(make_llm):
    policy = make_policy(make_llm(), layers=[1])
    with pytest.raises(CourseError, match="draws 9 prompts at a time and there are 4"):
        rl.train(policy, PROMPTS, longest, CONFIG, 1, prompts_at_once=9)
