# SPDX-License-Identifier: Apache-2.0
PYTHON ?= python

.DEFAULT_GOAL := help
.PHONY: help install test check types format golden tables sweep docs faults bench constructs clients dynamic clean

help: ## Show these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: ## Install lading in place, with all that development needs
	$(PYTHON) -m pip install -c constraints.txt -e '.[test]'

test: ## Run the tests on two processes
	$(PYTHON) -m pytest -n 2 -q

check: ## Lint, check formatting and types
	ruff check .
	ruff format --check .
	$(MAKE) --no-print-directory types

# The package is put together from four folders; mypy wants to see it as one.
types: ## Check the types
	@rm -rf .types && mkdir -p .types/lading
	@ln -s $(CURDIR)/lading/* $(CURDIR)/pipeline $(CURDIR)/passes $(CURDIR)/recipes .types/lading/
	cd .types && $(PYTHON) -m mypy --config-file ../pyproject.toml -p lading

format: ## Format the code and mend what the linter can mend
	ruff format .
	ruff check --fix .

golden: ## Write the golden plans anew; read the difference before committing it
	$(PYTHON) -m pytest -q tests/pipeline --golden

tables: ## Write the generated tables of the documentation anew
	$(PYTHON) docs/tables.py

sweep: ## Export PyTorch's operator database at eleven opsets and write docs/operators.md; hours, goes on where it ended
	OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(PYTHON) -m operators.sweep --log .sweep.jsonl
	$(PYTHON) docs/tables.py
	rm -f .sweep.jsonl

docs: ## Build the documentation into site/, strictly (needs the extra "docs")
	$(PYTHON) -m mkdocs build --strict --quiet

faults: ## Kill two thousand exports while they replace a model, and look at what is left
	PYTHONPATH=tests $(PYTHON) tests/faults/kills.py --moments 2000

bench: ## Measure exports against both stock exporters and write benchmarks/README.md
	$(PYTHON) benchmarks/export_speed.py --write
	$(PYTHON) benchmarks/scaling.py --write
	$(PYTHON) benchmarks/large_models.py --write
	$(PYTHON) benchmarks/graph_quality.py --write

constructs: ## Run all three exporters on the models of tests/constructs and write benchmarks/README.md (an hour of CPU)
	$(PYTHON) benchmarks/constructs.py --write

dynamic: ## Export a hundred models with every size free, by all three exporters, and write benchmarks/README.md
	$(PYTHON) benchmarks/dynamic.py

clients: ## Run libraries' own exports under lading and under both stock exporters, and write benchmarks/README.md
	$(PYTHON) benchmarks/clients/clients.py --write

clean: ## Remove what building and testing leave
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .types .sweep.jsonl
