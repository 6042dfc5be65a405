"""What *Beyond PPO* compares and cannot make in a minute: a pool of answers, DPO and GRPO runs.

About twenty minutes on two cores. It makes two logs:

``trained/pool.json``
    64 answers of the blunt summariser to each of 20 held-out heated dialogues, for best of n.
``trained/beyond.json``
    DPO (at two learning rates) and GRPO, from the same start and judged in the same way as the PPO
    runs of :mod:`.detox`, and learning from the same number of answers.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from .. import finetune, logs, preference, rl
from ..models import LLM
from ..week3 import CONFIG, ask, blunt_model, heated, reference_pairs, start, trained_weights
from . import detox, write

COMMAND = "python -m course_utils pool"
DIALOGUES, SAMPLES = 20, 64
UPDATES, ANSWERS = 20, 16  # of each run; answers per update: 320, as many as PPO samples
GROUP = 4  # GRPO: answers to one prompt
RUNS = (("dpo", 3e-4), ("dpo", 1e-3), ("grpo", 1e-3))  # method and learning rate
DPO_BETA, GRPO_BETA = 0.1, 0.04
NEW_TOKENS, TEMPERATURE = CONFIG.max_new_tokens, CONFIG.temperature


# ---------------------------------------------------------------- the pool

EMPTY = {"dialogues": [], "texts": [], "generated_tokens": 0, "seconds": 0.0}


def add_to_pool(llm: LLM, content: dict) -> dict:
    """The pool with the answers to its next dialogue: every third of the test split."""
    number = len(content["texts"])
    row = heated("test")[3 * number]
    begin = time.monotonic()
    answers = llm.answer(
        ask(llm, [row]) * SAMPLES, max_new_tokens=NEW_TOKENS, do_sample=True,
        temperature=TEMPERATURE, batch_size=SAMPLES, seed=number,
    )  # fmt: skip
    return {
        "command": COMMAND,
        "dialogues": [*content["dialogues"], row["id"]],
        "texts": [*content["texts"], [a.text for a in answers]],
        "generated_tokens": content["generated_tokens"] + sum(a.tokens for a in answers),
        "seconds": round(content["seconds"] + time.monotonic() - begin, 1),
    }


# ---------------------------------------------------------------- the runs


def update(policy: rl.Policy, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """One step of the optimiser, the gradient's norm cut at 1."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained_weights(policy), 1.0)
    optimizer.step()


def turn(count: int, size: int, number: int) -> list[int]:
    """The ``number``-th batch of positions: one random order after another; what does not fill a
    batch at the end of an order is left out of it."""
    epoch, part = divmod(number, count // size)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(epoch))
    return order[part * size : (part + 1) * size].tolist()


def pair_log_probs(policy: rl.Policy, pairs, reference: bool = False) -> torch.Tensor:
    """log π of the whole chosen and the whole rejected answers, [pairs, 2]."""
    asked = [prompt for prompt, _, _ in pairs]
    answers = [text for _, *both in pairs for text in both]
    rollout = preference.given(policy.llm, asked, answers)
    with finetune.mixed_precision():
        found = preference.answer_log_probs(policy, rollout, reference, TEMPERATURE)
    return found.sum(1).view(-1, 2)


@torch.no_grad()
def reference_log_probs(policy: rl.Policy, pairs) -> torch.Tensor:
    """:func:`pair_log_probs` of the reference, [pairs, 2]: it never changes, so once is enough."""
    parts = [pairs[i : i + 8] for i in range(0, len(pairs), 8)]
    return torch.cat([pair_log_probs(policy, part, reference=True) for part in parts])


def dpo_update(policy, optimizer, pairs, reference, number: int) -> dict:
    """DPO on ``ANSWERS / 2`` pairs of ``pairs``; ``reference`` [pairs, 2]."""
    index = turn(len(pairs), ANSWERS // 2, number)
    sums = pair_log_probs(policy, [pairs[i] for i in index])
    loss = preference.dpo_loss(*sums.T, *reference[index].T, beta=DPO_BETA)
    update(policy, optimizer, loss)
    better, worse = (sums.detach() - reference[index]).mean(0).tolist()
    return {"loss": loss.item(), "chosen": better, "rejected": worse}


def grpo_update(policy, optimizer, requests, score, number: int) -> dict:
    """GRPO on ``ANSWERS`` fresh answers in groups of ``GROUP``; each is used once, so π_old = π."""
    size = ANSWERS // GROUP
    asked = [requests[i] for i in turn(len(requests), size, number)]
    rollout = rl.sample(policy, asked, NEW_TOKENS, TEMPERATURE, number, GROUP)
    scores = rl.check_scores(score(rollout.texts), ANSWERS)
    scores = scores - CONFIG.no_end_penalty * (~rollout.ended).float()
    advantages = preference.group_advantages(scores.view(size, GROUP)).flatten()
    with finetune.mixed_precision():
        log_probs = preference.answer_log_probs(policy, rollout, temperature=TEMPERATURE)
        with torch.no_grad():
            reference = preference.answer_log_probs(policy, rollout, True, TEMPERATURE)
    old = log_probs.detach()
    loss = preference.grpo_loss(log_probs, old, reference, advantages, rollout.mask, GRPO_BETA)
    update(policy, optimizer, loss)
    return {
        "score": scores.mean().item(), "kl": (old - reference).sum(1).mean().item(),
        "ended": rollout.ended.float().mean().item(), "tokens": int(rollout.mask.sum()),
    }  # fmt: skip


def judged(policy: rl.Policy) -> dict:
    """As Lab 3's runs are judged: answers to all held-out dialogues, and the KL in nats per answer."""
    after = detox.measure(policy.llm, heated("test"))
    keep = ("dialogue", "texts", "word_list", "profanity", "rouge1", "length", "ended")
    kl = sum(found := detox.sampled_kl(policy, heated("validation"))) / len(found)
    return {"after": {k: after[k] for k in keep}, "kl_after": round(kl, 3)}


def run(method: str, rate: float) -> dict:
    """One run from start to judgement."""
    policy = start()
    policy.check_start()  # DPO begins at ln 2 and GRPO at a KL of 0 only where policy and reference are one
    optimizer = torch.optim.AdamW(trained_weights(policy), lr=rate, weight_decay=0.0)
    if method == "dpo":
        pairs = reference_pairs(policy.llm)
        reference = reference_log_probs(policy, pairs)
    else:
        requests = ask(policy.llm, heated("train"))
        score = detox.make_score(heated("train"))
    begin, log = time.monotonic(), []
    for number in range(UPDATES):
        if method == "dpo":
            log.append(dpo_update(policy, optimizer, pairs, reference, number))
        else:
            log.append(grpo_update(policy, optimizer, requests, score, number))
    return entry(method, rate, log, time.monotonic() - begin, judged(policy))


def entry(method: str, rate: float, log: list[dict], seconds: float, verdict: dict) -> dict:
    """A run as the log keeps it."""
    return {
        "method": method, "rate": rate, "seed": 0, "updates": UPDATES, "answers": UPDATES * ANSWERS,
        "log": [{k: round(v, 4) for k, v in step.items()} for step in log],
        "seconds": round(seconds), "threads": torch.get_num_threads(),
        "generated_tokens": sum(step.get("tokens", 0) for step in log), **verdict,
    }  # fmt: skip


# ---------------------------------------------------------------- make


def main(folder: Path = logs.HERE) -> None:
    """Make what the logs do not hold yet."""
    content = logs.pool(folder / "pool.json") if (folder / "pool.json").is_file() else EMPTY
    llm = blunt_model()
    while len(content["texts"]) < DIALOGUES:
        content = add_to_pool(llm, content)
        write(content, folder / "pool.json")
        print(f"pool: {len(content['texts'])} of {DIALOGUES} dialogues", flush=True)
    runs = logs.beyond(folder / "beyond.json") if (folder / "beyond.json").is_file() else []
    for method, rate in RUNS:
        if (method, rate) not in [(r["method"], r["rate"]) for r in runs]:
            runs.append(run(method, rate))
            write({"command": COMMAND, "runs": runs}, folder / "beyond.json")
            print(f"{method} at {rate:g}: {runs[-1]['seconds']} s", flush=True)
