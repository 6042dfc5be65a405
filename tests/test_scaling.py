"""Scaling: arithmetic on numbers worked out by hand, and the committed study."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_utils import logs, scaling, tiny_models
from course_utils.settings import CourseError
from course_utils.studies import scaling as study

# ---------------------------------------------------------------- counting


def test_a_token_costs_two_operations_a_parameter_and_training_three_times_that():
    assert scaling.flops_per_token(10, training=False) == 20
    assert scaling.flops_per_token(10) == 60


def test_attention_adds_four_operations_for_each_layer_width_and_token_of_the_context():
    assert scaling.flops_per_token(10, layers=2, width=3, context=5, training=False) == 20 + 4 * 2 * 3 * 5


def test_gpt_3_takes_as_many_petaflop_days_as_its_paper_says():
    flops = scaling.flops_per_token(174.6e9) * 300e9
    assert flops == pytest.approx(3.14e23, rel=0.002)
    assert scaling.petaflop_days(flops) == pytest.approx(3640, rel=0.002)
    assert scaling.petaflop_days(8.64e19) == pytest.approx(1)


def test_the_count_agrees_with_the_profiler_on_a_tiny_model(llama):
    from torch.utils.flop_counter import FlopCounterMode

    llama.set_attn_implementation("eager")
    ids = torch.arange(24).view(1, -1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        llama(ids, use_cache=False)
    table = llama.get_input_embeddings().weight.numel()  # not tied here: the look-up costs nothing
    vectors = sum(p.numel() for p in llama.parameters() if p.dim() == 1)
    weights = sum(p.numel() for p in llama.parameters()) - table - vectors
    assert counter.get_total_flops() == 24 * scaling.flops_per_token(
        weights, layers=2, width=32, context=24, training=False
    )


# ---------------------------------------------------------------- power laws


def test_a_power_law_made_from_known_numbers_is_found_again():
    x = np.array([1.0, 3.0, 10.0, 40.0])
    fit = scaling.fit_power_law(x, 3 * x**-0.5)
    assert (fit.scale, fit.exponent, fit.n) == (pytest.approx(3), pytest.approx(0.5), 4)
    assert (fit.low, fit.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert fit(100) == pytest.approx(0.3)


def test_scatter_widens_the_interval_around_the_exponent():
    x = np.geomspace(1, 1000, 12)
    noisy = 3 * x**-0.5 * np.exp(np.random.default_rng(0).normal(0, 0.05, 12))
    fit = scaling.fit_power_law(x, noisy)
    assert fit.low < fit.exponent < fit.high and fit.low < 0.5 < fit.high
    assert fit == scaling.fit_power_law(x, noisy)  # seeded


@pytest.mark.parametrize("x, y", [([1, 2], [1, 2]), ([1, 1, 2], [1, 2, 3]), ([1, 2, 3], [1, 2]), ([1, 2, 3], [1, 0, 2])])
def test_a_line_that_cannot_be_drawn_is_refused(x, y):
    with pytest.raises(ValueError, match="power law needs"):
        scaling.fit_power_law(x, y)


def test_the_frontier_of_four_points():
    assert scaling.frontier([8, 1, 2, 4], [2.2, 3.0, 2.5, 2.7]) == [1, 2, 0]
    assert scaling.frontier([1, 1], [3, 2]) == [1]  # the same compute: only the better one
    assert scaling.frontier([], []) == []


# ---------------------------------------------------------------- planning


def test_a_plan_spends_the_budget_at_the_ratio():
    for flops, ratio in ((1.2e22, 20), (3e18, 7)):
        plan = scaling.plan(flops, ratio)
        assert 6 * plan.parameters * plan.tokens == pytest.approx(flops)
        assert plan.ratio == pytest.approx(ratio)
    assert scaling.plan(1.2e22).parameters == pytest.approx(1e10)


@pytest.mark.parametrize("law", [scaling.HOFFMANN, scaling.BESIROGLU])
def test_no_other_division_of_the_budget_has_a_lower_loss(law):
    plan = law.plan(1e22)
    assert 6 * plan.parameters * plan.tokens == pytest.approx(1e22)
    lowest = law.loss(plan.parameters, plan.tokens)
    for times in (0.5, 0.9, 1.1, 2):
        n = plan.parameters * times
        assert law.loss(n, 1e22 / (6 * n)) > lowest


def test_only_the_corrected_constants_agree_with_twenty_at_gophers_budget():
    assert 15 < scaling.BESIROGLU.plan(5.76e23).ratio < 25
    assert scaling.HOFFMANN.plan(5.76e23).ratio > 60


def test_a_loss_is_the_sum_of_three_terms():
    law = scaling.Law(E=1, A=8, alpha=0.5, B=27, beta=1 / 3)
    assert law.loss(16, 27) == pytest.approx(1 + 2 + 9)


def test_a_law_made_from_known_constants_is_found_again():
    truth = scaling.Law(E=1.2, A=40, alpha=0.45, B=120, beta=0.4)
    n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(5e3, 4e5, 7), np.geomspace(1e5, 2e6, 4)))
    found, again = scaling.fit_surface(n, d, truth.loss(n, d), draws=3)
    for name in ("E", "A", "alpha", "B", "beta"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=0.02)
    assert len(again) == 3


# ---------------------------------------------------------------- the study

RUNS = logs.scaling()


def test_the_log_holds_every_run_of_the_grid_once():
    logged = [(r["width"], r["steps"], r["seed"], r["rate"]) for r in RUNS]
    assert logged == [(s.width, s.steps, s.seed, s.rate) for s in study.grid()]
    assert len({r["parameters"] for r in RUNS}) >= 6 and len({r["tokens"] for r in RUNS}) >= 4


def test_every_run_learned_something_and_counts_its_own_cost():
    for r in RUNS:
        assert 0 < r["loss"] < math.log(tiny_models.SYMBOLS) and math.isfinite(r["halfway"])
        assert len(r["curve"]) == tiny_models.PARTS and np.isfinite(r["curve"]).all()
        assert r["6ND"] == 6 * r["parameters"] * r["tokens"] < r["flops"]
        assert r["tokens"] == r["steps"] * tiny_models.ROWS * tiny_models.CONTEXT


@pytest.mark.parametrize("width", tiny_models.HEADS)
def test_the_parameters_in_the_log_are_those_of_the_model(width):
    model = tiny_models.make_model(width)
    total = sum(p.numel() for p in model.parameters())
    table = tiny_models.SYMBOLS * width
    assert {(r["total"], r["parameters"]) for r in RUNS if r["width"] == width} == {(total, total - table)}


def test_symbols_keep_ascii_apart_and_lump_the_rest():
    assert tiny_models.symbols("\n ~aéπ").tolist() == [0, 1, 95, 66, 96, 96]


@pytest.fixture(scope="module")
def rows():
    return tiny_models.load_rows()


def test_no_held_out_row_occurs_in_training(rows):
    train, held_out = rows
    assert held_out.shape == (512, tiny_models.CONTEXT + 1) and train.max() < tiny_models.SYMBOLS
    assert not {tuple(r) for r in train.tolist()} & {tuple(r) for r in held_out.tolist()}


def test_rows_overlap_by_the_one_character_that_is_only_read(rows):
    assert torch.equal(rows[0][:-1, -1], rows[0][1:, 0])


def test_too_little_text_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setattr(tiny_models.data, "load_prose", lambda: ["Too short a text to train on. " * 9] * 40)
    with pytest.raises(CourseError, match="too little prose"):
        tiny_models.load_rows()


def test_a_run_trained_again_gives_the_loss_of_the_log(rows):
    setting = tiny_models.Setting(16, 312)
    logged = next(r for r in RUNS if (r["width"], r["steps"], r["seed"], r["rate"]) == (16, 312, 0, 1.0))
    found = tiny_models.run(setting, rows)
    assert found["loss"] == pytest.approx(logged["loss"], abs=0.05)
    assert {key: found[key] for key in ("parameters", "tokens", "flops", "learning rate")} == {
        key: logged[key] for key in ("parameters", "tokens", "flops", "learning rate")
    }


def test_text_and_symbols_are_inverse_but_for_the_lumped_ones():
    assert tiny_models.text_of(tiny_models.symbols("\n ~aéπ")) == "\n ~a��"


def test_a_babble_is_drawn_one_character_at_a_time_from_what_stands_before():
    """A model that always writes the next letter of the alphabet."""

    def alphabet(ids):
        logits = torch.full((*ids.shape, tiny_models.SYMBOLS), -1e9)
        return SimpleNamespace(logits=logits.scatter(-1, (ids + 1)[..., None], 0.0))

    assert tiny_models.babble(alphabet, "a", 5) == "abcdef"
    with pytest.raises(ValueError, match="128"):
        tiny_models.babble(alphabet, "a", tiny_models.CONTEXT)


def test_a_babble_is_seeded_and_leaves_the_random_state_alone():
    model = tiny_models.make_model(16)
    before = torch.random.get_rng_state()
    assert tiny_models.babble(model, length=9) == tiny_models.babble(model, length=9)
    assert tiny_models.babble(model, length=9, seed=1) != tiny_models.babble(model, length=9)
    assert torch.equal(before, torch.random.get_rng_state())


def test_who_watches_a_run_does_not_change_it(rows):
    setting, seen = tiny_models.Setting(16, 24), []
    plain = tiny_models.run(setting, rows)
    watched = tiny_models.run(setting, rows, lambda step, model: seen.append((step, tiny_models.babble(model))))
    assert [step for step, _ in seen] == list(range(0, 25, 2)) and seen[-1][1] == watched["sample"]
    assert watched["loss"] == plain["loss"] and watched["sample"] == plain["sample"]


def test_an_interrupted_study_goes_on_and_repeats_nothing(tmp_path, monkeypatch):
    trained = []

    def run(setting, rows):
        trained.append(setting)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return {**vars(setting), "loss": 2.0}

    monkeypatch.setattr(study, "run", run)
    monkeypatch.setattr(study, "load_rows", lambda: None)
    monkeypatch.setattr(study, "grid", lambda: [tiny_models.Setting(16, steps) for steps in (1, 2, 3, 4)])
    with pytest.raises(KeyboardInterrupt):
        study.main(tmp_path / "log.json")
    study.main(tmp_path / "log.json")
    assert [s.steps for s in trained] == [1, 2, 3, 3, 4]
    assert [r["steps"] for r in logs.scaling(tmp_path / "log.json")] == [1, 2, 3, 4]
