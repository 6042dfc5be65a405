"""The explorer of the three objectives, moved as a reader would move it."""

import re

import pytest

pytest.importorskip("ipywidgets")


@pytest.fixture
def parts():
    from course_utils import widgets
    from course_utils.exercises import families

    box = widgets.objective_explorer(families.mask_tokens, families.span_corruption)
    return dict(zip(("sentence", "objective", "seed", "view"), box.children))


def rows(view) -> list[list[str]]:
    lines = view.value.split("<tr>")[1:]
    return [re.findall(r"<td[^>]*>([^<]*)</td>", line) for line in lines]


def test_causal_labels_are_the_next_words(parts):
    parts["sentence"].value, parts["objective"].value = "a b c d", "causal"
    assert rows(parts["view"]) == [["a", "b", "c", "d"], ["b", "c", "d", ""]]


def test_masked_labels_stand_where_words_were_picked(parts):
    read, label = rows(parts["view"])
    assert len(read) == len(label) == 12 and sum(map(bool, label)) == 2


def test_a_span_leaves_and_comes_back_with_its_sentinel(parts):
    parts["objective"].value = "span corruption"
    read, written = rows(parts["view"])
    words = parts["sentence"].value.split()
    hole = read.index("&lt;X&gt;")
    assert read[:hole] + written[1:-1] + read[hole + 1 :] == words
    assert written[0] == "&lt;X&gt;" and written[-1] == "&lt;Y&gt;"


def test_another_draw_hides_other_words(parts):
    seen = set()
    for seed in range(10):
        parts["seed"].value = seed
        seen.add(parts["view"].value)
    assert len(seen) > 3


def test_too_short_a_sentence_gets_a_sentence_of_advice(parts):
    parts["sentence"].value = "a b"
    assert "at least four words" in parts["view"].value
