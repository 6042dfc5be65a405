"""*Making it cheap*'s record of a serving engine beside transformers: some minutes of one core.

It also asks what the engine made of the file. In the format Q4_1, 32 weights share a step d and a minimum m; both are
16-bit floats, and a weight is d q + m with a whole number q from 0 to 15. The engine keeps d (q - z), with a whole z:
it rounds m to a multiple of d (``findings/openvino_genai_q4_1_minimum.sh``). So the study writes a copy of the file
with rounded minima, and measures that in float32.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from .. import finetune, logs, models, serving
from ..data import load_dialogues
from ..prompts import fill
from ..settings import embedded
from . import write

REPEATS = 3
SHORTEST = 32  # test dialogues on which the rounded minima are measured


def grid(repeats: int = REPEATS) -> list[tuple[int, str, str]]:
    """(repeat, mode, way): the ways turn about, so that a busy minute of the machine meets all of them."""
    return [(n, mode, way) for n in range(repeats) for mode in serving.MODES for way in serving.WAYS]


def round_minima(blocks: np.ndarray) -> np.ndarray:
    """Blocks of Q4_1 [blocks, 20 bytes] with each minimum rounded to a multiple of its block's step.

    >>> block = np.zeros((1, 20), np.uint8)
    >>> block[:, :4] = np.array([0.5, -1.7], np.float16).view(np.uint8)
    >>> round_minima(block)[:, :4].copy().view(np.float16)
    array([[ 0.5, -1.5]], dtype=float16)
    """
    found = blocks.copy()
    step, minimum = found[:, :4].copy().view(np.float16).astype(np.float32).T
    whole = -np.floor(0.5 - minimum / np.where(step == 0, 1, step)) * step  # as std::round: half a step goes up
    found[:, 2:4] = whole.astype(np.float16)[:, None].view(np.uint8)
    return found


def as_the_engine_reads(folder: Path) -> tuple[models.LLM, float]:
    """The embedded model with rounded minima, in float32, and by how much its matrices differ (norms: difference by whole)."""
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from transformers import AutoModelForCausalLM

    path = Path(shutil.copy(models.verify(models.SMOLLM2), folder))
    path.chmod(0o644)
    reader = GGUFReader(path, "r+")
    differ = whole = 0.0
    for tensor in reader.tensors:
        if tensor.tensor_type.name != "Q4_1":
            continue
        before = dequantize(tensor.data, tensor.tensor_type)
        tensor.data[:] = round_minima(tensor.data.reshape(-1, 20)).reshape(tensor.data.shape)
        differ += float(np.square(dequantize(tensor.data, tensor.tensor_type) - before).sum())
        whole += float(np.square(before).sum())
    reader.data.flush()
    with models.quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=path.name, dtype=torch.float32)
    return models.LLM(model.eval(), models.load_llm(embedded()).tokenizer, "rounded minima"), (differ / whole) ** 0.5


def weights(given: dict, engine: list[list[int]]) -> dict:
    """What the rounded minima cost: NLL of the references, file against engine, and whether they explain the tokens.

    ``engine`` are the tokens of the engine with float activations.
    """
    rows = sorted(load_dialogues(embedded(), tone="calm")["test"], key=lambda row: len(row["dialogue"]))[:SHORTEST]

    def nll(llm: models.LLM) -> list[float]:
        asked = [llm.chat(fill("instruction", row["dialogue"])) for row in rows]
        return [round(float(x), 4) for x in finetune.nll(llm, finetune.encode(llm, asked, [r["summary"] for r in rows]))]

    found = {"file": nll(models.load_llm(embedded()))}
    with tempfile.TemporaryDirectory() as folder:
        rounded, found["differ"] = as_the_engine_reads(Path(folder))
        found["engine"] = nll(rounded)
        tokens = serving.writer(rounded.model, given["end"])
        found["explained"] = serving.agreeing([tokens([row])[0] for row in given["prompts"]], engine)
    return found


def main(path: Path = logs.HERE / "serving.json", repeats: int = REPEATS) -> None:
    """Measure what the log does not hold yet.

    Raises
    ------
    CourseError
        if the engine is not installed.
    """
    serving.require()
    given = serving.task()
    packages = ("openvino-genai", "openvino", "torch", "transformers")
    content = json.loads(path.read_text()) if path.is_file() else {
        "command": "python -m course_utils serving",
        "model": models.SMOLLM2.name, "sha256": models.SMOLLM2.sha256,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "processor": torch.backends.cpu.get_cpu_capability(), "threads": 1,
        "prompts": [len(row) for row in given["prompts"]], "new": serving.NEW, "repeats": repeats,
        "tokens": {}, "runs": [],
    }  # fmt: skip
    done = {(run["repeat"], run["mode"], run["way"]) for run in content["runs"]}
    for repeat, mode, way in grid(repeats):
        if (repeat, mode, way) in done:
            continue
        run = serving.apart(way, mode, given)
        tokens = run.pop("tokens")
        content["tokens"].setdefault(way, tokens)  # of the first run: one at a time
        run["agree"] = serving.agreeing(tokens, content["tokens"][serving.PLAIN])
        content["runs"].append({"repeat": repeat, "mode": mode, "way": way, "new": sum(map(len, tokens)), **run})
        print(f"{repeat} {mode:14s} {way:36s} {run['cpu_seconds']:7.2f} CPU seconds, {run['agree']} tokens agree", flush=True)
        write(content, path)
    if "weights" not in content:
        content["weights"] = weights(given, content["tokens"][serving.WAYS[-1]])
        write(content, path)
