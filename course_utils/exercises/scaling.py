"""Scaling and domains: reference answers and their tests."""

from __future__ import annotations

import math

import numpy as np

from . import answers
from .engine import Exercise, Wrong, close

PF_DAY = 1e15 * 24 * 60 * 60


def near(a, b, share=1e-3) -> bool:
    """Equal up to a thousandth of ``b``."""
    return math.isclose(float(a), b, rel_tol=share)


# ------------------------------------------------------------ scaling.1 petaFLOP/s-days


def training_days(parameters, tokens):
    return 6 * parameters * tokens / (1e15 * 24 * 60 * 60)


def _test_training_days(training_days):
    got, want = float(training_days(175e9, 300e9)), 6 * 175e9 * 300e9 / PF_DAY
    if near(got, want / 3):
        raise Wrong("2 operations a parameter and token are the forward pass. The backward pass takes twice as many again.")
    if near(got, want / 6):
        raise Wrong("One operation a parameter and token? A multiplication and an addition are two, and training passes three times.")
    if near(got, want * 24) or near(got, want * 60) or near(got, want * 3600) or near(got, want * 24 * 3600):
        raise Wrong("Check the seconds: a petaFLOP/s-day is 10^15 operations in *each* of a day's 86,400 seconds.")
    if near(got, want * PF_DAY):
        raise Wrong("That is the number of operations; divide by those of one petaFLOP/s-day.")
    if near(got, want * 1e3) or near(got, want * 1e-3):
        raise Wrong("You are off by a thousand: peta is 10^15 (tera is 10^12, exa is 10^18).")
    if not near(got, want) or not near(training_days(1e9, 20e9), 6 * 1e9 * 20e9 / PF_DAY):
        raise Wrong(f"GPT-3 (175e9 parameters, 300e9 tokens) takes about 3,646 petaFLOP/s-days; yours: {got:g}.")


# ------------------------------------------------------------ scaling.2 a power law


def power_law(x, y):
    slope, offset = np.polyfit(np.log(x), np.log(y), 1)
    return np.exp(offset), -slope


def _test_power_law(power_law):
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    answer = power_law(x, 3 * x**-0.5)
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong("Return two numbers: the scale and the exponent.")
    scale, exponent = map(float, answer)
    if close(scale, -0.5) or close(scale, 0.5):
        raise Wrong("The order: first the scale, then the exponent. (np.polyfit gives the slope first.)")
    if close(exponent, -0.5):
        raise Wrong("The line's slope is −exponent: y = scale · x^(−exponent) falls for a positive exponent.")
    if close(exponent, 0.5) and close(scale, math.log(3)):
        raise Wrong("The exponent is right. The line's offset is the *logarithm* of the scale: undo it.")
    if close(exponent, 0.5) and close(scale, math.exp(math.log10(3))):
        raise Wrong("The exponent is right, but you took log10 and undid it with exp. Undo a logarithm with its own base.")
    if not close(exponent, 0.5):
        raise Wrong(f"y = 3 · x^(−0.5) should give the exponent 0.5, yours is {exponent:.3f}. A power law is straight only if *both* axes are logarithms.")
    if not close(scale, 3):
        raise Wrong(f"y = 3 · x^(−0.5) should give the scale 3, yours is {scale:.3f}.")


# ------------------------------------------------------------ scaling.3 the frontier


def frontier(compute, loss):
    kept = []
    for i in range(len(loss)):
        beaten = any(compute[j] <= compute[i] and loss[j] < loss[i] for j in range(len(loss)))
        if not beaten:
            kept.append(i)
    return sorted(kept, key=lambda i: compute[i])


def _test_frontier(frontier):
    compute, loss = [8.0, 1.0, 2.0, 4.0], [2.2, 3.0, 2.5, 2.7]
    got = list(frontier(compute, loss))
    if got == [0]:
        raise Wrong("The run with the lowest loss is *one* point of the frontier. What would you buy with less compute?")
    if sorted(got) == [1, 2, 3, 0] or sorted(got) == [0, 1, 2, 3]:
        raise Wrong("All runs are kept. The one with compute 4 and loss 2.7 is beaten by a cheaper one with loss 2.5.")
    if got == [1]:
        raise Wrong("You kept the cheapest run only. A dearer run belongs to the frontier if it is *better* than all cheaper ones.")
    if got and all(isinstance(i, float) for i in got):
        raise Wrong("Return the *indices* of the runs, not their numbers.")
    if sorted(got) == [0, 1, 2] and got != [1, 2, 0]:
        raise Wrong("The right runs, but in the order they came in: sort them by compute.")
    if got != [1, 2, 0]:
        raise Wrong(f"For compute {compute} and loss {loss} the frontier is [1, 2, 0]; yours: {got}.")
    if list(frontier([1.0, 2.0, 3.0, 4.0], [3.0, 2.0, 2.7, 2.5])) != [0, 1]:
        raise Wrong("Losses 3.0, 2.0, 2.7, 2.5: the last beats its neighbour, but not the second. Compare with *all* cheaper runs.")
    if list(frontier([1.0, 1.0], [3.0, 2.0])) != [1]:
        raise Wrong("Two runs of the same compute: the worse one is beaten, too.")


# ------------------------------------------------------------ scaling.4 the planner


def chinchilla(flops):
    parameters = (flops / 120) ** 0.5
    return parameters, 20 * parameters


def _test_chinchilla(chinchilla):
    answer = chinchilla(1.2e22)  # 1e10 parameters, 2e11 tokens
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong("Return two numbers: parameters and tokens.")
    n, d = map(float, answer)
    if near(n, 2e11) and near(d, 1e10):
        raise Wrong("Swapped: parameters first, then tokens (20 times as many).")
    if near(n * d, 1.2e22):
        raise Wrong("Your N·D is the whole budget. Each parameter costs 6 operations a token.")
    if near(2 * n * d, 1.2e22):
        raise Wrong("2·N·D is a forward pass; training costs 6·N·D.")
    if near(6 * n * d, 1.2e22) and near(d, n):
        raise Wrong("The budget is spent, but with one token a parameter: D = 20·N.")
    if near(d / n, 20) and near(n, 1.2e22 / 120):
        raise Wrong("C = 6·N·20·N = 120·N²: there is a root to take.")
    if not (near(n, 1e10) and near(d, 2e11)):
        raise Wrong(f"1.2e22 operations buy 1e10 parameters and 2e11 tokens (6 · 1e10 · 2e11); yours: {n:g} and {d:g}.")


# ------------------------------------------------------------ scaling.5 the best size under a loss law


def best_size(flops, A, alpha, B, beta):
    g = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return g * (flops / 6) ** (beta / (alpha + beta))


def _test_best_size(best_size):
    A, alpha, B, beta, flops = 400.0, 0.3, 1000.0, 0.4, 6e20
    got, want = float(best_size(flops, A, alpha, B, beta)), best_size_of_reference(flops, A, alpha, B, beta)
    c = flops / 6
    g = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    if near(got, c ** (beta / (alpha + beta)) / g):
        raise Wrong("G is upside down: a larger A (parameters matter more) must give a *larger* model.")
    if near(got, g * c ** (alpha / (alpha + beta))):
        raise Wrong("The exponent of the budget is beta/(alpha + beta): the faster *data* stops helping (a large beta), the more goes into the model.")
    if near(got, g * flops ** (beta / (alpha + beta))):
        raise Wrong("The budget is 6·N·D, so it is C/6 that N and D share.")
    if near(got, c / want):
        raise Wrong("That is the best number of tokens; the size is asked.")
    if near(got, math.sqrt(flops / 120)):
        raise Wrong("20 tokens a parameter is a rule of thumb. Here the law's own four constants decide.")
    if not near(got, want):
        raise Wrong(f"For A=400, alpha=0.3, B=1000, beta=0.4 and 6e20 operations the best size is {want:.4g}; yours: {got:.4g}.")


best_size_of_reference = best_size


# ------------------------------------------------------------ scaling.6 a model that is used


def lifetime(parameters, trained, served):
    return 6 * parameters * trained + 2 * parameters * served


def _test_lifetime(lifetime):
    got = float(lifetime(1e9, 20e9, 100e9))
    if near(got, 6e9 * 120e9):
        raise Wrong("You paid 6 operations for the served tokens, too. Serving has no backward pass.")
    if near(got, 2e9 * 120e9):
        raise Wrong("You paid 2 operations for the training tokens, too. Training takes a forward and a backward pass.")
    if near(got, 6e9 * 20e9):
        raise Wrong("That is the training alone. The served tokens are paid for as well.")
    if near(got, 2e9 * 100e9):
        raise Wrong("That is the serving alone. The model must be trained first.")
    if near(got, 6e9 * 20e9 * 100e9) or near(got, 6e9 * 20e9 * 2e9 * 100e9):
        raise Wrong("Training and serving come one after the other: add them.")
    if not near(got, 3.2e20):
        raise Wrong(f"1e9 parameters, 20e9 tokens trained, 100e9 served: 1.2e20 + 2e20 operations; yours: {got:g}.")


# ------------------------------------------------------------ scaling.7 tokens for each word


def tokens_per_word(tokenizer, texts):
    found = []
    for text in texts:
        ids = tokenizer(" " + text, add_special_tokens=False)["input_ids"]
        found.append(len(ids) / len(text.split()))
    return found


class _Toy:
    """Splits a word into pieces of four characters; a word after a blank has its blank for free."""

    def __call__(self, text, add_special_tokens=True, **options):
        words = text.split()
        pieces = [-(-len(word) // 4) for word in words]
        pieces[0] += not text.startswith(" ")  # a word without its blank in front is rarer: one piece more
        return {"input_ids": [0] * (sum(pieces) + 2 * add_special_tokens)}


def _test_tokens_per_word(tokens_per_word):
    got = tokens_per_word(_Toy(), ["tort", "habeas corpus", "in camera"])
    if isinstance(got, (int, float)):
        raise Wrong("Return a list with one number for each text: the mean and its interval come later.")
    got = [float(x) for x in got]
    if len(got) != 3:
        raise Wrong(f"Three texts give three numbers; yours are {len(got)}.")
    if close(got, [3, 3, 2.5]) or close(got, [4, 3.5, 3]):
        raise Wrong("You counted special tokens that frame a *sentence* ([CLS], [SEP], beginning, end). They are not pieces of the term.")
    if close(got, [2, 2.5, 2]):
        raise Wrong("You tokenised the term as if it began a text. In a sentence a blank stands before it, and that blank is part of the token.")
    if close(got, [1, 4, 3]) or close(got, [1, 4.0, 3.0]):
        raise Wrong("Tokens for each *term*. 'habeas corpus' is two words: divide by their number.")
    if close(got, [4, 6.5, 4.5]) or close(got, [4, 6, 4]):
        raise Wrong("Those are characters, not tokens.")
    if not close(got, [1, 2, 1.5]):
        raise Wrong(f"With a tokenizer that cuts words into fours, 'tort', 'habeas corpus', 'in camera' are 1, 4/2 and 3/2 tokens a word; yours: {got}.")


# ------------------------------------------------------------ scaling.8 spot the bug: loss per token


def loss_per_word(losses, tokens, words):
    total = sum(loss * n for loss, n in zip(losses, tokens))
    return total / sum(words)


def _test_loss_per_word(loss_per_word):
    got = float(loss_per_word([2.0, 4.0], [30, 10], [10, 10]))  # nats 60 and 40, over 20 words
    if close(got, 3.0):
        raise Wrong("That is the mean of the texts' losses a token. Texts of 30 and of 10 tokens count the same, and nothing is said of words.")
    if close(got, 2.5):
        raise Wrong("That is the loss a token, well weighted. A word cut into more tokens has a loss for each of them: divide by the *words*.")
    if close(got, 0.3):
        raise Wrong("A loss a token is already divided by tokens: multiply it by the tokens first, then divide by the words.")
    if close(got, 100.0):
        raise Wrong("100 nats is the total of both texts; divide by their words.")
    if not close(got, 5.0):
        raise Wrong(f"2.0 nats × 30 tokens and 4.0 × 10 are 100 nats over 20 words: 5.0 a word. Yours: {got:.3f}.")
    uneven = float(loss_per_word([2.0, 4.0], [30, 10], [10, 5]))
    if close(uneven, (6 + 8) / 2):
        raise Wrong("You averaged the texts' own ratios: a text of 5 words counts as much as one of 10. Total nats over total words.")
    if not close(uneven, 100 / 15):
        raise Wrong(f"With 10 and 5 words it is 100/15 = 6.667; yours: {uneven:.3f}.")


EXERCISES = [
    Exercise("scaling.1", "petaFLOP/s-days", training_days, _test_training_days, (
        "How many operations does one parameter cost for one token, forward and backward together?",
        "A day has 24 · 60 · 60 seconds; peta is 10^15.",
    ), returns=answers.number),
    Exercise("scaling.2", "fit a power law", power_law, _test_power_law, (
        "Take the logarithm of both sides of y = scale · x^(−exponent). What kind of curve is that?",
        "np.polyfit(np.log(x), np.log(y), 1) gives the slope and the offset.",
    )),
    Exercise("scaling.3", "the frontier", frontier, _test_frontier, (
        "A run is beaten if another one costs no more and has a lower loss.",
        "Keep the index of every run that no other one beats; sort the kept ones by compute.",
    )),
    Exercise("scaling.4", "the planner", chinchilla, _test_chinchilla, (
        "Put D = 20·N into C = 6·N·D.",
        "Solve C = 120·N² for N.",
    )),
    Exercise("scaling.5", "the best size under a law", best_size, _test_best_size, (
        "Put D = C/(6·N) into A/N^alpha + B/D^beta and ask where its slope is zero.",
        "At the best point alpha·A/N^alpha = beta·B/D^beta.",
        "N = G · (C/6)^(beta/(alpha+beta)) with G = (alpha·A/(beta·B))^(1/(alpha+beta)).",
    )),
    Exercise("scaling.6", "a model that is used", lifetime, _test_lifetime, (
        "6 operations a parameter for a token of training. How many for a token that is served?",
    )),
    Exercise("scaling.7", "tokens for each word", tokens_per_word, _test_tokens_per_word, (
        "tokenizer(text, add_special_tokens=False)[\"input_ids\"] is the list of ids.",
        "Put a blank in front, as in the middle of a sentence; text.split() counts the words.",
    )),
    Exercise("scaling.8", "spot the bug: loss for each word", loss_per_word, _test_loss_per_word, (
        "What is a text's loss as a whole, if it has 30 tokens with 2.0 nats each?",
        "Add up the totals of all texts, then divide once.",
    )),
]  # fmt: skip
