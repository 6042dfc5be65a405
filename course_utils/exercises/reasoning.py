"""Reasoning with verifiable rewards: reference answers and their tests."""

from __future__ import annotations

import ast
import re
from collections import Counter
from math import comb

from . import answers
from .cases import alike, brief, compare
from .engine import Exercise, Wrong

# ------------------------------------------------------------ shipping.4 spot the bug: eval


def tree_value(node):
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -tree_value(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = tree_value(node.left), tree_value(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
    raise ValueError(f"not allowed: {ast.unparse(node)}")


CALCULATED = (("7", 7), ("2.5", 2.5), ("-4", -4), ("2 + 3", 5), ("2 - 3", -1), ("2 * 3", 6), ("9 / 2", 4.5), ("2 + 3 * 4", 14), ("(2 + 3) * 4", 20), ("-3 - -1.5", -1.5), ("-(4 - 7)", 3), ("10 - 4 - 3", 3), ("8 / 4 / 2", 1.0), ("0 * 5", 0), ("1250 * 0.04", 50.0))
REFUSED = (
    ("().__class__", "an attribute came through: from any object it leads to everything Python can do"),
    ("print(1)", "a call was carried out: the model decides what runs on your machine"),
    ("abs(-1) + 1", "a call inside an operation was carried out"),
    ("price * 3", "a name was looked up: the model could read any variable"),
    ("2 ** 9", "an operation that is not on the list was carried out"),
    ("5 // 2", "an operation that is not on the list was carried out"),
    ("5 % 2", "an operation that is not on the list was carried out"),
    ("1 << 9", "an operation that is not on the list was carried out"),
    ("6 ^ 3", "an operation that is not on the list was carried out"),
    ("2 @ 3", "an operation that is not on the list was carried out"),
    ("6 & 3", "an operation that is not on the list was carried out"),
    ("'ab' * 3", "a text is not a number, even though it is in the tree as a constant"),
    ("True + 1", "True came through: isinstance(True, int) holds. Compare the type itself"),
    ("False - 2", "False came through: isinstance(False, int) holds. Compare the type itself"),
    ("-True", "True came through: isinstance(True, int) holds. Compare the type itself"),
    ("2j * 2j", "only whole numbers and fractions are allowed, no complex ones"),
    ("+3", "a sign in front that is not a minus came through"),
    ("~3", "a sign in front that is not a minus came through"),
    ("2 - +1", "a sign in front that is not a minus came through"),
    ("not 0", "a sign in front that is not a minus came through"),
    ("1 < 2", "a comparison came through"),
    ("[1, 2][0]", "an index came through: a list is not on the list"),
    ("1 if 2 else 3", "a condition came through"),
    ("3 and 4", "a condition came through"),
    ("None", "None is not a number, even though it is in the tree as a constant"),
    ("1 + (lambda: 2)()", "a function inside an operation was carried out"),
    ("1 + (x := 2)", "an assignment was carried out"),
)  # fmt: skip


def _test_tree_value(theirs):
    def run(text):
        return theirs(ast.parse(text, mode="eval").body)

    for text, value in CALCULATED:
        try:
            got = run(text)
        except ValueError as error:
            raise Wrong(f"{text} was refused ({error}). Numbers, + - * / and a minus in front are all allowed.") from error
        if got is None:
            raise Wrong(f"For {text} your function returned None: is `return` missing somewhere?")
        if not alike(got, value) or isinstance(got, bool):
            steps = sum(isinstance(node, ast.BinOp | ast.UnaryOp) for node in ast.walk(ast.parse(text)))
            inside = " Does each side of an operation go through tree_value itself?" if steps > 1 else ""
            raise Wrong(f"{text} is {value}; yours is {brief(got)}.{inside}")
    for text, why in REFUSED:
        try:
            got = run(text)
        except ValueError:
            continue
        except NotImplementedError:
            raise
        except Exception as error:
            raise Wrong(f"{text!r} ended in {type(error).__name__}: {error}. Refuse what you do not know with a ValueError.") from error
        if isinstance(got, BaseException) or (isinstance(got, type) and issubclass(got, BaseException)):
            raise Wrong(f"{text!r} came back as an error in the place of a value: `raise` it, do not return it.")
        if got is None and text != "None":
            raise Wrong(f"{text!r} came back as None, as if it had a value. Refuse what you do not know with a ValueError.")
        raise Wrong(f"{text!r}: {why}.")


# ------------------------------------------------------------ reasoning.1 pass@k


def pass_at_k(n, right, k):
    return 1 - comb(n - right, k) / comb(n, k)


def _test_pass_at_k(theirs):
    cases = [("", (4, 1, 2)), ("", (10, 3, 4)), ("one sample", (7, 2, 1)), ("none is right", (6, 0, 3)),
             ("all are right", (5, 5, 2)), ("fewer wrong ones than k", (6, 4, 3)), ("all of them", (8, 1, 8)), ("many samples", (64, 5, 20))]  # fmt: skip
    slips = [
        ("You draw with putting back: 1 - (1 - right / n) ** k. One sample can then be drawn twice, and the estimate comes out too low.", lambda n, r, k: 1 - (1 - r / n) ** k),
        ("That is the share of right samples, pass@1, whatever k is.", lambda n, r, k: r / n),
        ("That is the chance that *none* of the k is right: take it from 1.", lambda n, r, k: comb(n - r, k) / comb(n, k)),
        ("That is the chance that *all* k are right. One is enough.", lambda n, r, k: comb(r, k) / comb(n, k)),
        ("That is the mean number of right ones among k. Two right ones count no more than one.", lambda n, r, k: k * r / n),
        ("That only says whether the n samples hold a right one. For k below n a draw may miss it.", lambda n, r, k: float(r > 0)),
    ]
    compare(theirs, pass_at_k, cases, slips)


# ------------------------------------------------------------ reasoning.2 majority vote


def majority(values):
    counts = Counter(value for value in values if value is not None)
    return counts.most_common(1)[0][0] if counts else None


def _test_majority(theirs):
    cases = [("", ([14.0, 38.0, 14.0, 9.0],)), ("", ([3.0, 8.0, 5.0, 8.0, 8.0, 3.0],)), ("the rest have no value", ([None, 6.0, None, None],)),
             ("most samples have no value", ([None, 7.0, None, 2.0, 7.0, None, None],)), ("a tie", ([50.0, 20.0, 20.0, 50.0, 1.0],)),
             ("a tie", ([9.0, 20.0, 9.0, 20.0, None],)), ("a tie", ([9.0, 20.0, 20.0, 9.0, None],)), ("a tie", ([20.0, 9.0, 9.0, 20.0],)), ("a tie", ([17.0, 8.0, 2.0],)),
             ("values with a fraction", ([2.5, 2.0, 2.25, 2.5, 2.0, 2.5],)), ("a value of 0", ([0.0, 4.0, 0.0],)), ("no sample has a value", ([None, None],)), ("no samples", ([],))]  # fmt: skip

    def voters(values):
        return [value for value in values if value is not None]

    slips = [
        ("A sample without a value voted: leave each None out before you count.", lambda v: Counter(v).most_common(1)[0][0] if v else None),
        ("Of two values with as many votes you took the later one; the one that came first wins.", lambda v: majority(v[::-1])),
        ("Of two values with as many votes you took the larger one; the one that came first wins.", lambda v: max(set(voters(v)), key=lambda x: (voters(v).count(x), x), default=None)),
        ("Of two values with as many votes you took the smaller one; the one that came first wins.", lambda v: max(set(voters(v)), key=lambda x: (voters(v).count(x), -x), default=None)),
        ("Of two values with as many votes yours depends on how Python stores a set, which forgets the order; the one that came first wins.",
         lambda v: max(set(voters(v)), key=voters(v).count, default=None)),
        ("The values were rounded or cut to whole numbers: 2.5 and 2 are two answers.", lambda v: majority([None if x is None else float(int(x)) for x in v])),
        ("That is the mean of the values. Two wrong ones may have a right mean: count, do not average.", lambda v: sum(voters(v)) / len(voters(v)) if voters(v) else None),
        ("That is the first value, whatever the others say.", lambda v: next(iter(voters(v)), None)),
        ("That is the largest value, not the commonest.", lambda v: max(voters(v), default=None)),
        ("You returned how many votes the value got, not the value.", lambda v: voters(v).count(majority(v)) if voters(v) else None),
        ("A value of 0 is a value. `if value` drops it; ask `if value is not None`.", lambda v: majority([x or None for x in v])),
        ("You returned a value only where more than half agree. The commonest one wins, also with fewer.",
         lambda v: majority(v) if voters(v).count(majority(v)) * 2 > len(v) else None),
    ]  # fmt: skip
    compare(theirs, majority, cases, slips)


# ------------------------------------------------------------ reasoning.3 what expert iteration learns from


def harvest(texts, rewards, group):
    kept = []
    for number, (text, reward) in enumerate(zip(texts, rewards)):
        pair = (number // group, text)
        if reward == 1 and pair not in kept:
            kept.append(pair)
    return kept


def _test_harvest(theirs):
    texts = ["2 + 3", "3 + 2", "2 + 3", "2 * 3", "7 - 1", "2 + 3", "8", "6"]
    cases = [("", (texts[:4], [1.0, 1.0, 1.0, 0.0], 2)), ("", (texts, [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0], 4)),
             ("one text is right for two problems", (["6", "5", "6", "6"], [1.0, 0.0, 1.0, 1.0], 2)),
             ("nothing is right", (texts[:4], [0.0] * 4, 2)), ("groups of three", (["a", "b", "a", "c", "c", "a"], [0.0, 1.0, 0.0, 1.0, 1.0, 1.0], 3))]  # fmt: skip

    def plain(texts, rewards, group):
        return [(i // group, t) for i, (t, r) in enumerate(zip(texts, rewards)) if r == 1]

    def once_in_all(texts, rewards, group):
        seen, kept = set(), []
        for number, text in plain(texts, rewards, group):
            kept += [] if text in seen else [(number, text)]
            seen.add(text)
        return kept

    slips = [
        ("The same text of the same problem was kept twice: an easy problem would then fill the lesson.", plain),
        ("A text that is right for two problems belongs to both: look for repeats within a problem only.", once_in_all),
        ("You kept one text per problem. Every *different* right text is wanted.", lambda t, r, g: list({n: (n, x) for n, x in plain(t, r, g)[::-1]}.values())[::-1]),
        ("Row i answers problem i // group, since a problem's answers stand side by side; yours is i % group.",
         lambda t, r, g: list(dict.fromkeys((i % g, x) for i, (x, s) in enumerate(zip(t, r)) if s == 1))),
        ("You gave the row's own number; the problem's is i // group.", lambda t, r, g: list(dict.fromkeys((i, x) for i, (x, s) in enumerate(zip(t, r)) if s == 1))),
        ("You kept wrong texts too: only those with reward 1 are learnt.", lambda t, r, g: list(dict.fromkeys((i // g, x) for i, x in enumerate(t)))),
        ("You kept the wrong texts, those with reward 0.", lambda t, r, g: list(dict.fromkeys((i // g, x) for i, (x, s) in enumerate(zip(t, r)) if s == 0))),
    ]  # fmt: skip
    compare(theirs, harvest, cases, slips)


# ------------------------------------------------------------ reasoning.4 spot the bug: a careless rule


def strict_reward(text, answer):
    found = re.findall(r"answer is (-?\d+(?:\.\d+)?)", text)
    return float(len(found) == 1 and float(found[0]) == answer)


RULED = (
    ("The pens cost 2 * 3 = 6. 6 + 15 = 21. The answer is 21.", 21, 1.0, "says its answer once, and it is right"),
    ("The answer is 21.", 21, 1.0, "says its answer once, and it is right; steps are not asked for"),
    ("the answer is 21", 21, 1.0, "says its answer once, and it is right; a full stop is not asked for"),
    ("Half of 5 is wanted. The answer is 2.5.", 2.5, 1.0, "is right: an answer may have a decimal point"),
    ("4 - 11 = -7. The answer is -7.", -7, 1.0, "is right: an answer may be negative"),
    ("4 - 11. The answer is 7.", -7, 0.0, "lost the sign"),
    ("One pen is 3. 7 * 3 = 21. The answer is 21.", 21, 1.0, 'is right: only a number behind "answer is" is an answer'),
    ("The answer is 21, since 6 + 15 = 21.", 21, 1.0, "says its answer once, and it is right; what follows does not matter"),
    ("The answer is 21.0", 21, 1.0, "is right: 21.0 and 21 are the same number"),
    ("1 2 3 4 5 6 7 8 9 10", 8, 0.0, "names ten numbers and commits itself to none"),
    ("6 + 15 = 21. The answer is 22.", 21, 0.0, "passes the right number on its way to a wrong answer"),
    ("The answer is 121.", 21, 0.0, "says 121, which only *contains* 21"),
    ("The answer is 210.", 21, 0.0, "says 210, which only *begins* with 21"),
    ("The answer is 21.5.", 21, 0.0, "says 21.5, which only begins with 21"),
    ("The answer is 20. The answer is 21.", 21, 0.0, "gives two answers: that is the list of guesses again, a sentence each"),
    ("The answer is 21. The answer is 20.", 21, 0.0, "gives two answers: that is the list of guesses again, a sentence each"),
    ("The answer is 20. The answer is 21. The answer is 21.", 21, 0.0, "gives several answers: that is the list of guesses again, a sentence each"),
    ("One pen is 7, so the price is 21.", 21, 0.0, "never says which number is its answer"),
    ("6 + 15 = 21", 21, 0.0, "never says which number is its answer"),
    ("The answer is unknown. 21", 21, 0.0, "never says which number is its answer"),
    ("", 0, 0.0, "is empty"),
)


def _test_strict_reward(theirs):
    for text, answer, wanted, why in RULED:
        got = theirs(text, answer)
        if got != wanted:
            raise Wrong(f"{text!r} with the answer {answer} deserves {wanted:g}, yours is {brief(got)}. It {why}.")


EXERCISES = [
    Exercise("shipping.4", "spot the bug: now it can only calculate", tree_value, _test_tree_value, (
        "List what is allowed and refuse the rest. A list of what is forbidden always misses something.",
        "Three kinds of node are enough: ast.Constant, ast.UnaryOp, ast.BinOp. Which operators, and which types of constants?",
    ), "What is not on the list cannot happen, whatever the model writes.", answers.maybe(answers.something)),
    Exercise("reasoning.1", "pass@k without bias", pass_at_k, _test_pass_at_k, (
        "Count the draws that miss: how many sets of k samples hold wrong ones only? comb(m, k) is the number of sets of k out of m.",
        "Of n samples, n - right are wrong. The chance to miss is comb(n - right, k) / comb(n, k). comb(2, 3) is 0, so no case needs its own line.",
    ), "One pool of n samples gives the whole curve, for every k up to n.", answers.number),
    Exercise("reasoning.2", "the majority votes", majority, _test_majority, (
        "collections.Counter counts, and its most_common keeps the order of arrival among equals.",
        "Leave the None out first; if nothing is left, return None.",
    ), "It needs no key: it works at the time of use, where nobody knows the answer.", answers.maybe(answers.number)),
    Exercise("reasoning.3", "what is worth learning from", harvest, _test_harvest, (
        "Go through texts and rewards together, with enumerate; the problem's number is i // group.",
        "Keep (problem, text) if the reward is 1 and the pair is not in your list yet.",
    ), "This filter and plain fine-tuning are all of expert iteration.", answers.list_of(answers.tuple_of(answers.whole, answers.text))),
    Exercise("reasoning.4", "spot the bug: it names the answer", strict_reward, _test_strict_reward, (
        'Look at what the rule accepts: what does "1 2 3 4 …" score? Read the number behind "answer is", and nothing else.',
        r're.findall(r"answer is (-?\d+(?:\.\d+)?)", text) lists every answer that a text gives. How many may there be?',
    ), "The text has to commit itself to one number.", answers.number),
]  # fmt: skip
