"""A policy in mixed precision: bfloat16 where that pays, ratio and KL as exact as in float32."""

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_fast import FAMILIES, PROMPTS, make, wrap

from course_utils import finetune, preference, rl
from course_utils.models import LLM
from course_utils.rl.fast import halve_frozen

CONFIG = rl.PPO(max_new_tokens=6, minibatch=4, group=2, epochs=1)
ANSWERS = ["w10 w11 w12", "w9 w8", "w20 w21 w22 w23", "w1", "w44 w45", "w5"]


@pytest.fixture(params=[True, False], ids=["bfloat16 pays", "bfloat16 does not pay"])
def pays(request, monkeypatch):
    monkeypatch.setattr(finetune, "bfloat16_pays", lambda: request.param)
    return request.param


def tiny():
    name, options = FAMILIES["llama"]
    return wrap(make(name, **options), "last")


def fresh(mixed):
    """A policy whose adapter does nothing yet, as PPO begins."""
    llm = tiny()
    for name, p in llm.model.named_parameters():
        if "lora_B" in name:
            p.data.zero_()
    return rl.FastPolicy(llm, mixed)


def score(texts):
    return [float(len(text)) for text in texts]


def test_the_first_ratio_is_exactly_one_and_the_first_kl_exactly_zero(pays):
    policy = fresh(mixed=True)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    stats = rl.step(policy, optimizer, PROMPTS, score, CONFIG, 0)
    assert stats.kl == 0.0 and stats.first_ratio == 0.0


@pytest.mark.parametrize("family", ["llama", "flan-t5", "bart"])
def test_every_family_answers_with_halved_weights(pays, family):
    name, options = FAMILIES[family]
    policy = rl.FastPolicy(wrap(make(name, **options), "last"), mixed=True)
    rollout = rl.sample(policy, PROMPTS, max_new_tokens=4, temperature=1.0, seed=0, group=2)
    assert rollout.tokens.shape[0] == 6 and len(rollout.texts) == 6


def test_a_prompts_log_probs_do_not_depend_on_the_prompts_beside_it(pays):
    policy = rl.FastPolicy(tiny(), mixed=True)
    rollout = rl.sample(policy, PROMPTS, 6, 1.0, seed=0, group=2)
    with torch.no_grad():
        whole, _, _ = rl.evaluate(policy, rollout, CONFIG)
        for index in ([2, 0], [1]):
            part, rows = rollout.part(index), rollout.rows_of(index)
            found, _, _ = rl.evaluate(policy, part, CONFIG)
            assert torch.equal(found[part.mask], whole[rows, : found.shape[1]][part.mask])


def test_frozen_weights_are_halved_only_where_that_pays_and_trained_ones_never(pays):
    policy = rl.FastPolicy(tiny(), mixed=True)
    linear = [m for m in policy.llm.model.modules() if isinstance(m, torch.nn.Linear)]
    trained = {m.weight.dtype for m in linear if m.weight.requires_grad}
    frozen = {m.weight.dtype for m in linear if not m.weight.requires_grad}
    assert trained == {torch.float32}
    # float32 is the output layer, from which log-probabilities come
    assert frozen == ({torch.bfloat16, torch.float32} if pays else {torch.float32})
    assert policy.llm.model.get_base_model().get_output_embeddings().weight.dtype == torch.float32


@pytest.mark.parametrize("options", [
    {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, {"target_modules": ["q_proj", "lm_head"]},
], ids=["trained whole", "adapted"])  # fmt: skip
def test_an_output_layer_that_is_trained_stays_whole_for_the_reference_too(pays, options):
    name, family = FAMILIES["llama"]
    llm = make(name, **family)
    policy = rl.FastPolicy(LLM(get_peft_model(llm.model, LoraConfig(r=4, **options)), llm.tokenizer, llm.name), mixed=True)
    head = policy.llm.model.get_base_model().get_output_embeddings()
    assert {p.dtype for p in head.parameters()} == {torch.float32}
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    first, second = (rl.step(policy, optimizer, PROMPTS, score, CONFIG, 0) for _ in range(2))
    assert first.kl == 0.0 and first.first_ratio == 0.0
    assert second.kl != 0.0 and second.first_ratio == 0.0


def test_halved_weights_give_what_autocast_gives_to_the_last_bit_and_answer_outside_of_it():
    whole, halved = tiny(), tiny()
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        wanted = whole.model(input_ids=ids).logits
    halve_frozen(halved, torch.bfloat16)
    with torch.no_grad():
        assert torch.equal(halved.model(input_ids=ids).logits, wanted)
    assert len(halved.generate(PROMPTS, max_new_tokens=4)) == len(PROMPTS)


def test_a_minibatch_in_parts_has_the_gradient_of_the_whole(monkeypatch):
    """Prompts one by one, rows of unlike length, in float32: each part is divided by all tokens."""
    monkeypatch.setattr(finetune, "bfloat16_pays", lambda: False)
    gradients, moves = [], []
    for mixed in (False, True):
        policy = rl.FastPolicy(tiny(), mixed)
        rollout = policy.read_frozen(preference.given(policy.llm, PROMPTS, ANSWERS))
        shape = rollout.tokens.shape
        generator = torch.Generator().manual_seed(0)
        constants = tuple(torch.randn(shape, generator=generator) for _ in range(4))
        with torch.no_grad():
            old = rl.evaluate(policy, rollout, CONFIG)[0] + 0.1 * constants[0]
        config = replace(CONFIG, max_grad_norm=1e9)
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.0)
        moves.append(rl.ppo.update(policy, optimizer, rollout, [2, 0, 1], (old, *constants[1:]), config))
        gradients.append([p.grad for p in policy.parameters()])
    assert torch.allclose(moves[0], moves[1], atol=1e-4)
    for whole, parts in zip(*gradients):
        assert torch.allclose(whole, parts, rtol=1e-3, atol=1e-5) and whole.abs().max() > 0
