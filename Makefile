# Each target is one command on a fresh machine. What it does stands in infra/dev.py, which needs only Python.
#   make test ARGS="-k close"        PYTHON=python3.12 make demo
PYTHON ?= python3
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test up bench check lock doctor clean

help demo test up bench check lock doctor clean:
	@exec $(PYTHON) infra/dev.py $@ $(ARGS)
