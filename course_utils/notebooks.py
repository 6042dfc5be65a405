"""Maintainer's tools for notebooks: execute, refresh, solve, lint. Never imported by a notebook."""

from __future__ import annotations

import ast
import base64
import io
import re
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from PIL import Image

from .exercises import engine, record
from .settings import CourseError

COMPARED = "nbval-check-output"
COLLAPSED = "jp-MarkdownHeadingCollapsed"  # on a heading: JupyterLab opens its section folded
CHECK_LINE = re.compile(r"^(\w+) = check\(\"([\w.]+)\", \1\)", re.M)
MAX_BYTES = 500_000
LISTED = re.compile(r"\]\((week\d+/\w+\.ipynb)\)")  # a link of the README


@dataclass(frozen=True)
class Run:
    """What one execution cost."""

    path: Path
    seconds: float
    peak_gb: float


def find_notebooks(root: Path = Path(".")) -> list[Path]:
    """The course's notebooks in teaching order: that of the README's links, others after them."""
    readme = root / "README.md"
    listed = LISTED.findall(readme.read_text(encoding="utf-8")) if readme.is_file() else []
    places = {name: number for number, name in reversed(list(enumerate(listed)))}
    found = sorted(root.glob("week*/*.ipynb"))
    return sorted(found, key=lambda p: places.get(p.relative_to(root).as_posix(), len(listed)))


def read(path: Path):
    """A notebook as nbformat 4.

    Raises
    ------
    CourseError
        if there is none, it cannot be read, or is no notebook.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        if not all(isinstance(cell.source, str) for cell in notebook.cells):
            raise ValueError("a cell without a text")
    except FileNotFoundError as error:
        raise CourseError(f"There is no notebook {path}; run this from the repository's folder.") from error
    except OSError as error:  # a folder, or no right to read
        raise CourseError(f"{path} cannot be read ({error.strerror}); name a notebook, a file ending in .ipynb.") from error
    except Exception as error:  # nbformat raises many kinds
        raise CourseError(
            f"{path} is no notebook, or a damaged one ({type(error).__name__}); name one of the course's, or fetch it again."
        ) from error
    return notebook


def execute(path: Path, notebook=None, timeout: int = 1200, progress=None):
    """Run all cells in a fresh kernel whose folder is the notebook's own.

    Returns the executed notebook and a :class:`Run`. Raises nbclient's CellExecutionError, with the
    cell and its traceback, if a cell fails.
    """
    import psutil
    from nbclient import NotebookClient

    notebook = notebook or read(path)
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    start, peak, counter = time.monotonic(), 0, 0
    # A page to learn from shows no maintainer's progress, and no maintainer's run counts as a try.
    with record.unsolved(), client.setup_kernel():
        kernel = psutil.Process(client.km.provisioner.pid)
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code" and cell.source.strip():
                counter += 1
                client.execute_cell(cell, index, execution_count=counter)
                peak = max(peak, _peak_bytes(kernel))
            if progress:
                progress(index + 1, len(notebook.cells))
    return notebook, Run(path, time.monotonic() - start, peak / 1e9)


def _peak_bytes(process) -> int:
    """Largest resident size so far where the system tells it (Linux), else the present one."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    except (OSError, TypeError):
        return process.memory_info().rss


def tidy(notebook):
    """Remove what changes from run to run or breaks the page (timings, versions, widget state), and
    save pictures in fewer bytes."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(_kept_metadata(cell.metadata))
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            widget = any("widget" in kind for kind in output.get("data", {}))
            stream = output.output_type == "stream"
            if widget:  # no saved page can show it; the static figure before it does
                continue
            if stream and kept and kept[-1].get("name") == output.name:
                kept[-1].text += output.text
                continue
            output.get("metadata", {}).pop("needs_background", None)
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
            kept.append(output)
        cell.outputs = kept
    return notebook


def smaller(png: str) -> str:
    """A picture (PNG, base64) with a palette of 256 colours: a third of the bytes, no difference to see.

    A picture that has a palette already is returned as it is.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    if picture.mode == "P":
        return png
    found = io.BytesIO()
    coloured = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    coloured.save(found, format="png", optimize=True)
    return base64.b64encode(found.getvalue()).decode()


def write(notebook, path: Path) -> None:
    """Save a notebook as the repository keeps them; the old file goes only when the new one is whole."""
    temporary = path.with_suffix(".ipynb.tmp")
    try:
        nbformat.write(notebook, temporary)
        temporary.replace(path)
    except OSError as error:
        raise CourseError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error


def _kept_metadata(metadata) -> dict:
    """A cell's tags, and what folds it in JupyterLab: a section under its heading, an output."""
    hidden = metadata.get("jupyter", {}).get("outputs_hidden")
    kept = {
        "tags": metadata.get("tags"),
        COLLAPSED: metadata.get(COLLAPSED),
        "jupyter": {"outputs_hidden": True} if hidden else None,
    }
    return {key: value for key, value in kept.items() if value}


def refresh(path: Path, progress=None) -> Run:
    """Execute a notebook and save its outputs; the file is replaced only if all cells succeeded."""
    notebook, run = execute(path, progress=progress)
    write(tidy(notebook), path)
    return run


def solved(notebook):
    """The notebook with every stub replaced by its reference answer (in place; also returned)."""
    for cell in notebook.cells:
        match = CHECK_LINE.search(cell.source) if cell.cell_type == "code" else None
        if match:
            name, id = match.groups()
            exercise = engine.find(id)
            answer = engine.source(exercise)
            if not callable(exercise.reference):
                answer = f"{name} = {answer}"
            cell.source = _with_definition(cell.source, name, answer)
    return notebook


def _with_definition(code: str, name: str, answer: str) -> str:
    """The code with its first definition of ``name`` (a function or a value) replaced."""
    lines = code.splitlines()
    for node in ast.parse(code).body:
        defined = [node.name] if isinstance(node, ast.FunctionDef) else []
        if isinstance(node, ast.Assign):
            defined = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if name in defined:
            lines[node.lineno - 1 : node.end_lineno] = answer.splitlines()
            return "\n".join(lines)
    raise ValueError(f"the cell checks {name} and does not define it:\n{code}")


def solve(path: Path, target: Path) -> Path:
    """Write a solved copy, without outputs.

    Raises
    ------
    CourseError
        if the notebook cannot be read, has no exercise, or holds one that the course does not know or whose
        cell is not as it was; if the copy cannot be written, or would replace another file.
    """
    notebook = read(path)
    if not any(CHECK_LINE.search(cell.source) for cell in notebook.cells if cell.cell_type == "code"):
        raise CourseError(f"{path} has no exercise to solve; name a notebook with lines such as f = check(\"lab1.3\", f).")
    try:
        notebook = solved(notebook)
    except (KeyError, SyntaxError, ValueError) as error:
        why = " ".join(str(error.args[0]).split())[:200]
        raise CourseError(f"{path} cannot be solved: {why}; fetch the course's own notebook again.") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and nbformat.writes(notebook).strip() != target.read_text(encoding="utf-8", errors="replace").strip():
            raise CourseError(f"{target} is there already, with something else in it; move it, or choose another folder with --to.")
    except OSError as error:
        raise CourseError(f"{target} cannot be written ({error.strerror}); choose another folder with --to.") from error
    write(notebook, target)
    return target


def lint(path: Path, least_compared: int = 0) -> list[str]:
    """What is wrong with a saved notebook, one sentence each; empty if nothing is."""
    notebook, problems = read(path), []
    if path.stat().st_size > MAX_BYTES:
        problems.append(f"is {path.stat().st_size:,} bytes; at most {MAX_BYTES:,}")
    if "widgets" in notebook.metadata:
        problems.append("has metadata.widgets, with which GitHub shows 'Invalid Notebook'")
    ids = [cell.get("id") for cell in notebook.cells]
    if len(set(ids)) != len(ids) or not all(ids):
        problems.append("has cells without an id of their own")
    compared = pictures = expected = 0
    for number, cell in enumerate(notebook.cells):
        if "execution" in cell.metadata:
            problems.append(f"cell {number} carries timing metadata")
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        hidden = cell.metadata.get("jupyter", {}).get("outputs_hidden")
        if re.search(r"^guessed\(", cell.source, re.M) and not hidden:
            problems.append(f"cell {number} shows what is to be predicted: hide its output")
        expected += 1
        if cell.execution_count != expected:
            problems.append(f"cell {number} has count {cell.execution_count}, not {expected}")
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                problems.append(f"cell {number} saved an error or stderr output")
            if re.search(r"^[\w.]+: (You guessed|your guess)", output.get("text", ""), re.M):
                problems.append(f"cell {number} shows somebody's guess")
            if re.search(r"^[1-9]\d* of \d+ solved", output.get("text", ""), re.M):
                problems.append(f"cell {number} shows exercises as solved")
            if "image/png" in output.get("data", {}):
                pictures += 1
                after = notebook.cells[number + 1 : number + 2]
                if not after or after[0].cell_type != "markdown":
                    problems.append(f"cell {number} shows a picture and no text follows it")
        if COMPARED in cell.metadata.get("tags", []):
            compared += 1
            if not cell.outputs:
                problems.append(f"cell {number} is tagged {COMPARED} and has no output")
    if not pictures:
        problems.append("has no picture")
    if compared < least_compared:
        problems.append(f"has {compared} compared cells; at least {least_compared}")
    return problems
