"""Batched, length-sorted generation against one prompt at a time: a ratio within one run."""

import time

import pytest

from course_utils import data, models, prompts

DIALOGUES, NEW_TOKENS = 32, 40  # as many tokens as Lab 2 allows an answer


@pytest.mark.slow
def test_batched_generation_is_four_times_one_at_a_time(benchmark):
    llm = models.load_llm()
    rows = data.load_dialogues(tone="calm")["test"].select(range(DIALOGUES)).to_list()
    examples = data.load_dialogues(tone="calm")["train"].select([0, 1, 2]).to_list()
    asked = [llm.chat(prompts.make_chat(examples, row["dialogue"])) for row in rows]
    llm.generate(asked[:2], max_new_tokens=2)  # warm up

    start = time.perf_counter()
    alone = [llm.generate([prompt], max_new_tokens=NEW_TOKENS)[0] for prompt in asked]
    one_at_a_time = time.perf_counter() - start

    together = benchmark.pedantic(lambda: llm.generate(asked, max_new_tokens=NEW_TOKENS), rounds=1)
    ratio = one_at_a_time / benchmark.stats.stats.mean
    same = sum(a == b for a, b in zip(alone, together))
    print(
        f"\none at a time {one_at_a_time:.1f} s, batched {one_at_a_time / ratio:.1f} s: {ratio:.1f}×; {same} of {DIALOGUES} answers equal"
    )
    assert same >= 0.9 * DIALOGUES
    assert ratio >= 4


@pytest.mark.slow
def test_evaluating_is_faster_than_the_labs_loop(benchmark):
    """The loop of the known labs, ``model.generate`` for one prompt after another, on Lab 2's prompts.

    A batch reads all weights once a step, where the loop reads them for each single token; the
    instruction at the prompts' beginning is read once.
    """
    llm = models.load_llm()
    rows = data.load_dialogues(tone="calm")["test"].select(range(DIALOGUES))
    asked = [llm.chat(prompts.fill("instruction", row["dialogue"])) for row in rows]
    llm.generate(asked[:2], max_new_tokens=2)  # warm up

    start, alone = time.perf_counter(), []
    for prompt in asked:
        inputs = llm.tokenizer(prompt, return_tensors="pt")
        output = llm.model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
        new = output[0, inputs["input_ids"].shape[1] :]
        alone.append(llm.tokenizer.decode(new, skip_special_tokens=True).strip())
    one_at_a_time = time.perf_counter() - start

    together = benchmark.pedantic(lambda: llm.generate(asked, max_new_tokens=NEW_TOKENS), rounds=1)
    ratio = one_at_a_time / benchmark.stats.stats.mean
    same = sum(a == b for a, b in zip(alone, together))
    print(f"\nthe labs' loop {one_at_a_time:.1f} s: {ratio:.1f}×; {same} of {DIALOGUES} answers equal")
    assert same >= 0.9 * DIALOGUES
    assert ratio >= 5
