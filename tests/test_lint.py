"""How notebooks read: study minutes, openings, headings that fold, English."""

import json
from pathlib import Path

import nbformat
import pytest

from course_utils import lint, notebooks
from course_utils.exercises.engine import Exercise
from course_utils.exercises.questions import Question

ROOT = Path(__file__).parents[1]
ORDER = notebooks.find_notebooks()


def text(source, **metadata):
    return nbformat.v4.new_markdown_cell(source, metadata=metadata)


def code(source, *printed):
    outputs = [nbformat.v4.new_output("stream", text=words) for words in printed]
    return nbformat.v4.new_code_cell(source, outputs=outputs)


def book(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


# ---------------------------------------------------------------- the notebooks as they are


@pytest.mark.parametrize("path", ORDER, ids=lambda p: p.name)
def test_a_notebook_reads_as_it_should(path):
    assert lint.problems(path, ORDER) == []


def test_the_baseline_holds_only_what_is_still_there():
    for name, habits in lint.allowed(ROOT).items():
        found = lint.habits(notebooks.read(ROOT / name))
        assert not [h for h in habits if not found[h]], "python -m course_utils lint --write"


def test_the_notebooks_are_in_the_readmes_order():
    names = [path.stem for path in ORDER]
    assert names.index("lab1_prompting_and_decoding") == names.index("5_compute_and_memory") - 1
    assert names.index("lab2_full_vs_peft") == names.index("2_lora_from_the_inside") - 1
    assert names[0] == "1_what_llms_do" and names[-1] == "5_llm_applications"


def test_notebooks_the_readme_does_not_name_come_last(tmp_path):
    (tmp_path / "week1").mkdir()
    for name in ("a", "b", "c"):
        nbformat.write(book(text("# x")), tmp_path / "week1" / f"{name}.ipynb")
    (tmp_path / "README.md").write_text("[b](week1/b.ipynb) [a](week1/a.ipynb) [b](week1/b.ipynb)")
    assert [path.stem for path in notebooks.find_notebooks(tmp_path)] == ["b", "a", "c"]


# ---------------------------------------------------------------- minutes

# The two notebooks of the walk, as they were then, and the minutes that it took.
WALK = {
    186: lint.Load(117, 4199, 426, 2099, 4, 64.8),
    183: lint.Load(124, 3179, 340, 2296, 5, 73.6),
}


@pytest.mark.parametrize("minutes", WALK)
def test_the_formula_gives_the_minutes_of_the_walk(minutes):
    assert WALK[minutes].minutes == pytest.approx(minutes, rel=0.15)


def test_minutes_by_hand():
    # 200 words and 10 lines are a minute each, 100 printed words and 2 pictures as well; read 1.4 times.
    load = lint.Load(words=200, code_lines=10, output_words=100, pictures=2, exercise_minutes=5)
    assert load.minutes == pytest.approx(4 * 1.4 + 5)
    assert (load + load).minutes == pytest.approx(2 * load.minutes)


def test_a_cell_is_counted_by_its_words_lines_and_output():
    fenced = text("Three words here\n\n```python\nx = 1\ny = 2\n```")
    assert lint.cell_load(fenced) == lint.Load(1, words=3, code_lines=2)
    cell = code("x = 1\n\nprint(x)", "one two\n", "three")
    assert lint.cell_load(cell) == lint.Load(1, code_lines=2, output_words=3)
    figure = nbformat.v4.new_output(
        "display_data", {"image/png": "…", "text/plain": "<Figure size>"}
    )
    cell.outputs = [figure]
    assert lint.cell_load(cell) == lint.Load(1, code_lines=2, pictures=1)


def test_an_exercise_takes_what_it_says_or_four_minutes_and_more_for_a_long_reference():
    def two_lines(x):
        return x

    exercise = Exercise("lab1.1", "", two_lines, print, ())
    assert lint.exercise_minutes(exercise) == pytest.approx(4 + 2 * 0.8)
    assert lint.exercise_minutes(Exercise("lab1.1", "", "a value", print, ())) == pytest.approx(4.8)
    object.__setattr__(exercise, "minutes", 9)
    assert lint.exercise_minutes(exercise) == 9
    assert lint.exercise_minutes(Exercise("lab1.1", "", long_reference, print, ())) == 12
    options = {letter: ("says", "why") for letter in "abcd"}
    assert lint.exercise_minutes(Question("quiz1.1", "", options, "a", ())) == lint.QUESTION


def long_reference(x):
    x += 1
    x += 2
    x += 3
    x += 4
    x += 5
    x += 6
    x += 7
    x += 8
    x += 9
    x += 10
    return x


# ---------------------------------------------------------------- the two roads

FOLDED = {notebooks.COLLAPSED: True}


def test_a_deeper_section_ends_at_the_next_heading_of_its_level():
    cells = [
        text("# Title"), text("### 1.1 Road"), text("### 1.2 Deeper: more", **FOLDED), code("1"),
        text("#### a part of it"), code("2"), text("### 1.3 Road again"), code("3"),
        text("## 2 Deeper: all of it", **FOLDED), text("### 2.1 inside"), text("## 3 Road"),
    ]  # fmt: skip
    deeper = [False, False, True, True, True, True, False, False, True, True, False]
    assert lint.roads(book(*cells)) == deeper
    assert lint.heading_problems(book(*cells)) == []
    main, more = lint.study(book(*cells))
    assert (main.cells, more.cells, main.code_lines, more.code_lines) == (5, 6, 1, 2)


def test_a_heading_in_a_fence_is_no_heading():
    cells = [text("### 1 Deeper: x", **FOLDED), text("```\n# a comment\n```"), text("## 2 Road")]
    assert lint.roads(book(*cells)) == [True, True, False]


@pytest.mark.parametrize(
    "cells, words",
    [
        ([text("### 1.2 Deeper: more")], "is not folded"),
        ([text("### 1.2 Road", **FOLDED)], "is folded"),
        ([text("words\n\n### 1.2 Deeper: more")], "must open its cell"),
        ([text("### 1 Deeper: a", **FOLDED), text("words\n\n### 2 Road")], "after a 'Deeper'"),
    ],
)
def test_headings_that_jupyterlab_cannot_fold_are_found(cells, words):
    assert any(words in problem for problem in lint.heading_problems(book(*cells)))


# ---------------------------------------------------------------- openings

OPENING = """# Title: and more

**Prerequisites** none

**Needs** a core

**Study time** about {minutes} minutes.

{links}"""


@pytest.fixture
def pair(tmp_path):
    """Two notebooks of 2,000 words, that is 14 minutes, in folders of their own."""
    order = [tmp_path / "week1" / "a.ipynb", tmp_path / "week2" / "b.ipynb"]
    links = ("**Next** [Title](../week2/b.ipynb)", "**Previous** [Title](../week1/a.ipynb)")
    for path, link in zip(order, links):
        path.parent.mkdir()
        opening = text(OPENING.format(minutes=15, links=link), id="a")
        nbformat.write(book(opening, text("word " * 1980)), path)
    return order


def test_an_opening_in_order(pair):
    for path in pair:
        assert lint.opening_problems(path, notebooks.read(path), pair) == []


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("**Needs**", "It needs", "lacks **Needs**"),
        ("about 15", "about 30", "announces 30 minutes; 14 are needed"),
        ("about 15", "about 5", "announces 5 minutes"),
        ("week2/b", "week2/c", "does not link"),
        ("about 15 minutes", "about 15 minutes, and 20 more", "announces 20 minutes; 0 are needed"),
    ],
)
def test_faults_of_an_opening_are_found_and_written_anew(pair, old, new, words):
    notebook = notebooks.read(pair[0])
    notebook.cells[0].source = notebook.cells[0].source.replace(old, new)
    assert any(words in problem for problem in lint.opening_problems(pair[0], notebook, pair))
    if old != "**Needs**":
        assert lint.write_opening(pair[0], notebook, pair)
        assert lint.opening_problems(pair[0], notebooks.read(pair[0]), pair) == []
        assert not lint.write_opening(pair[0], notebooks.read(pair[0]), pair)


def test_a_source_without_a_link_is_found():
    last = text(
        "**Further reading**\n- A 2020 ([arXiv:1](https://arxiv.org/abs/1)).\n- B 2021, *A book*."
    )
    assert lint.source_problems(book(last)) == ["has no link in 'B 2021, *A book*.'"]


# ---------------------------------------------------------------- English


@pytest.mark.parametrize(
    "habit, words, fine",
    [
        ("an article for per", "0.3 nats a token", "0.3 nats per token; it gives a token a score"),
        ("an article for per", "16 bytes a weight and one row a task", "a weight of one row"),
        ("dear (expensive)", "dear to serve", "expensive to serve"),
        ("whoever", "whoever trains", "somebody who trains"),
        ("stands in (is in)", "the answer stands in the prompt", "it stands for a word"),
        ("of like (similar)", "texts of like length", "texts like these"),
        ("body (model)", "three bodies", "anybody"),
        (
            "place (position)",
            "the places of the k nearest",
            "in place of a letter, they change places",
        ),
        (
            "words of a vocabulary (tokens)",
            "one for each word of the vocabulary",
            "a word of yours",
        ),
        ("a human reference", "a person's summary", "a person in the summary"),
        ("a bracket of more than ten words", "(a b c d e f g h i j k)", "(a b c d e f g h i j)"),
    ],
)
def test_habits_are_found_in_text_and_in_what_is_printed(habit, words, fine):
    for cell in (text(words), code(f"print({words!r})")):
        assert lint.habits(book(cell))[habit] >= 1
    assert lint.habits(book(text(fine), code(f"print({fine!r})"))) == {}


def test_code_formulas_and_addresses_are_not_prose():
    source = "`nats a token` $nats a token$ [x](https://whoever.org) ```\nwhoever\n``` and prose"
    assert lint.prose(source).split() == ["[x", "and", "prose"]
    assert len(lint.prose(source)) == len(source)


def test_a_baseline_shrinks_and_never_grows(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "week1").mkdir()
    path = tmp_path / "week1" / "a.ipynb"
    nbformat.write(book(text("whoever is dear")), path)
    wanted = {"week1/a.ipynb": {"whoever": 3, "carry": 1}}
    (tmp_path / lint.BASELINE).write_text(json.dumps(wanted))
    lint.shrink(tmp_path, [path])
    assert lint.allowed(tmp_path) == {"week1/a.ipynb": {"whoever": 1}}
    found = lint.english_problems(notebooks.read(path), {"whoever": 1})
    assert len(found) == 1 and "1 × dear (expensive), 0 allowed" in found[0]


def test_medians_by_hand():
    cells = [text("one two"), text("one two three four"), code("a\n\nb\n"), code("a"), code("a\nb\nc")]
    assert lint.medians(cells) == (3, 3) and lint.medians([]) == (0, 0)


def test_the_report_has_a_line_for_each_notebook():
    lines = lint.report(ORDER[:2])
    assert len(lines) == 4 and lines[1].startswith("week1/1_what_llms_do")
