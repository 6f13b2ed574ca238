# Two commands on a bare machine with Python 3.11 or later: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
UV := .tools/bin/uv
STAMP := .venv/.installed
export PYTHONDONTWRITEBYTECODE :=  # else each of a hundred processes compiles all that it imports

.PHONY: demo test perf docs numbers install lint types lock clean

install: $(STAMP)

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==0.13.8

$(STAMP): requirements/lock.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	VIRTUAL_ENV=.venv $(UV) pip sync --quiet --require-hashes requirements/lock.txt
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --editable .
	touch $(STAMP)

demo: $(STAMP)  ## install, then a model and its cure side by side, on photographs and drawn scenes
	$(BIN)/unlazy compare bundled:tiny-label bundled:tiny-label-lazystrike data:photos data:scenes \
	  --size 128 --shown 12 -o demo

test: $(STAMP) lint types  ## install, then format check, lint, types and tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder  # files of few slow tests not last

lint: $(STAMP)
	$(BIN)/ruff format --check src tests performance docs
	$(BIN)/ruff check src tests performance docs

types: $(STAMP)
	$(BIN)/pyright

perf: $(STAMP)  ## ratios, each measured in one run
	$(BIN)/python -m performance

docs: $(STAMP)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs: docs/_build/html/index.html"

numbers: demo  ## write every figure of the README and the evidence pages from Records
	for model in tiny-label tiny-label-lazystrike; do \
	  cp demo/record-bundled-$$model.json docs/evidence/demo-$$model.json; done
	$(BIN)/python docs/readme_numbers.py
	$(BIN)/python docs/training_evidence.py

lock: $(UV)  ## resolve the dependencies again
	$(UV) pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --group docs \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements/lock.txt

clean:
	rm -rf .venv .tools demo docs/_build
