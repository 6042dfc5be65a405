"""Train the two adapters that ship with the course, each in about five minutes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from .. import adapters, finetune
from ..data import load_dialogues
from ..models import load_llm, sha256
from ..settings import embedded

TONE = {"summary": "calm", "blunt": "heated"}  # of the dialogues each was trained on


def make(name: str, folder: Path = adapters.HERE) -> Path:
    """Train one adapter and write it with its log.

    Both: LoRA on all linear layers, one pass over every training dialogue of the tone.
    """
    tone, column = TONE[name], adapters.COLUMN[name]
    rows = list(load_dialogues(embedded(), tone=tone)["train"])
    torch.manual_seed(0)
    llm = adapters.wrap(load_llm(embedded()))
    log = finetune.train(llm, adapters.examples(llm, rows, column), adapters.RECIPE)
    target = adapters.save_adapter(llm, folder / name, torch.bfloat16)
    content = {
        "command": "python -m course_utils adapters",
        "data": f"{len(rows)} {tone} training dialogues, answers from {column}",
        "rank": adapters.RANK,
        "alpha": adapters.ALPHA,
        "recipe": asdict(adapters.RECIPE),
        "seconds": round(log[-1].seconds),
        "losses": [round(step.loss, 4) for step in log],
        "sha256": sha256(target / adapters.WEIGHTS),
    }
    (target / "log.json.tmp").write_text(json.dumps(content, indent=1) + "\n")
    (target / "log.json.tmp").replace(target / "log.json")
    return target


def main() -> None:
    """Make both."""
    for name in adapters.SHIPPED:
        print(f"training {name}: about five minutes")
        print(make(name))
