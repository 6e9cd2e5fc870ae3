# make demo    set up, annotate the shipped sample on the CPU, say where the result is
# make live    set up the window too, and show camera 0 in it; SOURCE=demos/sample.mp4 takes something else
# make test    set up, then lint, types, layers and tests (thirteen minutes on two cores)
# make check   the same with the quick tests only, in under two minutes
# make docs    the documentation as a site, in site/
# make gpu     set up for an NVIDIA GPU, then test and measure there; benchmarks/results and tables get the figures
# make skipped what the last tests could not run for want of something, after it was installed
# Everything goes into .venv; PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests that export or train networks need torch: TORCH=torch takes the newest, and with TORCH= they are skipped.
TORCH ?= torch==2.13.0
OUT := demo-output
SOURCE ?= 0
MEASURED := hprnet-dla34 hprnet-hourglass104 hprnet-mobile
RESULTS := benchmarks/results
QUICK := tests/backends tests/charts tests/evaluation tests/formats tests/graph tests/grouping tests/inference tests/pipeline tests/render \
	tests/tracking tests/types tests/zoo $(wildcard tests/test_[d-ks]*.py)

.PHONY: setup demo live docs check test gpu skipped lint kernels clean

setup: $(VENV)/.base

$(VENV)/.base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hprnet-rt needs Python 3.11 or newer; choose one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(if $(TORCH),$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)")
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$(if $(TORCH),train,build),dev]"
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

$(VENV)/.docs: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	@touch $@

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict
	@echo "Open $(CURDIR)/site/index.html"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(TORCH),$(BIN)/mypy,@echo "types are not checked: those of the networks need PyTorch")
	$(BIN)/lint-imports

# Kernels are compiled beside lint, once, where tests/conftest.py has all processes look for them; modules too,
# which otherwise every process compiles where PYTHONDONTWRITEBYTECODE is set.
kernels: $(VENV)/.dev
	$(BIN)/python -m compileall -q hprnet_rt
	NUMBA_CACHE_DIR=.pytest_cache/kernels $(BIN)/hprnet-rt annotate demos/sample.mp4 -o .pytest_cache/sample \
		--end 0.2 --overwrite --quiet

# What is quick: lint, and the tests that export no network, start no cluster and read no long video.
check: $(VENV)/.dev
	$(MAKE) --no-print-directory -j2 lint kernels
	$(BIN)/python -m pytest $(QUICK) -n 2

# Two files of tests at once, each with one thread, the longest first (tests/conftest.py); then training, in
# processes of its own: in one process with all else, a library once died.
test: $(VENV)/.dev
	$(MAKE) --no-print-directory -j2 lint kernels
	$(BIN)/python -m pytest --ignore=tests/training -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest tests/training -n 2 --dist loadfile --no-loadscope-reorder

# What was skipped, once what it needs has been installed.
skipped: $(VENV)/.dev
	$(BIN)/python -m pytest --only-skipped

$(VENV)/.gpu: $(VENV)/.dev
	@$(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || \
		{ echo "PyTorch in $(VENV) has no NVIDIA GPU here; hprnet-rt doctor says more"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check cuda-python
	@touch $@

# All is run, whatever fails; figures are written as soon as they are known.
gpu: $(VENV)/.gpu
	@failed=; \
	$(BIN)/python -m pytest tests/gpu tests/training/test_recorded.py || failed="$$failed tests/gpu"; \
	$(BIN)/python benchmarks/gpu.py --profile --save gpu || failed="$$failed benchmarks/gpu.py"; \
	for model in $(MEASURED); do \
		$(BIN)/hprnet-rt bench people --model $$model --backend torch-cuda --zoomnet --out $(OUT)/$$model && \
		mv $(OUT)/$$model/people.json $(RESULTS)/people-$$model-gpu.json && \
		mv $(OUT)/$$model/people.svg $(RESULTS)/people-$$model-gpu.svg || failed="$$failed $$model"; \
	done; \
	$(BIN)/python benchmarks/gpu_table.py && $(BIN)/python benchmarks/tables.py || failed="$$failed tables"; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

clean:
	rm -rf $(VENV) $(OUT) site
