"""How far a long call is: a bar where a person watches a notebook, a line now and then in a terminal.

Nothing is shown where nobody watches, and nothing stays: a bar goes when its work is done, so saved
outputs hold none. A front end that lets a cell ask for input (JupyterLab, VS Code) has a person in
front of it and says so with every cell; what runs notebooks by itself (nbclient, nbconvert,
papermill, nbval, this course's own runs) says the opposite. COURSE_PROGRESS=off silences everything.
"""

from __future__ import annotations

import os
import sys
import time

PATIENCE = 2.0  # seconds before a bar appears: shorter work needs none
EVERY = 10.0  # seconds between two lines in a terminal

_running: list[Bar] = []  # the outermost bar speaks; what it calls is silent


def watched_in() -> str:
    """Where somebody watches: "notebook", "terminal", or "" for nowhere."""
    if os.environ.get("COURSE_PROGRESS", "").strip().lower() in ("off", "0", "no"):
        return ""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        return "notebook" if getattr(kernel, "_allow_stdin", False) else ""
    return "terminal" if sys.stderr.isatty() else ""


class Bar:
    """``with Bar("writing answers", 70) as bar: … bar.at(12)`` shows 12 of 70 and the time left.

    ``total`` None: nobody knows; the seconds are shown. ``done``: how much was done before, as in a
    run that goes on. ``patience``: seconds before anything is shown.
    """

    def __init__(self, title: str, total: int | None, done: int = 0, patience: float | None = None):
        self.title, self.total, self.first = title, total, done
        self.patience = PATIENCE if patience is None else patience
        self.start = time.monotonic()
        self.said = self.start if self.patience else self.start - EVERY
        self.handle = self.widget = None

    def __enter__(self) -> Bar:
        _running.append(self)
        self.place = watched_in() if len(_running) == 1 else ""
        return self

    def __exit__(self, *error) -> None:
        _running.remove(self)
        if self.handle:
            self.handle.update({"text/plain": ""}, raw=True)  # nothing stays in the output
            self.widget.close()

    def at(self, done: float = 0, note: str = "") -> None:
        """Say that so much is done; ``note`` is a word more, such as the loss."""
        now = time.monotonic()
        if not self.place or now - self.start < self.patience:
            return
        if self.place == "notebook":
            self._draw(done, self.line(done, note, now))
        elif now - self.said >= EVERY:
            self.said = now
            print(f"{self.title}: {self.line(done, note, now)}", file=sys.stderr, flush=True)

    def line(self, done: float, note: str, now: float) -> str:
        """``12 of 70, loss 1.23, about 40 s left``."""
        if self.total is None:
            return f"{duration(now - self.start)} so far"
        parts = [f"{int(done)} of {self.total}", note]
        if self.first < done < self.total:
            left = (now - self.start) / (done - self.first) * (self.total - done)
            parts.append(f"about {duration(left)} left")
        return ", ".join(part for part in parts if part)

    def _draw(self, done: float, text: str) -> None:
        import ipywidgets as w
        from IPython.display import display

        if self.handle is None:
            title = w.Label(self.title)
            bar, said = w.FloatProgress(max=self.total or 1), w.Label()
            self.widget = w.HBox([title, bar, said])
            self.handle = display(self.widget, display_id=True)
        _, bar, said = self.widget.children
        bar.value, said.value = done if self.total else 1, text


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``31 h``: as exact as an estimate is."""
    for unit, size in (("s", 1), ("min", 60)):
        if seconds < 100 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.0f} h"
