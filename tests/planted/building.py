"""Building with language models: planted answers."""

import re

import numpy as np
import torch
import yaml

from course_utils.exercises import building


def lazy(text):
    found = re.search(r"CALC\((.*?)\)", text)
    return found[1] if found else None


def greedy(text):
    found = re.search(r"CALC\((.*)\)", text)
    return found[1] if found else None


def unclosed(text):
    found = building.parse_call(text)
    return text.split("CALC(")[1] if found is None and "CALC(" in text else found


def headings_in_code(card):
    found = building.card_fields(card)
    body = card.split("---\n", 2)[-1] if card.startswith("---\n") else card
    return {**found, "sections": [line.lstrip("# ") for line in body.splitlines() if line.startswith("#")]}


def line_by_line(card):
    found = re.search(r"^license: *(.*)", card, re.M)
    datasets = re.search(r"^datasets: *(.*)", card, re.M)
    sections = building.card_fields(card)["sections"]
    return {"license": found[1] if found else None, "datasets": datasets[1] if datasets else [], "sections": sections}


def always_a_header(card):
    header = yaml.safe_load(card.split("---\n")[1])
    return {"license": header["license"], "datasets": header["datasets"], "sections": building.card_fields(card)["sections"]}


def of_the_case(change):
    def answer(case):
        return change(case) or building.next_step(case)

    return answer


def first_bracket(s):
    if "CALC(" not in s:
        return None
    i, depth = s.index("(") + 1, 1
    for j, sign in enumerate(s[i:], i):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return s[i:j]


def by_peeling(text):
    """Shorten from the right until the parentheses balance."""
    if "CALC(" not in text:
        return None
    rest = text.split("CALC(", 1)[1]
    for end in range(len(rest)):
        if rest[end] == ")" and rest[:end].count("(") == rest[:end].count(")"):
            return rest[:end]


def by_stack(text):
    begin = text.find("CALC(")
    if begin < 0:
        return None
    stack = []
    for i in range(begin, len(text)):
        if text[i] == "(":
            stack.append(i)
        elif text[i] == ")":
            start = stack.pop()
            if not stack:
                return text[start + 1 : i]
    return None


def step_list(case):
    reached = case["score"] >= case["needed"]
    rows = [
        (not case["test_items"], "scope"),
        (not case["usable_model"], "pre-train"),
        (reached and not case["harmful"], "integrate"),
        (reached, "align"),
        ("prompt" not in case["tried"], "prompt"),
        (case["outside_facts"] and "retrieve" not in case["tried"], "retrieve"),
        (case["examples"] > 199 and not case["tried"] & {"fine-tune"}, "fine-tune"),
        (True, "larger model"),
    ]
    return next(step for fits, step in rows if fits)


def card_by_patterns(card):
    match = re.match(r"---\n(.*?)\n---\n", card, re.S)
    header = yaml.safe_load(match[1]) if match else {}
    body = re.sub(r"^```.*?^```", "", card[match.end() :] if match else card, flags=re.S | re.M)
    return dict(license=header.get("license"), datasets=tuple(header.get("datasets", ())), sections=re.findall(r"^#+ *(.*?) *$", body, re.M))


def drop_case(**changes):
    return lambda c: building.next_step({**c, **{key: change(c[key]) for key, change in changes.items()}})


def wish(**changes):
    return {**building.CHOICE, **changes}


def loud(run):
    return run.returncode == 0 and run.stdout.rstrip().endswith("all true")


def by_loop(run):
    lines = [line for line in run.stdout.split("\n") if line]
    if run.returncode:
        return False
    return bool(lines) and lines[-1] == "all true"


def counted_up(small, large, tuning_tokens, request_tokens):
    """The number of requests at which two straight lines meet."""
    per_small, per_large = 2 * small * request_tokens, 2 * large * request_tokens
    return np.float64(6 * small * tuning_tokens) / (per_large - per_small)


PLANTED = {
    "building.1": [
        (wish(minutes="B"), "4,000 tokens"),
        (wish(minutes="both"), "B's input"),
        (wish(minutes="neither"), "one of the two reads"),
        (wish(letters="A"), "Which languages"),
        (wish(letters="both"), "Which languages"),
        (wish(letters="neither"), "knows French"),
        (wish(titles="a"), "what does B lack"),
        (wish(titles="B"), "what does A lack"),
        (wish(titles="neither"), "both cards allow"),
        (wish(doses="A"), "A's card warns"),
        (wish(doses="b"), "B's card warns"),
        (wish(doses="both"), "nobody checks"),
        (wish(doses="none"), 'choose "A", "B"'),
        ({"minutes": "A"}, "The four wishes are"),
        (wish(doses=None), "a dictionary"),
        ("A", "a dictionary"),
    ],
    "building.2": [
        (lambda run: run.stdout.endswith("all true\n"), "whose check failed"),
        (lambda run: run.stdout.strip().splitlines()[-1:] == ["all true"], "whose check failed"),
        (lambda run: run.returncode == 0, "leaves early"),
        (loud, "not the line"),
        (lambda run: run.returncode == 0 and "all true" in run.stdout, "anywhere"),
        (lambda run: not run.returncode and "all true" in run.stdout.split("\n"), "anywhere"),
        (lambda run: run.returncode == 0 and run.stdout.strip() == "all true", "other lines before"),
        (lambda run: run.returncode == 0 or run.stdout.splitlines()[-1:] == ["all true"], "not enough"),
        (lambda run: run.returncode <= 0 and run.stdout.splitlines()[-1:] == ["all true"], "negative"),
        (lambda run: run.returncode != 1 and run.stdout.splitlines()[-1:] == ["all true"], "every other number"),
        (lambda run: run.returncode == 0 and run.stdout.splitlines()[-1] == "all true", "An early exit"),
        (lambda run: not by_loop(run), "other way round"),
        (lambda run: run.stdout, "True or False"),
    ],
    "building.3": [
        (lambda s, g, t, r: s * t / ((g - s) * r), "both alike"),
        (lambda s, g, t, r: 6 * s * t / (2 * g * r), "*difference*"),
        (lambda s, g, t, r: 6 * g * t / (2 * (g - s) * r), "small model that is tuned"),
        (lambda s, g, t, r: 3 * t / r, "*saves*"),
        (lambda s, g, t, r: (g - s) * r / (3 * s * t), "Upside down"),
        (lambda s, g, t, r: 3 * s * t / (g - s), "neither saving"),
        (lambda s, g, t, r: 6 * s * t, "what tuning costs"),
        (lambda s, g, t, r: 2 * s * t / (6 * (g - s) * r), "wrong way round"),
        (lambda s, g, t, r: 6 * s * t / (2 * (s - g) * r), "negative"),
        (lambda s, g, t, r: 6 * (g - s) * t / (2 * (g - s) * r), "cancel out"),
        (lambda s, g, t, r: round(3 * s * t / (g - s) / r), "should give"),
    ],
    "what.4": [
        (lambda query, vectors, k: (vectors @ query).topk(k).indices.tolist(), "length"),
        (lambda query, vectors, k: building.top_k(query, vectors, len(vectors))[::-1][:k], "least alike"),
        (lambda query, vectors, k: (vectors @ query / vectors.norm(dim=1)).topk(k).values.tolist(), "scores"),
        (lambda query, vectors, k: sorted(building.top_k(query, vectors, k)), "order of their positions"),
        (lambda query, vectors, k: torch.cdist(query[None], vectors)[0].argsort()[:k], "distance"),
        (lambda query, vectors, k: vectors[building.top_k(query, vectors, k)], "a list of positions"),
        (lambda query, vectors, k: (vectors @ query / vectors.norm(dim=1)).argmax(), "a list of positions"),
    ],
    "what.5": [
        (lambda text: found[1] if (found := re.search(r"CALC\((.*?)\)(?=[^)]*(?:CALC|$))", text)) else None, "later ')'"),
        (lambda text: found[1] if (found := re.search(r"CALC\(((?:[^()]|\([^()]*\))*)\)", text)) else None, "count them, do not list"),
        (lazy, "first ')'"),
        (greedy, "last ')'"),
        (lambda text: text.split("CALC(")[1].split(")")[0], "raised IndexError"),
        (lambda text: re.search(r"CALC\((.*)\)", text)[1], "last ')'"),
        (lambda text: building.parse_call(text).replace("x", "*"), "raised AttributeError"),
        (unclosed, "never closed"),
        (lambda text: 84.0, "another step"),
        (first_bracket, "need not be the call's"),
        (lambda text: building.parse_call(text) or "", "not an empty text"),
        (lambda text: building.parse_call(text.upper()), "Letters"),
        (lambda text: building.parse_call(text) if text.count("(") == text.count(")") else None, "A smile behind the call"),
        (lambda text: [building.parse_call(text)], "another step"),
    ],
    "what.6": [
        (of_the_case(lambda c: "pre-train" if c["test_items"] and c["examples"] > 1000 else None), "scratch"),
        (of_the_case(lambda c: "fine-tune" if c["test_items"] and not c["tried"] and c["examples"] >= 200 else None), "tempting"),
        (of_the_case(lambda c: "integrate" if c["score"] >= c["needed"] else None), "single test item"),
        (of_the_case(lambda c: "fine-tune" if c["outside_facts"] and "prompt" in c["tried"] else None), "change tomorrow"),
        (of_the_case(lambda c: "fine-tune" if c["tried"] == {"prompt"} and not c["outside_facts"] else None), "too few"),
        (of_the_case(lambda c: "align" if c["harmful"] and c["tried"] else None), "too early"),
        (drop_case(examples=lambda n: n - 1), "*at least* 200"),
        (drop_case(examples=lambda n: n + 1), "*at least* 200"),
        (lambda c: "prompt" if building.next_step(c) in ("prompt", "retrieve", "fine-tune", "larger model") and not c["tried"] else building.next_step({**c, "tried": c["tried"] | {"prompt"}}), "Retrieval tried, prompts not"),
        (lambda c: "pre-train" if not c["usable_model"] else building.next_step(c), "no usable model"),
        (lambda c: building.next_step({**c, "needed": 0.8}), "not always the same"),
        (lambda c: building.next_step({**c, "score": c["score"] - 1e-6}), "Exactly at the target"),
        (lambda c: building.next_step({**c, "tried": set()}), "not 'prompt'"),
    ],
    "what.7": [
        (headings_in_code, "comment"),
        (line_by_line, "YAML"),
        (always_a_header, "many have none"),
        (lambda card: building.card_fields(card)["license"], "dictionary"),
        (lambda card: {**building.card_fields(card), "datasets": building.card_fields(card)["datasets"] or None}, "[]"),
        (lambda card: {**building.card_fields(card), "sections": [t.strip("# ") for t in building.card_fields(card)["sections"]]}, "C#"),
        (lambda card: {k: v for k, v in building.card_fields(card).items() if k != "datasets"}, "The keys are"),
        (lambda card: {**building.card_fields(card), "sections": building._headings(card)}, "comment in the header"),
        (lambda card: {**building.card_fields(card), "license": "mit"}, "should give"),
        (lambda card: {**building.card_fields(card), "sections": re.findall(r"^# (.*)$", card, re.M)}, "sections of card_fields"),
    ],
}  # fmt: skip

RIGHT = {
    "building.1": [{wish: choice.lower() for wish, choice in reversed(building.CHOICE.items())}],
    "building.2": [by_loop, lambda run: run.returncode == 0 and run.stdout.rpartition("\n")[0].rpartition("\n")[2] == "all true", lambda run: np.bool_(run.returncode == 0 and f"\n{run.stdout}".endswith("\nall true\n"))],
    "building.3": [counted_up, lambda s, g, t, r: torch.tensor(3.0, dtype=torch.float64) * s / (g - s) * t / r],
    "what.4": [
        lambda q, v, k: torch.nn.functional.cosine_similarity(q[None], v).topk(k).indices,
        lambda q, v, k: np.argsort(-(np.asarray(v) @ np.asarray(q)) / np.linalg.norm(v, axis=1))[:k],
        lambda q, v, k: sorted(range(len(v)), key=lambda i: float(v[i] @ q / v[i].norm()), reverse=True)[:k],
        lambda query, vectors, k: [(vectors @ query / vectors.norm(dim=1)).argsort(descending=True)[i] for i in range(k)],
    ],
    "what.5": [by_peeling, by_stack, lambda text: None if (found := building.parse_call(text)) is None else f" {found} "],
    "what.6": [step_list, lambda case: str(np.str_(building.next_step(dict(case))))],
    "what.7": [card_by_patterns, lambda card: {key: building.card_fields(card)[key] for key in ("sections", "datasets", "license")}],
}  # fmt: skip

EQUIVALENT = {
    "what.4": {"vectors.norm(dim=1) * query.norm() → vectors.norm(dim=1) / query.norm()": "the query's length is the same for all texts"},
    "what.5": {
        "depth += {'(': 1, ')': -1}.get(text[position], 0) → depth -= {'(': 1, ')': -1}.get(text[position], 0)":
            "counted downwards, the depth is back at 0 at the same position",
        "text[start + 5:position].strip() → text[start + 5:position]": "outer blanks may stay",
    },
}  # fmt: skip
