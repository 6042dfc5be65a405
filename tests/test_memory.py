"""Bytes, bits and integers, on numbers worked out by hand."""

import math
import subprocess

import pytest
import torch

from course_utils import memory
from course_utils.finetune import encode_text
from course_utils.models import LLM
from course_utils.settings import CourseError


def test_one_billion_weights_take_24_gigabytes_to_train():
    parts = memory.training_bytes(1e9)
    assert list(parts.values()) == [4e9, 4e9, 8e9, 8e9] and sum(parts.values()) == 24e9


@pytest.mark.parametrize(
    "stage, want",
    [(0, (40, 40, 80)), (1, (40, 40, 20)), (2, (40, 10, 20)), (3, (10, 10, 20))],
)
def test_each_stage_shares_one_more_thing(stage, want):
    assert tuple(memory.zero_bytes(10, 4, stage).values()) == want


def test_one_rank_shares_nothing():
    assert all(memory.zero_bytes(10, 1, s) == memory.zero_bytes(10, 1, 0) for s in (1, 2, 3))


@pytest.mark.parametrize("ranks, stage", [(2, 4), (0, 1)])
def test_an_unknown_stage_or_no_rank_is_refused(ranks, stage):
    with pytest.raises(CourseError):
        memory.zero_bytes(10, ranks, stage)


def test_traffic_is_two_numbers_a_weight_and_three_at_stage_3():
    assert memory.traffic_bytes(10, 2, 0) == 2 * 10 * 4 / 2
    assert memory.traffic_bytes(10, 4, 3) == 3 * 10 * 4 * 3 / 4
    assert memory.traffic_bytes(10, 1, 0) == 0


# ---------------------------------------------------------------- formats


def test_pi_in_every_format():
    pi = {name: memory.bits_of(math.pi, form) for name, form in memory.FORMATS.items()}
    assert pi["BF16"] == ("0", "10000000", "1001001")  # 2 × (1 + 73/128) = 3.140625
    assert pi["FP16"] == ("0", "10000", "1001001000")
    assert pi["FP32"] == ("0", "10000000", "10010010000111111011011")
    assert pi["FP8 E4M3"] == ("0", "1000", "101")  # 2 × (1 + 5/8) = 3.25
    assert pi["FP8 E5M2"] == ("0", "10000", "10")  # 2 × (1 + 2/4) = 3


@pytest.mark.parametrize("name", memory.FORMATS)
def test_bits_and_value_are_inverse(name):
    form = memory.FORMATS[name]
    for number in (0.0, 1.0, -2.5, 0.1, 300.0, form.smallest, form.smallest / 2, form.largest):
        stored = torch.tensor([number]).to(form.dtype).float().item()
        assert memory.value_of(*memory.bits_of(number, form)) == stored


def test_sizes_and_limits():
    forms = memory.FORMATS
    assert [f.bits for f in forms.values()] == [32, 16, 16, 8, 8]
    assert [f.bias for f in forms.values()] == [127, 15, 127, 7, 15]
    assert (forms["FP16"].largest, forms["FP8 E4M3"].largest) == (65504, 448)
    assert forms["BF16"].step == 1 / 128 and forms["FP16"].smallest == 2.0**-14


# ---------------------------------------------------------------- integers


def test_absmax_on_four_numbers():
    codes, scale = memory.absmax(torch.tensor([0.5, -1.0, 2.54, -0.254]))
    assert codes.tolist() == [25, -50, 127, -13] and codes.dtype == torch.int8
    assert scale.item() == pytest.approx(0.02)


def test_absmax_by_channel_spares_the_small_row():
    x = torch.tensor([[0.008, -0.02], [1.0, 2.54]])
    codes, scale = memory.absmax(x)
    assert codes.tolist() == [[0, -1], [50, 127]]  # scale 0.02: the small row is nearly gone
    codes, scale = memory.absmax(x, dim=1)
    assert codes.tolist() == [[51, -127], [50, 127]] and scale.shape == (2, 1)


def test_absmax_with_four_bits():
    codes, scale = memory.absmax(torch.tensor([0.7, -0.3, 0.14]), bits=4)
    assert codes.tolist() == [7, -3, 1] and scale.item() == pytest.approx(0.1)


def test_zero_point_on_four_numbers():
    codes, scale, zero = memory.zero_point(torch.tensor([-1.0, 0.0, 2.0, 4.1]))
    assert codes.tolist() == [-128, -78, 22, 127]
    assert scale.item() == pytest.approx(0.02) and zero.item() == -78


def test_zero_point_with_three_bits():
    codes, scale, zero = memory.zero_point(torch.tensor([-0.1, 0.0, 0.6]), bits=3)
    assert codes.tolist() == [-4, -3, 3] and scale.item() == pytest.approx(0.1) and zero.item() == -3


def test_zero_point_includes_zero_and_uses_all_codes_of_a_one_sided_range():
    codes, scale, zero = memory.zero_point(torch.tensor([5.1, 2.0]))
    assert codes.tolist() == [127, -28] and zero.item() == -128
    codes, _, zero = memory.zero_point(torch.tensor([[0.0, 5.1], [-5.1, 0.0]]), dim=1)
    assert codes.tolist() == [[-128, 127], [-128, 127]] and zero.flatten().tolist() == [-128, 127]


def test_the_error_is_at_most_half_a_step():
    x = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    codes, scale = memory.absmax(x, dim=1)
    assert ((codes * scale - x).abs() <= scale / 2 + 1e-6).all()
    codes, scale, zero = memory.zero_point(x)
    assert ((codes - zero) * scale - x).abs().max() <= scale / 2 + 1e-6


def test_zeros_stay_zeros():
    codes, scale = memory.absmax(torch.zeros(2, 3), dim=1)
    assert not codes.any() and scale.isfinite().all()
    codes, scale, zero = memory.zero_point(torch.zeros(3))
    assert ((codes - zero) * scale == 0).all()


def test_numbers_come_back_as_multiples_of_the_step_they_share():
    x = torch.tensor([[0.008, -0.02], [1.0, 2.54]])
    assert torch.allclose(memory.rounded(x, bits=8), torch.tensor([[0.0, -0.02], [1.0, 2.54]]), atol=1e-6)
    assert torch.allclose(memory.rounded(x, bits=8, group=2), x, atol=1e-4)
    assert torch.equal(memory.rounded(x, bits=4, group=1), x)  # alone, each number is the largest


def test_weights_change_in_a_copy_and_only_in_linear_layers(llama):
    llm = LLM(llama, None, "llama")
    before = {name: tensor.clone() for name, tensor in llama.state_dict().items()}
    doubled = memory.with_weights(llm, lambda weight: 2 * weight)
    assert all(torch.equal(tensor, before[name]) for name, tensor in llama.state_dict().items())
    changed = {n for n, t in doubled.model.state_dict().items() if not torch.equal(t, before[n])}
    assert len(changed) == len(memory.linear_layers(llama)) == 7 * llama.config.num_hidden_layers
    assert all("_proj" in name for name in changed)


# ---------------------------------------------------------------- measuring


def test_saved_tensors_of_two_layers_counted_by_hand():
    """Kept: the input [2, 3] for the first weight's gradient, and ReLU's output [2, 4], once for two uses."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    with memory.saved_tensors(model) as kept:
        loss = model(torch.ones(2, 3)).sum()
    assert sum(kept.values()) == 2 * 3 * 4 + 2 * 4 * 4
    loss.backward()


def test_activations_of_a_llama_are_as_the_formula_says(llama):
    ids = torch.randint(61, (2, 30), generator=torch.Generator().manual_seed(0))
    found = memory.measure_step(llama, ids)
    predicted = memory.activation_bytes(2, 30, **memory.llama_shape(llama.config))
    assert abs(found["activations"] / predicted - 1) < 0.03
    size = sum(p.numel() for p in llama.parameters())
    assert found["weights"] == found["gradients"] == 4 * size and found["moments"] == 8 * size


def test_activation_bytes_by_hand():
    shape = {"layers": 2, "width": 4, "inner": 8, "kv_width": 2, "heads": 2, "vocabulary": 10}
    # a layer: 8·4 + 2·2 + 2 + 2 + 4·8 = 72; twice, and 3·4 + 1 + 10 = 23: 167 numbers per token
    assert memory.activation_bytes(3, 5, **shape) == 3 * 5 * 167 * 4


def test_perplexity_counts_every_token_alike(causal):
    texts = ["w3 w4 w5 w6", "w7 w8"]
    total = count = 0
    for example in encode_text(causal, texts):
        ids = torch.tensor([example.ids])
        total += causal.model(ids, labels=ids).loss.item() * (len(example.ids) - 1)
        count += len(example.ids) - 1
    assert memory.perplexity(causal, texts) == pytest.approx(math.exp(total / count), rel=1e-4)


def test_a_step_is_measured_in_a_process_of_its_own(monkeypatch):
    def run(command, **_):
        assert command[1:] == ["-m", "course_utils.memory", "--rows", "4", "--length", "64", "--layers", "15"]
        return subprocess.CompletedProcess(command, 0, stdout='{"weights": 8}', stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    assert memory.measure_in_own_process(4, 64, 15) == {"weights": 8}


@pytest.mark.parametrize(
    ("stderr", "words"), [("a warning\nMemoryError: 2 GB\n", "failed: MemoryError: 2 GB"), ("", "failed: it was killed")]
)
def test_a_measuring_process_that_fails_says_why(monkeypatch, stderr, words):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(CourseError, match=words):
        memory.measure_in_own_process(4, 64, 15)


@pytest.mark.parametrize("arguments", [["--rows", "0"], ["--length", "1"], ["--layers", "31"]])
def test_impossible_sizes_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        memory.main(arguments)
    assert "at least 1" in capsys.readouterr().err
