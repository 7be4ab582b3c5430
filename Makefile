# `make run` does the main job, `make test` checks everything. Both create .venv on first use and reuse it afterwards.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.ONESHELL:
.SILENT:

VENV := .venv
BIN := $(VENV)/bin
BENCH_ARGS ?=
GPU_CHECK_ARGS ?=

.PHONY: run samples test test-long lint bench gpu-check clean install install-dev

run: install
	$(BIN)/mcrisk run configs/quickstart.yaml --out runs/quickstart.zarr
	$(BIN)/mcrisk report runs/quickstart.zarr --out runs/quickstart --no-ledgers
	echo
	echo "results: runs/quickstart.zarr (xarray.open_datatree opens it)"
	echo "report:  runs/quickstart/report.html (open it in a browser; nothing is loaded from the network)"
	echo "ledgers of the worst paths inside the page (under a minute on two cores): $(BIN)/mcrisk report runs/quickstart.zarr --out runs/quickstart"

# The committed pages under reports/, from their configurations: a run with its drill-down, a comparison of two
# funds, and a calibration.
SMALL := --paths 512 --set venues=[kraken-preipo] --set scenarios=[valuation_reset,combined] --set assumption_strip=false
samples: install
	$(BIN)/mcrisk run configs/quickstart.yaml --out runs/quickstart.zarr
	$(BIN)/mcrisk report runs/quickstart.zarr --out reports/quickstart --format html,md
	$(BIN)/mcrisk run configs/quickstart.yaml $(SMALL) --quiet --out runs/sample-fund-1.zarr
	$(BIN)/mcrisk run configs/quickstart.yaml $(SMALL) --quiet --set venues.kraken-preipo.fund.initial=0.04 --out runs/sample-fund-4.zarr
	$(BIN)/mcrisk compare runs/sample-fund-1.zarr runs/sample-fund-4.zarr --out reports/compare > /dev/null
	rm -rf runs/sample-calibration
	$(BIN)/mcrisk calibrate kraken-band --workers 2 --out runs/sample-calibration > /dev/null
	install -D -m 644 -t reports/kraken-band runs/sample-calibration/*.html runs/sample-calibration/*.md runs/sample-calibration/*.svg runs/sample-calibration/*.yaml

test: lint
	$(BIN)/python -m pytest

test-long: install-dev
	$(BIN)/python -m pytest -m "not gpu" -n 2

lint: install-dev
	$(BIN)/lint-imports --no-logo
	$(BIN)/ruff check

bench: install-dev
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

# Parity, memory checker and timings of the CUDA kernel; needs a GPU and CuPy (pip install -e '.[cuda13]').
gpu-check: install-dev
	$(BIN)/python benchmarks/gpu_check.py $(GPU_CHECK_ARGS)

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(BIN)/python:
	python=$$(command -v python3.11 || command -v python3 || true)
	[ -n "$$python" ] || { echo "Python 3.11 or later is needed and was not found" >&2; exit 1; }
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$python is older than 3.11" >&2; exit 1; }
	"$$python" -m venv $(VENV)

# --no-build-isolation: the build tools are pinned in requirements.txt like everything else.
$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	echo "installing into $(VENV) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	echo "installing what tests need …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# Results under runs/ are kept: they took time.
clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .ruff_cache .import_linter_cache *.egg-info
	find mcrisk tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
