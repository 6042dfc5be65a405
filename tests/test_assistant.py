"""Instruction tuning's base model: measured where it is installed, read from the record where it is not."""


import pytest

from course_utils import assistant, data, logs, models
from course_utils.settings import CourseError
from course_utils.studies import assistant as study


def missing():
    raise CourseError("not installed")


def test_the_record_is_read_where_the_model_is_missing():
    found, source = assistant.live_or_recorded(study.TEN, load=missing)
    assert "recorded" in source and models.GEMMA.install in source
    assert found == logs.assistant()["answers"]


def test_other_requests_than_the_recorded_ones_need_the_model():
    with pytest.raises(CourseError, match="other requests.*requirements-base-model"):
        assistant.live_or_recorded(["And you?"], load=missing)


def test_the_record_shows_a_model_that_learnt_to_stop():
    record = logs.assistant()
    ended = {when: sum(found["ended"]) for when, found in record["answers"].items()}
    assert ended["before"] <= 2 and ended["after"] >= 8
    assert record["sha256"] == models.GEMMA.sha256 and record["command"] == "python -m course_utils assistant"


def test_no_request_is_taught():
    taught = assistant.rows(study.TEN)
    assert len(taught) == assistant.ROWS == len({r["question"] for r in taught})
    assert not {r["question"] for r in taught} & set(study.TEN)
    known = {r["question"] for r in data.load_unrelated()}
    assert all(r["question"] in known for r in taught)


def test_measuring_trains_half_of_the_layers_and_nothing_else(causal):
    before = {name: p.clone() for name, p in causal.model.named_parameters()}
    taught = [{"question": "w5 w6", "answer": "w7"}] * 16
    found = assistant.measure(causal, taught, ["w5 w6", "w8"])
    assert list(found) == ["before", "after"] and [len(f["texts"]) for f in found.values()] == [2, 2]
    moved = {name for name, p in causal.model.named_parameters() if not p.equal(before[name])}
    layers = [name for name in before if ".layers." in name]
    assert moved and moved <= set(layers[len(layers) // 2 :])


@pytest.mark.slow
def test_the_installed_model_learns_to_stop(base_model):
    found, source = assistant.live_or_recorded(study.TEN)
    assert "tuned now" in source
    ended = {when: sum(one["ended"]) for when, one in found.items()}
    assert ended["before"] <= 3 and ended["after"] >= 7  # another processor rounds otherwise
