"""What language models do: reference answers and their tests."""

from __future__ import annotations

from ..metrics.words import words
from . import answers
from .cases import compare
from .engine import Exercise

# ------------------------------------------------------------ what.9 the loop


def complete(tokens, next_token, max_new_tokens):
    tokens = list(tokens)
    for _ in range(max_new_tokens):
        token = next_token(tokens)
        if token == "<end>":
            break
        tokens.append(token)
    return tokens


def follow(tokens):
    return {"roses": "are", "are": "red", "and": "violets"}.get(tokens[-1], "<end>")


def count_on(tokens):
    return f"t{len(tokens)}"


def up_to_six(tokens):
    return "<end>" if len(tokens) >= 6 else f"t{len(tokens)}"


def end_at_once(tokens):
    return "<end>"


COMPLETE_SLIPS = [
    ("The end token is a signal, and no part of the text: stop before you append it.",
     lambda t, f, m: complete(t, f, m) + (["<end>"] if len(complete(t, f, m)) < len(t) + m else [])),
    ("Only the new tokens came back; the prompt belongs to the list, too.", lambda t, f, m: complete(t, f, m)[len(t):]),
    ("max_new_tokens counts the *new* tokens; the prompt's are not among them.", lambda t, f, m: complete(t, f, m - len(t))),
    ("One token too many: max_new_tokens is the largest number of new ones.", lambda t, f, m: complete(t, f, m + 1)),
    ("One token too few: as many as max_new_tokens may be written.", lambda t, f, m: complete(t, f, m - 1)),
    ("The model saw only the last token. Give it the whole list, what it has written included.",
     lambda t, f, m: complete(t, lambda tokens: f(tokens[-1:]), m)),
    ("next_token reads a list of tokens; you gave it a single token.", lambda t, f, m: complete(t, lambda tokens: f(tokens[-1]), m)),
    ("The model saw only the prompt, each time. What it has written must be in the list it reads.",
     lambda t, f, m: complete(t, lambda tokens: f(list(t)), m)),
    ("The limit never stopped you: a model may write for ever.", lambda t, f, m: complete(t, f, 50)),
    ("You wrote on after the end token: it says that the answer is complete.",
     lambda t, f, m: _on_and_on(t, f, m)),
]  # fmt: skip


def _on_and_on(tokens, next_token, max_new_tokens):
    tokens = list(tokens)
    for _ in range(max_new_tokens):
        tokens.append(next_token(tokens))
    return tokens


def _test_complete(complete):
    cases = [
        ("", (["roses"], follow, 9)),
        ("the limit comes first", (["roses"], follow, 1)),
        ("a model that never stops", (["a", "b"], count_on, 4)),
        ("the end comes exactly at the limit", (["a", "b", "c"], up_to_six, 3)),
        ("the end comes before the limit", (["a"], up_to_six, 8)),
        ("nothing to add", (["roses", "are", "red"], end_at_once, 5)),
        ("a limit of 0", (["and"], follow, 0)),
    ]
    compare(complete, complete_of_reference, cases, COMPLETE_SLIPS)


complete_of_reference = complete


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


def word_count(text):
    return len(text.split())


def letter_count(text):
    return len(text)


def one_each(text):
    return 1


def _kept(turns, count, room, order=reversed, holes=False, equal=True):
    kept = []
    for n, turn in order(list(enumerate(turns))):
        cost = count(turn)
        if cost < room or (equal and cost == room):
            room -= cost
            kept.append(n)
        elif not holes:
            break
    return [turns[n] for n in sorted(kept)]


TRIM_SLIPS = [
    ("You filled the whole window: the answer needs its max_new_tokens in there too.", lambda t, c, w, m: _kept(t, c, w)),
    ("You kept the oldest turns. The newest hold what is being talked about: start from the end.",
     lambda t, c, w, m: _kept(t, c, w - m, order=iter)),
    ("You left out a turn that is too long and kept an older one: a hole in the conversation. Stop at the first that does not fit.",
     lambda t, c, w, m: _kept(t, c, w - m, holes=True)),
    ("The right turns, in the wrong order: the model reads them from old to new.", lambda t, c, w, m: trim(t, c, w, m)[::-1]),
    ("Use the given count(turn): a model counts tokens, not words or letters.", lambda t, c, w, m: trim(t, word_count, w, m)),
    ("Use the given count(turn): a model counts tokens, not words or letters.", lambda t, c, w, m: trim(t, letter_count, w, m)),
    ("Use the given count(turn): it is not the number of turns that is limited.", lambda t, c, w, m: trim(t, one_each, w, m)),
    ("Each turn is compared by itself; together they must fit.", lambda t, c, w, m: [x for x in t if c(x) <= w - m]),
    ("The room may be filled to the last token.", lambda t, c, w, m: _kept(t, c, w - m, equal=False)),
    ("The first turn that does not fit was kept, too.",
     lambda t, c, w, m: t[max(0, len(t) - len(trim(t, c, w, m)) - 1):]),
    ("The oldest turn was dropped though everything fits.", lambda t, c, w, m: trim(t[1:], c, w, m)),
]  # fmt: skip


def _test_trim(trim):
    cases = [
        ("", (["a b c", "d e", "f", "g h"], word_count, 8, 3)),
        ("a long turn in the middle", (["a", "b c d e f g", "h"], word_count, 8, 3)),
        ("another way of counting", (["a b c", "d e f"], one_each, 8, 3)),
        ("letters are counted", (["ab", "cdef", "gh i"], letter_count, 15, 5)),
        ("one word too many", (["k l m n", "o p"], word_count, 9, 4)),
        ("everything fits", (["a", "b c"], word_count, 20, 5)),
        ("no room at all", (["a", "b"], word_count, 5, 5)),
        ("no turns yet", ([], word_count, 8, 3)),
    ]
    compare(trim, trim_of_reference, cases, TRIM_SLIPS)


trim_of_reference = trim


# ------------------------------------------------------------ what.8 show the others


def show_others(pairs, word, k):
    others = [item for item in pairs.items() if item[0] != word][:k]
    return "".join(f"{country} -> {city}\n" for country, city in others) + f"{word} ->"


def _shown(items, word, end=" ->"):
    return "".join(f"{a} -> {b}\n" for a, b in items) + word + end


SHOW_SLIPS = [
    ("The word that is asked stands among the solved examples, with its answer: leave it out.", lambda p, w, k: _shown(list(p.items())[:k], w)),
    ("When the word that is asked is left out, one example is missing: take the next one.",
     lambda p, w, k: _shown([item for item in list(p.items())[:k] if item[0] != w], w)),
    ("All other pairs are shown; only k are asked for.", lambda p, w, k: _shown([item for item in p.items() if item[0] != w], w)),
    ("You took the last k; take the first k of the others.",
     lambda p, w, k: _shown([item for item in p.items() if item[0] != w][-k:] if k else [], w)),
    ("The answer is already written: the last line must stay open.", lambda p, w, k: show_others(p, w, k) + f" {p.get(w, '')}"),
    ("The prompt goes on after the open arrow. The next token brings its own blank: end with '->' and nothing more.", lambda p, w, k: show_others(p, w, k) + " "),
    ("The prompt goes on after the open arrow: end with '->' and nothing more.", lambda p, w, k: show_others(p, w, k) + "\n"),
    ("The open question is missing at the end.", lambda p, w, k: show_others(p, w, k)[: -len(w) - 3]),
    ("The examples have no answers: show each word *and* what belongs to it.",
     lambda p, w, k: "".join(f"{a} ->\n" for a in [a for a in p if a != w][:k]) + f"{w} ->"),
    ("Each example stands on a line of its own.", lambda p, w, k: show_others(p, w, k).replace("\n", " ")),
    ("A blank line between the examples is another form than the one asked for.", lambda p, w, k: show_others(p, w, k).replace("\n", "\n\n")),
]  # fmt: skip


def _test_show_others(show_others):
    cities = dict(Spain="Madrid", Japan="Tokyo", Egypt="Cairo", Peru="Lima", Cuba="Havana")
    cases = [
        ("", (cities, "Cuba", 2)),
        ("the asked one stands first", (cities, "Spain", 2)),
        ("the asked one stands in the middle", (cities, "Japan", 3)),
        ("a word that begins like another", ({"Niger": "Niamey", "Nigeria": "Abuja", "Mali": "Bamako"}, "Niger", 2)),
        ("no example (zero-shot)", (cities, "Peru", 0)),
        ("a word that is not among the pairs", (cities, "Kenya", 1)),
        ("more examples than there are others", (dict(up="down", hot="cold"), "hot", 4)),
    ]
    compare(show_others, show_others_of_reference, cases, SHOW_SLIPS)


show_others_of_reference = show_others


# ------------------------------------------------------------ what.10 the answer is in there


def contains(answer, wanted):
    return f" {' '.join(words(wanted))} " in f" {' '.join(words(answer))} "


def _bag(answer, wanted):
    return set(words(wanted)) <= set(words(answer))


CONTAINS_SLIPS = [
    ("'Marseille' counted as 'Mars': letters inside another word. Compare whole words.", lambda a, w: w.lower() in a.lower()),
    ("'Marseille' counted as 'Mars': letters inside another word. Compare whole words.",
     lambda a, w: " ".join(words(w)) in " ".join(words(a))),
    ("'Marseille' counted as 'Mars', and 'NEW DELHI' did not count. Compare whole words, from words().", lambda a, w: w in a),
    ("The words must stand beside each other, in the wanted order.", _bag),
    ("One of several wanted words is not enough.", lambda a, w: bool(set(words(w)) & set(words(a)))),
    ("A sentence around the wanted words does no harm: the answer need not be equal.", lambda a, w: words(a) == words(w)),
    ("A full stop or a capital made the difference: words() takes both away.", lambda a, w: f" {w} " in f" {a} "),
    ("A full stop made the difference: words() takes it away.", lambda a, w: f" {w.lower()} " in f" {a.lower()} "),
    ("The wanted text has several words, and a list of words never holds it as one.", lambda a, w: w.lower() in words(a)),
    ("You asked for the answer within the wanted words; turn it round.", lambda a, w: contains(w, a)),
    ("You asked for the answer within the wanted words; turn it round.", lambda a, w: " ".join(words(a)) in " ".join(words(w))),
    ("It must not be at the beginning only, nor at the end only.", lambda a, w: words(a)[: len(words(w))] == words(w)),
    ("It must not be at the beginning only, nor at the end only.", lambda a, w: words(a)[-len(words(w)):] == words(w)),
]  # fmt: skip


def _test_contains(contains):
    cases = [
        ("", ("It is in Marseille.", "Mars")),
        ("", ("It is Mars.", "Mars")),
        ("two words, in capitals", ("I would say NEW DELHI, of course.", "New Delhi")),
        ("the words lie apart", ("A new road leads to Delhi.", "New Delhi")),
        ("the words in another order", ("Delhi: new, and old.", "New Delhi")),
        ("one of two words", ("Delhi", "New Delhi")),
        ("a number inside another", ("It costs 2200 euros.", "200")),
        ("nothing but the wanted word", ("lima", "Lima")),
        ("a comma after it", ("Rome, I think", "Rome")),
        ("its first word stands there twice", ("Our new plan: fly to New Delhi.", "New Delhi")),
        ("two of three words", ("He sells New York papers.", "New York City")),
        ("a sentence without a sign", ("mars it is", "Mars")),
        ("no answer", ("", "Rome")),
    ]
    compare(contains, contains_of_reference, cases, CONTAINS_SLIPS)


contains_of_reference = contains


# ------------------------------------------------------------ what.11 an accepted wording


def equals(answer, accepted):
    return words(answer) in [words(wording) for wording in accepted]


EQUALS_SLIPS = [
    ("Any of the accepted wordings will do, not only the first.", lambda a, acc: words(a) in [words(w) for w in acc[:1]]),
    ("Capitals and punctuation make no difference: compare words() of both.", lambda a, acc: a in acc),
    ("Punctuation makes no difference: compare words() of both.", lambda a, acc: a.lower() in [w.lower() for w in acc]),
    ("Only the answer lost its capitals and its punctuation; the accepted wordings have some, too.",
     lambda a, acc: " ".join(words(a)) in acc),
    ("The order counts: 'the dog bit him' is not 'him bit the dog'.", lambda a, acc: sorted(words(a)) in [sorted(words(w)) for w in acc]),
    ("The order counts, and so does a word said twice.", lambda a, acc: set(words(a)) in [set(words(w)) for w in acc]),
    ("An answer that goes on after the translation was accepted: compare the whole.",
     lambda a, acc: any(words(w) == words(a)[: len(words(w))] for w in acc)),
    ("An answer that goes on after the translation was accepted: compare the whole.",
     lambda a, acc: any(contains(a, w) for w in acc)),
    ("A part of an accepted wording is not enough.", lambda a, acc: any(contains(w, a) for w in acc)),
    ("A part of an accepted wording is not enough.", lambda a, acc: any(" ".join(words(a)) in " ".join(words(w)) for w in acc)),
    ("One accepted wording is enough; you asked for all of them.", lambda a, acc: all(words(a) == words(w) for w in acc)),
]  # fmt: skip


def _test_equals(equals):
    cold = ["It's cold today.", "It is cold today."]
    cases = [
        ("", ("it IS cold, today", cold)),
        ("the first wording", ("It's cold today!", cold)),
        ("the first wording, with a comma", ("It's cold, today", cold)),
        ("as many words, but others", ("Paris was warm yesterday.", cold)),
        ("the same letters, other words", ("An other day.", ["Another day."])),
        ("another meaning", ("It is not cold today.", cold)),
        ("it goes on", ("It is cold today. It will snow.", cold)),
        ("only the beginning", ("It is cold", cold)),
        ("the words in another order", ("Today it is cold.", cold)),
        ("a word said twice", ("It is cold cold today.", cold)),
        ("one wording", ("The dog bit him.", ["the dog bit him"])),
        ("only capitals differ", ("THE CAT SLEEPS.", ["The cat sleeps."])),
        ("no answer", ("", ["The cat sleeps."])),
        ("nothing accepted", ("The cat sleeps.", [])),
    ]
    compare(equals, equals_of_reference, cases, EQUALS_SLIPS)


equals_of_reference = equals


# ------------------------------------------------------------ what.2 spot the bug: names by substring


def name_f1(found, names):
    found, names = {name.lower() for name in found}, {name.lower() for name in names}
    shared = len(found & names)
    return 2 * shared / (len(found) + len(names)) if shared else 0.0


def _of_shares(combine, key=str.lower):
    """``combine(precision, recall)`` of the two sets of names."""

    def score(found, names):
        a, b = set(map(key, found)), set(map(key, names))
        return combine(len(a & b) / len(a) if a else 0.0, len(a & b) / len(b) if b else 0.0)

    return score


def _harmonic(p, r):
    return 2 * p * r / (p + r) if p + r else 0.0


def _f1_of_lists(found, names):
    found, names = [n.lower() for n in found], [n.lower() for n in names]
    shared = sum(n in names for n in found)
    return 2 * shared / (len(found) + len(names)) if shared else 0.0


def _jaccard(found, names):
    a, b = {n.lower() for n in found}, {n.lower() for n in names}
    return len(a & b) / len(a | b) if a | b else 0.0


RECALL = "A list that holds everything got full marks: that is recall alone. Wrong items must cost something."
INSIDE = "'Joanna' counted as 'Ann': letters inside another name. Compare whole names."
NAME_SLIPS = [
    (INSIDE, lambda f, n: sum(any(x.lower() in y.lower() for y in f) for x in n) / len(n) if n else 0.0),
    (INSIDE, lambda f, n: float(any(x.lower() in y.lower() for x in n for y in f))),
    (INSIDE, lambda f, n: sum(x in " ".join(f) for x in n) / len(n) if n else 0.0),
    (RECALL, _of_shares(lambda p, r: r)),
    (RECALL + " And capitals make no difference.", _of_shares(lambda p, r: r, key=str)),
    ("That is the precision: F1 also asks how many of the wanted names were found.", _of_shares(lambda p, r: p)),
    ("That is the precision: F1 also asks how many of the wanted names were found. And capitals make no difference.", _of_shares(lambda p, r: p, key=str)),
    ("You took the ordinary mean of precision and recall; F1 is the harmonic mean.", _of_shares(lambda p, r: (p + r) / 2)),
    ("You multiplied precision and recall; F1 is their harmonic mean.", _of_shares(lambda p, r: p * r)),
    ("That is shared / all different names, another measure (Jaccard's). F1 is the harmonic mean of precision and recall.", _jaccard),
    ("'OSLO' and 'Oslo' are the same place: compare without capitals.", _of_shares(_harmonic, key=str)),
    ("A name said three times is one name: use sets.", _f1_of_lists),
    ("You split names into words: 'York' is not 'New York'.",
     lambda f, n: name_f1([w for x in f for w in x.split()], [w for x in n for w in x.split()])),
    ("Only the found names lost their capitals; the wanted ones have some, too.", lambda f, n: _of_shares(_harmonic, key=str)([x.lower() for x in f], n)),
    ("Only the wanted names lost their capitals; the found ones have some, too.", lambda f, n: _of_shares(_harmonic, key=str)(f, [x.lower() for x in n])),
    ("All or nothing is another score: give part marks.", lambda f, n: float(bool(f) and {x.lower() for x in f} == {x.lower() for x in n})),
    ("All or nothing is another score: give part marks.", lambda f, n: float(bool(f) and set(f) == set(n))),
]  # fmt: skip


def _test_name_f1(name_f1):
    cases = [
        ("", (["Joanna", "Oslo"], ["Ann", "Oslo"])),
        ("a list that holds everything", (["Ann", "Oslo", "the", "train", "to", "was"], ["Ann", "Oslo"])),
        ("nothing found", ([], ["Ann", "Oslo"])),
        ("nothing shared", (["Bo"], ["Ann", "Oslo", "Cy"])),
        ("capitals", (["ann", "OSLO", "Lima"], ["Ann", "Oslo"])),
        ("two names that begin alike", (["Ann Lee", "Bo"], ["Ann Ray", "Bo"])),
        ("all found, and nothing else", (["Bo", "Ann"], ["Ann", "Bo"])),
        ("a name said three times", (["Ann", "Ann", "Ann", "Bo"], ["Ann", "Oslo", "Oslo"])),
        ("a name of two words", (["York", "Ann", "New Delhi"], ["New York", "Ann", "New Delhi", "Bo"])),
        ("nothing found and nothing wanted", ([], [])),
    ]
    compare(name_f1, name_f1_of_reference, cases, NAME_SLIPS)


name_f1_of_reference = name_f1


# ------------------------------------------------------------ what.3 per token, from exact match


def per_token(target, length):
    return target ** (1 / length)


TOKEN_SLIPS = [
    ("You went the other way: that is the exact match when each *token* is right with chance `target`.", lambda t, n: t**n),
    ("With a chance of .5 per token, ten in a row are right once in a thousand answers.", lambda t, n: t),
    ("Close: you shared the errors out by adding. Probabilities of 'all right' multiply: p¹⁰ = ½.", lambda t, n: 1 - (1 - t) / n),
    ("You took the root of the chance of an *error*: that all tokens are wrong is not asked.", lambda t, n: 1 - (1 - t) ** (1 / n)),
    ("That is target / length; `target ** 1 / length` is read so, too. Chances that must all come true multiply: undo a power.", lambda t, n: t / n),
    ("Chances that must all come true multiply; undo a power with a root.", lambda t, n: t * n),
]  # fmt: skip


def _test_per_token(per_token):
    cases = [("", (0.5, 10)), ("an answer of one token", (0.9, 1)), ("", (0.2, 3)), ("", (0.99, 50))]
    compare(per_token, per_token_of_reference, cases, TOKEN_SLIPS)


per_token_of_reference = per_token


EXERCISES = [
    Exercise("what.9", "write the loop", complete, _test_complete, (
        "A for loop over range(max_new_tokens); in it, ask next_token for one token.",
        "If the token is '<end>', leave the loop (break); else append it to a copy of the list.",
    ), returns=answers.list_of(answers.text, "the whole list of tokens"), seconds=5, minutes=5),
    Exercise("what.1", "keep what fits the window", trim, _test_trim, (
        "How many tokens are left for the conversation once the answer has its share?",
        "Walk from the newest turn to the oldest, and stop at the first that does not fit.",
    ), returns=answers.list_of(answers.text, "a list of turns (texts)"), minutes=8),
    Exercise("what.8", "a task, shown by the others", show_others, _test_show_others, (
        "First choose the pairs: all but the asked one. Then count off k of them.",
        "One line for each pair, with its arrow and its answer; the last line stops after the arrow.",
    ), returns=answers.text, minutes=5),
    Exercise("what.11", "an accepted wording", equals, _test_equals, (
        "Two texts that differ only in capitals and punctuation have the same words().",
        "Make the list of words of each accepted wording, and look whether the answer's is among them.",
    ), returns=answers.truth, minutes=4),
    Exercise("what.2", "spot the bug: full marks for nothing", name_f1, _test_name_f1, (
        "Make both lists lower-case sets; what they share was found rightly.",
        "Two numbers divide what is shared: how many were found, and how many were wanted. What if nothing is shared?",
    ), returns=answers.number, minutes=6),
    Exercise("what.10", "the answer is in there", contains, _test_contains, (
        "words() of both gives two lists; joined with blanks they are two plain texts.",
        "A blank before and after both texts keeps 'mars' out of 'marseille'.",
    ), returns=answers.truth, minutes=5),
    Exercise("what.3", "how good must a token be?", per_token, _test_per_token, (
        "If every token is right with chance p, all of them are right with chance p · p · … · p.",
        "Solve p to the power of length = target for p. What undoes a power?",
    ), returns=answers.number, minutes=4),
]  # fmt: skip
