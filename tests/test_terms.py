"""The field's terms: each defined once, in bold, and not used in prose before."""

import json
from pathlib import Path

import nbformat
import pytest

from course_utils import terms
from course_utils.terms import Term

ROOT = Path(__file__).parents[1]
KNOWN, BOOKS = terms.load(), terms.course()


def test_each_term_is_defined_once_in_bold():
    assert terms.definition_problems(KNOWN, BOOKS) == []


def test_no_term_is_used_before_it_is_defined_but_those_on_the_list():
    found = {(term, name) for term, name, _ in terms.offences(KNOWN, BOOKS)}
    assert found - terms.listed(ROOT) == set(), "define the term first"
    assert terms.listed(ROOT) - found == set(), "python -m course_utils terms --write"


def test_the_glossary_is_up_to_date():
    written = (ROOT / terms.GLOSSARY).read_text(encoding="utf-8")
    command = f"python -m course_utils terms --glossary {terms.GLOSSARY}"
    assert written == terms.glossary(KNOWN, BOOKS), command


def test_the_terms_of_the_field_are_there():
    known = {spelling for term in KNOWN for spelling in term.spellings}
    wanted = (
        "generative ai, foundation model, parameter, pre-training, inference, self-attention, "
        "autoregressive, autoencoding, sequence-to-sequence, prompt engineering, hallucination, "
        "in-context learning, rlhf, reinforcement learning, catastrophic forgetting, peft, lora, "
        "quantisation, chinchilla, zero, ppo, dpo, kl, kv cache, react, rag, agent, model card"
    )
    assert set(wanted.split(", ")) <= known and len(KNOWN) >= 150


def test_a_definition_is_one_sentence_of_the_terms_own():
    for term in KNOWN:
        assert term.definition[0].isupper(), term
        assert term.definition.endswith(".") and ". " not in term.definition, term
        assert len(term.definition.split()) <= 30, term
    assert len({term.term.lower() for term in KNOWN}) == len(KNOWN)


# ---------------------------------------------------------------- on small notebooks


def book(*sources):
    cells = []
    for number, source in enumerate(sources):
        cells.append(nbformat.v4.new_markdown_cell(source))
        cells[-1]["id"] = f"c{number}"
    return nbformat.v4.new_notebook(cells=cells)


TOKEN = Term("token", "A piece of text.", "b", "c1", ("word piece",))
BLEU = Term("BLEU", "A score.", "b", "c1")


@pytest.mark.parametrize(
    "early, found",
    [
        ("A token.", True),
        ("Many Tokens are tokens.", True),
        ("word\npieces", True),
        ("word-piece", True),
        ("tokenizer, sub-token, token-wise", False),
        ("`token` and $token$", False),
        ("```\ntoken\n```", False),
        ("[the token](https://token.org)", False),
        ("*The Token of Love* is a paper", False),
        ("*Predict first: how many tokens?*", True),
        ("**Further reading**\n- A token.", False),
    ],
)
def test_what_counts_as_a_use(early, found):
    books = {"a": book(early), "b": book("# B", "A **token** is one.")}
    assert bool(terms.offences([TOKEN], books)) == found


def test_capitals_count_where_a_term_has_some():
    books = {"a": book("bleu and Bleu"), "b": book("# B", "**BLEU**")}
    assert terms.offences([BLEU], books) == []
    assert terms.offences([BLEU], {**books, "a": book("BLEU")}) == [("BLEU", "a", "c0")]


def test_an_everyday_word_is_looked_for_in_its_technical_form_only():
    value = Term("value", "A guess.", "b", "c1", (), ("value head",))
    books = {"a": book("the value of it"), "b": book("# B", "the **value**")}
    assert terms.offences([value], books) == []
    silent = Term("value", "A guess.", "b", "c1", (), ())
    assert terms.offences([silent], {**books, "a": book("value head")}) == []


def test_opening_and_headings_may_announce_what_their_own_notebook_defines():
    books = {"b": book("You will count tokens.", "## Tokens\n\nA **token** is one.")}
    assert terms.offences([TOKEN], books) == []
    heading = {"b": book("# B", "words", "## Tokens", "A **token** is one.")}
    late = Term("token", "A piece.", "b", "c3")
    assert terms.offences([late], heading) == []
    assert terms.offences([late], {"a": book("# The token"), **heading}) == [("token", "a", "c0")]
    used = {"b": book("# B", "a token", "## Tokens", "A **token** is one.")}
    assert terms.offences([late], used) == [("token", "b", "c1")]


def test_a_term_must_be_bold_in_its_cell_and_in_no_other():
    good = {"b": book("# B", "**Tokens** are pieces; **word piece.**")}
    assert terms.definition_problems([TOKEN], good) == []
    short = {"b": book("# B", "a **Token (T)**")}
    assert terms.definition_problems([TOKEN], short) == []
    assert terms.definition_problems([TOKEN], {"b": book("# B", "tokens")}) == [
        "'token' is not bold in b c1"
    ]
    twice = {"b": book("# B", "**token**", "the **tokens** again")}
    assert "bold in b c2; c1 defines it" in terms.definition_problems([TOKEN], twice)[0]


def test_two_terms_may_share_a_spelling_and_each_has_its_cell():
    one = Term("rank (of a process)", "A.", "b", "c0", ("rank",))
    two = Term("rank (of LoRA)", "B.", "b", "c1", ("rank",))
    assert terms.definition_problems([one, two], {"b": book("**rank**", "**rank**")}) == []


def test_the_list_shrinks_and_never_grows(tmp_path):
    (tmp_path / "tests").mkdir()
    rows = [{"term": term, "notebook": "a"} for term in ("x", "y")]
    (tmp_path / terms.OFFENDERS).write_text(json.dumps(rows))
    terms.shrink({("y", "a"), ("z", "a")}, tmp_path)
    assert terms.listed(tmp_path) == {("y", "a")}


def test_the_file_follows_a_term_that_moved_to_one_cell(tmp_path):
    path = tmp_path / "terms.json"
    rows = [
        {"term": name, "definition": "A.", "notebook": "b", "cell": "c1"}
        for name in ("token", "score", "value")
    ]
    path.write_text(json.dumps(rows))
    books = {
        "a": book("**value**"),
        "b": book("# B", "the **score**", "**tokens**", "a **value**"),
    }
    followed = terms.follow(terms.load(path), books, path)
    homes = {term.term: (term.notebook, term.cell) for term in followed}
    assert homes == {"token": ("b", "c2"), "score": ("b", "c1"), "value": ("b", "c1")}


def test_the_glossary_names_the_section_above_the_bold_word():
    books = {"week1/b": book("# B: and more", "### 1.2 Pieces\n\n**token**\n\n### 1.3 Else")}
    term = Term("token", "A piece.", "week1/b", "c1", ("word piece",))
    line = "- **token** (word piece): A piece. [B, 1.2](../week1/b.ipynb)\n"
    assert terms.glossary([term], books).endswith(line)
