"""One look for every figure of the course, and the one way to show a figure.

Five colours, told apart by eyes that see no red or no green (tested), and always beside a second
sign: a marker, a dash, a hatch or a word.
"""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

DARK, PALE, ACCENT, GREEN, GOLD = "#1f4e79", "#b8c9d9", "#d9822b", "#3f9e7c", "#f0d25c"
PALETTE = (DARK, ACCENT, GREEN, PALE, GOLD)
HATCHES = ("", "//", "..", "xx", "\\\\")  # one beside each colour of the palette
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
SMALLEST = 9  # points: no text in a figure is smaller

plt.rcParams.update(
    {
        "font.size": 10,
        "axes.titlesize": 10,
        "legend.fontsize": SMALLEST,
        "xtick.labelsize": SMALLEST,
        "ytick.labelsize": SMALLEST,
        "axes.prop_cycle": plt.cycler(color=PALETTE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "image.cmap": "Greys",
        "legend.frameon": False,
    }
)


def show(figure: Figure | None = None, *, alt: str) -> None:
    """Show a figure (by default the current one) and store what it shows in words.

    ``alt``, one or two sentences, is saved with the picture twice: as the text that takes its place
    where pictures are not shown (a terminal, a reader of the file), and in the output's metadata,
    which nbconvert's classic template writes as the ``alt`` of the page. JupyterLab 4.6 reads
    neither, which is why a sentence under each picture says what one should see. Raises a
    ValueError if it is empty.
    """
    alt = " ".join(alt.split())
    if not alt:
        raise ValueError("A figure needs alt text: say in one or two sentences what is to be seen.")
    figure = figure or plt.gcf()
    picture = io.BytesIO()
    figure.savefig(
        picture, format="png", dpi="figure", bbox_inches="tight", metadata={"Software": None}
    )
    plt.close(figure)
    _display(picture.getvalue(), alt)


def _display(png: bytes, alt: str) -> None:
    """Into the notebook; outside one, a script prints the words."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(f"[figure] {alt}")
    else:
        data = {"image/png": png, "text/plain": f"[figure] {alt}"}
        display(data, metadata={"image/png": {"alt": alt}}, raw=True)


def ink(colour: str) -> str:
    """Black or white, whichever is easier to read on ``colour``."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 128 else "black"


def visible(text: str) -> str:
    """A token as one can see it: a line break as ↵, a blank alone as ␣; outer blanks go."""
    text = text.replace("\n", "↵")
    return text.strip() or "␣" * max(1, len(text))
