"""Pieces of work that two builds of the course do, for ``against.py``.

Each function prepares one work and returns what is to be timed. It runs with whichever build is on
``PYTHONPATH``, so it uses only what both builds have; where a name has moved, it tries both places.

As a program, ``works.py NAME`` (or ``NAME:SIZE``, such as ``full:24``) prepares, prints "ready", waits for a line, works, and prints JSON.
"""

import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import course_utils  # noqa: F401  before torch: newer builds set how threads wait


def examples(llm, count: int):
    """Lab 2's: requests for a summary of the first calm dialogues, with the summaries."""
    from course_utils import data, finetune, prompts

    rows = data.load_dialogues(tone="calm")["train"].select(range(count))
    asked = [llm.chat(prompts.fill("instruction", row["dialogue"])) for row in rows]
    return finetune.encode(llm, asked, rows["summary"])


def full(dialogues: int = 160):
    """Lab 2's full fine-tuning, checkpoints included."""
    from course_utils import finetune, models, settings

    llm = models.load_llm()
    rows = examples(llm, dialogues)
    folder = settings.current().cache / "runs" / "full"
    return lambda: losses(finetune.train(llm, rows, finetune.Recipe(1e-4, batch_size=4), folder))


def lora(dialogues: int = 160):
    """Lab 2's LoRA training, checkpoints included."""
    import torch
    from peft import LoraConfig, get_peft_model

    from course_utils import finetune, models, settings

    llm = models.load_llm()
    rows = examples(llm, dialogues)
    torch.manual_seed(0)
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    llm = models.LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name)
    folder = settings.current().cache / "runs" / "lora"
    return lambda: losses(finetune.train(llm, rows, finetune.Recipe(2e-3, batch_size=4), folder))


def losses(log) -> dict[str, float]:
    """The first loss and the mean of the last eight, nats per token: has the work stayed the same?"""
    last = log[-8:]
    return {"first": log[0].loss, "last": sum(step.loss for step in last) / len(last)}


def detox():
    """The judge and the policy of Lab 3, before training, and its requests."""
    import torch
    from peft import LoraConfig, get_peft_model

    from course_utils import adapters, data, models, prompts, rewards, rl, settings

    llm = adapters.load_shipped("blunt")
    llm = models.LLM(llm.model.merge_and_unload(), llm.tokenizer, "blunt")
    names = [n for n, _ in llm.model.named_modules() if n.endswith(("q_proj", "v_proj")) and int(n.split(".")[2]) >= 20]
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=names)
    llm = models.LLM(get_peft_model(llm.model, config), llm.tokenizer, "blunt")
    policy = rl.fast_or_plain(llm, mixed=True) if hasattr(rl, "fast_or_plain") else rl.Policy(llm)
    rows = data.load_dialogues(settings.embedded(), tone="heated")
    asked = {part: [llm.chat(prompts.fill("instruction", r["dialogue"])) for r in rows[part]] for part in rows}
    return rewards.RewardModel(seed=0), policy, asked


def ppo():
    """One iteration of Lab 3's PPO: eight prompts, four answers to each, two passes over them."""
    import torch

    from course_utils import rewards, rl

    judge, policy, asked = detox()
    config = rl.PPO(minibatch=8, group=4, temperature=0.7, max_new_tokens=40, no_end_penalty=0.3)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)

    def work():
        stats = rl.step(policy, optimizer, asked["train"][:8], lambda t: rewards.score(judge, t), config, 0)
        return {"first_ratio": stats.first_ratio, "kl": stats.kl, "tokens": stats.tokens}

    return work


def judging():
    """Lab 3's look at a policy: four answers to each of 70 dialogues, and the scores of three judges."""
    from course_utils import finetune, rewards

    judge, policy, asked = detox()
    requests = [prompt for prompt in asked["test"] for _ in range(4)]

    def work():
        with finetune.mixed_precision():
            texts = policy.llm.generate(requests, max_new_tokens=40, do_sample=True, temperature=0.7, batch_size=70)
        return {"insults": sum(rewards.word_list(texts)), "profanity": sum(rewards.profanity(texts)),
                "reward": sum(rewards.score(judge, texts))}  # fmt: skip

    return work


def feed_forward():
    """A bare loop of matrix products: how much do two processes hinder each other?"""
    import torch

    layers = torch.nn.Sequential(torch.nn.Linear(576, 1536), torch.nn.ReLU(), torch.nn.Linear(1536, 576))
    x = torch.randn(64, 576)

    @torch.no_grad()
    def work():
        for _ in range(600):
            layers(x)

    work()  # warm up
    return work


def notebook(path: str):
    """A whole notebook, in a kernel of its own."""
    from course_utils import notebooks

    def work():
        notebooks.execute(Path(path))

    return work


WORKS = {"full": full, "lora": lora, "ppo": ppo, "judging": judging, "feed-forward": feed_forward}


@dataclass(frozen=True)
class Cost:
    """Processor seconds and wall seconds of the work, bytes of the process at its largest."""

    cpu: float
    wall: float
    peak: int


def measured(work) -> tuple[Cost, object]:
    """Do the work; children (a notebook's kernel) count for their seconds and, if larger, their peak."""
    before, start = _seconds(), time.perf_counter()
    result = work()
    cpu, wall = _seconds() - before, time.perf_counter() - start
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Cost(cpu, wall, 1024 * peak), result


def _seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


if __name__ == "__main__":
    name, _, size = sys.argv[1].partition(":")
    work = WORKS[name](*([int(size)] if size else [])) if name in WORKS else notebook(name)
    print("ready", flush=True)
    input()
    cost, result = measured(work)
    print(json.dumps({"cost": cost.__dict__, "result": result}))
