# Two commands do everything: `make demo` and `make test`. Both install first, from the committed lock.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
# Where this is set, every process of every test compiles the whole package anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: install demo test unit lint docs bench lock clean guarantees crash

install: $(STAMP)

$(STAMP): requirements/dev.lock requirements/uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Huracan needs Python 3.11 or newer, found " + sys.version) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m huracan.cli.warm
	@touch $(STAMP)

demo: install
	$(BIN)/huracan demo

test: install
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report= -q
	$(BIN)/python -m coverage report --fail-under=90

unit: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q -m "not slow and not browser"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src

# The pages that are made from the code, then the site in build/docs, then every link of it and of the README.
docs: install
	$(BIN)/python tools/docs_pages.py
	$(BIN)/zensical build --clean --strict
	$(BIN)/python tools/docs_links.py build/docs

bench: install
	@for b in benchmarks/*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

# hamilton.lock: a trading host; runtime.lock: a training host; dev.lock: every extra, tests and docs.
lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --extra hamilton -o requirements/hamilton.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --extra train -o requirements/runtime.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --all-extras --group dev -o requirements/dev.lock
	echo uv | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 - -o requirements/uv.lock
	echo freqtrade | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 - -o requirements/freqtrade.lock

clean:
	rm -rf $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Guarantees: default sizes, or every number of the table with FULL=1; ROWS=R1,H3 runs those alone.
guarantees: install
	$(BIN)/python tools/guarantees.py --rows "$(ROWS)" $(if $(FULL),--full) --workers $(if $(FULL),0,$(WORKERS))

# kill -9, failing disks and power cuts at the durable system calls of a night; FULL=1 at every one of them.
crash: install
	HURACAN_TEST_FULL=$(if $(FULL),1,0) $(BIN)/python -m pytest tests/guarantees -q --timeout=0 --guarantees R1,R2,R5,R6
