"""A learner's function under test: its time, its arguments, what it returns, the random numbers.

Whatever an answer does, the notebook goes on: an endless loop is ended, ``input()`` does not wait,
arguments changed in place are noticed, and the notebook's random state is what it was before.
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import inspect
import random
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from .answers import Kind, Nothing, Wrong

SECONDS = 20.0  # the slowest reference needs less than one


class TooLong(BaseException):
    """The time is up. No Exception, so that a learner's ``except Exception`` does not swallow it."""


@contextmanager
def time_limit(seconds: float = SECONDS):
    """Raise :class:`TooLong` inside after ``seconds``, and again each second until it is heard.

    In the main thread by a timer signal; elsewhere, and where there is none (Windows), by raising in
    the thread from outside. A single call into C that never returns cannot be ended by either. A
    bare ``except:`` swallows it, so the signal is raised once more at the next line, which is that
    ``except:``'s own.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and hasattr(signal, "setitimer"):

        def ring(number, frame):
            while frame and frame.f_code.co_filename != __file__:
                frame.f_trace = again
                frame = frame.f_back
            sys.settrace(again)
            raise TooLong

        def again(frame, event, arg):
            if event == "line":
                raise TooLong
            return None if event == "call" else again  # functions called from now on are left alone

        tracer = sys.gettrace()  # a debugger's, or None
        handler = signal.signal(signal.SIGALRM, ring)
        before, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            yield
        finally:
            left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
            sys.settrace(tracer)
            signal.signal(signal.SIGALRM, handler)
            if before:  # somebody else's timer ran: it goes on
                signal.setitimer(signal.ITIMER_REAL, max(before - (seconds - left), 0.01), interval)
        return

    done, here = threading.Event(), threading.get_ident()

    def watch():
        wait = seconds
        while not done.wait(wait):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(here), ctypes.py_object(TooLong)
            )
            wait = 1.0

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


@contextmanager
def same_random_numbers():
    """Whatever is drawn or seeded inside, the random numbers drawn afterwards are the same."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextmanager
def nobody_to_ask():
    """``input()`` raises :class:`Wrong` inside instead of waiting for somebody to type."""

    def refuse(*args, **kwargs):
        raise Wrong("Your answer calls input() and would wait for ever: use the arguments it is given.")

    ask, builtins.input = builtins.input, refuse
    try:
        yield
    finally:
        builtins.input = ask


class Guarded:
    """A learner's function for a test to call.

    Each call gets copies of plain data (lists, dictionaries, arrays, tensors) and is refused if it
    changed them; what it returns is read as ``kind``. ``last`` is what came back last, ``only_none``
    is True if nothing else ever did, ``converted`` if any answer had another type than the kind's own.
    """

    def __init__(self, function: Callable, kind: Kind):
        self.function, self.kind = function, kind
        self.last, self.called, self.converted = None, False, False
        self.only_none = True
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args, **kwargs):
        _must_take(self.function, args, kwargs)
        given, named = copied(args), copied(kwargs)
        value = self.function(*given, **named)
        self.last, self.called = value, True
        self.only_none &= value is None
        for name, before, after in [*zip(_names(self.function), args, given),
                                    *((name, kwargs[name], named[name]) for name in kwargs)]:  # fmt: skip
            if not unchanged(before, after):
                raise Wrong(
                    f"Your function changed `{name}`, which it was given, in place; later cells use it "
                    "again. Work on a copy, or build something new."
                )
        found = self.kind.read(self._returned(value))
        self.converted |= found is not value
        return found

    def _returned(self, value: Any) -> Any:
        if value is None:
            try:
                self.kind.read(None)
            except Wrong:
                if self.only_none:
                    raise Nothing("Your function returned None: is `return` missing?") from None
                raise Nothing(
                    "This time your function returned None: does every way through it end with a `return`?"
                ) from None
        return value


def reading(function: Callable, kind: Kind) -> Callable:
    """The function, with what it returns read as ``kind``: for the cells after the exercise."""

    @functools.wraps(function)
    def read(*args, **kwargs):
        return kind.read(function(*args, **kwargs))

    return read


def _must_take(function: Callable, args: tuple, kwargs: dict) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions of C have none
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise Wrong(
            f"Your function is called with {len(args) + len(kwargs)} arguments and takes others ({error}): "
            "keep the stub's first line."
        ) from None


def _names(function: Callable) -> list[str]:
    code = getattr(function, "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code else []
    return names + [f"argument {n}" for n in range(len(names) + 1, 20)]


def copied(value: Any) -> Any:
    """Plain data copied all through; models, functions and tensors with a gradient as they are."""
    if isinstance(value, torch.Tensor):
        return value if value.requires_grad else value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) is set:
        return set(value)
    return value


def unchanged(before: Any, after: Any) -> bool:
    """Whether a copy still equals what it was copied from (NaN equals itself)."""
    if before is after:
        return True
    if type(before) is not type(after):
        return False
    if isinstance(before, torch.Tensor):
        same = before.shape == after.shape and before.dtype == after.dtype
        return same and bool(torch.all((before == after) | ((before != before) & (after != after))))
    if isinstance(before, np.ndarray):
        same = before.shape == after.shape and before.dtype == after.dtype
        return same and np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    if type(before) in (list, tuple):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if type(before) is dict:
        return list(before) == list(after) and all(unchanged(before[k], after[k]) for k in before)
    return bool(before == after) or before != before
