"""A megabyte of prose out of installed, pinned packages."""

from course_utils.data import load_prose


def test_a_megabyte_of_prose_in_sentences_each_once():
    paragraphs = load_prose()
    assert sum(len(p.encode()) for p in paragraphs) >= 1_000_000
    assert len(set(paragraphs)) == len(paragraphs)
    assert not any(">>>" in p or "\n\n" in p for p in paragraphs)


def test_prose_is_the_same_each_time():
    assert load_prose(50_000) == load_prose(50_000)
