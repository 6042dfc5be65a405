"""The same 4-bit file in a serving engine, OpenVINO GenAI, and expanded to numbers of 32 and 16 bits in transformers.

The engine is optional (``requirements-engine.txt``). *Making it cheap* measures where it is installed, and reads
the committed record where it is not (``python -m course_utils serving`` made it).

Every measurement is a process of its own with one thread: it reads the model, answers a short prompt to warm up,
and then writes 32 tokens after each of the eight prompts, greedily and past an end token. Both get the same token
ids. The engine shares no prefixes here: what is compared is the arithmetic.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import logs, settings

PLAIN = "transformers, float32"
ENGINE = "OpenVINO GenAI"
WAYS = (PLAIN, "transformers, bfloat16", ENGINE, "OpenVINO GenAI, float activations")
ONE, EIGHT = "one at a time", "eight at once"
MODES = (ONE, EIGHT)
NEW = 32  # tokens per prompt
REQUIREMENTS = "requirements-engine.txt"
INSTALL = f"pip install -r {REQUIREMENTS}"

# By default the engine rounds activations to INT8, one scale per 32 numbers, and the cache to 8 bits; what is left
# it computes in bfloat16 on processors made for it.
FLOATS = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 0, "KV_CACHE_PRECISION": "f32", "INFERENCE_PRECISION_HINT": "f32"}


def require() -> None:
    """Nothing, if the engine is installed.

    Raises
    ------
    CourseError
        if it is not; it names the command.
    """
    if importlib.util.find_spec("openvino_genai") is None:
        raise settings.CourseError(f"OpenVINO GenAI, the serving engine, is not installed; run: {INSTALL}")


def task() -> dict:
    """What every process gets: the file, the ids of eight prompts and of a short one, the end token.

    The prompts ask for summaries of the eight shortest calm test dialogues.
    """
    from transformers import AutoTokenizer

    from . import models, prompts
    from .data import load_dialogues

    words = AutoTokenizer.from_pretrained(models.prepare())

    def ids(text: str) -> list[int]:
        chat = [{"role": "user", "content": text}]
        text = words.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        return words(text, add_special_tokens=False).input_ids

    rows = sorted(load_dialogues(settings.embedded(), tone="calm")["test"], key=lambda row: len(row["dialogue"]))[:8]
    return {
        "file": str(models.verify(models.SMOLLM2)), "warm": ids("Name three colours."), "end": words.eos_token_id,
        "prompts": [ids(prompts.fill("instruction", row["dialogue"])) for row in rows],
    }  # fmt: skip


def write_with_transformers(given: dict, mode: str, precision: str) -> Callable[[list[list[int]]], list[list[int]]]:
    """A function from prompts to their new tokens, with the library's ``generate``."""
    import torch
    from transformers import AutoModelForCausalLM

    from . import weights

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(weights.prepare(), dtype=getattr(torch, precision)).eval()
    batch = writer(model, given["end"])
    if mode == EIGHT:
        return batch
    return lambda rows: [batch([row])[0] for row in rows]


def writer(model, end: int) -> Callable[[list[list[int]]], list[list[int]]]:
    """A function that lets a model of transformers write after a batch of prompts, filled up on the left."""
    import torch

    options = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False, "pad_token_id": end}

    def batch(rows: list[list[int]]) -> list[list[int]]:
        longest = max(map(len, rows))
        ids = torch.tensor([[end] * (longest - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        return model.generate(ids, attention_mask=mask, **options)[:, longest:].tolist()

    return batch


def write_with_engine(given: dict, mode: str, floats: bool) -> Callable[[list[list[int]]], list[list[int]]]:
    """The same with the engine: its pipeline for one request, or its continuous batching."""
    import numpy as np
    import openvino
    import openvino_genai

    chosen = {"INFERENCE_NUM_THREADS": 1, **(FLOATS if floats else {})}
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching = False
    options = openvino_genai.GenerationConfig(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False)
    options.set_eos_token_id(given["end"])

    def tensor(row: list[int]):
        return openvino.Tensor(np.array([row], dtype=np.int64))

    if mode == EIGHT:
        server = openvino_genai.ContinuousBatchingPipeline(given["file"], scheduler, "CPU", chosen)

        def batch(rows: list[list[int]]) -> list[list[int]]:
            done = server.generate([tensor(row) for row in rows], [options] * len(rows))
            return [list(answer.m_generation_ids[0]) for answer in done]

        return batch
    pipeline = openvino_genai.LLMPipeline(given["file"], "CPU", scheduler_config=scheduler, **chosen)
    return lambda rows: [list(pipeline.generate(tensor(row), options).tokens[0]) for row in rows]


def measure(way: str, mode: str, given: dict) -> dict:
    """In this process: the new ``tokens`` [prompts][32], ``seconds``, ``cpu_seconds``, ``peak_mb`` of the process."""
    library, _, how = way.partition(", ")
    if library == "transformers":
        write = write_with_transformers(given, mode, how)
    else:
        write = write_with_engine(given, mode, bool(how))
    write([given["warm"]])
    clock, used = time.perf_counter(), time.process_time()
    tokens = write(given["prompts"])
    used, clock = time.process_time() - used, time.perf_counter() - clock
    return {"tokens": tokens, "seconds": round(clock, 2), "cpu_seconds": round(used, 2), "peak_mb": round(peak_megabytes())}


def peak_megabytes() -> float:
    """The most physical memory that this process held so far (elsewhere than on Linux: that it holds now)."""
    try:  # course_utils.memory has the same, but would load torch into the engine's process
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6
    except (OSError, TypeError):
        import psutil

        return psutil.Process().memory_info().rss / 1e6


def apart(way: str, mode: str, given: dict) -> dict:
    """:func:`measure` in a process of its own, without the memory and the libraries of this one."""
    done = subprocess.run(
        [sys.executable, "-m", "course_utils.serving", way, mode], input=json.dumps(given), text=True,
        capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1", "COURSE_DEVICE": "cpu"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{way}, {mode}: {done.stderr[-600:]}")
    return json.loads(done.stdout.splitlines()[-1])


def agreeing(tokens: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> int:
    """How many tokens are equal from the front, over all rows.

    >>> agreeing([[5, 6, 7], [1, 2, 3]], [[5, 6, 8], [9, 2, 3]])
    2
    """
    count = 0
    for row, other in zip(tokens, others):
        count += next((i for i, (a, b) in enumerate(zip(row, other)) if a != b), min(len(row), len(other)))
    return count


def speeds(runs: Sequence[dict]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Tokens per second of one core, for each way and mode: median, smallest and largest of the repeats."""
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for run in runs:
        found.setdefault(run["way"], {}).setdefault(run["mode"], []).append(run["new"] / run["cpu_seconds"])
    return {
        way: {mode: (statistics.median(each), min(each), max(each)) for mode, each in modes.items()}
        for way, modes in found.items()
    }


def memory(runs: Sequence[dict]) -> dict[str, float]:
    """The most memory that a process of each way held, in MB; the median over its runs."""
    return {way: statistics.median(run["peak_mb"] for run in runs if run["way"] == way) for way in {run["way"]: 0 for run in runs}}


def live_or_recorded(ways: Sequence[str] = (PLAIN, ENGINE), run: Callable[..., dict] = apart) -> tuple[list[dict], str]:
    """Runs of ``ways``, one at a time and eight at once, and a line that says where they come from.

    Measured now, once each, where the engine is installed; else the record's repeats.
    """
    try:
        require()
    except settings.CourseError:
        record = logs.serving()
        chosen = [found for found in record["runs"] if found["way"] in ways]
        return chosen, f"recorded, {record['repeats']} repeats (live here: {INSTALL})"
    given = task()
    found = []
    for mode in MODES:
        for way in ways:
            result = run(way, mode, given)
            found.append({"way": way, "mode": mode, "new": sum(map(len, result.pop("tokens"))), **result})
    return found, "measured now, once each"


if __name__ == "__main__":
    print("\n" + json.dumps(measure(*sys.argv[1:], json.load(sys.stdin))))


def timetable(lengths, slots):
    """For each request its slot and its first step, both from 0, under continuous batching.

    ``lengths[i]`` is the number of steps of request *i*. All wait at step 0, in this order.
    """
    free, table = [0] * slots, []
    for n in lengths:
        slot = free.index(min(free))
        table.append((slot, free[slot]))
        free[slot] += n
    return table
