"""The committed students of week 3."""

import numpy as np

from course_utils import logs
from course_utils.studies import distil


def test_both_students_start_alike_and_see_the_same_texts():
    runs = logs.distil()["runs"]
    assert [(r["loss"], r["seed"]) for r in runs] == [(kind, seed) for seed in distil.SEEDS for kind in distil.LOSSES]
    assert all(len(r["train"]) == distil.UPDATES and tuple(r["after"]) == distil.MEASURED for r in runs)


def test_the_teachers_distribution_teaches_more_than_the_bare_tokens():
    """What the notebook says of the log, for every seed."""
    log = logs.distil()
    last = {(r["loss"], r["seed"]): r["after"][distil.UPDATES] for r in log["runs"]}
    for seed in distil.SEEDS:
        taught, alone = last["distilled", seed], last["cross-entropy", seed]
        assert np.mean(taught["nll"]) < np.mean(alone["nll"]) < np.mean(log["before"]["nll"])
        assert np.mean(taught["agree"]) > np.mean(alone["agree"])
