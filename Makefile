# Three commands for a new user: `make run`, `make up` and `make test`. Each sets up its own virtual environment.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DAY    ?= 2025-12-29
MODE   ?= same_day
export PYTHONUNBUFFERED = 1

.PHONY: run history sources up down stack-status status dashboard drill test lint types tests test-all chaos benchmark report lock clean

run: $(READY)  ## the same-day pipeline for DAY on the simulated league, or on real seasons with DATA=FOLDER
	$(BIN)/python -m flows.daily --mode $(MODE) --game-day $(DAY) $(if $(DATA),--data "$(DATA)")

history: $(READY)  ## download real seasons: SEASONS="2023-24 2024-25 2025-26", into FOLDER (seasons)
	$(BIN)/python -m flows.download --seasons "$(SEASONS)" $(if $(FOLDER),--folder "$(FOLDER)")

sources: $(READY)  ## ask each live source whether it is fit to be relied on
	$(BIN)/python -m flows.sources check

up: $(READY)  ## a Prefect server and guarded workers of every role on this machine, registered and ready (docs/operations.md)
	$(BIN)/python -m deployments.stack up $(if $(DATA),--data "$(DATA)") $(if $(PORT),--port $(PORT))

down: $(READY)  ## end what `make up` started, also after a crash
	$(BIN)/python -m deployments.stack down

stack-status: $(READY)  ## which processes of the local stack run
	$(BIN)/python -m deployments.stack status

status: $(READY)  ## is DAY fine, and what to do if not; exit code 0 fine, 1 degraded, 2 failing
	@$(BIN)/python -m flows.status --game-day $(DAY) $(if $(DATA),--data "$(DATA)") $(if $(WORKSPACE),--home "$(WORKSPACE)")

dashboard: $(READY)  ## the same as a live page on http://127.0.0.1:4280
	$(BIN)/python -m flows.dashboard --game-day $(DAY) $(if $(DATA),--data "$(DATA)") $(if $(WORKSPACE),--home "$(WORKSPACE)")

drill: $(READY)  ## replay the original's incidents on a scratch server; reports/drills.html; NAMES="dec-29 ..." for some
	$(BIN)/python -m drills $(NAMES)

test: lint types tests  ## what CI runs

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

tests: $(READY)
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder -m "not slow and not chaos"

test-all: $(READY)  ## with the slow tests: real servers and workers, real data where REAL_DATA_DIR is set
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder -m "not chaos"

chaos: $(READY)  ## processes killed at random moments, in full
	$(BIN)/python -m pytest -m chaos

benchmark: $(READY)  ## feature store for a season and for one day, beside pandas; Prefect's share of a run
	$(BIN)/python -m benchmarks.feature_store $(if $(DATA),--data "$(DATA)")
	$(BIN)/python -m benchmarks.prefect_overhead

# Real seasons twice, without news and with a perfect report, in workspaces of their own; else the simulated league.
# What is predicted already is left alone, so an interrupted report goes on where it stopped.
BACKFILL = $(BIN)/python -m flows.backfill --refit monthly
VARIANTS = no-news perfect-report
REAL     = .pipeline/backfill-folder-$(notdir $(abspath $(REAL_DATA_DIR)))

report: $(READY)  ## how good the predictions are: reports/accuracy.html, on real seasons with REAL_DATA_DIR (or HOMES="FOLDER ...")
ifdef HOMES
	$(BIN)/python -m flows.accuracy $(foreach home,$(HOMES),--home "$(home)") --json reports/accuracy.json
else ifdef REAL_DATA_DIR
	for variant in $(subst -,_,$(VARIANTS)); do \
	    for season in "--start 2023-10-24 --end 2024-04-14" "--start 2024-10-22 --end 2025-04-13" \
	        "--start 2025-10-21 --end 2025-12-31"; do \
	        $(BACKFILL) $$season --data "$(REAL_DATA_DIR)" --information $$variant || exit; \
	    done; \
	done
	$(BIN)/python -m flows.accuracy $(foreach variant,$(VARIANTS),--home "$(REAL)-$(variant)") --json reports/accuracy.json
else
	$(BACKFILL) --start 2025-12-01 --end 2026-01-31
	$(BIN)/python -m flows.accuracy --home .pipeline/backfill-simulated-published --json reports/accuracy.json
	$(BIN)/python -m benchmarks.league_filter --home .pipeline/backfill-simulated-published
endif

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@# As constraints too: pip takes a pin for a package's extras only from there.
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock -c requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

COMPILE = uv pip compile pyproject.toml --generate-hashes --python-version 3.11 --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links

lock:  ## resolve the dependencies anew (needs uv)
	$(COMPILE) --extra dev --upgrade -o requirements.lock
	$(COMPILE) --extra dask -c requirements.lock -o requirements-runtime.lock  # what images install: the same, without tools

clean:  ## remove what runs have made; the environment stays
	rm -rf .pipeline .pytest_cache .mypy_cache .ruff_cache .hypothesis
