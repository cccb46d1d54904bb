# Two commands on a fresh machine with Python 3.11: `make demo` and `make test`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := build/demo
# The tests of a file stay in one process, and so what they graded; the longest files come first
# (tests/conftest.py). Three processes keep two processors busy, as some tests wait.
PARALLEL := --dist loadfile --no-loadscope-reorder --numprocesses

.PHONY: setup demo test test-fast lint release docs clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (several minutes the first time, torch is large)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY)
	@rm -rf $(DEMO)
	@echo "Grading the sample submissions of session 1"
	@$(BIN)/autograder grade s1 tests/submissions/s1_intro/samples --output $(DEMO)/s1
	@echo "Grading the sample final projects on the embedded digits (one of them is broken)"
	@$(BIN)/autograder grade s7 tests/submissions/s7_final_project/samples --output $(DEMO)/s7
	@$(BIN)/autograder leaderboard $(DEMO)/s7

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/autograder release --check

test: lint
	$(BIN)/pytest $(PARALLEL) 3

test-fast: $(READY)
	$(BIN)/pytest -m 'not slow' $(PARALLEL) 2

release: $(READY)
	$(BIN)/autograder release

docs: $(READY)
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict
	@echo "Open build/site/index.html"

clean:
	rm -rf build .cache
