"""What training costs, what it buys, and how to divide a budget between parameters and data.

FLOPs, power laws, planning: arithmetic on numbers. The runs that the course fits them to are made by
:mod:`course_utils.tiny_models`.

Sources: Kaplan et al. 2020 (arXiv:2001.08361) for 6ND and the power laws; Hoffmann et al. 2022
(Chinchilla, arXiv:2203.15556), equations 2 and 4 and appendix D.3, for the law in N and D and its best
division; Besiroglu et al. 2024 (arXiv:2404.10102) for the corrected constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PF_DAY = 1e15 * 24 * 60 * 60  # one petaFLOP/s for a day: 8.64e19 operations


# ---------------------------------------------------------------- counting


def flops_per_token(
    parameters: float, *, layers: int = 0, width: int = 0, context: int = 0, training: bool = True
) -> float:
    """Floating-point operations for one token: 2N + 4·layers·width·context, three times that to train.

    ``parameters`` are those a token is multiplied with: a look-up in the embedding table costs nothing,
    the output layer counts (with tied weights, the table once). The second part is attention: a token's
    query against ``context`` keys, and as many values added up, as dense multiplications count it
    (half of them are masked; a kernel may skip those). Norms, softmax and activations are left out.
    """
    return (3 if training else 1) * (2 * parameters + 4 * layers * width * context)


def petaflop_days(flops: float) -> float:
    """Operations in petaFLOP/s-days (8.64e19)."""
    return flops / PF_DAY


# ---------------------------------------------------------------- power laws


@dataclass(frozen=True)
class Power:
    """y = scale · x^(−exponent), with the 95 % interval of the exponent."""

    scale: float
    exponent: float
    low: float
    high: float
    n: int

    def __call__(self, x):
        return self.scale * np.asarray(x, dtype=float) ** -self.exponent

    def __str__(self) -> str:
        return f"{self.exponent:.3f} [{self.low:.3f}, {self.high:.3f}]"


def fit_power_law(x: Sequence[float], y: Sequence[float], draws: int = 2000, seed: int = 0) -> Power:
    """A straight line through log y against log x by least squares; its interval by drawing points anew.

    A draw with fewer than three different x is drawn again: no line could be trusted there.

    Raises
    ------
    ValueError
        for fewer than three different x, or numbers that have no logarithm.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or len(np.unique(x)) < 3:
        raise ValueError("A power law needs one y for each x, and at least three different x.")
    if not ((x > 0).all() and (y > 0).all()):
        raise ValueError("A power law needs numbers above 0.")
    log_x, log_y, rng = np.log(x), np.log(y), np.random.default_rng(seed)
    slope, offset = np.polyfit(log_x, log_y, 1)
    slopes = []
    while len(slopes) < draws:
        chosen = rng.integers(len(x), size=len(x))
        if len(np.unique(x[chosen])) >= 3:
            slopes.append(np.polyfit(log_x[chosen], log_y[chosen], 1)[0])
    low, high = np.quantile(-np.array(slopes), [0.025, 0.975])
    return Power(float(np.exp(offset)), float(-slope), float(low), float(high), len(x))


def frontier(compute: Sequence[float], loss: Sequence[float]) -> list[int]:
    """Indices of the points that no other beats at the same or less compute, cheapest first."""
    kept, best = [], math.inf
    for i in sorted(range(len(compute)), key=lambda i: (compute[i], loss[i])):
        if loss[i] < best:
            kept.append(i)
            best = loss[i]
    return kept


@dataclass(frozen=True)
class Plan:
    """How a budget is spent: parameters N and training tokens D."""

    parameters: float
    tokens: float

    @property
    def ratio(self) -> float:
        """Tokens per parameter."""
        return self.tokens / self.parameters


def plan(flops: float, ratio: float = 20) -> Plan:
    """Divide a budget at a fixed number of tokens per parameter: 6·N·D = C and D = ratio·N."""
    parameters = math.sqrt(flops / (6 * ratio))
    return Plan(parameters, ratio * parameters)


@dataclass(frozen=True)
class Law:
    """L(N, D) = E + A/N^alpha + B/D^beta, nats per token (Hoffmann et al. 2022, equation 2)."""

    E: float
    A: float
    alpha: float
    B: float
    beta: float

    def loss(self, parameters, tokens):
        return self.E + self.A / parameters**self.alpha + self.B / tokens**self.beta

    def plan(self, flops: float) -> Plan:
        """The N and D of the lowest loss with 6·N·D = C (equation 4)."""
        g = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        parameters = g * (flops / 6) ** (self.beta / (self.alpha + self.beta))
        return Plan(parameters, flops / (6 * parameters))


HOFFMANN = Law(1.69, 406.4, 0.34, 410.7, 0.28)
BESIROGLU = Law(1.8172, 482.01, 0.3478, 2085.43, 0.3658)


def fit_surface(parameters, tokens, loss, draws: int = 0, seed: int = 0) -> tuple[Law, list[Law]]:
    """Fit E, A, alpha, B, beta; return the law and ``draws`` more, each fitted to runs drawn anew.

    As in Hoffmann et al. (appendix D.2): Huber's loss with δ = 10⁻³ on the logarithm of the loss, the
    best of several starts; A, B and E are fitted as logarithms. The draws start from the first answer.
    """
    from scipy.optimize import least_squares

    log_n, log_d, log_l = (np.log(np.asarray(v, dtype=float)) for v in (parameters, tokens, loss))

    def fit(rows, starts):
        def residual(t):
            log_e, log_a, alpha, log_b, beta = t
            terms = [np.full(len(rows), log_e), log_a - alpha * log_n[rows], log_b - beta * log_d[rows]]
            return np.logaddexp.reduce(terms) - log_l[rows]

        limits = ([-5, -5, 0.01, -5, 0.01], [3, 15, 2, 15, 2])
        found = [
            least_squares(residual, s, bounds=limits, loss="huber", f_scale=1e-3, x_scale=(1, 1, 0.1, 1, 0.1))
            for s in starts
        ]
        return min(found, key=lambda f: f.cost).x

    def law(t):
        return Law(*map(float, (np.exp(t[0]), np.exp(t[1]), t[2], np.exp(t[3]), t[4])))

    starts = [(e, a, p, b, q) for e in (-1, 0) for a, p in ((1, 0.2), (4, 0.5)) for b, q in ((1, 0.2), (5, 0.5))]
    best, rng = fit(np.arange(len(log_l)), starts), np.random.default_rng(seed)
    again = [fit(rng.integers(len(log_l), size=len(log_l)), [best]) for _ in range(draws)]
    return law(best), [law(t) for t in again]
