"""What language models do: reference answers and their tests."""

from __future__ import annotations

import torch
import yaml

from . import answers
from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ what.1 keep what fits the window


def trim(turns, count, window, max_new_tokens):
    room = window - max_new_tokens
    kept = []
    for turn in reversed(turns):
        room -= count(turn)
        if room < 0:
            break
        kept.insert(0, turn)
    return kept


def _words(text):
    return len(text.split())


def _test_trim(trim):
    turns = ["a b c", "d e", "f", "g h"]
    got = trim(list(turns), _words, 8, 3)
    if not isinstance(got, (list, tuple)):
        raise Wrong("Return a list of turns.")
    got = list(got)
    if got == ["a b c", "d e", "f", "g h"] or got == trim(list(turns), _words, 8, 0):
        raise Wrong("You filled the whole window: the answer needs its max_new_tokens in there too.")
    if got == ["a b c", "d e"]:
        raise Wrong("You kept the oldest turns. The newest hold what is being talked about: start from the end.")
    if got == ["g h", "f", "d e"]:
        raise Wrong("The right turns, in the wrong order: the model reads them from old to new.")
    if got != ["d e", "f", "g h"]:
        raise Wrong(f"A window of 8 with 3 for the answer leaves 5 words: 'd e', 'f', 'g h'; you kept {got}.")
    long = ["a", "b c d e f g", "h"]
    if list(trim(list(long), _words, 8, 3)) == ["a", "h"]:
        raise Wrong("You left out a long turn and kept an older one: a hole in the conversation. Stop at the first that does not fit.")
    if list(trim(list(long), _words, 8, 3)) != ["h"]:
        raise Wrong("The long turn does not fit, so only the newest one stays.")
    if list(trim(["a b c", "d e f"], lambda text: 1, 8, 3)) != ["a b c", "d e f"]:
        raise Wrong("Use the given count(turn): a model counts tokens, not words or letters.")


# ------------------------------------------------------------ what.2 spot the bug: names by substring


def name_f1(found, names):
    found, names = {name.lower() for name in found}, {name.lower() for name in names}
    shared = len(found & names)
    return 2 * shared / (len(found) + len(names)) if shared else 0.0


def _test_name_f1(name_f1):
    names = ["Ann", "Oslo"]
    if not close(name_f1([], names), 0):
        raise Wrong("Nothing found is 0, not an error and not a full mark.")
    got = name_f1(["Joanna", "Oslo"], names)
    if close(got, 1) or close(name_f1(["Joanna"], ["Ann"]), 1):
        raise Wrong("'Joanna' counted as 'Ann': letters inside another name. Compare whole names.")
    if close(got, 0):
        raise Wrong("One of two right is not 0: give part marks.")
    listed = ["Ann", "Oslo", "the", "train", "to", "was"]
    got = name_f1(listed, names)
    if close(got, 1):
        raise Wrong("A list that holds everything got full marks: that is recall alone. Wrong items must cost something.")
    if close(got, 2 / 6):
        raise Wrong("That is the precision, 2 of 6. F1 also asks how many of the names were found.")
    if close(got, (1 + 2 / 6) / 2):
        raise Wrong("You took the ordinary mean of precision and recall; F1 is the harmonic mean.")
    if not close(got, 0.5):
        raise Wrong(f"Precision 2/6, recall 2/2: the harmonic mean is 0.5, not {float(got):.3f}.")
    if not close(name_f1(["ann", "OSLO"], names), 1):
        raise Wrong("'OSLO' and 'Oslo' are the same place: compare without capitals.")
    if not close(name_f1(["Ann", "Ann", "Ann", "Oslo"], names), 1):
        raise Wrong("A name said three times is one name: use sets.")


# ------------------------------------------------------------ what.3 per token, from exact match


def per_token(target, length):
    return target ** (1 / length)


def _test_per_token(per_token):
    got = per_token(0.5, 10)
    if close(got, 0.5**10):
        raise Wrong("You went the other way: that is the exact match when each *token* is right half the time.")
    if close(got, 0.5):
        raise Wrong("With p = .5 a token, ten in a row are right once in a thousand answers.")
    if close(got, 1 - 0.5 / 10):
        raise Wrong("Close: you shared the errors out by adding. Probabilities of 'all right' multiply: p¹⁰ = ½.")
    if close(got, 0.5 / 10) or close(got, 5):
        raise Wrong("Chances that must all come true multiply; undo a power with a root.")
    if not close(got, 0.5 ** (1 / 10)):
        raise Wrong(f"p ** 10 must be 0.5; yours gives {float(got) ** 10:.3f}.")
    if not close(per_token(0.9, 1), 0.9):
        raise Wrong("For an answer of one token, the token and the answer are the same thing.")


# ------------------------------------------------------------ what.4 the k nearest texts


def top_k(query, vectors, k):
    cosines = vectors @ query / (vectors.norm(dim=1) * query.norm())
    return cosines.argsort(descending=True)[:k].tolist()


def _test_top_k(top_k):
    vectors = torch.tensor([[0.0, 1.0], [0.6, 0.8], [2.0, 2.2], [0.9, 0.1], [-1.0, 0.0]])
    query = torch.tensor([1.0, 0.0])
    got = top_k(query.clone(), vectors.clone(), 2)
    if isinstance(got, (torch.Tensor, tuple)):
        raise Wrong("Return a list: .tolist() makes one of a tensor.")
    if not isinstance(got, list) or len(got) != 2:
        raise Wrong("Return k places in the list, the best first.")
    if any(not float(i).is_integer() for i in got):
        raise Wrong("Return *which* texts (their places), not their scores.")
    got = [int(i) for i in got]
    if got == [2, 3]:
        raise Wrong("The long vector won: a dot product rewards length. Divide by both lengths.")
    if got == [4, 0]:
        raise Wrong("Those are the least alike: sort from high to low.")
    if got != [3, 2]:
        raise Wrong(f"By cosine the two nearest to (1, 0) are 3 and 2, in that order; yours: {got}.")
    if list(top_k(query * 7, vectors.clone(), 3)) != [3, 2, 1]:
        raise Wrong("A query seven times as long asks the same: its length must not matter.")


# ------------------------------------------------------------ what.5 read a tool call


def parse_call(text):
    start = text.find("CALC(")
    depth = 0
    for position in range(start + 4, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if start >= 0 and depth == 0:
            return text[start + 5 : position].strip()
    return None


def _test_parse_call(parse_call):
    def read(text):
        try:
            return parse_call(text)
        except (AttributeError, TypeError, IndexError, ValueError) as error:
            raise Wrong(f"{text!r} broke it ({type(error).__name__}): models write anything. Return None if there is no call.") from error

    got = read("That is CALC(12 * 7) cups.")
    if isinstance(got, (int, float)):
        raise Wrong("Return the expression as text. Reading it and working it out are two steps, and the second can refuse.")
    if got != "12 * 7":
        raise Wrong(f"From 'CALC(12 * 7)' the expression is '12 * 7'; yours: {got!r}.")
    if read("There is nothing to work out.") is not None:
        raise Wrong("A text without CALC( holds no call: return None.")
    got = read("CALC((2 + 3) * 4)")
    if got == "(2 + 3":
        raise Wrong("You stopped at the first ')'. Expressions have parentheses of their own: count them.")
    if got != "(2 + 3) * 4":
        raise Wrong(f"From 'CALC((2 + 3) * 4)' the expression is '(2 + 3) * 4'; yours: {got!r}.")
    got = read("CALC(1 + 2), then CALC(3 + 4)")
    if got != "1 + 2":
        raise Wrong(f"The first of two calls is '1 + 2'; yours ran on or took the second: {got!r}.")
    if read("CALC(2 + 3) cups (about 5)") != "2 + 3":
        raise Wrong("You ran on to a later ')': the call ends where its own parentheses are closed.")
    if read("CALC(((1 + 2) * 3) + 4)") != "((1 + 2) * 3) + 4":
        raise Wrong("Parentheses can stand in parentheses: count them, do not list the cases.")
    if read("CALC(12 * 7") is not None:
        raise Wrong("A call that is never closed was cut off: return None rather than half an expression.")


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


def _test_next_step(next_step):
    def of(**facts):
        return next_step({**CASE, "tried": set(), **facts})

    if of(test_items=0, score=0.9) in ("integrate", "align"):
        raise Wrong("You trusted a score without a single test item: 90 % of what? Scope first.")
    if of(test_items=0) != "scope":
        raise Wrong("No test items: nothing can be compared yet. The first step is 'scope'.")
    if of() == "pre-train":
        raise Wrong("Training from scratch is the dearest step there is; an existing model has not even been prompted yet.")
    if of() == "fine-tune":
        raise Wrong("5,000 examples are tempting, but a better prompt costs minutes. Try 'prompt' first.")
    if of() != "prompt":
        raise Wrong(f"Below the target and no prompt tried: 'prompt'; yours: {of()!r}.")
    facts = of(tried={"prompt"}, outside_facts=True)
    if facts == "fine-tune":
        raise Wrong("Facts outside the model change tomorrow; fine-tuning would teach today's. Try 'retrieve'.")
    if facts != "retrieve":
        raise Wrong(f"The model lacks facts and prompts were tried: 'retrieve'; yours: {facts!r}.")
    few = of(tried={"prompt"}, examples=12)
    if few == "fine-tune":
        raise Wrong("Twelve examples are too few to fine-tune by the table: at least 200.")
    if of(tried={"prompt"}) != "fine-tune":
        raise Wrong("Prompts were tried, no facts are missing, 5,000 examples: 'fine-tune'.")
    if few != "larger model" or of(tried={"prompt", "fine-tune"}) != "larger model":
        raise Wrong("Nothing cheaper is left: 'larger model'. Do not propose what was tried.")
    if of(score=0.85, harmful=True) == "integrate":
        raise Wrong("It reaches the target and still does harm: not ready. 'align'.")
    if of(score=0.6, harmful=True, tried={"prompt"}) == "align":
        raise Wrong("Aligning a model that cannot do the task yet is too early: the target first.")
    if of(score=0.85, harmful=True) != "align" or of(score=0.8) != "integrate":
        raise Wrong("A score equal to or above the target: 'align' if it does harm, else 'integrate'.")
    if of(usable_model=False) != "pre-train":
        raise Wrong("If no existing model may be used at all, 'pre-train' is the one road left.")


# ------------------------------------------------------------ what.7 read a model card


def card_fields(card):
    header, body = {}, card
    if card.startswith("---\n"):
        _, header, body = card.split("---\n", 2)
        header = yaml.safe_load(header)
    sections, in_code = [], False
    for line in body.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif line.startswith("#") and not in_code:
            sections.append(line.strip("# "))
    return {
        "license": header.get("license"),
        "datasets": header.get("datasets", []),
        "sections": sections,
    }


CARD = """---
license: mit
datasets:
- ours
- theirs
---
# Parrot
Our license: see above.
## Use
```
# load it
```
## Limits
"""


def _test_card_fields(card_fields):
    got = card_fields(CARD)
    if not isinstance(got, dict) or set(got) != {"license", "datasets", "sections"}:
        raise Wrong("Return a dictionary with the keys license, datasets and sections.")
    if got["license"] != "mit":
        raise Wrong(f"The licence stands in the header, between the two lines ---: 'mit'; yours: {got['license']!r}.")
    if got["datasets"] in ([], None, ""):
        raise Wrong("The data sets stand below their key, one a line with a dash: let a YAML reader read the header.")
    if list(got["datasets"]) != ["ours", "theirs"]:
        raise Wrong(f"The data sets are 'ours' and 'theirs'; yours: {got['datasets']!r}.")
    if "load it" in got["sections"]:
        raise Wrong("'# load it' is a comment in an example, not a section: skip what stands between two ``` lines.")
    if any(title.startswith("#") for title in got["sections"]):
        raise Wrong("Give the titles without their # signs.")
    if list(got["sections"]) != ["Parrot", "Use", "Limits"]:
        raise Wrong(f"Sections: Parrot, Use, Limits; yours: {got['sections']!r}.")
    try:
        bare = card_fields("# A model\nNo header here.\n")
    except (IndexError, KeyError, AttributeError, ValueError, TypeError) as error:
        raise Wrong("A card without a header broke it: many have none. Missing is None, or [].") from error
    if bare["license"] is not None or list(bare["datasets"]) or list(bare["sections"]) != ["A model"]:
        raise Wrong("A card without a header has the licence None, no data sets, and its sections.")


EXERCISES = [
    Exercise("what.1", "keep what fits the window", trim, _test_trim, (
        "How many tokens are left for the conversation once the answer has its share?",
        "Walk from the newest turn to the oldest, and stop at the first that does not fit.",
    )),
    Exercise("what.2", "spot the bug: names found by substring", name_f1, _test_name_f1, (
        "Make both lists lower-case sets; what they share was found rightly.",
        "F1 = 2 · shared / (found + wanted), and 0 when nothing is shared.",
    )),
    Exercise("what.3", "how good must a token be?", per_token, _test_per_token, (
        "If every token is right with chance p, all of them are right with chance p · p · … · p.",
        "Solve p to the power of length = target for p.",
    )),
    Exercise("what.4", "the k nearest texts", top_k, _test_top_k, (
        "cosine = dot product / (length of one · length of the other).",
        "vectors @ query gives all dot products at once; vectors.norm(dim=1) all lengths.",
    )),
    Exercise("what.5", "read a tool call", parse_call, _test_parse_call, (
        "Find where 'CALC(' begins; then go on letter by letter.",
        "Add one for '(' and take one off for ')'; where the count is back at zero, the call ends.",
    ), returns=answers.maybe(answers.something)),
    Exercise("what.6", "the cheapest next step", next_step, _test_next_step, (
        "Go through the table from the top; the first row that fits decides.",
        "A step that stands in case['tried'] is not proposed again.",
    )),
    Exercise("what.7", "read a model card", card_fields, _test_card_fields, (
        "The header lies between the first two lines '---'; yaml.safe_load turns it into a dictionary.",
        "Keep a switch that flips at each line beginning with ```, and count titles only while it is off.",
    )),
]  # fmt: skip
