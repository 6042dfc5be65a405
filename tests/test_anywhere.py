"""The files that bring the course elsewhere: what they name exists, and what they pin is what we pin."""

import json
import re
from pathlib import Path

import pytest
import yaml

from course_utils import __main__

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def steps(path: Path):
    for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_pinned_by_commit_and_rights_are_named(path):
    uses = [step["uses"] for step in steps(path) if "uses" in step]
    assert uses and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) for name in uses)
    rights = yaml.safe_load(path.read_text(encoding="utf-8"))["permissions"]
    assert rights["contents"] == "read"
    assert set(rights) == ({"contents"} if path.name == "test.yml" else {"contents", "issues"})


def test_the_same_action_has_the_same_commit_everywhere():
    pinned = {tuple(step["uses"].split("@")) for path in WORKFLOWS for step in steps(path) if "uses" in step}
    assert len(pinned) == len({name for name, _ in pinned})


@pytest.mark.parametrize("path", [
    ".github/workflows/test.yml", ".github/workflows/newest.yml", "Dockerfile", "binder/postBuild",
    "environment.yml", "README.md", "docs/TROUBLESHOOTING.md", "docs/SEVERAL_MACHINES.md", "docs/SAGEMAKER.md",
])  # fmt: skip
def test_what_a_command_names_exists(path):
    text = read(path)
    for name in re.findall(r"(?<=-r )(?!newest|/tmp)[\w.-]+\.txt", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"week\d/\w+\.ipynb", text):
        assert (ROOT / name).is_file(), name
    for command in re.findall(r"python -m course_utils (\w+)", text):
        assert callable(getattr(__main__, command)), command


def test_the_oldest_python_of_the_workflows_is_the_packages():
    matrix = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]["systems"]["strategy"]["matrix"]
    oldest = re.search(r'requires-python = ">=([\d.]+)"', read("pyproject.toml"))[1]
    assert matrix["python"][0] == oldest and len(matrix["os"]) == 3
    assert f"FROM python:{oldest}-" in read("Dockerfile")
    assert read("binder/runtime.txt").strip() == f"python-{oldest}"
    assert f"python={oldest}" in yaml.safe_load(read("environment.yml"))["dependencies"]


def test_binders_requirements_are_the_courses():
    line = read("binder/requirements.txt").split()
    assert line[0] == "-r" and (ROOT / "binder" / line[1]).resolve() == ROOT / "requirements.txt"


def test_the_container_runs_without_rights_and_leaves_the_environment_out():
    lines = read("Dockerfile").splitlines()
    assert lines.index("USER learner") < min(i for i, line in enumerate(lines) if line.startswith("COPY"))
    assert not any(line.startswith("USER root") for line in lines)
    assert {".venv", ".git"} <= set(read(".dockerignore").split())


def test_the_devcontainer_builds_that_container():
    config = json.loads(read(".devcontainer/devcontainer.json"))
    build = config["build"]
    assert (ROOT / ".devcontainer" / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert f"USER {config['remoteUser']}" in read("Dockerfile")


def test_newest_dependencies_keep_no_pin_and_no_name_is_lost():
    recipe = next(s["run"] for s in steps(ROOT / ".github/workflows/newest.yml") if "newest.txt" in s.get("run", ""))
    pattern = re.search(r"sed -E 's/(.+?)//'", recipe)[1]
    loose = [re.sub(pattern, "", line) for line in read("requirements.txt").splitlines()]
    assert not any("==" in line.split(";")[0] for line in loose)
    assert [re.split(r"[=;\s]", line)[0] for line in loose] == [re.split(r"[=;\s]", line)[0] for line in read("requirements.txt").splitlines()]


def test_the_citation_has_what_the_format_demands():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == "Apache-2.0" == re.search(r'license = "(.+?)"', read("pyproject.toml"))[1]


# ---------------------------------------------------------------- the lock file


def locked() -> dict[str, list[str]]:
    """Name → the versions in requirements.lock: several, where Python's version or the system decides."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([\w.+-]+)", read("requirements.lock"), re.M):
        found.setdefault(name, []).append(version)
    return found


def test_the_lock_holds_every_direct_pin():
    pins = re.findall(r"^([a-z0-9-]+)==([^\s;]+)", read("requirements.txt"), re.M)
    lock = locked()
    assert len(pins) > 25 and len(lock) > 150
    assert {name: lock.get(name) for name, _ in pins} == {name: [version] for name, version in pins}


def test_the_lock_has_a_hash_for_everything_and_names_no_host():
    text = read("requirements.lock")
    body = re.sub(r"^#.*\n", "", text, flags=re.M)
    entries = re.split(r"\n(?=[a-z])", body.strip())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert len(entries) == len(re.findall(r"^[a-z0-9-]+==", body, re.M))
    assert "://" not in text
    assert "uv pip compile - --universal" in text  # how it is made again


def test_the_lock_needs_what_is_installed_here():
    """What this environment's packages ask for is in the lock: none was forgotten."""
    import importlib.metadata

    from packaging.requirements import Requirement

    lock, missing = locked(), {}
    for name in lock:
        try:
            wanted = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # another system's, or a CUDA library
        for text in wanted:
            need = Requirement(text)
            other = re.sub(r"[-_.]+", "-", need.name).lower()
            applies = need.marker is None or need.marker.evaluate({"extra": ""})
            if applies and not (other in lock and any(need.specifier.contains(v) for v in lock[other])):
                missing[text] = name
    assert not missing
