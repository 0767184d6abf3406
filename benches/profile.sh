#!/usr/bin/env bash
# Flame graphs of where a query's time goes; docs/profiling.md says how to read them.
#   bash benches/profile.sh [DIRECTORY [SCENARIO...]]     by default: docs/profile hit miss
# Needs root (perf and a network namespace) and two CPUs.
set -euo pipefail
cd "$(dirname "$0")/.."

graphs=${1:-docs/profile}
scenarios=("${@:2}")
[ "${#scenarios[@]}" -gt 0 ] || scenarios=(hit miss)
recordings=target/profile
inferno=0.12.8

command -v perf >/dev/null 2>&1 || { echo "perf is missing: apt-get install linux-perf" >&2; exit 1; }
[[ "$(inferno-flamegraph --version 2>/dev/null)" == *" $inferno" ]] || cargo install inferno --version "$inferno" --locked

# Frame pointers let perf follow the stacks; only this build has them.
RUSTFLAGS="-C force-frame-pointers=yes" cargo build --profile profiling --no-default-features --bin zonelet
cargo bench --no-default-features --bench peers -- "${scenarios[@]}" --servers zonelet --seconds 4 \
    --build profiling=target/profiling/zonelet --profile "$recordings" --out target/peers-profile

mkdir -p "$graphs"
for scenario in "${scenarios[@]}"; do
    perf script --input "$recordings/$scenario.perf" --no-inline 2>/dev/null |
        inferno-collapse-perf >"$recordings/$scenario.folded"
    # Frames below half a percent are left out: nobody sees them, and they are most of the file.
    # The pictures stand still: the script that inferno puts in, and what it works with, are taken out.
    inferno-flamegraph --title "$scenario: on-CPU time of the answering process" --width 1400 --minwidth 0.5 --hash \
        "$recordings/$scenario.folded" |
        perl -0pe 's/<script.*?<\/script>//s; s/ onload="[^"]*"//; s/<text id="(search|unzoom|matched)".*?<\/text>//gs' \
            >"$graphs/$scenario.svg"
    echo "$graphs/$scenario.svg: $(wc -c <"$graphs/$scenario.svg") bytes"
done
