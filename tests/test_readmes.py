"""The readmes' claims: what they name is there."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README, WEEK3 = (ROOT / "README.md").read_text(), (ROOT / "week3/README.md").read_text()
SHORT = {
    "What LLMs do": "week1/1_what_llms_do", "Transformer": "week1/2_transformer_from_scratch",
    "Model families": "week1/3_model_families", "Lab 1": "week1/lab1_prompting_and_decoding",
    "the opening of Lab 1": "week1/lab1_prompting_and_decoding",
    "Building with LLMs": "week1/4_building_with_llms",
    "Compute and memory": "week1/5_compute_and_memory",
    "Scaling laws": "week1/6_scaling_laws", "Domains": "week1/7_domains",
    "Instruction tuning": "week2/1_instruction_tuning", "Lab 2": "week2/lab2_full_vs_peft",
    "LoRA from the inside": "week2/2_lora_from_the_inside",
    "Adapters": "week2/3_adapters_and_quantised_bases",
    "Reward models": "week3/1_reward_models", "Lab 3": "week3/lab3_rlhf_detox",
    "Beyond PPO": "week3/2_beyond_ppo",
    "Reasoning": "week3/3_reasoning_with_verifiable_rewards",
    "Making it cheap": "week3/4_making_it_cheap", "LLM applications": "week3/5_llm_applications",
}  # fmt: skip


def places():
    """(notebook, what is named there: section numbers or exercise ids) of both topic tables."""
    topics = README.split("## Where each topic is taught")[1].split("\n## ")[0]
    for line in [*topics.splitlines(), *WEEK3.splitlines()]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and any(cells[-1].startswith(name) for name in SHORT):
            for place in cells[-1].split("; "):
                name, *named = place.replace(", and Start above", "").split(", ")
                if name in SHORT:
                    yield name, named


def known(path: str) -> set[str]:
    """Numbers of a notebook's sections and ids of its exercises."""
    cells = json.loads((ROOT / f"{path}.ipynb").read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    sections = re.findall(r"^#+ (\d+(?:\.\d+)?)[.\s]", text, re.MULTILINE)
    return {*sections, *re.findall(r"check\(\"(\w+\.\d+)\"", text)}


def test_each_topic_is_where_the_readme_says():
    found = list(places())
    assert len(found) > 60
    for name, named in found:
        for part in named:
            for end in part.split(" to "):
                assert end in known(SHORT[name]), f"{name} has no {end}"


def test_all_topics_of_the_description_are_in_the_table():
    rows = re.findall(r"^\| (\d+(?:(?:, | to )\d+)?) \|", README, re.MULTILINE)
    covered = set()
    for row in rows:
        ends = [int(n) for n in re.findall(r"\d+", row)]
        covered |= set(range(ends[0], ends[-1] + 1))
    assert covered == set(range(1, 57))


def test_every_notebook_is_in_the_table_once():
    listed = re.findall(r"\]\((week\d/[^)]*\.ipynb)\)", README)
    assert sorted(listed) == sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("week*/*.ipynb"))


@pytest.mark.parametrize("readme", ["README.md", "CONTRIBUTING.md", "week3/README.md"])
def test_links_lead_to_files(readme):
    folder = (ROOT / readme).parent
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / readme).read_text()):
        assert link.startswith("https://") or (folder / link).exists(), link


def test_each_known_flaw_has_the_tests_that_are_named():
    for line in re.findall(r"^\| \d+ \|.*$", WEEK3, re.MULTILINE):
        cell = line.split("|")[3]
        files = re.findall(r"`(tests/[\w/]+\.py)", cell)
        assert files, line
        names = set()
        for file in files:
            names |= set(re.findall(r"^def (test_\w+)", (ROOT / file).read_text(), re.MULTILINE))
        wanted_names = re.findall(r"(?:::|`)(test_[\w*]+)`", cell)
        assert wanted_names, line
        for wanted in wanted_names:
            assert any(fnmatch(name, wanted) for name in names), wanted


def test_the_hours_of_study_are_those_of_the_notebooks():
    from course_utils import lint, notebooks

    told = re.search(r"about (\d+) hours for the main road of all of them, and (\d+) more", README)
    computed = zip(*(lint.study(notebooks.read(path)) for path in notebooks.find_notebooks(ROOT)))
    for hours, loads in zip(told.groups(), computed, strict=True):
        assert abs(int(hours) - sum(load.minutes for load in loads) / 60) < 1
