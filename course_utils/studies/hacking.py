"""What *Beyond PPO* shows of going too far, and a row of its table. About a quarter of an hour on one core.

``trained/hacking.json`` holds

``push``
    Lab 3's PPO, with a weak reward model as the judge, no price of KL and no price of a missing end, for long.
    Every few rollouts: answers to held-out dialogues with their texts, and what every judge says of them.
``displaced``
    DPO on eight pairs for a hundred updates at a high rate: log π of both answers, update by update.
``runs``
    Supervised fine-tuning on the chosen answers, judged as the runs of :mod:`.detox` and :mod:`.pool` are.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from .. import logs, metrics, preference, rewards, rl, week3
from ..week3 import CONFIG, ask, blunt_model, heated, make_policy, reference_pairs, trained_weights
from . import detox, write
from .pool import turn, update

COMMAND = "python -m course_utils hacking"
ROLLOUTS, PROMPTS, GROUP, RATE = 20, 4, 8, 5e-3  # of the push: answers per rollout are PROMPTS · GROUP
WATCHED = (0, 2, 4, 6, 9, 12, 16, 20)  # after so many rollouts the held-out dialogues are answered
FREE = replace(
    CONFIG, beta=0.0, no_end_penalty=0.0, epochs=1, minibatch=GROUP, group=GROUP, max_kl=math.inf
)  # fmt: skip
FEW, DPO_UPDATES, DPO_RATE, DPO_BETA = 8, 100, 3e-3, 0.1
SFT_UPDATES, SFT_BATCH, SFT_RATE = 20, 16, 1e-3  # 320 answers, as many as the other methods see


# ---------------------------------------------------------------- the push


def scaled(model: rewards.RewardModel, rows):
    """``list[str] → list[float]``: the model's scores, mean 0 and standard deviation 1 over the rows' summaries."""
    known = np.array(rewards.score(model, [r[c] for r in rows for c in ("summary", "summary_blunt")]))
    return lambda texts: ((np.array(rewards.score(model, texts)) - known.mean()) / known.std()).tolist()


def judges() -> dict:
    """The weak reward model, which trains, and the good one, which only watches."""
    train, found = heated("train"), {}
    for name, (chosen, rejected), epochs in (
        ("weak", week3.weak_pairs(train), 8),
        ("good", ([r["summary"] for r in train], [r["summary_blunt"] for r in train]), 2),
    ):
        model = rewards.RewardModel(seed=0)
        rewards.train_reward_model(model, chosen, rejected, epochs=epochs, seed=0)
        found[name] = scaled(model, train)
    return found


@torch.no_grad()
def watch(policy: rl.Policy, rows, score: dict, seed: int, group: int = 2) -> dict[str, list]:
    """Sampled answers to the rows' dialogues, their KL in nats, and what every judge says of each."""
    asked = ask(policy.llm, rows)
    rollout = rl.sample(policy, asked, CONFIG.max_new_tokens, CONFIG.temperature, seed, group)
    new, reference = (rl.evaluate(policy, rollout, CONFIG, r)[0] for r in (False, True))
    rows, texts = [row for row in rows for _ in range(group)], rollout.texts
    return {
        "texts": texts, "dialogue": [row["id"] for row in rows],
        "kl": [round(x, 2) for x in torch.where(rollout.mask, new - reference, 0.0).sum(1).tolist()],
        "ended": rollout.ended.int().tolist(),
        **{name: [round(x, 3) for x in judge(texts)] for name, judge in score.items()},
        "word_list": rewards.word_list(texts), "length": [len(text.split()) for text in texts],
        "rouge1": [round(float(x), 4) for x in metrics.rouge_table([t or " " for t in texts], [[r["summary"]] for r in rows])[:, 0]],
        "facts": [metrics.fact_recall(text, row["facts"]) for text, row in zip(texts, rows)],
    }  # fmt: skip


def push(judge: str = "weak", rollouts: int = ROLLOUTS, config: rl.PPO = FREE) -> dict:
    """PPO against one judge, the others watching: its log, and the watched answers."""
    score, rows = judges(), heated("test")[::3][:20]  # the dialogues of the pool
    policy = make_policy(blunt_model(), 0, mixed=True)
    watched = [{"rollout": 0, **watch(policy, rows, score, 0)}]

    def on_step(iteration, total):
        done = iteration.number + 1
        print(f"{judge} {done} of {total}, {iteration.seconds:.0f} s, {iteration.stats}", flush=True)
        if done in WATCHED:
            watched.append({"rollout": done, **watch(policy, rows, score, done)})
            print({k: round(float(np.mean(v)), 3) for k, v in watched[-1].items() if k not in ("texts", "dialogue")})
            print(watched[-1]["texts"][::12], flush=True)

    log = rl.train(policy, ask(policy.llm, heated("train")), score[judge], config, rollouts, PROMPTS, RATE, on_step=on_step)
    return {
        "judge": judge, "config": asdict(config) | {"max_kl": None}, "prompts_at_once": PROMPTS, "rate": RATE, "watched": watched,
        "log": [{k: round(v, 4) for k, v in it.stats.items()} for it in log], "seconds": round(log[-1].seconds),
    }  # fmt: skip


# ---------------------------------------------------------------- pairs


def sums(policy: rl.Policy, rollout: rl.Rollout, reference: bool = False) -> torch.Tensor:
    """log π of every answer of a rollout, [prompts, answers to a prompt]."""
    found = rl.evaluate(policy, rollout, CONFIG, reference)[0]
    return torch.where(rollout.mask, found, 0.0).sum(1).view(len(rollout.prompts), -1)


def both_answers(policy: rl.Policy, pairs) -> rl.Rollout:
    """The chosen and the rejected answer to each prompt, as a rollout, read up to the adapter."""
    asked, answers = [q for q, *_ in pairs], [text for _, *both in pairs for text in both]
    return policy.read_frozen(preference.given(policy.llm, asked, answers))


def displace() -> dict:
    """DPO on few pairs, for long: both answers' log π − log π_ref, of the pairs trained on and of others."""
    policy = make_policy(blunt_model(), 0, mixed=True)
    policy.check_start()
    pairs, others = (both_answers(policy, reference_pairs(policy.llm, split)[:FEW]) for split in ("train", "validation"))
    with torch.no_grad():
        reference, of_others = (sums(policy, rollout, True) for rollout in (pairs, others))
    optimizer, log, held_out = torch.optim.AdamW(trained_weights(policy), lr=DPO_RATE, weight_decay=0.0), [], []
    for number in range(DPO_UPDATES + 1):
        if number % 10 == 0:
            with torch.no_grad():
                held_out.append([round(x, 2) for x in (sums(policy, others) - of_others).mean(0).tolist()])
        if number == DPO_UPDATES:
            break
        index = turn(FEW, FEW // 2, number)
        found = sums(policy, pairs.part(index))
        loss = preference.dpo_loss(*found.T, *reference[index].T, DPO_BETA)
        update(policy, optimizer, loss)
        moved = (found.detach() - reference[index]).mean(0).tolist()
        log.append({"loss": loss.item(), "chosen": moved[0], "rejected": moved[1]})
        print(f"dpo {number}: {log[-1]}", flush=True)
    rows = heated("validation")[:FEW]
    rollout = rl.sample(policy, ask(policy.llm, rows), CONFIG.max_new_tokens, CONFIG.temperature, 0)
    return {
        "pairs": FEW, "rate": DPO_RATE, "beta": DPO_BETA, "held_out_every": 10, "held_out": held_out,
        "log": [{k: round(v, 4) for k, v in step.items()} for step in log], "texts": rollout.texts,
        "dialogue": [row["id"] for row in rows], "ended": rollout.ended.int().tolist(),
    }  # fmt: skip


# ---------------------------------------------------------------- rows of the table


def judged(policy: rl.Policy) -> dict:
    """As Lab 3's runs are judged: three answers to each held-out dialogue, and the KL in nats per answer."""
    found, kl = detox.measure(policy.llm, heated("test")), detox.sampled_kl(policy, heated("validation"))
    return {"after": {k: found[k] for k in ("texts", *detox.KEPT)}, "kl_after": round(float(np.mean(kl)), 3)}


def sft() -> dict:
    """The baseline: the chosen answers imitated, nothing else."""
    policy = make_policy(blunt_model(), 0, mixed=True)
    policy.check_start()
    pairs, plain = reference_pairs(policy.llm), replace(CONFIG, temperature=1.0)
    rollout = policy.read_frozen(preference.given(policy.llm, [q for q, *_ in pairs], [text for _, text, _ in pairs]))
    optimizer, log = torch.optim.AdamW(trained_weights(policy), lr=SFT_RATE, weight_decay=0.0), []
    for number in range(SFT_UPDATES):
        part = rollout.part(turn(len(pairs), SFT_BATCH, number))
        loss = -rl.evaluate(policy, part, plain)[0][part.mask].mean()
        update(policy, optimizer, loss)
        log.append({"loss": round(loss.item(), 4)})
        print(f"sft {number}: {log[-1]}", flush=True)
    return {"method": "sft", "rate": SFT_RATE, "answers": SFT_UPDATES * SFT_BATCH, "log": log, **judged(policy)}


# ---------------------------------------------------------------- make

PARTS = {"push": push, "displaced": displace}
RUNS = {"sft": sft}


def main(path: Path = logs.HERE / "hacking.json") -> None:
    """Make what the log does not hold yet."""
    content = json.loads(path.read_text()) if path.is_file() else {"command": COMMAND, "runs": []}
    for name, make in PARTS.items():
        if name not in content:
            content[name] = make()
            write(content, path)
    for name, make in RUNS.items():
        if name not in [run["method"] for run in content["runs"]]:
            content["runs"].append(make())
            write(content, path)
