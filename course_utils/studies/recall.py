"""Week 1's recall study: the same readers trained briefly and long, a quarter of an hour of one core.

What a recurrent network has not learnt after a minute it may learn in twenty: the log tells how far
back each reader remembers after 1,000 and 4,000 steps, with three seeds, and after 16,000 with one.
"""

from __future__ import annotations

import time
from pathlib import Path

from .. import logs, recall
from . import write

STEPS, SEEDS = (1_000, 4_000, 16_000), (0, 1, 2)
DISTANCES = (1, 2, 3, 5, 8, 12, 20, 30)


def grid() -> list[tuple[str, int, int]]:
    """(kind, steps, seed); attention is right everywhere after the shortest run, so it has no others."""
    runs = [(kind, steps, seed) for seed in SEEDS for steps in STEPS[:2] for kind in ("RNN", "GRU")]
    runs += [(kind, STEPS[2], SEEDS[0]) for kind in ("RNN", "GRU")]
    return runs + [("attention", STEPS[0], seed) for seed in SEEDS]


def main(path: Path = logs.HERE / "recall.json") -> None:
    """Run what the log does not hold yet. Seconds are of processor time."""
    done = logs.recall(path) if path.is_file() else []
    for kind, steps, seed in grid():
        if any((r["kind"], r["steps"], r["seed"]) == (kind, steps, seed) for r in done):
            continue
        start = time.process_time()
        reader = recall.train(kind, steps, seed)
        seconds = round(time.process_time() - start, 1)
        right = {d: sum(recall.right(reader, d)) for d in DISTANCES}
        done.append({"kind": kind, "steps": steps, "seed": seed, "n": 500, "right": right, "seconds": seconds})
        print(done[-1], flush=True)
        write({"command": "python -m course_utils recall", "runs": done}, path, indent=1)
