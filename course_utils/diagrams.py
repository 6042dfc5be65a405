"""Drawings of mechanisms: boxes and arrows, rows of tokens, coloured blocks.

Notebooks call them as ``plots.diagram``, ``plots.tokens``, ``plots.blocks`` and ``plots.masks``. Sizes are inches.
Every box is made as wide as its text, so nothing overflows; what would overlap is refused.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from .style import ACCENT, DARK, GOLD, GREEN, HATCHES, PALE, PALETTE, SMALLEST, ink, show, visible

WIDEST = 10.2  # a page of 1280 pixels, less the margins of JupyterLab, at 100 dots an inch
PAD, GAP, LANE = 0.12, 0.36, 0.24  # inside a box, between boxes, room for an arrow that goes round
BOX = "#eef3f8"
KINDS = (PALE, DARK, GOLD, GREEN, ACCENT)  # fills of tokens: neighbours differ most in lightness
SIDES = ("over", "under", "left", "right", "bent")


@dataclass(frozen=True)
class Box:
    """A rectangle: its left, lower, right and upper edge."""

    left: float
    low: float
    right: float
    high: float

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.low + self.high) / 2

    def meets(self, other: Box) -> bool:
        """Whether the two share more than an edge."""
        slack = 1e-6
        across = min(self.right, other.right) - max(self.left, other.left)
        along = min(self.high, other.high) - max(self.low, other.low)
        return across > slack and along > slack

    def around(self, room: float) -> Box:
        return Box(self.left - room, self.low - room, self.right + room, self.high + room)


@dataclass
class Drawing:
    """A figure, and where its boxes, arrows and texts are: for the checks."""

    figure: Figure
    boxes: dict[str, Box] = field(default_factory=dict)
    frames: dict[str, Box] = field(default_factory=dict)
    paths: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    texts: list = field(default_factory=list)  # (matplotlib text, the Box it must stay in)


@dataclass(frozen=True)
class Arrow:
    """From one box to another; ``side`` is the way it goes round, or empty for straight."""

    start: str
    end: str
    label: str = ""
    side: str = ""

    def __str__(self) -> str:
        return f"{self.start} -> {self.end}"


def diagram(
    rows: Sequence[Sequence[str | None]],
    arrows: Sequence[str | tuple[str, ...]] = (),
    frames: Mapping[str, Sequence[str]] | None = None,
    colours: Mapping[str, str] | None = None,
    *,
    alt: str,
) -> None:
    """Draw boxes in rows and columns, and arrows between them.

    ``rows``: the labels as they stand on the page; ``None`` leaves a cell empty, a label in several
    neighbouring cells makes one large box. A label's first line is the box's name, in bold if more
    lines follow. "norm #2" is drawn as "norm": it tells two alike boxes apart.
    ``arrows``: "a -> b -> c", or ("a -> b", "label"), or ("a -> b", "label", side), where the side
    "over", "under", "left" or "right" goes round the boxes, and "bent" turns one corner.
    ``frames``: a title, and the names of the boxes it is drawn around.
    ``colours``: a box's name, and its fill.
    Raises a ValueError for unknown names, and where an arrow would cross a box.
    """
    show(draw_diagram(rows, arrows, frames, colours).figure, alt=alt)


def tokens(
    rows: Mapping[str, Sequence[str | tuple[str, str]]],
    colours: Mapping[str, str] | None = None,
    *,
    alt: str,
) -> None:
    """Draw rows of tokens, one cell per token, column under column.

    ``rows``: a row's name, and its tokens: a text, or (text, kind). Each kind gets a colour and an
    entry in the legend, in the order of their first use or of ``colours``. An empty text leaves a
    gap; a blank is drawn as ␣, a line break as ↵. Rows too long for the page go on below.
    """
    show(draw_tokens(rows, colours).figure, alt=alt)


def blocks(
    panels: Mapping[str, Mapping[str, Mapping[str, Sequence[int]]]],
    *,
    alt: str,
) -> None:
    """Draw what each device holds: panels of devices of bars, each bar cut into equal pieces.

    ``panels[title][device][part]`` is a list of 0 and 1: whether the device holds that piece of the
    part. A piece that it holds is filled with the part's colour; one that it lacks is an outline.
    """
    show(draw_blocks(panels).figure, alt=alt)


def masks(panels: Mapping[str, tuple[Sequence[str], Sequence[str], Sequence[Sequence]]], *, alt: str) -> None:
    """Draw attention masks: squares of who may look at what, dark where one may.

    ``panels``: a title, and (tokens that look, tokens that are looked at, mask). The mask has a row for
    each token that looks, and a column for each that is looked at: a tensor, an array or lists.
    """
    show(draw_masks(panels).figure, alt=alt)


# ---------------------------------------------------------------- boxes and arrows


def draw_diagram(rows, arrows=(), frames=None, colours=None) -> Drawing:
    """The drawing of :func:`diagram`, not shown."""
    labels, cells = _read_rows(rows)
    arrows = [arrow for item in arrows for arrow in _read_arrows(item)]
    frames, colours = dict(frames or {}), dict(colours or {})
    for what, names in [
        *((f"the arrow {arrow}", (arrow.start, arrow.end)) for arrow in arrows),
        *((f"the frame {title!r}", names) for title, names in frames.items()),
        ("colours", colours),
    ]:
        _known(what, names, cells)
    figure = _blank()
    for limit in (48, 36, 24, 18, 14, 10):  # characters per line, until the page is wide enough
        wrapped = {name: _wrapped(label, limit) for name, label in labels.items()}
        sizes = {name: _label_size(figure, lines) for name, lines in wrapped.items()}
        boxes, lanes, width, height = _place(figure, cells, sizes, arrows, frames)
        if width <= WIDEST:
            break
    else:
        raise ValueError(
            f"The drawing would be {width:.1f} inches wide, and a page has {WIDEST}: use shorter "
            "labels or fewer columns."
        )
    drawing = Drawing(figure, boxes)
    _start(drawing, width, height)
    for title, names in frames.items():
        _draw_frame(drawing, title, names)
    for name, box in boxes.items():
        _draw_box(drawing, box, wrapped[name], colours.get(name, BOX))
    straight = {(arrow.start, arrow.end) for arrow in arrows if not arrow.side}
    for number, arrow in enumerate(arrows):
        twin = (arrow.end, arrow.start) in straight and not arrow.side
        path = _path(arrow, boxes, lanes.get(number), twin)
        for name, box in boxes.items():
            if name not in (arrow.start, arrow.end) and _crosses(path, box.around(0.02)):
                raise ValueError(
                    f"The arrow {arrow} runs through the box {name!r}: give it a side, one of "
                    f"{', '.join(SIDES)}."
                )
        for other, there in drawing.paths.items():
            if _lie_on_each_other(path, there):
                raise ValueError(
                    f"The arrows {arrow} and {other.rpartition(' ')[0]} lie on each other: give one "
                    f"a side, one of {', '.join(SIDES)}."
                )
        drawing.paths[f"{arrow} {number}"] = path
    for arrow, path in zip(arrows, drawing.paths.values()):
        _draw_arrow(drawing, path, arrow)
    for title, frame in drawing.frames.items():
        _draw_title(drawing, title, frame)
    edges = [box for _, box in drawing.texts]  # a label may hang over the edge: the page grows
    _size(
        drawing, min(0, *(b.left for b in edges)), min(0, *(b.low for b in edges)),
        max(width, *(b.right for b in edges)), max(height, *(b.high for b in edges)),
    )  # fmt: skip
    return drawing


def _read_rows(rows):
    """Labels by name, and each name's cells as (first row, first column, last row, last column)."""
    labels, found = {}, {}
    for r, row in enumerate(rows):
        for c, label in enumerate(row):
            if label:
                name = label.split("\n")[0]
                if labels.setdefault(name, label) != label:
                    raise ValueError(f"Two different boxes are called {name!r}: add ' #2' to one.")
                found.setdefault(name, []).append((r, c))
    if not found:
        raise ValueError("A drawing needs at least one box.")
    cells = {}
    for name, places in found.items():
        (top, first), (bottom, last) = (
            [f(place[i] for place in places) for i in (0, 1)] for f in (min, max)
        )
        if len(places) != (bottom - top + 1) * (last - first + 1):
            raise ValueError(
                f"The box {name!r} stands in cells that form no rectangle, so it would overlap "
                "others: give each box a name of its own, as in 'norm #2'."
            )
        cells[name] = top, first, bottom, last
    return labels, cells


def _read_arrows(item) -> list[Arrow]:
    """The arrows of one entry: a chain, with or without a label and a side."""
    chain, label, side = (*((item,) if isinstance(item, str) else item), "", "")[:3]
    names = [name.strip() for name in chain.split("->")]
    if len(names) < 2 or not all(names):
        raise ValueError(f"An arrow is written 'a -> b', not {chain!r}.")
    if side and side not in SIDES:
        raise ValueError(f"The arrow {chain} has the side {side!r}; it may be {', '.join(SIDES)}.")
    return [Arrow(a, b, label, side or ("over" if a == b else "")) for a, b in zip(names, names[1:])]


def _known(what: str, names, cells) -> None:
    """Refuse a name that no box has."""
    for name in names:
        if name not in cells:
            raise ValueError(f"{what[0].upper()}{what[1:]} names {name!r}, and no box is called so; "
                             f"the boxes are {', '.join(map(repr, cells))}.")  # fmt: skip


def _wrapped(label: str, limit: int) -> list[str]:
    """The lines to draw; the first is the box's name, without ' #2'."""
    first, *rest = label.split("\n")
    kept = [first.split(" #")[0], *rest]
    lines = [textwrap.wrap(line, limit, break_on_hyphens=False) or [""] for line in kept]
    return ["\n".join(lines[0]), *(part for line in lines[1:] for part in line)]


def _label_size(figure, lines: list[str]) -> tuple[float, float]:
    """Width and height of a box's text: a name, bold over smaller lines if there are any."""
    title = _measure(figure, lines[0], 10, "bold" if lines[1:] else "normal")
    if not lines[1:]:
        return title
    rest = _measure(figure, "\n".join(lines[1:]), SMALLEST)
    return max(title[0], rest[0]), title[1] + 0.07 + rest[1]


def _place(figure, cells, sizes, arrows, frames):
    """Boxes by name, the lane of each arrow that goes round (by its number), width and height."""
    height_of, width_of = {}, {}
    for name, (top, first, bottom, last) in cells.items():
        width, height = sizes[name]
        height_of[top, bottom], width_of[first, last] = (
            max(height_of.get((top, bottom), 0.36), height + 2 * PAD),
            max(width_of.get((first, last), 0.8), width + 2 * PAD),
        )
    n_rows = 1 + max(cell[2] for cell in cells.values())
    n_columns = 1 + max(cell[3] for cell in cells.values())
    # the gaps before each row and column, and what frames take of them above, below, left and right
    above, left = [0.75 * GAP] * (n_rows + 1), [GAP] * (n_columns + 1)
    above[0] = above[-1] = left[0] = left[-1] = 0.1
    taken = {}
    for title, names in frames.items():
        top, first, bottom, last = _hull(cells, names)
        for gaps, side, index, room in (
            (above, "over", top, 0.42), (above, "under", bottom + 1, 0.16),
            (left, "left", first, 0.16), (left, "right", last + 1, 0.16),
        ):  # fmt: skip
            gaps[index] += room
            taken[side, index] = taken.get((side, index), 0) + room
        wide = _measure(figure, title, SMALLEST, "bold")[0] + 0.1
        wide *= 2 if first == last else 1  # an arrow up from its only column passes the title
        width_of[first, last] = max(width_of.get((first, last), 0), wide)
    lanes = {}
    for number, arrow in enumerate(arrows):
        width, height = _measure(figure, arrow.label, SMALLEST) if arrow.label else (0, 0)
        top, first, bottom, last = _hull(cells, (arrow.start, arrow.end))
        one, other = cells[arrow.start], cells[arrow.end]
        if arrow.side in ("over", "under", "left", "right"):
            index = {"over": top, "under": bottom + 1, "left": first, "right": last + 1}[arrow.side]
            gaps, room = (above, height) if arrow.side in ("over", "under") else (left, width)
            key, room = (arrow.side, index), LANE + (room + 0.06 if room else 0)
            lanes[number] = index, taken.get(key, 0) + LANE
            taken[key] = taken.get(key, 0) + room
            gaps[index] += room
        elif arrow.label and not arrow.side and one[0] <= other[2] and other[0] <= one[2]:
            index = max(one[1], other[1])
            edges = taken.get(("left", index), 0) + taken.get(("right", index), 0)
            left[index] = max(left[index], width + 0.3 + edges)
        elif arrow.label:
            index = max(one[0], other[0])
            edges = taken.get(("over", index), 0) + taken.get(("under", index), 0)
            above[index] = max(above[index], height + 0.3 + edges)
    widths, heights = _spans(width_of, n_columns, left), _spans(height_of, n_rows, above)
    starts = [sum(left[: c + 1]) + sum(widths[:c]) for c in range(n_columns + 1)]
    drops = [sum(above[: r + 1]) + sum(heights[:r]) for r in range(n_rows + 1)]
    total = drops[-1]
    boxes = {
        name: Box(
            starts[first], total - drops[bottom] - heights[bottom],
            starts[last] + widths[last], total - drops[top],
        ) for name, (top, first, bottom, last) in cells.items()
    }  # fmt: skip
    for number, (index, room) in lanes.items():
        lanes[number] = {
            "over": total - drops[index] + room,
            "under": total - drops[index] + above[index] - room,
            "left": starts[index] - room,
            "right": starts[index] - left[index] + room,
        }[arrows[number].side]
    return boxes, lanes, starts[-1], total


def _hull(cells, names) -> tuple[int, int, int, int]:
    """The smallest rectangle of cells that holds all the named boxes."""
    tops, firsts, bottoms, lasts = zip(*(cells[name] for name in names))
    return min(tops), min(firsts), max(bottoms), max(lasts)


def _spans(needed: dict[tuple[int, int], float], n: int, gaps: list[float]) -> list[float]:
    """Sizes of n columns (or rows) so that each span of them is as large as needed."""
    sizes = [needed.get((i, i), 0.0) for i in range(n)]
    for (first, last), size in sorted(needed.items(), key=lambda item: item[0][1] - item[0][0]):
        have = sum(sizes[first : last + 1]) + sum(gaps[first + 1 : last + 1])
        for i in range(first, last + 1):
            sizes[i] += max(0, size - have) / (last - first + 1)
    return sizes


def _path(arrow: Arrow, boxes, lane: float | None, twin: bool) -> list[tuple[float, float]]:
    """The corners an arrow passes. ``twin``: another straight one comes back; both move aside."""
    a, b = boxes[arrow.start], boxes[arrow.end]
    (ax, ay), (bx, by) = a.middle, b.middle
    if arrow.side in ("over", "under"):
        ends = [box.high if arrow.side == "over" else box.low for box in (a, b)]
        sign = 1 if bx > ax or a is b else -1
        out, back = ax + sign * _quarter(a, 0), bx - sign * _quarter(b, 0)
        if a is b:
            out, back = ax - _quarter(a, 0), ax + _quarter(a, 0)
        return [(out, ends[0]), (out, lane), (back, lane), (back, ends[1])]
    if arrow.side in ("left", "right"):
        ends = [box.left if arrow.side == "left" else box.right for box in (a, b)]
        sign = 1 if by > ay or a is b else -1
        out, back = ay + sign * _quarter(a, 1), by - sign * _quarter(b, 1)
        if a is b:
            out, back = ay + _quarter(a, 1), ay - _quarter(a, 1)
        return [(ends[0], out), (lane, out), (lane, back), (ends[1], back)]
    if arrow.side == "bent":  # sideways first; if a box stands there, upright first
        paths = (
            [(a.right if bx > ax else a.left, ay), (bx, ay), (bx, b.low if by > ay else b.high)],
            [(ax, a.high if by > ay else a.low), (ax, by), (b.left if bx > ax else b.right, by)],
        )
        others = [box for box in boxes.values() if box not in (a, b)]
        return paths[any(_crosses(paths[0], box) for box in others)]
    shift = 0.12 if twin else 0
    low, high = max(a.left, b.left), min(a.right, b.right)
    if high - low > 0.1:
        x = (low + high) / 2 + (shift if by > ay else -shift)
        return [(x, a.high if by > ay else a.low), (x, b.low if by > ay else b.high)]
    low, high = max(a.low, b.low), min(a.high, b.high)
    if high - low > 0.1:
        y = (low + high) / 2 + (shift if bx > ax else -shift)
        return [(a.right if bx > ax else a.left, y), (b.left if bx > ax else b.right, y)]
    # askew: from the middle of one's edge to the middle of the other's
    return [(ax, a.high if by > ay else a.low), (bx, b.low if by > ay else b.high)]


def _quarter(box: Box, axis: int) -> float:
    """How far from a side's middle an arrow that goes round leaves or arrives."""
    return min(0.3, (box.right - box.left, box.high - box.low)[axis] / 4)


def _crosses(path, box: Box) -> bool:
    """Whether a path of straight pieces passes through the box: each piece is looked at closely."""
    for (x0, y0), (x1, y1) in zip(path, path[1:]):
        for i in range(201):
            x, y = x0 + (x1 - x0) * i / 200, y0 + (y1 - y0) * i / 200
            if box.left < x < box.right and box.low < y < box.high:
                return True
    return False


def _lie_on_each_other(one, other) -> bool:
    """Whether two paths share a stretch of a line, not just a point."""
    for (ax, ay), (bx, by) in zip(one, one[1:]):
        for (cx, cy), (dx, dy) in zip(other, other[1:]):
            if ax == bx == cx == dx and min(max(ay, by), max(cy, dy)) - max(min(ay, by), min(cy, dy)) > 0.1:
                return True
            if ay == by == cy == dy and min(max(ax, bx), max(cx, dx)) - max(min(ax, bx), min(cx, dx)) > 0.1:
                return True
    return False


def _draw_frame(drawing: Drawing, title: str, names: Sequence[str]) -> None:
    inside = [drawing.boxes[name] for name in names]
    frame = Box(
        min(b.left for b in inside) - 0.14, min(b.low for b in inside) - 0.14,
        max(b.right for b in inside) + 0.14, max(b.high for b in inside) + 0.38,
    )  # fmt: skip
    for name, box in drawing.boxes.items():
        if name not in names and frame.meets(box):
            raise ValueError(f"The frame {title!r} covers the box {name!r}, which is not in it.")
    for other, there in drawing.frames.items():
        if frame.meets(there):
            raise ValueError(f"The frames {other!r} and {title!r} overlap.")
    drawing.frames[title] = frame
    _rectangle(drawing, frame, "#f7f7f7", "grey", linestyle="--")


def _draw_title(drawing: Drawing, title: str, frame: Box) -> None:
    """A frame's title: at its left, or where an arrow passes there, at its right."""
    width, height = _measure(drawing.figure, title, SMALLEST, "bold")
    top = frame.high - 0.1
    places = [
        Box(x, top - height, x + width, top)
        for x in (frame.left + 0.1, frame.right - 0.1 - width)
    ]
    clear = [p for p in places if not any(_crosses(path, p) for path in drawing.paths.values())]
    at = (clear or places)[0]
    text = drawing.figure.axes[0].text(
        at.left, top, title, fontsize=SMALLEST, weight="bold", va="top", zorder=4
    )
    drawing.texts.append((text, frame))


def _draw_box(drawing: Drawing, box: Box, lines: list[str], colour: str) -> None:
    _rectangle(drawing, box, colour, DARK)
    axis, (x, y), black = drawing.figure.axes[0], box.middle, ink(colour)
    style = {"ha": "center", "color": black, "linespacing": 1.15}
    if not lines[1:]:
        texts = [axis.text(x, y, lines[0], fontsize=10, va="center", **style)]
    else:
        height = _label_size(drawing.figure, lines)[1]
        rest = "\n".join(lines[1:])
        texts = [
            axis.text(x, y + height / 2, lines[0], fontsize=10, weight="bold", va="top", **style),
            axis.text(x, y - height / 2, rest, fontsize=SMALLEST, va="bottom", **style),
        ]
    drawing.texts += [(text, box) for text in texts]


def _rectangle(drawing: Drawing, box: Box, fill: str, edge: str, **style) -> None:
    drawing.figure.axes[0].add_patch(
        FancyBboxPatch(
            (box.left, box.low), box.right - box.left, box.high - box.low,
            boxstyle="round,pad=0,rounding_size=0.06", facecolor=fill, edgecolor=edge, **style,
        )
    )  # fmt: skip


def _draw_arrow(drawing: Drawing, path, arrow: Arrow) -> None:
    axis, label = drawing.figure.axes[0], arrow.label
    axis.plot(*zip(*path), color=DARK, linewidth=1.4, solid_capstyle="butt", zorder=3)
    axis.annotate(
        "", path[-1], path[-2], zorder=3,
        arrowprops={"arrowstyle": "-|>", "color": DARK, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    if not label:
        return
    width, height = _measure(drawing.figure, label, SMALLEST)
    pieces = list(zip(path, path[1:]))
    (x0, y0), (x1, y1) = max(pieces, key=lambda p: abs(p[0][0] - p[1][0]) + abs(p[0][1] - p[1][1]))
    if len(path) == 4:  # goes round: the label stands on the piece in the lane
        (x0, y0), (x1, y1) = path[1], path[2]
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    if abs(y1 - y0) > abs(x1 - x0):
        moves = [(0.08 + width / 2, 0), (-0.08 - width / 2, 0)]
    else:
        moves = [(0, 0.06 + height / 2), (0, -0.06 - height / 2)]
    # upright arrows down and level ones back have their label on the other side: so twins keep apart
    backwards = not arrow.side and (y1 < y0 or x1 < x0) and f"{arrow.end} -> {arrow.start}" in (
        name.rpartition(" ")[0] for name in drawing.paths
    )
    places = [
        Box(x + dx - width / 2, y + dy - height / 2, x + dx + width / 2, y + dy + height / 2)
        for dx, dy in (moves[::-1] if backwards or arrow.side in ("under", "left") else moves)
    ]
    free = [p for p in places if not any(p.meets(box) for box in drawing.boxes.values())]
    clear = [p for p in free if not any(_crosses(path, p) for path in drawing.paths.values())]
    if not clear:
        raise ValueError(f"The label {label!r} of an arrow finds no room: shorten it or use a side.")
    style = {"fontsize": SMALLEST, "ha": "center", "va": "center", "zorder": 4, "linespacing": 1.15}
    drawing.texts.append((axis.text(*clear[0].middle, label, **style), clear[0].around(0.05)))


# ---------------------------------------------------------------- rows of tokens


def draw_tokens(rows, colours=None) -> Drawing:
    """The drawing of :func:`tokens`, not shown."""
    if not rows or not any(rows.values()):
        raise ValueError("A drawing of tokens needs at least one row with a token in it.")
    figure = _blank()
    table = {
        name: [(_cell_text(cell), "") if isinstance(cell, str) else (_cell_text(cell[0]), cell[1])
               for cell in row] for name, row in rows.items()
    }  # fmt: skip
    given = dict(colours or {})
    kinds = dict.fromkeys([*given, *(kind for row in table.values() for _, kind in row if kind)])
    free = [fill for fill in KINDS if fill not in given.values()]
    if len(kinds) - len(given) > len(free):
        raise ValueError(f"{len(kinds)} kinds of tokens; {len(given) + len(free)} can be told apart.")
    fills = {"": "#ffffff", **dict(zip((k for k in kinds if k not in given), free)), **given}
    margin = 0.2 + max(_measure(figure, name, 10)[0] for name in table)
    columns = max(map(len, table.values()))
    widths = [
        max([0.32] + [_measure(figure, row[i][0], 10)[0] + 0.16 for row in table.values() if i < len(row)])
        for i in range(columns)
    ]  # fmt: skip
    lines, used = [[]], margin
    for i, width in enumerate(widths):
        if margin + width > WIDEST - 0.1:
            raise ValueError(f"A token of column {i} is wider than the page: shorten it.")
        if used + width > WIDEST - 0.1 and lines[-1]:
            lines.append([])
            used = margin
        lines[-1].append(i)
        used += width
    step, between = 0.42, 0.25
    legend = 0.4 if kinds else 0
    height = len(lines) * (len(table) * step + between) - between + legend + 0.1
    drawing = Drawing(figure)
    across = max(margin + sum(widths[i] for i in line) for line in lines) + 0.1
    entries = [(kind, 0.62 + _measure(figure, kind, SMALLEST)[0]) for kind in kinds]
    _start(drawing, max(across, 0.1 + sum(width for _, width in entries)), height)
    y = height
    for line in lines:
        for name, row in table.items():
            y -= step
            if any(i < len(row) and row[i][0] for i in line):
                figure.axes[0].text(margin - 0.1, y + step / 2, name, ha="right", va="center")
            x = margin
            for i in line:
                if i < len(row) and row[i][0]:
                    box = Box(x + 0.015, y + 0.04, x + widths[i] - 0.015, y + step - 0.04)
                    _cell(drawing, box, *row[i], fills[row[i][1]])
                x += widths[i]
        y -= between
    x = 0.1
    for kind, width in entries:
        _cell(drawing, Box(x, 0.06, x + 0.3, 0.26), "", kind, fills[kind])
        figure.axes[0].text(x + 0.38, 0.16, kind, fontsize=SMALLEST, va="center")
        x += width
    return drawing


def _cell_text(token: str) -> str:
    return visible(token) if token else ""


def _cell(drawing: Drawing, box: Box, text: str, kind: str, fill: str) -> None:
    axis = drawing.figure.axes[0]
    axis.add_patch(
        Rectangle((box.left, box.low), box.right - box.left, box.high - box.low,
                  facecolor=fill, edgecolor="grey", linewidth=0.8)
    )  # fmt: skip
    if text:
        drawn = axis.text(*box.middle, text, ha="center", va="center", color=ink(fill))
        drawing.texts.append((drawn, box))
        drawing.boxes[f"{len(drawing.boxes)} {text}"] = box


# ---------------------------------------------------------------- blocks


def draw_blocks(panels) -> Drawing:
    """The drawing of :func:`blocks`, not shown."""
    if not panels:
        raise ValueError("A drawing of blocks needs at least one panel.")
    parts = list(dict.fromkeys(p for devices in panels.values() for d in devices.values() for p in d))
    if len(parts) > len(PALETTE):
        raise ValueError(f"{len(parts)} parts; {len(PALETTE)} can be told apart.")
    figure, bar, piece = _blank(), 0.2, 0.2
    most = max(len(pieces) for devices in panels.values() for d in devices.values() for pieces in d.values())
    sizes = {
        title: [max(len(parts) * bar, _measure(figure, name, SMALLEST)[0]) for name in devices]
        for title, devices in panels.items()
    }  # fmt: skip
    wide = {
        title: max(sum(row) + 0.12 * (len(row) - 1), _measure(figure, title, 10, "bold")[0])
        for title, row in sizes.items()
    }
    lines, used = [[]], 0.2
    for title, width in wide.items():
        if width + 0.2 > WIDEST:
            raise ValueError(f"The panel {title!r} is wider than the page: use fewer devices.")
        if used + width > WIDEST and lines[-1]:
            lines.append([])
            used = 0.2
        lines[-1].append(title)
        used += width + 0.45
    each = -(-len(wide) // len(lines))  # as many on every line
    lines = [list(wide)[i : i + each] for i in range(0, len(wide), each)]
    total = max(sum(wide[title] + 0.45 for title in line) - 0.25 for line in lines)
    entries = [(part, 0.62 + _measure(figure, part, SMALLEST)[0]) for part in parts]
    tall = most * piece + 0.75  # a line: title, bars, names
    height = len(lines) * tall + 0.35
    drawing = Drawing(figure)
    _start(drawing, max(total, 0.1 + sum(width for _, width in entries)), height)
    axis = figure.axes[0]
    for row, line in enumerate(lines):
        x, top = 0.1, height - row * tall
        floor = top - 0.35 - most * piece
        for title in line:
            middle = x + wide[title] / 2
            axis.text(middle, top - 0.05, title, weight="bold", ha="center", va="top")
            at = x
            for (name, held), size in zip(panels[title].items(), sizes[title]):
                axis.text(at + size / 2, floor - 0.06, name, fontsize=SMALLEST, ha="center", va="top")
                bars = at + (size - len(parts) * bar) / 2
                right = bars + len(parts) * bar
                drawing.boxes[f"{title}, {name}"] = Box(bars, floor, right, floor + most * piece)
                for n, (part, colour, hatch) in enumerate(zip(parts, PALETTE, HATCHES)):
                    for m, has in enumerate(held.get(part, ())):
                        corner = bars + n * bar, floor + (most - 1 - m) * piece
                        _block(axis, corner, bar, colour if has else "none", hatch if has else "")
                at += size + 0.12
            x += wide[title] + 0.45
    x = 0.1
    for (part, width), colour, hatch in zip(entries, PALETTE, HATCHES):
        _block(axis, (x, 0.08), 0.3, colour, hatch)
        axis.text(x + 0.38, 0.18, part, fontsize=SMALLEST, va="center")
        x += width
    return drawing


def _block(axis, corner, width, fill, hatch) -> None:
    edge = "lightgrey" if fill == "none" else "black"
    axis.add_patch(
        Rectangle(corner, width, 0.2, facecolor=fill, hatch=hatch, edgecolor=edge, linewidth=0.7)
    )


# ---------------------------------------------------------------- masks


def draw_masks(panels) -> Drawing:
    """The drawing of :func:`masks`, not shown."""
    if not panels:
        raise ValueError("A drawing of masks needs at least one panel.")
    figure, cell, gap = _blank(), 0.32, 0.3
    sizes = {}
    for title, (rows, columns, mask) in panels.items():
        if len(mask) != len(rows) or any(len(row) != len(columns) for row in mask):
            raise ValueError(f"The mask of {title!r} needs {len(rows)} rows of {len(columns)}.")
        names = 0.1 + max(_measure(figure, name, 10)[0] for name in rows)
        sizes[title] = names, max(names + len(columns) * cell, _measure(figure, title, 10, "bold")[0])
    under = 0.1 + max(_measure(figure, name, 10)[0] for _, columns, _ in panels.values() for name in columns)
    head = 0.1 + max(_measure(figure, title, 10, "bold")[1] for title in panels)
    tall = cell * max(len(rows) for rows, _, _ in panels.values())
    entries = [("may look", DARK), ("may not", "#ffffff"), ("row: who looks; column: what is looked at", "")]
    width = gap * len(panels) + sum(wide for _, wide in sizes.values())
    legend = sum(0.62 + _measure(figure, words, SMALLEST)[0] for words, _ in entries)
    width = max(width, legend)
    if width > WIDEST:
        raise ValueError("The masks are wider than the page: use fewer panels or shorter tokens.")
    drawing = Drawing(figure)
    _start(drawing, width, head + tall + under + 0.5)
    axis, top, x = figure.axes[0], tall + under + 0.45, gap / 2
    for title, (rows, columns, mask) in panels.items():
        names, wide = sizes[title]
        axis.text(x + wide / 2, top + head, title, weight="bold", ha="center", ma="center", va="top")
        left = x + (wide - names - len(columns) * cell) / 2 + names
        for i, name in enumerate(rows):
            axis.text(left - 0.06, top - (i + 0.5) * cell, name, ha="right", va="center")
        for j, name in enumerate(columns):
            middle = left + (j + 0.5) * cell
            axis.text(middle, top - len(rows) * cell - 0.06, name, ha="center", va="top", rotation=90)
        for i, row in enumerate(mask):
            for j, looks in enumerate(row):
                corner = left + j * cell, top - (i + 1) * cell
                fill = DARK if looks else "#ffffff"
                axis.add_patch(Rectangle(corner, cell, cell, facecolor=fill, edgecolor="grey", linewidth=0.8))
        high = top - len(rows) * cell
        drawing.boxes[title] = Box(left, high, left + len(columns) * cell, top)
        x += wide + gap
    x = 0.1
    for words, fill in entries:
        if fill:
            axis.add_patch(Rectangle((x, 0.06), 0.2, 0.2, facecolor=fill, edgecolor="grey", linewidth=0.8))
        axis.text(x + (0.28 if fill else 0), 0.16, words, fontsize=SMALLEST, va="center")
        x += 0.62 + _measure(figure, words, SMALLEST)[0]
    return drawing


# ---------------------------------------------------------------- paper and ruler


def _blank() -> Figure:
    """A figure that pyplot does not know, so that no notebook shows it a second time."""
    figure = Figure(dpi=100, layout="none")
    FigureCanvasAgg(figure)
    return figure


def _start(drawing: Drawing, width: float, height: float) -> None:
    """Make the paper, one unit per inch."""
    drawing.figure.add_axes((0, 0, 1, 1)).axis("off")
    _size(drawing, 0, 0, width, height)


def _size(drawing: Drawing, left: float, low: float, right: float, high: float) -> None:
    drawing.figure.set_size_inches(right - left, high - low)
    drawing.figure.axes[0].set(xlim=(left, right), ylim=(low, high))


def _measure(figure: Figure, text: str, size: float, weight: str = "normal") -> tuple[float, float]:
    """Width and height of a text in inches, as the renderer will draw it."""
    drawn = figure.text(0, 0, text, fontsize=size, weight=weight, linespacing=1.15)
    box = drawn.get_window_extent(figure.canvas.get_renderer())
    drawn.remove()
    return box.width / figure.dpi, box.height / figure.dpi
