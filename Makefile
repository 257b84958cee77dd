# `make check` is what has to hold before a commit; .ci/run does all of it on a clean clone.
PYTHON ?= .venv/bin/python
LOCK = $(PYTHON) -m uv pip compile pyproject.toml --universal --generate-hashes --no-header --quiet

.PHONY: check test slow peer attack lock

.venv/locked: requirements-test.lock
	python3 -m venv .venv
	.venv/bin/pip install --quiet -r requirements-test.lock
	touch $@

check: .venv/locked  ## lint, formatting, types, names of the tests
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	.ci/collect

test: .venv/locked  ## the README's test command
	$(PYTHON) -m pytest

slow: .venv/locked  ## long proofs: runs that are killed again and again
	$(PYTHON) -m pytest -m slow

peer: .venv/locked  ## comparisons with PyTorch and JAX
	$(PYTHON) -m pip install --quiet torch==2.13.0 jax
	$(PYTHON) -m pytest -m peer

attack: .venv/locked  ## kills, damage, forgeries, full disks, random command lines; about an hour
	$(PYTHON) -m tests.attack

# Versions stay as they are locked unless pyproject.toml asks for others; to take the newest of all,
# remove both files first. No address is written, so that any index serves.
lock: .venv/locked  ## pin what pyproject.toml asks for
	$(PYTHON) -m pip install --quiet uv==0.13.9
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra test --constraint requirements.lock --output-file requirements-test.lock
