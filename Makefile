# Plain `make` lists the targets.  Every target sets up what it needs, once, in $(VENV).

PYTHON ?= python3
VENV ?= .venv
PREFIX ?= /usr/local
DESTDIR ?=
BIN := $(VENV)/bin
RECIPE := setup.cfg pyproject.toml .ci/venv
PYTEST = -m pytest -q
# The black-box tests wait for most of their time: four at once, however many processors there are.
FOUR = -n 4 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test soak check format bench bench-served bench-sockets install uninstall clean

help: ## list these targets
	@echo "make TARGET [PYTHON=python3]"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

demo: $(VENV)/.demo ## serve examples/hello and restart it whenever you edit it
	@echo
	@echo "  1. Open the address that is printed below."
	@echo "  2. Change MESSAGE in examples/hello/app.py, save, look at the page again."
	@echo "  3. Ctrl-C ends it, and everything it started."
	@echo
	@$(BIN)/reloaderd watch examples/hello -- $(BIN)/python examples/hello/app.py

test: $(VENV)/.test ## run every test, and most of them on every other Python that is found
	@.ci/tools
	$(BIN)/python $(PYTEST) $(FOUR)
	@.ci/others $(PYTHON) $(PYTEST) $(FOUR)

soak: $(VENV)/.test ## whatever can happen, to a real one, until it breaks: SECONDS=600 SEED=7 BACKEND=poll
	$(BIN)/python -m tests.soak $(addprefix --seconds ,$(SECONDS)) $(addprefix --seed ,$(SEED)) \
		$(addprefix --backend ,$(BACKEND))

check: $(VENV)/.test ## the quick ones before a commit: format, lint, types, layers, unit tests
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --strict reloaderd
	$(BIN)/python $(PYTEST) tests/unit

format: $(VENV)/.test ## put the sources into the form that `make check` asks for
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

bench: $(VENV)/.demo ## measure reloaderd next to the tools that do the same
	$(BIN)/python -m benchmarks

bench-served: $(VENV)/.demo ## measure from a save until it is served, and the requests refused meanwhile
	$(BIN)/python -m benchmarks.served

bench-sockets: $(VENV)/.test ## restart servers under 200 requests a second: RESTARTS=50
	RESTARTS=$(or $(RESTARTS),50) $(BIN)/python $(PYTEST) -rP tests/daemon/test_keep_sockets.py \
		tests/daemon/test_overlap.py -k "nobody" | grep "restarts, "

install: ## reloaderd for all users of this machine: PREFIX=/usr/local DESTDIR=
	@.ci/install "$(PYTHON)" "$(PREFIX)" "$(DESTDIR)"

uninstall: ## remove what `make install` has installed there
	@.ci/install --remove "$(PREFIX)" "$(DESTDIR)"

clean: ## remove everything that these targets made
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than what says what to install: install again.
$(VENV)/.demo: $(RECIPE)
	@.ci/venv $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.test: $(RECIPE)
	@.ci/venv $(PYTHON) $(VENV) test
	@touch $@ $(VENV)/.demo
