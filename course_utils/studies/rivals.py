"""What stands beside PPO in Lab 3: rivals that learn from answers or learn nothing, and PPO without its leash.

``trained/rivals.json`` holds

``runs``
    Supervised fine-tuning of the blunt model on the neutral summaries, with several seeds; the blunt model, asked
    politely; the shipped adapter tuned on calm dialogues, in two draws. Each judged on two answers to each test
    dialogue, by the judges of :mod:`.detox`.
``far``
    The lab's PPO with β = 0, at a higher rate, until its answers are 30 nats from the reference. Every few
    iterations: held-out answers with their texts, their KL, and what every judge says of each.

About a quarter of an hour of one core.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import adapters, logs, rewards, rl, week3
from ..week3 import CONFIG, PROMPTS_AT_ONCE, ask, blunt_model, heated, make_policy
from . import detox, write
from .hacking import watch

COMMAND = "python -m course_utils rivals"
IMITATION, POLITE, CALM = "imitation", "asked politely", "calm adapter"
GRID = [(POLITE, 1), (CALM, 1), (CALM, 2), *((IMITATION, seed) for seed in range(3))]  # untrained: seeds of sampling
JUDGES = {"word_list": rewards.word_list, "profanity": rewards.profanity}
ANSWERS, SAMPLED = 2, 1  # to each dialogue, and the seed of sampling a trained policy's
FREE = replace(CONFIG, beta=0.0, max_kl=math.inf)
RATE, FAR, EVERY, MOST = 6e-3, 30.0, 4, 40  # nats; iterations between two looks, and at most
WATCHED = 8  # dialogues


def rounded(found: dict[str, list]) -> dict[str, list]:
    """What :mod:`.detox` keeps of judged answers, in as many digits."""
    digits = {"profanity": 3, "rouge1": 4}
    return {k: [round(float(x), digits[k]) for x in found[k]] if k in digits else found[k] for k in detox.KEPT}


def run(what: str, seed: int) -> dict:
    """One rival: its answers to the test dialogues, judged."""
    begin, made, template = time.process_time(), {}, "instruction"
    if what == IMITATION:
        policy, rows = make_policy(blunt_model(), seed, mixed=True), heated("train")
        losses = week3.imitate(policy, ask(policy.llm, rows), [row["summary"] for row in rows], seed=seed)
        llm, sampled, made = policy.llm, SAMPLED, {"losses": [round(x, 3) for x in losses]}
    elif what == POLITE:
        llm, sampled, template = blunt_model(), seed, week3.POLITE
    else:
        llm, sampled = adapters.load_shipped("summary"), seed
    limits = CONFIG.max_new_tokens, CONFIG.temperature
    after = week3.judged(llm, heated("test"), JUDGES, ANSWERS, *limits, template, sampled)
    return {"what": what, "seed": seed, **made, "after": rounded(after), "cpu_seconds": round(time.process_time() - begin)}


class FarEnough(Exception):
    """The policy is where the study wanted it."""


def far(most: int = MOST) -> dict:
    """PPO that nothing holds near the reference: its log, and what it wrote on its way."""
    begin, rows = time.process_time(), heated("test")
    score, policy, log = detox.make_score(heated("train")), make_policy(blunt_model(), 0, mixed=True), []
    judges = {"reward": score, "profanity": rewards.profanity}
    watched = [{"iteration": 0, **watch(policy, rows[:WATCHED], judges, 0)}]

    def on_step(iteration, total):
        done = iteration.number + 1
        log.append({k: round(v, 4) for k, v in iteration.stats.items()})
        print(f"far: {done} of at most {total}, {time.process_time() - begin:.0f} s, {iteration.stats}", flush=True)
        if done % EVERY == 0:
            watched.append({"iteration": done, **watch(policy, rows[:WATCHED], judges, done)})
            print(watched[-1]["texts"][::4], np.mean(watched[-1]["kl"]), flush=True)
            if np.mean(watched[-1]["kl"]) >= FAR:
                raise FarEnough

    try:
        rl.train(policy, ask(policy.llm, heated("train")), score, FREE, most, PROMPTS_AT_ONCE, RATE, on_step=on_step)
    except FarEnough:
        pass
    after = watch(policy, rows, judges, SAMPLED, ANSWERS)
    texts, kl = after["texts"], round(float(np.mean(after["kl"])), 2)
    return {
        "beta": FREE.beta, "rate": RATE, "log": log, "watched": watched, "kl_after": kl, "texts": texts[: 2 * WATCHED],
        "after": {k: after[k] for k in (*detox.KEPT, "reward", "kl")}, "cpu_seconds": round(time.process_time() - begin),
    }  # fmt: skip


def main(path: Path = logs.HERE / "rivals.json") -> None:
    """Make what the log does not hold yet. Seconds are of processor time."""
    content = json.loads(path.read_text()) if path.is_file() else {"command": COMMAND, "runs": [], "far": None}
    if not content["far"]:
        content["far"] = far()
        write(content, path)
    for what, seed in GRID:
        if (what, seed) in [(r["what"], r["seed"]) for r in content["runs"]]:
            continue
        content["runs"].append(run(what, seed))
        write(content, path)
        found = content["runs"][-1]
        print(what, seed, {k: round(float(np.mean(found["after"][k])), 3) for k in ("word_list", "rouge1", "facts")}, found["cpu_seconds"], "s", flush=True)
