"""Recalling a letter: a task that shows how far back a recurrent network and attention remember.

Thirty letters, then a number n: which letter stood n positions before the number? Three readers of one
width answer from their last position. The runs that take too long for a notebook are made by
:mod:`.studies.recall`.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .transformer import Encoder, sinusoids

LETTERS, LENGTH = "abcdefgh", 30
WIDTH, ROWS, RATE = 32, 64, 5e-3
KINDS = ("RNN", "GRU", "attention")


def questions(rows: int, distance: int | Tensor, generator: torch.Generator, length: int = LENGTH):
    """Rows of letters with a number at the end, and the letters asked for.

    ``distance`` is one number for all rows, or one per row, from 1 to ``length``. Returns ids
    [rows, length + 1] and answers [rows]. Ids 0 … 7 are the letters, 8 is the number 1, 9 the number 2.
    """
    letters = torch.randint(0, len(LETTERS), (rows, length), generator=generator)
    distance = torch.as_tensor(distance).expand(rows)
    answers = letters[torch.arange(rows), length - distance]
    return torch.cat([letters, len(LETTERS) - 1 + distance[:, None]], 1), answers


class Reader(nn.Module):
    """An embedding, one layer of the given kind, and a score for each letter."""

    def __init__(self, kind: str):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS) + LENGTH, WIDTH)
        self.output = nn.Linear(WIDTH, len(LETTERS))
        recurrent = {"RNN": nn.RNN, "GRU": nn.GRU}.get(kind)
        if recurrent:
            self.layer = recurrent(WIDTH, WIDTH, batch_first=True)
            positions = torch.zeros(1024, WIDTH)  # a recurrent network reads in order anyway
        else:
            self.layer = Encoder(1, WIDTH, heads=2, hidden=2 * WIDTH)
            positions = sinusoids(1024, WIDTH)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """[rows, n] ids → [rows, letters] scores, read off the last position."""
        x = self.embedding(ids) + self.positions[: ids.shape[1]]
        return self.output(self.layer(x)[0][:, -1])


def train(kind: str, steps: int, seed: int = 0) -> Reader:
    """A reader trained on ``steps`` fresh batches of 64 rows; the distance is drawn anew for each row.

    Adam, gradients clipped to a norm of 1, a rate that falls in a straight line to 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(kind)
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(reader.parameters(), RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        distance = torch.randint(1, LENGTH + 1, (ROWS,), generator=draw)
        ids, answers = questions(ROWS, distance, draw)
        optimizer.zero_grad()
        F.cross_entropy(reader(ids), answers).backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
    return reader.eval()


@torch.no_grad()
def right(reader: Reader, distance: int, n: int = 500) -> list[int]:
    """For each of ``n`` fresh rows 1 if the reader gives the letter at ``distance``, else 0."""
    ids, answers = questions(n, distance, torch.Generator().manual_seed(10_000 + distance))
    return (reader(ids).argmax(-1) == answers).int().tolist()


def seconds(kind: str, length: int, rows: int = 1, repeats: int = 5) -> float:
    """Seconds of a forward and a backward pass of a fresh reader over ``rows`` rows: the best of a few."""
    with torch.random.fork_rng(devices=[]):
        reader = Reader(kind)
    ids, best = torch.zeros(rows, length, dtype=torch.long), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        reader(ids).sum().backward()
        best = min(best, time.perf_counter() - start)
    return best
