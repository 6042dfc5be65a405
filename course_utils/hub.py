"""Models and data sets from the hub: fetched whole before they are read, and each failure in one sentence.

The libraries above ``huggingface_hub`` hide what went wrong: a rate limit on one file becomes "you
need sentencepiece". So a model is fetched here first, file by file, and then read as a folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .settings import CourseError

SHOWN = 12  # names of configurations in a sentence
# Where the datasets library lists them: one must choose, or chose what is not there.
LISTED = re.compile(
    r"(?:available configs: |not found\. Available: |Available configs in the cache: )\[(.*?)\]"
    r"|configurations in the cache: (.*?)\s+Please"
)
# Weights in safetensors, configuration, tokenizers and templates: no pickle, no code.
FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
SECOND_COPY = ["*consolidated*.safetensors"]  # Mistral's and Meta's own layout: transformers reads the other one


def download(name: str, variable: str = "COURSE_MODEL") -> Path:
    """The folder with a hub model's files; what is there already is not fetched again.

    ``variable`` is the setting that named it, for the sentences.

    Raises
    ------
    CourseError
        that names the cause (no network, offline mode, no such model, a gate, a limit, a full disk,
        a cut connection) and the cure.
    """
    from huggingface_hub import snapshot_download

    with explained(variable, name), _without_bars():
        return Path(snapshot_download(name, allow_patterns=FILES, ignore_patterns=SECOND_COPY, cache_dir=_cache()))


def _cache() -> Path | None:
    """The library's own cache; another endpoint's models apart, since it does not tell them apart."""
    from huggingface_hub import constants

    if not os.environ.get("HF_ENDPOINT"):
        return None
    mark = hashlib.sha256(constants.ENDPOINT.encode()).hexdigest()[:8]
    return Path(constants.HF_HUB_CACHE) / f"endpoint-{mark}"


@contextmanager
def _without_bars() -> Iterator[None]:
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()


@contextmanager
def explained(variable: str, name: str) -> Iterator[None]:
    """Turn whatever the hub's libraries raise inside into one :class:`CourseError`."""
    try:
        yield
    except CourseError:
        raise
    except Exception as error:  # the libraries raise many kinds, and wrap them in one another
        raise CourseError(sentence(error, variable, name)) from error


def sentence(error: BaseException, variable: str, name: str) -> str:
    """What went wrong and what to do about it, from an error and the errors behind it."""
    from huggingface_hub import errors

    asked = f"{variable}={name}"
    chain = list(_chain(error))
    status = next((s for e in chain if (s := _status(e))), None)
    if any(isinstance(e, errors.HFValidationError) for e in chain):
        return f"{asked} is neither a folder here nor a hub id (org/name); check its spelling."
    text = " ".join(str(e) for e in chain)  # datasets keeps another library's error as a word only
    if there := LISTED.search(text):
        names = [name.strip(" '\"") for name in (there[1] or there[2]).split(",")]
        cached = "in the cache" in there[0]  # listed as the disk has them
        return _choose(asked, sorted(names) if cached else names, cached)
    if any(isinstance(e, errors.OfflineModeIsEnabled) for e in chain) or "OfflineModeIsEnabled" in text:
        return (
            f"{asked} is neither a folder here nor in the hub's cache, and HF_HUB_OFFLINE=1 forbids to "
            "fetch it (`make lab` sets it); start with HF_HUB_OFFLINE=0, or unset "
            f"{variable} to use the embedded one."
        )
    gated = any(isinstance(e, errors.GatedRepoError) for e in chain) or "is a gated dataset" in text
    if gated or status in (401, 403):
        return (
            f"{asked} is gated or private (HTTP {status or 403}): accept its terms on its page, then set "
            "HF_TOKEN to a token of your account."
        )
    file = next((url for e in chain if "/resolve/" in (url := _url(e))), "").rsplit("/", 1)[-1]
    if status == 404 and file not in ("", "README.md"):  # a data set's README is asked for unseen
        return (
            f"The hub lists a file of {name} that it does not send (HTTP 404: {file}); run the cell again "
            "later, or choose another."
        )
    missing = any(isinstance(e, errors.RepositoryNotFoundError) for e in chain)
    if missing or status == 404 or "doesn't exist on the Hub" in text:
        return f"{asked} is neither a folder here nor on the hub; check its spelling."
    if status == 429:
        return (
            f"The hub limits how often one may ask (HTTP 429) and did not send all of {name}; wait a few "
            "minutes and run the cell again: what has arrived is kept."
        )
    if status and status >= 500:
        return (
            f"The hub is out of order (HTTP {status}) and did not send all of {name}; run the cell again "
            "later: what has arrived is kept."
        )
    if any(isinstance(e, OSError) and e.errno == errno.ENOSPC for e in chain):
        return (
            f"The disk is full and {name} has not arrived whole; free some space, or set HF_HOME to a "
            "folder on another disk, and run the cell again."
        )
    if "scripts are no longer supported" in text:
        return (
            f"{asked} needs a program of its own to be read, which is not run here; choose a copy of it in "
            "Parquet or CSV, or download its files and give their folder."
        )
    names = {type(e).__name__ for e in chain}
    if names & {"RemoteProtocolError", "ReadError", "IncompleteRead", "ConsistencyError"}:
        return (
            f"The connection broke while {name} was fetched; run the cell again: whole pieces that have "
            "arrived are kept."
        )
    if names & {"ConnectError", "ConnectTimeout", "ReadTimeout", "ConnectionError", "ProxyError", "gaierror",
                "LocalEntryNotFoundError", "IncompleteSnapshotError"}:  # fmt: skip
        return (
            f"{asked} is neither a folder here nor in the hub's cache, and the hub cannot be reached; "
            f"check the network (and HF_ENDPOINT, if it is set), or unset {variable} to use the embedded one."
        )
    return f"{asked} cannot be read: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _choose(asked: str, names: list[str], cached: bool) -> str:
    """What to write where a data set has the configurations ``names``; ``cached``: as far as the hub's cache knows."""
    source, _, wrong = asked.partition(":config=")
    shown = ", ".join(names[:SHOWN]) + (f", … ({len(names)} in all)" if len(names) > SHOWN else "")
    what = f"has no configuration {wrong!r}" if wrong else "has several configurations"
    where = " in the hub's cache, and without a network or with HF_HUB_OFFLINE=1 no other is fetched" if cached else ""
    return f"{source} {what}{where}; choose one of {shown}: {source}:config={names[0]}, say."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that it was raised from, innermost last."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _url(error: BaseException) -> str:
    return str(getattr(getattr(error, "response", None), "url", ""))


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)
