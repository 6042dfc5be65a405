"""Helpers for the course *Generative AI with Large Language Models*.

Importing this package loads nothing heavy: torch and transformers are imported by the modules that
need them, so ``import course_utils`` takes a fraction of a second.

At the root stands what notebooks import, one idea a module. ``studies`` made what ``trained`` holds;
``notebooks``, ``lint``, ``terms`` and ``doctor`` serve those who maintain or teach the course. No lesson imports them.
"""

import logging
import os

# Threads that wait must sleep, not spin: spinning makes a neighbour on the same cores (a second
# notebook, a browser) many times slower and gains next to nothing alone. OpenMP reads this once, when
# torch loads it; so notebooks import this package before torch. What you set yourself is kept.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Where bitsandbytes is installed, peft imports it, and on processors with bfloat16 it reports that an
# optional kernel from the hub is missing. Nothing here needs it, and nothing here asks the hub.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

__version__ = "0.1.0"
