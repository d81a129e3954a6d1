# From a fresh clone: `make demo`. Needs Python 3.11 or newer (with venv) and make; everything else goes into .venv.
# Another Python: make PYTHON=python3.12 demo

PYTHON ?= python3
# TORCH=cuda: on Linux, torch for NVIDIA's GPUs, several GB with its libraries.
export TORCH ?= cpu
BIN := .venv/bin
INSTALL := requirements/install.sh .venv
READY := .venv/ready
READY_CLOUD := .venv/ready-cloud
READY_DEV := .venv/ready-dev

.PHONY: demo demo-cloud test check image clients versions lock audit docs site bench bench-data bench-learning bench-machines bench-peers clean

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

# No AWS account: an AWS on this machine. Jobs are containers where Docker runs and has the image (make image).
demo-cloud: $(READY_CLOUD)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo-cloud.sh

# Two processes with a thread each: the tests' models are too small to gain from more.
test: $(READY_DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(READY_DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	MYPYPATH=src:benchmarks $(BIN)/mypy --explicit-package-bases benchmarks/*.py
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Docker only. TORCH=cuda for the build that GPUs need, EXTRAS=mlflow for jobs that report to MLflow, BASE_IMAGE for
# another base: see docs/container.md
image:
	PYTHON="$(PYTHON)" container/build.sh

# Other people's clients, for the tests of `ahx aws` against them, each in an environment of its own: 0.9 GB.
clients: $(patsubst tests/clients/%.txt,build/clients/%/ready,$(wildcard tests/clients/*.txt))

build/clients/%/ready: tests/clients/%.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --disable-pip-version-check -r $<
	@touch $@

# The oldest and the newest versions that pyproject.toml allows, in an environment each.
versions:
	requirements/versions.sh build/versions "$(PYTHON)"

# All lock files, written anew. UPGRADE=1 takes the newest versions that pyproject.toml allows.
lock:
	PYTHON="$(PYTHON)" container/lock.sh $(if $(UPGRADE),--upgrade)

# Known vulnerabilities of what the lock files name, where api.osv.dev can be reached.
audit: $(READY_DEV)
	container/audit.sh

docs: $(READY_DEV)
	$(BIN)/python docs/generate.py

# The documentation as a site, in build/site; a broken link is an error.
site: $(READY_DEV)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# All that needs nobody else's code.
bench: bench-learning
	$(BIN)/python benchmarks/big_file.py

# Certificates in weights, ten million tokens of bb5 and the universal machines: some minutes.
bench-machines: $(READY)
	$(BIN)/python benchmarks/machines.py certify
	$(BIN)/python benchmarks/machines.py run
	$(BIN)/python benchmarks/machines.py run --rule bb4 --no-cache
	$(BIN)/python benchmarks/machines.py universal

# Files of string pairs: ours beside two plain models, eleven hours for all; may be stopped and continued.
# DATA='--seconds 60 --seeds 1 --sets "CMUdict;sorting"' for a part.
bench-data: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -r benchmarks/data-requirements.txt
	$(BIN)/python benchmarks/data.py $(DATA)

bench-learning: $(READY)
	$(BIN)/python benchmarks/learning.py

# PEERS is a folder with clones of the projects to compare with.
bench-peers: $(READY)
	$(BIN)/python benchmarks/peers.py --peers "$(PEERS)"

clean:
	rm -rf .venv build .*_cache .hypothesis *.egg-info src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit("make: error: Python 3.11 or newer is needed; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(INSTALL) -e .
	@touch $@

$(READY_CLOUD): $(READY)
	$(INSTALL) -e '.[embedded]'
	@touch $@

# What tests and checks need besides: AWS's libraries, SageMaker's SDK (1 GB), and tools.
$(READY_DEV): $(READY)
	$(INSTALL) -e '.[dev]'
	@touch $@
