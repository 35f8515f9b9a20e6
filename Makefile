# Everything runs in .venv, which is made here; wanted beforehand: Python 3.11+, make, a package registry.
PYTHON ?= python3
BIN := .venv/bin
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: run test test-torch lint types bench clean

run: .venv/.run  ## set up, route real queries over local models, keep serving
	$(BIN)/suffice demo

test: .venv/.dev lint  ## set up and run all checks and tests
	$(BIN)/python -m pytest

test-torch: .venv/.torch  ## what needs PyTorch, which make test skips
	$(BIN)/python -m pytest tests/test_encoder_routers.py tests/test_golden_labels.py tests/test_routers.py \
	  tests/test_losses.py tests/test_confidence_tuning.py tests/test_distill_lora.py \
	  tests/test_distill_adapter.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python benchmarks/gateway/run.py
	$(BIN)/python benchmarks/routers/decision.py
	$(BIN)/python benchmarks/imports.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Suffice needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/.run: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[local]'
	touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[local,train,dev]'
	touch $@ .venv/.run

.venv/.torch: pyproject.toml .venv/.dev
	$(BIN)/python -m pip install --quiet -e '.[local,train,dev,torch]'
	touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
