"""A hub on this machine, and what is said when it, or the network, fails."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pyarrow
import pytest
from pyarrow import parquet
from transformers import LlamaConfig, LlamaForCausalLM

from course_utils import data, hub, hub_server
from course_utils.settings import CourseError, Settings

# One process asks for many models: the libraries read HF_ENDPOINT and HF_HUB_OFFLINE when they load.
ASK = """
import json, sys, time
from course_utils import data, hub
from course_utils.settings import Settings
time.sleep, waited = (lambda seconds: waited.append(seconds)), []
said = {}
for name in json.loads(sys.argv[1]):
    try:
        if name.startswith("datasets/"):
            said[name] = sum(data.load_dialogues(Settings(data=name[9:])).num_rows.values())
        else:
            said[name] = sorted(p.name for p in hub.download(name).iterdir())
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
print("SAID" + json.dumps(said))
"""
FILES = ["config.json", "generation_config.json", "model.safetensors"]
ROWS = [f"{i},Ana: {i}?,Bo says {i}." for i in range(80)]
TALKS = [
    "datasets/plain/csv", "datasets/plain/parquet", "datasets/plain/script", "datasets/all/403",
    "datasets/all/503", "datasets/data/429", "datasets/data/cut", "datasets/nobody/nothing",
]  # fmt: skip
CONFIGURED = ["datasets/several/configs", "datasets/single/config"]
CHOSEN = [f"{CONFIGURED[0]}:config={c}" for c in ("en", "3.0.0", "3.0.0,dialogue=talk", "it")] + [f"{CONFIGURED[1]}:config=it"]
CASES = ["plain/model"] + [
    f"{where}/{wrong}" for where in ("all", "weights") for wrong in ("401", "403", "404", "429", "503")
] + ["weights/cut", "nobody/nothing"]  # fmt: skip


def fault(path: str):
    """What ``where/wrong`` asks for: nothing, a status or a cut, for every file or the large ones."""
    for name in [*CASES, *TALKS]:
        where, wrong = name.split("/")[-2:]
        here = name.startswith("datasets/") == ("datasets/" in path) and f"{where}/{wrong}" in path
        if here and where != "plain" and (where == "all" or path.endswith((".safetensors", ".csv"))):
            return int(wrong) if wrong.isdigit() else wrong
    return None


def ask(names, home, endpoint, **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"} | more
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(names)], env=environment, capture_output=True, text=True
    )
    line = next((x for x in done.stdout.splitlines() if x.startswith("SAID")), None)
    assert line, done.stderr[-2000:]
    return json.loads(line[4:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    for number, name in enumerate(CASES[:-1]):  # other weights each: the cache shares equal files
        config = LlamaConfig(
            vocab_size=60 + number, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(root / name)
        (root / name / "modeling_own.py").write_text("raise SystemExit('never run')")
        (root / name / "pytorch_model.bin").write_bytes(b"no pickle is fetched")
        (root / name / "consolidated.safetensors").write_bytes(b"the same weights, in a layout that is not read")
    for name in TALKS[:-1]:
        (root / name).mkdir(parents=True)
        (root / name / "train.csv").write_text("\n".join(["id,dialogue,summary", *ROWS]) + "\n")
    (root / TALKS[2] / "train.csv").rename(root / TALKS[2] / "script.py")
    (root / TALKS[1] / "train.csv").unlink()
    table = [dict(zip(("id", "dialogue", "summary"), row.split(","))) for row in ROWS]
    parquet.write_table(pyarrow.Table.from_pylist(table), root / TALKS[1] / "train-00000-of-00001.parquet")
    for name, configs in zip(CONFIGURED, (["en", "3.0.0"], ["only"])):
        about = ["---", "configs:"]
        for config in configs:
            (root / name / config).mkdir(parents=True)
            header = "id,talk,summary" if config == "3.0.0" else "id,dialogue,summary"
            (root / name / config / "train.csv").write_text("\n".join([header, *ROWS]) + "\n")
            about += [f'- config_name: "{config}"', f"  data_files: {config}/train.csv"]
        (root / name / "README.md").write_text("\n".join([*about, "---", ""]))
    return root


@pytest.fixture(scope="module")
def said(folder, tmp_path_factory):
    with hub_server.serving(folder, fault=fault) as server:
        found = ask([*CASES, *TALKS], tmp_path_factory.mktemp("home"), server.url)
        found["asked"] = list(server.asked)
    return found


def test_data_sets_arrive(said):
    assert said["datasets/plain/csv"] == said["datasets/plain/parquet"] == len(ROWS)


def test_a_model_arrives_without_code_and_without_pickles(said):
    assert said["plain/model"] == FILES
    models = [path for path in said["asked"] if "datasets" not in path]
    assert not any(path.endswith((".py", ".bin", "consolidated.safetensors")) for path in models)


@pytest.mark.parametrize(
    "name, cause, cure",
    [
        ("all/401", "gated or private (HTTP 401)", "HF_TOKEN"),
        ("weights/401", "gated or private (HTTP 401)", "HF_TOKEN"),
        ("all/403", "gated or private (HTTP 403)", "accept its terms"),
        ("weights/403", "gated or private (HTTP 403)", "accept its terms"),
        ("all/404", "neither a folder here nor on the hub", "check its spelling"),
        ("weights/404", "does not send (HTTP 404: model.safetensors)", "run the cell again"),
        ("all/429", "HTTP 429", "wait a few minutes"),
        ("weights/429", "HTTP 429", "wait a few minutes"),
        ("all/503", "HTTP 503", "run the cell again later"),
        ("weights/503", "HTTP 503", "run the cell again later"),
        ("weights/cut", "connection broke", "run the cell again"),
        ("nobody/nothing", "neither a folder here nor on the hub", "check its spelling"),
        ("datasets/plain/script", "needs a program of its own", "Parquet or CSV"),
        ("datasets/all/403", "gated or private", "HF_TOKEN"),
        ("datasets/all/503", "HTTP 503", "run the cell again later"),
        ("datasets/data/429", "HTTP 429", "wait a few minutes"),
        ("datasets/data/cut", "connection broke", "run the cell again"),
        ("datasets/nobody/nothing", "neither a folder here nor on the hub", "check its spelling"),
    ],
)
def test_each_failure_names_its_cause_and_its_cure(said, name, cause, cure):
    sentence = said[name]
    assert sentence.startswith("CourseError: ") and cause in sentence and cure in sentence, sentence
    assert name.removeprefix("datasets/") in sentence


def test_a_data_set_of_several_configurations_lists_them_and_reads_the_one_that_is_chosen(folder, tmp_path):
    several, single = (name.removeprefix("datasets/") for name in CONFIGURED)
    with hub_server.serving(folder) as server:
        said = ask([*CONFIGURED, *CHOSEN], tmp_path, server.url)
        cached = ask([*CONFIGURED, *CHOSEN], tmp_path, server.url, HF_HUB_OFFLINE="1")
    names = [CONFIGURED[1], CHOSEN[0], CHOSEN[2]]
    assert [said[name] for name in names] == [cached[name] for name in names] == [len(ROWS)] * 3
    cure = f"choose one of en, 3.0.0: COURSE_DATA={several}:config=en, say."
    assert said[CONFIGURED[0]] == f"CourseError: COURSE_DATA={several} has several configurations; {cure}"
    assert said[CHOSEN[3]] == f"CourseError: COURSE_DATA={several} has no configuration 'it'; {cure}"
    assert f"{single} has no configuration 'it'; choose one of only" in said[CHOSEN[4]]
    assert said[CHOSEN[1]].endswith(f"name it: COURSE_DATA={several}:config=3.0.0,dialogue=its_name")  # the cure keeps the choice
    for name in (CONFIGURED[0], CHOSEN[3]):
        assert "in the hub's cache" in cached[name] and "choose one of 3.0.0, en" in cached[name]


def test_of_many_configurations_some_are_shown_and_all_are_counted():
    error = ValueError(f"Config name is missing.\nPlease pick one among the available configs: {[f'c{i}' for i in range(40)]}")
    said = hub.sentence(error, "COURSE_DATA", "org/name")
    assert "c0, c1, " in said and "c11, … (40 in all)" in said and "c12" not in said


def test_a_file_has_no_configurations(tmp_path):
    (tmp_path / "calls.csv").write_text("id,dialogue,summary\n1,Ana: Hi,Ana greets.\n")
    with pytest.raises(CourseError, match="calls.csv is a file or folder, which has no configurations; leave out config=en"):
        data.load_dialogues(Settings(data=f"{tmp_path}/calls.csv:config=en"))


def test_what_was_fetched_is_used_without_a_network_and_the_rest_is_explained(folder, tmp_path):
    with hub_server.serving(folder) as server:
        url = server.url
        assert ask(["plain/model"], tmp_path, url)["plain/model"] == FILES
        found = ask(["plain/model", "all/429"], tmp_path, url, HF_HUB_OFFLINE="1")
        assert found["plain/model"] == FILES
        assert "HF_HUB_OFFLINE=0" in found["all/429"] and "forbids" in found["all/429"]
    found = ask(["plain/model", "all/503", "a b//c"], tmp_path, url)  # nobody listens there any more
    assert found["plain/model"] == FILES
    assert "cannot be reached" in found["all/503"] and "check the network" in found["all/503"]
    assert "hub id (org/name)" in found["a b//c"]


def test_another_endpoints_model_of_the_same_name_is_another_model(folder, tmp_path):
    other = tmp_path / "other"
    LlamaForCausalLM(LlamaConfig(
        vocab_size=33, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1)).save_pretrained(other / "plain" / "model")  # fmt: skip
    with hub_server.serving(folder) as one, hub_server.serving(other) as two:
        ask(["plain/model"], tmp_path / "home", one.url)
        assert ask(["plain/model"], tmp_path / "home", two.url)["plain/model"] == FILES
        assert any(path.endswith("model.safetensors") for path in two.asked)


# ---------------------------------------------------------------- the server


def get(url, **headers):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers))


def test_a_part_of_a_file_is_sent_as_asked(folder):
    content = (folder / "plain/model/config.json").read_bytes()
    with hub_server.serving(folder) as server:
        url = f"{server.url}/plain/model/resolve/main/config.json"
        assert get(url).read() == content
        part = get(url, Range="bytes=5-9")
        assert part.status == 206 and part.read() == content[5:10]
        assert get(url, Range="bytes=5-").read() == content[5:]


@pytest.mark.parametrize("path", ["../secret.txt", "plain/../../secret.txt", "plain/model/resolve/main/../../../x", ".git/x"])
def test_nothing_outside_the_folder_is_served(folder, path):
    (folder.parent / "secret.txt").write_text("no")
    with hub_server.serving(folder) as server:
        with pytest.raises(urllib.error.HTTPError) as error:
            get(f"{server.url}/{path}")
        assert error.value.code == 404


def test_the_revision_changes_with_a_file(tmp_path):
    repo = tmp_path / "org" / "name"
    repo.mkdir(parents=True)
    (repo / "config.json").write_text("{}")
    first = hub_server.revision(repo)
    assert len(first) == 40 and first == hub_server.revision(repo)
    (repo / "config.json").write_text('{"a": 1}')
    assert hub_server.revision(repo) != first


def test_a_missing_folder_and_a_taken_port_are_one_sentence(folder):
    with pytest.raises(CourseError, match="no folder"), hub_server.serving(folder / "nothing"):
        pass
    with hub_server.serving(folder) as server:
        with pytest.raises(CourseError, match="taken"), hub_server.serving(folder, server.server_port):
            pass


def test_the_listing_names_models_and_data_sets(tmp_path):
    for name in ("org/a", "org/b", "datasets/org/talk"):
        (tmp_path / name).mkdir(parents=True)
    assert hub_server.repositories(tmp_path) == ["datasets/org/talk", "org/a", "org/b"]
