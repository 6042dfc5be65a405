"""Week 3's students: the merged ``summary`` model without every fifth layer, trained on the same texts two ways.

One learns the texts' own tokens (cross-entropy), the other the teacher's distribution over each of them
(distillation at T = 1, forward KL, Hinton et al. 2015), at every position of the text. Start, texts, their
order, rate and number of updates are the same. Seconds are of processor time, the teacher's reading included.
"""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from .. import adapters, data, finetune, logs, prompts, settings
from ..models import LLM
from . import write

DROPPED = range(2, 30, 5)  # of 30 layers
LOSSES, SEEDS = ("cross-entropy", "distilled"), (0, 1)
UPDATES, BATCH, PART, RATE, WARMUP = 32, 8, 4, 3e-4, 3
MEASURED = (8, 16, 32)  # after so many updates
TEST = 16  # held-out dialogues


def teacher() -> LLM:
    """The model to be shipped: SmolLM2 with the adapter ``summary`` merged into it."""
    tuned = adapters.load_shipped("summary")
    return LLM(tuned.model.merge_and_unload().eval().requires_grad_(False), tuned.tokenizer, "tuned")


def student_of(model):
    """A copy without the dropped layers, its embedding (which is the output layer, too) frozen."""
    student = copy.deepcopy(model)
    kept = [layer for i, layer in enumerate(student.model.layers) if i not in DROPPED]
    student.model.layers = torch.nn.ModuleList(kept)
    student.config.num_hidden_layers = len(kept)
    for position, layer in enumerate(kept):
        layer.self_attn.layer_idx = position
    student.requires_grad_(True)
    student.get_input_embeddings().weight.requires_grad_(False)
    return student


def examples(llm: LLM, split: str) -> list[finetune.Example]:
    """Calm dialogues of a split with their summaries, the shortest half of the training ones."""
    rows = data.load_dialogues(settings.embedded(), tone="calm")[split].to_list()
    if split == "train":
        rows = sorted(rows, key=lambda row: len(row["dialogue"]))[: UPDATES * BATCH]
    asked = [llm.chat(prompts.fill("instruction", row["dialogue"])) for row in rows]
    return finetune.encode(llm, asked, [row["summary"] for row in rows])


def logits(model, batch, wanted):
    """Of the positions before the wanted tokens: [tokens, vocabulary], fp32. ``wanted`` [rows, columns - 1]."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    hidden = model.model(**inputs, use_cache=False).last_hidden_state
    return model.lm_head(hidden[:, :-1][wanted]).float()


def loss(kind: str, student, model, batch):
    """Mean over all tokens of the texts but the first, nats."""
    wanted = batch["attention_mask"][:, 1:].bool()
    with finetune.mixed_precision("cpu"):
        own = logits(student, batch, wanted)
        if kind == "cross-entropy":
            return F.cross_entropy(own, batch["input_ids"][:, 1:][wanted])
        with torch.no_grad():
            target = logits(model, batch, wanted)
    return F.kl_div(own.log_softmax(-1), target.log_softmax(-1), log_target=True, reduction="batchmean")


@torch.no_grad()
def measure(student, llm: LLM, rows) -> dict:
    """Per held-out dialogue: NLL of the reference, and the share of its tokens where student and teacher would
    choose the same."""
    student.eval()
    found = {"nll": [], "agree": []}
    for row in rows:
        batch = finetune.collate([row], llm.tokenizer.pad_token_id)
        wanted = batch["labels"][:, 1:] != finetune.IGNORED
        with finetune.mixed_precision("cpu"):
            own, target = logits(student, batch, wanted), logits(llm.model, batch, wanted)
        found["nll"].append(round(F.cross_entropy(own, batch["labels"][:, 1:][wanted]).item(), 4))
        found["agree"].append(round((own.argmax(-1) == target.argmax(-1)).float().mean().item(), 4))
    return found


def run(kind: str, seed: int, llm: LLM, train, test) -> dict:
    """One student from start to end."""
    start = time.process_time()
    torch.manual_seed(seed)
    student = student_of(llm.model)
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0, fused=True)
    order = np.random.default_rng(seed).permutation(len(train))
    losses, measured = [], {}
    for update in range(UPDATES):
        student.train()
        optimizer.param_groups[0]["lr"] = RATE * min((update + 1) / WARMUP, (UPDATES - update) / (UPDATES - WARMUP))
        rows, total = [train[i] for i in order[update * BATCH : (update + 1) * BATCH]], 0.0
        for part in range(0, BATCH, PART):
            batch = finetune.collate(rows[part : part + PART], llm.tokenizer.pad_token_id, multiple=8)
            mean = loss(kind, student, llm.model, batch) * PART / BATCH
            mean.backward()
            total += mean.item()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(round(total, 4))
        if update + 1 in MEASURED:
            measured[update + 1] = measure(student, llm, test)
    return {"loss": kind, "seed": seed, "train": losses, "after": measured, "seconds": round(time.process_time() - start)}


def main(path: Path = logs.HERE / "distil.json") -> None:
    """Train the students that the log does not hold yet."""
    done = json.loads(path.read_text()) if path.is_file() else {"runs": []}
    llm = teacher()
    train, test = examples(llm, "train"), examples(llm, "test")[:TEST]
    if "before" not in done:
        start = student_of(llm.model)
        done = {
            "command": "python -m course_utils distil", "texts": len(train), "updates": UPDATES, "batch": BATCH, "rate": RATE,
            "layers": [len(start.model.layers), len(llm.model.model.layers)],
            "teacher": measure(llm.model, llm, test), "before": measure(start, llm, test), "runs": [],
        }  # fmt: skip
        del start
    for seed in SEEDS:
        for kind in LOSSES:
            if any((r["loss"], r["seed"]) == (kind, seed) for r in done["runs"]):
                continue
            done["runs"].append(run(kind, seed, llm, train, test))
            last = done["runs"][-1]
            print(kind, seed, {n: round(float(np.mean(m["nll"])), 3) for n, m in last["after"].items()},
                  {n: round(float(np.mean(m["agree"])), 3) for n, m in last["after"].items()}, last["seconds"], "s", flush=True)  # fmt: skip
            write(done, path)
            finetune.release_memory()
