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


def test_reference_against_references_by_hand():
    # "a b" vs "a c": half the words. Each is scored against the other.
    table = metrics.reference_against_references([["aa bb", "aa cc"], ["alone"]])
    assert table[0, 0] == pytest.approx(0.5) and np.isnan(table[1]).all()
    with pytest.raises(ValueError, match="at least two"):
        metrics.reference_against_references([["alone"], ["alone, too"]])


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
    lambda: metrics.load("meteor"),
])  # fmt: skip
def test_unusable_input_is_refused(call):
    with pytest.raises(ValueError):
        call()


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


@pytest.mark.parametrize("text, answer", [
    ("It costs $40 now.", "$40"), ("£40!", "£40"), ("for 40€", "40 €"), ("for 40 €.", "40€"), ("a 50% cut", "50%"),
    ("on 6/7 at", "6/7"), ("Mr O'Brien left", "O’Brien"), ("O’Brien’s shop", "O'Brien"), ("uses C++.", "C++"),
    ("room #12, upstairs", "#12"), ("mail a@b.org.", "a@b.org"), ("#Person1# says", "#Person1#"),
    ("open 9-5", "9–5"), ("an A+B test", "A"), ("got an A+.", "A+"), ("<a@b.org>", "a@b.org"), ("Ana\nLuz came", "Ana Luz"), ("the **Porto** ferry", "Porto"), ("_Porto_", "porto"),
    ("अन्ना ने दो टिकट खरीदे", "टिकट"), ("ฉันซื้อตั๋วสองใบ", "ตั๋ว"), ("安娜买了两张票", "两张票"), ("共40元", "40"),
    ("アンナはチケットを買った", "チケット"), ("안나는 표를 샀다", "안나"), ("약 40명", "40"), ("Анна купила 2 билета", "билета"),
])  # fmt: skip
def test_a_fact_that_stands_there_word_for_word_is_kept(text, answer):
    assert metrics.fact_recall(text, [{"answer": answer}]) == 1


@pytest.mark.parametrize("text, answer", [
    ("uses C++", "C"), ("150% more", "50%"), ("$400", "$40"), ("on 26/7", "6/7"), ("on 6/75", "6/7"), ("6/7", "6"),
    ("got an A+", "A"), ("A++", "A+"), ("a@b.org.uk", "a@b.org"), ("x.a@b.org", "a@b.org"), ("a@b.organ", "a@b.org"),
    ("room #123", "#12"), ("#Person12# says", "#Person1#"), ("open 19–5", "9–5"), ("uses C#", "C"), ("uses C", "C++"),
    ("हिन्दी", "हिन"), ("a portage", "port"), ("Zoës", "Zoë"), ("共140元", "40"), ("Anything.", "?!"),
])  # fmt: skip
def test_a_part_of_a_word_or_number_is_not_kept(text, answer):
    assert metrics.fact_recall(text, [{"answer": answer}]) == 0


@pytest.mark.parametrize("text, items", [
    ("Ann, Oslo", ["Ann", "Oslo"]), ("1. Ann\n2. New York and Oslo.", ["Ann", "New York", "Oslo"]),
    ("- Ann;\n- Sandy", ["Ann", "Sandy"]), ("Ann went to Oslo.", ["Ann went to Oslo"]), ("", []),
])  # fmt: skip
def test_a_list_that_a_model_wrote_is_taken_apart(text, items):
    assert metrics.listed(text) == items
