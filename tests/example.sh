#!/usr/bin/env bash
# Starts zonelet as the README does, with the checked-in config.toml, and asks it with dig:
#   bash tests/example.sh target/release/zonelet
set -euo pipefail
zonelet=$1
command -v dig >/dev/null || { echo "dig is missing: install the package bind9-dnsutils" >&2; exit 1; }
log=$(mktemp)
"$zonelet" >"$log" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -f "$log"' EXIT

ask() { dig @127.0.0.1 -p 5300 +tries=1 +time=2 "$@"; }
fail() { echo "FAILED: $*" >&2; cat "$log" >&2; exit 1; }
passed=0
check() { # what, expected, command...
    local what=$1 expected=$2
    shift 2
    local got
    got=$("$@" 2>&1) || true
    case "$got" in
        *"$expected"*) passed=$((passed + 1)) ;;
        *) fail "$what: expected '$expected' in: $got" ;;
    esac
}

for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || fail "zonelet did not stay up"
    if ask +short nginx.nick.test >/dev/null 2>&1; then break; fi
    sleep 0.1
done

check "an address over UDP" "172.31.52.184" ask +short nginx.nick.test
check "its TTL" "3600" ask +noall +answer nginx.nick.test
check "over TCP" "172.31.52.184" ask +tcp +short nginx.nick.test
check "authoritative" "aa" ask +noall +comments nginx.nick.test
check "case is kept in the question" ";NgInX.nIcK.TeSt." ask NgInX.nIcK.TeSt
check "a missing name" "NXDOMAIN" ask no-such-name.nick.test
check "a missing type" "NOERROR" ask nginx.nick.test AAAA
check "a negative has the SOA" "SOA" ask +noall +authority no-such-name.nick.test
check "localhost" "127.0.0.1" ask +short localhost
check "EDNS version 1" "BADVERS" ask +edns=1 +noednsnegotiation nginx.nick.test
check "the start names a dig line" "dig @127.0.0.1 -p 5300" cat "$log"

kill -TERM "$pid"
code=0
wait "$pid" || code=$?
[ "$code" = 0 ] || fail "exit code $code after SIGTERM"
echo "$((passed + 1)) passed, 0 failed"
