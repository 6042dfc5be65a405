"""Findings about other people's software have one form; `make findings` runs them (they need a network)."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "findings"
FILES = sorted(FOLDER.glob("*.sh"))


def test_there_are_findings():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_finding_says_what_was_seen_in_which_version_and_stands_alone(path):
    text = path.read_text()
    head = text.split("set -euo pipefail")[0]
    for word in ("Library", "Expected", "Seen", "Why"):
        assert re.search(rf"^# {word} ", head, re.M), f"{path.name} does not say: {word}"
    assert path.stat().st_mode & 0o100, f"{path.name} is not executable"
    assert "mktemp -d" in text and "trap 'rm -rf" in text  # leaves nothing behind
    assert "course_utils" not in text  # the surprise is not of our making
    packages = re.findall(r'bin/pip" install --quiet (.+)', text)
    assert packages and all("==" in name for line in packages for name in line.split())
