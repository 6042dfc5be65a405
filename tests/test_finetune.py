"""Masking, batching, the loss and the training loop, on tiny random models."""

import copy
import hashlib
import json
import sys
from contextlib import nullcontext

import pytest
import torch
from conftest import SOFT, with_soft_prompt
from peft import LoraConfig, PeftModel, get_peft_model

from course_utils import finetune, models, settings
from course_utils.finetune import IGNORED, Recipe, answer_loss, collate, encode, encode_pair
from course_utils.models import LLM
from course_utils.settings import CourseError

PROMPTS = ["w3 w4 w5 w6", "w7", "w8 w9 w10 w11 w12 w13", "w3 w9", "w20 w21 w22", "w30 w31"]
ANSWERS = ["w40", "w41 w42 w43", "w44", "w45 w46", "w47", "w48 w49 w50 w51"]
RECIPE = Recipe(3e-3, epochs=4, batch_size=2, save_every=2)
BOTH = pytest.mark.parametrize("family", ["causal", "seq2seq"])


def with_lora(llm, r=4):
    config = LoraConfig(r=r, lora_alpha=2 * r, target_modules=["q_proj", "v_proj"], bias="none")
    if llm.family == "encoder-decoder":
        config = LoraConfig(r=r, lora_alpha=2 * r, target_modules=["q", "v"], bias="none")
    return LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name)


def digest(tensors):
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest()


# ---------------------------------------------------------------- the mask


def test_prompt_is_masked_and_the_answer_ends_with_eos(causal):
    example = encode_pair(causal, "w3 w4", "w5 w6")
    end = causal.tokenizer.eos_token_id
    assert example.labels[:2] == [IGNORED, IGNORED]
    assert example.ids[2:] == example.labels[2:] and example.ids[-1] == end
    assert example.answer_tokens == 3


def test_an_encoder_decoder_reads_the_prompt_and_writes_the_answer(seq2seq):
    example = encode_pair(seq2seq, "w3 w4", "w5 w6")
    assert seq2seq.tokenizer.decode(example.ids) == "w3 w4"
    assert seq2seq.tokenizer.decode(example.labels) == "w5 w6</s>" or example.labels[-1] == 2


@BOTH
def test_the_loss_is_the_models_own_and_the_mean_over_answer_tokens(family, request):
    llm = request.getfixturevalue(family)
    examples = encode(llm, PROMPTS, ANSWERS)
    batch = collate(examples, 2)
    ours = answer_loss(llm.model, batch)
    assert torch.allclose(ours, llm.model(**batch).loss, atol=1e-5)
    by_row = finetune.nll(llm, examples)
    counts = [e.answer_tokens for e in examples]
    mean = sum(n * c for n, c in zip(by_row, counts)) / sum(counts)
    assert mean == pytest.approx(ours.item(), abs=1e-5)


@BOTH
@pytest.mark.parametrize("kind", SOFT)
def test_the_loss_of_a_soft_prompt_is_the_models_own_also_beside_padding(family, kind, request):
    bare = request.getfixturevalue(family)
    examples = encode(bare, PROMPTS, ANSWERS)
    without = finetune.nll(bare, examples)
    llm = with_soft_prompt(bare, kind)
    batch = collate(examples, pad_id=2, multiple=5)
    assert torch.allclose(answer_loss(llm.model, batch), llm.model(**batch).loss, atol=1e-5)
    alone = [llm.model(**collate([e], pad_id=2)).loss.item() for e in examples]
    assert finetune.nll(llm, examples, batch_size=4) == pytest.approx(alone, abs=1e-4)
    with llm.model.disable_adapter():
        assert finetune.nll(llm, examples) == pytest.approx(without, abs=1e-5)
    assert max(abs(a - b) for a, b in zip(alone, without)) > 0.05  # the soft prompt does something


@BOTH
@pytest.mark.parametrize("kind", SOFT)
def test_a_soft_prompt_is_trained_and_nothing_else_moves(family, kind, request):
    llm = with_soft_prompt(request.getfixturevalue(family), kind)
    base = digest(llm.model.get_base_model().parameters())
    log = finetune.train(llm, encode(llm, PROMPTS, ANSWERS), Recipe(3e-2, epochs=8, batch_size=6))
    assert log[-1].loss < log[0].loss - 0.05 and all(step.grad_norm > 0 for step in log)
    assert digest(llm.model.get_base_model().parameters()) == base


def test_the_loss_does_not_depend_on_the_prompts_labels(causal):
    """What the mask hides cannot matter; shown by changing it and by un-hiding it."""
    batch = collate(encode(causal, PROMPTS, ANSWERS), 2)
    before = answer_loss(causal.model, batch).item()
    visible = {**batch, "labels": batch["input_ids"].clone()}
    assert answer_loss(causal.model, visible).item() != pytest.approx(before, abs=1e-3)
    hidden = torch.where(batch["labels"] == IGNORED, IGNORED, visible["labels"])
    assert answer_loss(causal.model, {**batch, "labels": hidden}).item() == before


def test_padding_to_a_multiple_adds_columns_and_leaves_the_loss(causal):
    examples = encode(causal, ["a dog", "the cat sat on the mat"], ["barks", "and slept"])
    plain, rounded = collate(examples, 2), collate(examples, 2, multiple=32)
    assert plain["input_ids"].shape[1] % 32 and rounded["input_ids"].shape == (2, 32)
    assert (rounded["attention_mask"].sum(1) == plain["attention_mask"].sum(1)).all()
    losses = [answer_loss(causal.model, batch).item() for batch in (plain, rounded)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@BOTH
def test_padding_changes_no_loss_and_is_never_a_label(family, request):
    llm = request.getfixturevalue(family)
    examples = encode(llm, PROMPTS, ANSWERS)
    batch = collate(examples, 2)
    lengths = torch.tensor([len(e.ids) for e in examples])
    assert batch["attention_mask"].sum(1).tolist() == lengths.tolist()
    assert (batch["attention_mask"][:, 0] == 1).all()  # padded on the right
    assert (batch["labels"] != IGNORED).sum() == sum(e.answer_tokens for e in examples)
    single = [answer_loss(llm.model, collate([e], 2)).item() for e in examples]
    assert finetune.nll(llm, examples, batch_size=6) == pytest.approx(single, abs=1e-4)
    assert finetune.nll(llm, examples, batch_size=1) == pytest.approx(single, abs=1e-4)


def test_learning_the_padding_would_lower_the_loss_for_nothing(causal):
    """The known lab's mistake: labels that keep pad ids. Most of its loss is padding."""
    long = encode(causal, ["w3", "w4"], ["w5", " ".join(["w6"] * 40)])
    batch = collate(long, 2)
    wrong = torch.where(batch["attention_mask"] == 0, 2, batch["labels"])
    padded = (wrong != IGNORED).sum() - (batch["labels"] != IGNORED).sum()
    assert padded == 39
    ours, theirs = (answer_loss(causal.model, {**batch, "labels": x}) for x in (batch["labels"], wrong))
    assert abs(ours - theirs) > 0.1


def test_a_long_example_is_left_out_aloud_and_never_cut(causal, capsys):
    kept = encode(causal, ["w3 w4", " ".join(["w5"] * 200)], ["w6", "w7"])
    assert len(kept) == 1 and kept[0].answer_tokens == 2
    assert "left out 1 of 2 examples: over 128 tokens" in capsys.readouterr().out
    with pytest.raises(CourseError, match="All 2 examples are longer than 2 tokens"):
        encode(causal, PROMPTS[:2], ANSWERS[:2], max_length=2)


@pytest.mark.parametrize("prompts, answers", [([], []), (["w3"], ["w4", "w5"])])
def test_nothing_to_train_on_is_refused(causal, prompts, answers):
    with pytest.raises(CourseError, match="one answer per prompt"):
        encode(causal, prompts, answers)


def test_batches_hold_each_example_once_and_similar_lengths_together():
    examples = [finetune.Example([0] * n, [0]) for n in range(1, 200)]
    batches = finetune.make_batches(examples, 8, seed=1)
    assert sorted(i for batch in batches for i in batch) == list(range(199))
    assert max(max(batch) - min(batch) for batch in batches) < 40
    assert batches == finetune.make_batches(examples, 8, seed=1)
    assert batches != finetune.make_batches(examples, 8, seed=2)


def test_plain_text_predicts_every_token_but_the_first(causal):
    (example,) = finetune.encode_text(causal, ["w3 w4 w5 w6"])
    ids = torch.tensor([example.ids])
    expected = causal.model(ids, labels=ids).loss.item()
    assert finetune.nll(causal, [example])[0] == pytest.approx(expected, abs=1e-5)


# ---------------------------------------------------------------- training


@BOTH
def test_training_lowers_the_loss_and_ends_in_evaluation_mode(family, request):
    llm = request.getfixturevalue(family)
    examples = encode(llm, PROMPTS, ANSWERS)
    before = sum(finetune.nll(llm, examples))
    log = finetune.train(llm, examples, Recipe(1e-2, epochs=20, batch_size=3))
    assert sum(finetune.nll(llm, examples)) < 0.5 * before
    assert not llm.model.training and len(log) == 40
    assert [step.step for step in log] == list(range(40))


@BOTH
def test_full_training_changes_the_base_and_lora_does_not(family, request):
    llm = request.getfixturevalue(family)
    examples = encode(llm, PROMPTS, ANSWERS)
    tuned = with_lora(LLM(copy.deepcopy(llm.model), llm.tokenizer, "copy"))
    before = {n: p.detach().clone() for n, p in tuned.model.named_parameters() if "lora" not in n}
    finetune.train(tuned, examples, RECIPE)
    after = dict(tuned.model.named_parameters())
    assert digest(before.values()) == digest(after[n] for n in before)
    assert any("lora_B" in n and p.abs().sum() > 0 for n, p in after.items())
    untouched = digest(llm.model.parameters())
    full = LLM(copy.deepcopy(llm.model), llm.tokenizer, "full")
    finetune.train(full, examples, RECIPE)
    assert digest(full.model.parameters()) != untouched == digest(llm.model.parameters())


@BOTH
def test_an_adapter_saved_and_reloaded_gives_the_same_answers(family, request, tmp_path):
    llm = request.getfixturevalue(family)
    base = copy.deepcopy(llm.model)
    tuned = with_lora(llm)
    finetune.train(tuned, encode(tuned, PROMPTS, ANSWERS), RECIPE)
    tuned.model.save_pretrained(tmp_path)
    again = LLM(PeftModel.from_pretrained(base, tmp_path, is_trainable=False), llm.tokenizer, "again")
    assert again.generate(PROMPTS, max_new_tokens=6) == tuned.generate(PROMPTS, max_new_tokens=6)
    with pytest.raises(CourseError, match="is_trainable=True"):
        finetune.train(again, encode(llm, PROMPTS, ANSWERS), RECIPE)


@BOTH
def test_half_precision_weights_are_trained_as_fp32(family, request):
    """Updates of a bfloat16 weight smaller than 1/256 of it would be rounded away."""
    llm = request.getfixturevalue(family)
    llm.model.bfloat16()
    examples = encode(llm, PROMPTS, ANSWERS)
    single = LLM(copy.deepcopy(llm.model).float(), llm.tokenizer, llm.name)
    wanted = [step.loss for step in finetune.train(single, examples, RECIPE)]
    assert [step.loss for step in finetune.train(llm, examples, RECIPE)] == wanted
    assert digest(llm.model.parameters()) == digest(single.model.parameters())


def test_an_adapter_is_trained_beside_a_half_precision_base(causal):
    causal.model.bfloat16()
    tuned = with_lora(causal)
    finetune.train(tuned, encode(tuned, PROMPTS, ANSWERS), RECIPE)
    kept = {p.requires_grad: p.dtype for p in tuned.model.parameters()}
    assert kept == {False: torch.bfloat16, True: torch.float32}


@pytest.mark.parametrize("stop_after", [2, 5])
def test_an_interrupted_run_goes_on_to_the_same_loss_curve(causal, tmp_path, stop_after):
    start = copy.deepcopy(causal.model.state_dict())
    examples = encode(causal, PROMPTS, ANSWERS)
    whole = [s.loss for s in finetune.train(causal, examples, RECIPE)]
    final = digest(causal.model.parameters())

    def interrupt(step, steps):
        if step.step == stop_after:
            raise KeyboardInterrupt

    causal.model.load_state_dict(start)
    with pytest.raises(KeyboardInterrupt):
        finetune.train(causal, examples, RECIPE, folder=tmp_path, on_step=interrupt)
    causal.model.load_state_dict(start)
    resumed = finetune.train(causal, examples, RECIPE, folder=tmp_path)
    assert [s.loss for s in resumed] == pytest.approx(whole, abs=1e-6)
    assert digest(causal.model.parameters()) == final
    assert len(list(tmp_path.glob("*.safetensors"))) == 1 and not list(tmp_path.glob("*.tmp"))
    # once complete, a third call trains nothing and loads the result
    causal.model.load_state_dict(start)
    assert len(finetune.train(causal, examples, RECIPE, folder=tmp_path)) == len(whole)
    assert digest(causal.model.parameters()) == final


@BOTH
def test_validation_is_measured_every_eighth_step_and_changes_no_training(family, request, tmp_path):
    llm = request.getfixturevalue(family)
    start = copy.deepcopy(llm.model.state_dict())
    rows, others = encode(llm, PROMPTS[:4], ANSWERS[:4]), encode(llm, PROMPTS[4:], ANSWERS[4:])
    recipe = Recipe(3e-3, epochs=5, batch_size=2)  # ten steps
    alone = [step.loss for step in finetune.train(llm, rows, recipe)]
    llm.model.load_state_dict(start)
    log = finetune.train(llm, rows, recipe, tmp_path, validation=others)
    assert [step.loss for step in log] == alone
    assert [n for n, step in enumerate(log, 1) if step.validation is not None] == [8, 10]
    batch = collate(others, llm.tokenizer.pad_token_id)
    assert log[-1].validation == pytest.approx(answer_loss(llm.model, batch).item(), rel=2e-2)
    assert finetune.train(llm, rows, recipe, tmp_path, validation=others) == log  # read, not repeated
    assert finetune.train(llm, rows, recipe, tmp_path)[-1].validation is None  # another run


def test_trl_gives_the_same_labels_loss_and_gradient(causal, tmp_path):
    """SFTTrainer on rows that are tokenised and masked already, as in Lab 2."""
    trl = pytest.importorskip("trl", reason="trl is not installed: pip install trl (see requirements.txt)")
    from datasets import Dataset

    examples = encode(causal, PROMPTS[:3], ANSWERS[:3])
    rows = Dataset.from_list([{"input_ids": e.ids, "labels": e.labels} for e in examples])
    options = trl.SFTConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=3, bf16=False, use_cpu=True,
        gradient_checkpointing=False, report_to="none",
    )  # fmt: skip
    trainer = trl.SFTTrainer(causal.model, options, train_dataset=rows, processing_class=causal.tokenizer)
    theirs = trainer.data_collator([trainer.train_dataset[i] for i in range(3)])
    ours = collate(examples, causal.tokenizer.pad_token_id)
    assert torch.equal(theirs["labels"], ours["labels"])
    assert torch.equal(theirs["attention_mask"], ours["attention_mask"])
    loss = trainer.compute_loss(causal.model, theirs)
    assert loss.item() == pytest.approx(answer_loss(causal.model, ours).item(), abs=1e-5)
    both = [torch.autograd.grad(x, list(causal.model.parameters())) for x in (loss, answer_loss(causal.model, ours))]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*both))


@pytest.mark.parametrize("other", [Recipe(1e-3, epochs=4, batch_size=2), "data", "broken"])
def test_a_checkpoint_of_another_run_is_not_resumed(causal, tmp_path, other):
    examples = encode(causal, PROMPTS, ANSWERS)
    finetune.train(causal, examples, RECIPE, folder=tmp_path)
    recipe = other if isinstance(other, Recipe) else RECIPE
    if other == "data":
        examples = examples[:4]
    if other == "broken":
        next(tmp_path.glob("*.safetensors")).write_bytes(b"half")
    seen = []
    finetune.train(causal, examples, recipe, folder=tmp_path, on_step=lambda s, n: seen.append(s))
    assert seen and seen[0].step == 0


@pytest.mark.parametrize("keep", [None, "run"])
def test_a_learning_rate_that_diverges_stops_and_gives_the_weights_back(causal, tmp_path, keep):
    folder = keep and tmp_path / keep
    start = digest(causal.model.parameters())
    with pytest.raises(CourseError, match=r"diverges.*lower learning_rate \(now 100\)"):
        finetune.train(causal, encode(causal, PROMPTS, ANSWERS), Recipe(100.0, epochs=30), folder)
    assert digest(causal.model.parameters()) == start and not causal.model.training


def test_weights_are_kept_only_after_their_own_loss_was_fine(causal, tmp_path):
    """The first update is the bad one, and a checkpoint is due after it: it must not be kept."""
    start = digest(causal.model.parameters())
    recipe = Recipe(100.0, batch_size=2, epochs=4, save_every=1, warmup_share=0.0)
    with pytest.raises(CourseError, match="diverges"):
        finetune.train(causal, encode(causal, PROMPTS, ANSWERS), recipe, tmp_path / "kept")
    assert digest(causal.model.parameters()) == start


def test_an_illegal_memory_access_is_not_called_too_little_memory(causal, monkeypatch):
    def broken(*args):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(finetune, "answer_loss", broken)
    with pytest.raises(RuntimeError, match="illegal") as caught:
        finetune.train(causal, encode(causal, PROMPTS, ANSWERS), RECIPE)
    assert not isinstance(caught.value, CourseError)


@pytest.mark.parametrize(
    "error", [RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), MemoryError()]
)
def test_out_of_memory_says_what_to_lower_and_nothing_kept_is_lost(causal, monkeypatch, tmp_path, error):
    examples = encode(causal, PROMPTS, ANSWERS)
    loss_of = finetune.answer_loss
    calls = iter(range(99))

    def full(*args):
        if next(calls) == 5:
            raise error
        return loss_of(*args)

    monkeypatch.setattr(finetune, "answer_loss", full)
    with pytest.raises(CourseError, match=r"lower tokens_at_once \(now 600\).*it goes on from the state kept in"):
        finetune.train(causal, examples, RECIPE, tmp_path)
    seen = []
    finetune.train(causal, examples, RECIPE, tmp_path, on_step=lambda step, steps: seen.append(step.step))
    assert seen[0] == 4 and seen[-1] == 11  # a state is kept every two steps: the last one after four


def test_a_text_with_nothing_to_predict_is_refused(causal):
    for text in ("", "w3"):
        with pytest.raises(CourseError, match="no token to predict"):
            finetune.encode_text(causal, ["w3 w4", text])


def test_an_empty_split_is_refused(causal):
    with pytest.raises(CourseError, match="list of examples is empty"):
        finetune.train(causal, [], RECIPE)


def test_measuring_uses_evaluation_mode_and_gives_the_mode_back(causal):
    tuned = with_lora(causal)
    tuned.model.train()
    finetune.nll(tuned, encode(causal, PROMPTS, ANSWERS))
    assert tuned.model.training
    with finetune.evaluating(tuned.model) as model:
        assert not model.training


def test_the_learning_rate_warms_up_and_decays():
    recipe = Recipe(1.0, warmup_share=0.2)
    rates = [finetune.schedule(i, 10, recipe) for i in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_one_update_moves_the_weights_against_the_gradient_of_the_mean_loss(causal):
    """By hand: plain gradient descent, the gradient cut to a norm of 1."""
    rows, rate, name = encode(causal, PROMPTS, ANSWERS), 0.1, "model.layers.0.mlp.up_proj.weight"
    weight = dict(causal.model.named_parameters())[name]
    loss = causal.model(**collate(rows, 2)).loss
    gradients = torch.autograd.grad(loss, list(causal.model.parameters()))
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    own = gradients[[n for n, _ in causal.model.named_parameters()].index(name)]
    expected = weight.detach() - rate * own / max(norm, 1)
    optimizer = torch.optim.SGD(causal.model.parameters(), lr=9.0)  # update sets the rate
    found = finetune.update(causal.model, optimizer, rows, rate, Recipe(9.0), pad_id=2)
    assert found[0] == pytest.approx(loss.item(), rel=2e-2) and found[1] == pytest.approx(norm.item(), rel=2e-2)
    assert torch.allclose(weight, expected, atol=1e-2 * own.abs().max().item())
    assert weight.grad is None


def test_an_update_that_is_refused_moves_nothing(causal):
    def refuse(loss, norm):
        raise CourseError(f"a loss of {loss} is too much")

    before = digest(causal.model.parameters())
    optimizer = torch.optim.SGD(causal.model.parameters(), lr=1.0)
    with pytest.raises(CourseError, match="too much"):
        finetune.update(causal.model, optimizer, encode(causal, PROMPTS, ANSWERS), 1.0, RECIPE, 2, refuse)
    assert digest(causal.model.parameters()) == before


def test_gradients_are_kept_short_only_where_nothing_is_lost():
    """By hand: 0.5 and 3 are bfloat16's numbers, 1 + 2^-10 is not."""
    exact, fine = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    with finetune.gradients_in_short([exact, fine]) as gradients:
        (exact @ torch.tensor([0.5, 3.0]) + fine @ torch.tensor([1.0, 1 + 2**-10])).backward()
    assert gradients[exact].dtype == torch.bfloat16 and gradients[exact].tolist() == [0.5, 3.0]
    assert gradients[fine].dtype == torch.float32 and gradients[fine].tolist() == [1.0, 1 + 2**-10]
    assert exact.grad is None
    (exact @ torch.tensor([1.0, 1.0])).backward()
    assert exact.grad.tolist() == [1.0, 1.0]  # after the block gradients stay where torch puts them


@pytest.mark.parametrize("shape", [(), (7,), (3, 5)])
def test_what_fits_bfloat16_is_told_by_its_lower_bits(shape):
    """As comparing with a copy tells it; 1 + 2^-8 is the first number above 1 that does not fit."""
    generator = torch.Generator().manual_seed(0)
    fits = torch.randn(shape, generator=generator).bfloat16().float()
    for numbers in (fits, -fits, fits * 0, fits * 2.0**-20, fits.t() if fits.dim() == 2 else fits, fits / 0):
        assert finetune._fits_bfloat16(numbers)
    for numbers in (fits + fits * 2**-8, fits * (1 + 2**-23)):
        assert not finetune._fits_bfloat16(numbers)
    assert finetune._fits_bfloat16(fits.double()) and not finetune._fits_bfloat16(fits.double() / 3)


def test_gradients_of_two_parts_add_up_in_fp32():
    weight = torch.nn.Parameter(torch.zeros(1))
    with finetune.gradients_in_short([weight]) as gradients:
        for part in (256.0, 1.0):  # bfloat16 has no 257
            (weight * part).sum().backward()
    assert gradients[weight].item() == 257.0


@BOTH
@pytest.mark.parametrize("tied", [True, False])
def test_what_is_looked_up_apart_is_the_gradient_that_autograd_finds(family, tied, request):
    """The embedding's too: shared with the output layer or not, padding left out, over two parts."""
    llm = request.getfixturevalue(family)
    rows = encode(llm, PROMPTS, ANSWERS)
    if tied:
        llm.model.get_output_embeddings().weight = llm.model.get_input_embeddings().weight
    weights = [p for p in llm.model.parameters() if p.requires_grad]
    longest = max(len(e.ids) for e in rows)
    finetune.add_gradients(llm.model, rows, longest, 2)
    wanted = {p: p.grad for p in weights if p.grad is not None}
    llm.model.zero_grad()
    with finetune.gradients_in_short(weights) as gradients, finetune.looked_up_apart(llm.model, gradients):
        finetune.add_gradients(llm.model, rows, longest, 2)
    embedding = llm.model.get_input_embeddings().weight
    assert wanted.keys() == gradients.keys() and wanted[embedding].count_nonzero()
    for p, gradient in wanted.items():
        torch.testing.assert_close(gradients[p].float(), gradient)
    llm.model.zero_grad()
    finetune.add_gradients(llm.model, rows, longest, 2)  # after the block autograd finds all of it again
    torch.testing.assert_close(embedding.grad, wanted[embedding])


def test_an_embedding_that_does_more_than_look_up_is_left_to_autograd(causal):
    class Scaled(torch.nn.Embedding):
        def forward(self, ids):
            return super().forward(ids) * 3.0

    causal.model.get_input_embeddings().__class__ = Scaled
    rows = encode(causal, PROMPTS, ANSWERS)
    finetune.add_gradients(causal.model, rows, 999, 2)
    embedding, gradients = causal.model.get_input_embeddings().weight, {}
    wanted = embedding.grad.clone()
    causal.model.zero_grad()
    with finetune.looked_up_apart(causal.model, gradients):
        finetune.add_gradients(causal.model, rows, 999, 2)
    assert not gradients
    torch.testing.assert_close(embedding.grad, wanted)


@BOTH
def test_short_rows_are_attended_to_by_plain_products_and_only_inside(family, request, monkeypatch):
    monkeypatch.setattr(finetune, "mixed_precision", lambda *a, **k: nullcontext())
    llm = request.getfixturevalue(family)
    rows, before = encode(llm, PROMPTS, ANSWERS), llm.model.config._attn_implementation
    losses = {}
    for longest in (finetune.SHORT, finetune.SHORT + 1):
        with pytest.raises(KeyboardInterrupt), finetune.short_attention(llm.model, longest):
            used = llm.model.config._attn_implementation
            losses[longest], _ = finetune.add_gradients(llm.model, rows, 999, 2)
            raise KeyboardInterrupt
        assert used == ("eager" if longest == finetune.SHORT else before)
        assert llm.model.config._attn_implementation == before
    assert losses[finetune.SHORT] == pytest.approx(losses[finetune.SHORT + 1], abs=1e-5)
    used = []
    finetune.train(llm, rows, RECIPE, on_step=lambda *_: used.append(llm.model.config._attn_implementation))
    assert set(used) == {"eager"} and llm.model.config._attn_implementation == before == "sdpa"


@pytest.mark.parametrize(
    "lora, at_once, large, twice",
    [(True, 999, 10**9, False), (True, 5, 10**9, True), (False, 999, 0, True)],
    ids=["an adapter, batches that fit", "an adapter, larger batches", "full fine-tuning"],
)
def test_layers_are_computed_twice_where_memory_is_short(causal, monkeypatch, lora, at_once, large, twice):
    monkeypatch.setattr(finetune, "LARGE", large)
    llm, used = with_lora(causal) if lora else causal, []
    base = llm.model.get_base_model() if lora else llm.model

    def watch(*_):
        used.append(base.is_gradient_checkpointing)

    recipe = Recipe(3e-3, batch_size=2, tokens_at_once=at_once)
    finetune.train(llm, encode(llm, PROMPTS, ANSWERS), recipe, on_step=watch)
    assert set(used) == {twice} and not base.is_gradient_checkpointing


def test_the_norm_of_all_gradients_is_added_up_in_fp32():
    short = torch.full((1000,), 0.1, dtype=torch.bfloat16)  # 0.1 is 0.10009765625 there
    assert finetune.total_norm([short, torch.tensor([3.0])]) == pytest.approx((1000 * 0.10009765625**2 + 9) ** 0.5, rel=1e-6)


@BOTH
def test_layers_computed_twice_give_the_same_gradients_and_only_inside(family, request):
    llm = request.getfixturevalue(family)
    rows = encode(llm, PROMPTS, ANSWERS)
    llm.model.train()
    torch.manual_seed(0)  # T5 drops out
    finetune.add_gradients(llm.model, rows, 999, pad_id=2)
    plain = [p.grad.clone() for p in llm.model.parameters()]
    llm.model.zero_grad()
    with pytest.raises(KeyboardInterrupt), finetune.recomputing(llm.model) as times:
        assert times > 1 and llm.model.is_activation_checkpointing
        torch.manual_seed(0)
        finetune.add_gradients(llm.model, rows, 999, pad_id=2)
        raise KeyboardInterrupt
    assert not llm.model.is_activation_checkpointing
    assert all(torch.equal(a, p.grad) for a, p in zip(plain, llm.model.parameters()))


def test_frozen_weights_are_short_inside_and_the_same_after_an_exception(causal, monkeypatch):
    monkeypatch.setattr(finetune, "bfloat16_pays", lambda: True)
    tuned = with_lora(causal).model
    before = {name: p.detach().clone() for name, p in tuned.named_parameters()}
    with pytest.raises(KeyboardInterrupt), finetune.frozen_in_short(tuned, tight=False):
        short = {name for name, p in tuned.named_parameters() if p.dtype == torch.bfloat16}
        raise KeyboardInterrupt
    assert any("q_proj.base_layer" in name for name in short) and not any("lora" in name for name in short)
    assert not any("norm" in name or "embed" in name for name in short)
    assert all(torch.equal(before[name], p) and p.dtype == torch.float32 for name, p in tuned.named_parameters())
    monkeypatch.setattr(finetune, "bfloat16_pays", lambda: False)
    with finetune.frozen_in_short(tuned, tight=False):
        assert all(p.dtype == torch.float32 for p in tuned.parameters())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the pages")
def test_where_memory_is_tight_the_frozen_weights_leave_it_and_come_back(monkeypatch):
    monkeypatch.setattr(finetune, "bfloat16_pays", lambda: True)
    tuned = with_lora(models.load_llm(settings.embedded())).model  # in its file until it is read
    sums = {name: p.sum().item() for name, p in tuned.named_parameters()}
    with finetune.frozen_in_short(tuned, tight=False):
        large = sum(4 * p.numel() for p in tuned.parameters() if p.dtype == torch.bfloat16)
        kept = finetune.memory_in_use(release=True)
    with finetune.frozen_in_short(tuned, tight=True):
        less = finetune.memory_in_use(release=True)
    assert kept - less > 0.8 * large > 3e8
    assert {name: p.sum().item() for name, p in tuned.named_parameters()} == sums


def test_short_frozen_weights_give_the_losses_of_autocast(causal, monkeypatch):
    monkeypatch.setattr(finetune, "bfloat16_pays", lambda: True)
    tuned = with_lora(causal).model
    rows = encode(causal, PROMPTS, ANSWERS)
    autocast, _ = finetune.add_gradients(tuned, rows, 999, pad_id=2)
    with finetune.frozen_in_short(tuned, tight=False):
        short, _ = finetune.add_gradients(tuned, rows, 999, pad_id=2)
    assert short == autocast


def test_logits_that_a_model_scales_are_trained_as_it_scales_them(causal):
    """Granite divides its logits by a number of its own."""
    from transformers import GraniteConfig, GraniteForCausalLM

    torch.manual_seed(0)
    model = GraniteForCausalLM(GraniteConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, logits_scaling=8.0, initializer_range=0.4, pad_token_id=2,
    ))  # fmt: skip
    batch = collate(encode(causal, PROMPTS, ANSWERS), 2)
    assert torch.allclose(answer_loss(model, batch), model(**batch).loss, atol=1e-5)


def test_a_step_is_plain_json(causal):
    log = finetune.train(causal, encode(causal, PROMPTS, ANSWERS), Recipe(1e-3, batch_size=6))
    assert json.loads(json.dumps(log[0].__dict__))["loss"] == log[0].loss


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(family, request):
    """Ragged rows: parts count by their answer tokens, not equally (trap 14)."""
    llm = request.getfixturevalue(family)
    rows = finetune.encode(llm, ["w1 w2", "w3", "w4 w5 w6"], ["w7", "w8 w9 w10 w11", "w12 w13"])
    gradients = []
    for at_once in (1, 12, 99):  # 3 parts, 2 parts, 1 part
        llm.model.zero_grad()
        loss, _ = finetune.add_gradients(llm.model.float(), rows, at_once, pad_id=2)
        gradients.append((loss, [p.grad.clone() for p in llm.model.parameters() if p.grad is not None]))
    for loss, grads in gradients[1:]:
        assert loss == pytest.approx(gradients[0][0], rel=2e-2)
        for a, b in zip(grads, gradients[0][1]):
            assert torch.allclose(a, b, atol=2e-2 * b.abs().max().item() + 1e-6)


def with_few_positions(kind):
    """Models of 30 positions: rounded up to a quarter of a step, rows of 28 would have 32 columns."""
    import transformers as t
    from conftest import make_tokenizer

    torch.manual_seed(0)
    sizes = {"vocab_size": 60, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    if kind == "gpt2":
        model = t.GPT2LMHeadModel(t.GPT2Config(**sizes, n_embd=32, n_layer=2, n_head=4, n_positions=30))
    elif kind == "mpt":
        model = t.MptForCausalLM(t.MptConfig(**sizes, d_model=32, n_heads=4, n_layers=2, max_seq_len=30))
    else:
        model = t.LEDForConditionalGeneration(t.LEDConfig(
            **sizes, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=48, decoder_ffn_dim=48, max_encoder_position_embeddings=64, max_decoder_position_embeddings=30,
            attention_window=8, decoder_start_token_id=2,
        ))  # fmt: skip
    return LLM(model.eval(), make_tokenizer(), kind)


@pytest.mark.parametrize("kind", ["gpt2", "mpt", "led"])
def test_padding_does_not_go_past_a_models_positions(kind):
    llm = with_few_positions(kind)
    prompt, answer = ("w3 w4", "w5 " * 27) if kind == "led" else ("w3 " * 20, "w5 " * 7)
    rows = encode(llm, [prompt, "w9"], [answer, "w8"])
    assert max(len(rows[0].ids), len(rows[0].labels)) == 28 and llm.context in (30, 64)
    alone = [answer_loss(llm.model, collate([row], 2)).item() for row in rows]
    assert finetune.nll(llm, rows) == pytest.approx(alone, abs=1e-4)
    finetune.train(llm, rows, Recipe(1e-3, batch_size=2))
    assert finetune.nll(llm, rows)[0] < alone[0]


def test_parts_hold_neighbours_and_no_more_tokens_than_allowed():
    rows = [finetune.Example([1] * n, [1] * n) for n in (4, 5, 9, 2, 2, 2, 30, 1)]
    parts = finetune.in_parts(rows, 10)
    assert [[len(e.ids) for e in part] for part in parts] == [[4, 5], [9], [2, 2, 2], [30], [1]]
    assert [e for part in parts for e in part] == rows
    assert len(finetune.in_parts(rows, 1000)) == 1 and len(finetune.in_parts(rows, 1)) == len(rows)


def test_memory_is_a_part_of_the_log_and_a_finished_run_is_read(causal, tmp_path):
    rows = finetune.encode(causal, ["w1 w2"] * 8, ["w3 w4"] * 8)
    recipe = finetune.Recipe(1e-3, batch_size=4)
    log = finetune.train(causal, rows, recipe, tmp_path)
    after = [p.detach().clone() for p in causal.model.parameters()]
    seen = []
    again = finetune.train(causal, rows, recipe, tmp_path, on_step=lambda s, n: seen.append((s, n)))
    assert again == log and seen == [(log[-1], 2)]
    assert all(torch.equal(a, b) for a, b in zip(after, causal.model.parameters()))
    assert finetune.memory_in_use() > 10_000_000


def four_bits(causal):
    """The tiny model with 4-bit linear layers and a LoRA adapter on them."""
    bnb = pytest.importorskip("bitsandbytes", reason="its wheel exists for x86-64 Linux")
    for name, layer in list(causal.model.named_modules()):
        if isinstance(layer, torch.nn.Linear) and name != "lm_head":
            small = bnb.nn.Linear4bit(layer.in_features, layer.out_features, bias=False, quant_type="nf4")
            small.load_state_dict({"weight": layer.weight.data})
            parent, _, last = name.rpartition(".")
            setattr(causal.model.get_submodule(parent), last, small.to("cpu"))
    causal.model.eval()
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    return LLM(get_peft_model(causal.model, config), causal.tokenizer, causal.name)


def gradients(llm, examples):
    llm.model.zero_grad()
    answer_loss(llm.model, collate(examples, llm.tokenizer.pad_token_id)).backward()
    return [p.grad.norm().item() for p in llm.model.parameters() if p.requires_grad]


def test_a_model_of_four_bits_can_be_measured_before_it_is_trained(causal):
    """Seen with bitsandbytes 0.50.2: see findings/bitsandbytes_cpu_eval_no_gradient.sh."""
    llm = four_bits(causal)
    examples = encode(llm, ["a b c", "d e"], ["f g", "h"])
    llm.model.train()
    fresh = gradients(llm, examples)
    with torch.no_grad():
        finetune.nll(llm, examples)
    llm.model.train()
    assert gradients(llm, examples) == pytest.approx(fresh, rel=1e-4) and min(fresh) > 0


def test_repacked_weights_of_four_bits_are_refused(causal):
    llm = four_bits(causal)
    layer = llm.model.base_model.model.model.layers[0].mlp.up_proj
    layer.weight.quant_state.packing_format_for_cpu = True
    with pytest.raises(CourseError, match="load it anew"):
        finetune.train(llm, encode(llm, ["a"], ["b"]), Recipe(1e-3))


def test_layers_are_not_computed_twice_in_evaluation_mode(causal):
    with pytest.raises(ValueError, match=r"model\.train\(\)"), finetune.recomputing(causal.model.eval()):
        pass


def test_short_rows_are_padded_by_little_and_all_to_few_lengths():
    def padded(*lengths):
        rows = [finetune.Example([1] * n, [1] * n) for n in lengths]
        return collate(rows, 0, "cpu", finetune.shape_step(rows))["labels"].shape[1]

    assert [padded(5, 36), padded(64, 3), padded(65, 3), padded(130)] == [40, 64, 96, 160]
    assert len({padded(n) for n in range(2, 257)}) == 8 + 6
