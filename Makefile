# `make` lists the targets. Needs Python 3.11 to 3.13; where python3 is another: make demo PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A copy of the lock file that .venv was made from: other content, not another date, makes it anew.
INSTALLED := $(VENV)/installed.lock
# Tests run in as many processes as there are cores, at most four: each takes about a gigabyte of memory.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4

.PHONY: help demo test test-all bench lab lint lock

help:
	@echo "make demo   the whole study on a small synthetic data set, then says where the report is"
	@echo "make test   the tests, some minutes            (one file: make test ARGS=tests/test_setup.py)"
	@echo "make test-all   these and the long ones, half an hour (the long ones alone: make test-all ARGS='-m slow')"
	@echo "make bench  speed against what people use today, half an hour (one: make bench ARGS=kmeans)"
	@echo "make lab    JupyterLab on the notebooks        (more options: make lab ARGS=--no-browser)"
	@echo "make lint   style of code and notebooks, and which package imports which"
	@echo "            (put right: $(BIN)/ruff check --fix; $(BIN)/ruff format)"
	@echo "make lock   requirements.lock from requirements.txt (newer versions: make lock ARGS=--upgrade)"

demo: $(INSTALLED)
	$(BIN)/python run_all.py demo

test: $(INSTALLED)
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(INSTALLED)
	$(PYTEST) $(ARGS)

# Ratios measured side by side: results/benchmarks.json. Their machine should have nothing else to do.
bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

# The root is the repository, so that results can be opened beside the notebooks.
lab: $(INSTALLED)
	$(BIN)/python -m jupyterlab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks $(ARGS)

lint: $(INSTALLED)
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m nbstripout --verify --keep-id notebooks/*.ipynb
	$(BIN)/lint-imports --no-logo --no-cache

# Versions that still fit stay as they are. The lock holds for all systems and Pythons, and names no package index.
lock: $(INSTALLED)
	$(BIN)/python -m pip install -qq uv
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/python -m uv pip compile requirements.txt \
		--output-file requirements.lock --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-emit-index-url --no-emit-find-links $(ARGS)

$(INSTALLED): requirements.lock
	@if cmp -s $< $@; then touch $@; exit 0; fi; \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), needed is 3.11 to 3.13: give one, as in make PYTHON=python3.12"; exit 1; }; \
	echo "Making $(VENV) from requirements.lock: some minutes, about 3 GB."; \
	rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && \
	$(BIN)/python -m pip install -qq --no-input --disable-pip-version-check --require-hashes -r $< && \
	cp $< $@
