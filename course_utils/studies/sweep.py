"""A small honest grid for week 2: learning rate for full fine-tuning and LoRA, rank, and layers.

About half an hour on two cores. Choices are made on validation, never on test.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from .. import data, finetune, logs, prompts
from ..models import LLM, load_llm
from ..settings import CourseError, embedded
from . import write

DIALOGUES = 96  # of the calm training split
LAYERS = {
    "q, v": ["q_proj", "v_proj"],
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "feed-forward": ["gate_proj", "up_proj", "down_proj"],
    "all linear": "all-linear",
}


@dataclass(frozen=True)
class Setting:
    """One run of the grid; rank 0 means full fine-tuning. α = 2r throughout."""

    learning_rate: float
    rank: int = 0
    layers: str = "all linear"
    seed: int = 0


def grid() -> list[Setting]:
    """The runs, each once: two learning-rate rows, a rank row, a layer row, a row of seeds, and the
    rates of the smallest and the largest rank, so that each can be read at its own best rate."""
    runs = [Setting(rate) for rate in (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)]
    runs += [Setting(rate, 8) for rate in (1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 1e-2)]
    runs += [Setting(1e-3, rank) for rank in (1, 4, 32, 128)]
    runs += [Setting(1e-3, 8, layers) for layers in LAYERS if layers != "all linear"]
    runs += [Setting(1e-3, 8, seed=seed) for seed in (1, 2)]
    runs += [Setting(rate, 1) for rate in (3e-4, 3e-3, 1e-2)]
    runs += [Setting(rate, 128) for rate in (3e-4, 3e-3, 1e-2)]
    return runs


def run(setting: Setting, dialogues: int = DIALOGUES) -> dict:
    """Train one setting and measure: validation loss, and loss on unrelated answers (forgetting).

    A run that diverges has null losses: that, too, is a result.
    """
    from peft import LoraConfig, get_peft_model

    splits = data.load_dialogues(embedded(), tone="calm")
    llm = load_llm(embedded())
    torch.manual_seed(setting.seed)
    if setting.rank:
        config = LoraConfig(
            r=setting.rank, lora_alpha=2 * setting.rank, target_modules=LAYERS[setting.layers],
            task_type="CAUSAL_LM",
        )  # fmt: skip
        llm = LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name)

    def encode(rows):
        asked = [llm.chat(prompts.fill("instruction", row["dialogue"])) for row in rows]
        return finetune.encode(llm, asked, [row["summary"] for row in rows])

    unrelated = data.load_unrelated()
    others = finetune.encode(llm, [llm.chat(q) for q in unrelated["question"]], unrelated["answer"])
    recipe = finetune.Recipe(setting.learning_rate, batch_size=4, seed=setting.seed)
    trained = sum(p.numel() for p in llm.model.parameters() if p.requires_grad)
    result = {**asdict(setting), "trainable": trained}
    try:
        log = finetune.train(llm, encode(list(splits["train"])[:dialogues]), recipe)
    except CourseError as error:
        return {**result, "train": None, "validation": None, "unrelated": None, "error": str(error)}
    return {
        **result,
        "train": [round(step.loss, 4) for step in log],
        "validation": [round(x, 4) for x in finetune.nll(llm, encode(splits["validation"]))],
        "unrelated": round(float(np.mean(finetune.nll(llm, others))), 4),
    }


def main(path: Path = logs.HERE / "sweep.json") -> None:
    """Run what the log does not hold yet."""
    done = logs.sweep(path) if path.is_file() else []
    known = [tuple(run[k] for k in asdict(Setting(0))) for run in done]
    for setting in grid():
        if tuple(asdict(setting).values()) in known:
            continue
        done.append(run(setting))
        print(setting, "validation", done[-1]["validation"] and np.mean(done[-1]["validation"]), flush=True)
        content = {"command": "python -m course_utils sweep", "dialogues": DIALOGUES, "runs": done}
        write(content, path, indent=1)
