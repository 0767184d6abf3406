#!/usr/bin/env bash
# Runs every fuzz target, or those named, for so many seconds each:
#   bash tests/fuzz/run.sh 60 [target...]
# Needs a nightly compiler and a C++ compiler; installs cargo-fuzz where it is missing. What is found
# on the way is kept in target/fuzz/corpus; a reproducer in target/fuzz/artifacts fails the run.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?usage: bash tests/fuzz/run.sh SECONDS [TARGET...]}
shift
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=($(cd tests/fuzz/fuzz_targets && for file in *.rs; do echo "${file%.rs}"; done))

command -v c++ >/dev/null || { echo "c++ is missing: install the package g++" >&2; exit 1; }
cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --version 0.13.2 --locked

fuzz() { # subcommand, arguments...
    local command=$1
    shift
    cargo +nightly fuzz "$command" --fuzz-dir tests/fuzz --target-dir target/fuzz "$@"
}

fuzz build
failed=()
for target in "${targets[@]}"; do
    printf '\n== %s\n' "$target"
    corpus=target/fuzz/corpus/$target artifacts=target/fuzz/artifacts/$target
    mkdir -p "$corpus" "$artifacts"
    # An input may take a gigabyte and ten seconds at most; both would be a way to take the agent down.
    if ! fuzz run "$target" "$corpus" "tests/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$artifacts/" >"$artifacts/log" 2>&1; then
        failed+=("$target")
        grep -E -A5 'panicked at|ERROR: |SUMMARY: ' "$artifacts/log" | head -n 40 || tail -n 40 "$artifacts/log"
        for input in "$artifacts"/{crash,oom,timeout,leak}-*; do
            [ -f "$input" ] || continue
            echo "reproducer: cargo +nightly fuzz run --fuzz-dir tests/fuzz $target $input"
            echo "its bytes, if they are few: $(head -c 4096 "$input" | base64 -w 0)"
        done
    fi
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "$artifacts/log" || true
done
[ "${#failed[@]}" = 0 ] || { echo "FAILED: ${failed[*]}" >&2; exit 1; }
echo "${#targets[@]} targets, nothing found"
