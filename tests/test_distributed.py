"""DDP and ZeRO on two processes: the same losses as one, the bytes the formula says, and no hangs."""

import json
import subprocess
import time

import pytest
import torch
import torch.distributed as dist

from course_utils import distributed, memory
from course_utils.settings import CourseError

SMALL = ("--steps", "3", "--rows", "4", "--length", "16")


@pytest.fixture(scope="module")
def reports():
    """All four strategies in one start of two processes."""
    return distributed.launch("--strategy", *distributed.STRATEGIES, *SMALL, timeout=120)


def test_the_losses_are_those_of_one_process(reports):
    alone = distributed.train_alone(distributed.parse(list(SMALL)))
    assert alone[-1] < alone[0]
    assert [report["strategy"] for report in reports] == list(distributed.STRATEGIES)
    for report in reports:
        assert report["losses"] == pytest.approx(alone, abs=1e-5), report["strategy"]


@pytest.mark.parametrize("stage", range(4))
def test_each_rank_holds_what_the_formula_says(reports, stage):
    report, ranks = reports[stage], reports[stage]["per_rank"]
    want = memory.zero_bytes(report["parameters"], 2, stage)
    assert len(ranks) == 2
    for rank in ranks:
        assert rank["gradients"] == want["gradients"]
        if stage == 1:  # whole tensors are given out, so the two shares differ a little
            assert rank["optimizer"] == pytest.approx(want["optimizer"], rel=0.05)
        else:
            assert rank["optimizer"] == want["optimizer"]
    if stage:
        assert sum(rank["optimizer"] for rank in ranks) == 2 * want["optimizer"]


def test_weights_between_the_steps_and_inside_one(reports):
    every, share = 4 * reports[0]["parameters"], 2 * reports[0]["parameters"]
    model = distributed.Tiny()
    layer = 4 * sum(p.numel() for p in model.layers[0].parameters())
    outside = every - len(model.layers) * layer  # embeddings, last norm and head: one unit
    between = [report["per_rank"][0]["weights"] for report in reports]
    inside = [report["per_rank"][0]["weights in a step"] for report in reports]
    assert between == [every, every, share, share]
    assert inside == [every, every, share + every, share + outside + layer]


def test_what_is_sent(reports):
    n = reports[0]["parameters"]
    assert [report["collectives"] for report in reports] == [
        {"all_reduce": n},  # 2 n numbers per rank: added up, handed round
        {"all_reduce": n, "broadcast": n},  # PyTorch's stage 1 sends the new weights besides
        {"all_gather": n, "reduce_scatter": n},
        {"all_gather": 2 * n, "reduce_scatter": n},
    ]


def test_the_gradient_of_the_halves_averages_to_that_of_the_batch():
    model, encode = distributed.make_model("tiny", seed=1)
    rows = distributed.make_rows(distributed.read_text(None), encode, 4, 16)

    def gradient(part):
        model.zero_grad()
        distributed.next_token_loss(model, part).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    halves = (gradient(rows[0::2]) + gradient(rows[1::2])) / 2
    assert torch.allclose(halves, gradient(rows), atol=1e-6)


def test_the_tiny_model_does_not_see_the_future():
    model, _ = distributed.make_model("tiny", seed=0)
    ids = torch.arange(10)[None]
    changed = ids.clone()
    changed[0, 6:] = 99
    assert torch.allclose(model(ids)[0, :6], model(changed)[0, :6], atol=1e-6)


def test_a_killed_worker_is_an_error_and_the_run_can_go_on(reports, tmp_path):
    arguments = ("--strategy", "zero3", *SMALL, "--checkpoint", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(CourseError, match="was killed.*goes on from the last complete step"):
        distributed.launch(*arguments, "--die-at", "2", timeout=60)
    assert time.monotonic() - start < 60
    state = json.loads((tmp_path / "zero3" / "state.json").read_text())
    assert len(state["losses"]) == 2
    (again,) = distributed.launch(*arguments, timeout=60)
    assert again["resumed_at"] == 2
    assert again["losses"] == pytest.approx(reports[3]["losses"], abs=1e-5)
    assert len(list((tmp_path / "zero3").glob("*.safetensors"))) == 2


def test_an_error_of_one_rank_is_told_and_not_what_it_did_to_the_other():
    with pytest.raises(CourseError) as told:
        distributed.launch("--strategy", "ddp", *SMALL, "--fail-at", "1", timeout=60)
    assert str(told.value) == "The run failed: RuntimeError: rank 1 was asked to fail before step 1"


def _mean_of_ranks():
    dist.init_process_group("gloo")
    mine = torch.tensor([3.0, 7.0])[dist.get_rank()]
    print("mine", mine.item())
    dist.all_reduce(mine)
    print("mean", mine.item() / dist.get_world_size())
    dist.destroy_process_group()


def _fails_on_one_rank():
    dist.init_process_group("gloo")
    if dist.get_rank() == 1:
        raise ValueError("no rows left for rank 1")
    dist.barrier()


def test_a_function_of_the_notebook_runs_on_each_rank_and_what_it_prints_comes_back_by_rank():
    assert distributed.torchrun(_mean_of_ranks) == ["mine 3.0\nmean 5.0\n", "mine 7.0\nmean 5.0\n"]


def test_an_error_in_a_function_of_the_notebook_is_told():
    with pytest.raises(CourseError, match="The run failed: ValueError: no rows left for rank 1"):
        distributed.torchrun(_fails_on_one_rank)


def test_a_run_that_takes_too_long_is_stopped_with_all_its_processes():
    import psutil

    with pytest.raises(CourseError, match="did not finish within 2 s"):
        distributed.launch("--steps", "100000", timeout=2)
    left = [p for p in psutil.Process().children(recursive=True) if p.status() != "zombie"]
    assert not any("course_utils.distributed" in " ".join(p.cmdline()) for p in left)


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_one_gpu_for_two_processes_is_not_shared(monkeypatch):
    """gloo's processes stay on the CPU even where a GPU is seen; NCCL refuses two on one."""
    asked = []
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **_: asked.append(backend))
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    for name in ("barrier", "destroy_process_group"):
        monkeypatch.setattr(dist, name, lambda: None)
    monkeypatch.setattr(distributed, "train", lambda *_: {})
    monkeypatch.setattr("torch.cuda.set_device", asked.append)
    environment = {"RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"}
    for processes in ("2", "1"):
        for name, value in {**environment, "LOCAL_WORLD_SIZE": processes}.items():
            monkeypatch.setenv(name, value)
        assert distributed.main(["--strategy", "ddp"]) == 0
    assert asked == ["gloo", 1, "nccl"]


@pytest.mark.parametrize("strategy", distributed.STRATEGIES)
def test_a_resumed_run_equals_an_uninterrupted_one(strategy, alone, tmp_path):
    def run(steps, *more):
        options = ["--steps", str(steps), "--rows", "2", "--length", "8", *more]
        return distributed.train(strategy, distributed.parse(options))

    whole = run(4)["losses"]
    keep = ("--checkpoint", str(tmp_path / "kept"))
    first = run(2, *keep)
    assert first["losses"] == pytest.approx(whole[:2])
    resumed = run(4, *keep)
    assert resumed["resumed_at"] == 2 and resumed["losses"] == pytest.approx(whole, abs=1e-6)
    finished = run(4, *keep)
    assert finished["resumed_at"] == 4 and finished["losses"] == resumed["losses"]


def test_a_checkpoint_of_another_run_is_refused(alone, tmp_path):
    options = ["--steps", "1", "--rows", "2", "--length", "8", "--checkpoint", str(tmp_path / "kept")]
    distributed.train("ddp", distributed.parse(options))
    with pytest.raises(CourseError, match="same settings and number of processes"):
        distributed.train("ddp", distributed.parse([*options, "--seed", "7"]))
    (tmp_path / "other.txt").write_text("Another text. " * 40)
    with pytest.raises(CourseError, match="same settings and number of processes"):
        distributed.train("ddp", distributed.parse([*options, "--text", str(tmp_path / "other.txt")]))


def test_the_reason_is_one_sentence():
    assert distributed._reason("[rank0]: ValueError: no such layer\nChildFailedError: \n") == "ValueError: no such layer"
    assert distributed._reason("x\nCourseError: 3 rows per step cannot be shared.\n") == "3 rows per step cannot be shared."
    assert distributed._reason("") == "no message"
    cause, broken = "  OSError: [Errno 28] No space left on device\n", "RuntimeError: Connection closed by a remote worker\n"
    stopped, killed = (f"traceback : Signal {s} received by PID 7\n" for s in ("15 (SIGTERM)", "9 (SIGKILL)"))
    for report in (cause + stopped, broken + cause, cause + broken + stopped, f"[rank0]: {broken}{stopped}{cause}"):
        assert distributed._reason(report) == "OSError: [Errno 28] No space left on device"
    assert "a worker was killed" in distributed._reason(broken + killed + stopped)


@pytest.mark.parametrize(
    "arguments, words",
    [(["--steps", "0"], "at least 1"), (["--length", "999"], "at most 128"), (["--strategy", "x"], "invalid choice")],
)
def test_impossible_options_are_refused(arguments, words, capsys):
    with pytest.raises(SystemExit):
        distributed.parse(arguments)
    assert words in capsys.readouterr().err


def test_a_text_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "empty.txt").write_text(" ")
    for file in (tmp_path / "none.txt", tmp_path / "empty.txt", tmp_path):
        with pytest.raises(CourseError, match="--text"):
            distributed.read_text(str(file))


def test_without_torchrun_it_trains_in_one_process():
    command = [*distributed.command()[:1], "-m", "course_utils.distributed", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    (report,) = json.loads(done.stdout)
    assert report["strategy"] == "one process" and len(report["losses"]) == 3
