# Every command of the project. `make setup` is implied wherever it is needed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PROMPT ?= a red fox running through a snowy forest at sunset
OUT ?= out/demo
export PROMPT OUT
BIN := .venv/bin
CODE := proto client engine server tests scripts

.PHONY: help setup demo test test-hosts test-gpu check fmt proto lock bench clean

help:        ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup:       ## .venv with everything in it; costs nothing when nothing changed
	@scripts/setup

demo: setup  ## PROMPT="..." to an EXR layer stack in OUT
	@scripts/demo "$$PROMPT" "$$OUT"

test: setup  ## every test that needs neither Blender nor a GPU
	@scripts/setup oldest
	@$(BIN)/python -m pytest $(ARGS)

test-hosts: setup  ## a layer stack in Blender 4.5 and 5.0 against numpy
	@scripts/setup bpy-4.5
	@scripts/setup bpy-5.0
	@$(BIN)/python -m pytest -m host tests/hosts $(ARGS)

test-gpu: setup  ## what needs a CUDA device
	@$(BIN)/python -m pytest -m gpu $(ARGS)

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

bench: setup ## ratios against stated baselines
	@for bench in scripts/bench/*.py; do $(BIN)/python "$$bench"; done

clean:       ## everything that can be made again, but not out/
	@rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
