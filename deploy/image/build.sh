#!/usr/bin/env bash
# Builds the image of deploy/image/Dockerfile on a Debian machine, as root, without a registry
# of images, a container engine or namespaces: buildah from scratch, chroot isolation. Then it
# tries the image from its own root directory, as its own user.
#
#   deploy/image/build.sh [TAG]            default: zonelet:<version of Cargo.toml>
#
# Environment:
#   ZONELET_TARGET_DIR  where cargo builds (default: target/image)
#   ZONELET_BINARY      a static binary to pack instead of building one
#   ZONELET_ARCHIVE     also write the image to this file (OCI archive), for `skopeo copy`
#   SOURCE_DATE_EPOCH   time stamp inside the image (default: that of the last commit)
#
# Debian packages: buildah binutils ca-certificates gcc libcap2-bin bind9-dnsutils
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
top="$(cd "$here/../.." && pwd)"
cd "$top"

readonly UID_IN_IMAGE=65532
readonly ROOTS=/etc/ssl/certs/ca-certificates.crt

fail() { echo "build.sh: $*" >&2; exit 1; }

need() { # command, package
    command -v "$1" >/dev/null || fail "$1 is missing: install Debian's package $2"
}

need cargo "(rustup, see README)"
need buildah buildah
need readelf binutils
need strip binutils
need setcap libcap2-bin
need dig bind9-dnsutils
need chroot coreutils
[ -r "$ROOTS" ] || fail "$ROOTS is missing: install Debian's package ca-certificates"
[ "$(id -u)" = 0 ] || fail "needs root, for file capabilities and chroot"

version="$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)"
tag="${1:-zonelet:$version}"
epoch="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"

work="$(mktemp -d)"
server=""
cleanup() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
    for container in $(store containers --quiet 2>/dev/null); do store umount "$container" >/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

# Everything of this run in a store of its own, so that nothing on the machine is touched.
store() { buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }
export BUILDAH_ISOLATION=chroot

# --- the static binary ---------------------------------------------------------------------
build() {
    local target target_dir
    target="$(rustc -vV | sed -n 's/^host: //p')"
    target_dir="${ZONELET_TARGET_DIR:-$top/target/image}"
    # --target, even for the machine's own kind: without it the flags would also reach
    # procedural macros, which cannot be linked statically. The cfg takes random numbers from the
    # system call: looked for in a shared library, as by default, it is not found, and there may
    # be no /dev/urandom instead.
    RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"' \
        CARGO_TARGET_DIR="$target_dir" \
        cargo build --release --locked --bin zonelet --target "$target"
    binary="$target_dir/$target/release/zonelet"
}

is_static() { # no interpreter, no shared library
    ! readelf --program-headers "$1" | grep -q INTERP && ! readelf --dynamic "$1" | grep -q NEEDED
}

binary="${ZONELET_BINARY:-}"
[ -n "$binary" ] || build
is_static "$binary" || fail "$binary is not statically linked"

mkdir -p "$work/root/etc/zonelet" "$work/root/etc/ssl/certs"
install -m 0755 "$binary" "$work/root/zonelet"
strip "$work/root/zonelet"
setcap cap_net_bind_service=+ep "$work/root/zonelet"
install -m 0644 "$ROOTS" "$work/root$ROOTS"

# --- the image -----------------------------------------------------------------------------
container="$(store from scratch)"
store copy --quiet --chown 0:0 "$container" "$work/root/" / >/dev/null
store config \
    --user "$UID_IN_IMAGE:$UID_IN_IMAGE" \
    --workingdir /etc/zonelet \
    --port 53/udp --port 53/tcp \
    --entrypoint '["/zonelet"]' --cmd run \
    --label org.opencontainers.image.title=zonelet \
    --label "org.opencontainers.image.version=$version" \
    --label "org.opencontainers.image.description=$(sed -n 's/^description = "\(.*\)"$/\1/p' Cargo.toml)" \
    --label "org.opencontainers.image.licenses=$(sed -n 's/^license = "\(.*\)"$/\1/p' Cargo.toml)" \
    "$container"
store commit --quiet --timestamp "$epoch" "$container" "$tag" >/dev/null
store rm "$container" >/dev/null
echo "built $tag"

# --- the trial: the committed image, from its root directory, as its user ------------------
trial="$(store from --pull-never "$tag")"
root="$(store mount "$trial")"
getcap "$root/zonelet" | grep -q cap_net_bind_service || fail "the image lost the binary's file capability"

inside=(chroot --userspec="$UID_IN_IMAGE:$UID_IN_IMAGE" "$root" /zonelet)

"${inside[@]}" --version | grep -F "$version" || fail "--version does not say $version"

# An address of the loopback network that nobody else uses, so that port 53 is free and shows
# that the file capability works.
readonly ADDRESS=127.153.53.53
mkdir -p "$root/etc/zonelet"
cat >"$root/etc/zonelet/corp.internal.zone" <<'ZONE'
$ORIGIN corp.internal.
$TTL 300
@    IN SOA ns hostmaster 1 7200 900 1209600 30
@    IN NS  ns
ns   IN A   192.0.2.1
db   IN A   192.0.2.53
ZONE
cat >"$root/etc/zonelet/config.toml" <<CONFIG
[server]
listen = ["$ADDRESS:53"]
[admin]
listen = ""
[[source]]
kind = "file"
path = "corp.internal.zone"
CONFIG
"${inside[@]}" check --config /etc/zonelet/config.toml

# In the background without a function around it, so that $! is zonelet itself.
"${inside[@]}" run --config /etc/zonelet/config.toml >"$work/log" 2>&1 &
server=$!

ask() { dig "@$ADDRESS" +norecurse +short +tries=1 +time=1 "$@" 2>/dev/null; }

for _ in $(seq 1 50); do
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; fail "zonelet run ended early"; }
    answer="$(ask db.corp.internal A || true)"
    [ "$answer" = 192.0.2.53 ] && break
    sleep 0.2
done
[ "$answer" = 192.0.2.53 ] || { cat "$work/log" >&2; fail "no answer over UDP, got '$answer'"; }
[ "$(ask +tcp db.corp.internal A)" = 192.0.2.53 ] || fail "no answer over TCP"

kill -TERM "$server"
wait "$server" || fail "zonelet run did not exit with 0 after SIGTERM"
server=""
echo "tried $tag: answered over UDP and TCP from port 53 as user $UID_IN_IMAGE"

if [ -n "${ZONELET_ARCHIVE:-}" ]; then
    store push --quiet "$tag" "oci-archive:$ZONELET_ARCHIVE:$tag"
    echo "wrote $ZONELET_ARCHIVE"
fi
