"""Building with language models: reference answers and their tests."""

from __future__ import annotations

import re
from subprocess import CompletedProcess

import torch
import yaml

from . import answers
from .cases import compare
from .engine import Exercise, Wrong

# ------------------------------------------------------------ what.4 the k nearest texts


def top_k(query, vectors, k):
    cosines = vectors @ query / (vectors.norm(dim=1) * query.norm())
    return cosines.argsort(descending=True)[:k].tolist()


NEAREST_SLIPS = [
    ("A long vector won: a dot product rewards length. Divide by both lengths.", lambda q, v, k: (v @ q).topk(k).indices.tolist()),
    ("Those are the least alike: sort from high to low.", lambda q, v, k: top_k(q, v, len(v))[::-1][:k]),
    ("The right texts, in the order of their positions: the best comes first.", lambda q, v, k: sorted(top_k(q, v, k))),
    ("The right texts, the best last: it comes first.", lambda q, v, k: top_k(q, v, k)[::-1]),
    ("You measured the distance between the vectors; their length must not matter, only the direction.",
     lambda q, v, k: (v - q).norm(dim=1).argsort()[:k].tolist()),
    ("A direction that is *opposite* is not near: do not take the cosine's size.",
     lambda q, v, k: (v @ q / v.norm(dim=1)).abs().argsort(descending=True)[:k].tolist()),
    ("You divide by a vector's length twice: now the short ones win.", lambda q, v, k: (v @ q / v.norm(dim=1) ** 2).argsort(descending=True)[:k].tolist()),
    ("Positions are counted from 0.", lambda q, v, k: [i + 1 for i in top_k(q, v, k)]),
    ("All texts came back; only the k nearest are asked.", lambda q, v, k: top_k(q, v, len(v))),
    ("Only one position came back; k are asked.", lambda q, v, k: top_k(q, v, 1)),
]  # fmt: skip


def _test_top_k(top_k):
    vectors = torch.tensor([[0.0, 1.0], [0.6, 0.8], [2.0, 2.2], [0.9, 0.1], [-1.0, 0.0]])
    query = torch.tensor([1.0, 0.0])
    drawn = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 10)[:, None]
    cases = [
        ("", (query, vectors, 2)),
        ("a longer query", (query * 7, vectors, 3)),
        ("only one", (torch.tensor([0.1, 5.0]), vectors, 1)),
        ("nine texts, five numbers each", (torch.tensor([0.5, -1.0, 2.0, 0.3, 1.0]), drawn, 4)),
        ("all of them", (torch.tensor([-2.0, 0.5]), vectors, 5)),
    ]
    compare(top_k, top_k_of_reference, cases, NEAREST_SLIPS)


top_k_of_reference = top_k


# ------------------------------------------------------------ what.5 read a tool call


def parse_call(text):
    start = text.find("CALC(")
    depth = 0
    for position in range(start + 4, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if start >= 0 and depth == 0:
            return text[start + 5 : position].strip()
    return None


def _matched(pattern):
    return lambda text: found[1] if (found := re.search(pattern, text, re.S)) else None


def _from_first_bracket(text):
    if "CALC(" not in text:
        return None
    depth, start = 0, text.index("(")
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return text[start + 1 : i]
    return None


def _last_call(text):
    return parse_call(text[text.rfind("CALC(") :]) if "CALC(" in text else None


def _unclosed(text):
    found = parse_call(text)
    return text.split("CALC(", 1)[1] if found is None and "CALC(" in text else found


CALL_SLIPS = [
    ("You stopped at the first ')'. Expressions have parentheses of their own: count them.", _matched(r"CALC\((.*?)\)")),
    ("You ran on to the last ')': the call ends where its own parentheses are closed.", _matched(r"CALC\((.*)\)")),
    ("You ran on to a later ')': the call ends where its own parentheses are closed.", _matched(r"CALC\((.*?)\)(?=[^)]*(?:CALC|$))")),
    ("Parentheses can stand in parentheses in parentheses: count them, do not list the cases.", _matched(r"CALC\(((?:[^()]|\([^()]*\))*)\)")),
    ("You started at the text's first '(', which need not be the call's.", _from_first_bracket),
    ("There are two calls, and you took the last; the first is asked.", _last_call),
    ("A call that is never closed was cut off: return None rather than half an expression.", _unclosed),
    ("The expression alone is asked, without CALC and its parentheses.", lambda text: f"CALC({found})" if (found := parse_call(text)) is not None else None),
    ("The expression alone is asked, without the call's parentheses.", lambda text: f"({found})" if (found := parse_call(text)) is not None else None),
    ("A text without a call gives None, not an empty text.", lambda text: parse_call(text) or ""),
    ("Blanks inside the expression stay as they are.", lambda text: found.replace(" ", "") if (found := parse_call(text)) else found),
]  # fmt: skip


def _test_parse_call(parse_call):
    texts = [
        ("", "That is CALC(12 * 7) cups."),
        ("no call", "There is nothing to work out."),
        ("no call, but parentheses", "Nothing (really nothing) to work out."),
        ("parentheses inside", "CALC((2 + 3) * 4)"),
        ("two calls", "CALC(1 + 2), then CALC(3 + 4)"),
        ("a remark behind the call", "CALC(2 + 3) cups (about 5)"),
        ("a remark before the call", "(see) it is CALC(1 + 2)"),
        ("parentheses in parentheses", "so: CALC(((1 + 2) * 3) + (4 - (5)))"),
        ("never closed", "CALC(12 * 7"),
        ("never closed, with parentheses inside", "CALC((1 + 2) * (3"),
        ("nothing at all", ""),
        ("a smile behind the call", "It is CALC(2 + 2) :)"),
        ("letters", "CALC(Price * (1 + vat))"),
    ]

    def same(a, b):  # outer blanks may stay
        return a == b if a is None or b is None else a.strip() == b.strip()

    cases = [(remark, (text,)) for remark, text in texts]
    compare(parse_call, parse_call_of_reference, cases, CALL_SLIPS, same)


parse_call_of_reference = parse_call


# ------------------------------------------------------------ what.6 the cheapest next step


def next_step(case):
    if case["test_items"] == 0:
        return "scope"
    if not case["usable_model"]:
        return "pre-train"
    if case["score"] >= case["needed"]:
        return "align" if case["harmful"] else "integrate"
    if "prompt" not in case["tried"]:
        return "prompt"
    if case["outside_facts"] and "retrieve" not in case["tried"]:
        return "retrieve"
    if case["examples"] >= 200 and "fine-tune" not in case["tried"]:
        return "fine-tune"
    return "larger model"


CASE = {
    "test_items": 200, "usable_model": True, "score": 0.5, "needed": 0.8, "harmful": False,
    "tried": set(), "outside_facts": False, "examples": 5000,
}  # fmt: skip

# What is special about the case, the case, and sentences for single wrong answers.
STEPS = [
    ("a good score, but no test items", dict(test_items=0, score=0.9),
     dict.fromkeys(("integrate", "align"), "You trusted a score without a single test item: 90 % of what?")),
    ("no test items, and no usable model", dict(test_items=0, usable_model=False), {}),
    ("nothing tried yet, 5,000 examples", {},
     {"pre-train": "Training from scratch is the dearest step there is; an existing model has not even been prompted yet.",
      "fine-tune": "5,000 examples are tempting, but a better prompt costs minutes."}),
    ("one test item, nothing tried yet", dict(test_items=1), {}),
    ("retrieval tried, prompts not", dict(tried={"retrieve"}, outside_facts=True), {}),
    ("prompts tried, facts from outside missing", dict(tried={"prompt"}, outside_facts=True),
     {"fine-tune": "Facts outside the model change tomorrow; fine-tuning would teach today's."}),
    ("prompts and fine-tuning tried, facts from outside missing", dict(tried={"prompt", "fine-tune"}, outside_facts=True), {}),
    ("prompts and retrieval tried, 5,000 examples", dict(tried={"prompt", "retrieve"}, outside_facts=True), {}),
    ("prompts tried, 12 examples", dict(tried={"prompt"}, examples=12), {"fine-tune": "Twelve examples are too few to fine-tune by the table."}),
    ("prompts tried, 199 examples", dict(tried={"prompt"}, examples=199), {"fine-tune": "The table says *at least* 200."}),
    ("prompts tried, exactly 200 examples", dict(tried={"prompt"}, examples=200), {"larger model": "The table says *at least* 200."}),
    ("prompts tried, 5,000 examples", dict(tried={"prompt"}), {}),
    ("everything cheaper was tried", dict(tried={"prompt", "fine-tune"}), {"fine-tune": "Do not propose what was tried."}),
    ("everything was tried, and facts are missing", dict(tried={"prompt", "retrieve", "fine-tune"}, outside_facts=True), {}),
    ("above the target, and harmful", dict(score=0.85, harmful=True), {"integrate": "It reaches the target and still does harm: not ready."}),
    ("below the target, and harmful", dict(score=0.6, harmful=True, tried={"prompt"}),
     {"align": "Aligning a model that cannot do the task yet is too early: the target first."}),
    ("exactly at the target", dict(score=0.8), {}),
    ("just below another target", dict(score=0.89, needed=0.9), {"integrate": "The target is in `needed`; it is not always the same."}),
    ("above the target, nothing tried", dict(score=0.95), {"prompt": "What reaches its target needs no better prompt."}),
    ("no model may be used", dict(usable_model=False), {}),
    ("no model may be used, though one scores above the target", dict(usable_model=False, score=0.9), {}),
]  # fmt: skip


def _test_next_step(next_step):
    for situation, facts, sentences in STEPS:
        case = {**CASE, "tried": set(), **facts}
        got, want = next_step(case), next_step_of_reference(case)
        if got != want:
            why = sentences.get(got, "Go through the table from the top: the first row that fits decides.")
            raise Wrong(f"{situation[0].upper()}{situation[1:]}: {want!r}, not {got!r}. {why}")


next_step_of_reference = next_step


# ------------------------------------------------------------ what.7 read a model card


def card_fields(card):
    header, body = {}, card
    if card.startswith("---\n"):
        _, header, body = card.split("---\n", 2)
        header = yaml.safe_load(header) or {}
    sections, in_code = [], False
    for line in body.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif line.startswith("#") and not in_code:
            sections.append(line.lstrip("#").strip())
    return {
        "license": header.get("license"),
        "datasets": header.get("datasets") or [],
        "sections": sections,
    }


CARD = """---
# what a program reads
license: mit
datasets:
- ours
- theirs
---
# Parrot
Our license: see above.
## Use in C#
```python
# load it
```
---
### Limits, # 1
Do not `# shout`.
"""


def _headings(card, skip_code=False):
    lines, inside = [], False
    for line in card.splitlines():
        inside ^= skip_code and line.startswith("```")
        if line.startswith("#") and not inside:
            lines.append(line.lstrip("#").strip())
    return lines


def _of_level(signs):
    """Only the titles of one level."""
    return lambda card: [title for title in card_fields(card)["sections"] if f"\n{signs} {title}" in f"\n{card}"]


def _with_signs(card):
    titles = card_fields(card)["sections"]
    return [next(line for line in card.splitlines() if line.startswith("#") and line.endswith(title)) for title in titles]


def _in_its_line(key):
    return lambda card: found[1] if (found := re.search(rf"^{key}: *(.*)", card, re.M)) else []


NO_LIST = "The data sets stand below their key, one on a line with a dash: let a YAML reader read the header."
CARD_SLIPS = {
    "license": [("A card without a licence has the licence None.", lambda card: card_fields(card)["license"] or "")],
    "datasets": [
        (NO_LIST, _in_its_line("datasets")),
        (NO_LIST, lambda card: []),
        ("Missing data sets are an empty list, [].", lambda card: card_fields(card)["datasets"] if card.startswith("---\n") else None),
        ("Missing data sets are an empty list, [].", lambda card: card_fields(card)["datasets"] or None),
    ],
    "sections": [
        ("'# load it' is a comment in an example, not a section: skip what stands between two ``` lines.",
         lambda card: _headings(card.split("---\n", 2)[-1] if card.startswith("---\n") else card)),
        ("A comment in the header, and one in an example, are no sections: look behind the header, and skip what stands between two ``` lines.", _headings),
        ("A comment in the header is no section: look for sections behind it.", lambda card: _headings(card, skip_code=True)),
        ("Give the titles without the # signs in front.", _with_signs),
        ("A # at the end of a title belongs to it, as in C#.", lambda card: [title.strip("# ") for title in card_fields(card)["sections"]]),
        *(("Headings have several levels: # and ## and ###, up to six.", _of_level(signs)) for signs in ("#", "##")),
    ],
}  # fmt: skip


def _test_card_fields(card_fields):
    if set(first := card_fields(CARD)) != {"license", "datasets", "sections"}:
        raise Wrong(f"The keys are license, datasets and sections; yours: {', '.join(map(str, first))}.")
    cases = [
        ("", (CARD,)),
        ("a card without a header (many have none)", ("# A model\nNo header here.\n## Data\n---\n## Use\n",)),
        ("a header without data sets", ("---\nlicense: apache-2.0\n---\n\nNothing yet.\n",)),
        ("a header without a licence", ("---\ndatasets:\n- one\ntags:\n- text\n---\n# X\n~\n",)),
    ]
    for key, slips in CARD_SLIPS.items():

        def field_of(fields, key=key):
            def field(card):
                return fields(card)[key]

            field.__name__ = f"{key} of card_fields"
            return field

        compare(field_of(card_fields), field_of(card_fields_of_reference), cases, slips)


card_fields_of_reference = card_fields


# ------------------------------------------------------------ building.1 two cards, four wishes

CHOICE = {"minutes": "A", "letters": "B", "titles": "both", "doses": "neither"}

# The wish, a wrong choice, and what it overlooks.
OVERLOOKED = {
    ("minutes", "B"): "3,000 words are about 4,000 tokens. How long may B's input be?",
    ("minutes", "both"): "3,000 words are about 4,000 tokens. How long may B's input be?",
    ("minutes", "neither"): "3,000 English words are about 4,000 tokens, and one of the two reads that many.",
    ("letters", "A"): "The letters are French. Which languages does A's card name?",
    ("letters", "both"): "The letters are French. Which languages does A's card name?",
    ("letters", "neither"): "200 words are about 300 tokens, and one of the two knows French.",
    ("titles", "A"): "The notes are short and English, and you read each title yourself: what does B lack?",
    ("titles", "B"): "The notes are short and English, and you read each title yourself: what does A lack?",
    ("titles", "neither"): "The notes are short and English, and you check each title yourself: both cards allow that.",
    ("doses", "A"): "Read what A's card warns of: nobody checks the answer here.",
    ("doses", "B"): "Read what B's card warns of: nobody checks the answer here.",
    ("doses", "both"): "Read what both cards warn of: nobody checks the answer here.",
}  # fmt: skip


def _test_choice(choice):
    if set(choice) != set(CHOICE):
        raise Wrong(f"The four wishes are {', '.join(CHOICE)}; yours: {', '.join(map(str, choice))}.")
    for wish, right in CHOICE.items():
        said = choice[wish].strip()
        said = said.upper() if len(said) == 1 else said.lower()
        if said not in ("A", "B", "both", "neither"):
            raise Wrong(f'{wish}: choose "A", "B", "both" or "neither", not {choice[wish]!r}.')
        if said != right:
            raise Wrong(f"{wish}: {OVERLOOKED[wish, said]}")


# ------------------------------------------------------------ building.2 four programs before a judge


def passed(run):
    return run.returncode == 0 and run.stdout.splitlines()[-1:] == ["all true"]


ONLY_THE_END = "You look at the last line alone. Which number does a program end with whose check failed?"
PASSED_SLIPS = [
    (ONLY_THE_END, lambda run: run.stdout.splitlines()[-1:] == ["all true"]),
    (ONLY_THE_END, lambda run: run.stdout.endswith("all true\n")),
    ("You look at the number alone: a program that leaves early ends with 0, too, and has reached no check.",
     lambda run: run.returncode == 0),
    ("'not yet all true' is not the line 'all true': compare the whole last line.",
     lambda run: run.returncode == 0 and run.stdout.endswith("all true\n")),
    ("The words may stand anywhere in what a program prints; only the last line comes after the checks.",
     lambda run: run.returncode == 0 and "all true" in run.stdout),
    ("The words may stand anywhere in what a program prints; only the last line comes after the checks.",
     lambda run: run.returncode == 0 and "all true" in run.stdout.splitlines()),
    ("A right program may print other lines before its last.", lambda run: run.returncode == 0 and run.stdout == "all true\n"),
    ("One of the two is not enough: the number and the last line must both be right.",
     lambda run: run.returncode == 0 or run.stdout.splitlines()[-1:] == ["all true"]),
    ("0 is the number of a program that ended well; a program that was stopped has a negative one.",
     lambda run: run.returncode < 1 and run.stdout.splitlines()[-1:] == ["all true"]),
    ("0 is the number of a program that ended well; every other number is an error.",
     lambda run: run.returncode != 1 and run.stdout.splitlines()[-1:] == ["all true"]),
    ("It is the other way round: True is for a run that passed.", lambda run: not passed(run)),
]  # fmt: skip


def _test_passed(passed):
    cases = [
        (remark, (CompletedProcess([], number, printed),))
        for remark, number, printed in [
            ("", 0, "all true\n"),
            ("a failed check, and the words before it", 1, "all true\n"),
            ("an early exit", 0, ""),
            ("a right program that talks", 0, "adding 2 and 3\nall true\n"),
            ("a failed check", 1, "adding 2 and 3\n"),
            ("an early exit with other words", 0, "not yet all true\n"),
            ("an early exit after some lines", 0, "all true\nbye\n"),
            ("stopped from outside", -9, "all true\n"),
            ("another error", 3, "all true\n"),
        ]
    ]
    compare(passed, passed_of_reference, cases, PASSED_SLIPS)


passed_of_reference = passed


# ------------------------------------------------------------ building.3 when a smaller model pays


def pays_after(small, large, tuning_tokens, request_tokens):
    return 6 * small * tuning_tokens / (2 * (large - small) * request_tokens)


PAYS_SLIPS = [
    ("Learning costs 6 operations per parameter and token, reading and writing 2; yours counts both alike.",
     lambda s, g, t, r: s * t / ((g - s) * r)),
    ("The small model's requests cost something, too: per request you save the *difference* of the two.",
     lambda s, g, t, r: 6 * s * t / (2 * g * r)),
    ("It is the small model that is tuned, not the large one.", lambda s, g, t, r: 6 * g * t / (2 * (g - s) * r)),
    ("In yours the sizes cancel out. Tuning costs what the *small* model needs; a request *saves* the difference of both.",
     lambda s, g, t, r: 6 * s * t / (2 * s * r)),
    ("Upside down: divide the cost of tuning by what one request saves.", lambda s, g, t, r: 2 * (g - s) * r / (6 * s * t)),
    ("You have the tokens of a request in neither saving; each request reads and writes all of them.", lambda s, g, t, r: 6 * s * t / (2 * (g - s))),
    ("That is what tuning costs; divide it by what one request saves.", lambda s, g, t, r: 6 * s * t),
    ("The two factors are the wrong way round: 6 is for learning, 2 for a request.", lambda s, g, t, r: 2 * s * t / (6 * (g - s) * r)),
    ("The saving is negative: take the small model's cost from the large one's.", lambda s, g, t, r: 6 * s * t / (2 * (s - g) * r)),
]  # fmt: skip


def _test_pays_after(pays_after):
    cases = [
        ("", (2e9, 5e9, 3_000_000, 500)),
        ("nearly the same size", (6.5e9, 7e9, 1_800_000, 350)),
        ("ten times the size", (7e9, 70e9, 3_600_000, 600)),
        ("little to learn, long requests", (1.35e8, 1.7e9, 40_000, 2_900)),
    ]
    compare(pays_after, pays_after_of_reference, cases, PAYS_SLIPS)


pays_after_of_reference = pays_after


EXPRESSION = answers.Kind("the expression as a text (working it out is another step)", answers.text.convert)

EXERCISES = [
    Exercise("what.6", "the cheapest next step", next_step, _test_next_step, (
        "Go through the table from the top; the first row that fits decides.",
        "A step that stands in case['tried'] is not proposed again.",
    ), returns=answers.text, minutes=8),  # long, but each line stands in the table
    Exercise("building.1", "two cards, four wishes", CHOICE, _test_choice, (
        "A token is about three quarters of a word: how long is each wish's text in tokens?",
        "Cross out, for each wish, the cards whose language, length or warning forbids it.",
    ), returns=answers.dict_of(answers.text)),
    Exercise("what.7", "read a model card", card_fields, _test_card_fields, (
        "The header lies between the first two lines '---'; yaml.safe_load turns it into a dictionary.",
        "Keep a switch that flips at each line beginning with ```, and count titles only while it is off.",
    ), returns=answers.dict_of(answers.Kind("anything", lambda value: list(value) if isinstance(value, tuple) else value),
                               "a dictionary with the keys license, datasets and sections")),
    Exercise("what.4", "the k nearest texts", top_k, _test_top_k, (
        "cosine = dot product / (length of one · length of the other).",
        "vectors @ query gives all dot products at once; vectors.norm(dim=1) all lengths.",
    ), returns=answers.list_of(answers.whole, "a list of positions (whole numbers), not of scores")),
    Exercise("what.5", "read a tool call", parse_call, _test_parse_call, (
        "Find where 'CALC(' begins; then go on letter by letter.",
        "Add one for '(' and take one off for ')'; where the count is back at zero, the call ends.",
    ), returns=answers.maybe(EXPRESSION)),
    Exercise("building.2", "spot the bug: four programs before a judge", passed, _test_passed, (
        "Look at both columns of each run: the number it ended with, and what it printed.",
        "run.stdout.splitlines() is the list of printed lines; it may be empty.",
    ), returns=answers.truth),
    Exercise("building.3", "when a smaller model pays", pays_after, _test_pays_after, (
        "Tuning costs 6 · small · tuning_tokens operations, once.",
        "A request costs 2 · parameters · request_tokens operations, with each of the two models.",
    ), returns=answers.number),
]  # fmt: skip
