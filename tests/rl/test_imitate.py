"""Imitation with a policy's adapter, and what Lab 3 prints of rivals."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from course_utils import preference, rl, week3
from course_utils.models import LLM

PROMPTS, ANSWERS = ["w3 w4 w5 w6", "w7", "w8 w9 w10", "w11 w12"], ["w20 w21", "w20", "w20 w21 w22", "w20 w21"]


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("kind", [rl.Policy, rl.FastPolicy])
def test_imitation_makes_the_given_answers_likelier_and_leaves_the_reference(family, kind, request):
    llm = request.getfixturevalue(family)
    names = ["q", "v"] if llm.family == "encoder-decoder" else ["q_proj", "v_proj"]
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=names)
    policy = kind(LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name))
    given = preference.given(policy.llm, PROMPTS, ANSWERS)

    def log_probs(reference):
        with torch.no_grad():
            return preference.answer_log_probs(policy, given, reference)

    before = log_probs(False), log_probs(True)
    losses = week3.imitate(policy, PROMPTS, ANSWERS, epochs=10, learning_rate=3e-2, at_once=2)
    assert len(losses) == 20 and losses[-1] < losses[0]
    assert (log_probs(False).sum(1) > before[0].sum(1)).all()
    assert torch.equal(log_probs(True), before[1])
    assert not any(p.any() for p in policy.value_head.parameters())


def test_rivals_are_printed_with_an_interval_over_dialogues_and_the_range_of_their_runs(capsys):
    run = {"dialogue": ["a", "b", "c", "d"], "word_list": [1.0, 0, 0, 0], "rouge1": [0.5] * 4, "facts": [0.25] * 4}
    week3.print_rivals({"one": [run], "two": [run, {**run, "word_list": [1.0, 1, 0, 0]}]})
    head, one, two = capsys.readouterr().out.splitlines()
    assert one.split()[:2] == ["one", "0.250"] and one.split()[-4:] == ["4", "1", "0.500", "0.250"] and " to " not in one
    assert "0.375 [" in two and " 8 2: 0.25 to 0.50" in " ".join(two.split())


def test_two_halves_of_a_batch_give_its_own_gradient(causal):
    torch.manual_seed(0)
    model = get_peft_model(causal.model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]))
    policy = rl.Policy(LLM(model, causal.tokenizer, causal.name))
    given = preference.given(policy.llm, PROMPTS, ANSWERS)
    weights = [p for p in model.parameters() if p.requires_grad]

    def gradient(parts):
        for part in parts:
            (-preference.answer_log_probs(policy, part)[part.mask].sum() / given.mask.sum()).backward()
        found = torch.cat([p.grad.flatten() for p in weights])
        policy.llm.model.zero_grad()
        return found

    parts = list(week3.halves(given))
    assert [len(part.prompts) for part in parts] == [2, 2] and len(list(week3.halves(given.part([0])))) == 1
    assert torch.allclose(gradient(parts), gradient([given]), atol=1e-6)
