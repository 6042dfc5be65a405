"""Sums in words whose answers a rule can check: templated problems, their reward, and GRPO's two halves.

Problems of nine *known* kinds may be trained on, those of five *other* kinds, which tell of other things in other
words, never are. The model writes an expression, :func:`~course_utils.tools.calculate` computes it, and the reward
is 1 if the result is the answer. Left out: answers that are no whole numbers, and texts of more than one line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from . import adapters, finetune, preference, rl
from .llm import LLM
from .settings import CourseError
from .tools import calculate

NEW_TOKENS = 14  # an expression and its end
LESSON, LESSON_RATE = 96, 5e-4  # written expressions, eight a step
GROUP, PROMPTS, UPDATES, RATE, LAYERS = 8, 8, 16, 1e-3, 15  # GRPO: texts per problem, problems per update
TESTED = 60  # problems of each group
LESSON_SEED, PRACTICE_SEED = 1_000, 2_000  # plus the run's own

NAMES = ("Ana", "Bo", "Eva", "Jan", "Lena", "Mei", "Nora", "Omar", "Ravi", "Tom")
THINGS = ("apples", "books", "cards", "coins", "cups", "eggs", "jars", "pens", "plums", "stamps")

# Twenty sums that no template wrote, with their answers.
SUMS = (
    ("Bo has 3 boxes with 6 pens each. How many pens does he have?", 18),
    ("Ana buys 4 tickets at 9 euros each. How much does she pay?", 36),
    ("A train has 85 passengers. 27 get off. How many are left?", 58),
    ("Mei reads 14 pages on Monday and 23 on Tuesday. How many pages is that?", 37),
    ("A shelf holds 48 jars. 15 are sold and 20 are added. How many jars are there?", 53),
    ("Ravi shares 56 stickers among 7 friends. How many does each get?", 8),
    ("A lamp costs 35 euros and a table 120 euros. How much do both cost?", 155),
    ("Lena has 50 euros and buys 3 books at 12 euros each. How much is left?", 14),
    ("A bus makes 6 trips a day. How many trips does it make in 14 days?", 84),
    ("Tom bakes 5 trays of 12 rolls and eats 4 rolls. How many rolls are left?", 56),
    ("A class of 31 pupils and a class of 28 pupils go on a trip. How many pupils go?", 59),
    ("Ines earns 17 euros an hour and works 8 hours. How much does she earn?", 136),
    ("A rope of 90 metres is cut into 6 equal pieces. How long is each piece?", 15),
    ("Omar had 72 coins, lost 19 and found 5. How many coins has he now?", 58),
    ("A garden has 9 rows of 11 tulips. How many tulips is that?", 99),
    ("Four friends share a bill of 76 euros equally. How much does each pay?", 19),
    ("A tank holds 200 litres. 64 litres are used, then 39 more. How many are left?", 97),
    ("Nora saves 25 euros a month. How much has she saved after 9 months?", 225),
    ("A farmer packs 144 eggs into boxes of 12. How many boxes does he fill?", 12),
    ("Yuki runs 7 kilometres on each of 5 days and 10 on Sunday. How far does she run?", 45),
)

# Worked examples for a model that was never tuned on sums.
SOLVED = (
    {"question": "Eva has 12 apples and eats 5. How many are left?", "expression": "12 - 5",
     "steps": "Eva starts with 12 apples. She eats 5. 12 - 5 = 7.", "answer": "7"},
    {"question": "A box holds 8 cups. How many cups are in 4 boxes?", "expression": "4 * 8",
     "steps": "There are 4 boxes with 8 cups each. 4 * 8 = 32.", "answer": "32"},
    {"question": "Jan buys 2 pens at 3 euros and a bag for 15 euros. How much does he pay?", "expression": "2 * 3 + 15",
     "steps": "The pens cost 2 * 3 = 6. The bag costs 15. 6 + 15 = 21.", "answer": "21"},
    {"question": "Six people share 42 nuts equally. How many does each get?", "expression": "42 / 6",
     "steps": "42 nuts are shared by 6 people. 42 / 6 = 7.", "answer": "7"},
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A question, an expression that finds its answer, the answer, and the kind of sum."""

    question: str
    expression: str
    answer: int
    kind: str


def _texts(name: str, thing: str, a: int, b: int, c: int) -> dict[str, dict[str, tuple[str, str]]]:
    """Question and expression of every kind, for a below 10 and b, c of two digits."""
    known = {
        "more": (f"{name} has {b} {thing} and buys {c} more. How many {thing} does {name} have now?", f"{b} + {c}"),
        "boxes": (f"There are {a} boxes with {b} {thing} in each. How many {thing} are there?", f"{a} * {b}"),
        "share": (f"{a} children share {a * b} {thing} equally. How many does each child get?", f"{a * b} / {a}"),
        "left over": (f"{name} fills {a} boxes with {b} {thing} each and has {c} left over. How many {thing} does {name} have?", f"{a} * {b} + {c}"),
        "change": (f"{name} has {a * b + c} euros and buys {a} {thing} at {b} euros each. How many euros are left?", f"{a * b + c} - {a} * {b}"),
        "stops": (f"A train has {a + b + c} passengers. {b} get off at the first stop and {c} at the second. How many are left?", f"{a + b + c} - {b} - {c}"),
        "days": (f"{name} finds {b} {thing} on Monday, {c} on Tuesday and {a} on Sunday. How many is that in all?", f"{b} + {c} + {a}"),
        "trips": (f"A bus makes {a} trips and carries {b} people on each trip. How many people does it carry?", f"{a} * {b}"),
        "bags": (f"{name} packs {a * b} {thing} into {a} equal bags. How many {thing} are in one bag?", f"{a * b} / {a}"),
    }
    other = {
        "fewer": (f"{name} has {b + c} {thing} and gives {c} of them away. How many are left?", f"{b + c} - {c}"),
        "rope": (f"A rope of {a * b} metres is cut into {a} equal pieces. How many metres long is each piece?", f"{a * b} / {a}"),
        "till": (f"{name} buys {a} {thing} at {b} euros each and a bag for {c} euros. How many euros does {name} pay?", f"{a} * {b} + {c}"),
        "tank": (f"A tank holds {a + b + c} litres. {b} litres are used, then {c} more. How many litres are left?", f"{a + b + c} - {b} - {c}"),
        "months": (f"{name} saves {b} euros a month for {a} months and then spends {a + b} euros. How many euros are left?", f"{a} * {b} - {a + b}"),
    }
    return {"known": known, "other": other}


def draw(group: str, n: int, seed: int, held_out: bool = False) -> list[Problem]:
    """``n`` problems of the kinds ``"known"`` or ``"other"`` in turn, the same for the same seed.

    A quarter of all pairs of numbers is kept for tests: they occur if ``held_out``, and only then.

    Raises
    ------
    CourseError
        for another group.
    """
    rng = np.random.default_rng([seed, group == "other"])
    found: list[Problem] = []
    while len(found) < n:
        name, thing = rng.choice(NAMES), rng.choice(THINGS)
        a, (b, c) = int(rng.integers(3, 10)), map(int, rng.integers(11, 60, 2))
        if ((a + b) % 4 == 0) != held_out:
            continue
        kinds = _texts(name, thing, a, b, c).get(group)
        if not kinds:
            raise CourseError(f'There are the groups "known" and "other", not {group!r}.')
        kind = list(kinds)[len(found) % len(kinds)]
        question, expression = kinds[kind]
        found.append(Problem(question, expression, int(calculate(expression)), kind))
    return found


SHOWN = {
    "at once": "Answer: {answer}", "chain of thought": "Answer: {steps} The answer is {answer}.",
    "program-aided": "Expression: {expression}",
}  # fmt: skip


def few_shot(question: str, way: str) -> str:
    """The question after the four worked examples, each answered in that way (see ``SHOWN``)."""
    worked = [f"Question: {row['question']}\n{SHOWN[way].format(**row)}" for row in SOLVED]
    return "\n\n".join([*worked, f"Question: {question}\n{SHOWN[way].split(':')[0]}:"])


def prompt(question: str, shots: bool = False) -> str:
    """The question with an open expression, after the four worked examples if ``shots``."""
    return few_shot(question, "program-aided") if shots else f"Question: {question}\nExpression:"


def value(text: str) -> float | None:
    """What the first line of a model's text comes to; None if it is no expression."""
    try:
        return calculate(text.strip().split("\n")[0])
    except CourseError:
        return None


def read(text: str, way: str) -> float | None:
    """The answer in a text written ``"at once"`` (its first number), as a ``"chain of thought"`` (the number
    behind "answer is") or ``"program-aided"`` (the value of the expression); None if there is none."""
    if way == "program-aided":
        return value(text)
    before = "answer is " if way == "chain of thought" else ""
    number = re.search(before + r"(-?[\d.]*\d)", text)
    return float(number[1]) if number else None


def reward(text: str, answer: float) -> float:
    """The rule: 1 if the first line is an expression whose value is the answer, else 0.

    >>> reward("4 * 8", 32), reward("32, of course", 32)
    (1.0, 0.0)
    """
    return float(value(text) == answer)


def measure(llm: LLM, shots: bool = False, n: int = TESTED) -> dict[str, list[int]]:
    """Whether the greedy expression of each test problem is right (1 or 0), by group."""
    found = {}
    for group in ("known", "other"):
        problems = tested(group, n)
        with finetune.mixed_precision():
            texts = llm.generate([prompt(p.question, shots) for p in problems], max_new_tokens=NEW_TOKENS)
        found[group] = [int(reward(text, p.answer)) for text, p in zip(texts, problems)]
    return found


def by_kind(right: Sequence[float], problems: Sequence[Problem]) -> dict[str, float]:
    """The share right of each kind, in the order of the problems."""
    kinds: dict[str, list[float]] = {}
    for score, problem in zip(right, problems):
        kinds.setdefault(problem.kind, []).append(score)
    return {kind: round(float(np.mean(scores)), 2) for kind, scores in kinds.items()}


# ---------------------------------------------------------------- training


def with_adapter(llm: LLM, layers: int, rank: int = 8, seed: int = 0) -> LLM:
    """The model with a fresh LoRA adapter on all linear weights of its last ``layers`` layers, in place.

    An adapter that it carries already is dropped: each training starts from the model itself.
    """
    from peft import LoraConfig, get_peft_model

    model = bare(llm.model)
    every = model.config.num_hidden_layers
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, layers_to_transform=list(range(every - layers, every)),
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LLM(get_peft_model(model, config), llm.tokenizer, llm.name)


def bare(model):
    """The transformers model without its adapters, in place; as it is where there are none."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
    return model


def imitate(llm: LLM, pairs: Sequence[tuple[str, str]], rate: float, seed: int = 0) -> LLM:
    """The model with an adapter tuned once over (question, expression) pairs, eight at a time."""
    tuned = with_adapter(llm, llm.model.config.num_hidden_layers, seed=seed)
    go_on(tuned, pairs, rate, seed)
    return tuned


def go_on(tuned: LLM, pairs: Sequence[tuple[str, str]], rate: float, seed: int = 0) -> int:
    """Tune the adapter that the model carries once over the pairs, eight at a time; how many steps that were."""
    examples = [finetune.encode_pair(tuned, prompt(q), expression) for q, expression in pairs]
    return len(finetune.train(tuned, examples, finetune.Recipe(rate, batch_size=8, seed=seed)))


def tested(group: str, n: int = TESTED) -> list[Problem]:
    """The test problems of a group, whose numbers no training has seen."""
    return draw(group, n, 0, held_out=True)


def lesson(seed: int) -> list[tuple[str, str]]:
    """The (question, expression) pairs of the short fine-tuning."""
    return [(p.question, p.expression) for p in draw("known", LESSON, LESSON_SEED + seed)]


def practice(seed: int) -> list[list[Problem]]:
    """The problems of each update of GRPO."""
    drawn = draw("known", PROMPTS * UPDATES, PRACTICE_SEED + seed)
    return [drawn[start : start + PROMPTS] for start in range(0, len(drawn), PROMPTS)]


def tune(llm: LLM, seed: int) -> LLM:
    """The model after the short fine-tuning on :func:`lesson`, merged, in place: where GRPO starts."""
    tuned = adapters.merge(imitate(llm, lesson(seed), LESSON_RATE, seed))
    return LLM(tuned.model, llm.tokenizer, f"{llm.name} tuned on sums")


def sample(policy: rl.Policy, problems: Sequence[Problem], group: int, seed: int) -> tuple[rl.Rollout, torch.Tensor]:
    """``group`` texts for each problem at temperature 1, and their rewards [problems, group]."""
    with finetune.mixed_precision():
        rollout = rl.sample(policy, [prompt(p.question) for p in problems], NEW_TOKENS, 1.0, seed, group)
    finetune.give_back()  # what sampling freed makes room for the gradient
    rewards = [reward(text, problems[row // group].answer) for row, text in enumerate(rollout.texts)]
    return rollout, torch.tensor(rewards).view(len(problems), group)


def keep_right(problems: Sequence[Problem], texts: Sequence[str], rewards: torch.Tensor) -> list[tuple[str, str]]:
    """(question, expression) of the texts with reward 1, their first lines; equal ones of a problem once.

    ``rewards`` [problems, group]; the texts of a problem stand side by side.
    """
    group = rewards.shape[1]
    rows = enumerate(zip(texts, rewards.flatten().tolist()))
    kept = [(number // group, text.strip().split("\n")[0]) for number, (text, reward) in rows if reward == 1]
    return [(problems[number].question, text) for number, text in dict.fromkeys(kept)]


def update(policy: rl.Policy, optimizer: torch.optim.Optimizer, rollout: rl.Rollout, rewards: torch.Tensor) -> None:
    """One step of GRPO from fresh texts, each used once, without a price of KL.

    Then the ratio is 1 and the clip cuts nothing: the gradient is that of
    :func:`~course_utils.preference.grpo_loss` with ``beta=0``.
    """
    advantages = preference.group_advantages(rewards).flatten()
    with finetune.mixed_precision():
        log_probs = preference.answer_log_probs(policy, rollout)
    per_text = (advantages[:, None] * log_probs).sum(1) / rollout.mask.sum(1)
    optimizer.zero_grad()
    (-per_text.mean()).backward()
    torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    optimizer.step()
