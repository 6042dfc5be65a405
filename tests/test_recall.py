"""Recalling a letter: the questions by hand, readers that learn, and the log of the long runs."""

import pytest
import torch

from course_utils import logs, recall
from course_utils.studies import recall as study


def test_the_answer_is_the_letter_at_the_distance():
    distances = torch.tensor([1, 2, 5])
    ids, answers = recall.questions(3, distances, torch.Generator().manual_seed(0), length=5)
    assert ids.shape == (3, 6)
    assert ids[:, -1].tolist() == [8, 9, 12]  # ids 0 … 7 are letters, so the number 1 is 8
    assert answers.tolist() == [ids[0, 4], ids[1, 3], ids[2, 0]]


def test_one_distance_serves_all_rows():
    ids, answers = recall.questions(4, 3, torch.Generator().manual_seed(0))
    assert ids.shape == (4, 31) and answers.equal(ids[:, 27])


def test_attention_soon_learns_what_is_thirty_letters_away():
    shares = {kind: sum(recall.right(recall.train(kind, 300), 30)) / 500 for kind in ("attention", "RNN")}
    assert shares["attention"] > 0.4 > 0.3 > shares["RNN"]


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    recall.train("GRU", 1)
    recall.seconds("RNN", 4, repeats=1)
    assert torch.rand(2).equal(wanted)


@pytest.mark.parametrize("kind", recall.KINDS)
def test_a_reader_scores_each_letter_once_per_row(kind):
    assert recall.Reader(kind)(torch.zeros(3, 31, dtype=torch.long)).shape == (3, 8)


def test_the_log_holds_every_run_of_the_study():
    runs = {(run["kind"], run["steps"], run["seed"]): run for run in logs.recall()}
    assert set(runs) == set(study.grid())
    for run in runs.values():
        assert tuple(run["right"]) == study.DISTANCES and max(run["right"].values()) <= run["n"]


def test_the_log_says_what_the_notebook_says_of_it():
    right = {(run["kind"], run["steps"]): run["right"] for run in logs.recall() if run["seed"] == 0}
    assert min(right["attention", 1_000].values()) == 500
    for kind in ("RNN", "GRU"):
        assert all(right[kind, 16_000][d] > right[kind, 1_000][d] + 50 for d in (1, 2, 3, 5))
        assert all(right[kind, 16_000][a] > right[kind, 16_000][b] for a, b in zip((1, 2, 3, 5, 8), (2, 3, 5, 8, 12)))
    assert right["GRU", 16_000][30] > right["GRU", 16_000][20]
