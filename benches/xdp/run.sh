#!/usr/bin/env bash
# The XDP probe: builds it, proves the answers with both hooks, measures. Needs root.
#   bash benches/xdp/run.sh                       # everything; uses target/release/zonelet, or $ZONELET
#   bash benches/xdp/run.sh test                  # the proof alone
#   ROUNDS=9 SECONDS_EACH=2 EDNS=1 bash benches/xdp/run.sh measure
# Debian packages: clang gcc libbpf-dev linux-libc-dev iproute2 ethtool python3
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
what=${1:-all}
case "$what" in all | test | measure) ;; *) echo "run.sh [test|measure]" >&2; exit 2 ;; esac

ZONELET=$(realpath "${ZONELET:-$here/../../target/release/zonelet}")
[ -x "$ZONELET" ] || { echo "no $ZONELET: cargo build --release, or set ZONELET" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "needs root: network namespaces, programs in the kernel" >&2; exit 1; }
OBJECTS=$(mktemp -d)
trap 'rm -rf "$OBJECTS"' EXIT
export ZONELET OBJECTS PYTHONDONTWRITEBYTECODE=1

# Fields of packets are where they are: the kernel's verifier lets x86 read them unaligned.
bpf=(-O2 -g -Wall -Wno-address-of-packed-member -target bpf -mcpu=v3 "-I/usr/include/$(gcc -print-multiarch)")
clang "${bpf[@]}" -c "$here/answer.bpf.c" -o "$OBJECTS/answer.xdp.o"
clang "${bpf[@]}" -DHOOK_TC -c "$here/answer.bpf.c" -o "$OBJECTS/answer.tc.o"
gcc -O2 -Wall -Wextra -o "$OBJECTS/load" "$here/load.c"

if [ "$what" != measure ]; then
    for hook in xdp tc; do
        printf '== answers, %s\n' "$hook"
        (cd "$here" && HOOK=$hook python3 -m unittest -v test_answers test_ends)
    done
fi
if [ "$what" != test ]; then
    printf '== measurements\n'
    python3 "$here/measure.py"
fi
