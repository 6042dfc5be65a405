"""Texts that differ in one thing."""

import pytest

from course_utils import contrasts, data, rewards
from course_utils.settings import Settings

NOUNS, ADJECTIVES = ["friend", "neighbour", "gardener", "artist"], ["careful", "cheerful", "patient", "honest"]


@pytest.fixture(scope="module")
def heated():
    return data.load_dialogues(Settings(), tone="heated")


def test_every_insult_is_exchanged_and_nothing_else(heated):
    for row in heated["test"]:
        kind = contrasts.exchange(row["summary_blunt"], NOUNS, ADJECTIVES)
        assert rewards.word_list([kind, row["summary_blunt"]]) == [0, 1]
        assert len(kind.split()) >= len(row["summary_blunt"].split()) - 1
        assert contrasts.exchange(row["summary"], NOUNS, ADJECTIVES) == row["summary"]


def test_an_insult_after_an_becomes_a_word_with_a_vowel_and_plurals_stay_plurals():
    assert contrasts.exchange("An idiot.", NOUNS, ADJECTIVES) == "An artist."
    assert contrasts.exchange("Two clowns!!", NOUNS, ADJECTIVES) == "Two friends!!"
    assert contrasts.find_insults("The CLOWN, an idiotic plan") == ["clown", "idiotic"]


def test_speakers_come_in_the_order_of_their_first_turn():
    assert contrasts.speakers("Bo: Hi.\nAna: Ana: hm\nBo: So.\nno colon") == ["Bo", "Ana"]


def test_renaming_changes_whole_names_and_all_at_once():
    assert contrasts.rename("Ana and Anas met Bo.", ["Ana", "Bo"], ["Bo", "Cem"]) == "Bo and Anas met Cem."
    assert contrasts.rename("Ana, Bo, Cem", ["Ana", "Bo", "Cem"], ["X", "Y"]) == "X, Y, Y"


def test_each_summary_is_once_right_and_once_wrong(heated):
    rows = list(heated["test"])[:6]
    wrong = contrasts.other_stories(rows)
    for i, row in enumerate(rows):
        j = i + 1 if i % 2 == 0 else i - 1
        back = contrasts.rename(wrong[j], contrasts.speakers(rows[j]["dialogue"]), contrasts.speakers(row["dialogue"]))
        assert wrong[i] != row["summary"] and back == row["summary"]
    with pytest.raises(ValueError, match="leave one alone"):
        contrasts.other_stories(rows[:3])


def test_exchanged_roles_keep_every_other_word():
    row = {"dialogue": "Ana: You!\nBo: Me?", "summary": "Ana scolds Bo for Bo's noise."}
    assert contrasts.roles_exchanged(row) == "Bo scolds Ana for Ana's noise."
