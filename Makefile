# make demo    set up, annotate the shipped sample on the CPU, say where the result is
# make live    set up the window too, and show camera 0 in it; SOURCE=demos/sample.mp4 takes something else
# make test    set up, then lint, types, layers and tests
# Everything goes into .venv; PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests export the network, for which they need torch; TORCH=torch takes the newest.
TORCH ?= torch==2.13.0
OUT := demo-output
SOURCE ?= 0

.PHONY: setup demo live test lint clean

setup: $(VENV)/.base

$(VENV)/.base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hprnet-rt needs Python 3.11 or newer; choose one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[train,dev]"
	@touch $@

demo: $(VENV)/.base
	$(BIN)/hprnet-rt annotate demos/sample.mp4 -o $(OUT) --overwrite
	@echo
	@echo "The annotated video:   $(CURDIR)/$(OUT)/sample.mp4"
	@echo "Its keypoints:         $(CURDIR)/$(OUT)/sample.jsonl"
	@echo "Now try your own:      $(BIN)/hprnet-rt annotate VIDEO -o $(OUT)"

$(VENV)/.live: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[live]"
	@touch $@

live: $(VENV)/.live
	$(BIN)/hprnet-rt live $(SOURCE)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two files of tests at once, the longest first (tests/conftest.py). Training in processes of its own: after all
# other tests, in the same process, it has crashed in native code.
test: lint
	$(BIN)/python -m pytest --ignore=tests/training -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest tests/training -n 2 --dist worksteal

clean:
	rm -rf $(VENV) $(OUT)
