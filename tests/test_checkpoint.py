"""What is kept of a training run in each of its states, and when the disk is full."""

import errno
import json
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file

from course_utils.checkpoint import Checkpoint, State
from course_utils.settings import CourseError


@dataclass(frozen=True)
class Entry:
    loss: float


@pytest.fixture
def trained():
    """One weight after one update by Adam, and the optimizer."""
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    return weight, optimizer


def make(folder, trained, choices=("a run",)):
    weight, optimizer = trained
    return Checkpoint(folder, list(choices), {"w": weight}, optimizer, Entry)


@pytest.mark.parametrize(
    "state, kept",
    [
        (State.UNTRAINED, {"weight.w"}),
        (State.RUNNING, {"weight.w", "mean.w", "square.w"}),
        (State.FINISHED, {"weight.w"}),
    ],
)
def test_adams_moments_are_kept_only_where_a_run_goes_on(tmp_path, trained, state, kept):
    make(tmp_path, trained).keep([Entry(2.0)], state)
    (file,) = tmp_path.glob("*.safetensors")
    assert set(load_file(file)) == kept and not list(tmp_path.glob("*.tmp"))


def test_a_running_state_comes_back_with_its_moments_and_its_log(tmp_path, trained):
    make(tmp_path, trained).keep([Entry(2.0), Entry(1.5)], State.RUNNING)
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    log = make(tmp_path, (weight, optimizer)).load()
    assert log == [Entry(2.0), Entry(1.5)] and torch.equal(weight, trained[0])
    moments, expected = optimizer.state[weight], trained[1].state[trained[0]]
    assert moments["step"] == 1
    assert torch.equal(moments["exp_avg"], expected["exp_avg"])
    assert torch.equal(moments["exp_avg_sq"], expected["exp_avg_sq"])


def test_another_run_in_the_same_folder_is_not_read(tmp_path, trained):
    make(tmp_path, trained).keep([Entry(2.0)], State.FINISHED)
    assert make(tmp_path, trained, choices=("another run",)).load() == []


@pytest.mark.parametrize("spoil", [
    lambda state: state["log"][0].update(new_field=1), lambda state: state.pop("log"), lambda state: state.pop("updates"),
])  # fmt: skip
def test_what_another_version_wrote_is_not_read(tmp_path, trained, spoil):
    make(tmp_path, trained).keep([Entry(2.0)], State.RUNNING)
    state = json.loads((tmp_path / "state.json").read_text())
    spoil(state)
    (tmp_path / "state.json").write_text(json.dumps(state))
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    assert make(tmp_path, (weight, optimizer)).load() == []
    assert not weight.any() and not optimizer.state


def test_a_folder_that_cannot_be_one_is_refused_in_a_sentence(tmp_path, trained):
    (tmp_path / "taken").write_text("")
    with pytest.raises(CourseError, match="cannot be kept in .*taken .*give another folder"):
        make(tmp_path / "taken", trained).keep([Entry(2.0)], State.RUNNING)


def test_without_a_folder_the_weights_can_be_put_back(trained):
    weight = trained[0]
    checkpoint = make(None, trained)
    checkpoint.keep([], State.UNTRAINED)
    kept = weight.detach().clone()
    weight.data.add_(1)
    checkpoint.put_back()
    assert torch.equal(weight, kept)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "x"), RuntimeError("I/O error: No space left on device")])
def test_a_full_disk_is_one_sentence_and_the_state_before_stays(tmp_path, trained, monkeypatch, error):
    checkpoint = make(tmp_path, trained)
    checkpoint.keep([Entry(2.0)], State.RUNNING)

    def full(tensors, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(CourseError, match="disk is full.*COURSE_CACHE"):
        checkpoint.keep([Entry(2.0), Entry(1.5)], State.RUNNING)
    monkeypatch.undo()
    assert make(tmp_path, trained).load() == [Entry(2.0)]
