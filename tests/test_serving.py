"""The serving engine beside transformers: read from the record where it is not installed; and what the record shows."""

import importlib.metadata
import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from course_utils import logs, metrics, models, serving
from course_utils.settings import CourseError
from course_utils.studies import serving as study

ENGINE_FLOATS = serving.WAYS[3]
installed = pytest.mark.skipif(importlib.util.find_spec("openvino_genai") is None, reason=serving.INSTALL)


def without_engine():
    raise CourseError("not installed")


def test_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match="not installed; run: pip install -r requirements-engine.txt"):
        serving.require()
    with pytest.raises(CourseError, match="requirements-engine"):
        study.main(Path("never written"))
    assert (Path(__file__).parents[1] / serving.REQUIREMENTS).is_file()


def test_the_record_is_read_where_the_engine_is_missing(monkeypatch):
    monkeypatch.setattr(serving, "require", without_engine)
    runs, source = serving.live_or_recorded(run=lambda *args: pytest.fail("measured"))
    assert source.startswith("recorded, ") and serving.INSTALL in source
    assert {run["way"] for run in runs} == {serving.PLAIN, serving.ENGINE}


def test_where_the_engine_is_installed_both_ways_are_measured_now(monkeypatch):
    asked = []

    def run(way, mode, given):
        asked.append((mode, way))
        return {"tokens": [[1, 2], [3, 4]], "seconds": 1, "cpu_seconds": 0.5, "peak_mb": 1}

    monkeypatch.setattr(serving, "require", lambda: None)
    monkeypatch.setattr(serving, "task", dict)
    runs, source = serving.live_or_recorded(run=run)
    assert source == "measured now, once each" and len(asked) == 4
    assert serving.speeds(runs)[serving.ENGINE][serving.EIGHT] == (8, 8, 8)  # 4 tokens in half a second


def test_speeds_are_median_and_range_by_hand():
    runs = [{"way": "a", "mode": "m", "new": 12, "cpu_seconds": s} for s in (1, 4, 3)]
    assert serving.speeds(runs) == {"a": {"m": (4, 3, 12)}}


def test_tokens_agree_up_to_the_first_difference():
    assert serving.agreeing([[5, 6, 7], [1, 2, 3], [4, 4, 4]], [[5, 6, 8], [9, 2, 3], [4, 4, 4]]) == 5


def test_the_engines_process_loads_no_torch():
    code = "import sys, course_utils.serving; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_batch_is_filled_up_on_the_left_and_every_row_gets_its_tokens(causal):
    write = serving.writer(causal.model, causal.tokenizer.eos_token_id)
    rows = [[5, 6, 7, 8, 9], [10, 11]]
    together = write(rows)
    assert [len(row) for row in together] == [serving.NEW] * 2
    assert together == [write([row])[0] for row in rows]


def test_a_minimum_becomes_whole_steps_and_nothing_else_changes():
    block = np.arange(40, dtype=np.uint8).reshape(2, 20)
    block[:, :4] = np.array([[0.5, -1.7], [0, -1.25]], np.float16).view(np.uint8)  # step, minimum
    found = study.round_minima(block)
    assert found[:, :4].copy().view(np.float16).tolist() == [[0.5, -1.5], [0, 0]]
    assert (found[:, 4:] == block[:, 4:]).all()


def test_a_study_does_what_its_log_lacks(tmp_path, monkeypatch):
    asked = []

    def apart(way, mode, given):
        asked.append((mode, way))
        return {"tokens": [[1, 2], [3, 4 + (way == serving.ENGINE)]], "seconds": 1, "cpu_seconds": 1, "peak_mb": 1}

    monkeypatch.setattr(serving, "require", lambda: None)
    monkeypatch.setattr(serving, "task", lambda: {"prompts": [[1], [2]]})
    monkeypatch.setattr(serving, "apart", apart)
    monkeypatch.setattr(study, "weights", lambda given, tokens: {"file": [1.0]})
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1")
    study.main(tmp_path / "log.json", repeats=1)
    content = json.loads((tmp_path / "log.json").read_text())
    assert [run["agree"] for run in content["runs"] if run["way"] == serving.ENGINE] == [3, 3]
    content["runs"] = content["runs"][:3]
    (tmp_path / "log.json").write_text(json.dumps(content))
    study.main(tmp_path / "log.json", repeats=1)
    assert len(asked) == 8 + 5 and asked[8:] == asked[3:8]


def test_the_committed_log_is_whole():
    record = logs.serving()
    assert [(run["repeat"], run["mode"], run["way"]) for run in record["runs"]] == study.grid(record["repeats"])
    assert record["command"] == "python -m course_utils serving" and record["sha256"] == models.SMOLLM2.sha256
    assert all(run["new"] == serving.NEW * len(record["prompts"]) for run in record["runs"])
    pins = (Path(__file__).parents[1] / serving.REQUIREMENTS).read_text()
    assert all(f"{name}=={record['versions'][name]}" in pins for name in ("openvino-genai", "openvino"))


def test_the_record_shows_that_the_engine_is_faster_in_less_memory():
    runs = logs.serving()["runs"]
    found = serving.speeds(runs)
    for mode in serving.MODES:
        assert found[serving.ENGINE][mode][1] > found[serving.PLAIN][mode][2], mode  # its slowest beats the other's fastest
        memory = {way: statistics.median(r["peak_mb"] for r in runs if (r["way"], r["mode"]) == (way, mode)) for way in serving.WAYS}
        assert memory[serving.ENGINE] < 0.6 * memory[serving.PLAIN], mode
    for way in serving.WAYS:
        assert found[way][serving.EIGHT][0] > found[way][serving.ONE][0], way
    assert 1.6 < found[serving.ENGINE][serving.EIGHT][0] / found[ENGINE_FLOATS][serving.EIGHT][0] < 2  # "nearly doubles"


def test_the_record_shows_other_tokens_and_that_the_rounded_minima_explain_them():
    record = logs.serving()
    written = serving.NEW * len(record["prompts"])
    agree = {run["way"]: run["agree"] for run in record["runs"] if run["mode"] == serving.ONE}
    assert agree[serving.PLAIN] == written and agree[ENGINE_FLOATS] < written / 2
    assert record["weights"]["explained"] > 0.9 * written
    cost = metrics.paired(record["weights"]["engine"], record["weights"]["file"], unit="dialogue")
    assert 0.25 < cost.low < cost.mean < 0.42  # "a third of a nat"
    assert 0.05 < record["weights"]["differ"] < 0.12
    assert len(record["weights"]["file"]) == len(record["weights"]["engine"]) == study.SHORTEST


@installed
@pytest.mark.slow
def test_the_installed_engine_writes_as_many_tokens_one_at_a_time_and_together():
    given = serving.task()
    given["prompts"] = given["prompts"][:2]
    for mode in serving.MODES:
        found = serving.apart(serving.ENGINE, mode, given)
        assert [len(row) for row in found["tokens"]] == [serving.NEW] * 2
