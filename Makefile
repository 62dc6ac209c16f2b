# `make` lists the targets. Needs Python 3.11 to 3.13; where python3 is another: make demo PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# With an NVIDIA GPU on Linux x86-64 TensorFlow comes with CUDA. Without it all the same: make paper GPU=0
ifndef GPU
GPU := $(shell [ "$$(uname -sm)" = "Linux x86_64" ] && nvidia-smi -L 2>/dev/null | grep -q "^GPU " && echo 1 || echo 0)
endif
LOCK := $(if $(filter 1,$(GPU)),requirements-gpu.lock,requirements.lock)
# A copy of the lock file that .venv was made from: other content, not another date, makes it anew.
INSTALLED := $(VENV)/installed.lock
# Tests run in as many processes as there are cores, at most four: each takes about a gigabyte of memory.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4

# Of which kept study `make report` builds the report.
STUDY ?= mobilenet_cpu

.PHONY: help demo paper report test test-all bench lab lint lock

help:
	@echo "make demo   the whole study on a small synthetic data set, then says where the report is"
	@echo "make paper  the whole study of the paper, which wants a GPU (more options: make paper ARGS=--dry-run)"
	@echo "make report the report of the real study, from what results/reference keeps of it: no images, some minutes"
	@echo "make test   the tests, some minutes            (one file: make test ARGS=tests/test_setup.py)"
	@echo "make test-all   these and the long ones, half an hour (the long ones alone: make test-all ARGS='-m slow')"
	@echo "make bench  speed against what people use today, an hour and a half (one: make bench ARGS=kmeans)"
	@echo "make lab    JupyterLab, at a tour of the notebooks; makes the demo if there is none (more options: make lab ARGS=--no-browser)"
	@echo "make lint   style of code and notebooks, and which package imports which"
	@echo "            (put right: $(BIN)/ruff check --fix; $(BIN)/ruff format)"
	@echo "make lock   both locks from requirements.txt       (newer versions: make lock ARGS=--upgrade)"
	@echo "GPU=0       with any of these: packages without CUDA, though there is a GPU"

demo: $(INSTALLED)
	@echo "A study of 216 synthetic images, with copies, lesions and wrong labels that were planted. About 6 minutes on two"
	@echo "cores, and the time that is left is shown; the last notebook writes the report."
	$(BIN)/python run_all.py demo
	@echo "Open results/demo/report/index.html in a browser. Look first at"
	@echo "  #ladder   how far accuracy falls once no picture is in both training and test set"
	@echo "  #leak     the pictures that were in both"
	@echo "  #planted  what was planted, and how much of it the study found"

paper: $(INSTALLED)
	$(BIN)/python run_all.py paper $(ARGS)

report: $(INSTALLED)
	$(BIN)/python tests/benchmarks/reference.py $(STUDY) --report

test: $(INSTALLED)
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(INSTALLED)
	$(PYTEST) $(ARGS)

# Ratios measured side by side: results/benchmarks.json. Their machine should have nothing else to do.
bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

# The root is the repository, so that results can be opened beside the notebooks, which read the demo's.
lab: $(INSTALLED)
	@[ -e results/demo/report/index.html ] || { echo "No demo in results/ yet: making it first."; $(MAKE) demo; }
	$(BIN)/python -m jupyterlab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks/00_start.ipynb $(ARGS)

lint: $(INSTALLED)
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m nbstripout --verify --keep-id notebooks/*.ipynb
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/pre-commit run words --all-files

# Versions that still fit stay as they are. The locks hold for all Pythons, the first for all systems; neither names a
# package index. The GPU's is the other one and CUDA.
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/python -m uv pip compile requirements.txt --quiet --universal \
	--python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links

lock: $(INSTALLED)
	$(BIN)/python -m pip install -qq uv
	$(COMPILE) --output-file requirements.lock $(ARGS)
	echo "tensorflow[and-cuda]" | $(COMPILE) - --constraints requirements.lock --output-file requirements-gpu.lock $(ARGS)

$(INSTALLED): $(LOCK)
	@if cmp -s $< $@; then touch $@; exit 0; fi; \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), needed is 3.11 to 3.13: give one, as in make PYTHON=python3.12"; exit 1; }; \
	echo "Making $(VENV) from $(LOCK): some minutes, about $(if $(filter 1,$(GPU)),7,3) GB."; \
	rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && \
	$(BIN)/python -m pip install -qq --no-input --disable-pip-version-check --require-hashes -r $< && \
	cp $< $@
