"""python -m course_utils COMMAND; ``--help`` lists the commands."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .settings import CourseError


def doctor(args) -> int:
    """Say what the labs need, what is here, and what to do about the difference."""
    from .doctor import examine

    failed = 0
    for what, good, finding, cure in examine():
        print(
            f"{'ok  ' if good else 'FAIL'} {what:22s} {finding}"
            + ("" if good else f"\n     → {cure}")
        )
        failed += not good
    print("the labs can run" if not failed else f"{failed} thing(s) to repair")
    return min(failed, 1)


def fetch(args) -> int:
    """Verify and convert the embedded models ahead of a class."""
    from . import models

    print("verifying", models.verify(models.MINILM).name)
    print("SmolLM2 is ready in", models.prepare())
    return 0


def run(args) -> int:
    """Execute notebooks in fresh kernels; print time and peak memory of each. Saves nothing."""
    return _each(args.notebooks, lambda nb, path, bar: nb.execute(path, progress=bar)[1])


def refresh(args) -> int:
    """Execute notebooks and save their outputs."""
    return _each(args.notebooks, lambda nb, path, bar: nb.refresh(path, progress=bar))


def _chosen(paths: list[Path]) -> list[Path]:
    """The notebooks that were named, else all of the course's; each can be read."""
    from . import notebooks

    found = paths or notebooks.find_notebooks()
    if not found:
        raise CourseError("There are no notebooks here (week*/*.ipynb); run this from the repository's folder, or name some.")
    for path in paths:  # before the first is run or written
        notebooks.read(path)
    return found


def _each(paths: list[Path], action) -> int:
    from nbclient.exceptions import CellExecutionError

    from . import notebooks

    failed = 0
    for path in _chosen(paths):
        try:
            result = action(notebooks, path, _bar(path))
        except CellExecutionError as error:
            print(f"\r{path}: failed\n{error}")
            failed += 1
            continue
        print(f"\r{path}: {result.seconds:.0f} s, {result.peak_gb:.1f} GB at most")
    return min(failed, 1)


def _bar(path: Path):
    """A progress line, only where a person is watching."""
    if not sys.stdout.isatty():
        return None
    return lambda done, total: print(f"\r{path}: cell {done} of {total}", end="", flush=True)


def solve(args) -> int:
    """Write solved copies of notebooks into a folder."""
    from . import notebooks

    for path in _chosen(args.notebooks):
        print(notebooks.solve(path, args.to / path.parent.name / path.name))
    return 0


def lint(args) -> int:
    """Check saved notebooks, and print study minutes; --write puts the minutes into the openings."""
    from . import lint as reading
    from . import notebooks

    order = _chosen([])
    known = {path.resolve(): path for path in order}
    others = [path for path in _chosen(args.notebooks) if path.resolve() not in known]
    if others:
        raise CourseError(f"{others[0]} is none of the course's notebooks (week*/*.ipynb), and lint checks no others; leave it out.")
    chosen = [known[path.resolve()] for path in args.notebooks] or order
    if args.write:
        for path in chosen:
            reading.write_opening(path, notebooks.read(path), order)
        reading.shrink(Path("."), order)
    print("\n".join(reading.report(chosen)))
    found = [
        (path, text)
        for path in chosen
        for text in notebooks.lint(path) + reading.problems(path, order)
    ]
    for path, text in found:
        print(f"{path} {text}")
    return min(len(found), 1)


def report(args) -> int:
    """Make a teacher's table of learners' exports and records (files or folders)."""
    from .exercises import reports

    reports.report(args.files)
    return 0


def terms(args) -> int:
    """Print terms used too early; --write follows terms that moved, --glossary writes the page."""
    from . import terms as words

    _chosen([])
    known, books = words.load(), words.course()
    if args.write:
        known = words.follow(known, books)
    problems = words.definition_problems(known, books)
    early = words.offences(known, books)
    for term, name, cell in early:
        print(f"{term!r} is used in {name} {cell} before it is defined")
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"{len(known)} terms, {len({(t, n) for t, n, _ in early})} used too early")
    if args.write:
        words.shrink({(term, name) for term, name, _ in early})
    if args.glossary and not problems:
        try:
            args.glossary.write_text(words.glossary(known, books), encoding="utf-8")
        except OSError as error:
            raise CourseError(f"{args.glossary} cannot be written ({error.strerror}); name a file for the page.") from error
    return min(len(problems), 1)


def adapters(args) -> int:
    """Train the adapters that ship with the course, and write them with their logs."""
    from .studies import adapters as study

    study.main()
    return 0


def sweep(args) -> int:
    """Run week 2's grid of learning rates, ranks and layers (half an hour)."""
    from .studies import sweep as study

    study.main()
    return 0


def scaling(args) -> int:
    """Train week 1's grid of tiny models for the scaling laws (a quarter of an hour of one core)."""
    from .studies import scaling as study

    study.main()
    return 0


def recall(args) -> int:
    """Train week 1's readers that recall a letter, briefly and long (a quarter of an hour of one core)."""
    from .studies import recall as study

    study.main()
    return 0


def families(args) -> int:
    """Train week 1's three small models, one per family (five minutes of one core)."""
    from .studies import families as study

    study.main()
    return 0


def detox(args) -> int:
    """Run Lab 3's experiment with several seeds and prices of KL (ten minutes per run)."""
    from .studies import detox as study

    study.main()
    return 0


def rivals(args) -> int:
    """Run Lab 3's imitation with several seeds, and PPO without its leash (a quarter of an hour of one core)."""
    from .studies import rivals as study

    study.main()
    return 0


def pool(args) -> int:
    """Make the pool of answers and the DPO and GRPO runs that Beyond PPO compares (half an hour)."""
    from .studies import pool as study

    study.main()
    return 0


def hacking(args) -> int:
    """Push a weak reward model and DPO too far, for Beyond PPO, and train its baselines (a quarter of an hour)."""
    from .studies import hacking as study

    study.main()
    return 0


def shots(args) -> int:
    """Measure for Lab 1 what examples in the prompt change in a base model, Gemma 3 270M (minutes)."""
    from .studies import shots as study

    study.main()
    return 0


def assistant(args) -> int:
    """Tune the base model Gemma 3 270M to answer, for Instruction tuning (a minute)."""
    from .studies import assistant as study

    study.main()
    return 0


def reasoning(args) -> int:
    """Train on sums with a rule as the reward, with five seeds (minutes of one core each)."""
    from .studies import reasoning as study

    study.main()
    return 0


def serving(args) -> int:
    """Measure a serving engine beside transformers, for Making it cheap (needs requirements-engine.txt; minutes)."""
    from .studies import serving as study

    study.main()
    return 0


def coverage(args) -> int:
    """Simulate how often the course's 95 % intervals hold the truth (half a minute)."""
    from .studies import coverage as study

    study.main()
    return 0


def train(args) -> int:
    """Train Lab 2's summariser, by LoRA or fully; under torchrun on several processes."""
    from . import tasks

    return tasks.run("train", args)


def ppo(args) -> int:
    """Train Lab 3's policy by PPO; under torchrun on several processes."""
    from . import tasks

    return tasks.run("ppo", args)


def _training_options(command, name: str) -> None:
    """The options of ``train`` and ``ppo``: what the labs choose, unless told."""
    add = command.add_argument
    if name == "train":
        add("--task", choices=["lab2"], default="lab2")
        add("--method", choices=["lora", "full"], default="lora")
        add("--rows", type=int, default=96, help="training dialogues; 0: all of them (%(default)s)")
        add("--epochs", type=int, default=1)
        add("--batch-size", type=int, default=4, help="over all processes (%(default)s)")
        add("--learning-rate", type=float, help="2e-3 for lora, 1e-4 for full")
        add("--save-every", type=int, default=20, help="steps between checkpoints (%(default)s)")
    else:
        add("--task", choices=["lab3"], default="lab3")
        add("--iterations", type=int, default=10)
        add("--prompts", type=int, default=8, help="of an iteration, over all processes (%(default)s)")
        add("--beta", type=float, default=0.05, help="price of a nat of KL (%(default)s)")
        add("--learning-rate", type=float, default=3e-3)
    add("--seed", type=int, default=0)
    add("--folder", type=Path, help="of the checkpoint (in the cache); delete it to train afresh")
    add("--out", type=Path, help="folder for the trained adapter or model (not written)")
    add("--timeout", type=float, default=600, help="seconds to wait for another process (%(default)s)")


def hub(args) -> int:
    """Serve a folder of models (org/name/) and data sets (datasets/org/name/) to a class without internet."""
    import time

    from . import hub_server

    with hub_server.serving(args.folder, args.port, host=args.host) as server:
        print(f"serving {', '.join(hub_server.repositories(args.folder)) or 'nothing yet'}")
        print(f"there, for example: HF_ENDPOINT={server.url} HF_HUB_OFFLINE=0 make lab")
        print("Ctrl+C ends it", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course_utils", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for function in (
        doctor, fetch, run, solve, refresh, lint, terms, report, hub, train, ppo,
        adapters, sweep, scaling, families, recall, detox, rivals, pool, hacking, shots, assistant, reasoning,
        serving, coverage,
    ):  # fmt: skip
        command = commands.add_parser(function.__name__, help=function.__doc__.replace("%", "%%"))
        command.set_defaults(function=function)
        if function in (run, solve, refresh, lint):
            command.add_argument("notebooks", nargs="*", type=Path, help="default: all of them")
        if function in (lint, terms):
            command.add_argument("--write", action="store_true", help="update what may only shrink")
        if function is terms:
            command.add_argument("--glossary", type=Path, help="file for the glossary page")
        if function is report:
            command.add_argument("files", nargs="+", type=Path)
        if function in (train, ppo):
            _training_options(command, function.__name__)
        if function is solve:
            command.add_argument(
                "--to", type=Path, default=Path("solved"), help="folder for the copies"
            )
        if function is hub:
            command.add_argument("folder", type=Path)
            command.add_argument(
                "--host", default="127.0.0.1", help="0.0.0.0: for the other machines of a class, too"
            )
            command.add_argument("--port", type=int, default=0, help="default: a free one")
    args = parser.parse_args(argv)
    try:
        return args.function(args)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
