# Everything happens in .venv. A torch, tensorflow or jax of your own: VENV=path make ...
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
# Those that take longest first, so that two at a time end together.
TESTS := jax-library tensorflow-library torch-library tensorflow-tools jax-tools torch-tools
TOOLS := tests/training tests/tflite tests/benchmarks tests/examples
library := tests $(TOOLS:%=--ignore=%)
tools := $(TOOLS)
DEMO := runs/demo
WEB := tflite/web
MODEL ?= $(wildcard $(DEMO)/model.tflite)
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo web test test-all lint format clean $(TESTS:%=test-%)

help:
	@echo "make demo      install, train on handwritten digits, export to LiteRT, compare (minutes)"
	@echo "make web       build and serve the page that classifies photos; MODEL=file.tflite to offer"
	@echo "make test      install, run all tests under TensorFlow, JAX and PyTorch"
	@echo "make test-all  the same with the slow tests"
	@echo "make lint      ruff and mypy"

demo: $(VENV)/.demo
	KERAS_BACKEND=tensorflow $(RUN) -m training.train --recipe digits --overwrite --output $(DEMO) --require-accuracy 0.97
	KERAS_BACKEND=tensorflow $(RUN) -m tflite.convert $(DEMO)/model.keras -o $(DEMO)/model.tflite
	KERAS_BACKEND=tensorflow $(RUN) -m tflite.verify $(DEMO)/model.tflite --model $(DEMO)/model.keras --data digits

# Needs Node.js, to build; the server is Python's own.
web: $(WEB)/build/index.html | $(VENV)/bin/python
	$(RUN) -m tflite.web $(MODEL)

$(WEB)/build/index.html: $(WEB)/node_modules/.package-lock.json $(wildcard $(WEB)/src/* $(WEB)/*.mjs $(WEB)/tsconfig.json)
	npm --prefix $(WEB) run --silent build

$(WEB)/node_modules/.package-lock.json: $(WEB)/package.json $(WEB)/package-lock.json
	npm --prefix $(WEB) ci
	@touch $@

# A process for each backend, since Keras reads its backend once, at import, and for the library
# and its tools. Two at a time, each with one thread: most of the time goes into compilers, and
# threads would wait for each other.
test: $(VENV)/.dev
	+$(MAKE) --jobs=2 --output-sync=target $(TESTS:%=test-%)

# Eager JAX compiles every operation for every shape, which without most of LLVM's
# optimisations takes a third of the time. `make test-all` has them.
$(TESTS:%=test-%): export JAX_DISABLE_MOST_OPTIMIZATIONS ?= 1
$(TESTS:%=test-%): test-%: $(VENV)/.dev
	OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 KERAS_BACKEND=$(firstword $(subst -, ,$*)) \
	$(RUN) -m pytest --quiet $($(lastword $(subst -, ,$*))) $(PYTEST)

test-all:
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(MAKE) test PYTEST='-m "not network" $(PYTEST)'

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(VENV)/.dev
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf $(VENV) runs $(WEB)/build $(WEB)/node_modules

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# The demo needs one backend; the tests need all three and the reference models.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[tensorflow,training,tflite]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
