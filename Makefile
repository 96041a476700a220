# make demo | test | test-gpu | campaign | cifar10 | install | lint | format | docs | clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Chainer's last release only builds with setuptools < 82; pip reads one variable or the other.
PIP_INSTALL := PIP_CONSTRAINT=build-constraints.txt PIP_BUILD_CONSTRAINT=build-constraints.txt \
	PIP_DISABLE_PIP_VERSION_CHECK=1 CHAINER_ONEDNN_KERNELS=0 $(BIN)/python -m pip install --quiet
KERNELS := src/chainer_onednn/kernels

.PHONY: demo test test-gpu campaign cifar10 install lint format docs clean

demo: $(VENV)/.kernels
	$(BIN)/python src/dataset.py --source digits --only mean --out dataset/digits
	$(BIN)/python src/train.py --recipe digits --overwrite
	@echo 'next: $(BIN)/python src/evaluate.py models/digits (or predict.py, visualize.py)'

test: $(VENV)/.dev $(VENV)/.kernels lint
	$(BIN)/python -m pytest -n 2

# On the CuPy that is in .venv. Without a GPU all is skipped with the reason, and the status is 0.
test-gpu: $(VENV)/.dev $(VENV)/.kernels
	$(BIN)/python -m pytest -q -m gpu tests/gpu
	$(BIN)/python benchmarks/gpu_training.py

# Kills, full disks, damaged files, odd machines (docs/survives.md); it goes on where it stopped.
campaign: $(VENV)/.dev $(VENV)/.kernels
	$(BIN)/python tests/campaign --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1)

cifar10: $(VENV)/.kernels
	$(BIN)/python src/download.py
	$(BIN)/python src/dataset.py

install: $(VENV)/.kernels

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pages in docs/ as a site; a link or an anchor that leads nowhere is an error.
docs: $(VENV)/.docs
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo 'site: build/site/index.html'

# Removes the virtual environment, kernels and caches; data, weights and results stay.
clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info $(KERNELS)/*.so

$(VENV)/.installed: setup.py requirements.txt build-constraints.txt
	@echo 'Setting up $(VENV) (a minute or two, once) ...'
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --editable .
	@touch $@

# pip would compile them, too, but say nothing of it, and not again when their sources change.
# Without kernels everything works, more slowly: one line says why there are none.
$(VENV)/.kernels: $(wildcard $(KERNELS)/*.c $(KERNELS)/*.h) $(KERNELS)/compile.py | $(VENV)/.installed
	@$(BIN)/python $(KERNELS)/compile.py || true
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[dev,mpi,onnx,search,serve,tensorboard]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[docs]'
	@touch $@
