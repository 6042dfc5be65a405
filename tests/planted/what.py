"""Plausible wrong answers to the exercises on what language models do."""

import re

import numpy as np
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
    return {**found, "sections": [line.strip("# ") for line in card.splitlines() if line.startswith("#")]}


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


PLANTED = {
    "what.1": [
        (lambda turns, count, window, n: what.trim(turns, count, window, 0), "max_new_tokens"),
        (oldest, "oldest"),
        (with_holes, "hole"),
        (lambda turns, count, window, n: what.trim(turns, count, window, n)[::-1], "order"),
        (lambda turns, count, window, n: what.trim(turns, lambda text: len(text.split()), window, n), "given count"),
    ],
    "what.2": [
        (lambda found, names: np.mean([name in " ".join(found) for name in names]) if found else 0.0, "everything"),
        (lambda found, names: float(any(n.lower() in f.lower() for n in names for f in found)), "Joanna"),
        (lambda found, names: len(set(found) & set(names)) / len(set(names)), "everything"),
        (lambda found, names: len(set(found) & set(names)) / max(1, len(found)), "precision"),
        (lambda found, names: 2 * len(set(found) & set(names)) / (len(set(found)) + len(names)), "capitals"),
        (lambda found, names: float(bool(found) and set(found) == set(names)), "part marks"),
    ],
    "what.3": [
        (lambda target, length: target**length, "other way"),
        (lambda target, length: 1 - (1 - target) / length, "adding"),
        (lambda target, length: target, "once in a thousand"),
        (lambda target, length: target / length, "multiply"),
    ],
    "what.4": [
        (lambda query, vectors, k: (vectors @ query).topk(k).indices.tolist(), "length"),
        (lambda query, vectors, k: what.top_k(query, vectors, len(vectors))[::-1][:k], "least alike"),
        (lambda query, vectors, k: (vectors @ query / vectors.norm(dim=1)).topk(k).values.tolist(), "scores"),
        (lambda query, vectors, k: (vectors @ query / vectors.norm(dim=1)).topk(k).indices, "Return a list"),
    ],
    "what.5": [
        (lambda text: found[1] if (found := re.search(r"CALC\((.*?)\)(?=[^)]*(?:CALC|$))", text)) else None, "later ')'"),
        (lambda text: found[1] if (found := re.search(r"CALC\(((?:[^()]|\([^()]*\))*)\)", text)) else None, "count them, do not list"),
        (lazy, "first ')'"),
        (greedy, "two calls"),
        (lambda text: text.split("CALC(")[1].split(")")[0], "broke it"),
        (unclosed, "never closed"),
        (lambda text: 84.0, "two steps"),
    ],
    "what.6": [
        (of_the_case(lambda c: "pre-train" if c["test_items"] and c["examples"] > 1000 else None), "scratch"),
        (of_the_case(lambda c: "fine-tune" if c["test_items"] and not c["tried"] and c["examples"] >= 200 else None), "tempting"),
        (of_the_case(lambda c: "integrate" if c["score"] >= c["needed"] else None), "single test item"),
        (of_the_case(lambda c: "fine-tune" if c["outside_facts"] and c["tried"] else None), "change tomorrow"),
        (of_the_case(lambda c: "fine-tune" if c["tried"] == {"prompt"} and not c["outside_facts"] else None), "too few"),
        (of_the_case(lambda c: "align" if c["harmful"] and c["tried"] else None), "too early"),
    ],
    "what.7": [
        (headings_in_code, "comment"),
        (line_by_line, "YAML"),
        (always_a_header, "many have none"),
        (lambda card: what.card_fields(card)["license"], "dictionary"),
    ],
}  # fmt: skip
