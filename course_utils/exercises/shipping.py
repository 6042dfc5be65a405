"""Shipping a model: reference answers and their tests."""

from __future__ import annotations

import ast
import re

import torch
from torch.nn import functional as F

from . import answers
from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ shipping.1 INT8, row by row


def quantise(weight):
    scale = weight.abs().amax(1, keepdim=True) / 127
    scale = scale.clamp(min=1e-12)
    return (weight / scale).round().to(torch.int8), scale


def _test_quantise(quantise):
    weight = torch.tensor([[0.5, -1.27, 0.017], [127.0, 64.6, -10.0]])
    got = quantise(weight.clone())
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong("Return two tensors: the integers and the scales.")
    integers, scale = got
    if not isinstance(integers, torch.Tensor) or integers.dtype != torch.int8:
        raise Wrong("The integers must be of dtype torch.int8: that is where the bytes are saved.")
    if torch.as_tensor(scale).numel() == 1:
        raise Wrong("One scale for the whole matrix: the small first row is rounded to almost nothing. Each row has its own.")
    if tuple(scale.shape) != (2, 1):
        raise Wrong(f"The scales have the shape {tuple(scale.shape)}; keep them as (rows, 1), so that integers * scale works.")
    if integers[0, 1] != -127:
        raise Wrong(f"-1.27 is the largest of its row *in size* and must become -127, not {integers[0, 1]}.")
    if integers[1].tolist() == [127, 64, -10]:
        raise Wrong("64.6 became 64: casting to int8 cuts the decimals off. Round first.")
    if not close(integers * scale, weight, 0.51):
        raise Wrong("integers * scale does not give the weights back.")
    if integers.tolist() != [[50, -127, 2], [127, 65, -10]]:
        raise Wrong(f"Expected [[50, -127, 2], [127, 65, -10]], got {integers.tolist()}.")
    integers, scale = quantise(torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    if not (torch.isfinite(scale) & (scale > 0)).all() or integers[0].tolist() != [0, 0]:
        raise Wrong("A row of zeros has a scale of 0, and 0 / 0 is not a number: give it some small scale.")


# ------------------------------------------------------------ shipping.2 a pruning mask


def keep_mask(weight, sparsity):
    remove = round(sparsity * weight.numel())
    smallest = weight.abs().flatten().topk(remove, largest=False, sorted=False).indices
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[smallest] = False
    return mask.reshape(weight.shape)


def _test_keep_mask(keep_mask):
    weight = torch.tensor([[3.0, -4.0], [0.5, -1.0]])
    mask = keep_mask(weight.clone(), 0.5)
    if not isinstance(mask, torch.Tensor) or mask.shape != weight.shape:
        raise Wrong("Return a mask of the weight's own shape.")
    mask = mask.bool()
    if mask.tolist() == [[False, False], [True, True]]:
        raise Wrong("Your mask is turned round: True is for the weights that *stay*, the large ones.")
    if mask.tolist() == [[True, False], [True, False]]:
        raise Wrong("You removed -4, the largest weight of all: magnitude is the size without the sign.")
    if mask.tolist() != [[True, True], [False, False]]:
        raise Wrong(f"Of 3, -4, 0.5, -1 the two largest in size stay; yours: {mask.tolist()}.")
    torch.manual_seed(0)
    weight = torch.randn(20, 30) * 0.01
    for sparsity, removed in ((0.0, 0), (0.25, 150), (1.0, 600)):
        got = int((~keep_mask(weight, sparsity).bool()).sum())
        if got != removed:
            raise Wrong(f"At a sparsity of {sparsity} you removed {got} of 600 weights, not {removed}: sparsity is a share of the weights, not a threshold on their values.")
    if int((~keep_mask(torch.ones(4, 5), 0.5).bool()).sum()) != 10:
        raise Wrong("Among equal weights, too, exactly the wanted number goes: rank them, do not compare with a threshold.")


# ------------------------------------------------------------ shipping.3 the distillation loss


def distillation_loss(student, teacher, temperature):
    log_q = (student / temperature).log_softmax(-1)
    log_p = (teacher / temperature).log_softmax(-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    return temperature**2 * kl.mean()


def _test_distillation_loss(distillation_loss):
    torch.manual_seed(0)
    student, teacher = torch.randn(4, 6) * 2, torch.randn(4, 6) * 2
    got = torch.as_tensor(distillation_loss(student.clone(), teacher.clone(), 2.0))
    want = distillation_loss_of(student, teacher, 2.0)
    if got.numel() != 1:
        raise Wrong(f"A loss is one number; yours has the shape {tuple(got.shape)}.")
    if close(got, distillation_loss_of(teacher, student, 2.0)):
        raise Wrong("You have KL(student ‖ teacher). The expectation is over the *teacher's* probabilities.")
    if close(got, want / 4):
        raise Wrong("T² is missing: without it the gradients shrink as the temperature grows.")
    if close(got, want / 6):
        raise Wrong("You averaged over the vocabulary too: sum over the words, average over the positions.")
    if close(got, want * 4):
        raise Wrong("You added up the positions: take their mean.")
    if close(got, distillation_loss_of(student, teacher, 1.0)) or close(got, 4 * distillation_loss_of(student, teacher, 1.0)):
        raise Wrong("The temperature does not soften anything: divide *both* sets of logits by it.")
    if close(got, F.cross_entropy(student, teacher.argmax(-1))):
        raise Wrong("That is the cross-entropy with the teacher's likeliest word. Use its whole distribution.")
    if not close(got, want):
        raise Wrong(f"For the check's example the loss is {want:.4f}; yours is {got.item():.4f}.")
    if not close(distillation_loss(teacher, teacher, 3.0), 0.0):
        raise Wrong("A student equal to its teacher has a loss of 0.")


def distillation_loss_of(student, teacher, temperature):
    """The library's value for the check above."""
    q, p = ((x / temperature).log_softmax(-1) for x in (student, teacher))
    return temperature**2 * F.kl_div(q, p, log_target=True, reduction="batchmean")


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


def _test_tree_value(tree_value):
    def run(text):
        return tree_value(ast.parse(text, mode="eval").body)

    for text, value in (("7", 7), ("2 + 3 * 4", 14), ("(2 + 3) * 4", 20), ("-3 - -1.5", -1.5), ("10 - 4 - 3", 3), ("9 / 2", 4.5)):
        try:
            got = run(text)
        except ValueError as error:
            raise Wrong(f"{text} was refused ({error}). Numbers, + - * / and a minus in front are all allowed.") from error
        if got is None or not close(got, value):
            raise Wrong(f"{text} is {value}; yours is {got}. Does each side of an operation go through tree_value itself?")
    refused = (
        ("().__class__", "an attribute came through: from any object it leads to everything Python can do"),
        ("print(1)", "a call was carried out: the model decides what runs on your machine"),
        ("price * 3", "a name was looked up: the model could read any variable"),
        ("2 ** 9", "an operation that is not on the list was carried out"),
        ("'ab' * 3", "a text is not a number, even though it stands in the tree as a constant"),
        ("True + 1", "True came through: isinstance(True, int) holds. Compare the type itself"),
        ("1 + (lambda: 2)()", "a function inside an operation was carried out"),
    )
    for text, why in refused:
        try:
            run(text)
        except ValueError:
            continue
        except NotImplementedError:
            raise
        except Exception as error:
            raise Wrong(f"{text!r} ended in {type(error).__name__}: {error}. Refuse what you do not know with a ValueError.") from error
        raise Wrong(f"{text!r}: {why}.")


# ------------------------------------------------------------ shipping.5 read an action


def read_action(text):
    own = re.split(r"(?m)^Observation:", text)[0]
    found = re.search(r"Action:\s*(\w+)\[(.*?)\]", own)
    return (found[1], found[2].strip()) if found else None


def _test_read_action(read_action):
    text = "I add the two.\nAction: Calculate[(2 + 3) * 4]\nObservation: 5\nThought: Done.\nAction: Finish[5]"
    got = read_action(text)
    if got in (("Finish", "5"), ["Finish", "5"]):
        raise Wrong("You took the action that follows an observation the model *invented*. The first action counts; the tool has not answered yet.")
    if got is None:
        raise Wrong("There is an action in the check's text, and you returned None.")
    if tuple(got) == ("Calculate", "(2 + 3"):
        raise Wrong("The argument was cut at a round bracket: it ends at ].")
    if isinstance(got[1], str) and "Finish" in got[1]:
        raise Wrong("The argument goes on to the *last* ] of the text: a pattern with .* takes as much as it can.")
    if tuple(got) != ("Calculate", "(2 + 3) * 4"):
        raise Wrong(f"Expected ('Calculate', '(2 + 3) * 4'), got {got}.")
    if read_action("I should look it up.") is not None:
        raise Wrong("A text without an action gives None, so that the loop can count the failure.")
    if read_action("I think.\nObservation: 3\nThought: so\nAction: Finish[3]") is not None:
        raise Wrong("The only action there comes after an invented observation: it rests on nothing. Return None.")
    if read_action("Observation: 3\nAction: Finish[3]") is not None:
        raise Wrong("There the invented observation stands in the very first line, and you believed it.")
    if read_action("Action: Search[ a lost key ]") != ("Search", "a lost key"):
        raise Wrong("Take the spaces around the argument away.")


# ------------------------------------------------------------ shipping.6 a guard


def guarded(draw, is_bad, tries):
    for attempt in range(tries):
        text = draw(attempt)
        if not is_bad(text):
            return text
    return None


def _test_guarded(guarded):
    def run(texts, tries):
        asked = []

        def draw(attempt):
            asked.append(attempt)
            return texts[attempt]

        return guarded(draw, lambda text: "idiot" in text, tries), asked

    got, asked = run(["Bo is an idiot.", "Bo is late.", "never"], 3)
    if got == "Bo is an idiot.":
        raise Wrong("The bad text was let through.")
    if got is None:
        raise Wrong("The second draw was good and was not used: try again before you give up.")
    if asked == [0, 0] or len(set(asked)) < len(asked):
        raise Wrong("You asked for the same draw twice: pass another number each time, or the same text comes back.")
    if len(asked) > 2:
        raise Wrong("You went on drawing after a good text: each draw costs seconds.")
    if got != "Bo is late.":
        raise Wrong(f"Expected the first good text, 'Bo is late.'; got {got!r}.")
    got, asked = run(["idiot 1", "idiot 2", "idiot 3", "fine"], 3)
    if got is not None and "idiot" in got:
        raise Wrong("All three draws were bad and one was returned: when the tries are used up, return None.")
    if len(asked) != 3 or got is not None:
        raise Wrong(f"With tries = 3 you drew {len(asked)} times and returned {got!r}; stop after 3 with None.")


# ------------------------------------------------------------ shipping.7 what an answer costs


def cost_per_thousand(tokens_per_answer, tokens_per_second, price_per_hour):
    seconds = 1000 * tokens_per_answer / tokens_per_second
    return seconds / 3600 * price_per_hour


def _test_cost_per_thousand(cost_per_thousand):
    got = cost_per_thousand(36, 20, 0.5)  # 1800 s, half an hour
    if not isinstance(got, (int, float)):
        raise Wrong("Return one number.")
    if close(got, 900.0):
        raise Wrong("You multiplied seconds by a price per *hour*.")
    if close(got, 0.00025, 1e-6):
        raise Wrong("That is the price of one answer; asked is that of a thousand.")
    if close(got, 0.5 * 20 * 1000 / 36 / 3600, 1e-6):
        raise Wrong("Tokens per second stands upside down: a faster model must be cheaper.")
    if not close(got, 0.25, 1e-6):
        raise Wrong(f"36,000 tokens at 20 a second are 1,800 seconds, half an hour: 0.25, not {got:g}.")


EXERCISES = [
    Exercise(
        "shipping.1",
        "INT8, row by row",
        quantise,
        _test_quantise,
        (
            "A scale says how much one step of the integers is worth. The largest weight of a row, without its sign, shall become 127.",
            "torch.amax has a dim and a keepdim. Divide, round, and only then change the dtype; clamp the scales so that none is 0.",
        ),
        "One byte a weight and four bytes a row.",
    ),
    Exercise(
        "shipping.2",
        "a pruning mask",
        keep_mask,
        _test_keep_mask,
        (
            "How many weights go? A share of all of them, rounded. Which? The smallest in size.",
            "topk with largest=False finds the indices of the smallest of the flattened absolute values (argsort too, more slowly); set a mask of ones to False there.",
        ),
        "Rank, do not compare with a threshold: then ties cannot surprise you.",
    ),
    Exercise(
        "shipping.3",
        "the distillation loss",
        distillation_loss,
        _test_distillation_loss,
        (
            "Both log-distributions come from logits divided by the temperature. KL weights their difference with the teacher's probabilities.",
            "Sum over the last axis (the words), mean over the rest (the positions), and multiply by the square of the temperature.",
        ),
        "The teacher's whole distribution, not only its first choice.",
    ),
    Exercise(
        "shipping.4",
        "spot the bug: eval with an empty namespace",
        tree_value,
        _test_tree_value,
        (
            "List what is allowed and refuse the rest. A list of what is forbidden always misses something.",
            "Three kinds of node are enough: ast.Constant (of type int or float), ast.UnaryOp with ast.USub, ast.BinOp with four operators.",
        ),
        "What is not on the list cannot happen, whatever the model writes.",
    ),
    Exercise(
        "shipping.5",
        "read an action",
        read_action,
        _test_read_action,
        (
            "First cut off what the model may not write: everything from an 'Observation:' at the beginning of a line on.",
            "re.search finds the first match. Inside the brackets a pattern with .*? stops at the first ].",
        ),
        "A missing action is a result too: None.",
        returns=answers.maybe(
            answers.tuple_of(answers.text, answers.text, words="a name and its argument")
        ),
    ),
    Exercise(
        "shipping.6",
        "a guard that tries again",
        guarded,
        _test_guarded,
        (
            "At most `tries` draws, numbered 0, 1, 2 …; the first that is not bad is the answer.",
            "Return from inside the loop. What is left to return after it?",
        ),
        "Better no answer than a bad one, and not more draws than needed.",
        returns=answers.maybe(answers.text),
    ),
    Exercise(
        "shipping.7",
        "what a thousand answers cost",
        cost_per_thousand,
        _test_cost_per_thousand,
        (
            "How many seconds do a thousand answers take?",
            "The price is for 3,600 seconds.",
        ),
        "Half the tokens a second, twice the price.",
    ),
]
