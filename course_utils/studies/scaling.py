"""Week 1's scaling study: a grid of tiny language models over characters, really trained.

Seven widths and four amounts of text, about a quarter of an hour of one core.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from .. import logs
from ..tiny_models import HEADS, STEPS, Setting, load_rows, run
from . import write


def grid() -> list[Setting]:
    """All widths and lengths; the four corners with a second seed; other learning rates for three widths."""
    runs = [Setting(width, steps) for steps in STEPS for width in HEADS]
    runs += [Setting(width, steps, seed=1) for steps in (STEPS[0], STEPS[-1]) for width in (16, 128)]
    runs += [Setting(width, STEPS[0], rate=rate) for width in (16, 48, 128) for rate in (0.5, 2.0)]
    return runs


def main(path: Path = logs.HERE / "scaling.json") -> None:
    """Run what the log does not hold yet. Seconds are of processor time."""
    done, rows = logs.scaling(path) if path.is_file() else [], load_rows()
    known = [tuple(r[k] for k in asdict(Setting(0, 0))) for r in done]
    for setting in grid():
        if tuple(asdict(setting).values()) in known:
            continue
        done.append(run(setting, rows))
        print(setting, "held-out loss", done[-1]["loss"], flush=True)
        content = {"command": "python -m course_utils scaling", "unit": "nats per character", "runs": done}
        write(content, path, indent=1)
