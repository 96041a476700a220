# make demo | test | cifar10 | install | lint | format | clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Chainer's last release only builds with setuptools < 82; pip reads one variable or the other.
PIP_INSTALL := PIP_CONSTRAINT=build-constraints.txt PIP_BUILD_CONSTRAINT=build-constraints.txt \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet

.PHONY: demo test cifar10 install lint format clean

demo: $(VENV)/.installed
	$(BIN)/python src/dataset.py --source digits --only mean --out dataset/digits
	$(BIN)/python src/train.py --recipe digits --overwrite
	@echo 'next: $(BIN)/python src/evaluate.py models/digits (or predict.py, visualize.py)'

test: $(VENV)/.dev lint
	$(BIN)/python -m pytest -n 2

cifar10: $(VENV)/.installed
	$(BIN)/python src/download.py
	$(BIN)/python src/dataset.py

install: $(VENV)/.installed

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Removes the virtual environment and caches; data, weights and results stay.
clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis src/*.egg-info

$(VENV)/.installed: setup.py requirements.txt build-constraints.txt
	@echo 'Setting up $(VENV) (a minute or two, once) ...'
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
