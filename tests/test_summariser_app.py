"""The summariser's form, clicked without a browser."""

from course_utils import widgets
from course_utils.settings import CourseError


def clicked(summarise, dialogue="Ana: Hi.\nBo: Bye."):
    form = widgets.summariser_app(summarise)
    text, button, answer = form.children
    text.value = dialogue
    button.click()
    assert not button.disabled
    return answer.value


def test_the_button_gives_the_dialogue_to_the_model_and_shows_the_summary():
    seen = []

    def summarise(dialogue):
        seen.append(dialogue)
        return "Ana greets Bo."

    assert clicked(summarise, "  Ana: Hi.\n") == "Ana greets Bo."
    assert seen == ["Ana: Hi."]


def test_what_the_guard_withholds_is_not_shown():
    assert "Withheld" in clicked(lambda dialogue: None)


def test_an_empty_field_asks_for_a_dialogue_and_never_calls_the_model():
    def summarise(dialogue):
        raise AssertionError("called")

    assert "Paste a dialogue" in clicked(summarise, " \n ")


def test_errors_become_a_sentence_in_the_form():
    def too_long(dialogue):
        raise ValueError("Prompt 0 does not fit <the context>.")

    def broken(dialogue):
        raise CourseError("The adapter is damaged.")

    assert clicked(too_long) == "<i>Prompt 0 does not fit &lt;the context&gt;.</i>"
    assert "damaged" in clicked(broken)


def test_a_summary_is_shown_as_text_not_as_markup():
    assert clicked(lambda dialogue: "<b>Ana</b>") == "&lt;b&gt;Ana&lt;/b&gt;"


def test_while_the_model_writes_the_button_is_locked():
    form = widgets.summariser_app(lambda dialogue: str(form.children[1].disabled), "Ana: Hi.")
    form.children[1].click()
    assert form.children[2].value == "True"
