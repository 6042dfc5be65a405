"""Figures: alt text is stored, colours can be told apart, every notebook goes through one way."""

import itertools
import math
import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_utils import notebooks, plots, style
from course_utils.metrics import Interval

COURSE = notebooks.find_notebooks()


@pytest.fixture
def shown(monkeypatch):
    """What was shown: a list of (png, alt)."""
    found = []
    monkeypatch.setattr(style, "_display", lambda png, alt: found.append((png, alt)))
    return found


def test_show_stores_the_picture_and_the_words_and_closes_the_figure(monkeypatch):
    displayed = []
    plt.close("all")  # what other tests have left open
    plt.plot([1, 2])
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda data, **kw: displayed.append((data, kw)))
    plots.show(alt="A line that\n  rises.")
    [(data, options)] = displayed
    assert data["text/plain"] == "[figure] A line that rises."
    assert data["image/png"].startswith(b"\x89PNG") and options["raw"]
    assert options["metadata"] == {"image/png": {"alt": "A line that rises."}}
    assert not plt.get_fignums()


def test_the_alt_text_is_in_the_saved_notebook(tmp_path):
    import nbformat

    path = tmp_path / "small.ipynb"
    source = "from course_utils import plots\nplots.diagram([['a', 'b']], ['a -> b'], alt='An arrow.')"
    cell = nbformat.v4.new_code_cell(source)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    notebooks.refresh(path)
    [output] = notebooks.read(path).cells[0].outputs
    assert output.metadata["image/png"]["alt"] == "An arrow."
    assert output.data["text/plain"] == "[figure] An arrow." and output.data["image/png"]


def test_a_script_prints_the_words(capsys):
    plots.diagram([["a"]], alt="One box.")
    assert capsys.readouterr().out == "[figure] One box.\n"


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_words_is_refused(alt):
    with pytest.raises(ValueError, match="needs alt text"):
        plots.show(plt.figure(), alt=alt)
    plt.close("all")


def test_the_same_figure_gives_the_same_bytes(shown):
    for _ in range(2):
        plots.diagram([["a", "b"]], ["a -> b"], alt="An arrow.")
    assert shown[0] == shown[1]


def test_helpers_say_their_numbers(shown):
    plots.forest({"model": Interval(0.5, 0.4, 0.6, 10, "dialogue", 0.0)}, "score")
    grid = {(t, 1.0): {"ROUGE": Interval(t / 10, 0, 0.3, 5, "dialogue", 0.5)} for t in (1.0, 2.0)}
    plots.grid_lines(grid, [1.0, 2.0], [1.0])
    tokenizer = SimpleNamespace(decode=lambda ids: f" w{ids[0]}")
    plots.next_words([torch.tensor([0.0, 3.0, 1.0])], tokenizer, ["'x'"], count=3)
    assert "model" in shown[0][1] and "0.50" in shown[0][1]
    assert "ROUGE from 0.10 to 0.20" in shown[1][1]
    assert "'w1' has 0.84" in shown[2][1]  # e³ / (1 + e³ + e)


# Machado, Oliveira and Fernandes 2009, severity 1: what a colour looks like without one kind of cone.
SEEN = {
    "all cones": np.eye(3),
    "no green cones": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "no red cones": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
}  # fmt: skip


def lab(colour: str, seen) -> np.ndarray:
    """CIELAB of a colour as those eyes see it."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(seen @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_can_be_told_apart(eyes):
    """A difference of 2 is just seen; ours are ten times that."""
    for one, other in itertools.combinations(style.PALETTE, 2):
        assert np.linalg.norm(lab(one, SEEN[eyes]) - lab(other, SEEN[eyes])) > 20, (one, other)


def test_the_measure_of_colours_knows_a_bad_pair():
    red, green = "#b04040", "#6b7a2a"
    near, far = (np.linalg.norm(lab(red, SEEN[e]) - lab(green, SEEN[e])) for e in ("no green cones", "all cones"))
    assert near < 20 < far


def test_no_letter_is_smaller_than_nine_points():
    sizes = [plt.rcParams[f"{what}.labelsize"] for what in ("xtick", "ytick")]
    assert min(*sizes, plt.rcParams["legend.fontsize"], plt.rcParams["font.size"]) >= 9


# ---------------------------------------------------------------- the notebooks

DRAWS = re.compile(r"\bplt\.(?:figure|subplots|plot|bar|barh|imshow|errorbar|loglog|semilogx)\(")
SHOWS = re.compile(r"\bplots\.(?:show|diagram|tokens|blocks|forest|next_words|grid_lines)\(")


def cells(path, kind="code"):
    return [cell for cell in notebooks.read(path).cells if cell.cell_type == kind]


@pytest.mark.parametrize("path", COURSE, ids=lambda p: p.name)
def test_every_figure_goes_through_plots_with_its_words(path):
    for cell in cells(path):
        assert "plt.show(" not in cell.source, cell.id
        assert not DRAWS.search(cell.source) or SHOWS.search(cell.source), cell.id
        for call in ("plots.show(", "plots.diagram(", "plots.tokens(", "plots.blocks("):
            # A drawing of `pictures` brings its words along: plots refuses one without.
            said = cell.source.count("alt=") + cell.source.count(f"{call}**pictures.")
            assert cell.source.count(call) <= said, (cell.id, call)


@pytest.mark.parametrize("path", COURSE, ids=lambda p: p.name)
def test_notebooks_ask_plots_only_for_what_it_has(path):
    for cell in cells(path):
        for name in re.findall(r"\bplots\.(\w+)", cell.source):
            assert name in plots.__all__, (cell.id, name)


@pytest.mark.parametrize("path", COURSE, ids=lambda p: p.name)
def test_no_notebook_makes_letters_smaller_than_nine_points(path):
    for cell in cells(path):
        sizes = re.findall(r"(?:fontsize|labelsize)=([\d.]+)", cell.source)
        assert all(float(size) >= 9 for size in sizes), cell.id


@pytest.mark.parametrize("path", COURSE, ids=lambda p: p.name)
def test_every_saved_picture_carries_its_words(path):
    """Holds from the first refresh on after which the notebook stores words at all."""
    outputs = [output for cell in cells(path) for output in cell.outputs if "image/png" in output.get("data", {})]
    words = [output.metadata.get("image/png", {}).get("alt", "") for output in outputs]
    if any(words):
        assert all(words)
        assert all(output.data["text/plain"] == f"[figure] {alt}" for output, alt in zip(outputs, words))


@pytest.fixture
def drawn(monkeypatch):
    """Figures that plots would show, with their words."""
    found = []
    monkeypatch.setattr(plots, "show", lambda figure=None, *, alt: found.append((figure, alt)))
    return found


def test_forest_shows_differences_around_zero_with_room_at_both_ends(drawn):
    rows = {"better": Interval(0.1, 0.05, 0.15, 9, "dialogue", 0.01), "worse": Interval(-0.3, -0.5, -0.1, 9, "dialogue", 0.01)}
    plots.forest(rows, "difference", matters=0.02)
    (figure, alt), = drawn
    axis = figure.axes[0]
    assert axis.get_xlim()[0] < -0.5 and axis.get_xlim()[1] > 0.15
    assert min(axis.get_ylim()) < 0 and max(axis.get_ylim()) > 1  # no row on the frame
    assert [t.get_text() for t in axis.get_yticklabels()] == ["better", "worse"]
    assert {t.get_text() for t in axis.texts} == {"+0.10", "-0.30"}
    assert "-0.30 [-0.50, -0.10]" in alt and "0.02" in alt
    assert any(set(line.get_xdata()) == {0} for line in axis.lines)  # the line at 0


def test_a_score_of_nearly_zero_is_written_without_a_sign(shown):
    rows = {"bad": Interval(0.003, -0.002, 0.02, 12, "dialogue", 0.5), "good": Interval(0.3, 0.2, 0.4, 12, "dialogue", 0.0)}
    plots.forest(rows, "score")
    assert "good 0.30" in shown[0][1] and "+" not in shown[0][1]


def test_forest_numbers_a_score_whose_limits_lie_just_below_zero(drawn):
    rows = {"bad": Interval(-0.001, -0.002, -0.0005, 12, "pair", 0.5), "good": Interval(0.3, 0.2, 0.4, 12, "pair", 0.0)}
    plots.forest(rows, "score")
    axis = drawn[0][0].axes[0]
    assert all(axis.get_xlim()[0] <= number.xy[0] <= axis.get_xlim()[1] for number in axis.texts)


def test_forest_draws_infinite_limits_and_refuses_nothing(drawn):
    plots.forest({"one": Interval(3.0, -math.inf, math.inf, 1, "word", 1.0), "two": Interval(2.0, 1.0, 3.0, 9, "word", 0.0)}, "words")
    figure, _ = drawn[0]
    assert all(np.isfinite(line.get_xdata()).all() for line in figure.axes[0].lines)
    with pytest.raises(ValueError, match="no interval"):
        plots.forest({}, "words")
    with pytest.raises(ValueError, match="no row 'three'"):
        plots.forest({"one": Interval(1.0, 0.5, 1.5, 9, "word", 0.0)}, "words", baseline="three")


def test_magnitudes_write_each_number_beside_its_dot(drawn):
    plots.magnitudes({"tune": 0.034, "serve": 18.7, "train": 13091.2}, "hours", diamonds=["serve"])
    figure, alt = drawn[-1]
    assert alt == "hours: tune 0.034; serve 19; train 13,091."
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts] == ["0.034", "19", "13,091"]
    assert [line.get_marker() for line in axis.lines] == ["o", "D", "o"]
    assert axis.get_xscale() == "log" and axis.yaxis_inverted()


@pytest.mark.parametrize(
    "values, diamonds, words",
    [({}, [], "at least one"), ({"a": 0.0}, [], "above 0"), ({"a": 1.0}, ["b"], "no row 'b'")],
)
def test_magnitudes_refuse_what_has_no_logarithm(values, diamonds, words):
    with pytest.raises(ValueError, match=words):
        plots.magnitudes(values, "hours", diamonds)


def test_training_draws_every_run_on_one_scale(drawn):
    from course_utils.finetune import Step

    def run(*losses, looked):
        return [Step(i, loss, 1e-4, 1.0, 10, 1.0, validation=looked.get(i)) for i, loss in enumerate(losses)]

    runs = {"few": run(3.0, 1.0, looked={1: 4.0}), "unlooked": run(2.0, looked={})}
    plots.training(runs, before=3.5)
    figure, alt = drawn[-1]
    few, unlooked = figure.axes
    assert few.get_ylim() == unlooked.get_ylim() and few.get_ylim()[0] == 0 and few.get_ylim()[1] > 4
    dots, squares = few.lines
    assert [*dots.get_xdata()] == [1, 2] and [*dots.get_ydata()] == [3.0, 1.0]
    assert [*squares.get_xdata()] == [0, 2] and [*squares.get_ydata()] == [3.5, 4.0]
    assert alt.endswith("few: training 3.00 to 1.00, validation 3.50 to 4.00; unlooked: training 2.00 to 2.00, validation 3.50.")
    for nothing in ({}, {"few": []}):
        with pytest.raises(ValueError, match="nothing to draw"):
            plots.training(nothing, before=3.5)
