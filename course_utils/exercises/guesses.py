"""Predict first: a guess is written down before a result, and compared with it in words after.

``predict("lab1.p2", 0.7)`` stands before the cell whose result is in question and
``guessed("lab1.p2", value)`` at its end. An unwritten guess is ``None``: both then print a line.
What each prompt takes as a guess is in ``GUESSES``, in teaching order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from numbers import Real

from . import record


@dataclass(frozen=True)
class Number:
    """A guess that is a number, from ``low`` to ``high``.

    It is close if it is within ``near`` of the result, or within a factor ``times`` where that is
    given. ``form`` and ``unit`` say how numbers are printed.
    """

    id: str
    asks: str
    near: float = 0.0
    times: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    form: str = ".2f"
    unit: str = ""

    @property
    def wanted(self) -> str:
        """What may be written, in words."""
        if math.isinf(self.high):
            return "a number" + (f" of{self.unit}" if self.unit else "")
        return f"a number from {self.low:g} to {self.high:g}"

    def read(self, guess) -> float | None:
        """The guess as a number; None if it is none, or out of range. ``"30 %"`` is 0.3."""
        if isinstance(guess, str):
            text = guess.strip().removesuffix(self.unit.strip()).replace(",", "")
            scale = 100 if text.endswith("%") else 1
            try:
                guess = float(text.removesuffix("%")) / scale
            except ValueError:
                return None
        if isinstance(guess, bool) or not isinstance(guess, Real) or math.isnan(guess):
            return None
        return float(guess) if self.low <= guess <= self.high else None

    def words(self, value) -> str:
        """The number as it is printed."""
        return f"{value + 0.0:{self.form}}{self.unit}"

    def compare(self, guess: float, value: float) -> tuple[bool, str]:
        """Whether the guess is close, and a sentence."""
        said = f"You guessed {self.words(guess)}; it is {self.words(value)}"
        side = "high" if guess > value else "low"
        if self.times:
            ratio = max(guess, value) / min(guess, value) if min(guess, value) > 0 else math.inf
            by = "" if math.isinf(ratio) else f", by a factor of {ratio:.3g}"
            close, off = ratio <= self.times, f"too {side}{by}"
        else:
            gap = abs(guess - value)
            close = gap <= self.near + 1e-9
            points = f"{100 * gap:.0f} points" if self.form.endswith("%") else self.words(gap)
            off = f"too {side} by {points}"
        if self.words(guess) == self.words(value):
            return True, f"{said}: right."
        return close, f"{said}: {'close' if close else off}."


@dataclass(frozen=True)
class Choice:
    """A guess that is one of a few texts."""

    id: str
    asks: str
    options: tuple[str, ...]

    @property
    def wanted(self) -> str:
        """What may be written, in words."""
        return "one of " + ", ".join(f'"{option}"' for option in self.options)

    def read(self, guess) -> str | None:
        """The option that is meant: capitals do not matter, the beginning is enough if it is one's alone."""
        text = str(guess).strip().lower()
        exact = [option for option in self.options if option.lower() == text]
        begun = [option for option in self.options if text and option.lower().startswith(text)]
        found = exact or begun
        return found[0] if len(found) == 1 else None

    def words(self, value) -> str:
        """The option in quotation marks."""
        return f'"{value}"'

    def compare(self, guess: str, value) -> tuple[bool, str]:
        """Whether the guess is right, and a sentence."""
        if guess == str(value):
            return True, f'You guessed "{guess}", and so it is.'
        return False, f'You guessed "{guess}"; it is "{value}".'


@dataclass(frozen=True)
class Order:
    """A guess that is an order of some letters, best first: ``"A C B"``."""

    id: str
    asks: str
    letters: str

    @property
    def wanted(self) -> str:
        """What may be written, in words."""
        return f'the letters in your order, for example "{" ".join(self.letters)}"'

    def read(self, guess) -> str | None:
        """The letters with blanks between; None if one is missing or twice there."""
        found = [letter for letter in str(guess).upper() if letter.isalpha()]
        return " ".join(found) if sorted(found) == sorted(self.letters) else None

    def words(self, value) -> str:
        """The order as it is."""
        return str(value)

    def compare(self, guess: str, value: str) -> tuple[bool, str]:
        """Whether all pairs stand in the same order, and a sentence that counts those that do."""
        pairs = list(combinations(value.split(), 2))
        same = sum(guess.index(a) < guess.index(b) for a, b in pairs)
        return same == len(pairs), (
            f"You guessed {guess}; it is {value}: {same} of {len(pairs)} pairs stand alike."
        )


def share(id: str, asks: str, near: float = 0.1) -> Number:
    """A number from 0 to 1, printed in per cent."""
    return Number(id, asks, near=near, low=0, high=1, form=".0%")


def count(id: str, asks: str, of: int, near: float = 0) -> Number:
    """A whole number from 0 to ``of``."""
    return Number(id, asks, near=near, low=0, high=of, form=".0f")


MODELS = ("MiniLM", "SmolLM2", "MiniLM and SmolLM2", "neither")
CHANGE = ("better", "worse", "cannot tell")

GUESSES: list[Number | Choice | Order] = [
    Number("what.p4", "n after cell A once and cell B twice", form=".0f"),
    Number("what.p5", "hours billed over a weekend", near=1, form=".0f", unit=" hours"),
    Choice("what.p1", "does a small limit make an answer briefer", ("yes", "no")),
    Choice("what.p2", "solved pairs needed for capitals", ("0", "1", "2", "4", "never")),
    Choice("what.p6", "does an essay of three sentences end by itself", ("yes", "no")),
    count("what.p9", "answers of 36 with other words in 16 bits", of=36, near=4),
    share("what.p3", "exact match of ten tokens at p = .80", near=0.05),
    Choice("what.p8", "is a step's second gain more than twice its first", ("yes", "no")),
    Number("what.p7", "years to read two trillion tokens", times=2, low=0, form=",.0f", unit=" years"),
    Number("transformer.p3", "largest of 16 undivided weights", near=0.1, low=0, high=1),
    Choice("transformer.p4", "'bites' in two orders of words", ("equal", "different")),
    Number("transformer.p7", "runs of the decoder for twelve words", form=".0f"),
    share("transformer.p1", "RNN right at a distance of 5", near=0.1),
    Number("transformer.p6", "growth of U for a state twice as wide", form=".0f"),
    Choice("transformer.p5", "is the last word less surprising after the comma than after the noun", ("yes", "no")),
    Choice("transformer.p2", "who tells two banks apart by a later word", MODELS),
    Choice("families.p1", "whose 'bank' moves with the last word", MODELS),
    Choice("families.p3", "who chooses between this and these", ("encoder", "decoder", "both", "neither")),
    share("families.p2", "next words right under the colleague's mask", near=0.05),
    Choice("building.p1", "which costs more: tuning a model, or a million requests", ("fine-tuning", "a million requests")),
    count("building.p2", "questions answered rightly with the text that was looked up", of=32, near=3),
    Choice("building.p3", "the price of what the shop does not sell", ("an error status", "a price", "nothing")),
    count("building.p4", "insults left, when the best of four answers is chosen", of=12, near=1),
    count("building.p5", "requests that reach the model", of=4),
    Choice("lab1.p1", "a dialogue and no instruction",
           ("a summary", "more dialogue", "something else")),
    Choice("lab1.p3", "a prompt beats the first 20 words", ("yes", "no")),
    Number("lab1.p2", "the favourite at T = 0.5", near=0.05, low=0, high=1),
    Number("compute.p1", "1 + 1000 x 0.001 in BF16", near=0.005),
    count("compute.p2", "ways of rounding that cost a twentieth", of=5),
    Number("compute.p3", "perplexity in the library's INT8", times=1.5, low=0, form=".0f"),
    Choice("scaling.p3", "ten times the parameters or the text", ("parameters", "text", "cannot tell")),
    Choice("scaling.p1", "1,248 steps: planned, or stopped halfway",
           ("planned is better", "stopped is better", "cannot tell")),
    Choice("scaling.p2", "prose after training on two fields", CHANGE),
    share("domains.p1", "read, of the tokens that the plan wants", near=0.05),
    count("tuning.p1", "names asked for, answered by a topic", of=10, near=1),
    Choice("tuning.p2", "which summary ROUGE likes least",
           ("wrong number", "negation", "wrong person", "true, other words")),
    share("lab2.p1", "labels that are padding"),
    Choice("lab2.p2", "ahead in ROUGE-1 before training", ("zero-shot", "first 20 words")),
    share("lab2.p3", "bfloat16 weights that an update of 0.00001 moves"),
    Number("lab2.p4", "how many times smaller the adapter's file is", times=1.5, low=0, form=".0f"),
    Choice("lab2.p5", "ROUGE-1 after training", ("full", "LoRA", "cannot tell")),
    Choice("lab2.p6", "unrelated answers after full fine-tuning", CHANGE),
    Choice("peft.p1", "who has a gradient at step 0", ("A", "B", "A and B", "neither")),
    Choice("peft.p2", "better rate for full, then for LoRA",
           ("low and low", "low and high", "high and low", "high and high")),
    share("peft.p3", "squares in 8 of 576 directions"),
    share("peft.p4", "gain without the 8 largest directions"),
    Number("adapters.p1", "NLL lost by four bits with a scale per row", near=0.3, unit=" nats"),
    Number("adapters.p2", "NLL that QLoRA loses against LoRA", near=0.1, unit=" nats"),
    Order("reward.p1", "five summaries, best first", "ABCDE"),
    Number("reward.p2", "kappa of two who never agree on a toxic text", near=0.1, low=-1, high=1),
    Number("reward.p3", "P(A > C) after 8 of 10 twice", near=0.02, low=0, high=1),
    share("reward.p5", "pairs where neutral beats the kind word"),
    Number("reward.p4", "rank of the summary that invents", low=1, high=5, form=".0f"),
    share("reward.p6", "confounded model on the counter-test"),
    share("reward.p7", "questions in which A is the likelier letter"),
    Number("lab3.p1", "KL before any training", near=0.001, low=0, form=".3g", unit=" nats"),
    Number("lab3.p2", "the policy's first loss", near=0.001, form=".3f"),
    Number("lab3.p3", "insults after imitation", near=0.05, low=0, high=1),
    share("beyond.p1", "insults left at n = 64, of those at n = 1", near=0.15),
    Choice("beyond.p2", "the chosen answers under DPO", ("more likely", "less likely")),
    count("shipping.p3", "sums right by the best of three ways", of=20, near=2),
    count("reasoning.p1", "groups of the plain model whose rewards are all equal", of=8, near=1),
    Choice("reasoning.p2", "sums of other kinds after GRPO", CHANGE),
    Number("shipping.p1", "NLL lost by INT8 arithmetic", near=0.2, unit=" nats"),
    share("shipping.p2", "file size with half of the weights at 0", near=0.05),
    Number("cheap.p1", "tokens per forward pass with prompt lookup", near=0.3, low=1, high=11, form=".1f"),
    share("cheap.p2", "steps of continuous batching, of those of static batches"),
    count("shipping.p4", "sums whose call works without a mask", of=16, near=2),
    count("applications.p1", "answers that forged turns take over", of=20, near=3),
]  # fmt: skip


def find(id: str) -> Number | Choice | Order:
    """What the prompt of that id takes as a guess.

    Raises
    ------
    KeyError
        if there is no such prompt.
    """
    known = {guess.id: guess for guess in GUESSES}
    if id not in known:
        raise KeyError(f"There is no prediction {id!r}; there are {', '.join(known)}.")
    return known[id]


def predict(id: str, guess=None) -> None:
    """Write a guess down before the result is seen. It is kept; once the result was shown, it stays."""
    asked = find(id)
    before = _last("guess", id)
    if guess is None or guess is ...:
        if before is None:
            print(f"{id}: no guess yet. Write {asked.wanted} in the place of None, then run on.")
        else:
            print(f"{id}: your guess is {asked.words(before)}.")
        return
    read = asked.read(guess)
    if read is None:
        print(f"{id}: {guess!r} cannot be compared. Write {asked.wanted}.")
    elif before is not None and before != read and _last("outcome", id) is not None:
        print(f"{id}: the result was shown already; your guess stays {asked.words(before)}.")
    else:
        if before != read:
            record.add("guess", exercise=id, value=read)
        print(f"{id}: your guess is {asked.words(read)}. Run on, and compare.")


def guessed(id: str, value) -> None:
    """Say how the guess compares with the result ``value``, in words."""
    asked = find(id)
    value = value.item() if hasattr(value, "item") else value
    guess = _last("guess", id)
    if guess is None:
        print(f"{id}: no guess was written; it is {asked.words(value)}.")
        return
    close, sentence = asked.compare(guess, value)
    if _last("outcome", id) is None:
        record.add("outcome", exercise=id, value=guess, result=value, close=bool(close))
    print(f"{id}: {sentence}")


def _last(kind: str, id: str):
    """What the record holds last of that kind, if it can still be read; else None."""
    found = [e.get("value") for e in record.entries(kind) if e.get("exercise") == id]
    return find(id).read(found[-1]) if found else None
