"""The committed logs of runs that take too long for a notebook; :mod:`course_utils.studies` made them.

Each function reads one file of ``trained/``. Nothing here trains, and nothing heavy is imported.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent / "trained"


def sweep(path: Path = HERE / "sweep.json") -> list[dict]:
    """Week 2's grid: learning rate, rank, layers, seed; losses ``train``, ``validation``, ``unrelated``.

    A run that diverged has None for its losses, and the sentence of its ``error``.
    """
    return _read(path)["runs"]


def scaling(path: Path = HERE / "scaling.json") -> list[dict]:
    """Week 1's tiny models: width, steps, seed, rate; parameters, tokens, FLOPs, held-out loss, a sample."""
    return _read(path)["runs"]


def recall(path: Path = HERE / "recall.json") -> list[dict]:
    """Week 1's recall of letters: kind, steps, seed; how many of ``n`` are ``right``, by distance."""
    return [{**run, "right": {int(d): k for d, k in run["right"].items()}} for run in _read(path)["runs"]]


def detox(path: Path = HERE / "detox.json") -> list[dict]:
    """Lab 3's PPO with several seeds and prices of KL, one dictionary a run.

    Each has its ``log``, the judged answers ``after`` it, and the answers ``before`` that all runs share.
    """
    content = _read(path)
    return [{**run, "before": content["before"]} for run in content["runs"]]


def rivals(path: Path = HERE / "rivals.json") -> dict[str, list[dict]]:
    """What stands beside PPO in Lab 3: for each way, its runs' answers, judged as ``after`` in :func:`detox`."""
    found = {}
    for run in _read(path)["runs"]:
        found.setdefault(run["what"], []).append(run["after"])
    return found


def far(path: Path = HERE / "rivals.json") -> dict:
    """Lab 3's PPO without a leash: its ``log``, judged answers ``watched`` on its way with their ``texts`` and
    ``kl``, and ``after`` as in :func:`detox`."""
    return _read(path)["far"]


def pool(path: Path = HERE / "pool.json") -> dict:
    """64 answers to each of 20 held-out dialogues: ``dialogues`` (ids), ``texts`` [dialogues][samples],
    and what they cost."""
    return _read(path)


def beyond(path: Path = HERE / "beyond.json") -> list[dict]:
    """The DPO and GRPO runs: log, cost, ``after`` and ``kl_after`` as in :func:`detox`."""
    return _read(path)["runs"]


def hacking(path: Path = HERE / "hacking.json") -> dict:
    """What goes too far: ``push`` (PPO against a weak judge), ``displaced`` (DPO), and more ``runs`` like those
    of :func:`beyond`."""
    return _read(path)


def shots(path: Path = HERE / "shots.json") -> dict:
    """Lab 1's base model: the ``texts`` and ``rouge1`` of each kind of prompt in ``prompts``, and how many
    ``dialogues`` were asked."""
    return _read(path)


def assistant(path: Path = HERE / "assistant.json") -> dict:
    """A base model tuned to answer: the ``requests``, and the ``answers`` ``before`` and ``after``, each with
    ``texts`` and ``ended``."""
    return _read(path)


def reasoning(path: Path = HERE / "reasoning.json") -> list[dict]:
    """Training on sums with a rule as the reward: seed, ``what`` was run, and ``right``, which says for each
    way and group of kinds which test problems were solved (1 or 0).

    A run of GRPO has its ``log``, one line per update: mean ``reward``, and how many groups were ``flat``,
    with equal rewards. A run of imitation has one line per round of expert iteration: mean ``reward``, how many
    texts were ``kept``, and in how many ``updates`` they were imitated.
    """
    return _read(path)["runs"]


def serving(path: Path = HERE / "serving.json") -> dict:
    """The same file in transformers and in a serving engine: ``runs`` (way, mode, ``new`` tokens, seconds, CPU seconds, peak
    memory), how many tokens ``agree`` with float32's, and what the engine's reading of the ``weights`` costs."""
    return _read(path)


def _read(path: Path) -> dict:
    return json.loads(path.read_text())
