"""Lab 1's base model: measured where it is installed, read from the record where it is not."""

import json

import pytest

from course_utils import logs, models, shots
from course_utils.settings import CourseError
from course_utils.studies import shots as study


class Parrot:
    """A model that gives one answer to everything, and notes what it was asked."""

    def __init__(self):
        self.asked = []

    def chat(self, turns):
        return "\n".join(turn["content"] for turn in turns)

    def generate(self, prompts, max_new_tokens):
        self.asked += prompts
        return ["rain at noon" for _ in prompts]


DIALOGUES = [{"dialogue": "A: Rain?\nB: Noon.", "summary": "rain until noon"}, {"dialogue": "C: Tea?", "summary": "tea"}]
EXAMPLES = [{"dialogue": f"X: {n}?", "summary": f"sum {n}"} for n in range(3)]


def test_each_kind_of_prompt_shows_its_number_of_examples_and_is_scored():
    llm = Parrot()
    found = shots.measure(llm, DIALOGUES, EXAMPLES)
    assert list(found) == ["instruction", "one-shot", "three-shot"]
    assert [sum(f"sum {n}" in llm.asked[i] for n in range(3)) for i in (0, 2, 4)] == [0, 1, 3]
    assert found["one-shot"]["rouge1"] == [round(2 / 3, 4), 0.0]  # two of three words on both sides; none
    assert found["three-shot"]["texts"] == ["rain at noon"] * 2


def test_where_the_model_is_missing_the_record_is_read_and_called_recorded():
    def missing():
        raise CourseError("not installed")

    found, source = shots.live_or_recorded(load=missing)
    assert source.startswith("gemma-3-270m: recorded, 40 test dialogues") and models.GEMMA.install in source
    assert found == logs.shots()["prompts"] and len(found["three-shot"]["rouge1"]) == 40


def test_where_the_model_is_installed_it_is_measured_now():
    llm = Parrot()
    found, source = shots.live_or_recorded(n=3, load=lambda: llm)
    assert source == "gemma-3-270m: measured now, 3 test dialogues"
    assert len(llm.asked) == 9 and len(found["instruction"]["rouge1"]) == 3


def test_the_model_in_hand_is_used_if_it_is_the_one():
    llm = Parrot()
    llm.name = "gemma-3-270m"
    shots.live_or_recorded(llm, n=1, load=lambda: pytest.fail("loaded a second time"))
    assert len(llm.asked) == 3


def test_the_record_shows_that_examples_help_a_base_model():
    record = logs.shots()
    means = [sum(found["rouge1"]) / record["dialogues"] for found in record["prompts"].values()]
    assert means == sorted(means) and means[2] - means[0] > 0.05
    assert record["sha256"] == models.GEMMA.sha256 and record["command"] == "python -m course_utils shots"


def test_the_study_writes_what_it_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(shots, "base_model", Parrot)
    monkeypatch.setattr(shots, "rows", lambda: (DIALOGUES, EXAMPLES))
    study.main(tmp_path / "shots.json")
    written = json.loads((tmp_path / "shots.json").read_text())
    assert written["dialogues"] == 2 and written["prompts"]["instruction"]["texts"] == ["rain at noon"] * 2


@pytest.mark.slow
def test_the_installed_model_gives_the_recorded_beginning(base_model):
    found, source = shots.live_or_recorded(n=2)
    assert "measured now, 2" in source
    recorded = logs.shots()["prompts"]
    agree = [a.split()[:3] == b.split()[:3] for name in found for a, b in zip(found[name]["texts"], recorded[name]["texts"])]
    assert sum(agree) >= 4  # another processor rounds otherwise, so not word for word
