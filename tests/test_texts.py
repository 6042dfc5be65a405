"""The small corpora: sizes, labels, answers that are right, and terms that occur."""

import re
from collections import Counter

import pytest

from course_utils import data


@pytest.mark.parametrize("domain", ["legal", "clinical", "plain"])
def test_domain_sentences(domain):
    parts = data.load_domain(domain)
    assert set(parts["train"]["domain"]) == {domain}
    texts = [*parts["train"]["text"], *parts["test"]["text"]]
    assert len(set(texts)) == len(texts) >= 150 and parts["test"].num_rows >= 35
    assert all(3 <= len(text.split()) <= 30 and text[-1] == "." for text in texts)


def test_an_unknown_domain_is_refused():
    with pytest.raises(ValueError, match="none of legal"):
        data.load_domain("nautical")


@pytest.mark.parametrize("domain", ["legal", "clinical"])
def test_every_term_of_the_glossary_occurs_and_plain_text_has_none(domain):
    terms = data.load_glossary()[domain]
    assert len(terms) >= 25 and all(terms.values())

    def found(term, domain):
        parts = data.load_domain(domain)
        text = "\n".join([*parts["train"]["text"], *parts["test"]["text"]])
        flags = 0 if term.isupper() or len(term) < 4 else re.IGNORECASE
        return re.search(rf"(?<!\w){re.escape(term)}", text, flags)

    assert not [term for term in terms if not found(term, domain)]
    assert not [term for term in terms if len(term) > 4 and found(term, "plain")]


def test_shorthand_of_the_course_description_is_explained():
    glossary = data.load_glossary()
    assert "four times a day" in glossary["clinical"]["1 tab po qid pc & hs"]
    assert {"mens rea", "res judicata"} <= set(glossary["legal"])


def test_unrelated_questions():
    rows = data.load_unrelated()
    assert len(rows) >= 80 and len(set(rows["question"])) == len(rows)
    assert set(rows["kind"]) == {"arithmetic", "fact", "rewrite", "classify"}
    assert all(1 <= len(answer.split()) <= 15 for answer in rows["answer"])


def test_sums_are_right():
    checked = 0
    for row in data.load_unrelated():
        for left, sign, right, result in re.findall(
            r"(?<![+] )(?<!\d)(\d+) (\+|-|x|/|times|divided by) (\d+) (?:=|is) (\d+)", row["answer"]
        ):
            a, b = int(left), int(right)
            expected = {"+": a + b, "-": a - b, "x": a * b, "times": a * b}.get(sign, a / b)
            assert expected == int(result), row
            checked += 1
    assert checked >= 12


def test_the_small_tasks_come_by_turns_and_in_words():
    rows, every = data.small_tasks(3, 5), list(data.load_instructions()["train"])
    tasks = [row["task"] for row in rows]
    assert len(set(tasks)) == 6 and tasks[:6] == tasks[6:] and set(tasks) == {row["task"] for row in every}
    sentiments = [row for row in every if row["task"] == "sentiment"]
    first = next(row for row in rows if row["task"] == "sentiment")
    assert first["input"] == sentiments[3]["input"]
    assert first["request"] == f"Is this review positive or negative? {first['input']}"


def test_instructions():
    parts = data.load_instructions()
    rows = [*parts["train"], *parts["test"]]
    sizes = Counter(row["task"] for row in rows)
    assert len(sizes) >= 5 and min(sizes.values()) >= 40
    assert set(parts["train"]["task"]) == set(parts["test"]["task"])
    assert len({row["input"] for row in rows}) == len(rows)
    labels = {
        "sentiment": {"positive", "negative"},
        "topic": {"sport", "food", "travel", "health", "money", "weather"},
    }
    for row in rows:
        if row["task"] in labels:
            assert row["output"] in labels[row["task"]], row
        if row["task"] in ("entities", "keep_numbers"):
            assert all(piece in row["input"] for piece in row["output"].split(", ")), row
        if row["task"] == "question":
            assert row["output"].endswith("?"), row


# ---------------------------------------------------------------- the checked task sets

SOLVED = """
def double(x): return 2 * x
def add(a, b): return a + b
def is_even(n): return n % 2 == 0
def first_letter(word): return word[0]
def count_words(text): return len(text.split())
def largest(numbers): return max(numbers)
def reverse(text): return text[::-1]
def to_celsius(f): return (f - 32) * 5 / 9
def count_vowels(word): return sum(c in "aeiou" for c in word)
def is_palindrome(word): return word == word[::-1]
def average(numbers): return sum(numbers) / len(numbers)
def last_two(items): return items[-2:]
"""


def test_every_task_has_twelve_different_items_with_answers():
    rows = data.load_tasks()
    assert set(Counter(rows["task"]).values()) == {12}
    assert len(set(rows["input"])) == len(rows) and all(rows["accepted"])
    assert data.load_tasks("code").num_rows == 12


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="translate, code"):
        data.load_tasks("singing")


def test_code_checks_hold_for_right_functions_and_fail_for_one_that_returns_its_argument():
    space: dict = {}
    exec(SOLVED, space)
    for row in data.load_tasks("code"):
        name = row["input"].split("(")[0]
        assert all(eval(check, space) for check in row["accepted"]), row
        lazy = {name: lambda *args: args[0]}
        assert not all(eval(check, lazy) for check in row["accepted"]), row


def test_names_stand_in_their_sentence_and_no_question_gives_its_answer_away():
    for row in data.load_tasks("names"):
        assert all(name in row["input"] for name in row["accepted"]), row
    for row in data.load_tasks("question"):
        words = re.findall(r"\w+", row["input"].lower())
        assert not [answer for answer in row["accepted"] if answer.lower() in words], row


def test_no_task_accepts_its_own_input_as_the_answer():
    for task in ("translate", "rewrite"):
        for row in data.load_tasks(task):
            given = row["input"].split(": ", 1)[-1]
            assert given not in row["accepted"], row


def test_questions_have_their_answer_in_one_dialogue():
    dialogues = {row["id"]: row["dialogue"] for row in data.load_dialogues()["test"]}
    rows = data.load_questions()
    assert len(set(rows["dialogue"])) == len(rows) == 24
    for row in rows:
        text = dialogues[row["dialogue"]]
        assert re.search(rf"\b{row['answer']}\b", text)
