"""LLM applications: wrong and right answers."""

import functools
import itertools
import re

from course_utils.exercises import applications

# ---------------------------------------------------------------- wrong


def last_action(text):
    found = re.findall(r"Action:\s*(\w+)\[(.*?)\]", text)
    return (found[-1][0], found[-1][1].strip()) if found else None


def first_action(text):
    found = re.search(r"Action:\s*(\w+)\[(.*?)\]", text)
    return (found[1], found[2].strip()) if found else None


def greedy_action(text):
    found = re.search(r"Action:\s*(\w+)\[(.*)\]", text, re.S)
    return (found[1], found[2].strip()) if found else None


def own_part(text):
    return re.split(r"(?m)^Observation:", text)[0]


def matched(pattern, flags=0, pick=0):
    def read(text):
        found = re.findall(pattern, own_part(text), flags)
        return found[pick] if found else None

    return read


def without_the_colon(text):
    return first_action(re.split(r"(?m)^Observation", text)[0])


def text_methods(text):
    head = ("\n" + text).split("\nObservation:")[0]
    if "Action:" not in head:
        return None
    rest = head.split("Action:", 1)[1]
    if "[" not in rest or "]" not in rest:
        return None
    name, rest = rest.split("[", 1)
    return (name.strip(), rest.split("]", 1)[0]) if name.strip().isidentifier() else None


def same_draw(draw, is_bad, tries):
    for _ in range(tries):
        text = draw(0)
        if not is_bad(text):
            return text
    return draw(1)


def first_draw_only(draw, is_bad, tries):
    return None if is_bad(draw(0)) else draw(0)


def one_try(draw, is_bad, tries):
    text = draw(0)
    return None if is_bad(text) else text


def returns_the_last(draw, is_bad, tries):
    for attempt in range(tries):
        text = draw(attempt)
        if not is_bad(text):
            break
    return text


def judges_the_last_again(draw, is_bad, tries):
    text, drawn = draw(0), 1
    while is_bad(text) and drawn < tries:
        text, drawn = draw(drawn), drawn + 1
    return None if is_bad(text) else text


def never_ends(draw, is_bad, tries):
    attempt = 0
    while is_bad(draw(attempt)):
        attempt = (attempt + 1) % tries
    return draw(attempt)


def counts_from_1(draw, is_bad, tries):
    for attempt in range(1, tries + 1):
        text = draw(attempt)
        if not is_bad(text):
            return text
    return None


def draws_all_first(draw, is_bad, tries):
    return next((text for text in [draw(n) for n in range(tries)] if not is_bad(text)), None)


def after_a_newline_only(text):
    return applications.read_action(re.split(r"\nObservation:", text)[0].replace("Observation:", "seen:"))


PLANTED = {
    "shipping.5": [
        (last_action, "last action"),
        (greedy_action, "*last* ]"),
        (first_action, "*invented*"),
        (lambda text: None, "returned None"),
        (matched(r"Action:\s*(\w+)\[(.*)\]"), "*last* ] of its line"),
        (matched(r"Action:\s*(.*?)\[(.*?)\]"), "letters, digits and _ alone"),
        (after_a_newline_only, "very first line"),
        (matched(r"Action:\s*(\w+)\[(.*?)\]", pick=-1), "the first one counts"),
        (matched(r"Action:\s*(\w+)\[(.*)\]", re.S), "*last* ]"),
        (matched(r"(\w+)\[(.*?)\]"), "must follow `Action:`"),
        (matched(r"Action:\s*(Calculate|Finish)\[(.*?)\]"), "any name"),
        (matched(r"Action:\s*([A-Za-z]+)\[(.*?)\]"), "more than letters"),
        (lambda text: applications.read_action(text.split("Observation:")[0]), "*begins* with"),
        (lambda text: (applications.read_action(text) or (None, None))[::-1] if applications.read_action(text) else None, "exchanged"),
        (lambda text: applications.read_action(text) or ("", ""), "is None"),
        (matched(r"Action: ([A-Za-z_]+)\[(.*?)\]"), "digits, too"),
        (matched(r"Action: (\w+)\[(.+?)\]"), "may be empty"),
        (matched(r"Action: (\w+)\[([^\[\]]*)\]"), "Only a ] ends"),
        (without_the_colon, "with its colon"),
        (text_methods, "first `Action:` alone"),
        (lambda text: re.search(r"Action: (\w+)\[(.*?)\]", own_part(text)).groups(), "AttributeError"),
        (lambda text: "{}[{}]".format(*applications.read_action(text) or ("", "")), "a name and its argument"),
    ],
    "shipping.6": [
        (same_draw, "same draw twice"),
        (first_draw_only, "try again"),
        (one_try, "try again"),
        (judges_the_last_again, "nothing may be drawn"),
        (returns_the_last, "tries are used up"),
        (lambda draw, is_bad, tries: draw(0), "let through"),
        (never_ends, "same draw twice"),
        (lambda draw, is_bad, tries: next((draw(n) for n in itertools.count() if not is_bad(draw(n))), None), "same draw twice"),
        (lambda draw, is_bad, tries: next(t for t in map(draw, itertools.count()) if not is_bad(t)), "numbered 0 to 2"),
        (counts_from_1, "draw(0)"),
        (draws_all_first, "went on drawing"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(tries)) if t and not is_bad(t)), None), "empty text"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(3)) if not is_bad(t)), None), "tries = 1"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(tries)) if not is_bad(t)), False), "a text, or None"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(tries - 1)) if not is_bad(t)), None), "wanted: 3 times"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(tries + 1)) if not is_bad(t)), None), "numbered 0 to 2"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(tries)) if is_bad(t)), None), "let through"),
        (lambda draw, is_bad, tries: next((draw(n) for n in range(tries) if not is_bad(draw(n))), None), "same draw twice"),
    ],
    "applications.1": [
        (lambda w, t, c: [any(x.startswith(token) for x in c) for token in t], "token alone"),
        (lambda w, t, c: [w + token in c for token in t], "completes a choice"),
        (lambda w, t, c: [any((w + token).startswith(x) or x.startswith(w + token) for x in c) for token in t], "after the end"),
        (lambda w, t, c: [any((w + token).startswith(x) for x in c) for token in t], "turned it round"),
        (lambda w, t, c: [any(token in x for x in c) for token in t], "in the middle"),
        (lambda w, t, c: [any(w + token in x for x in c) for token in t], "must be its beginning"),
        (lambda w, t, c: [any(x[len(w):].startswith(token) for x in c) for token in t], "that choice's own"),
        (lambda w, t, c: [bool(c) and c[0].startswith(w + token) for token in t], "first choice alone"),
        (lambda w, t, c: [all(x.startswith(w + token) for x in c) for token in t], "one is enough"),
        (lambda w, t, c: [any(x.lower().startswith((w + token).lower()) for x in c) for token in t], "Capital letters"),
        (lambda w, t, c: [any(x.startswith(w + token.strip()) for x in c) for token in t], "blank in front"),
        (lambda w, t, c: [token for token in t if any(x.startswith(w + token) for x in c)], "True or False for each"),
        (lambda w, t, c: [not any(x.startswith(w + token) for x in c) for token in t], "Turned round"),
        (lambda w, t, c: [w + token in {x[:n] for x in c for n in range(len(x))} for token in t], "completes a choice is allowed"),
        (lambda w, t, c: [x.startswith(w + token) for token in t for x in c], "one value"),
        (lambda w, t, c: [True for token in t if any(x.startswith(w + token) for x in c)], "nothing for the others"),
        (lambda w, t, c: [bool(c) and c[-1].startswith(w + token) for token in t], "last choice decides"),
        (lambda w, t, c: [any(x.startswith((w + token).rstrip()) for x in c) for token in t], "behind the token"),
        (lambda w, t, c: [any(re.match(w + token, x) for x in c) for token in t], ""),
    ],
}  # fmt: skip

EQUIVALENT = {
    "shipping.5": {"found[2].strip() → found[2]": "blanks around the argument may stay"},
}

# ---------------------------------------------------------------- right


def splits_lines(text):
    for line in text.splitlines():
        if line.startswith("Observation:"):
            return None
        if m := re.search(r"Action: (\w+)\[([^\]]*)\]", line):
            return m[1], m[2]


def cuts_then_searches(text):
    found = re.search(r"Action:\s*(\w+)\[(.*?)\]", re.split(r"(?m)^Observation:", text)[0])
    return found.groups() if found else None


def text_methods_at_each(text):
    head = ("\n" + text).split("\nObservation:")[0]
    for rest in head.split("Action:")[1:]:
        name, bracket, rest = rest.partition("[")
        if bracket and "]" in rest and name.strip().isidentifier():
            return name.strip(), rest.split("]", 1)[0]


def while_loop(draw, is_bad, tries):
    attempt = 0
    while attempt < tries:
        text = draw(attempt)
        if not is_bad(text):
            return text
        attempt += 1


def loops_over_choices(written, tokens, choices):
    result = []
    for token in tokens:
        fits = False
        for choice in choices:
            if choice.startswith(written) and choice[len(written) :].startswith(token):
                fits = True
        result.append(fits)
    return result


def again_and_again(draw, is_bad, tries, attempt=0):
    if attempt >= tries:
        return None
    text = draw(attempt)
    return again_and_again(draw, is_bad, tries, attempt + 1) if is_bad(text) else text


RIGHT = {
    "shipping.5": [
        splits_lines,
        cuts_then_searches,
        text_methods_at_each,
        lambda text: next(iter(re.findall(r"Action: (\w+)\[(.*?)\]", own_part(text))), None),
        lambda text: list(applications.read_action(text) or []) or None,
    ],
    "shipping.6": [
        while_loop,
        again_and_again,
        lambda draw, is_bad, tries: next((t for t in map(draw, range(tries)) if not is_bad(t)), None),
        lambda draw, is_bad, tries: functools.reduce(lambda found, n: found if found is not None else (None if is_bad(t := draw(n)) else t), range(tries), None),
    ],
    "applications.1": [
        loops_over_choices,
        lambda w, t, c: [w + token in {x[:n] for x in c for n in range(len(x) + 1)} for token in t],
        lambda w, t, c: (any(x.find(w + token) == 0 for x in c) for token in t),
        lambda w, t, c: [sum(x[: len(w + token)] == w + token for x in c) > 0 for token in t],
        lambda w, t, c: [any(re.match(re.escape(w + token), x) for x in c) for token in t],
    ],
}  # fmt: skip
