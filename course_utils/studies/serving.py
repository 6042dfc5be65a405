"""Week 3's engines: transformers and OpenVINO GenAI write the same answers from the same GGUF file, one core each.

OpenVINO is no requirement of the course: ``pip install openvino-genai`` first. What the log holds already is
not measured again. Speeds are answer tokens per second of processor time, the prompt's reading included: a
neighbour on the same cores hardly moves them.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from .. import data, finetune, logs, prompts, settings
from ..models import SMOLLM2, load_llm
from ..weights import find
from . import write

ROWS, NEW = 16, 32  # requests, and new tokens of each at most
ENGINES = ("transformers, float32", "transformers, bfloat16", "OpenVINO GenAI, float activations", "OpenVINO GenAI")
THREADS = {"INFERENCE_NUM_THREADS": 1}


def requests() -> list[str]:
    """The first calm test dialogues, each with the request for a summary, as the model sees it."""
    llm = load_llm(settings.embedded())
    rows = data.load_dialogues(settings.embedded(), tone="calm")["test"].to_list()[:ROWS]
    return [llm.chat(prompts.fill("instruction", row["dialogue"])) for row in rows]


def ours(lower: bool) -> Callable[[Sequence[str]], tuple[int, str]]:
    """Answers by this course's loop over transformers: how many tokens, and the first text."""
    llm = load_llm(settings.embedded())

    def write_answers(asked):
        with finetune.mixed_precision("cpu") if lower else nullcontext():
            answers = llm.answer(asked, max_new_tokens=NEW)
        return sum(answer.tokens for answer in answers), answers[0].text

    return write_answers


def theirs(**options) -> Callable[[Sequence[str]], tuple[int, str]]:
    """The same by OpenVINO GenAI, which reads the GGUF file itself."""
    import openvino_genai

    pipe = openvino_genai.LLMPipeline(str(find(SMOLLM2)), "CPU", **THREADS, **options)
    config = openvino_genai.GenerationConfig(max_new_tokens=NEW, do_sample=False, apply_chat_template=False)

    def write_answers(asked):
        result = pipe.generate(list(asked), config)
        return int(result.perf_metrics.get_num_generated_tokens()), result.texts[0]

    return write_answers


def make(name: str) -> Callable[[Sequence[str]], tuple[int, str]]:
    """The engine of that name."""
    if name.startswith("transformers"):
        return ours(lower="bfloat16" in name)
    return theirs(**({"DYNAMIC_QUANTIZATION_GROUP_SIZE": 0} if "float" in name else {}))


def speed(write_answers, asked: Sequence[str]) -> dict:
    """Tokens per CPU-second over all requests of one call; the first call warms up."""
    write_answers(asked[:1])
    start = time.process_time()
    tokens, text = write_answers(asked)
    seconds = time.process_time() - start
    return {"requests": len(asked), "tokens": tokens, "cpu_seconds": round(seconds, 2), "text": text.strip()}


def main(path: Path = logs.HERE / "serving.json") -> None:
    """Measure what the log does not hold yet."""
    done = json.loads(path.read_text())["runs"] if path.is_file() else []
    torch.set_num_threads(1)
    asked = requests()
    for name in ENGINES:
        if any(run["engine"] == name for run in done):
            continue
        if name.startswith("OpenVINO") and not importlib.util.find_spec("openvino_genai"):
            print(f"{name}: not installed (pip install openvino-genai)")
            continue
        engine = make(name)
        for rows in (1, ROWS):
            done.append({"engine": name, **speed(engine, asked[:rows])})
            print(done[-1], flush=True)
        write({"command": "python -m course_utils serving", "new_tokens": NEW, "runs": done}, path, indent=1)
