"""The drawings of the memory notebook show the numbers they are given."""

import pytest

from course_utils import memory, memory_figures, plots


@pytest.fixture
def shown(monkeypatch):
    """What the last drawing was asked to show: its data (or figure), and its words."""
    found = {}
    for name in ("blocks", "tokens", "diagram"):
        monkeypatch.setattr(plots, name, lambda *data, alt: found.update(data=data, alt=alt))
    monkeypatch.setattr(plots, "show", lambda figure, *, alt: found.update(data=figure, alt=alt))
    return found


def test_a_block_of_training_is_a_gigabyte(shown):
    memory_figures.training({"weights": 2e9, "gradients": 2e9, "Adam's moments": 4e9})
    panels = shown["data"][0]
    assert panels["to use it"] == {"2 GB": {"weights": [1, 1]}}
    assert panels["to train it"]["8 GB"]["Adam's moments"] == [1, 1, 1, 1]


def test_bars_end_at_the_sum_of_their_parts(shown):
    memory_figures.stacked({"predicted": {"weights": 1.0, "moments": 2.0}, "found": {"the process": 3.5}}, "GB")
    assert "predicted 3.00; found 3.50" in shown["alt"]
    (axis,) = shown["data"].axes
    assert [(bar.get_x(), bar.get_width()) for bar in axis.patches] == [(0, 1), (1, 2), (0, 3.5)]


def test_bits_of_two_and_a_half(shown):
    memory_figures.bits(2.5, [memory.FORMATS["BF16"]])
    row = [cell[0] for cell in shown["data"][0]["BF16"]]
    assert row == ["0", "10000000", "0100000"]  # 2^1 x 1.25
    assert shown["data"][0]["INT8"][2] == ("0000010", "whole number")  # halfway: to the even one


def test_each_format_has_its_range(shown):
    memory_figures.ranges(list(memory.FORMATS.values()))
    (axis,) = shown["data"].axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [*memory.FORMATS, "INT8"]
    assert len(axis.lines) == len(memory.FORMATS) + 1


def test_recipes_are_bytes_per_weight(shown):
    memory_figures.recipes({"mixed": {"weights": 2, "master": 4}})
    assert shown["data"][0] == {"mixed": {"one weight": {"weights": [1, 1], "master": [1] * 4}}}
    assert "together 6" in shown["alt"]


def test_every_rank_of_ddp_is_drawn(shown):
    memory_figures.data_parallel(3)
    rows, arrows = shown["data"]
    assert [label.split("\n")[0] for label in rows[1]] == ["GPU 0", "GPU 1", "GPU 2"]
    assert len(arrows) == 4


def test_the_stages_hold_what_the_formula_says(shown):
    memory_figures.stages(4)
    for stage, gpus in enumerate(shown["data"][0].values()):
        formula = memory.zero_bytes(4, 4, stage)  # four weights: one a piece
        for held in gpus.values():
            assert 4 * sum(held["weights"]) == formula["weights"]
            assert 4 * sum(held["gradients"]) == formula["gradients"]
            assert 8 * sum(held["moments"]) == formula["optimizer"]


def test_at_stage_3_only_the_running_layer_is_whole(shown):
    memory_figures.gathering(2)
    panels = shown["data"][0]
    assert panels["between steps"]["GPU 1"] == {"layer 1": [0, 1], "layer 2": [0, 1]}
    assert panels["layer 2 runs"]["GPU 1"] == {"layer 1": [0, 1], "layer 2": [1, 1]}


def test_drawings_fit_the_page(capsys):
    memory_figures.training(memory.training_bytes(1e9))
    memory_figures.data_parallel()
    memory_figures.stages()
    memory_figures.gathering()
    assert capsys.readouterr().out.count("[figure]") == 4
