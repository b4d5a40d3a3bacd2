# Each target makes .venv and installs what it needs, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench docs lint clean

demo: .venv/base
	$(BIN)/promptgraft demo

test: .venv/ready
	$(BIN)/pytest -n 2

bench: .venv/ready
	$(BIN)/python benchmarks/bench_tuning.py
	$(BIN)/python benchmarks/bench_prefix.py
	$(BIN)/python benchmarks/bench_many.py
	$(BIN)/python benchmarks/bench_transfer.py
	$(BIN)/python benchmarks/bench_library.py
	$(BIN)/python benchmarks/bench_serving.py

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv runs

# base: what the package needs; ready: what developing it needs.
.venv/base .venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "promptgraft needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.$(if $(findstring ready,$@),[dev])'
	touch $@
