# `just` lists these commands. CONTRIBUTING.md has more about checks.

[private]
default:
    @just --list

# Formatting, lints, unit and integration tests: under a minute once built
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo test --workspace --all-features --lib --bins --tests

# All checks, as before a merge
gate:
    .ci/run

# Fuzz each target for a number of seconds
fuzz seconds="60":
    .ci/fuzz {{ seconds }}

# Mutants that no test notices, such as: just mutants --file src/limits.rs
mutants *arguments:
    .ci/mutants {{ arguments }}

# Time of the whole job beside other crates, in about a minute
bench:
    cargo bench --bench compare -- --quick

# The documentation, as docs.rs builds it
docs:
    .ci/docs
