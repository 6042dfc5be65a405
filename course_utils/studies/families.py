"""Train the three small models of week 1's model families, one objective each: five minutes of one core.

The decoder is made to write now and then while it learns: the log keeps the sentences.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from .. import families
from ..models import sha256
from . import write

STEPS = {"encoder": 4_000, "decoder": 2_000, "encoder-decoder": 8_000}
READ_AT = (0, 60, 150, 400, 1000, 1999)  # steps before which the decoder writes
FEW = 64  # fewer sentences of a length are not measured: none of their words may be picked
PART = 100  # steps behind each loss of the log


def sample(decoder, seed: int = 0, lines: int = 3) -> list[str]:
    """Sentences drawn from the decoder's own distribution."""
    torch.manual_seed(seed)
    start = torch.tensor([[families.START]] * lines)
    rows = decoder.generate(start, do_sample=True, top_k=0, max_new_tokens=10)
    return [families.decode(row) for row in rows.tolist()]


@torch.no_grad()
def held_out_loss(name: str, model) -> float:
    """The model's own loss on the validation sentences, of lengths that are not rare."""
    rng = np.random.default_rng(0)
    groups = {n: ids for n, ids in families.by_length(families.sentences("validation")).items() if len(ids) >= FEW}
    losses = [families.LOSSES[name](model, ids, rng).item() * len(ids) for ids in groups.values()]
    return sum(losses) / sum(map(len, groups.values()))


def run(name: str, steps: int, folder: Path) -> dict:
    """Train one model from seed 0 and write its weights; its part of the log."""
    from safetensors.torch import save_model

    model, written = families.make(name), {}

    def look(step: int) -> None:
        if name == "decoder" and step in READ_AT:
            written[step] = sample(model)

    start = time.process_time()
    losses = families.train(model, families.LOSSES[name], steps, before=look)
    path = folder / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, path)
    return {
        "objective": families.LOSSES[name].__name__, "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "losses": [round(float(np.mean(losses[i : i + PART])), 4) for i in range(0, steps, PART)],
        "held-out loss": round(held_out_loss(name, model), 4), "written": written,
        "seconds": round(time.process_time() - start), "sha256": sha256(path),
    }  # fmt: skip


def main(folder: Path = families.HERE, steps: dict[str, int] = STEPS) -> None:
    """Train what the log does not hold yet. Seconds are of processor time."""
    path = folder / "log.json"
    models = json.loads(path.read_text())["models"] if path.is_file() else {}
    for name in families.NAMES:
        if name not in models:
            models[name] = run(name, steps[name], folder)
            print(name, "held-out loss", models[name]["held-out loss"], flush=True)
            content = {"command": "python -m course_utils families", "unit": "nats per target", "models": models}
            write(content, path, indent=1)
