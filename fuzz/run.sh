#!/usr/bin/env bash
# Fuzzes the core of the bridge, on the stable toolchain.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: run.sh [--install] COMMAND

Builds the fuzz targets, each instrumented for libFuzzer, and runs them. README.md in this folder says more.

  corpus                        give every committed input to its target once
  discover SECONDS [TARGET...]  look for new ways through the code for so long, shared among the targets
  night [HOURS]                 the same with all cores; default 8 hours
  minimise [TARGET...]          add what was found to the committed corpus, and keep no more of it than is needed
  seeds                         write what discovery can begin with if there is no corpus
  try TARGET INPUT              give one input to a target, and show what it says

Targets: ari_event call capture_file config realtime_event rtp world

  --install  install what is missing: cargo-fuzz from crates.io, and as root a C++ compiler from Debian
  --help     this text

What is found goes to fuzz/found, which is not committed. An input that crashes a target, takes longer than 20 s or more
than 2 GB is kept in fuzz/artifacts and named at the end; the exit code is 1 then.

  discover 70 call rtp     35 s for each of the two
  night 1                  as long as lunch takes
TEXT
}

say() { printf 'fuzz: %s\n' "$*" >&2; }

all=(ari_event call capture_file config realtime_event rtp world)

# The longest input of each, in bytes. What is longer is slow, and finds little that a short one does not.
longest() {
    case $1 in
        rtp) echo 1024 ;;
        world) echo 2048 ;;
        call) echo 16384 ;;
        *) echo 8192 ;;
    esac
}

# How much of its corpus is committed at most, in bytes: 1.4 MB in all.
most_bytes() {
    case $1 in
        call | capture_file) echo 400000 ;;
        *) echo 120000 ;;
    esac
}

# tests/it/corpus.rs holds the corpus to that.
most_files=200

cargo_fuzz=0.13.2

install=no
case ${1:-} in
    --install) install=yes; shift ;;
    --help | -h) usage; exit 0 ;;
esac
command=${1:-}
[ $# -eq 0 ] || shift

here=$(cd "$(dirname "$0")" && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-$here/target}
bin=$build/$host/release

case $host in
    *-linux-*) ;;
    *) say "this needs Linux, and this is $host"; exit 1 ;;
esac

is_target() {
    local target
    for target in "${all[@]}"; do
        [ "$target" != "$1" ] || return 0
    done
    say "$1 is no target; these are: ${all[*]}"
    exit 2
}

# The tools that a build needs.
need_tools() {
    if ! command -v c++ >/dev/null; then
        if [ "$install" = no ]; then
            say "missing: a C++ compiler, for libFuzzer (--install installs g++)"
            exit 1
        fi
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends g++
    fi
    if ! cargo fuzz --version >/dev/null 2>&1; then
        if [ "$install" = no ]; then
            say "missing: cargo-fuzz (--install installs it, as cargo install cargo-fuzz --locked does)"
            exit 1
        fi
        cargo install --quiet cargo-fuzz --locked --version "$cargo_fuzz"
    fi
}

# Builds one target, or all.
build() {
    [ -z "${ARI_BRIDGE_FUZZ_BUILT:-}" ] || return 0
    need_tools
    # The core is one crate: with one unit of code, as cargo-fuzz has it, it takes three times as long, and is hardly faster.
    cargo fuzz build --fuzz-dir "$here" --target-dir "$build" --sanitizer none --codegen-units 16 "$@"
}

# What all runs of a target have in common.
limits() { echo "-timeout=20 -rss_limit_mb=2048 -max_len=$(longest "$1")"; }

corpus() {
    local target count
    for target in "${all[@]}"; do
        mkdir -p "$here/artifacts/$target"
        count=$(find "$here/corpus/$target" -type f | wc -l)
        # Without quotes: a list of words.
        # shellcheck disable=SC2046
        if ! "$bin/$target" $(limits "$target") -runs=0 -artifact_prefix="$here/artifacts/$target/" \
            "$here/corpus/$target" >"$log" 2>&1; then
            cat "$log" >&2
            say "$target panics on an input of its corpus"
            return 1
        fi
        printf '%-15s %4d inputs, coverage %s\n' "$target" "$count" "$(coverage INITED)"
    done
}

# The coverage in the last line of that kind.
coverage() { sed -n "s/^#[0-9]*[[:space:]]*$1[[:space:]]*cov: \([0-9]*\).*/\1/p" "$log" | tail -n 1; }

# Looks for so many seconds with one target. False if it crashed.
discover_one() {
    local target=$1 seconds=$2 begun=$SECONDS found=$here/found/$1 rate before after
    mkdir -p "$found" "$here/artifacts/$target" "$here/corpus/$target"
    local is_good=yes
    # shellcheck disable=SC2046
    "$bin/$target" $(limits "$target") -max_total_time="$seconds" -print_final_stats=1 -reload=0 \
        -artifact_prefix="$here/artifacts/$target/" "$found" "$here/corpus/$target" >"$log" 2>&1 || is_good=no
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    if [ "$is_good" = no ]; then
        grep -aE -A 4 "panicked at|^SUMMARY|ERROR: libFuzzer" "$log" | head -n 40 >&2 || true
        say "$target: $(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)"
        return 1
    fi
    before=$(coverage INITED) after=$(coverage DONE)
    printf '%-15s %4d s, %6s runs/s, coverage %s, %s of it new\n' \
        "$target" $((SECONDS - begun)) "${rate:-?}" "${after:-?}" "$((${after:-0} - ${before:-0}))"
}

# Looks for so many seconds, which the targets share.
discover() {
    local seconds=$1 target bad=()
    shift
    local targets=("$@")
    [ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")
    local share=$((seconds / ${#targets[@]}))
    [ "$share" -gt 0 ] || share=1
    for target in "${targets[@]}"; do
        discover_one "$target" "$share" || bad+=("$target")
    done
    if [ ${#bad[@]} -gt 0 ]; then
        say "found something in ${bad[*]}; README.md says what to do with it"
        return 1
    fi
}

# All cores, each with one target after the other.
night() {
    local hours=${1:-8} cores
    cores=$(nproc)
    [ "$cores" -le ${#all[@]} ] || cores=${#all[@]}
    local share=$((hours * 3600 * cores / ${#all[@]}))
    export ARI_BRIDGE_FUZZ_BUILT=yes
    printf '%s\n' "${all[@]}" | xargs -P "$cores" -I{} "$here/run.sh" discover "$share" {}
}

# What a person has filed under a telling name stays; the rest has the names that libFuzzer gives.
is_named() { ! [[ $(basename "$1") =~ ^[0-9a-f]{40}$ ]]; }

minimise_one() {
    local target=$1 old=$here/corpus/$1 new file files=0 bytes=0 size
    new=$(mktemp -d) && mkdir -p "$old" "$here/found/$target"
    # shellcheck disable=SC2046
    if ! "$bin/$target" $(limits "$target") -set_cover_merge=1 "$new" "$old" "$here/found/$target" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        return 1
    fi
    while IFS= read -r file; do
        if ! is_named "$file"; then
            rm -- "$file"
        else
            files=$((files + 1)) bytes=$((bytes + $(stat -c %s "$file")))
        fi
    done < <(find "$old" -type f)
    # As far as there is room. They are written in the order in which they bring the most that is new, one after the other.
    while read -r _ _ size file; do
        if [ "$files" -lt "$most_files" ] && [ $((bytes + size)) -le "$(most_bytes "$target")" ]; then
            cp -- "$file" "$old/"
            files=$((files + 1)) bytes=$((bytes + size))
        fi
    done < <(find "$new" -type f -printf '%T@ %i %s %p\n' | sort -k 1,1n -k 2,2n)
    printf '%-15s %4d inputs of %d, %d bytes\n' "$target" "$files" "$(find "$new" -type f | wc -l)" "$bytes"
    rm -r -- "$new"
}

log=$(mktemp)
trap 'rm -f -- "$log"' EXIT

case $command in
    corpus)
        build
        corpus
        ;;
    discover)
        seconds=${1:-}
        [[ $seconds =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }
        shift
        for target in "$@"; do is_target "$target"; done
        build
        discover "$seconds" "$@"
        ;;
    night)
        [[ ${1:-8} =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }
        build
        night "$@"
        ;;
    minimise)
        for target in "$@"; do is_target "$target"; done
        [ $# -gt 0 ] || set -- "${all[@]}"
        build
        for target in "$@"; do minimise_one "$target"; done
        ;;
    seeds)
        cargo run --quiet --manifest-path "$here/../Cargo.toml" --locked --package ari-bridge-tests --example fuzz-seeds \
            -- "$here/found"
        ;;
    try)
        [ $# -eq 2 ] || { usage >&2; exit 2; }
        is_target "$1"
        build "$1"
        RUST_BACKTRACE=${RUST_BACKTRACE:-1} "$bin/$1" -timeout=20 -rss_limit_mb=2048 "$2"
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac
