# Two commands do all the set-up: `make demo` and `make test`. Both install into .venv, once.
PYTHON ?= python3
BIN := .venv/bin
DEMO := build/demo

.PHONY: demo test lint types docs clean

demo: .venv/installed
	$(BIN)/oodbench run --method posthoc --method mc_dropout --method ccag --method ml --method odm \
		--results-dir $(DEMO) --cache-dir $(DEMO)/cache
	$(BIN)/oodbench plot --results-dir $(DEMO)

# Containers often tell Python to keep nothing that it compiled; the many processes of the tests need it again and again.
test: .venv/installed-dev
	PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/mypy oodbench methods datasets

docs: .venv/installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "The pages are in build/docs; begin with build/docs/index.html"

# Installed again when the list of plugins or dependencies changes: entry points are read at installation.
.venv/installed: pyproject.toml
	@echo "Installing into .venv; PyTorch is large, so this takes a few minutes the first time."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/installed-dev: pyproject.toml
	@echo "Installing into .venv; PyTorch is large, so this takes a few minutes the first time."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ .venv/installed

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache
