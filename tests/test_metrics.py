"""Metrics against rouge_score and sacrebleu directly, and against numbers worked out by hand."""

import numpy as np
import pytest
import sacrebleu
import torch
from rouge_score import rouge_scorer

from course_utils import metrics
from course_utils.metrics.similarity import Embedder, cosine
from course_utils.models import load_encoder

PREDICTIONS = ["Ana buys two tickets for the late train.", "The cat sat."]
REFERENCES = [
    ["Ana buys tickets for the train at nine.", "Two tickets are bought by Ana."],
    ["A cat was sitting on the mat.", "The cat sat down."],
]


def test_rouge_by_hand():
    # prediction: a b c d; reference: a c b e. Shared words a b c: 3/4 and 3/4.
    # Shared pairs: none. Longest common subsequence: a b or a c: 2/4 and 2/4.
    table = metrics.rouge_table(["aa bb cc dd"], [["aa cc bb ee"]])
    assert table[0].tolist() == pytest.approx([0.75, 0.0, 0.5])


def test_rouge_table_is_the_mean_over_references():
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    want = [
        [
            np.mean([scorer.score(r, p)[k].fmeasure for r in rs])
            for k in ("rouge1", "rouge2", "rougeL")
        ]
        for p, rs in zip(PREDICTIONS, REFERENCES)
    ]
    assert metrics.rouge_table(PREDICTIONS, REFERENCES) == pytest.approx(np.array(want))


def test_local_rouge_module_equals_rouge_score():
    module = metrics.load("rouge")
    singles = [r[0] for r in REFERENCES]
    got = module.compute(predictions=PREDICTIONS, references=singles, use_aggregator=False)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    for key, values in got.items():
        assert values == [scorer.score(r, p)[key].fmeasure for p, r in zip(PREDICTIONS, singles)]
    several = module.compute(predictions=PREDICTIONS, references=REFERENCES, use_aggregator=False)
    best = [
        max(scorer.score(r, p)["rouge1"].fmeasure for r in rs)
        for p, rs in zip(PREDICTIONS, REFERENCES)
    ]
    assert several["rouge1"] == pytest.approx(best)
    assert set(module.compute(predictions=PREDICTIONS, references=singles)) == set(got)


def test_local_bleu_module_equals_sacrebleu():
    got = metrics.load("bleu").compute(predictions=PREDICTIONS, references=REFERENCES)
    want = sacrebleu.corpus_bleu(PREDICTIONS, [list(s) for s in zip(*REFERENCES)])
    assert got["score"] == want.score and got["precisions"] == want.precisions


def test_bleu_by_hand():
    # 4-gram precision of an identical sentence is 1: BLEU 100. One word too short: exp(1 - 5/4).
    bleu = metrics.load("bleu")
    assert bleu.compute(predictions=["a b c d e"], references=[["a b c d e"]])[
        "score"
    ] == pytest.approx(100)
    short = bleu.compute(predictions=["a b c d"], references=[["a b c d e"]])
    assert short["bp"] == pytest.approx(np.exp(1 - 5 / 4)) and short["score"] == pytest.approx(
        100 * short["bp"]
    )


def test_an_empty_prediction_scores_zero():
    assert metrics.rouge_table([""], [["anything at all"]])[0].tolist() == [0, 0, 0]
    assert metrics.copy_rate("", "x") == metrics.repetition("") == metrics.distinct_n([""]) == 0


def test_human_against_human_by_hand():
    # "a b" vs "a c": half the words. Each is scored against the other.
    assert metrics.human_against_human([["aa bb", "aa cc"]])[0, 0] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="two references"):
        metrics.human_against_human([["alone"]])


def test_baselines_and_rates_by_hand():
    dialogue = "Ana: One two three.\nBo: Four five six seven."
    assert metrics.first_words(dialogue, 3) == "Ana: One two"
    assert metrics.longest_turn(dialogue) == "Four five six seven."
    assert metrics.distinct_n(["a b c", "a b c"]) == 0.5
    assert metrics.repetition("a b a b a b", 2) == pytest.approx(1 - 2 / 5)
    assert metrics.copy_rate("one two three nine", dialogue) == 0.5
    assert metrics.length_ratio("a b c", ["a b", "a b c d"]) == 1


@pytest.mark.parametrize("call", [
    lambda: metrics.rouge_table([], []),
    lambda: metrics.rouge_table(["a"], []),
    lambda: metrics.rouge_table(["a"], ["not a list"]),
    lambda: metrics.interval([]),
    lambda: metrics.interval([1.0, float("nan")]),
    lambda: metrics.interval([1.0], groups=[1, 2]),
    lambda: metrics.paired([1.0], [1.0, 2.0]),
    lambda: metrics.sign_flip_test([], []),
    lambda: metrics.sign_flip_test([float("nan"), 0.0], [0.0, 0.0]),
    lambda: metrics.sign_flip_test([1.0, 2.0, 3.0], [0.0]),
    lambda: metrics.load("meteor"),
])  # fmt: skip
def test_unusable_input_is_refused(call):
    with pytest.raises(ValueError):
        call()


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        found = metrics.interval(rng.normal(0.3, 0.1, 60), draws=800, seed=seed)
        hits += found.low <= 0.3 <= found.high
    assert 0.89 <= hits / 200 <= 0.99


def test_an_interval_of_equal_values_holds_their_mean():
    """Bars of a plot are mean - low and high - mean: a rounding error below 0 would stop it."""
    for value in (0.036, 0.1, 0.3, 0.7):
        found = metrics.interval([value] * 210, groups=np.repeat(range(70), 3))
        assert found.low <= found.mean <= found.high


def test_copies_of_a_row_do_not_narrow_a_grouped_interval():
    values = np.random.default_rng(0).normal(size=20)
    alone = metrics.interval(values)
    grouped = metrics.interval(np.repeat(values, 3), groups=np.repeat(np.arange(20), 3))
    naive = metrics.interval(np.repeat(values, 3))
    assert (grouped.low, grouped.high, grouped.n) == pytest.approx((alone.low, alone.high, 20))
    assert naive.high - naive.low < 0.75 * (alone.high - alone.low)


def test_paired_interval_is_narrower_than_two_separate_ones():
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0.3, 0.2, 50)
    a, b = difficulty + 0.02 + rng.normal(0, 0.01, 50), difficulty + rng.normal(0, 0.01, 50)
    found = metrics.paired(a, b)
    assert found.excludes_zero and found.high - found.low < 0.02
    assert str(metrics.Interval(0.2312, 0.2, 0.25, 9)) == "0.231 [0.200, 0.250]"


def test_sign_flip_by_enumeration():
    # Three differences of one sign: 2 of the 8 sign patterns are as extreme: p = 1/4.
    assert metrics.sign_flip_test([1, 1, 1], [0, 0, 0]) == pytest.approx(0.25, abs=0.02)
    assert metrics.sign_flip_test([1, 2], [1, 2]) == 1


@pytest.fixture(scope="module")
def embedder():
    return Embedder(*load_encoder())


def test_padding_does_not_change_a_vector(embedder):
    long = "A much longer sentence that forces padding onto its neighbour in the batch, surely."
    together, alone = embedder.encode(["Short one.", long]), embedder.encode(["Short one."])
    assert torch.allclose(together[0], alone[0], atol=1e-5)
    assert torch.allclose(together.norm(dim=-1), torch.ones(2), atol=1e-5)


def test_a_paraphrase_is_nearer_than_another_subject(embedder):
    v = embedder.encode(
        ["The train leaves at nine.", "The train's departure is at 9.", "I like soup."]
    )
    assert cosine(v[:1], v[1:2]) > cosine(v[:1], v[2:]) + 0.3


@pytest.mark.parametrize(
    "summary, expected",
    [
        ("The ferry leaves at 9:30 from Porto.", 1.0),
        ("The ferry leaves at 19:30 from porto", 0.5),
        ("The ferry leaves from the port.", 0.0),
        ("", 0.0),
    ],
)
def test_fact_recall_wants_whole_words(summary, expected):
    facts = [{"question": "When?", "answer": "9:30"}, {"question": "Where?", "answer": "Porto"}]
    assert metrics.fact_recall(summary, facts) == expected


@pytest.mark.parametrize(
    "summary, kept",
    [("He pays 2,200 euros.", 0), ("He pays 200.50 euros.", 0), ("He pays 200.", 1), ("200, not 300", 1), ("at 200:10", 0)],
)  # fmt: skip
def test_a_part_of_a_number_is_not_the_number(summary, kept):
    assert metrics.fact_recall(summary, [{"question": "How much?", "answer": "200"}]) == kept


def test_fact_recall_without_facts_is_not_a_number():
    assert np.isnan(metrics.fact_recall("Anything.", []))
