# make demo and make test set up .venv on their first call; later calls set it up again only when what it is made from
# changes. `make help` lists the commands.
#
#   PYTHON      the Python the environment is made with, 3.10 or later
#   VENV        where the environment lies
#   VENV5       where that with transformers 5 lies, which spacy-transformers does not allow in the first
#   TORCH_ARGS  options of pip for PyTorch alone, e.g. the index of the builds without CUDA:
#               make demo TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
#   MODULE      of make mutate: files of the package
#   OUTDIR      of make check-wheels: an empty folder to keep the packages in; without it, they are not kept
#   TESTS       of make mutate: files or folders of tests; without it, those that mirror the module's folder

PYTHON ?= python3
VENV ?= .venv
VENV5 ?= .venv-transformers5
TORCH_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PIP5 := $(VENV5)/bin/python -m pip --disable-pip-version-check --quiet
DESCRIPTIONS := setup.cfg pyproject.toml constraints.txt $(wildcard packages/en_luke_mini/*.cfg packages/en_luke_mini/*.toml)

# Those that run with either version of transformers as the reference.
ENCODER_TESTS := $(addprefix tests/encoders/test_, luke.py heads.py longformer.py longformer_heads.py)

# Any warning is an error.
SPHINX := -W --keep-going -q -b html docs docs/_build

.DEFAULT_GOAL := help
.PHONY: help demo test test-transformers5 test-ray docs docs-outputs notebooks tutorial mutate bench check-wheels clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## set up, annotate a text with the bundled model, write demo.html
	@$(BIN)/python examples/demo.py

test: $(VENV)/.installed-test  ## set up, run every check: style, types, imports, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m sphinx $(SPHINX)
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile

test-transformers5: $(VENV5)/.installed  ## set up transformers 5, run the tests of checkpoints with it
	$(VENV5)/bin/python -m pytest -q tests/interchange $(ENCODER_TESTS)

test-ray: $(VENV)/.installed-ray  ## set up Ray, run the tests with a Ray cluster
	$(BIN)/python -m pytest -q tests/ray

docs: $(VENV)/.installed-test  ## set up, build the documentation into docs/_build
	@$(BIN)/python -m sphinx $(SPHINX)
	@echo "docs/_build/index.html is the first page."

docs-outputs: $(VENV)/.installed-test  ## write what the examples of README and docs give now, and draw their picture
	$(BIN)/python -m pytest -q README.md docs --update-outputs
	$(BIN)/python scripts/draw_example.py

mutate: $(VENV)/.installed-mutate  ## change MODULE in small ways, list the changes that TESTS do not notice
	@$(BIN)/python scripts/mutate.py $(MODULE) $(if $(TESTS),--tests $(TESTS))

notebooks: $(VENV)/.installed-test  ## execute the notebooks in examples/ and save their outputs
	$(BIN)/python scripts/run_notebooks.py

tutorial: $(VENV)/.installed-test  ## run docs/tutorial.md in an empty folder and save its outputs
	$(BIN)/python scripts/run_tutorial.py

bench: $(VENV)/.installed-test  ## set up, measure speed and memory beside other libraries
	$(BIN)/python -m benchmarks

check-wheels: $(VENV)/.installed-release  ## build both packages, install them into an empty environment, try them
	@$(BIN)/python scripts/check_wheels.py --torch-args="$(TORCH_ARGS)" $(if $(OUTDIR),--outdir $(OUTDIR))

clean:  ## remove the environment, caches and demo.html
	rm -rf $(VENV) $(VENV5) build dist docs/_build demo.html .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name '*.egg-info' -not -path './.git/*' -prune -exec rm -rf {} +
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# PyTorch goes first, by itself: it is by far the largest package, and the only one that comes in several builds.
$(VENV)/.installed: $(DESCRIPTIONS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed: make PYTHON=...")'
	@echo "Setting up $(VENV). PyTorch and spaCy are downloaded once, which takes a while."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint constraints.txt $(TORCH_ARGS) torch
	@$(PIP) install --constraint constraints.txt --editable . --editable packages/en_luke_mini
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Adding the tools of the tests to $(VENV)."
	@$(PIP) install --constraint constraints.txt --editable '.[test,docs]'
	@touch $@

$(VENV)/.installed-ray: $(VENV)/.installed-test
	@echo "Adding Ray to $(VENV)."
	@$(PIP) install --constraint constraints.txt --editable '.[test,docs,ray]'
	@touch $@

$(VENV)/.installed-mutate: $(VENV)/.installed-test
	@echo "Adding the mutation tester to $(VENV)."
	@$(PIP) install --constraint constraints.txt --editable '.[test,docs,mutate]'
	@touch $@

$(VENV)/.installed-release: setup.cfg constraints.txt
	@echo "Adding the tools of a release to $(VENV)."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint constraints.txt build twine
	@touch $@

$(VENV5)/.installed: setup.cfg pyproject.toml constraints-transformers5.txt
	@echo "Setting up $(VENV5)."
	@test -x $(VENV5)/bin/python || $(PYTHON) -m venv $(VENV5)
	@$(PIP5) install --constraint constraints-transformers5.txt $(TORCH_ARGS) torch
	@$(PIP5) install --constraint constraints-transformers5.txt --editable . \
		transformers sentencepiece protobuf pytest hypothesis
	@touch $@
