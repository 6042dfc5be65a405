"""Wrong and right answers about what models do: PLANTED, id → [(answer, words)]; RIGHT, id → [answer]."""

import re

import numpy as np
import torch
import yaml

from course_utils.exercises import what


def oldest(turns, count, window, max_new_tokens):
    room, kept = window - max_new_tokens, []
    for turn in turns:
        room -= count(turn)
        if room < 0:
            break
        kept.append(turn)
    return kept


def with_holes(turns, count, window, max_new_tokens):
    room, kept = window - max_new_tokens, []
    for turn in reversed(turns):
        if count(turn) <= room:
            room -= count(turn)
            kept.insert(0, turn)
    return kept


def lazy(text):
    found = re.search(r"CALC\((.*?)\)", text)
    return found[1] if found else None


def greedy(text):
    found = re.search(r"CALC\((.*)\)", text)
    return found[1] if found else None


def unclosed(text):
    found = what.parse_call(text)
    return text.split("CALC(")[1] if found is None and "CALC(" in text else found


def headings_in_code(card):
    found = what.card_fields(card)
    body = card.split("---\n", 2)[-1] if card.startswith("---\n") else card
    return {**found, "sections": [line.lstrip("# ") for line in body.splitlines() if line.startswith("#")]}


def line_by_line(card):
    found = re.search(r"^license: *(.*)", card, re.M)
    datasets = re.search(r"^datasets: *(.*)", card, re.M)
    sections = what.card_fields(card)["sections"]
    return {"license": found[1] if found else None, "datasets": datasets[1] if datasets else [], "sections": sections}


def always_a_header(card):
    header = yaml.safe_load(card.split("---\n")[1])
    return {"license": header["license"], "datasets": header["datasets"], "sections": what.card_fields(card)["sections"]}


def of_the_case(change):
    def answer(case):
        return change(case) or what.next_step(case)

    return answer


def substring(found, names):
    return np.mean([name in " ".join(found) for name in names]) if found else 0.0


def first_bracket(s):
    if "CALC(" not in s:
        return None
    i, depth = s.index("(") + 1, 1
    for j, sign in enumerate(s[i:], i):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return s[i:j]


def drop_the_oldest(turns, count, window, max_new_tokens):
    turns = list(turns)
    while turns and sum(count(t) for t in turns) > window - max_new_tokens:
        del turns[0]
    return turns


def by_sums(turns, count, window, max_new_tokens):
    sums = np.cumsum([count(t) for t in turns][::-1])[::-1]
    return tuple(t for t, total in zip(turns, sums) if total + max_new_tokens <= window)


def f1_from_shares(found, names):
    a, b = set(map(str.casefold, found)), set(map(str.casefold, names))
    if not a & b:
        return 0
    precision, recall = len(a & b) / len(a), len(a & b) / len(b)
    return 2 / (1 / precision + 1 / recall)


def f1_loop(found, names):
    seen, hits = [], 0
    wanted = list(dict.fromkeys(name.upper() for name in names))
    for name in found:
        if name.upper() not in seen:
            seen.append(name.upper())
            hits += name.upper() in wanted
    return np.float64(2 * hits / (len(seen) + len(wanted))) if hits else np.float64(0)


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
    return lambda c: what.next_step({**c, **{key: change(c[key]) for key, change in changes.items()}})


PLANTED = {
    "what.1": [
        (lambda turns, count, window, n: what.trim(turns, count, window, 0), "max_new_tokens"),
        (oldest, "oldest"),
        (with_holes, "hole"),
        (lambda turns, count, window, n: what.trim(turns, count, window, n)[::-1], "order"),
        (lambda turns, count, window, n: what.trim(turns, lambda text: len(text.split()), window, n), "given count"),
        (lambda turns, count, window, n: [t for t in turns if count(t) <= window - n], "by itself"),
        (lambda turns, count, window, n: what.trim(turns, count, window - 1, n), "last token"),
        (lambda turns, count, window, n: " ".join(what.trim(turns, count, window, n)), "a list of turns"),
        (lambda turns, count, window, n: len(what.trim(turns, count, window, n)), "a list of turns"),
    ],
    "what.8": [
        (lambda p, w, k: "".join(f"{a} -> {b}\n" for a, b in list(p.items())[:k]) + f"{w} ->", "leave it out"),
        (lambda p, w, k: "".join(f"{a} -> {b}\n" for a, b in list(p.items())[:k] if a != w) + f"{w} ->", "one example is missing"),
        (lambda p, w, k: what.show_others(p, w, k) + " ", "nothing more"),
        (lambda p, w, k: what.show_others(p, w, k) + " " + p.get(w, ""), "already written"),
        (lambda p, w, k: what.show_others(p, w, len(p)), "only k"),
        (lambda p, w, k: what.show_others({a: b for a, b in p.items() if a != p[w]}, w, k), "raised KeyError"),
        (lambda p, w, k: what.show_others(p, w, k).splitlines(), "wanted: a text"),
    ],
    "what.2": [
        (substring, "Compare whole names"),
        (lambda found, names: float(any(n.lower() in f.lower() for n in names for f in found)), "Joanna"),
        (lambda found, names: len(set(found) & set(names)) / max(1, len(set(names))), "everything"),
        (lambda found, names: len(set(found) & set(names)) / max(1, len(set(found))), "precision"),
        (lambda found, names: 2 * len(set(found) & set(names)) / (len(set(found)) + len(set(names)) or 1), "capitals"),
        (lambda found, names: float(bool(found) and set(found) == set(names)), "part marks"),
        (lambda f, n: 2 * len((a := {x.lower() for x in f}) & (b := set(n))) / max(1, len(a) + len(b)), "Only the found names"),
        (lambda f, n: what.name_f1([x.split()[0] for x in f], [x.split()[0] for x in n]), "should give"),
        (lambda f, n: what.name_f1([w for x in f for w in x.lower().split()], [w for x in n for w in x.lower().split()]), "into words"),
        (lambda f, n: len(a & b) / len(a | b) if (a := {x.lower() for x in f}) | (b := {x.lower() for x in n}) else 0.0, "Jaccard"),
        (lambda f, n: 2 * len((a := {x.lower() for x in f}) & (b := {x.lower() for x in n})) / (len(a) + len(b)), "raised ZeroDivisionError"),
        (lambda f, n: (len(f) + len(n)) / 2, "should give"),
    ],
    "what.3": [
        (lambda target, length: target**length, "other way"),
        (lambda target, length: 1 - (1 - target) / length, "adding"),
        (lambda target, length: target, "once in a thousand"),
        (lambda target, length: target / length, "multiply"),
        (lambda target, length: target**1 / length, "is read so"),
        (lambda target, length: np.log(target) / length, "should give"),
    ],
    "what.4": [
        (lambda query, vectors, k: (vectors @ query).topk(k).indices.tolist(), "length"),
        (lambda query, vectors, k: what.top_k(query, vectors, len(vectors))[::-1][:k], "least alike"),
        (lambda query, vectors, k: (vectors @ query / vectors.norm(dim=1)).topk(k).values.tolist(), "scores"),
        (lambda query, vectors, k: sorted(what.top_k(query, vectors, k)), "order of their positions"),
        (lambda query, vectors, k: torch.cdist(query[None], vectors)[0].argsort()[:k], "distance"),
        (lambda query, vectors, k: vectors[what.top_k(query, vectors, k)], "a list of positions"),
        (lambda query, vectors, k: (vectors @ query / vectors.norm(dim=1)).argmax(), "a list of positions"),
    ],
    "what.5": [
        (lambda text: found[1] if (found := re.search(r"CALC\((.*?)\)(?=[^)]*(?:CALC|$))", text)) else None, "later ')'"),
        (lambda text: found[1] if (found := re.search(r"CALC\(((?:[^()]|\([^()]*\))*)\)", text)) else None, "count them, do not list"),
        (lazy, "first ')'"),
        (greedy, "last ')'"),
        (lambda text: text.split("CALC(")[1].split(")")[0], "raised IndexError"),
        (lambda text: re.search(r"CALC\((.*)\)", text)[1], "last ')'"),
        (lambda text: what.parse_call(text).replace("x", "*"), "raised AttributeError"),
        (unclosed, "never closed"),
        (lambda text: 84.0, "another step"),
        (first_bracket, "need not be the call's"),
        (lambda text: what.parse_call(text) or "", "not an empty text"),
        (lambda text: what.parse_call(text.upper()), "Letters"),
        (lambda text: what.parse_call(text) if text.count("(") == text.count(")") else None, "A smile behind the call"),
        (lambda text: [what.parse_call(text)], "another step"),
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
        (lambda c: "prompt" if what.next_step(c) in ("prompt", "retrieve", "fine-tune", "larger model") and not c["tried"] else what.next_step({**c, "tried": c["tried"] | {"prompt"}}), "Retrieval tried, prompts not"),
        (lambda c: "pre-train" if not c["usable_model"] else what.next_step(c), "no usable model"),
        (lambda c: what.next_step({**c, "needed": 0.8}), "not always the same"),
        (lambda c: what.next_step({**c, "score": c["score"] - 1e-6}), "Exactly at the target"),
        (lambda c: what.next_step({**c, "tried": set()}), "not 'prompt'"),
    ],
    "what.7": [
        (headings_in_code, "comment"),
        (line_by_line, "YAML"),
        (always_a_header, "many have none"),
        (lambda card: what.card_fields(card)["license"], "dictionary"),
        (lambda card: {**what.card_fields(card), "datasets": what.card_fields(card)["datasets"] or None}, "[]"),
        (lambda card: {**what.card_fields(card), "sections": [t.strip("# ") for t in what.card_fields(card)["sections"]]}, "C#"),
        (lambda card: {k: v for k, v in what.card_fields(card).items() if k != "datasets"}, "The keys are"),
        (lambda card: {**what.card_fields(card), "sections": what._headings(card)}, "comment in the header"),
        (lambda card: {**what.card_fields(card), "license": "mit"}, "should give"),
        (lambda card: {**what.card_fields(card), "sections": re.findall(r"^# (.*)$", card, re.M)}, "sections of card_fields"),
    ],
}  # fmt: skip

RIGHT = {
    "what.1": [drop_the_oldest, by_sums, lambda t, c, w, m: next(t[i:] for i in range(len(t) + 1) if sum(map(c, t[i:])) <= w - m)],
    "what.8": [
        lambda p, w, k: "\n".join([f"{a} -> {p[a]}" for a in [a for a in p if a != w][:k]] + [f"{w} ->"]),
        lambda pairs, word, k: "".join([a + " -> " + b + "\n" for a, b in pairs.items() if a != word][:k]) + word + " ->",
        lambda pairs, word, k: "\n".join(" -> ".join(item) for item in [*[i for i in pairs.items() if i[0] != word][:k], (word, "")]).rstrip(),
    ],
    "what.2": [f1_from_shares, f1_loop, lambda f, n: torch.tensor(what.name_f1(f, n))],
    "what.3": [
        lambda t, n: np.exp(np.log(t) / n),
        lambda t, n: torch.tensor(t).pow(1 / n),
        lambda target, length: next(p for p in (i / 1e5 for i in range(1, 10**5 + 1)) if p**length >= target),
    ],
    "what.4": [
        lambda q, v, k: torch.nn.functional.cosine_similarity(q[None], v).topk(k).indices,
        lambda q, v, k: np.argsort(-(np.asarray(v) @ np.asarray(q)) / np.linalg.norm(v, axis=1))[:k],
        lambda q, v, k: sorted(range(len(v)), key=lambda i: float(v[i] @ q / v[i].norm()), reverse=True)[:k],
        lambda query, vectors, k: [(vectors @ query / vectors.norm(dim=1)).argsort(descending=True)[i] for i in range(k)],
    ],
    "what.5": [by_peeling, by_stack, lambda text: None if (found := what.parse_call(text)) is None else f" {found} "],
    "what.6": [step_list, lambda case: str(np.str_(what.next_step(dict(case))))],
    "what.7": [card_by_patterns, lambda card: {key: what.card_fields(card)[key] for key in ("sections", "datasets", "license")}],
}  # fmt: skip

EQUIVALENT = {
    "what.1": {"break → continue": "once the room is used up, older turns can only make it less"},
    "what.4": {"vectors.norm(dim=1) * query.norm() → vectors.norm(dim=1) / query.norm()": "the query's length is the same for all texts"},
    "what.5": {
        "depth += {'(': 1, ')': -1}.get(text[position], 0) → depth -= {'(': 1, ')': -1}.get(text[position], 0)":
            "counted downwards, the depth is back at 0 at the same position",
        "text[start + 5:position].strip() → text[start + 5:position]": "outer blanks may stay",
    },
}  # fmt: skip
