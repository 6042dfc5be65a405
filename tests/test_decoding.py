"""Decoding: hand-computed rows, equality with transformers, and the errors."""

import itertools
import math

import pytest
import regex
import torch
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course_utils import decoding

FIVE = torch.tensor([0.50, 0.25, 0.15, 0.07, 0.03]).log()


@pytest.fixture(scope="module")
def rows():
    """1,000 rows of 50 logits, some with ties, some with words already ruled out."""
    torch.manual_seed(0)
    logits = torch.randn(1000, 50) * 3
    logits[:100] = logits[:100].round()
    logits[100:200, ::3] = -torch.inf
    return logits


@pytest.mark.parametrize("t", [0.1, 0.7, 1.0, 2.5])
def test_temperature_equals_transformers(rows, t):
    assert torch.equal(decoding.temperature(rows, t), TemperatureLogitsWarper(float(t))(None, rows))


@pytest.mark.parametrize("k", [1, 5, 49, 50, 80])
def test_top_k_equals_transformers(rows, k):
    assert torch.equal(decoding.top_k(rows, k), TopKLogitsWarper(k)(None, rows))


@pytest.mark.parametrize("p", [0.05, 0.5, 0.8, 0.95, 0.999])
def test_top_p_equals_transformers(rows, p):
    assert torch.equal(decoding.top_p(rows, p), TopPLogitsWarper(p)(None, rows))


def test_repetition_penalty_equals_transformers(rows):
    torch.manual_seed(1)
    ids = torch.randint(0, 50, (1000, 12))
    theirs = RepetitionPenaltyLogitsProcessor(1.3)(ids, rows.clone())
    assert torch.equal(decoding.repetition_penalty(rows, ids, 1.3), theirs)


def test_top_p_keeps_the_word_that_crosses():
    assert torch.isfinite(decoding.top_p(FIVE, 0.8)).tolist() == [True, True, True, False, False]
    assert torch.isfinite(decoding.top_p(FIVE, 0.4)).tolist() == [True, False, False, False, False]
    kept = decoding.top_p(FIVE, 0.8).softmax(-1)
    assert kept[:3].tolist() == pytest.approx([0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9])


def test_off_values_change_nothing(rows):
    assert torch.equal(decoding.process(rows), rows)


def test_any_batch_shape(rows):
    cube = rows[:8].reshape(2, 4, 50)
    assert torch.equal(
        decoding.process(cube, t=2, k=9, p=0.7).reshape(8, 50),
        decoding.process(rows[:8], t=2, k=9, p=0.7),
    )


def test_temperature_comes_before_top_p():
    # At T = 2 the first word falls from .50 to .35: more words are needed to reach .6.
    ours = decoding.process(FIVE, t=2, p=0.6)
    other_order = decoding.temperature(decoding.top_p(FIVE, 0.6), 2)
    assert torch.isfinite(ours).sum() == 3
    assert torch.isfinite(other_order).sum() == 2


def test_penalty_makes_a_negative_logit_less_likely_and_counts_once():
    logits = torch.tensor([3.0, -2.0, 1.0])
    got = decoding.repetition_penalty(logits, torch.tensor([0, 1, 0]), 2.0)
    assert got.tolist() == [1.5, -4.0, 1.0]


def test_sampling_follows_the_probabilities():
    draws = decoding.sample(FIVE.expand(20_000, 5), torch.Generator().manual_seed(0))
    shares = torch.bincount(draws, minlength=5) / 20_000
    assert torch.allclose(shares, FIVE.exp(), atol=4 * math.sqrt(0.25 / 20_000))


def test_sampling_never_draws_a_dropped_word():
    assert decoding.sample(decoding.top_k(FIVE, 2).expand(2000, 5)).max() <= 1


def test_generate_equals_transformers_greedy(llama):
    prompt = torch.tensor([5, 9, 33])
    ours = decoding.generate(
        lambda ids: llama(ids[None]).logits[0, -1], prompt, max_new_tokens=20, eos_id=2
    )
    theirs = llama.generate(
        prompt[None], attention_mask=torch.ones(1, 3), max_new_tokens=20, do_sample=False
    )[0]
    assert ours.tolist() == theirs.tolist()


def test_generate_stops_at_the_end_token_and_keeps_it():
    ids = decoding.generate(
        lambda ids: torch.eye(3)[2], torch.tensor([0]), max_new_tokens=9, eos_id=2
    )
    assert ids.tolist() == [0, 2]


@torch.no_grad()
def test_beam_search_equals_transformers(llama):
    def log_probs(ids):
        return llama(torch.tensor([ids])).logits[0, -1].log_softmax(-1)

    for beams, prompt in itertools.product((2, 4), ([5, 9], [7], [30, 31, 32])):
        ours, _ = decoding.beam_search(log_probs, prompt, beams=beams, max_new_tokens=6, eos_id=2)
        theirs = llama.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=6,
            num_beams=beams, do_sample=False, length_penalty=0.0, early_stopping="never",
        )[0].tolist()  # fmt: skip
        while len(theirs) > 1 and theirs[-1] == theirs[-2] == 2:  # padding
            theirs.pop()
        assert ours == theirs


def test_wide_beam_finds_the_best_of_all_texts():
    torch.manual_seed(3)
    table = torch.randn(4, 4).log_softmax(-1)  # next word depends on the last one
    best = max(
        itertools.product(range(4), repeat=3),
        key=lambda w: sum(table[a, b].item() for a, b in zip((0, *w), w)),
    )
    ids, total = decoding.beam_search(lambda ids: table[ids[-1]], [0], beams=64, max_new_tokens=3)
    assert tuple(ids[1:]) == best
    greedy, low = decoding.beam_search(lambda ids: table[ids[-1]], [0], beams=1, max_new_tokens=3)
    assert low <= total


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"temperature": 0}, "greedy"),
        ({"temperature": -1}, "above 0"),
        ({"temperature": float("nan")}, "above 0"),
        ({"top_p": 0}, "(0, 1]"),
        ({"top_p": 1.01}, "(0, 1]"),
        ({"top_p": float("inf")}, "(0, 1]"),
        ({"top_k": -1}, "0 (off)"),
        ({"top_k": 2.5}, "whole number"),
        ({"repetition_penalty": 0}, "above 0"),
        ({"max_new_tokens": 0}, "at least 1"),
        ({"num_beams": 0}, "at least 1"),
    ],
)
def test_bad_parameters_say_what_to_do(bad, words):
    with pytest.raises(ValueError) as error:
        decoding.check_parameters(**bad)
    assert words in str(error.value)


class Letters:
    """A tokenizer of single letters; token 0 is the end."""

    eos_token_id = 0

    def decode(self, ids, skip_special_tokens=False):
        return "".join("$abc"[i] for i in ids if i or not skip_special_tokens)


def test_a_grammar_leaves_the_likeliest_token_that_fits_and_the_end_only_where_it_may_end():
    grammar = decoding.Grammar(regex.compile("a(b|c)"), Letters())
    scores = torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.0, 1.0, 2.0, 3.0]])
    prompt = torch.tensor([[3, 3], [3, 3]])
    assert grammar(prompt, scores).argmax(1).tolist() == [1, 1]
    begun = torch.tensor([[3, 3, 1], [3, 3, 1]])
    left = grammar(begun, scores)
    assert left.argmax(1).tolist() == [2, 3] and torch.isinf(left).sum() == 6
    done = torch.tensor([[3, 3, 1, 2], [3, 3, 1, 3]])
    assert grammar(done, scores).argmax(1).tolist() == [0, 0]
