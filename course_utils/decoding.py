"""From logits to the next token: pure functions, equal to transformers' own processors.

``logits`` are tensors ``[..., vocabulary]``; words that are ruled out become ``-inf``, so that a
softmax gives them probability 0 and the survivors share the rest in unchanged proportion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def check_parameters(
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    max_new_tokens: int = 1,
    num_beams: int = 1,
) -> None:
    """Raise ValueError, saying what to do, for a generation parameter outside its range."""
    if not _is_number(temperature) or temperature <= 0:
        raise ValueError(
            f"temperature={temperature} must be a number above 0; for the limit T -> 0 use greedy "
            "decoding (do_sample=False)."
        )
    if not _is_whole(top_k) or top_k < 0:
        raise ValueError(f"top_k={top_k} must be a whole number, 0 (off) or more.")
    if not _is_number(top_p) or not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} must lie in (0, 1]; 1 keeps every word.")
    if not _is_number(repetition_penalty) or repetition_penalty <= 0:
        raise ValueError(f"repetition_penalty={repetition_penalty} must be above 0; 1 is off.")
    if not _is_whole(max_new_tokens) or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens={max_new_tokens} must be a whole number, at least 1.")
    if not _is_whole(num_beams) or num_beams < 1:
        raise ValueError(f"num_beams={num_beams} must be a whole number, at least 1.")


def _is_number(x) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _is_whole(x) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


# ---------------------------------------------------------------- reshaping the distribution


def temperature(logits: Tensor, t: float) -> Tensor:
    """Divide the logits by ``t``: below 1 sharpens, above 1 flattens, 1 changes nothing."""
    check_parameters(temperature=t)
    return logits / t


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the ``k`` likeliest words (and those tied with the last of them); 0 keeps all.

    Source: Fan et al. 2018, "Hierarchical Neural Story Generation".
    """
    check_parameters(top_k=k)
    if k == 0 or k >= logits.shape[-1]:
        return logits
    smallest_kept = logits.topk(k).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of words whose probabilities reach ``p``; the crossing word is in.

    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration".
    """
    check_parameters(top_p=p)
    if p == 1:
        return logits
    # Sorted upwards, as transformers does, so that ties at the border fall alike.
    ordered, order = logits.sort(dim=-1, descending=False)
    tail = ordered.softmax(-1).cumsum(-1)
    drop = tail <= 1 - p
    drop[..., -1] = False  # the likeliest word always stays
    return logits.masked_fill(drop.scatter(-1, order, drop), -torch.inf)


def repetition_penalty(logits: Tensor, previous_ids: Tensor, penalty: float) -> Tensor:
    """Make words of ``previous_ids`` ``[..., length]`` less likely: divide positive logits by
    ``penalty``, multiply negative ones. Each word counts once, however often it occurred.

    Source: Keskar et al. 2019, "CTRL", equation 2 (with the sign handled).
    """
    check_parameters(repetition_penalty=penalty)
    seen = logits.gather(-1, previous_ids)
    punished = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(-1, previous_ids, punished)


def process(logits: Tensor, *, t: float = 1.0, k: int = 0, p: float = 1.0) -> Tensor:
    """Temperature, then top-k, then top-p: the order of ``transformers``.

    The order matters: top-p counts probability *after* temperature has moved it.
    """
    return top_p(top_k(temperature(logits, t), k), p)


# ---------------------------------------------------------------- choosing


def greedy(logits: Tensor) -> Tensor:
    """Id of the likeliest word, shape ``[...]``."""
    return logits.argmax(-1)


def sample(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One id drawn from softmax(logits) for each row, shape ``[...]``."""
    probabilities = logits.softmax(-1)
    flat = probabilities.reshape(-1, probabilities.shape[-1])
    return torch.multinomial(flat, 1, generator=generator).reshape(probabilities.shape[:-1])


class Grammar:
    """A logits processor: leaves the likeliest token after which the text may still become a match.

    For greedy decoding only. `pattern` is compiled by the package ``regex``, which knows partial matches.
    """

    def __init__(self, pattern, tokenizer):
        self.pattern, self.tokenizer, self.start = pattern, tokenizer, None

    def __call__(self, ids, scores):  # ids [rows, positions], scores [rows, vocabulary]
        self.start = self.start or ids.shape[1]  # the prompt ends here
        masked = torch.full_like(scores, -torch.inf)
        for row, order in enumerate(scores.argsort(descending=True).tolist()):
            written = self.tokenizer.decode(ids[row, self.start :], skip_special_tokens=True)
            masked[row, self.choose(written, order)] = 0
        return masked

    def choose(self, written, order):
        if self.pattern.fullmatch(written):  # complete: only the end may follow
            return self.tokenizer.eos_token_id
        texts = ((n, written + self.tokenizer.decode([n])) for n in order)
        return next(n for n, text in texts if self.pattern.fullmatch(text, partial=True))


def generate(
    next_logits: Callable[[Tensor], Tensor],
    ids: Tensor,
    *,
    max_new_tokens: int,
    eos_id: int | None = None,
    choose: Callable[[Tensor], Tensor] = greedy,
) -> Tensor:
    """The loop behind every text an LLM writes, for one sequence.

    Parameters
    ----------
    next_logits : maps ids ``[length]`` to the logits of the next token ``[vocabulary]``.
    ids : the prompt, ``[length]``.
    choose : picks an id from logits: :func:`greedy`, or e.g. ``lambda z: sample(process(z, p=.9))``.

    Returns
    -------
    Prompt and answer, ``[length + at most max_new_tokens]``; the end token, if any, is the last.
    """
    check_parameters(max_new_tokens=max_new_tokens)
    for _ in range(max_new_tokens):
        new = choose(next_logits(ids))
        ids = torch.cat([ids, new.reshape(1)])
        if eos_id is not None and new.item() == eos_id:
            break
    return ids


def beam_search(
    next_log_probs: Callable[[Sequence[int]], Tensor],
    start: Sequence[int],
    *,
    beams: int,
    max_new_tokens: int,
    eos_id: int | None = None,
) -> tuple[list[int], float]:
    """Keep the ``beams`` likeliest beginnings at each step; return the likeliest text found.

    Parameters
    ----------
    next_log_probs : maps a list of ids to log-probabilities of the next token ``[vocabulary]``.

    Returns
    -------
    ids (``start`` included) and the sum of log-probabilities of the new ones, in nats. Sums are
    not divided by length, so short texts have an advantage (``length_penalty=0`` of transformers).
    """
    check_parameters(num_beams=beams, max_new_tokens=max_new_tokens)
    open_beams, ended = [(list(start), 0.0)], []
    for _ in range(max_new_tokens):
        grown = []
        for ids, total in open_beams:
            log_probs = next_log_probs(ids)
            # beams + 1 words of each: one may be the end, and beams must stay open
            values, words = log_probs.topk(min(beams + 1, len(log_probs)))
            grown += [(ids + [w], total + v) for v, w in zip(values.tolist(), words.tolist())]
        grown.sort(key=lambda beam: -beam[1])
        ended += [beam for beam in grown[:beams] if beam[0][-1] == eos_id]
        open_beams = [beam for beam in grown if beam[0][-1] != eos_id][:beams]
        # Log-probabilities only fall: a finished text that leads now can never be overtaken.
        if ended and max(total for _, total in ended) >= open_beams[0][1]:
            break
    return max([*ended, *open_beams], key=lambda beam: beam[1])
