"""Ratios within one run: our training step against transformers' Trainer as it comes."""

import time

import pytest
import torch

from course_utils import data, finetune, models, prompts
from course_utils.finetune import Recipe


@pytest.fixture(scope="module")
def llm():
    return models.load_llm()


@pytest.fixture(scope="module")
def examples(llm):
    rows = data.load_dialogues(tone="calm")["train"].select(range(48))
    asked = [llm.chat(prompts.fill("instruction", row["dialogue"])) for row in rows]
    return finetune.encode(llm, asked, rows["summary"])


def adapted(llm):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    return models.LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name)


def test_training_is_faster_than_the_plain_trainer(benchmark, llm, examples, tmp_path):
    """LoRA steps of eight examples: tokens (padding not counted) per second, ours / Trainer's.

    The two take turns, 16 examples each time, so that a slow minute of the machine hits both.
    """
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    recipe = Recipe(1e-3, batch_size=8)
    ours, theirs = adapted(llm), adapted(models.load_llm()).model
    finetune.train(ours, examples[:8], recipe)  # warm up
    parts = iter([examples[start : start + 16] for start in range(0, len(examples), 16)])
    their_seconds = 0.0

    def trainers_turn():
        nonlocal their_seconds
        part = next(parts)
        trainer = Trainer(
            theirs,
            TrainingArguments(str(tmp_path), num_train_epochs=1, report_to=[], save_strategy="no",
                              use_cpu=not torch.cuda.is_available(), learning_rate=1e-3,
                              disable_tqdm=True),
            train_dataset=[{"input_ids": e.ids, "attention_mask": [1] * len(e.ids),
                            "labels": e.labels} for e in part],
            data_collator=DataCollatorForSeq2Seq(llm.tokenizer),
        )  # fmt: skip
        start = time.perf_counter()
        trainer.train()
        their_seconds += time.perf_counter() - start
        return (ours, part, recipe), {}

    benchmark.pedantic(finetune.train, setup=trainers_turn, rounds=3)
    our_seconds, tokens = benchmark.stats.stats.total, sum(len(e.ids) for e in examples)
    ratio = their_seconds / our_seconds
    print(f"\nours {tokens / our_seconds:.0f} tokens/s, Trainer {tokens / their_seconds:.0f}: {ratio:.2f}x")
    assert ratio >= 1.5
