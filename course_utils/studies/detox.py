"""Lab 3's experiment with several seeds and several prices of KL.

Some minutes per run on two cores. Lab 3 and *Beyond PPO* plot the log.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .. import logs, metrics, rewards, rl
from ..models import LLM
from ..week3 import CONFIG, ITERATIONS, PROMPTS_AT_ONCE, ask, blunt_model, heated, make_policy
from . import write

GRID = [(0.05, seed) for seed in range(5)] + [(0.0, 0), (0.2, 0)]  # (beta, seed)
BEFORE = 9  # answers to a dialogue before training: all runs are compared with them, so they are many
KEPT = ("dialogue", "word_list", "profanity", "rouge1", "length", "facts", "ended")


def make_score(rows):
    """``list[str] → list[float]``: a reward model trained on neutral against blunt summaries, its
    scores shifted and scaled to mean 0 and standard deviation 1 over the training texts."""
    chosen, rejected = [r["summary"] for r in rows], [r["summary_blunt"] for r in rows]
    model = rewards.RewardModel()
    rewards.train_reward_model(model, chosen, rejected)
    known = np.array(rewards.score(model, chosen + rejected))
    mean, spread = known.mean(), known.std()
    return lambda texts: [(s - mean) / spread for s in rewards.score(model, texts)]


def measure(llm: LLM, rows, seed: int = 1, answers: int = 3, template: str = "instruction") -> dict[str, list]:
    """Sampled answers to each row's dialogue and what judges that no training used say of them."""
    found = llm.answer(
        [p for p in ask(llm, rows, template) for _ in range(answers)], max_new_tokens=CONFIG.max_new_tokens,
        do_sample=True, temperature=CONFIG.temperature, seed=seed,
    )  # fmt: skip
    texts = [a.text for a in found]
    references = [[row["summary"]] for row in rows for _ in range(answers)]
    return {
        "texts": texts,
        "dialogue": [row["id"] for row in rows for _ in range(answers)],
        "word_list": rewards.word_list(texts),
        "profanity": [round(p, 3) for p in rewards.profanity(texts)],
        "rouge1": [round(float(r), 4) for r in metrics.rouge_table(texts, references)[:, 0]],
        "length": [len(text.split()) for text in texts],
        "facts": [metrics.fact_recall(t, row["facts"]) for t, row in zip(texts, np.repeat(rows, answers))],
        "tokens": [a.tokens for a in found],
        "ended": [a.ended for a in found],
    }


@torch.no_grad()
def sampled_kl(policy: rl.Policy, rows, seed: int = 2) -> list[float]:
    """Nats between policy and reference for a sampled answer to each row, sums over its tokens."""
    rollout = rl.sample(policy, ask(policy.llm, rows), CONFIG.max_new_tokens, CONFIG.temperature, seed)
    new, reference = (rl.evaluate(policy, rollout, CONFIG, r)[0] for r in (False, True))
    return torch.where(rollout.mask, new - reference, 0.0).sum(1).tolist()


def run(beta: float, seed: int, score) -> dict:
    """Train one policy; its log, and its answers to the test dialogues, judged."""
    llm = blunt_model()
    policy, asked = make_policy(llm, seed, mixed=True), ask(llm, heated("train"))
    start = time.monotonic()
    log = rl.train(
        policy, asked, score, replace(CONFIG, beta=beta), ITERATIONS, PROMPTS_AT_ONCE, seed=seed,
        on_step=lambda it, n: print(f"β {beta} seed {seed}: {it.number + 1} of {n}, {it.stats}", flush=True),
    )  # fmt: skip
    seconds = time.monotonic() - start
    after = measure(policy.llm, heated("test"))
    return {
        "beta": beta, "seed": seed, "iterations": len(log),
        "log": [
            {**{k: round(v, 4) for k, v in it.stats.items()}, "toxic": float(np.mean(rewards.word_list(it.texts)))}
            for it in log
        ],
        "after": {k: after[k] for k in KEPT},
        "kl_after": round(float(np.mean(sampled_kl(policy, heated("validation")))), 3),
        "seconds": round(seconds), "generated_tokens": sum(it.stats["tokens"] for it in log),
    }  # fmt: skip


def main(path: Path = logs.HERE / "detox.json") -> None:
    """Make what the log does not hold yet."""
    content = {"command": "python -m course_utils detox", "before": None, "runs": []}
    if path.is_file():
        content = json.loads(path.read_text())
    if not content["before"]:
        found = measure(blunt_model(), heated("test"), seed=11, answers=BEFORE)
        content["before"] = {k: found[k] for k in KEPT}
        write(content, path)
    score = make_score(heated("train"))
    for beta, seed in GRID:
        if (beta, seed) not in [(r["beta"], r["seed"]) for r in content["runs"]]:
            content["runs"].append(run(beta, seed, score))
            write(content, path)
