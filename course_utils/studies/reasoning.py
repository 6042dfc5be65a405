"""Week 3's reinforcement learning with verifiable rewards, again with other seeds: minutes of one core each.

From a short fine-tuning three ways go on, with the same adapter and the same problems. GRPO and expert
iteration see answers only, and sample equally many texts. *More SFT* is shown an expression for each problem, in
as many updates as GRPO makes. Each model is measured on problems of the kinds it trained on and of kinds that
nobody trained on.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from .. import logs, models, rl, settings
from .. import reasoning as sums
from . import write

COMMAND = "python -m course_utils reasoning"
SEEDS = (0, 1, 2, 3, 4)
PLAIN, GRPO, IMITATION = "plain", "GRPO", "imitation"
EXPERT, MORE = "expert iteration", "more SFT"  # the two of a run of imitation
ROUNDS, RATE = 4, 5e-4  # of expert iteration and more SFT; tried on other problems, with a seed of its own


def grid() -> list[tuple[int, str]]:
    """(seed, what is run): GRPO first; the plain model has no seed of its own."""
    return [*((seed, GRPO) for seed in SEEDS), (SEEDS[0], PLAIN), *((seed, IMITATION) for seed in SEEDS)]


def grpo(llm: models.LLM, seed: int) -> tuple[models.LLM, list[dict]]:
    """The model with its trained adapter, and one line of the log per update."""
    policy = rl.fast_or_plain(sums.with_adapter(llm, sums.LAYERS, seed=seed))
    weights = [p for p in policy.llm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=sums.RATE, weight_decay=0.0)
    log = []
    for number, problems in enumerate(sums.practice(seed)):
        rollout, rewards = sums.sample(policy, problems, sums.GROUP, sums.UPDATES * seed + number)
        sums.update(policy, optimizer, rollout, rewards)
        flat = int((rewards == rewards[:, :1]).all(1).sum())
        log.append({"reward": round(rewards.mean().item(), 4), "flat": flat, "tokens": int(rollout.mask.sum())})
    return policy.llm, log


def expert_iteration(llm: models.LLM, seed: int, rounds: int = ROUNDS, rate: float = RATE) -> tuple[models.LLM, list[dict]]:
    """Sample, keep the right texts, imitate them, begin again: the adapter goes on from round to round.

    The problems are GRPO's, and so is the number of texts. One line of the log per round.
    """
    policy = rl.fast_or_plain(sums.with_adapter(llm, sums.LAYERS, seed=seed))
    problems = [problem for some in sums.practice(seed) for problem in some]
    size, log = len(problems) // rounds, []
    for number in range(rounds):
        part = problems[number * size : (number + 1) * size]
        rollout, rewards = sums.sample(policy, part, sums.GROUP, rounds * seed + number)
        kept = sums.keep_right(part, rollout.texts, rewards)
        steps = sums.go_on(policy.llm, kept, rate, seed)
        log.append({"reward": round(rewards.mean().item(), 4), "kept": len(kept), "updates": steps, "tokens": int(rollout.mask.sum())})
    return policy.llm, log


def more_sft(llm: models.LLM, seed: int, rate: float = RATE) -> models.LLM:
    """The written expression of each of GRPO's problems, once, in as many updates as GRPO makes."""
    tuned = sums.with_adapter(llm, sums.LAYERS, seed=seed)
    written = [(p.question, p.expression) for some in sums.practice(seed) for p in some]
    steps = sums.go_on(tuned, written, rate, seed)
    assert steps == sums.UPDATES, steps
    return tuned


def run(seed: int, what: str) -> dict:
    """One cell of the grid: which test problems are solved, and the log of the updates."""
    begin = time.process_time()
    llm = models.load_llm(settings.embedded())
    if what == PLAIN:
        return {"seed": seed, "what": what, "right": {PLAIN: sums.measure(llm, shots=True)}, "cpu_seconds": round(time.process_time() - begin)}
    tuned = sums.tune(llm, seed)
    if what == IMITATION:
        policy, log = expert_iteration(tuned, seed)
        right = {EXPERT: sums.measure(policy)}
        right[MORE] = sums.measure(more_sft(tuned, seed))
        return {"seed": seed, "what": what, "right": right, "log": log, "cpu_seconds": round(time.process_time() - begin)}
    right = {"tuned": sums.measure(tuned)}
    policy, log = grpo(tuned, seed)
    found = {"right": right | {GRPO: sums.measure(policy)}, "log": log}
    return {"seed": seed, "what": what, **found, "cpu_seconds": round(time.process_time() - begin)}


def main(path: Path = logs.HERE / "reasoning.json") -> None:
    """Run what the log does not hold yet. Seconds are of processor time."""
    done = logs.reasoning(path) if path.is_file() else []
    for seed, what in grid():
        if (seed, what) in [(r["seed"], r["what"]) for r in done]:
            continue
        done.append(run(seed, what))
        write({"command": COMMAND, "runs": done}, path)
        shares = {way: [round(sum(x) / len(x), 2) for x in right.values()] for way, right in done[-1]["right"].items()}
        print(seed, shares, done[-1]["cpu_seconds"], "s", flush=True)
