"""The words of a field: reference answers and their tests."""

from __future__ import annotations

from . import answers
from .cases import compare
from .engine import Exercise

# ------------------------------------------------------------ scaling.7 tokens for each word


def tokens_per_word(tokenizer, texts):
    found = []
    for text in texts:
        ids = tokenizer(" " + text, add_special_tokens=False)["input_ids"]
        found.append(len(ids) / len(text.split()))
    return found


TERMS = ["tort", "habeas corpus", "in camera", "pro pro rata itineris", "estoppel"]


def toy_tokenizer(before: int, after: int):
    """A tokenizer that cuts words into fours; ``before`` and ``after`` are its special tokens.

    A word's blank belongs to its first piece. A text that begins without one costs a piece more.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    cut = pre_tokenizers.Split(Regex("^[^ ]| ?[^ ]{1,4}| +"), "isolated")
    pieces = {piece for text in TERMS for start in ("", " ") for word in [text, *text.split()]
              for piece, _ in cut.pre_tokenize_str(start + word)}  # fmt: skip
    names = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", *sorted(pieces)]
    fast = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    fast.pre_tokenizer = cut
    fast.post_processor = processors.TemplateProcessing(
        single=" ".join(["[CLS]"] * before + ["$A"] + ["[SEP]"] * after),
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="[UNK]", pad_token="[PAD]",
                                   cls_token="[CLS]", sep_token="[SEP]")  # fmt: skip


def _count(blank=" ", special=False, minus=0, count=len, by=lambda text: len(text.split())):
    return lambda t, texts: [
        (count(t(blank + text, add_special_tokens=special)["input_ids"]) - minus) / by(text) for text in texts
    ]


def _each_word_alone(t, texts):
    return [sum(len(t(word, add_special_tokens=False)["input_ids"]) for word in x.split()) / len(x.split()) for x in texts]


SPECIAL = "You counted special tokens that frame a *sentence* ([CLS], [SEP], beginning, end). They are not pieces of the term."
ALONE = "You tokenised the term as if it began a text. In a sentence a blank stands before it, and that blank is part of the token."
WORD_SLIPS = [
    (SPECIAL, _count(special=True)),
    (SPECIAL + " And a blank stands before a term in a sentence.", _count("", special=True)),
    ("Tokenizers add different numbers of special tokens, one or two or none: do not subtract, ask for none.", _count(special=True, minus=2)),
    ("Tokenizers add different numbers of special tokens, one or two or none: do not subtract, ask for none.", _count(special=True, minus=1)),
    (ALONE, _count("")),
    (ALONE, _each_word_alone),
    ("Tokens for each *term*. 'habeas corpus' is two words: divide by their number.", _count(by=lambda text: 1)),
    ("A piece that occurs twice is two tokens: do not count *different* ids.", _count(count=lambda ids: len(set(ids)))),
    ("You divided the number of words by the number of tokens.", lambda t, texts: [1 / n for n in tokens_per_word(t, texts)]),
    ("Those are characters, not tokens.", lambda t, texts: [len(x) / len(x.split()) for x in texts]),
    ("Those are characters, not tokens.", lambda t, texts: [len(x.replace(" ", "")) / len(x.split()) for x in texts]),
]  # fmt: skip


def _test_tokens_per_word(tokens_per_word):
    named = [("a tokenizer with two special tokens", (1, 1)), ("a tokenizer with one special token", (0, 1)),
             ("a tokenizer without special tokens", (0, 0))]  # fmt: skip
    cases = [(words, (toy_tokenizer(*special), TERMS)) for words, special in named]
    compare(tokens_per_word, tokens_per_word_of_reference, cases, WORD_SLIPS)


tokens_per_word_of_reference = tokens_per_word


# ------------------------------------------------------------ scaling.8 spot the bug: an unfair comparison


def fair_loss(losses, tokens, words):
    total = sum(loss * n for loss, n in zip(losses, tokens))
    return total / sum(words)


FAIR_SLIPS = [
    ("That is the mean of the texts' losses per token. It still depends on how finely the tokenizer cuts, and a text of 10 tokens counts like one of 30.",
     lambda x, t, w: sum(x) / len(x)),
    ("That is the loss per token, as before: cut the same words into more tokens, and it falls.",
     lambda x, t, w: sum(a * b for a, b in zip(x, t)) / sum(t)),
    ("A loss per token is already divided by the tokens. What is the loss of a whole text?", lambda x, t, w: sum(x) / sum(w)),
    ("That is the total of all texts: it grows with the amount of text.", lambda x, t, w: sum(a * b for a, b in zip(x, t))),
    ("That is the total for each text: a longer text has more to predict.", lambda x, t, w: sum(a * b for a, b in zip(x, t)) / len(x)),
    ("You averaged the texts' own ratios: a text of 5 words counts as much as one of 10. Pool the texts, then divide once.",
     lambda x, t, w: sum(a * b / c for a, b, c in zip(x, t, w)) / len(x)),
    ("You added the texts' own ratios up: pool the texts, then divide once.", lambda x, t, w: sum(a * b / c for a, b, c in zip(x, t, w))),
    ("You weighted the texts by their words; a loss per token has to be turned into a text's total first.",
     lambda x, t, w: sum(a * c for a, c in zip(x, w)) / sum(w)),
    ("The mean loss per token times the tokens per word: right only if the texts are equally long. What is the loss of each whole text?",
     lambda x, t, w: sum(x) / len(x) * sum(t) / sum(w)),
]  # fmt: skip


def _test_fair_loss(fair_loss):
    cases = [
        ("60 and 40 nats", ([2.0, 4.0], [30, 10], [10, 10])),
        ("the same nats, cut into twice the tokens", ([1.0, 2.0], [60, 20], [10, 10])),
        ("60 and 40 nats, 10 and 5 words", ([2.0, 4.0], [30, 10], [10, 5])),
        ("three texts", ([1.5, 3.5, 2.5], [8, 40, 12], [7, 16, 11])),
        ("one text", ([3.0], [7], [4])),
    ]
    compare(fair_loss, fair_loss_of_reference, cases, FAIR_SLIPS)


fair_loss_of_reference = fair_loss

# ------------------------------------------------------------ domains.1 from hours to a plan


def plan(hours, speed, useful):
    operations = hours * 3600 * speed * useful
    parameters = (operations / (6 * 20)) ** 0.5
    return parameters, 20 * parameters


def _planned(hours, speed, useful, seconds=3600.0, share=1.0, per=120.0):
    parameters = (hours * seconds * speed * useful**share / per) ** 0.5
    return parameters, 20 * parameters


PLAN_SLIPS = [
    ("The speed is in operations per second, the time in hours: an hour has 3,600 seconds.", lambda h, s, u: _planned(h, s, u, seconds=1)),
    ("An hour has 3,600 seconds; 60 is a minute.", lambda h, s, u: _planned(h, s, u, seconds=60)),
    ("You spent all operations on 6ND. Only the share `useful` of them counts there.", lambda h, s, u: _planned(h, s, u, share=0)),
    ("You divided by `useful`: with less useful work the model must become smaller, not larger.", lambda h, s, u: _planned(h, s, u, share=-1)),
    ("C = 6 · N · D = 6 · N · 20 · N: divide by 6 *and* by 20 before the root.", lambda h, s, u: _planned(h, s, u, per=6)),
    ("C = 6 · N · D = 6 · N · 20 · N: divide by 6 *and* by 20 before the root.", lambda h, s, u: _planned(h, s, u, per=20)),
    ("C = 6 · N · 20 · N = 120 · N²: take the square root.", lambda h, s, u: (n := h * 3600 * s * u / 120, 20 * n)),
    ("The right two numbers in the wrong order: parameters first, then tokens.", lambda h, s, u: plan(h, s, u)[::-1]),
    ("The tokens are 20 for each parameter.", lambda h, s, u: (plan(h, s, u)[0],) * 2),
]  # fmt: skip


def _test_plan(plan):
    cases = [
        ("1,000 hours at 10¹⁴ operations per second, all of them useful", (1000.0, 1e14, 1.0)),
        ("2,500 hours at 3 · 10¹⁴, two thirds useful", (2500.0, 3e14, 2 / 3)),
        ("half an hour at 5 · 10¹³, 0.9 useful", (0.5, 5e13, 0.9)),
    ]
    compare(plan, plan_of_reference, cases, PLAN_SLIPS)


plan_of_reference = plan


EXERCISES = [
    Exercise("scaling.7", "tokens for each word", tokens_per_word, _test_tokens_per_word, (
        "tokenizer(text, add_special_tokens=False)[\"input_ids\"] is the list of ids, and tokenizer.tokenize(text) the list of pieces.",
        "Put a blank in front, as in the middle of a sentence; text.split() counts the words.",
    ), returns=answers.list_of(answers.number, "a list with one number for each text (their mean comes later)"), minutes=5),
    Exercise("scaling.8", "spot the bug: which field is harder?", fair_loss, _test_fair_loss, (
        "Cut the same text into twice as many tokens, with the same total loss. What happens to the colleague's number?",
        "What is a text's loss as a whole, if it has 30 tokens with 2.0 nats each? And what does not change with the tokenizer?",
    ), returns=answers.number),
    Exercise("domains.1", "from hours to a plan", plan, _test_plan, (
        "Work out the operations first: hours in seconds, times the speed, times the share that counts.",
        "Put D = 20·N into C = 6·N·D. One unknown is left, squared.",
    ), returns=answers.tuple_of(answers.number, answers.number, words="two numbers, parameters and tokens"), minutes=5),
]  # fmt: skip
