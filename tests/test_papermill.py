"""Notebook jobs (SageMaker, schedulers) copy one notebook into an empty folder and run it by papermill."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_utils import notebooks

pytest.importorskip("papermill", reason="python -m pip install -r requirements-tests.txt")
ORDER = notebooks.find_notebooks(Path(__file__).parents[1])


@pytest.mark.parametrize("path", ORDER, ids=lambda p: p.stem)
def test_no_cell_depends_on_the_folder_it_runs_in(path):
    for cell in notebooks.read(path).cells:
        if cell.cell_type == "code":
            assert not re.search(r"""["'](\.\./|week\d/|data/)|getcwd|chdir|Path\(\)|Path\(["']\.""", cell.source), cell.source


@pytest.mark.slow
def test_a_copy_in_an_empty_folder_runs_with_parameters_as_a_job(tmp_path):
    path = next(p for p in ORDER if p.stem == "6_scaling_laws")
    (tmp_path / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "papermill", path.name, "out.ipynb", "-k", "python3", "-p", "learner", "7"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    out = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert out.cells[0].source.split("\n")[1:2] == ["learner = 7"]
    ran = {c.id: c.outputs for c in out.cells if c.cell_type == "code"}
    compared = [c for c in notebooks.read(path).cells if notebooks.COMPARED in c.metadata.get("tags", [])]
    assert compared and all(text(c.outputs) == text(ran[c.id]) for c in compared)


def text(outputs) -> str:
    return "".join(o.get("text", "") for o in outputs)
