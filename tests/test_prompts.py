"""Prompt templates: filled, read back, and refused."""

import pytest

from course_utils import data, prompts

ROW = {"dialogue": "Ana: Rain?\nBo: Until {noon}.", "summary": "Bo expects rain.", "topic": "weather"}
EACH = [(task, t) for task, templates in prompts.DIALOGUE_TASKS.items() for t in templates]


@pytest.mark.parametrize("task, template", EACH)
def test_every_template_can_be_read_back(task, template):
    for row in [ROW, *data.load_dialogues(tone="calm")["test"].select(range(3))]:
        prompt, answer = prompts.render(template, row)
        found = prompts.recover(template, prompt, answer)
        assert found and "{" not in prompt.replace(row["dialogue"], "")
        for column, text in found.items():
            expected = prompts.speakers(row["dialogue"]) if column == "speakers" else row[column]
            assert text == expected.strip()


def test_each_task_has_several_wordings_and_no_two_are_equal():
    assert all(len(templates) >= 2 for templates in prompts.DIALOGUE_TASKS.values())
    assert len({template[0] for _, template in EACH}) == len(EACH)


def test_each_small_task_has_its_wording():
    rows = data.load_instructions()["train"]
    assert set(prompts.SMALL_TASKS) == set(rows["task"])
    found = prompts.render(prompts.SMALL_TASKS["topic"], {"input": "Rain {again}.", "output": "weather"})
    assert found == ("Name the topic of this text in one word. Rain {again}.", "weather")


def test_speakers_are_named_once_in_order():
    assert prompts.speakers("Ana: a\nBo: b: c\nAna: d") == "Ana, Bo"


def test_a_pair_of_another_template_is_not_recovered():
    summary, topic = prompts.DIALOGUE_TASKS["summary"][0], prompts.DIALOGUE_TASKS["topic"][0]
    assert prompts.recover(topic, *prompts.render(summary, ROW)) is None


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="asks for 'topic'"):
        prompts.render(("{topic}?", "x"), {"dialogue": "A: b"})
