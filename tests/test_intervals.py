"""Intervals, verdicts and corrections against numbers worked out by hand, and by simulation."""

import json
from pathlib import Path

import numpy as np
import pytest

from course_utils import metrics
from course_utils.studies import coverage


def test_wilson_by_hand():
    # z = 1.96. 0 of 12: the upper limit is z² / (n + z²) = 3.841 / 15.841.
    none = metrics.interval([0] * 12, unit="country")
    assert (none.mean, none.low) == (0, 0) and none.high == pytest.approx(0.2425, abs=1e-4)
    two = metrics.interval([1, 1] + [0] * 10, unit="country")
    assert (two.low, two.high) == pytest.approx((0.047, 0.448), abs=1e-3)
    assert two.verdict == "above 0"  # one success in twelve proves a share above 0


def test_student_t_by_hand():
    # 1, 2, 3: mean 2, deviation 1, no skewness; t with 2 degrees of freedom is 4.303.
    found = metrics.interval([1.0, 2.0, 3.0], unit="reply")
    assert found.high - 2 == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)
    assert found.low == pytest.approx(4 - found.high)


def test_skewed_values_reach_further_on_the_long_side():
    found = metrics.interval([0.1, 0.2, 0.2, 0.3, 0.4, 2.5], unit="reply")
    assert found.high - found.mean > 1.5 * (found.mean - found.low)


def test_paired_shares_by_hand():
    # 6 of 12 pairs better, none worse. One pair of each kind is added: (7 - 1) / 14.
    found = metrics.paired([1] * 6 + [0] * 6, [0] * 12, unit="country")
    error = np.sqrt((8 / 14 - (6 / 14) ** 2) / 14)
    assert found.mean == 0.5 and found.low == pytest.approx(6 / 14 - 2.201 * error, abs=1e-3)
    same = metrics.paired([1, 0] * 35, [1, 0] * 35, unit="country")
    assert same.low == -same.high and 0 < same.high < 0.1


@pytest.mark.parametrize("found", [
    metrics.interval([0.0] * 12, unit="dialogue"),
    metrics.interval([0.5] * 12, unit="dialogue"),
    metrics.interval([40.0] * 12, unit="dialogue"),
    metrics.interval([0.5] * 9, groups=list("aaabbbccc")),
    metrics.interval([1] * 9, groups=list("aaabbbccc")),
    metrics.paired([0.3] * 12, [0.3] * 12, unit="dialogue"),
    metrics.paired([1] * 12, [1] * 12, unit="dialogue"),
    metrics.interval([2.5], unit="dialogue"),
    metrics.interval([1], unit="dialogue"),
])  # fmt: skip
def test_no_interval_has_zero_width(found):
    assert found.low < found.high and found.low <= found.mean <= found.high


def test_equal_values_have_limits_that_more_values_narrow():
    few, many = (metrics.paired([0.3] * n, [0.3] * n, unit="dialogue") for n in (12, 70))
    assert few.high == pytest.approx(0.2425, abs=1e-4) and many.high < 0.06
    assert metrics.interval([40.0] * 12, unit="word").high == float("inf")


def test_the_unit_cannot_be_forgotten():
    for call in (lambda: metrics.interval([1, 2]), lambda: metrics.paired([1, 2], [0, 1])):
        with pytest.raises(ValueError, match='unit="dialogue".*groups='):
            call()
    with pytest.raises(TypeError):
        metrics.interval([1, 2], "dialogue")  # positional: was it the unit or the groups?


def test_copies_of_a_row_do_not_narrow_a_grouped_interval():
    values = np.random.default_rng(0).normal(size=20)
    alone = metrics.interval(values, unit="dialogue")
    copies = np.repeat(values, 3)
    grouped = metrics.interval(copies, groups=np.repeat(np.arange(20), 3), unit="dialogue")
    naive = metrics.interval(copies, unit="row")
    assert (grouped.low, grouped.high, grouped.n) == pytest.approx((alone.low, alone.high, 20))
    assert naive.high - naive.low < 0.75 * (alone.high - alone.low)


def test_labels_of_groups_may_be_anything_in_any_order():
    values = [0.1, 0.9, 0.2, 0.7, 0.4, 0.6]
    by_word = metrics.interval(values, groups=["b", "a", "b", "c", "a", "c"])
    by_pair = metrics.interval(values, groups=[("t", 2), ("t", 1), ("t", 2), ("u", 1), ("t", 1), ("u", 1)])
    assert by_word == by_pair and by_word.n == 3


def test_labels_may_be_a_list_of_tensors():
    """As a data set in torch's format gives them."""
    import torch

    values, labels = [1.0, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1]
    plain, wrapped = (metrics.interval(values, groups=g) for g in (labels, list(torch.tensor(labels))))
    assert plain == wrapped and plain.n == 2


def test_paired_interval_is_narrower_than_two_separate_ones():
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0.3, 0.2, 50)
    a, b = difficulty + 0.02 + rng.normal(0, 0.01, 50), difficulty + rng.normal(0, 0.01, 50)
    found = metrics.paired(a, b, unit="dialogue")
    assert found.verdict == "above 0" and found.high - found.low < 0.02


def test_a_verdict_is_one_of_three_and_agrees_with_the_limits():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        n = rng.integers(2, 20)
        values = rng.exponential(size=n) * rng.choice([1, -1]) + rng.normal() / 2
        found = [metrics.interval(values, unit="reply"), metrics.interval(values, groups=rng.integers(0, n, n))]
        found += [metrics.paired(rng.random(n) < 0.7, rng.random(n) < 0.2, unit="reply")]
        for d in found:
            want = "above 0" if d.low > 0 else "below 0" if d.high < 0 else "cannot tell"
            assert d.verdict == want and d.low <= d.mean <= d.high
            seen.add(want)
    assert len(seen) == 3


@pytest.mark.parametrize("low, high, p, words", [
    (0.03, 0.06, 0.01, "above 0, by more than the 0.02 that matters"),
    (0.01, 0.06, 0.01, "above 0; whether by 0.02, which would matter, is open"),
    (0.005, 0.015, 0.01, "above 0, by less than 0.02: too small to matter"),
    (-0.01, 0.015, 0.5, "cannot tell; less than 0.02: too small to matter"),
    (-0.01, 0.06, 0.5, "cannot tell (0.02 would matter)"),
    (-0.06, -0.03, 0.01, "below 0, by more than the 0.02 that matters"),
])  # fmt: skip
def test_the_size_stands_beside_the_smallest_that_matters(low, high, p, words):
    found = metrics.Interval((low + high) / 2, low, high, 70, "summary", p)
    assert found.says(matters=metrics.ROUGE_MATTERS) == words
    assert found.line(0.02).endswith("n = 70 summaries: " + words)


def test_an_interval_prints_as_asked():
    found = metrics.Interval(0.2312, 0.2, 0.25, 9, "reply", 0.0)
    assert str(found) == f"{found}" == "0.231 [0.200, 0.250]" and f"{found:+.1f}" == "+0.2 [+0.2, +0.2]"


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04, times 4 3 2 1: .04 .06 .06 .04; none may be smaller than the one before.
    got = metrics.holm({"d": 0.04, "a": 0.01, "c": 0.03, "b": 0.02})
    assert got == pytest.approx({"d": 0.06, "a": 0.04, "c": 0.06, "b": 0.06})
    assert list(got) == ["d", "a", "c", "b"] and metrics.holm({}) == {}
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.holm({"a": 1.2})


def test_many_comparisons_of_nothing_seldom_find_something():
    rng = np.random.default_rng(0)
    alone = together = 0
    for _ in range(200):
        table = {str(k): metrics.interval(rng.normal(size=20), unit="dialogue") for k in range(10)}
        alone += any(d.verdict != "cannot tell" for d in table.values())
        fixed = metrics.corrected(table)
        together += any(d.verdict != "cannot tell" for d in fixed.values())
        assert all((fixed[k].low, fixed[k].high) == (table[k].low, table[k].high) for k in table)
    assert alone / 200 > 0.25 and together / 200 < 0.08
    assert "among 10 comparisons" in min(fixed.values(), key=lambda d: d.mean).says(10**-9)


def test_one_unit_that_holds_nearly_all_rows_says_nothing():
    # Kish: 103² / (100² + 3) - 1 = 0.06 degrees of freedom.
    found = metrics.interval([*np.linspace(0.1, 0.8, 100), 0.2, 0.4, 0.5], groups=["a"] * 100 + ["b", "c", "d"])
    assert (found.low, found.high, found.verdict) == (-np.inf, np.inf, "cannot tell")


def test_shares_in_groups_of_very_unequal_size_are_covered():
    """Twelve tasks, of which three have 20 rows and nine have 2: they count as five."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), [20, 2, 2, 2] * 3)
    held = 0
    for _ in range(600):
        rows = (rng.random(len(groups)) < rng.beta(1, 1, 12)[groups]).astype(float)
        found = metrics.interval(rows, groups=groups, unit="task")
        held += found.low <= 0.5 <= found.high
    assert 0.93 <= held / 600 <= 0.99


def test_sign_flip_by_enumeration():
    # Three differences of one sign: 2 of the 8 sign patterns are as extreme: p = 1/4.
    assert metrics.sign_flip_test([1, 1, 1], [0, 0, 0]) == pytest.approx(0.25, abs=0.02)
    assert metrics.sign_flip_test([1, 2], [1, 2]) == 1


@pytest.mark.parametrize("call", [
    lambda: metrics.interval([], unit="row"),
    lambda: metrics.interval([[1.0, 2.0]], unit="row"),
    lambda: metrics.interval([1.0, float("nan")], unit="row"),
    lambda: metrics.interval([1.0], groups=[1, 2]),
    lambda: metrics.interval([1.0, 2.0], groups=["a", None]),
    lambda: metrics.interval([1.0, 2.0], groups=np.array([1, float("nan")])),
    lambda: metrics.interval(["good", "bad"], unit="row"),
    lambda: metrics.interval(iter([1.0]), unit="row"),
    lambda: metrics.interval([1.0, 2.0], unit="row", confidence=95),
    lambda: metrics.paired([1.0, 2.0], [0.0, 0.0], unit="row", confidence=0),
    lambda: metrics.paired([1.0], [1.0, 2.0], unit="row"),
    lambda: metrics.sign_flip_test([], []),
    lambda: metrics.sign_flip_test([float("nan"), 0.0], [0.0, 0.0]),
    lambda: metrics.sign_flip_test([1.0, 2.0, 3.0], [0.0]),
])  # fmt: skip
def test_unusable_scores_are_refused(call):
    with pytest.raises(ValueError):
        call()


def test_intervals_hold_the_truth_as_often_as_they_say():
    """A smaller ``python -m course_utils coverage``; 600 repeats leave two points of chance."""
    found = coverage.main(repeats=600, units=(12, 24), say=lambda line: None)
    assert len(found) == 48 and min(found.values()) > 0.93 - 0.02
    normal = [found[form, "normal", n] for form in coverage.FORMS for n in (12, 24)]
    assert max(normal) < 0.985, "intervals that always hold the truth say nothing"


def test_coverage_of_a_share_is_counted_exactly():
    # n = 1, p = .5: Wilson gives [0, .793] for a miss and [.207, 1] for a hit. Both hold .5.
    assert coverage.coverage(coverage.FORMS[0], "share 0.5", 1, repeats=0) == 1
    # p = .1: the miss's interval holds it, the hit's does not.
    assert coverage.coverage(coverage.FORMS[0], "share 0.1", 1, repeats=0) == pytest.approx(0.9)


def test_no_notebook_has_another_word_for_a_verdict():
    """Real and noise said whether an interval leaves 0 out, and were read as large and small."""
    books = sorted(Path(__file__).parents[1].glob("week*/*.ipynb"))
    assert len(books) == 18
    for book in books:
        code = [c for c in json.loads(book.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
        found = [c["id"] for c in code for word in ("real", "noise") if f'"{word}"' in "".join(c["source"]).replace("'", '"')]
        assert not found, (book.name, found)


def test_scores_between_0_and_1_have_no_negative_limit():
    scores = [0.0] * 9 + [0.1, 0.05, 0.3]
    found = metrics.interval(scores, unit="summary")
    assert found.low == 0 and found.verdict == "cannot tell" and found.high > found.mean
    assert metrics.paired(scores, [0.0] * 12, unit="summary").low < 0  # a difference may be
