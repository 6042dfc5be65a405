"""What Lab 3's PPO is measured against, and what becomes of it without a leash: texts and judgements.

*imitation*: supervised fine-tuning of the blunt model on the neutral training summaries, with PPO's own
adapter. *adapter*: the shipped ``summary`` adapter, which never saw a quarrel. *asked*: the blunt model,
asked to be polite. *far*: PPO without a price of KL, at more than twice the lab's learning rate. All in the
arithmetic of today's labs (``mixed=True``); a quarter of an hour of one core.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import adapters, finetune, logs, rewards, rl
from ..week3 import CONFIG, PROMPTS_AT_ONCE, ask, blunt_model, heated, imitate, make_policy
from . import write
from .detox import KEPT, make_score, measure, sampled_kl

GRID = [("adapter", 0), ("asked", 0), ("imitation", 0), ("far", 0), ("imitation", 1), ("imitation", 2)]
ANSWERS = 1  # to each test dialogue
SHOWN = 8  # dialogues whose first answer is kept as text
POLITE = "Summarize the following conversation politely. Do not repeat any insult.\n\n{dialogue}\n\nSummary:"
FAR = {"iterations": 10, "learning_rate": 8e-3}


def judged(llm, template: str = "instruction") -> dict:
    """Answers to the test dialogues: what the judges say, and the first texts."""
    with finetune.mixed_precision():
        found = measure(llm, heated("test"), answers=ANSWERS, template=template)
    return {"after": {k: found[k] for k in KEPT}, "texts": found["texts"][: SHOWN * ANSWERS : ANSWERS]}


def run(kind: str, seed: int) -> dict:
    """One rival: how it was made, and its judged answers."""
    start = time.process_time()
    if kind == "adapter":
        made = {}
        answers = judged(adapters.load_shipped("summary"))
    elif kind == "asked":
        made = {"template": POLITE}
        answers = judged(blunt_model(), POLITE)
    elif kind == "imitation":
        policy = make_policy(blunt_model(), seed, mixed=True)
        rows = heated("train")
        losses = imitate(policy, ask(policy.llm, rows), [r["summary"] for r in rows], seed=seed)
        made = {"losses": [round(x, 3) for x in losses], "training_seconds": round(time.process_time() - start)}
        answers = judged(policy.llm)
        made["kl_after"] = round(float(np.mean(sampled_kl(policy, heated("validation")))), 2)
    else:
        made = {"beta": 0.0, **FAR}
        policy = make_policy(blunt_model(), seed, mixed=True)
        asked = ask(policy.llm, heated("train"))
        log = rl.train(
            policy, asked, make_score(heated("train")), replace(CONFIG, beta=0.0, max_kl=1e9), FAR["iterations"],
            PROMPTS_AT_ONCE, FAR["learning_rate"], seed=seed,
            on_step=lambda it, n: print(it.number + 1, it.stats, it.texts[0], flush=True),
        )  # fmt: skip
        made["log"] = [
            {**{k: round(v, 4) for k, v in it.stats.items()}, "toxic": float(np.mean(rewards.word_list(it.texts))),
             "texts": it.texts[: 4 * CONFIG.group : CONFIG.group]}
            for it in log
        ]
        made["training_seconds"] = round(time.process_time() - start)
        answers = judged(policy.llm)
        made["kl_after"] = round(float(np.mean(sampled_kl(policy, heated("validation")))), 2)
    return {"kind": kind, "seed": seed, **made, **answers, "seconds": round(time.process_time() - start)}


def main(path: Path = logs.HERE / "rivals.json") -> None:
    """Run what the log does not hold yet. Seconds are of processor time."""
    done = logs.rivals(path) if path.is_file() else []
    for kind, seed in GRID:
        if (kind, seed) not in [(r["kind"], r["seed"]) for r in done]:
            done.append(run(kind, seed))
            print(kind, seed, {k: round(float(np.mean(v)), 3) for k, v in done[-1]["after"].items() if k != "dialogue"}, flush=True)
            write({"command": "python -m course_utils rivals", "runs": done}, path)
