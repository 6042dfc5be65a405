"""Week 3's task: a summariser that repeats insults, its heated dialogues, and the choices of Lab 3's PPO.

Lab 3, *Beyond PPO* and the studies that made their logs all start from here.
"""

from __future__ import annotations

import torch

from . import adapters, data, prompts, rl
from .models import LLM
from .settings import embedded

ITERATIONS, PROMPTS_AT_ONCE = 10, 8
LAYERS = 10  # the last ones, which carry the adapter: the twenty below are read once a rollout
CONFIG = rl.PPO(
    beta=0.05, minibatch=8, group=4, temperature=0.7, max_new_tokens=40, no_end_penalty=0.3
)  # fmt: skip


def heated(split: str) -> list[dict]:
    """The heated dialogues of a split."""
    return list(data.load_dialogues(embedded(), tone="heated")[split])


def ask(llm: LLM, rows: list[dict]) -> list[str]:
    """The request for a summary of each dialogue, as the model sees it."""
    return [llm.chat(prompts.fill("instruction", row["dialogue"])) for row in rows]


def reference_pairs(llm: LLM, split: str = "train") -> list[tuple[str, str, str]]:
    """(prompt, neutral summary, blunt summary) of every heated dialogue of a split."""
    rows = heated(split)
    return [(q, r["summary"], r["summary_blunt"]) for q, r in zip(ask(llm, rows), rows)]


def blunt_model() -> LLM:
    """The embedded model tuned on blunt summaries: the shipped adapter, merged into the weights."""
    llm = adapters.load_shipped("blunt")
    return LLM(llm.model.merge_and_unload(), llm.tokenizer, f"{llm.name} + blunt")


def make_policy(llm: LLM, seed: int = 0, mixed: bool = False) -> rl.Policy:
    """A fresh LoRA adapter (query and value, rank 8, the last ten layers) on ``llm``, in place; ``mixed`` as
    :class:`~course_utils.rl.FastPolicy`'s."""
    from peft import LoraConfig, get_peft_model

    names = adapters.query_value_layers(llm.model, LAYERS)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_peft_model(llm.model, config)
    return rl.fast_or_plain(LLM(model, llm.tokenizer, llm.name), mixed)


def start(seed: int = 0) -> rl.Policy:
    """Lab 3's policy before training: the blunt summariser with a fresh adapter."""
    return make_policy(blunt_model(), seed)


def trained_weights(policy: rl.Policy) -> list[torch.nn.Parameter]:
    """What DPO and GRPO train: the adapter. Neither has a value head."""
    return [p for p in policy.llm.model.parameters() if p.requires_grad]
