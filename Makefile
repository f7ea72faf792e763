# Every command of the project. `make setup` is implied wherever it is needed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PROMPT ?= a red fox running through a snowy forest at sunset
OUT ?= out/demo
export PROMPT OUT
BIN := .venv/bin
CODE := proto client engine server nuke_plugin blender_addon tests scripts

.PHONY: help setup demo test test-hosts test-gpu chaos soak fuzz check fmt proto lock blender nuke bench clean

help:        ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup:       ## .venv with everything in it; costs nothing when nothing changed
	@scripts/setup

demo:        ## PROMPT="..." to an EXR layer stack in OUT
	@scripts/setup demo
	@scripts/demo "$$PROMPT" "$$OUT"

# Status 3 says that this machine lacks such a Python. The tests say so again, and skip what needs it.
test: setup  ## every test that needs neither Blender nor a GPU
	@scripts/setup oldest || (($$? == 3))
	@scripts/test $(ARGS)

test-hosts: setup  ## the Blender extension and layer stacks in every Blender there is
	@printf '%s\n' 4.2 4.5 5.0 5.2 | xargs -P 2 -I @ bash -c 'scripts/setup bpy-@ || (($$? == 3))'
	@scripts/test_hosts $(ARGS)

test-gpu: setup  ## what needs a CUDA device
	@$(BIN)/python -m pytest -m gpu $(ARGS)

chaos: setup ## attacks on real servers, for an hour; as root also full disks
	@$(BIN)/python -m pytest tests/chaos --attack-seconds=480 --storm-jobs=500 --timeout=3600 $(ARGS)

soak: setup  ## half an hour on each database with a third of the jobs cancelled: nothing may grow
	@$(BIN)/python -m pytest -s tests/chaos/test_server_soak.py --soak-seconds=1800 --timeout=7200 $(ARGS)

fuzz: setup  ## coverage-guided fuzzing of manifests, specs and EXR headers; ARGS="-max_total_time=60"
	@[[ -d build/fuzz ]] || $(BIN)/python -m pip install -q --target build/fuzz atheris
	@for target in manifest spec exr; do \
		PYTHONPATH=build/fuzz $(BIN)/python scripts/fuzz.py $$target $(or $(ARGS),-max_total_time=300); done

check: setup  ## lint, format, types, import rules, spelling, contract
	@scripts/check

fmt: setup   ## format, and repair what ruff can
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

proto:       ## the stubs beside the .proto files
	@scripts/setup stubs
	@scripts/gen_proto proto

lock: setup  ## hash locks from pyproject.toml; ARGS="--upgrade" for newer versions
	@scripts/lock $(ARGS)

blender: setup  ## the Blender extension, one zip for each platform, in build/blender
	@scripts/setup bpy-4.5
	@$(BIN)/python scripts/build_blender.py $(ARGS)

nuke: setup  ## the Nuke plug-in, one zip for each platform, in build/nuke
	@$(BIN)/python scripts/build_nuke.py $(ARGS)

bench: setup ## ratios against stated baselines
	@for bench in scripts/bench/*.py; do $(BIN)/python "$$bench"; done

clean:       ## everything that can be made again, but not out/
	@rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
