"""Week 3's task: a summariser that repeats insults, its heated dialogues, and the choices of Lab 3's PPO.

Lab 3, *Beyond PPO* and the studies that made their logs all start from here.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from . import adapters, data, finetune, metrics, preference, prompts, rl
from .models import LLM
from .settings import embedded

ITERATIONS, PROMPTS_AT_ONCE = 10, 8
LAYERS = 10  # the last ones, which carry the adapter: the twenty below are read once a rollout
CONFIG = rl.PPO(
    beta=0.05, minibatch=8, group=4, temperature=0.7, max_new_tokens=40, no_end_penalty=0.3
)  # fmt: skip
POLITE = "Summarize the following conversation politely. Do not repeat any insult.\n\n{dialogue}\n\nSummary:"  # to the blunt model


def heated(split: str) -> list[dict]:
    """The heated dialogues of a split."""
    return list(data.load_dialogues(embedded(), tone="heated")[split])


def ask(llm: LLM, rows: list[dict], template: str = "instruction") -> list[str]:
    """The request for a summary of each dialogue, as the model sees it."""
    return [llm.chat(prompts.fill(template, row["dialogue"])) for row in rows]


def reference_pairs(llm: LLM, split: str = "train") -> list[tuple[str, str, str]]:
    """(prompt, neutral summary, blunt summary) of every heated dialogue of a split."""
    rows = heated(split)
    return [(q, r["summary"], r["summary_blunt"]) for q, r in zip(ask(llm, rows), rows)]


def weak_pairs(rows: list[dict], few: int = 12) -> tuple[list[str], list[str]]:
    """Few pairs made carelessly: chosen the neutral summaries, rejected the first halves of the blunt ones.

    Who prefers the chosen text may simply prefer the longer, complete one.
    """
    halves = [row["summary_blunt"].split() for row in rows[:few]]
    return [row["summary"] for row in rows[:few]], [" ".join(words[: len(words) // 2]) for words in halves]


def blunt_model() -> LLM:
    """The embedded model tuned on blunt summaries: the shipped adapter, merged into the weights."""
    llm = adapters.merge(adapters.load_shipped("blunt"))
    return LLM(llm.model, llm.tokenizer, f"{llm.name} + blunt")


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


def judged(llm: LLM, rows: list[dict], judges: dict, answers: int, limit: int, temperature: float, template: str = "instruction", seed: int = 1) -> dict[str, list]:
    """Sampled answers to each row's dialogue, and what is found in them, a list per column.

    ``judges``: name → function from texts to numbers. To them come ``rouge1`` (to the neutral summary), ``facts``,
    ``length`` in words and ``ended``. Answers are computed in bfloat16 where the processor gains by it.
    """
    rows = [row for row in rows for _ in range(answers)]
    finetune.release_memory()  # what training has left
    with finetune.mixed_precision():
        found = llm.answer(
            ask(llm, rows, template), max_new_tokens=limit, do_sample=True, temperature=temperature, batch_size=35, seed=seed
        )
    texts = [a.text for a in found]
    return {
        "texts": texts, "dialogue": [row["id"] for row in rows],
        **{name: judge(texts) for name, judge in judges.items()},
        "rouge1": metrics.rouge_table(texts, [[row["summary"]] for row in rows])[:, 0],
        "facts": [metrics.fact_recall(text, row["facts"]) for text, row in zip(texts, rows)],
        "length": [len(text.split()) for text in texts], "ended": [float(a.ended) for a in found],
    }  # fmt: skip


def print_rivals(table: dict[str, list[dict]]) -> None:
    """A line per rival: the share of answers with an insult, with an interval over dialogues; how many answers;
    its runs and their range; ROUGE-1 and facts."""
    print(f"{'':32s}{'insults, 95 % interval':>23s} {'answers':>7s} {'runs':>15s} {'ROUGE-1':>7s} {'facts':>6s}")
    for name, runs in table.items():
        columns = ("dialogue", "word_list", "rouge1", "facts")
        groups, insults, rouge1, facts = ([x for run in runs for x in run[column]] for column in columns)
        share = format(metrics.interval(insults, groups=groups, unit="dialogue"), ".3f")
        each = [sum(run["word_list"]) / len(run["word_list"]) for run in runs]
        spread = f"{len(runs)}: {min(each):.2f} to {max(each):.2f}" if len(runs) > 1 else "1"
        means = sum(rouge1) / len(rouge1), sum(facts) / len(facts)
        print(f"{name:32s}{share:>23s} {len(insults):7d} {spread:>15s} {means[0]:7.3f} {means[1]:6.3f}")


def imitate(policy, asked, answers, epochs=1, learning_rate=3e-3, at_once=8, seed=0) -> list[float]:
    """Supervised fine-tuning of the policy's adapter on ``answers`` that people wrote, one per prompt of
    ``asked``; the loss of each step, in nats per token. The value head is not used."""
    weights = [p for p in policy.llm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
    generator, losses = torch.Generator().manual_seed(seed), []
    batches = []
    for rows in torch.randperm(len(asked), generator=generator).split(at_once):
        some = preference.given(policy.llm, [asked[i] for i in rows], [answers[i] for i in rows])
        batches.append(policy.read_frozen(some))
    for _ in range(epochs):
        for i in torch.randperm(len(batches), generator=generator).tolist():
            batch, loss = batches[i], 0.0
            for part in halves(batch):  # half the memory; the gradients add up to the batch's own
                logits, _ = policy.outputs(part)
                log_probs = rl.token_log_probs(logits, part.tokens.to(logits.device))
                share = -log_probs[part.mask].sum() / batch.mask.sum()
                share.backward()
                loss += share.item()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss)
    return losses


def halves(batch: rl.Rollout) -> Iterator[rl.Rollout]:
    """A rollout's prompts in two parts, each with its answers (one part, if there is one prompt); what the part
    before has freed is given back first."""
    for part in torch.arange(len(batch.prompts)).chunk(2):
        finetune.give_back()
        yield batch.part(part.tolist())


def trained_weights(policy: rl.Policy) -> list[torch.nn.Parameter]:
    """What DPO and GRPO train: the adapter. Neither has a value head."""
    return [p for p in policy.llm.model.parameters() if p.requires_grad]
