"""The committed grid of week 2."""

from course_utils import logs
from course_utils.studies import sweep


def test_the_committed_sweep_holds_exactly_the_grid():
    found = [
        sweep.Setting(r["learning_rate"], r["rank"], r["layers"], r["seed"]) for r in logs.sweep()
    ]
    assert found == sweep.grid() and len(set(found)) == len(found)


def test_in_the_sweep_lora_wants_a_larger_rate_than_full_fine_tuning():
    """The lesson of exercise lab2.7, read from the log."""
    runs = [r for r in logs.sweep() if r["seed"] == 0 and r["layers"] == "all linear" and r["validation"]]

    def best(rank):
        rows = [r for r in runs if r["rank"] == rank]
        return min(rows, key=lambda r: sum(r["validation"]))["learning_rate"]

    assert best(8) >= 3 * best(0)
