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

if [ "${1:-}" = --help ]; then
    usage
    exit 0
fi
if [ "${1:-}" = --install ]; then
    shift
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends tshark ffmpeg chromium fonts-dejavu-core
fi
cd "$(dirname "$0")/.."
ARI_BRIDGE_TOOLS=1 exec cargo test -p ari-bridge-tests --test tools -- --nocapture "$@"
