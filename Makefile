# For users: make install, make demo, make secrets; then `.venv/bin/orchestrator --help`. For developers: make test, make check.
PYTHON ?= python3
LOCK   ?= dev
BIN    := .venv/bin

.PHONY: install demo test test-models test-services test-readers test-e2e test-chaos test-cluster test-all chaos cluster-speed soak fuzz check docs lock secrets clean

install: .venv/installed-$(LOCK)

.venv/installed-$(LOCK): requirements/$(LOCK).lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(LOCK).lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q settings.py dawn_chorus orchestrator workers tasks db domain
	touch $@

# The demo contains broken files on purpose. Exit code 3: some recordings are in quarantine.
demo: install
	$(BIN)/orchestrator demo || test $$? -eq 3

# Compiled tests are kept, because rewriting their asserts takes ten seconds at each start.
PYTEST = PYTHONDONTWRITEBYTECODE= TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m pytest
# Two test processes. The tests of a file run in one of them, because they share its fixtures.
PARALLEL = -n 2 --dist loadfile --no-loadscope-reorder
EXAMPLES ?= few
FAST = tests/whole_run tests/unit tests/contracts tests/properties tests/ledger

# Three minutes on two cores: no server, no root, no recordings from elsewhere.
test: install
	$(PYTEST) $(FAST) -m "not services and not long" $(PARALLEL) --hypothesis-profile=$(EXAMPLES)

# The networks, trained with TensorFlow.
test-models: install
	$(PYTEST) tests/models $(PARALLEL)

# PostgreSQL, Redis and S3; a server that is not installed skips its tests.
test-services: install
	$(PYTEST) tests/services $(FAST) -m "services and not long" $(PARALLEL) --hypothesis-profile=$(EXAMPLES)

# Tables as pandas, pyarrow, R and crowsetta read them, in an environment without our other packages.
READERS = .venv-readers/bin/python
test-readers: .venv-readers/installed
	PYTHONDONTWRITEBYTECODE= $(READERS) -m pytest --noconftest tests/readers

.venv-readers/installed: requirements/readers.lock
	test -x $(READERS) || $(PYTHON) -m venv .venv-readers
	$(READERS) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

# The command line, real worker processes, a browser, real recordings where ../shared exists.
test-e2e: install
	$(PYTEST) tests/e2e $(PARALLEL)

# Processes killed, disks filled, broker and database cut off.
test-chaos: install
	$(PYTEST) tests/chaos $(PARALLEL)

# The containers of docker-compose.yml; needs podman.
test-cluster: install
	$(PYTEST) tests/cluster

test-all: test test-models test-services test-readers test-e2e test-chaos test-cluster

# All fault tests, the long ones too. Some need root, for mounts, network namespaces and a shifted clock.
chaos: install
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m pytest tests/chaos -m chaos -s

# Two worker containers compared with one, each on its own core, three rounds; needs podman and an idle machine.
cluster-speed: install
	$(BIN)/python -m pytest tests/cluster/test_speed.py -m "cluster and long" -s

# 400,000 tiny recordings, four workers, a fault every few seconds for a quarter of an hour.
soak: install
	$(BIN)/python benchmarks/soak.py

# Coverage-guided fuzzing of untrusted inputs, FUZZ_S seconds each; atheris is installed outside .venv.
FUZZ_S ?= 26
fuzz: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --only-binary :all: \
		--target build/fuzz 'atheris>=2.3'
	for what in archives recordings; do \
		PYTHONPATH=build/fuzz $(BIN)/python -m benchmarks.fuzz $$what --seconds $(FUZZ_S) || exit 1; done

# Lint, types and import contracts.
check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The generated pages of docs/reference.
docs: install
	$(BIN)/python -m docs.generate

# The lock files: universal for Python 3.11 to 3.13, with hashes, without registry addresses.
UV_LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate
UV_COMPILE = $(UV_LOCK) pyproject.toml
lock:
	$(UV_COMPILE) -o requirements/base.lock
	$(UV_COMPILE) --extra formats -c requirements/base.lock -o requirements/formats.lock
	$(UV_COMPILE) --extra train -c requirements/base.lock -o requirements/train.lock
	$(UV_COMPILE) --extra gpu -c requirements/base.lock -o requirements/gpu.lock
	$(UV_COMPILE) --extra train --extra formats --extra dev -c requirements/train.lock -o requirements/dev.lock
	$(UV_LOCK) --group readers -c requirements/base.lock -o requirements/readers.lock

# Passwords of the stack in docker-compose.yml, made once (docs/howto/cluster.md).
secrets:
	deploy/make-secrets secrets

clean:
	rm -rf .venv .venv-readers build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
