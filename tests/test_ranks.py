"""Several processes train as one: by tokens, through kills and checkpoints, with each error told as its own."""

import json
import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
import ranks_worker as worker
import torch
from conftest import make_tokenizer
from safetensors.torch import load_file

from course_utils import __main__ as command_line
from course_utils import distributed, finetune, ranks, rl
from course_utils.models import load_llm
from course_utils.settings import CourseError

WORKER = Path(worker.__file__)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny random Llama, and dialogues of its words."""
    from transformers import LlamaConfig, LlamaForCausalLM

    place = tmp_path_factory.mktemp("ranks")
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=2,
        initializer_range=0.4,
    ))  # fmt: skip
    model.save_pretrained(place / "model")
    make_tokenizer().save_pretrained(place / "model")
    rows = [
        {"dialogue": f"#Person1#: w{i} w{i + 1}\n#Person2#: w{i + 2}", "summary": " ".join(f"w{j}" for j in range(i, i + 1 + i % 5 * 4))}
        for i in range(3, 43)
    ]  # fmt: skip
    (place / "data").mkdir()
    for split, part in {"train": rows[:30], "validation": rows[30:33], "test": rows[33:]}.items():
        (place / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return place


@pytest.fixture(autouse=True)
def environment(place, monkeypatch):
    for name, value in {
        "COURSE_MODEL": place / "model", "COURSE_DATA": place / "data", "COURSE_DEVICE": "cpu",
        "COURSE_CACHE": place / "cache",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(finetune, "bfloat16_pays", lambda: False)


def start(*arguments, processes=2, **more) -> subprocess.CompletedProcess:
    """torchrun with so many processes of the worker, one thread each."""
    command = [*distributed._torchrun(processes), str(WORKER), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(WORKER.parents[1]), **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


# ---------------------------------------------------------------- numbers


@pytest.fixture(scope="module")
def both(place):
    """What two processes found, by process: (numbers, tensors); and the folder, and what they said."""
    out = place / "numbers"
    out.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_MODEL", str(place / "model"))
        patch.setenv("COURSE_DEVICE", "cpu")
        said = start("numbers", out)
    assert (out / "1.json").is_file(), said.stderr[-3000:]
    return [(json.loads((out / f"{r}.json").read_text()), load_file(out / f"{r}.safetensors")) for r in (0, 1)], out, said


def close(found: dict, prefix: str, wanted: dict) -> None:
    assert wanted
    for name, tensor in wanted.items():
        assert torch.allclose(found[f"{prefix}.{name}"], tensor, atol=2e-5, rtol=1e-3), name


def test_a_mean_of_means_is_off_by_the_formula():
    ten, ninety = 2.0, 1.0  # mean losses of the two answers, in nats
    by_tokens = (10 * ten + 90 * ninety) / 100
    assert (ten + ninety) / 2 - by_tokens == pytest.approx(0.4 * (ten - ninety))


@pytest.mark.parametrize("name, lengths", [("two", (10, 90)), ("five", (10, 90, 3, 40, 25)), ("one", (10,))])
def test_loss_and_gradient_are_those_of_one_process_by_tokens(both, name, lengths):
    """Also for one row, of which the second process has none; five do not divide by two."""
    llm = load_llm()
    loss, _ = finetune.add_gradients(llm.model, worker.ragged(llm, lengths), 110, 2)
    for found, tensors in both[0]:
        assert found[name] == pytest.approx(loss, abs=1e-5)
        close(tensors, name, {n: p.grad for n, p in llm.model.named_parameters()})
    if name == "two":  # a mean of means is another loss, and by as much as the formula says
        ten, ninety = finetune.nll(llm, worker.ragged(llm, lengths))
        assert abs((ten + ninety) / 2 - loss) == pytest.approx(0.4 * abs(ten - ninety), abs=1e-5)
        assert abs(ten - ninety) > 0.01


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_is_that_of_one_process(both, method):
    llm = worker.trained(load_llm(), method)
    log = finetune.train(llm, worker.ragged(llm), worker.RECIPE, validation=worker.ragged(llm)[:3])
    for found, tensors in both[0]:
        for (loss, norm, validation), step in zip(found[method], log, strict=True):
            assert (loss, norm) == pytest.approx((step.loss, step.grad_norm), rel=1e-3)
            assert validation == (step.validation and pytest.approx(step.validation, rel=1e-3))
        names = {n: p for n, p in llm.model.named_parameters() if p.requires_grad}
        assert all(torch.allclose(tensors[f"{method}.{n}"], p, atol=2e-4) for n, p in names.items())
    assert log[-1].validation is not None


def test_an_iteration_of_ppo_is_that_of_one_process(both):
    """Seven prompts of two answers: minibatches of three prompts, which no process holds alone."""
    policy = worker.make_policy(load_llm())
    before = [p.detach().clone() for p in policy.parameters()]
    stats = asdict(rl.step(policy, worker.optimizer(policy), worker.PROMPTS, worker.score, worker.CONFIG, 5))
    for found, tensors in both[0]:
        assert found["ppo"] == pytest.approx(stats, abs=2e-4)
        close(tensors, "ppo", {str(i): p.detach() for i, p in enumerate(policy.parameters())})
    assert max((p - b).abs().max() for p, b in zip(policy.parameters(), before)) > 0.01


def test_a_step_for_one_process_is_the_plain_one():
    found = []
    for step in (rl.step, rl.several.step):
        policy = worker.make_policy(load_llm())
        stats = step(policy, worker.optimizer(policy), worker.PROMPTS, worker.score, worker.CONFIG, 5)
        found.append((asdict(stats), [p.detach().clone() for p in policy.parameters()]))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1]))


def test_both_processes_end_with_the_same_weights(both):
    (_, first), (_, second) = both[0]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_sentence_of_a_process_is_told_with_its_number(both):
    said = both[2]
    assert said.returncode and "process 1 of 2: the second process says what is wrong with it" in said.stderr


# ---------------------------------------------------------------- the commands, kills and checkpoints

STEPS = ("--rows", "24", "--epochs", "2", "--batch-size", "4", "--save-every", "2")  # twelve steps


def losses(folder: Path) -> list[float]:
    return [step["loss"] for step in json.loads((folder / "state.json").read_text())["log"]]


@pytest.fixture(scope="module")
def curve(place):
    """The losses of an uninterrupted run of one process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"COURSE_MODEL": "model", "COURSE_DATA": "data", "COURSE_CACHE": "cache"}.items():
            patch.setenv(name, str(place / value))
        patch.setenv("COURSE_DEVICE", "cpu")
        patch.setattr(finetune, "bfloat16_pays", lambda: False)
        out = place / "adapter"
        assert command_line.main(["train", *STEPS, "--folder", str(place / "alone"), "--out", str(out)]) == 0
    assert (out / "adapter_model.safetensors").is_file()
    return losses(place / "alone")


@pytest.fixture(scope="module")
def killed(place, curve):
    """A run of two processes, one of which is killed before step 7 of 12."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"COURSE_MODEL": "model", "COURSE_DATA": "data", "COURSE_CACHE": "cache"}.items():
            patch.setenv(name, str(place / value))
        said = start("train", *STEPS, "--folder", place / "killed", END_AT="7")
    return place / "killed", said


def test_a_killed_process_is_an_error_and_what_was_kept_is_whole(killed, curve):
    folder, said = killed
    assert said.returncode and "SIGKILL" in said.stderr
    assert distributed._reason(said.stderr).startswith("a worker was killed and torchrun stopped the others")
    assert losses(folder) == pytest.approx(curve[:6], rel=1e-3)
    (file,) = folder.glob("*.safetensors")
    moments = {name: t for name, t in load_file(file).items() if name.startswith("square.")}
    assert moments and all(t.abs().sum() > 0 for t in moments.values())


@pytest.mark.parametrize("processes", [1, 3])
def test_any_number_of_processes_goes_on_with_the_same_curve(killed, curve, processes, tmp_path, capfd):
    """Adam's moments included: without them the seventh loss and all after it would be others."""
    folder = tmp_path / "again"
    shutil.copytree(killed[0], folder)
    arguments = ["train", *STEPS, "--folder", str(folder)]
    if processes == 1:
        assert command_line.main(arguments) == 0
    else:
        said = start(*arguments, processes=processes)
        assert said.returncode == 0, said.stderr[-3000:]
        assert f"processes: {processes}" in said.stdout and said.stdout.count("step 12 of 12") == 1
    assert losses(folder) == pytest.approx(curve, rel=2e-3)


def test_moments_that_are_forgotten_would_be_seen(killed, curve, tmp_path):
    from safetensors.torch import save_file

    folder = tmp_path / "forgetful"
    shutil.copytree(killed[0], folder)
    (file,) = folder.glob("*.safetensors")
    save_file({n: t for n, t in load_file(file).items() if n.startswith("weight.")}, file)
    assert command_line.main(["train", *STEPS, "--folder", str(folder)]) == 0
    gaps = [abs(a - b) for a, b in zip(losses(folder), curve)]
    assert max(gaps[:7]) < 1e-2 * curve[0] < 10 * max(gaps[7:])


def test_an_error_of_one_process_of_ppo_is_told_and_the_run_goes_on(place):
    """Four iterations; the second process fails before the third."""
    arguments = ["ppo", "--iterations", "4", "--prompts", "4", "--folder", place / "ppo", "--out", place / "policy"]
    said = start(*arguments, END_AT="2", END_BY="error")
    assert said.returncode and distributed._reason(said.stderr) == "ValueError: no rows left for this process"
    assert "process 0 of 2: another process has ended" in said.stderr
    log = json.loads((place / "ppo" / "state.json").read_text())["log"]
    assert len(log) == 2 and len(log[0]["texts"]) == 4 * 4  # prompts · answers to each, of both processes
    said = start(*arguments)
    assert said.returncode == 0, said.stderr[-3000:]
    again = json.loads((place / "ppo" / "state.json").read_text())["log"]
    assert len(again) == 4 and again[:2] == log
    assert (place / "policy" / "adapter_model.safetensors").is_file()


# ---------------------------------------------------------------- alone, knowingly or not


def test_alone_everything_is_ones_own():
    assert (ranks.count(), ranks.rank()) == (1, 0)
    assert ranks.share([1, 2, 3]) == [1, 2, 3] and ranks.total(2.5) == 2.5 and ranks.gathered("x") == ["x"]
    weight = torch.nn.Parameter(torch.ones(2))
    ranks.add_up([weight])
    assert weight.grad is None and ranks.distributed([weight], sum) is sum


def test_accelerates_single_process_is_refused(monkeypatch, capsys):
    """The environment that ``accelerate launch --cpu --num_processes 2`` makes, from accelerate itself."""
    from accelerate.commands.launch import launch_command_parser
    from accelerate.utils.launch import prepare_simple_launcher_cmd_env

    asked = ["--cpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    _, made = prepare_simple_launcher_cmd_env(launch_command_parser().parse_args([*asked, "train.py"]))
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for command in (["train"], ["ppo"]):
        assert command_line.main(command) == 1
        told = capsys.readouterr().err
        assert "(MASTER_ADDR) announces several processes, but this one is alone" in told and "torchrun" in told
    assert distributed.main(["--steps", "1"]) == 1


@pytest.mark.parametrize("name, value, refused", [
    ("WORLD_SIZE", "2", True), ("WORLD_SIZE", "1", False), ("SM_HOSTS", '["algo-1", "algo-2"]', True),
    ("SM_HOSTS", '["algo-1"]', False),
])  # fmt: skip
def test_what_announces_others(monkeypatch, name, value, refused):
    for other in ("MASTER_ADDR", "WORLD_SIZE", "RANK", "SM_HOSTS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    if refused:
        with pytest.raises(CourseError, match=name):
            ranks.check_alone()
    else:
        ranks.check_alone()


def test_impossible_numbers_are_one_sentence(capsys):
    assert command_line.main(["train", "--batch-size", "0"]) == 1
    assert "--batch-size must be at least 1" in capsys.readouterr().err


def test_the_commands_choices_are_the_labs(monkeypatch):
    from course_utils import tasks, week3

    seen = {}
    monkeypatch.setattr(tasks, "run", lambda command, args: seen.update({command: args}) or 0)
    assert command_line.main(["train"]) == command_line.main(["ppo"]) == 0
    lab2 = (WORKER.parents[1] / "week2/lab2_full_vs_peft.ipynb").read_text(encoding="utf-8")
    for words in ("FULL_RATE = 1e-4", "LORA_RATE = 2e-3", "batch_size=4", "[:96]", "r=16, lora_alpha=32"):
        assert words in lab2
    assert tasks.RATES == {"full": 1e-4, "lora": 2e-3} and (tasks.RANK, tasks.ALPHA) == (16, 32)
    assert (seen["train"].rows, seen["train"].batch_size) == (96, 4)
    ppo = seen["ppo"]
    assert (ppo.iterations, ppo.prompts, ppo.beta) == (week3.ITERATIONS, week3.PROMPTS_AT_ONCE, week3.CONFIG.beta)


def test_a_whole_model_is_saved_as_whole_files_and_loads_again(causal, tmp_path, monkeypatch):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from course_utils import tasks

    tasks.save(causal, tmp_path / "model")
    assert not [p for p in (tmp_path / "model").iterdir() if p.is_dir()]  # nothing half-way is left
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert all(a.equal(b) for a, b in zip(loaded.parameters(), causal.model.parameters()))
    assert len(AutoTokenizer.from_pretrained(tmp_path / "model")) == len(causal.tokenizer)

    def killed(folder):
        raise KeyboardInterrupt

    before = {p.name: p.read_bytes() for p in (tmp_path / "model").iterdir()}
    monkeypatch.setattr(causal.tokenizer, "save_pretrained", killed)
    with pytest.raises(KeyboardInterrupt):
        tasks.save(causal, tmp_path / "model")
    assert {p.name: p.read_bytes() for p in (tmp_path / "model").iterdir()} == before
