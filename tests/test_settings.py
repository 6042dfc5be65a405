"""Settings, prompts and the command line."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_utils import __main__ as cli
from course_utils import data, doctor, judges, models, notebooks, prompts, rewards, settings
from course_utils.exercises import record


@pytest.fixture
def clean(monkeypatch):
    for name in ("MODEL", "DATA", "DEVICE", "DTYPE"):
        monkeypatch.delenv(f"COURSE_{name}", raising=False)
    return monkeypatch


def test_defaults_need_no_variables(clean):
    found = settings.current()
    assert (found.model, found.data) == ("embedded", "embedded")
    assert "SmolLM2" in str(found) and str(found).count("default") >= 2


def test_weights_are_float32_on_a_gpu_too(clean):
    """bfloat16 weights once cost full fine-tuning a third of its gain on a GPU: small updates were lost."""
    clean.setattr("torch.cuda.is_available", lambda: True)
    found = settings.current()
    assert (found.device, found.dtype) == ("cuda", "float32")


def test_a_gpu_that_is_not_there_is_refused(clean):
    clean.setattr("torch.cuda.is_available", lambda: True)
    clean.setattr("torch.cuda.device_count", lambda: 1)
    clean.setenv("COURSE_DEVICE", "cuda:0")
    assert settings.current().device == "cuda:0"
    clean.setenv("COURSE_DEVICE", "cuda:1")
    with pytest.raises(settings.CourseError, match="COURSE_DEVICE=cuda:1"):
        settings.current()


def test_the_embedded_model_is_float32_whatever_the_environment_names(clean):
    clean.setenv("COURSE_MODEL", "google/flan-t5-base")
    clean.setenv("COURSE_DTYPE", "bfloat16")
    found = settings.embedded()
    assert (found.model, found.data, found.dtype) == ("embedded", "embedded", "float32")


def test_variables_win_and_the_summary_names_them(clean):
    clean.setenv("COURSE_MODEL", "google/flan-t5-base")
    clean.setenv("COURSE_DTYPE", "bfloat16")
    clean.setenv("COURSE_CACHE", "~/somewhere")
    found = settings.current()
    assert found.model == "google/flan-t5-base" and found.dtype == "bfloat16"
    assert found.cache == Path("~/somewhere").expanduser()
    assert "COURSE_MODEL" in str(found) and "COURSE_DTYPE" in str(found)


@pytest.mark.parametrize(
    "name, value",
    [("COURSE_DTYPE", "float8"), ("COURSE_DEVICE", "tpu"), ("COURSE_DEVICE", "cuda:99x")],
)
def test_unusable_values_are_one_sentence(clean, name, value):
    clean.setenv(name, value)
    with pytest.raises(settings.CourseError, match=f"{name}={value}"):
        settings.current()


# ---------------------------------------------------------------- places that cannot be used


PLACES = ("CACHE", "RECORD", "RESULTS", "MODEL", "DATA", "JUDGE")


@pytest.fixture
def unset(monkeypatch):
    for name in PLACES:
        monkeypatch.delenv(f"COURSE_{name}", raising=False)
    return monkeypatch


def said_by_doctor(variable):
    return {what: (good, f"{finding} {cure}") for what, good, finding, cure in doctor.examine(False)}[variable]


@pytest.mark.parametrize("name, place", [("CACHE", ""), ("RECORD", "/record"), ("RESULTS", "/results")])
def test_blanks_and_a_tilde_around_a_folder_are_understood(unset, tmp_path, name, place):
    unset.setenv("HOME", str(tmp_path))
    unset.setenv(f"COURSE_{name}", f"  ~/kept{place}  ")
    settings.current()
    record.add("hint", exercise="lab1.1")
    settings.save_results("lab9", {})
    assert (name == "RESULTS") == (tmp_path / "kept/results/lab9.json").is_file()
    assert name == "RESULTS" or (tmp_path / f"kept{place}" / record.NAME).is_file()


@pytest.mark.parametrize("value", ["", "   "])
def test_an_empty_variable_is_none(unset, tmp_path, value):
    unset.setenv("XDG_CACHE_HOME", str(tmp_path))
    unset.chdir(tmp_path)
    for name in PLACES:
        unset.setenv(f"COURSE_{name}", value)
    assert settings.current().cache == tmp_path / "course_utils" and settings.current().model == "embedded"
    record.add("hint", exercise="lab1.1")
    assert [path.name for path in tmp_path.iterdir()] == ["course_utils"]
    assert judges.chosen() is rewards.profanity


def test_a_cache_in_the_place_of_a_file_is_one_sentence_of_the_first_cell_and_of_doctor(unset, tmp_path):
    (tmp_path / "file").write_text("mine")
    for value in (tmp_path / "file", tmp_path / "file" / "below"):
        unset.setenv("COURSE_CACHE", str(value))
        with pytest.raises(settings.CourseError, match=f"COURSE_CACHE={value} cannot be a folder, since .*file is a file"):
            settings.current()
        good, words = said_by_doctor("settings")
        assert not good and "cannot be a folder" in words
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", PLACES)
def test_the_home_of_nobody_is_one_sentence(unset, name):
    unset.setenv(f"COURSE_{name}", "~nobody-here/folder")
    with pytest.raises(settings.CourseError, match=f"COURSE_{name}=~nobody-here/folder is no path here"):
        found = settings.current()
        {"MODEL": models.source, "DATA": data.load_dialogues, "JUDGE": judges.chosen}[name](found)


@pytest.mark.parametrize("name", ["CACHE", "RECORD", "RESULTS"])
def test_doctor_names_the_folder_that_cannot_be_written(unset, name):
    unset.setenv(f"COURSE_{name}", "/proc/nowhere")  # root may write anywhere else
    good, words = said_by_doctor(f"COURSE_{name}")
    assert not good and "/proc/nowhere cannot be written" in words and f"set COURSE_{name}" in words


def test_a_cache_under_a_folder_that_takes_nothing_is_one_sentence():
    with pytest.raises(settings.CourseError, match="cannot be written; set COURSE_CACHE"):
        models.prepare(settings.Settings(cache=Path("/proc/nowhere")))


@pytest.mark.parametrize("name, value, words", [
    ("MODEL", "{place}/file", "is a file; give the folder"), ("MODEL", "{place}/none", "does not exist"),
    ("JUDGE", "{place}/file", "is a file; give the folder"), ("JUDGE", "{place}/none:hate", "does not exist"),
    ("MODEL", "x" * 3000, "File name too long"), ("JUDGE", "x" * 3000, "File name too long"),
    ("DATA", "{place}/none", "does not exist"), ("DATA", "{place}/file", "is none of .jsonl"), ("DATA", "{place}", "holds no train"),
])  # fmt: skip
def test_what_a_variable_names_wrongly_is_said_by_the_cell_that_reads_it_and_by_doctor(unset, tmp_path, name, value, words):
    (tmp_path / "file").write_text("mine")
    unset.setenv(f"COURSE_{name}", value.format(place=tmp_path))
    with pytest.raises(settings.CourseError, match=words):
        {"MODEL": models.source, "DATA": data.load_dialogues, "JUDGE": judges.chosen}[name](settings.current())
    good, told = said_by_doctor(f"COURSE_{name}")
    assert not good and words in told


def test_doctor_says_what_is_here_and_what_is_fetched(unset, tmp_path):
    unset.setenv("COURSE_MODEL", str(tmp_path))
    unset.setenv("COURSE_JUDGE", "org/name:hate")
    assert said_by_doctor("COURSE_MODEL") == (True, f"{tmp_path} is here ")
    assert "a lab fetches it" in said_by_doctor("COURSE_JUDGE")[1]


def test_importing_the_package_loads_nothing_heavy():
    code = "import course_utils, sys; print(sorted({'torch', 'transformers', 'numpy', 'datasets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- prompts

EXAMPLE = [{"dialogue": "Ana: Rain?\nBo: Until noon.", "summary": "Bo expects rain until noon."}]


def test_few_shot_shows_answers_and_leaves_the_last_open():
    text = prompts.make_prompt(EXAMPLE, "Cy: Tea?", "{dialogue}\nSummary:")
    assert (
        text
        == "Ana: Rain?\nBo: Until noon.\nSummary: Bo expects rain until noon.\n\n\nCy: Tea?\nSummary:"
    )


def test_zero_shot_is_the_filled_template():
    assert prompts.make_prompt([], "Cy: Tea?") == prompts.fill("instruction", "Cy: Tea?")


def test_chat_alternates_and_ends_with_the_question():
    turns = prompts.make_chat(EXAMPLE, "Cy: Tea?", system="Be brief.")
    assert [t["role"] for t in turns] == ["system", "user", "assistant", "user"]
    assert turns[2]["content"] == EXAMPLE[0]["summary"] and "Cy: Tea?" in turns[3]["content"]


def test_braces_in_a_dialogue_survive():
    assert prompts.fill("{dialogue}!", "Ana: {x} {dialogue}") == "Ana: {x} {dialogue}!"


def test_a_template_without_a_slot_is_refused():
    with pytest.raises(ValueError, match="{dialogue}"):
        prompts.fill("Summarize this.", "Ana: Hi.")


# ---------------------------------------------------------------- command line


def test_doctor_reports_each_thing_and_fails_with_a_cure(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda: iter([("disk", True, "fine", ""), ("memory", False, "1 GB", "buy some")]))  # fmt: skip
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAIL memory" in out and "→ buy some" in out and "ok   disk" in out


def test_doctor_says_which_notebooks_the_free_memory_is_too_small_for(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text(
        "| [week1/a](week1/a.ipynb) | say what | 1 to 3 | < 2 GB | complete |\n"
        "| [week2/b](week2/b.ipynb) | train | 4 to 15 | < 6 GB | complete |\n"
    )
    monkeypatch.setattr(doctor, "README", tmp_path / "README.md")
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=3.5e9))
    what, good, finding, cure = doctor._memory()
    assert (what, good, finding) == ("memory", False, "3.5 GB free: 1 of 2 notebooks fit")
    assert "week2/b (6 GB)" in cure and "week1/a" not in cure


def test_doctor_knows_the_memory_of_every_notebook_the_readme_lists():
    listed = {path.with_suffix("").as_posix() for path in notebooks.find_notebooks(doctor.ROOT)}
    assert {(doctor.ROOT / name).as_posix() for name in doctor.memory_needed()} == listed


def test_doctor_finds_nothing_wrong_here_but_what_the_machine_lacks():
    lines = {what: (good, finding) for what, good, finding, _ in doctor.examine(thorough=False)}
    for what in (
        "Python",
        "packages",
        "CPU",
        "SmolLM2-135M-Instruct",
        "all-MiniLM-L6-v2",
        "kernel",
    ):
        assert lines[what][0], lines[what]


def test_doctor_notices_a_missing_model_and_a_wrong_pin(monkeypatch, tmp_path):
    from dataclasses import replace

    from course_utils import models

    monkeypatch.setattr(models, "SMOLLM2", replace(models.SMOLLM2, package="no_such_package"))
    pins = tmp_path / "requirements.txt"
    pins.write_text("numpy==0.0.1\nnot-a-package==1.0\n# comment\nelsewhere==2.0; sys_platform == 'none'\n")
    monkeypatch.setattr(doctor, "REQUIREMENTS", pins)
    lines = {what: (good, finding, cure) for what, good, finding, cure in doctor.examine(False)}
    assert (
        not lines["SmolLM2-135M-Instruct"][0] and "pip install" in lines["SmolLM2-135M-Instruct"][2]
    )
    assert not lines["packages"][0] and "not-a-package missing" in lines["packages"][1]
    assert "elsewhere" not in lines["packages"][1]


def test_a_cause_is_one_line_on_stderr_not_a_traceback(capsys):
    assert cli.main(["run", "no_such.ipynb"]) == 1
    assert "There is no notebook no_such.ipynb" in capsys.readouterr().err


def test_results_are_written_where_a_teacher_wants_them(tmp_path, monkeypatch):
    import numpy as np

    from course_utils.metrics import interval

    assert settings.save_results("lab9", {"x": 1}) is None
    monkeypatch.setenv("COURSE_RESULTS", str(tmp_path / "new"))
    path = settings.save_results("lab9", {"x": np.float64(0.5), "i": interval([1, 1], unit="reply")})
    content = json.loads(path.read_text())
    assert content["numbers"]["x"] == 0.5
    found = content["numbers"]["i"]
    assert (found["mean"], found["high"], found["n"], found["unit"]) == (1.0, 1.0, 2, "reply")
    assert content["settings"]["model"] == "embedded"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_RESULTS", str(tmp_path / "file" / "below"))
    with pytest.raises(settings.CourseError, match="COURSE_RESULTS"):
        settings.save_results("lab9", {})


def test_bfloat16_needs_an_instruction_set_and_is_decided_once(monkeypatch):
    from course_utils import settings

    settings.bfloat16_pays.cache_clear()
    assert settings.bfloat16_pays() == settings.bfloat16_pays()
    settings.bfloat16_pays.cache_clear()
    monkeypatch.setattr(settings, "cpu_features", lambda: ())
    assert settings.bfloat16_pays() is False
    settings.bfloat16_pays.cache_clear()
