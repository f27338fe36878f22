# Two commands do everything on a fresh Debian or Ubuntu machine with Rust:
#   make run    builds and starts the service, ready to take its first order
#   make test   runs every test there is
# Both install the Debian packages that they need, without starting a system MariaDB.

CARGO ?= cargo
SERVE_FLAGS ?=

.PHONY: run build test check test-rust test-mariadb test-clients bench docs packages test-packages clean

run: packages build
	exec target/release/openpeta serve $(SERVE_FLAGS)

build:
	$(CARGO) build --release --bin openpeta

test: test-packages check test-rust test-mariadb test-clients

# Formatting, lints, licences and layering: cheap, so first.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	scripts/cargo-tool.sh cargo-deny
	$(CARGO) deny --log-level error check bans licenses sources

test-rust:
	scripts/cargo-tool.sh cargo-nextest
	$(CARGO) nextest run --workspace --profile ci

# MariaDB's own tests, directly and through the gateway: a fifth of the regression files, and the
# client library's.
test-mariadb:
	$(CARGO) build --workspace --example relay_one
	tests/mariadb-test/regression_files.py
	tests/mariadb-test/client_tests.py

# The vendor's SDKs and the MySQL drivers of several languages against the real binary: the one
# that the tests above were built with, since fail points exist in the debug build only.
test-clients:
	$(CARGO) nextest run --workspace --no-run
	OPENPETA_BIN=$(CURDIR)/target/debug/openpeta OPENPETA_DEBUG_BIN=$(CURDIR)/target/debug/openpeta \
		tests/clients/run.sh

bench: test-packages build
	bench/run.sh

# Writes docs/api from the action table; a test fails when it is stale.
docs:
	$(CARGO) xtask docs

packages:
	scripts/install-packages.sh

test-packages:
	scripts/install-packages.sh --tests

clean:
	$(CARGO) clean
