"""Many iterations of :func:`~course_utils.rl.ppo.step` (on several processes, of
:func:`~course_utils.rl.several.step`), kept on disk after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from .. import progress, ranks
from ..checkpoint import Checkpoint, State
from ..settings import CourseError
from . import several
from .config import PPO, RanAway, check_kept
from .policy import Policy
from .ppo import step


@dataclass(frozen=True)
class Iteration:
    """One line of the log: what :class:`~course_utils.rl.ppo.Stats` says, the texts and the seconds."""

    number: int
    stats: dict[str, float]
    texts: list[str]
    seconds: float  # since the start, resumed parts included


def train(
    policy: Policy, prompts: Sequence[str], score: Callable[[list[str]], Sequence[float]], config: PPO,
    iterations: int, prompts_at_once: int = 8, learning_rate: float = 3e-3,
    value_learning_rate: float = 3e-4, seed: int = 0,
    folder: Path | str | None = None, on_step: Callable[[Iteration, int], None] | None = None,
) -> list[Iteration]:  # fmt: skip
    """Update the policy in place by PPO; every prompt occurs once before any occurs again.

    Parameters
    ----------
    folder : where the adapter, the value head and the log are kept after each iteration. Called again
        with an untrained policy of the same kind, prompts and choices, training goes on from there; a
        finished run is read. Delete the folder to train afresh, as after a change of ``policy``'s base.
    on_step : called with each :class:`Iteration`, kept ones too, and the number of iterations.

    Raises
    ------
    CourseError
        if policy and reference differ before the first step, the KL runs away (the weights of the last
        iteration whose KL was fine are put back), a score is unusable, the kept run had another reward,
        there are fewer prompts than ``prompts_at_once``, or no answer of the first iteration ends or holds
        a word. An interruption loses one iteration.
    """
    if len(prompts) < prompts_at_once:
        raise CourseError(
            f"PPO draws {prompts_at_once} prompts at a time and there are {len(prompts)}; lower "
            "prompts_at_once or give more prompts."
        )
    adapter = [(n, p) for n, p in policy.llm.model.named_parameters() if p.requires_grad]
    head = [(f"value_head.{n}", p) for n, p in policy.value_head.named_parameters()]
    named = adapter + head
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for _, p in adapter], "lr": learning_rate},
            {"params": [p for _, p in head], "lr": value_learning_rate},
        ],
        weight_decay=0.0,
    )
    choices = [
        policy.llm.name, list(prompts), asdict(config), iterations, prompts_at_once, learning_rate,
        value_learning_rate, seed, policy.mixed,
    ]  # fmt: skip
    ranks.same_start(p for _, p in named)
    # The KL that a step reports is that of the weights it began with. If it has run away, the update of the
    # step *before* did it: so the weights from before the last update are kept beside the present ones.
    good = {f"good.{n}": p.detach().clone() for n, p in named}
    checkpoint = Checkpoint(folder, choices, dict(named) | good, optimizer, Iteration)
    log = checkpoint.load()
    if log:
        check_kept(log[-1], score, config, folder)
    for entry in log if on_step else ():
        on_step(entry, iterations)
    if len(log) == iterations:
        return log
    if not log:
        policy.check_start()
        checkpoint.keep(log, State.UNTRAINED)
    now = [p.detach().clone() for _, p in named]  # as this step finds them: good, once its KL is fine
    start = time.monotonic() - (log[-1].seconds if log else 0.0)
    iterate = step if ranks.count() == 1 else several.step
    order = _order(len(prompts), iterations * prompts_at_once, seed)
    with progress.Bar("training by PPO", iterations, len(log), patience=0) as bar:
        bar.at(len(log))
        for number in range(len(log), iterations):
            chosen = order[number * prompts_at_once : (number + 1) * prompts_at_once]
            texts: list[str] = []

            def noted(answers, texts=texts):
                texts.extend(answers)
                return score(answers)

            try:
                batch = [prompts[i] for i in chosen]
                stats = iterate(policy, optimizer, batch, noted, config, seed * 1000 + number)
            except RanAway:
                for (_, p), kept in zip(named, good.values()):
                    p.data.copy_(kept)
                # The last entry of the log ends with the bad update: it goes, too.
                checkpoint.keep(log[:-1], State.RUNNING if log[1:] else State.UNTRAINED)
                raise
            texts = [text for some in ranks.gathered(texts) for text in some]
            for (_, p), kept, old in zip(named, good.values(), now):
                kept.copy_(old)
                old.copy_(p.data)
            if not log:
                _stop_if_hopeless(stats, texts, config)
            log.append(Iteration(number, asdict(stats), texts, time.monotonic() - start))
            done = number + 1 == iterations
            checkpoint.keep(log, State.FINISHED if done else State.RUNNING)
            bar.at(number + 1)
            if on_step:
                on_step(log[-1], iterations)
    return log


def _order(prompts: int, wanted: int, seed: int) -> list[int]:
    """Positions of prompts: one random order after another, ``wanted`` in all."""
    generator = torch.Generator().manual_seed(seed)
    rounds = [torch.randperm(prompts, generator=generator) for _ in range(-(-wanted // prompts))]
    return torch.cat(rounds)[:wanted].tolist()


def _stop_if_hopeless(stats, texts: list[str], config: PPO) -> None:
    if not any(text.strip() for text in texts):
        raise CourseError("Every answer of the policy is empty; tune the model to answer first.")
    if config.no_end_penalty and not stats.ended:
        raise CourseError(
            f"None of {len(texts)} answers ended within max_new_tokens={config.max_new_tokens}: raise "
            "it, tune the model to end its answers first, or set no_end_penalty to 0."
        )
