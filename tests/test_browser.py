"""JupyterLab in Chromium: what a learner sees and touches, from `make lab` in a fresh copy.

Pictures of what was seen are kept in the test's folder (pytest keeps the last three runs).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import chromium
import nbformat
import psutil
import pytest

from course_utils import notebooks

ROOT = Path(__file__).parents[1]
if chromium.MISSING:
    pytest.skip("; ".join(chromium.MISSING), allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
BOOKS = [p.relative_to(ROOT).as_posix() for p in notebooks.find_notebooks(ROOT)]
SIZE = {"width": 1280, "height": 900}
MINUTE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab as `make lab` starts it, on a free port, with nobody's settings: its address and token."""
    home = tmp_path_factory.mktemp("lab")
    for name in ("week1", "week2", "week3"):
        shutil.copytree(ROOT / name, home / "course" / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copy(ROOT / "Makefile", home / "course")
    told = {"ServerApp": {"open_browser": False, "port": 0}, "LabApp": {"expose_app_in_browser": True}}
    (home / "config").mkdir()
    (home / "config" / "jupyter_lab_config.json").write_text(json.dumps(told))
    own = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "COURSE_RECORD": "record",
    }  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    environment |= {name: str(home / folder) for name, folder in own.items()}
    command = ["make", "lab", "-o", "setup", f"BIN={Path(sys.executable).parent}"]
    with open(home / "log", "w") as log:
        made = subprocess.Popen(
            command, cwd=home / "course", env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        found = until(lambda: next((home / "runtime").glob("jpserver-*.json"), None), made, home / "log")
        server = json.loads(found.read_text())
        yield server | {"folder": home / "course", "runtime": home / "runtime"}
    finally:
        started = psutil.Process(made.pid).children(recursive=True)
        os.killpg(made.pid, signal.SIGTERM)  # the server ends its kernels
        for process in psutil.wait_procs(started, timeout=30)[1]:
            process.kill()
        made.wait(30)


def until(found, process, log, seconds=60):
    """What ``found()`` returns once it is something, while the process lives."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=chromium.FOUND, ignore_default_args=["--hide-scrollbars"])
        yield window
        window.close()


@pytest.fixture
def book(lab, browser, tmp_path):
    """A window of 1280 × 900 in which ``book.open(path)`` opens a notebook. Nothing it asks for may be elsewhere."""
    context = browser.new_context(viewport=SIZE)
    # A page fills its cells when it has time, at the latest every three seconds; a browser that knows
    # no such time (Safari) fills them at once, and JupyterLab is ready for it.
    context.add_init_script("window.requestIdleCallback = undefined")
    page = context.new_page()
    abroad, broken = [], []
    page.on("request", lambda r: abroad.append(r.url) if r.url.startswith(("http", "ws")) and "://127.0.0.1:" not in r.url else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield Book(page, lab, tmp_path)
    page.evaluate("() => window.jupyterapp?.serviceManager.sessions.shutdownAll()")  # its kernel would go on
    context.close()
    assert not abroad and not broken, (abroad, broken)


# What the page knows of itself: the cells of the notebook in front.
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map((w, i) => ({
  id: w.model.id, type: w.model.type, source: w.model.sharedModel.getSource(),
  count: w.model.executionCount || null, hidden: w.isHidden,
  tags: w.model.getMetadata('tags') || [], folded: !!w.model.getMetadata('jp-MarkdownHeadingCollapsed'),
  outputs: w.model.outputs ? w.model.outputs.toJSON() : [] }))"""
READY = """() => { const p = window.jupyterapp?.shell.currentWidget;
  return p?.context?.isReady && p.context.path === PATH && p.sessionContext.session?.kernel?.status === 'idle'
    && p.content.widgets.every(w => w.node.isConnected); }"""
BUSY = """() => window.jupyterapp.shell.currentWidget.content.widgets.some(w => w.promptNode?.textContent.includes('*'))"""
# From the first window to the last: by how many pixels each cell's code is too wide.
WIDE = """async () => {
  const panel = window.jupyterapp.shell.currentWidget.content, outer = panel.outerNode, over = {};
  const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const left = () => panel.widgets.filter(cell => cell.model.type === 'code' && !(cell.model.id in over));
  let rounds = 0;
  for (outer.scrollTop = 0; left().length && rounds < 30; outer.scrollTop += outer.clientHeight / 2) {
    await drawn();
    for (const cell of left()) {
      const box = cell.node.getBoundingClientRect(), lines = cell.node.querySelector('.jp-InputArea-editor .cm-scroller');
      if (lines?.clientWidth && box.bottom > 0 && box.top < window.innerHeight)
        over[cell.model.id] = lines.scrollWidth - lines.clientWidth;
    }
    if (outer.scrollTop + outer.clientHeight >= outer.scrollHeight - 1 && left().length) {
      outer.scrollTop = 0;
      rounds += 1;
    }
  }
  return over;
}"""
FRONT = ".jp-NotebookPanel:not(.lm-mod-hidden)"


class Book:
    """A notebook in JupyterLab, as a person has it before them."""

    def __init__(self, page, lab, folder):
        self.page, self.lab, self.folder, self.taken = page, lab, folder, 0

    def open(self, path: str):
        self.page.goto(f"{self.lab['url']}lab/tree/{path}?reset&token={self.lab['token']}")
        self.page.wait_for_function(READY.replace("PATH", json.dumps(path)), timeout=3 * MINUTE)
        return self

    def cells(self) -> list[dict]:
        return self.page.evaluate(CELLS)

    def cell(self, id: str):
        """The cell of that id on the page."""
        places = {cell["id"]: place for place, cell in enumerate(self.cells())}
        return self.page.locator(f'{FRONT} .jp-Cell[data-windowed-list-index="{places[id]}"]')

    def choose(self, menu: str, entry: str):
        self.page.locator(".lm-MenuBar-item", has_text=re.compile(f"^{menu}$")).click()
        self.page.locator(".lm-Menu-item", has=self.page.get_by_text(entry, exact=True)).click()

    def unfold(self, id: str):
        """Click "… cells hidden" under the heading."""
        self.cell(id).locator(".jp-showHiddenCellsButton").click()

    def show(self, id: str):
        """Scroll to the cell, out of the folded section that may hide it."""
        cells = self.cells()
        place = next(place for place, cell in enumerate(cells) if cell["id"] == id)
        if cells[place]["hidden"]:
            self.unfold(next(cell["id"] for cell in reversed(cells[:place]) if cell["folded"]))
        self.cell(id).scroll_into_view_if_needed()
        return self.cell(id)

    def type(self, id: str, old: str, new: str):
        """Put the cursor into the line that holds ``old``, select it, type ``new``."""
        line = self.cell(id).locator(".cm-line", has_text=old).first
        line.scroll_into_view_if_needed()
        line.click()
        self.page.keyboard.press("Home")
        self.page.keyboard.press("Shift+End")
        self.page.keyboard.type(new)

    def answer(self, id: str, old: str, new: str, words: str):
        """Type an answer, run the cell with Shift+Enter, and wait for these words under it."""
        self.type(id, old, new)
        self.page.keyboard.press("Shift+Enter")
        output = self.cell(id).locator(".jp-OutputArea-output").first
        sync_api.expect(output).to_contain_text(words, timeout=MINUTE)
        output.scroll_into_view_if_needed()
        self.picture(words.split()[0] + ("_wrong" if "✗" in words else "_right" if "✓" in words else ""))

    def interrupt(self):
        self.page.locator(f"{FRONT} [data-command='notebook:interrupt-kernel']").click()

    def select(self, id: str):
        self.cell(id).locator(".jp-InputPrompt").click()

    def run(self, menu: str, entry: str, button: str = ""):
        """Choose what runs cells, and wait for their end."""
        self.choose(menu, entry)
        if button:
            self.page.get_by_role("button", name=button).click()
        self.page.wait_for_function(BUSY, timeout=MINUTE)
        self.rest()

    def rest(self, minutes: float = 30):
        """Wait until no cell waits or runs."""
        self.page.wait_for_function(f"() => !({BUSY})()", timeout=minutes * MINUTE)

    def picture(self, name: str):
        self.taken += 1
        self.page.screenshot(path=self.folder / f"{self.taken:02d}_{name}.png")


def text_of(outputs) -> str:
    return "".join(o.get("text", "") for o in outputs if o["output_type"] == "stream")


def assert_ran(cells):
    """Every code cell ran once, in order, and none failed."""
    code = [cell for cell in cells if cell["type"] == "code" and cell["source"].strip()]
    assert [cell["count"] for cell in code] == list(range(1, len(code) + 1))
    faults = [o for cell in code for o in cell["outputs"] if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert not faults


def assert_folded(book):
    """Each "Deeper" section shows its heading alone; a click opens it."""
    cells = book.cells()
    deeper = [place for place, cell in enumerate(cells[:-1]) if cell["folded"]]  # the last cell has nothing to hide
    assert deeper and all(not cells[place]["hidden"] and cells[place + 1]["hidden"] for place in deeper)
    first, inside = (book.cell(cells[deeper[0] + more]["id"]) for more in (0, 1))
    first.scroll_into_view_if_needed()
    sync_api.expect(first).to_contain_text("Deeper")
    sync_api.expect(inside).to_be_hidden()
    book.picture("folded")
    book.unfold(cells[deeper[0]]["id"])
    sync_api.expect(inside).to_be_visible()


def test_lab_1_as_a_learner_works_with_it(book):
    path = "week1/lab1_prompting_and_decoding.ipynb"  # what `make lab` opens
    book.open(path)
    assert any(f"/lab/tree/{path}?" in page.read_text() for page in book.lab["runtime"].glob("*.html"))
    with pytest.raises(urllib.error.HTTPError, match="403"):  # nobody else on this machine gets in
        urllib.request.urlopen(f"{book.lab['url']}api/contents")
    assert Path(book.lab["root_dir"]) == book.lab["folder"]  # links lead to all weeks
    book.picture("opened")
    assert_folded(book)
    book.run("Run", "Run All Cells")
    cells = book.cells()
    assert_ran(cells)
    saved = {c.id: c for c in notebooks.read(ROOT / path).cells if c.cell_type == "code"}
    compared = [cell for cell in cells if notebooks.COMPARED in cell["tags"]]
    assert compared and all(text_of(c["outputs"]) == text_of(saved[c["id"]].outputs) for c in compared)
    book.picture("ran")

    # The sliders: chart and text follow the temperature.
    explorer = book.show("lab1-119")
    chart, text = explorer.locator(".widget-html-content").all()
    sync_api.expect(chart).to_contain_text("can be drawn")
    write = explorer.get_by_role("button", name="Write")
    write.click()
    sync_api.expect(text).to_contain_text("my neighbour", timeout=MINUTE)
    shown, wrote = chart.inner_text(), text.inner_text()
    drag(book.page, explorer.locator(".widget-hslider", has_text="temperature").locator(".noUi-handle"), 80)
    sync_api.expect(chart).not_to_have_text(shown, use_inner_text=True)
    write.click()
    sync_api.expect(text).not_to_have_text(wrote, use_inner_text=True, timeout=MINUTE)
    book.picture("sliders")

    # An exercise, first wrong, then right.
    book.answer("lab1-024", "my_template = None", 'my_template = "Summarise this."', "lab1.1 ✗ Your template has no {dialogue} in it")
    right = r'my_template = "Summarise:\n{dialogue}\nSummary:"'
    book.answer("lab1-024", 'my_template = "', right, "lab1.1 ✓")
    book.rest()

    # An endless loop, stopped by the button.
    book.type("lab1-072", "raise NotImplementedError", 'print("begun")\nwhile True: pass')
    book.page.keyboard.press("Shift+Enter")
    sync_api.expect(book.cell("lab1-072")).to_contain_text("begun\n", timeout=MINUTE)
    book.interrupt()
    sync_api.expect(book.cell("lab1-072")).to_contain_text("lab1.6 ✗ Stopped before the check was done", timeout=15_000)
    book.rest()
    book.picture("stopped")

    # A long call says how far it is; interrupted, it leaves no bar.
    book.select("lab1-121")
    book.page.keyboard.press("b")
    book.page.keyboard.press("Enter")
    book.page.keyboard.type('many = llm.generate([row["dialogue"]] * 400, max_new_tokens=400)')
    long = book.page.locator(f"{FRONT} .jp-Cell.jp-mod-active")
    book.page.keyboard.press("Control+Enter")
    bar = long.locator(".widget-hprogress")
    bar.wait_for(timeout=MINUTE)
    bar.scroll_into_view_if_needed()
    sync_api.expect(long).to_contain_text(re.compile(r"writing answers.*\d+ of 400", re.DOTALL), timeout=MINUTE)
    book.picture("progress")
    book.interrupt()
    sync_api.expect(long).to_contain_text("KeyboardInterrupt", timeout=MINUTE)
    sync_api.expect(bar).to_have_count(0)
    book.rest()

    # A new kernel: the notebook runs again, down to the first exercise, and the right answer still is one.
    book.select("lab1-024")
    book.run("Kernel", "Restart Kernel and Run up to Selected Cell…", "Confirm Kernel Restart")
    cells = book.cells()
    last = next(place for place, cell in enumerate(cells) if cell["id"] == "lab1-024")
    again = [cell["count"] for cell in cells[: last + 1] if cell["type"] == "code"]
    assert again == list(range(1, len(again) + 1)) and "lab1.1 ✓" in text_of(cells[last]["outputs"])


def drag(page, handle, dx: int):
    handle.hover()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y, steps=8)
    page.mouse.up()


def test_a_short_notebook_as_a_learner_works_with_it(book):
    book.open("week1/6_scaling_laws.ipynb")
    assert_folded(book)
    book.run("Run", "Run All Cells")
    assert_ran(book.cells())
    valleys = book.show("scaling-072")
    sync_api.expect(valleys).to_contain_text("yours     10.00 billion parameters")
    drag(book.page, valleys.locator(".widget-hslider", has_text="log_size").locator(".noUi-handle"), 40)
    sync_api.expect(valleys).not_to_contain_text("yours     10.00 billion parameters")
    sync_api.expect(valleys).to_contain_text("billion parameters")
    book.picture("valleys")
    wrong, right = (f"return {n} * parameters * tokens / (1e15 * 86400)" for n in (2, 6))
    book.answer("scaling-010", "raise NotImplementedError", wrong, "scaling.1 ✗ 2 operations per parameter and token")
    book.answer("scaling-010", "return 2", right, "scaling.1 ✓")
    book.picture("right")


def test_lab_3_as_a_learner_begins_it(book):
    """As far as the first update by hand; other tests run the lab whole."""
    book.open("week3/lab3_rlhf_detox.ipynb")
    assert_folded(book)
    book.select("lab3-047")
    book.run("Run", "Run All Above Selected Cell")
    cells = book.cells()
    assert_ran(cells[: next(place for place, cell in enumerate(cells) if cell["id"] == "lab3-047")])
    book.answer("lab3-047", "raise NotImplementedError", "return ratio * advantage", "lab3.7 ✗ Nothing is clipped")
    right = "return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)"
    book.answer("lab3-047", "return ratio", right, "lab3.7 ✓")


def test_no_line_of_code_needs_sideways_scrolling(book, lab):
    """The longest lines of all notebooks, beside the open list of files, as JupyterLab starts.

    All letters are equally wide but those that the font lacks: shorter lines with such ones are tried, too.
    """
    cells = [(path, cell) for path in BOOKS for cell in notebooks.read(ROOT / path).cells if cell.cell_type == "code"]
    lines = [(f"{path} {cell.id}", line) for path, cell in cells for line in cell.source.splitlines() if len(line) >= (99 if line.isascii() else 90)]
    lines.append(("too wide", "#" * 110))
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line, id=f"n{i}") for i, (_, line) in enumerate(lines)])
    page.metadata = notebooks.read(ROOT / BOOKS[0]).metadata  # its kernel
    nbformat.write(page, lab["folder"] / "wide.ipynb")
    book.open("wide.ipynb")
    found = book.page.evaluate(WIDE)
    assert len(found) == len(lines) > 100  # none was missed
    assert {where for i, (where, _) in enumerate(lines) if found[f"n{i}"] > 0} == {"too wide"}
