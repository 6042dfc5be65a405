"""The same work by two builds of the course, turn about: seconds, memory, and their ratios.

    python tests/benchmarks/against.py                      every work, against acb17b1, two pairs
    python tests/benchmarks/against.py REV full:24 lora     some works, one with 24 dialogues instead of 160
    python tests/benchmarks/against.py --pairs 3 acb17b1 week2/lab2_full_vs_peft.ipynb

Each work runs in a process of its own, the other build's first: A B A B. Two processes of a work at
once (``--twins``) are compared with one alone, by the same build. Each process starts with an empty
cache that holds only the converted model. The threads are those of OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

from works import WORKS

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("works.py")


@contextmanager
def checked_out(revision: str):
    """The files of a revision, in a folder of its own while it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "other"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), revision], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def run(build: Path, work: str, copies: int = 1) -> list[dict]:
    """The costs and results of a work, done by so many processes that begin together."""
    from course_utils import settings

    models = settings.current().cache / "models"
    with ExitStack() as stack:
        running = []
        for _ in range(copies):
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (cache / "models").symlink_to(models)
            process = subprocess.Popen(
                [sys.executable, str(WORKER), work], cwd=build, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(build), "COURSE_CACHE": str(cache)},
            )  # fmt: skip
            running.append(stack.enter_context(process))
        for process in running:
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"{work} cannot run in {build}")
        for process in running:
            process.stdin.write("\n")
            process.stdin.flush()
        return [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]


def compare(work: str, other: Path, pairs: int) -> None:
    """Print a line for each pair: what the other build takes, what this one does, this / other."""
    for number in range(pairs):
        (a,), (b,) = run(other, work), run(ROOT, work)
        cells = []
        for what, unit, scale in (("cpu", "s CPU", 1), ("wall", "s wall", 1), ("peak", "GB peak", 1e9)):
            theirs, ours = a["cost"][what] / scale, b["cost"][what] / scale
            cells.append(f"{theirs:7.2f} → {ours:7.2f} {unit} ({ours / theirs:.2f} x)")
        print(f"{work} {number + 1}: {'   '.join(cells)}", flush=True)
    if b["result"]:
        print(f"{work}: results {a['result']} → {b['result']}", flush=True)


def compare_twins(work: str, other: Path, pairs: int) -> None:
    """Print for each pair and build how many times as long the work takes beside a twin."""
    for number in range(pairs):
        ratios = []
        for build in (other, ROOT):
            alone = run(build, work)[0]["cost"]["wall"]
            ratios.append(max(r["cost"]["wall"] for r in run(build, work, copies=2)) / alone)
        print(f"{work} {number + 1}, beside a twin: {ratios[0]:.1f} → {ratios[1]:.1f} times as long as alone", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?", default="acb17b1")
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"{', '.join(WORKS)}, or a notebook's path")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--twins", action="store_true", help="two processes at once instead of one")
    options = parser.parse_args()
    with checked_out(options.revision) as other:
        for work in options.works or WORKS:
            (compare_twins if options.twins else compare)(work, other, options.pairs)


if __name__ == "__main__":
    main()
