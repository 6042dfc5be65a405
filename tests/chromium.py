"""The browser of the end-to-end tests, if this machine has one and can drive it."""

import importlib.util
import shutil

FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [
    cure
    for there, cure in (
        (FOUND, "install chromium"),
        (shutil.which("make"), "install make"),
        (importlib.util.find_spec("playwright"), "python -m pip install -r requirements-tests.txt"),
    )
    if not there
]
