# Topshelf's commands. `make` alone lists them.
# One environment, .venv, holds everything; nothing outside of this folder is written, apart from download caches.

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
UV := $(BIN)/uv
PACKAGES := conf models stores jobs serving sim assets dagster_project cli bench
INITS := $(wildcard $(addsuffix /__init__.py,$(PACKAGES)))
CODE := $(patsubst %/__init__.py,%,$(INITS))
# Processes of tests. Each starts a Spark of its own: for some few tests `make test WORKERS=0` is faster.
WORKERS := 2
COMPILE := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help run test soak bench relevance check format docs serve ui lock clean tools
.NOTPARALLEL:
.DELETE_ON_ERROR:
# Containers often set it: then each process compiles every module anew, and PyTorch alone takes seconds of that.
unexport PYTHONDONTWRITEBYTECODE

help: ## list these commands
	@echo "Topshelf: the best items for every active user, worked out every hour and served by user id."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  make run DATA=folder reads your own data (docs/data.md); docs/commands.md has every command."

run: tools $(STAMPS)/runtime $(STAMPS)/project $(STAMPS)/jars ## the whole way once, with a demo world or DATA=folder
	@$(BIN)/topshelf tour $(if $(DATA),"$(DATA)")

test: tools $(STAMPS)/dev $(STAMPS)/project $(STAMPS)/jars $(STAMPS)/s3a $(STAMPS)/services ## run every test; ARGS="-k words" chooses
	$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder $(ARGS)

soak: tools $(STAMPS)/dev $(STAMPS)/project $(STAMPS)/jars $(STAMPS)/s3a $(STAMPS)/services ## what takes long: faults at length, a step on a Spark cluster, hours run again
	$(BIN)/python -m pytest -m soak $(ARGS)

check: $(STAMPS)/dev $(STAMPS)/project ## style, types, layers, the docs' links and generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest tests/docs

bench: tools $(STAMPS)/dev $(STAMPS)/project $(STAMPS)/jars $(STAMPS)/services ## measure, beside peers: JSON lines; FULL=1: the stated sizes
	@$(BIN)/python -m bench $(if $(FULL),--full) $(ARGS)

relevance: tools $(STAMPS)/dev $(STAMPS)/project $(STAMPS)/jars ## how good the lists are, beside other recommenders; DATA=folder
	@$(BIN)/python -m bench.relevance --data "$(or $(DATA),$(error name the data: make relevance DATA=folder))" $(ARGS)

format: $(STAMPS)/dev ## format the code, with the fixes ruff is sure of
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMPS)/runtime $(STAMPS)/project ## write docs/tables.md, settings.md and commands.md anew
	$(BIN)/topshelf docs

serve: $(STAMPS)/runtime $(STAMPS)/project ## start the HTTP service
	$(BIN)/topshelf serve

ui: tools $(STAMPS)/runtime $(STAMPS)/project $(STAMPS)/jars ## how things stand, and the pipeline in the Dagster UI
	$(BIN)/topshelf ui

lock: $(STAMPS)/uv ## resolve the locks anew; UPGRADE=1 takes the newest versions
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra build -o requirements.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra build --extra dev --extra bench --extra onnx \
		-c requirements.lock -o requirements-dev.lock
	echo uv | $(COMPILE) $(if $(UPGRADE),--upgrade) - -o requirements-bootstrap.lock

clean: ## remove the environment and the caches; your data in var/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

tools:
	@sh .ci/preflight > /dev/null

# A stamp is the name of what is installed; a lock that is newer than its stamp is installed again.

$(STAMPS)/uv: requirements-bootstrap.lock
	@python=$$(sh .ci/preflight) || exit 1; \
	if [ ! -x $(BIN)/python ]; then echo "making $(VENV) with $$python"; "$$python" -m venv $(VENV); fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/runtime: requirements.lock $(STAMPS)/uv
	@echo "installing the locked packages (several GB the first time, most of it PyTorch)"
	@$(UV) pip install --python $(BIN)/python --require-hashes --build-constraints requirements.lock -r requirements.lock
	@touch $@

$(STAMPS)/dev: requirements-dev.lock $(STAMPS)/uv
	@echo "installing the locked packages and the test tools (several GB the first time, most of it PyTorch)"
	@$(UV) pip install --python $(BIN)/python --require-hashes --build-constraints requirements.lock \
		-r requirements-dev.lock
	@touch $@

$(STAMPS)/project: pyproject.toml $(INITS)
	@$(UV) pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/jars: conf/jars.lock $(STAMPS)/project
	@$(BIN)/topshelf jars
	@touch $@

$(STAMPS)/s3a: conf/s3a.lock $(STAMPS)/jars
	@$(BIN)/topshelf --set lake.root=s3a://bucket/lake jars
	@touch $@

$(STAMPS)/services: $(wildcard conf/services/*.lock) $(STAMPS)/project
	@$(BIN)/topshelf services fetch
	@touch $@
