"""Wrong and right answers about what models do: PLANTED, id → [(answer, words)]; RIGHT, id → [answer]."""


import numpy as np
import torch

from course_utils.exercises import what
from course_utils.metrics.words import words


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


def substring(found, names):
    return np.mean([name in " ".join(found) for name in names]) if found else 0.0


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


def until_full(tokens, next_token, max_new_tokens):
    written = [*tokens]
    while len(written) - len(tokens) < max_new_tokens and (token := next_token(written)) != "<end>":
        written = [*written, token]
    return tuple(written)


def one_by_one(tokens, next_token, max_new_tokens):
    if max_new_tokens == 0 or next_token(tokens) == "<end>":
        return tokens
    return one_by_one(tokens + [next_token(tokens)], next_token, max_new_tokens - 1)


def with_the_end(tokens, next_token, max_new_tokens):
    tokens = list(tokens)
    for _ in range(max_new_tokens):
        tokens.append(next_token(tokens))
        if tokens[-1] == "<end>":
            break
    return tokens


def without_limit(tokens, next_token, max_new_tokens):
    while (token := next_token(tokens)) != "<end>":
        tokens = tokens + [token]
    return tokens


def write_into_the_prompt(tokens, next_token, max_new_tokens):
    for _ in range(max_new_tokens):
        if (token := next_token(tokens)) == "<end>":
            break
        tokens.append(token)
    return tokens


def return_in_the_loop(tokens, next_token, max_new_tokens):
    for _ in range(max_new_tokens):
        return [*tokens, next_token(tokens)]


def run_of_words(answer, wanted):
    a, w = words(answer), words(wanted)
    return any(a[i : i + len(w)] == w for i in range(len(a) - len(w) + 1))


def where_it_begins(answer, wanted):
    a, w = words(answer), words(wanted)
    return w[0] in a and a[a.index(w[0]) :][: len(w)] == w


def of_the_first(answer, accepted):
    for wording in accepted:
        return words(wording) == words(answer)


PLANTED = {
    "what.9": [
        (with_the_end, "end token is a signal"),
        (lambda t, f, m: what.complete(t, f, m)[len(t) :], "Only the new tokens"),
        (lambda t, f, m: what.complete(t, f, max(0, m - len(t))), "counts the *new*"),
        (lambda t, f, m: what.complete(t, f, m + 1), "too many"),
        (lambda t, f, m: what.complete(t, f, max(0, m - 1)), "too few"),
        (lambda t, f, m: what.complete(t, lambda tokens: f([tokens[-1]]), m), "only the last token"),
        (lambda t, f, m: what.complete(t, lambda tokens: f(t), m), "only the prompt"),
        (without_limit, "endless loop"),
        (lambda t, f, m: what.complete(t, lambda tokens: f(tokens[-1]), m), "a single token"),
        (write_into_the_prompt, "in place"),
        (return_in_the_loop, "yours gave ['roses', 'are']"),
        (lambda t, f, m: " ".join(what.complete(t, f, m)), "whole list"),
        (lambda t, f, m: [*t, *[f(t)] * m], "should give"),
    ],
    "what.10": [
        (lambda a, w: w in a, "Marseille"),
        (lambda a, w: w.lower() in a.lower(), "whole words"),
        (lambda a, w: set(words(w)) <= set(words(a)), "beside each other"),
        (lambda a, w: words(a) == words(w), "need not be equal"),
        (lambda a, w: w.lower() in a.lower().split(), "full stop made"),
        (lambda a, w: w.lower() in words(a), "several words"),
        (lambda a, w: any(word in words(a) for word in words(w)), "not enough"),
        (lambda a, w: run_of_words(w, a), "turn it round"),
        (lambda a, w: words(a)[: len(words(w))] == words(w), "beginning only"),
        (where_it_begins, "first word stands there twice"),
        (lambda a, w: run_of_words(a, " ".join(words(w)[:2])), "Two of three"),
        (lambda a, w: a, "wanted:"),
    ],
    "what.11": [
        (of_the_first, "not only the first"),
        (lambda a, acc: any(len(words(a)) == len(words(w)) for w in acc), "As many words"),
        (lambda a, acc: a.lower().strip(".!") in [w.lower().strip(".!") for w in acc], "should give True"),
        (lambda a, acc: "".join(words(a)) in ["".join(words(w)) for w in acc], "The same letters"),
        (lambda a, acc: a in acc, "Capitals"),
        (lambda a, acc: words(a) == words(acc[0]) if acc else False, "not only the first"),
        (lambda a, acc: a.lower() in [w.lower() for w in acc], "Punctuation"),
        (lambda a, acc: sorted(words(a)) in [sorted(words(w)) for w in acc], "order counts"),
        (lambda a, acc: any(run_of_words(a, w) for w in acc), "goes on"),
        (lambda a, acc: any(run_of_words(w, a) for w in acc), "not enough"),
        (lambda a, acc: " ".join(words(a)) in acc, "Only the answer"),
        (lambda a, acc: words(a), "wanted:"),
    ],
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
}  # fmt: skip

RIGHT = {
    "what.9": [until_full, one_by_one],
    "what.10": [run_of_words, lambda a, w: torch.tensor(run_of_words(a, w)), lambda a, w: np.bool_(run_of_words(a, w))],
    "what.11": [
        lambda a, acc: any(words(a) == words(w) for w in acc),
        lambda a, acc: tuple(words(a)) in {tuple(words(w)) for w in acc},
        lambda a, acc: sum(words(a) == words(w) for w in acc) > 0,
    ],
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
}  # fmt: skip

EQUIVALENT = {
    "what.9": {"break → continue": "asked again about the same tokens, the model says the end again"},
    "what.1": {"break → continue": "once the room is used up, older turns can only make it less"},
}  # fmt: skip
