"""Lab 1's record of a base model asked with none, one and three solved examples: a few minutes."""

from __future__ import annotations

from pathlib import Path

from .. import logs, models, shots
from . import write


def main(path: Path = logs.HERE / "shots.json") -> None:
    """Measure, and write the record anew."""
    dialogues, examples = shots.rows()
    content = {
        "command": "python -m course_utils shots",
        "model": models.GEMMA.name,
        "sha256": models.GEMMA.sha256,
        "dialogues": len(dialogues),
        "prompts": shots.measure(shots.base_model(), dialogues, examples),
    }
    for name, found in content["prompts"].items():
        print(f"{name:12s} ROUGE-1 {sum(found['rouge1']) / len(dialogues):.3f}", flush=True)
    write(content, path, indent=1)
