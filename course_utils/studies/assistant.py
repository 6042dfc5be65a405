"""Instruction tuning's record of a base model that becomes an assistant: a minute."""

from __future__ import annotations

from pathlib import Path

from .. import assistant, logs, models
from . import write

TEN = [
    "What is the capital of France?", "Which planet is closest to the Sun?", "How many sides does a hexagon have?",
    "Who painted the Mona Lisa?", "On which continent is the Sahara?", "What is 6 times 7?",
    "What is a young cat called?", "Make this sentence negative: The door is locked.",
    "What is the opposite of cold?", "Is an eagle a bird or a fish?",
]  # fmt: skip


def main(path: Path = logs.HERE / "assistant.json") -> None:
    """Measure, and write the record anew."""
    taught = assistant.rows(TEN)
    content = {
        "command": "python -m course_utils assistant",
        "model": models.GEMMA.name,
        "sha256": models.GEMMA.sha256,
        "rows": len(taught),
        "requests": TEN,
        "answers": assistant.measure(assistant.base_model(), taught, TEN),
    }
    for when, found in content["answers"].items():
        print(f"{when:6s} ended {sum(found['ended'])} of {len(TEN)}", *found["texts"], sep="\n    ", flush=True)
    write(content, path, indent=1)
