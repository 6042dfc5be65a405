"""What ``python -m course_utils train`` and ``… ppo`` do: the training of Lab 2 and of Lab 3 as programs.

They call what the notebooks call, :func:`.finetune.train` and :func:`.rl.train`, with the same choices.
Under ``torchrun`` the same commands train on several processes (:mod:`.ranks`); ``--batch-size`` and
``--prompts`` count over all of them, so the curve does not depend on their number. Run again after an
interruption, on any number of processes, they go on from ``--folder``.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.errors import record

from . import adapters, data, finetune, ranks, rl, week3
from .models import LLM, load_llm
from .settings import CourseError, current
from .studies.detox import make_score

RATES = {"lora": 2e-3, "full": 1e-4}  # Lab 2's, as are rank and alpha
RANK, ALPHA = 16, 32
# What `save` writes of a whole model with its tokenizer.
MODEL = (".*", "config.json", "generation_config.json", "model*", "tokenizer*", "special_tokens_map.json", "chat_template*",
         "added_tokens.json", "vocab*", "merges.txt", "*.model", "*.spm")  # fmt: skip
AT_LEAST = {"rows": 0, "epochs": 1, "batch_size": 1, "save_every": 1, "iterations": 1, "prompts": 1, "seed": 0, "beta": 0}
ABOVE_0 = ("learning_rate", "timeout")


@record  # torchrun's report then ends with the error itself
def run(command: str, args: argparse.Namespace) -> int:
    """Run ``train`` or ``ppo`` on all processes; the first one prints."""
    for name, least in AT_LEAST.items():
        if getattr(args, name, least) < least:
            raise CourseError(f"--{name.replace('_', '-')} must be at least {least}.")
    for name in (*ABOVE_0, "beta"):
        value = getattr(args, name, None)
        if value is not None and not (math.isfinite(value) and (value > 0 or name not in ABOVE_0)):
            raise CourseError(f"--{name.replace('_', '-')} must be a number above 0." if name in ABOVE_0 else f"--{name} must be a number.")
    if args.seed >= 2**32:
        raise CourseError(f"--seed must be below {2**32}.")
    with ranks.joined(args.timeout):
        say(f"processes: {ranks.count()}, device: {current().device}")
        name = " ".join([command, args.task, *([args.method] if command == "train" else [])])
        folder = args.folder or current().cache / "runs" / name
        if ranks.rank() == 0:  # before the training, not after it
            if args.folder:
                adapters.check_target(args.folder, "--folder", (".*", "state.json*", "step*.safetensors*"))
            if args.out:
                whole = getattr(args, "method", "lora") == "full"
                adapters.check_target(args.out, "--out", MODEL if whole else adapters.SAVED)
        llm = lab2(args, folder) if command == "train" else lab3(args, folder)
        if args.out and ranks.rank() == 0:
            save(llm, args.out)
            print(f"written to {args.out}", flush=True)
    return 0


def say(text: str) -> None:
    """Print it, in the first process."""
    if ranks.rank() == 0:
        print(text, flush=True)


def lab2(args: argparse.Namespace, folder: Path) -> LLM:
    """Lab 2's summariser, by LoRA or fully; with ``COURSE_DATA`` from other dialogues."""
    rows = data.load_dialogues(tone="calm")["train"].to_list()
    rows = rows[: args.rows or None]
    llm = load_llm()
    if args.method == "lora":
        torch.manual_seed(args.seed)  # A is random
        llm = adapters.wrap(llm, RANK, ALPHA)
    recipe = finetune.Recipe(
        args.learning_rate or RATES[args.method], epochs=args.epochs, batch_size=args.batch_size,
        seed=args.seed, save_every=args.save_every,
    )  # fmt: skip

    def show(step, steps):
        if step.step % max(1, steps // 10) == 0 or step.step + 1 == steps:
            say(f"step {step.step + 1} of {steps}: loss {step.loss:.3f}, {step.seconds:.0f} s")

    finetune.train(llm, adapters.examples(llm, rows, "summary"), recipe, folder, show)
    return llm


def lab3(args: argparse.Namespace, folder: Path) -> LLM:
    """Lab 3's detoxified summariser, by PPO against a reward model trained first, in each process the same."""
    rows = week3.heated("train")
    policy = week3.make_policy(week3.blunt_model(), args.seed, mixed=True)
    asked = week3.ask(policy.llm, rows)

    def show(iteration, iterations):
        stats = iteration.stats
        say(
            f"iteration {iteration.number + 1} of {iterations}: score {stats['score']:.3f}, "
            f"KL {stats['kl']:.3f}, {iteration.seconds:.0f} s"
        )

    rl.train(
        policy, asked, make_score(rows), replace(week3.CONFIG, beta=args.beta), args.iterations, args.prompts,
        args.learning_rate, seed=args.seed, folder=folder, on_step=show,
    )  # fmt: skip
    return policy.llm


def save(llm: LLM, folder: Path) -> None:
    """An adapter as :func:`.adapters.save_adapter` writes it, or the whole model with its tokenizer: whole
    files take their places at the end, so that a process killed on the way leaves no half one."""
    if hasattr(llm.model, "peft_config"):
        adapters.save_adapter(llm, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as part:
        llm.model.save_pretrained(part)
        llm.tokenizer.save_pretrained(part)
        for file in Path(part).iterdir():
            file.replace(folder / file.name)
