#!/bin/sh
# Shows what the tools write to other people's programs.
set -eu

usage() {
    cat <<'TEXT'
Usage: run.sh [--install] [WORD...]

Runs the tests that need other people's programs; with words only those whose names contain one.

  --install   install the Debian packages that are missing: tshark, ffmpeg, chromium
  --help      this text
TEXT
}

say() { printf 'run: %s\n' "$*" >&2; }

install=no
case ${1:-} in
    --install) install=yes; shift ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
esac

missing=
command -v tshark >/dev/null || missing="$missing tshark"
command -v ffmpeg >/dev/null || missing="$missing ffmpeg"
# Without a font a browser draws no text.
command -v chromium >/dev/null || missing="$missing chromium fonts-dejavu-core"
if [ -n "$missing" ]; then
    if [ "$install" = no ]; then
        say "missing Debian packages:$missing (--install installs them)"
        exit 1
    fi
    apt-get update -qq
    # Without quotes: a list of words.
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
fi

cd "$(dirname "$0")/../.."
ARI_BRIDGE_TOOLS=1 exec cargo test --locked --package ari-bridge-tests --test tools -- --nocapture "$@"
