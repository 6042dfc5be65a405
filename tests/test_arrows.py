"""Arrows between the package's modules point one way; what is below knows nothing of what is above."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "course_utils"
# By first part of the name. Whatever is not named here is a method.
RANKS = {
    "settings": 0, "progress": 0,
    # models, data, metrics, and what is pure and imports nothing (models checks decoding's parameters)
    "models": 1, "llm": 1, "weights": 1, "hub": 1, "data": 1, "metrics": 1, "decoding": 1, "kvcache": 1,
    "prompts": 1, "logs": 1,
    "exercises": 3, "plots": 3, "widgets": 3, "memory_figures": 3, "transformer_pictures": 3, "serving_pictures": 3, "rl_pictures": 3,
    "reasoning_pictures": 3, "reward_pictures": 3,
    "studies": 4, "notebooks": 4, "lint": 4, "terms": 4, "doctor": 4, "hub_server": 4, "tasks": 4, "__main__": 4,
}  # fmt: skip
METHOD = 2
TOOLS = {"notebooks", "lint", "terms", "doctor", "hub_server", "__main__", "studies", "tasks"}  # nothing in a lesson imports them


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name):
    """Modules of the package that a module imports, at its top or inside a function."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            wanted = [a.name.partition(".")[2] for a in node.names if a.name.startswith("course_utils")]
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("course_utils")):
            if node.level:
                base = package.split(".") if package else []
                base = base[: len(base) - node.level + 1]
            else:
                base = []
            rest = (node.module or "").removeprefix("course_utils").strip(".")
            base = ".".join([*base, *([rest] if rest else [])])
            wanted = [f"{base}.{a.name}".strip(".") for a in node.names]
            wanted = [w if w in MODULES else base for w in wanted]
        else:
            continue
        found |= {w for w in wanted if w in MODULES}
    return found - {name, ""}


def rank(name):
    return RANKS.get(name.split(".")[0], METHOD)


def test_the_reader_of_imports_sees_every_form():
    assert {"settings", "rl.kl", "rl.policy", "rl.advantages"} <= imported("rl.ppo") | imported("rl.config")
    assert "doctor" in imported("__main__")  # inside a function
    assert "studies.detox" in imported("studies.pool")


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_a_module_imports_nothing_above_it(name):
    above = {other for other in imported(name) if rank(other) > rank(name)}
    assert not above, f"{name} imports {sorted(above)}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] not in TOOLS])
def test_no_lesson_imports_a_study_or_a_maintainers_tool(name):
    assert not {other for other in imported(name) if other.split(".")[0] in TOOLS}


def test_no_two_modules_need_each_other():
    """A package's ``__init__`` collects its modules: only arrows between modules count."""
    waiting = {
        name: {other for other in imported(name) if MODULES[other].name != "__init__.py"}
        for name in MODULES if MODULES[name].name != "__init__.py"
    }  # fmt: skip
    while free := [name for name, needs in waiting.items() if not needs & set(waiting)]:
        for name in free:
            del waiting[name]
    assert not waiting, f"a circle among {sorted(waiting)}"


def test_a_notebook_imports_no_study_and_no_maintainers_tool():
    for path in PACKAGE.parent.glob("week*/*.ipynb"):
        text = path.read_text()
        assert "course_utils.studies" not in text and "import notebooks" not in text, path
