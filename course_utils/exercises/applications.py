"""LLM applications: reference answers and their tests."""

from __future__ import annotations

import re

from . import answers
from .cases import compare
from .engine import Exercise, Wrong

# ------------------------------------------------------------ shipping.5 read an action


def read_action(text):
    own = re.split(r"(?m)^Observation:", text)[0]
    found = re.search(r"Action:\s*(\w+)\[(.*?)\]", own)
    return (found[1], found[2].strip()) if found else None


def _reading(pattern=r"Action:\s*(\w+)\[(.*?)\]", flags=0, pick=0, cut=r"(?m)^Observation:"):
    def slip(text):
        own = re.split(cut, text)[0] if cut else text
        found = [(m[1], m[2]) for m in re.finditer(pattern, own, flags)]
        return found[pick] if found else None

    return slip


def _first_only(text):
    own = re.split(r"(?m)^Observation:", text)[0]
    found = re.match(r"\s*(\w+)\[(.*?)\]", own.partition("Action:")[2])
    return (found[1], found[2]) if found else None


def _test_read_action(theirs):
    texts = (
        ("", "I add the two.\nAction: Calculate[(2 + 3) * 4]\nObservation: 5\nThought: Done.\nAction: Finish[5]"),
        ("two actions at once: the first counts", "Action: Search[a red boat]\nAction: Finish[red]"),
        ("a name with brackets that is no action", "I once used Python[3] for it.\nAction: Look_up[notes 1 to 4]"),
        ("another tool", "Action: Translate[water]"),
        ("two pairs of brackets in one line", "Action: Search[red boat] or Search[blue boat]"),
        ("a name is one word", "Action: I shall use Search[a key]"),
        ("no action, though there are brackets", "The list is Note[1] and Note[2]."),
        ("no action", "I should look it up."),
        ("the only action comes after an invented observation", "I think.\nObservation: 3\nThought: so\nAction: Finish[3]"),
        ("the invented observation is the very first line", "Observation: 3\nAction: Finish[3]"),
        ("the word in the middle of a line", "My Observation: none yet.\nAction: Search[key]"),
        ("blanks around the argument", "Action: Search[ a lost key ]"),
        ("a name with a digit", "Action: Tool2[a lost key]"),
        ("an empty argument", "Action: Look_up[]\nThought: or Note[3]"),
        ("a bracket opens inside the argument", "Action: Look_up[note [3] of 4]"),
        ("the first Action: has no name right behind it", "Action: I must use a tool.\nAction: Search[a lost key]"),
        ("a line that begins with Observations", "Observations are missing.\nAction: Search[a lost key]"),
    )
    slips = [
        ("You believed an observation that the model *invented*: what comes after it rests on nothing.", _reading(cut=None)),
        ("You took the last action of the text; the first one counts, and the tool has not answered yet.", _reading(cut=None, pick=-1)),
        ("You took the last action; the first one counts.", _reading(pick=-1)),
        ("The argument goes on to the *last* ] of its line: it ends at the first.", _reading(r"Action:\s*(\w+)\[(.*)\]")),
        ("A name is letters, digits and _ alone, and it stands right after Action:.", _reading(r"Action:\s*(.*?)\[(.*?)\]")),
        ("A name is letters, digits and _ alone, and it stands right after Action:.", _reading(r"Action:.*?(\w+)\[(.*?)\]")),
        ("The argument goes on to the *last* ] of the text: a pattern with .* takes as much as it can.", _reading(r"Action:\s*(\w+)\[(.*)\]", re.S)),
        ("The argument goes on to the *last* ] of the text, and over the invented observation.", _reading(r"Action:\s*(\w+)\[(.*)\]", re.S, cut=None)),
        ("Any name with square brackets passes for an action: it must follow `Action:`.", _reading(r"(\w+)\[(.*?)\]")),
        ("An invented observation in the very first line was believed.", _reading(cut=r"\nObservation:")),
        ("Only a line that *begins* with Observation: is invented; elsewhere the word is the model's own.", _reading(cut="Observation:")),
        ("Only names that you know are read: a tool may have any name.", _reading(r"Action:\s*(Calculate|Finish)\[(.*?)\]")),
        ("Only names that you know are read: a tool may have any name.", _reading(r"Action:\s*(Calculate|Search|Finish)\[(.*?)\]")),
        ("The argument ended at a round bracket: it ends at ].", _reading(r"Action:\s*(\w+)\[(.*?)[\])]")),
        ("A name may hold more than letters: Look_up is one.", _reading(r"Action:\s*([A-Za-z]+)\[(.*?)\]")),
        ("A name may hold digits, too: Tool2 is one.", _reading(r"Action:\s*([A-Za-z_]+)\[(.*?)\]")),
        ("An argument may be empty, and ends at the first ] all the same.", _reading(r"Action:\s*(\w+)\[(.+?)\]")),
        ("Only a ] ends the argument: a [ inside it is part of the text.", _reading(r"Action:\s*(\w+)\[([^\[\]]*)\]")),
        ("Only `Observation:` with its colon begins what is invented.", _reading(cut=r"(?m)^Observation")),
        ("You looked behind the first `Action:` alone. Without a name and a bracket right behind it, it is no action; a later one may be.", _first_only),
        ("Name and argument are exchanged.", lambda t: read_action(t) and read_action(t)[::-1]),
        ("There is an action in the text, and you returned None.", lambda t: None),
        ("Where there is no action the answer is None, so that the loop can count the failure.", lambda t: read_action(t) or ("", "")),
    ]

    def same(a, b):  # blanks around the argument may stay or go
        return a == b if a is None or b is None else (a[0], a[1].strip()) == (b[0], b[1].strip())

    compare(theirs, read_action, [(remark, (text,)) for remark, text in texts], slips, same)


# ------------------------------------------------------------ shipping.6 a guard


def guarded(draw, is_bad, tries):
    for attempt in range(tries):
        text = draw(attempt)
        if not is_bad(text):
            return text
    return None


def _test_guarded(theirs):
    def run(texts, tries):
        asked = []

        def draw(attempt):
            asked.append(attempt)
            if len(asked) > tries + 3:
                raise Wrong(f"With tries = {tries} you drew {len(asked)} times and went on: stop after {tries}, with None.")
            if tries == 0:
                raise Wrong("With tries = 0 nothing may be drawn: the answer is None.")
            if attempt not in range(tries):
                raise Wrong(f"With tries = {tries} you called draw({attempt}): the draws are numbered 0 to {tries - 1}.")
            return texts[attempt]

        return theirs(draw, lambda text: "idiot" in text, tries), asked

    got, asked = run(["Bo is an idiot.", "Bo is late.", "never"], 3)
    if got == "Bo is an idiot.":
        raise Wrong("The bad text was let through.")
    if asked[:1] != [0]:
        raise Wrong(f"The first draw should be draw(0); you asked for {asked}.")
    if len(set(asked)) < len(asked):
        raise Wrong(f"You asked for the same draw twice, {asked}: draw once per number, and keep the text.")
    if got is None:
        raise Wrong("The second draw was good and was not used: try again before you give up.")
    if len(asked) > 2:
        raise Wrong("You went on drawing after a good text: each draw costs seconds.")
    if got != "Bo is late.":
        raise Wrong(f"Expected the first good text, 'Bo is late.'; got {got!r}.")
    for texts, tries, want, drawn in (
        (["Bo is late.", "idiot"], 2, "Bo is late.", 1), (["idiot 1", "idiot 2", "idiot 3", "fine"], 3, None, 3), (["an idiot", "fine"], 1, None, 1),
        (["idiot", "idiot", "idiot", "fine"], 4, "fine", 4), (["idiot", "", "fine"], 3, "", 2), (["fine"], 0, None, 0),
    ):  # fmt: skip
        got, asked = run(texts, tries)
        if want is None and got is not None and "idiot" in got:
            raise Wrong(f"All {tries} draws were bad and {got!r} was returned: when the tries are used up, return None.")
        if want == "" and got != "":
            raise Wrong("The second draw was an empty text. It is not bad, and you did not return it: ask is_bad alone.")
        if got != want or len(asked) != drawn:
            raise Wrong(f"With tries = {tries} and the draws {texts} you drew {len(asked)} times and returned {got!r}; wanted: {drawn} times, and {want!r}.")


# ------------------------------------------------------------ applications.1 which tokens may follow


def allowed(written, tokens, choices):
    return [any(choice.startswith(written + token) for choice in choices) for token in tokens]


def _test_allowed(theirs):
    tools = ["Calculate", "Search", "Finish"]
    cases = [
        ("", ("", ["Cal", "Sea", "I", "Search"], tools)),
        ("something is written already", ("Cal", ["culate", "Cal", "c", "ch", "Search"], tools)),
        ("a token that is longer than the rest of the choice", ("Sear", ["ch", "ch for", "c"], tools)),
        ("a choice is complete", ("Finish", ["ed", "Finish", "h"], tools)),
        ("what is written begins no choice", ("Hel", ["culate", "lo", "Cal"], tools)),
        ("two choices that begin alike", ("red b", ["oat", "ike", "lue", "o", "oat "], ["red boat", "red bike", "blue boat"])),
        ("small and capital letters", ("", ["cal", "CAL", "Cal"], tools)),
        ("a blank in front", ("", [" Cal", "Cal"], tools)),
        ("a token from the middle of a choice", ("", ["late", "arch", "Fin"], tools)),
        ("a choice with brackets and a star", ("Calculate[", ["3*", "3*4]", ".", "["], ["Calculate[3*4]"])),
        ("no tokens", ("", [], tools)),
        ("no choices", ("", ["Cal"], [])),
    ]
    slips = [
        ("You looked at the token alone: what is written already comes before it.",
         lambda w, t, c: [any(x.startswith(token) for x in c) for token in t]),
        ("You allow a token only if it completes a choice: most choices take several tokens.",
         lambda w, t, c: [w + token in c for token in t]),
        ("A token that goes on after the end of a choice makes a text that no choice begins with.",
         lambda w, t, c: [any((w + token).startswith(x) or x.startswith(w + token) for x in c) for token in t]),
        ("You turned it round: the choice begins with the text, not the text with the choice.",
         lambda w, t, c: [any((w + token).startswith(x) for x in c) for token in t]),
        ("A token may stand in the middle of a choice and still not come next.",
         lambda w, t, c: [any(token in x for x in c) for token in t]),
        ("The text may stand in the middle of a choice: it must be its beginning.",
         lambda w, t, c: [any(w + token in x for x in c) for token in t]),
        ("You cut off as many letters as are written without asking whether they are that choice's own.",
         lambda w, t, c: [any(x[len(w):].startswith(token) for x in c) for token in t]),
        ("A token that completes a choice is allowed, too: the text may be all of it.",
         lambda w, t, c: [any(x.startswith(w + token) and x != w + token for x in c) for token in t]),
        ("Each token gets one value; you have one for each pair of a token and a choice.",
         lambda w, t, c: [x.startswith(w + token) for token in t for x in c]),
        ("You return True for the tokens that fit, and nothing for the others: they get False.",
         lambda w, t, c: [True for fits in allowed(w, t, c) if fits]),
        ("The last choice decides for all: one that fits is enough, wherever it stands.",
         lambda w, t, c: [bool(c) and c[-1].startswith(w + token) for token in t]),
        ("A blank behind the token is a character too: no choice goes on with it.",
         lambda w, t, c: [any(x.startswith((w + token).rstrip()) for x in c) for token in t]),
        ("You look at the first choice alone.", lambda w, t, c: [bool(c) and c[0].startswith(w + token) for token in t]),
        ("*All* choices would have to begin so: one is enough.", lambda w, t, c: [all(x.startswith(w + token) for x in c) for token in t]),
        ("Capital letters count: the program that reads the action knows `Search`, not `search`.",
         lambda w, t, c: [any(x.lower().startswith((w + token).lower()) for x in c) for token in t]),
        ("A blank in front is a character too: ` Cal` begins no choice.",
         lambda w, t, c: [any(x.startswith(w + token.strip()) for x in c) for token in t]),
        ("You returned the tokens that may come next: wanted is True or False for each of them.",
         lambda w, t, c: [token for token, fits in zip(t, allowed(w, t, c)) if fits]),
        ("Turned round: True is for a token that *may* come next.", lambda w, t, c: [not fits for fits in allowed(w, t, c)]),
    ]
    compare(theirs, allowed, cases, slips)


EXERCISES = [
    Exercise("shipping.5", "read an action", read_action, _test_read_action, (
        "First cut off what the model may not write: everything from an 'Observation:' at the beginning of a line on.",
        "re.search finds the first match. Inside the brackets a pattern with .*? stops at the first ].",
    ), "A missing action is a result too: None.", answers.maybe(answers.tuple_of(answers.text, answers.text, words="a name and its argument"))),
    Exercise("applications.1", "which tokens may follow", allowed, _test_allowed, (
        "Put the token behind what is written. Can that text still become one of the choices?",
        "text.startswith(beginning) and any(… for choice in choices) say it in one line.",
    ), "Whatever the model prefers, what it writes is one of the choices.", answers.list_of(answers.truth, "a list with True or False for each token"), minutes=4),
    Exercise("shipping.6", "a guard that tries again", guarded, _test_guarded, (
        "At most `tries` draws, numbered 0, 1, 2 …; the first that is not bad is the answer.",
        "Return from inside the loop. What is left to return after it?",
    ), "Better no answer than a bad one, and not more draws than needed.", answers.maybe(answers.text)),
]  # fmt: skip
