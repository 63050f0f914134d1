#!/bin/sh
# Calls the bridge on a real Asterisk and listens at the caller's end.
set -eu

usage() {
    cat <<'TEXT'
Usage: run.sh [--install] [--release] [--runtime smol|tokio] [--only WORD,WORD...] [--captures DIR]

Provisions Asterisk 22 (see provision.sh), builds the bridge and runs the scenarios. Needs root, for the chroot.

  --install   install the Debian packages that are missing: mmdebstrap, sip-tester, ffmpeg
  --release   test the optimised build
  --runtime   the runtime to test; default smol
  --only      run only the scenarios whose names contain one of the words; "echo", "keys:", "telephone:" and
              "facts" need no bridge
  --captures  keep a scrubbed capture of each scenario in this folder, as tests/captures has them
  --help      this text

  ARI_BRIDGE_ASTERISK_DIR    where Asterisk is, or is put
  ARI_BRIDGE_BIN             the bridge to test; default the one that is built here
TEXT
}

say() { printf 'run: %s\n' "$*" >&2; }

install=no
profile=
program=ari-bridge package=ari-bridge-smol
only=
captures=
while [ $# -gt 0 ]; do
    case $1 in
        --install) install=yes ;;
        --release) profile=--release ;;
        --runtime)
            shift
            case ${1:-} in
                smol) ;;
                tokio) program=ari-bridge-tokio package=ari-bridge-tokio ;;
                *) usage >&2; exit 2 ;;
            esac
            ;;
        --only) shift; only=${1:?--only needs a word} ;;
        --captures) shift; captures=$(realpath -m "${1:?--captures needs a folder}") ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

if [ "$(id -u)" != 0 ]; then
    say "this needs root: Asterisk runs in a chroot"
    exit 1
fi

here=$(cd "$(dirname "$0")" && pwd)
missing=
command -v mmdebstrap >/dev/null || command -v debootstrap >/dev/null || missing="$missing mmdebstrap"
command -v sipp >/dev/null || missing="$missing sip-tester"
command -v ffmpeg >/dev/null || missing="$missing ffmpeg"
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

"$here/provision.sh"
cd "$here/../.."
# Without quotes: one word or none.
# shellcheck disable=SC2086
{
    [ -n "${ARI_BRIDGE_BIN:-}" ] || cargo build --locked $profile --package "$package"
    ARI_BRIDGE_ASTERISK=1 ARI_BRIDGE_ASTERISK_ONLY=$only ARI_BRIDGE_PROGRAM=$program \
        ARI_BRIDGE_KEEP_CAPTURES=$captures \
        cargo test --locked $profile --package ari-bridge-tests --test asterisk -- --nocapture
}
