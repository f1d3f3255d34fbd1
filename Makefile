.DEFAULT_GOAL := help
.PHONY: help demo test bench chaos fill night screenshots tools

# The tour builds without optimisation: it compiles sooner, and the library waits for the database anyway.
DEMO_ARGS = $(if $(INTERACTIVE),--interactive)

help: ## Says what there is to make.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

tools:
	@command -v cargo >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing, which Rust needs to link (Debian and Ubuntu: apt-get install gcc libc6-dev; macOS: xcode-select --install)" >&2; exit 1; }

demo: tools ## Plays a tour of a sign-up application and prints the ledger; INTERACTIVE=1 stays up instead.
	@if [ -z "$$DATABASE_URL" ]; then sh scripts/postgres.sh >/dev/null; fi
	cargo run --quiet --example demo -- $(DEMO_ARGS)

test: tools ## Runs everything that the continuous integration runs.
	@sh scripts/postgres.sh >/dev/null
	@sh scripts/pgbouncer.sh
	@sh scripts/chromium.sh
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	cargo clippy --test chaos --test night --test screenshots --all-features -- -D warnings
	cargo clippy --no-default-features -- -D warnings
	cargo test --all-features
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
	cargo package --allow-dirty --no-verify
	$(MAKE) chaos ARGS=--short
	env -u DATABASE_URL $(MAKE) demo

fill: tools ## Fills a queue with ROWS=10000000 jobs in all states, to try the operator's command line on.
	@if [ -z "$$DATABASE_URL" ]; then sh scripts/postgres.sh >/dev/null; fi
	cargo run --quiet --release --features cli --example fill -- $(if $(ROWS),--rows $(ROWS))

night: tools ## Asks a night's questions of a queue with ROWS=10000000 jobs, by command line and browser, and times them.
	@sh scripts/postgres.sh >/dev/null
	@sh scripts/chromium.sh
	cargo build --quiet --release --features cli --example fill
	cargo test --quiet --release --features cli,web --test night -- $(if $(ROWS),--rows $(ROWS))

bench: tools ## Measures the library beside bare loops; ARGS="--quick", ARGS="--help", ARGS="drain tx".
	@if [ -z "$$DATABASE_URL" ]; then sh scripts/postgres.sh >/dev/null; fi
	cargo bench --quiet --bench queue -- $(ARGS)

chaos: tools ## Plays faults against real processes and servers; ARGS="--short", ARGS="--help", ARGS="kill server".
	@sh scripts/postgres.sh >/dev/null
	@sh scripts/faketime.sh
	cargo test --quiet --all-features --test chaos -- $(ARGS)

screenshots: tools ## Takes pictures of the dashboard's pages, into docs/screenshots.
	@sh scripts/postgres.sh >/dev/null
	@sh scripts/chromium.sh
	cargo test --quiet --features web --test screenshots
