"""What made the logs and adapters in ``trained/``: one module and one command each.

=======================================  ==============================================================
``python -m course_utils adapters``      the adapters *summary* and *blunt* (:mod:`.adapters`)
``python -m course_utils sweep``         week 2's learning rates, ranks and layers (:mod:`.sweep`)
``python -m course_utils scaling``       week 1's grid of tiny models (:mod:`.scaling`)
``python -m course_utils recall``        week 1's recall of a letter (:mod:`.recall`)
``python -m course_utils families``      week 1's three small models (:mod:`.families`)
``python -m course_utils detox``         Lab 3 with other seeds and prices of KL (:mod:`.detox`)
``python -m course_utils shots``         Lab 1's base model with none, one and three examples (:mod:`.shots`)
``python -m course_utils assistant``     week 2's base model, tuned to answer (:mod:`.assistant`)
``python -m course_utils pool``          answers for best of n; DPO and GRPO (:mod:`.pool`)
``python -m course_utils hacking``       a judge and DPO pushed too far; baselines (:mod:`.hacking`)
``python -m course_utils rivals``        Lab 3's imitation with other seeds, and PPO without a leash (:mod:`.rivals`)
``python -m course_utils reasoning``     sums in words: GRPO, expert iteration, SFT (:mod:`.reasoning`)
``python -m course_utils serving``       the same model in a serving engine (:mod:`.serving`)
``python -m course_utils coverage``      prints how often our intervals hold the truth (:mod:`.coverage`)
=======================================  ==============================================================

Each does what its log does not hold yet, so an interrupted one goes on. No lesson imports them: lessons
read the logs (:mod:`course_utils.logs`).
"""

from __future__ import annotations

import json
from pathlib import Path


def write(content, path: Path, indent: int | None = None) -> None:
    """Replace a log by a whole new one: a process killed half-way leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".tmp").write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n")
    path.with_suffix(".tmp").replace(path)
