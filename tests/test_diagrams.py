"""Drawings: every text stays in its box, no boxes overlap, no arrow crosses a box."""

import itertools

import pytest
from matplotlib.colors import to_rgba

from course_utils import diagrams

STACK = [["output"], ["norm #2"], ["feed-forward"], ["norm"], ["self-attention\nevery token reads every token"]]
FRAMED = {
    "rows": [["x", "encoder", "decoder", "y"], [None, "a", "b", None]],
    "arrows": ["x -> encoder -> decoder -> y", ("a -> encoder", "keys"), ("b -> b", "again", "under")],
    "frames": {"both halves": ["encoder", "decoder", "a", "b"]},
}


def inside(drawing, text, box) -> bool:
    """Whether a drawn text lies in its box, measured by the renderer."""
    drawn = text.get_window_extent(drawing.figure.canvas.get_renderer())
    found = drawing.figure.axes[0].transData.inverted().transform(drawn)
    (left, low), (right, high) = found
    slack = 0.02
    return (
        left > box.left - slack and right < box.right + slack
        and low > box.low - slack and high < box.high + slack
    )  # fmt: skip


def in_order(drawing) -> None:
    assert all(inside(drawing, text, box) for text, box in drawing.texts)
    assert not any(a.meets(b) for a, b in itertools.combinations(drawing.boxes.values(), 2))
    (left, right), (low, high) = drawing.figure.axes[0].get_xlim(), drawing.figure.axes[0].get_ylim()
    assert tuple(drawing.figure.get_size_inches()) == pytest.approx((right - left, high - low))
    assert right - left <= diagrams.WIDEST
    page = diagrams.Box(left, low, right, high)
    assert all(inside(drawing, text, page) for text in drawing.figure.axes[0].texts)
    assert all(text.get_fontsize() >= 9 for text in drawing.figure.axes[0].texts)


@pytest.mark.parametrize("rows", [STACK, [list("abcdefgh")], [["one", "two"], ["wide", "wide"]]])
def test_texts_stay_in_boxes_that_do_not_overlap(rows):
    in_order(diagrams.draw_diagram(rows))


def test_frames_loops_and_labels_keep_clear_of_each_other():
    in_order(diagrams.draw_diagram(**FRAMED))


def test_a_long_label_is_wrapped_and_widens_its_box():
    long = "a box\nwith a long explanation that would never fit on one line of it, however small"
    drawing = diagrams.draw_diagram([[long, *"bcdefgh"]])
    in_order(drawing)
    assert len(drawing.texts[1][0].get_text().splitlines()) > 2
    assert drawing.boxes["a box"].right - drawing.boxes["a box"].left > 1


def test_the_check_of_texts_can_fail():
    drawing = diagrams.draw_diagram([["short"]])
    drawing.texts[0][0].set_text("much too long for the box it stands in")
    assert not inside(drawing, *drawing.texts[0])


def test_boxes_stand_as_the_rows_do():
    boxes = diagrams.draw_diagram([["a", "b"], ["wide", "wide"]]).boxes
    assert boxes["a"].right < boxes["b"].left and boxes["wide"].high < boxes["a"].low
    assert (boxes["wide"].left, boxes["wide"].right) == (boxes["a"].left, boxes["b"].right)


def test_arrows_begin_and_end_at_the_edges_of_their_boxes():
    drawing = diagrams.draw_diagram([["a", "b"], ["c", None]], ["a -> b", "a -> c"])
    (x0, y0), (x1, y1) = drawing.paths["a -> b 0"]
    assert (x0, x1) == (drawing.boxes["a"].right, drawing.boxes["b"].left) and y0 == y1
    (x0, y0), (x1, y1) = drawing.paths["a -> c 1"]
    assert (y0, y1) == (drawing.boxes["a"].low, drawing.boxes["c"].high) and x0 == x1


def test_two_arrows_between_the_same_boxes_do_not_lie_on_each_other():
    paths = diagrams.draw_diagram([["a"], ["b"]], [("a -> b", "ask"), ("b -> a", "tell")]).paths
    assert abs(paths["a -> b 0"][0][0] - paths["b -> a 1"][0][0]) > 0.15


def test_no_label_is_crossed_by_an_arrow():
    arrows = [("a -> b", "a long word"), ("b -> a", "another one"), ("a -> c", "third"), ("c -> a", "fourth")]
    drawing = diagrams.draw_diagram([["a", "c"], ["b", None]], arrows)
    in_order(drawing)
    labels = [box for text, box in drawing.texts if text.get_text() not in "abc"]
    assert len(labels) == 4
    assert not any(diagrams._crosses(path, box.around(-0.05)) for path in drawing.paths.values() for box in labels)


@pytest.mark.parametrize("side", ["over", "under", "left", "right"])
def test_an_arrow_that_goes_round_crosses_no_box(side):
    rows = [["a", "b", "c"]] if side in ("over", "under") else [["a"], ["b"], ["c"]]
    drawing = diagrams.draw_diagram(rows, ["a -> b -> c", ("c -> a", "once more", side)])
    in_order(drawing)
    assert not diagrams._crosses(drawing.paths["c -> a 2"], drawing.boxes["b"])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (([["a", "b"]], ["a -> x"]), "names 'x', and no box is called so; the boxes are 'a', 'b'"),
        (([["a", "b"]], [], {"all": ["a", "z"]}), "The frame 'all' names 'z'"),
        (([["a", "b"]], [], {}, {"q": "#ffffff"}), "Colours names 'q'"),
        (([["a", "b", "c"]], ["a -> c"]), "The arrow a -> c runs through the box 'b'"),
        (([["a", "b", "a"]],), "The box 'a' stands in cells that form no rectangle"),
        (([["a\none", "a\ntwo"]],), "Two different boxes are called 'a'"),
        (([["a", "b", "c"]], [], {"ends": ["a", "c"]}), "covers the box 'b'"),
        (([["a", "b", "c"]], [], {"one": ["a", "b"], "two": ["b", "c"]}), "overlap"),
        (([["a", "b"]], ["a -> b", "a -> b"]), "The arrows a -> b and a -> b lie on each other"),
        (([["a", "b"]], ["a, b"]), "An arrow is written 'a -> b'"),
        (([["a", "b"]], [("a -> b", "", "behind")]), "has the side 'behind'"),
        (([[None]],), "at least one box"),
        (([["many letters without a break " * 2] + [f"another long label {i}" for i in range(14)]],), "use shorter"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_in_a_sentence(arguments, words):
    with pytest.raises(ValueError, match=words):
        diagrams.draw_diagram(*arguments)


# ---------------------------------------------------------------- tokens and blocks


def test_tokens_stand_under_each_other_and_long_rows_go_on_below():
    words = [(f"token{i}", "scored" if i % 2 else "read") for i in range(40)]
    drawing = diagrams.draw_tokens({"read": words, "label": [word for word, _ in words]})
    in_order(drawing)
    boxes = list(drawing.boxes.values())
    first_line = {round(box.left, 3) for box in boxes if box.low > boxes[0].low - 0.5}
    assert len(boxes) == 80 and 5 < len(first_line) < 40  # both rows in the same columns
    assert len({round(box.low, 2) for box in boxes}) > 2  # more lines than rows


def test_blanks_and_line_breaks_are_made_visible():
    drawing = diagrams.draw_tokens({"row": [" ", "\n", "a", ""]})
    assert [text.get_text() for text, _ in drawing.texts] == ["␣", "↵", "a"]


def test_each_kind_of_token_has_its_colour_and_stands_in_the_legend():
    drawing = diagrams.draw_tokens({"row": [("a", "read"), ("b", "scored")]})
    fills = [patch.get_facecolor() for patch in drawing.figure.axes[0].patches]
    assert fills[0] != fills[1] and fills[2:] == fills[:2]
    assert {"read", "scored"} <= {text.get_text() for text in drawing.figure.axes[0].texts}


def test_colours_that_are_given_are_kept_and_no_other_kind_gets_them():
    rows = {"row": [("a", "read"), ("b", "scored")]}
    drawing = diagrams.draw_tokens(rows, {"scored": diagrams.PALE})
    read, scored = [patch.get_facecolor() for patch in drawing.figure.axes[0].patches][:2]
    assert scored == to_rgba(diagrams.PALE) and read == to_rgba(diagrams.DARK)


def test_too_many_kinds_and_empty_rows_are_refused():
    with pytest.raises(ValueError, match="kinds"):
        diagrams.draw_tokens({"row": [("a", f"kind {i}") for i in range(9)]})
    with pytest.raises(ValueError, match="6 kinds of tokens; 5 can be told apart"):
        diagrams.draw_tokens({"row": [("a", f"kind {i}") for i in range(6)]}, {"kind 0": diagrams.GOLD})
    with pytest.raises(ValueError, match="at least one row"):
        diagrams.draw_tokens({})


def test_blocks_fill_what_a_device_holds():
    panels = {"shared": {"GPU 0": {"weights": [1, 0]}, "GPU 1": {"weights": [0, 1]}}}
    drawing = diagrams.draw_blocks(panels)
    in_order(drawing)
    filled = [patch.get_facecolor()[3] > 0 for patch in drawing.figure.axes[0].patches]
    assert filled == [True, False, False, True, True]  # the last one is the legend's


def test_panels_that_do_not_fit_beside_each_other_are_shared_out_over_lines():
    gpu = {f"GPU {g}": {"weights": [1], "gradients": [1], "moments": [1]} for g in range(4)}
    drawing = diagrams.draw_blocks({f"stage {i}": gpu for i in range(4)})
    in_order(drawing)
    assert len({box.low for box in drawing.boxes.values()}) == 2


# ---------------------------------------------------------------- masks

WORDS = ["the", "cat", "sat"]
TRIANGLE = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_a_mask_is_dark_where_one_may_look():
    drawing = diagrams.draw_masks({"a decoder": (WORDS, WORDS, TRIANGLE), "two read one": (WORDS[:2], WORDS[:1], [[1], [1]])})
    in_order(drawing)
    cells = drawing.figure.axes[0].patches[:9]
    dark = [cell.get_facecolor() == to_rgba(diagrams.DARK) for cell in cells]
    assert dark == [True, False, False, True, True, False, True, True, True]
    tops = [cell.get_y() for cell in cells]
    assert tops[0] == tops[2] > tops[3] > tops[6]  # the first row of the mask is the highest


def test_masks_that_do_not_fit_their_tokens_are_refused():
    with pytest.raises(ValueError, match="needs 3 rows of 2"):
        diagrams.draw_masks({"m": (WORDS, WORDS[:2], TRIANGLE)})
    with pytest.raises(ValueError, match="wider than the page"):
        diagrams.draw_masks({f"mask {n}": (WORDS, WORDS, TRIANGLE) for n in range(9)})
    with pytest.raises(ValueError, match="at least one"):
        diagrams.draw_masks({})
