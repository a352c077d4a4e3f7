# Real3D-Portrait. `make help` is the table of contents.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := core recon animate compose audio2motion portrait
PHOTOS ?= $(REAL3D_PHOTOS)
STAGE ?= recon

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint lock doctor bench train train-tiny people build clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: .venv/installed ## .venv with exact pins and all packages, editable
.venv/installed: requirements.lock pyproject.toml $(PACKAGES:%=packages/%/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements.lock
	REAL3D_SIBLINGS=name $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e . $(PACKAGES:%=-e packages/%)
	touch $@

demo: install ## talking portrait from a real photograph and speech: out/demo.mp4, out/demo.png
	$(BIN)/portrait demo --out out

test: install ## lint, layer rules and the fast tests
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 -m "not (slow or gpu or net)"

test-all: install ## every test, also slow ones, GPU ones and ones that install packages
	$(BIN)/python -m pytest

lint: install ## ruff and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

lock: ## resolve requirements.lock anew from all pyproject.toml files
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --all-extras --group dev \
		$(PACKAGES:%=--no-emit-package real3d-%) $(PACKAGES:%=packages/%/pyproject.toml) -o requirements.lock
	sed -i "/sys_platform == 'never'/d" requirements.lock

doctor: install ## what this machine has, what is missing, what to do
	$(BIN)/portrait doctor

bench: install ## what things cost: make bench ARGS="--only raster,fit --quick"
	$(BIN)/python -m benchmarks --json out/bench.json $(ARGS)

train: install ## train one stage: make train STAGE=recon ARGS="-c experiments/recon/base.yaml"
	$(BIN)/lightning run $(STAGE) fit $(ARGS)

train-tiny: install ## remake the shipped weights: PHOTOS=folder make train-tiny
	PATH="$(CURDIR)/$(BIN):$$PATH" PHOTOS="$(PHOTOS)" experiments/train_tiny.sh

people: install ## contact sheet of made people: out/people.png (PHOTOS=folder for lifted ones)
	$(BIN)/python -m core.people sheet $(if $(PHOTOS),--photos $(PHOTOS)) --out out/people.png

build: install ## wheels of all packages into dist/
	for p in $(PACKAGES); do REAL3D_SIBLINGS=name $(BIN)/uv build --quiet --wheel --out-dir dist packages/$$p || exit 1; done

clean: ## remove build products and outputs, keep .venv
	rm -rf out dist runs .pytest_cache .ruff_cache .import_linter_cache
