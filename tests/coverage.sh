#!/bin/sh
# Tells which lines of the core the whole calls reach: replayed captures, arbitrary calls, simulated ones.
set -eu

# What drives the core as a process does, by bytes and time alone; each is a module of tests/it. Unit tests do not
# count: a line that only its own unit test reaches is one that no call is known to reach.
WHOLE_CALLS="captures:: call_properties:: simulation:: corpus::"

# Tables that the compiler works out: no program runs these lines, and none can be seen to.
COMPILED='^(g711|codec/g722/tables)\\.rs$'

# How much of its lines a file should have reached. Those below are listed; it is the sum that must hold.
FILE_FLOOR=90

usage() {
    cat <<'TEXT'
Usage: coverage.sh [--install] [--floor PERCENT] [--all] [--lines DIR] [--may-be-missing]

Runs the tests that drive the core with whole calls, on a build that counts lines, and prints how many lines of
each ring they reach (tests/it/tidy.rs lists the rings). Fails if it is less of rings 0 to 3 than the floor.

  --install         install what is missing: cargo-llvm-cov, and the Debian package of the LLVM that rustc has
  --floor           the least share of the lines of rings 0 to 3, in percent; default 95
  --all             run the rest of the integration tests and the core's unit tests too, and print that share beside
  --lines           write here, for each file, which lines were not reached
  --may-be-missing  succeed, and say so, where the tools cannot be had
  --help            this text
TEXT
}

say() { printf 'coverage: %s\n' "$*" >&2; }

install=no floor=95 all=no lines= may_be_missing=no
while [ $# -gt 0 ]; do
    case $1 in
        --install) install=yes ;;
        --floor) shift; floor=${1:?--floor needs a number} ;;
        --all) all=yes ;;
        --lines) shift; lines=$(realpath -m "${1:?--lines needs a folder}") ;;
        --may-be-missing) may_be_missing=yes ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

cannot() {
    say "$*"
    if [ "$may_be_missing" = yes ]; then
        say "nothing was measured"
        exit 0
    fi
    exit 1
}

# The tools must be of the LLVM that rustc was built with: the format of what they read changes with it. Rustup has
# them as the component llvm-tools, which cargo-llvm-cov finds for itself.
have_llvm() {
    llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    for tool in "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-cov; do
        [ -x "$tool" ] && return 0
    done
    command -v "llvm-cov-$llvm" >/dev/null && command -v "llvm-profdata-$llvm" >/dev/null || return 1
    LLVM_COV=$(command -v "llvm-cov-$llvm") LLVM_PROFDATA=$(command -v "llvm-profdata-$llvm")
    export LLVM_COV LLVM_PROFDATA
}

if ! have_llvm; then
    [ "$install" = yes ] || cannot "missing Debian package: llvm-$llvm (--install installs it)"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "llvm-$llvm"; } ||
        cannot "the Debian package llvm-$llvm cannot be had here; rustup's component llvm-tools does as well"
    have_llvm || cannot "llvm-$llvm was installed and brought no llvm-cov-$llvm"
fi
if ! cargo llvm-cov --version >/dev/null 2>&1; then
    [ "$install" = yes ] || cannot "missing: cargo-llvm-cov (--install installs it)"
    cargo install --quiet --locked cargo-llvm-cov || cannot "cargo-llvm-cov cannot be had here"
fi

cd "$(dirname "$0")/.."
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

# One code-generation unit: what lies in another one and is called by nobody would be left out by the linker, and
# would not count as a line at all.
export CARGO_PROFILE_DEV_CODEGEN_UNITS=1 CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
# A build of `it` alone has the core as its users have it: what stands under #[cfg(test)] is not in it.
cargo llvm-cov clean --profraw-only
# Without quotes: a list of words.
# shellcheck disable=SC2086
cargo llvm-cov --no-report --locked --package ari-bridge-tests --test it -- --quiet $WHOLE_CALLS
cargo llvm-cov report --lcov --output-path "$found/calls"
if [ "$all" = yes ]; then
    cargo llvm-cov --no-report --locked --package ari-bridge-tests --test it -- --quiet
    cargo llvm-cov --no-report --locked --package ari-bridge-core --lib -- --quiet
    cargo llvm-cov report --lcov --output-path "$found/all"
fi

# "0 actions", "0 fault", …: each module of the core and its ring.
awk '/^const RINGS/ { inside = 1; next }
    inside && /^];/ { exit }
    inside {
        gsub(/[[:space:]]/, "")
        while (match($0, /&\[|"[a-z0-9_]+"/)) {
            word = substr($0, RSTART, RLENGTH); $0 = substr($0, RSTART + RLENGTH)
            if (word == "&[") ring++; else { gsub(/"/, "", word); print ring - 1, word }
        }
    }' tests/it/tidy.rs >"$found/rings"
[ "$(cut -d' ' -f1 "$found/rings" | sort -u | wc -l)" = 5 ] || { say "tests/it/tidy.rs has no five RINGS"; exit 1; }

# "ring file line count" for each line that is code. Of the unit tests' build only those lines: it has the tests too.
lines_of() {
    awk -v rings="$found/rings" -v compiled="$COMPILED" '
        BEGIN { while ((getline entry < rings) > 0) { split(entry, pair, " "); ring[pair[2]] = pair[1] } }
        /^SF:/ {
            file = ""
            if (match($0, /\/core\/src\//)) {
                file = substr($0, RSTART + RLENGTH); module = file
                sub(/[\/.].*/, "", module)
                if (!(module in ring) || file ~ /(^|\/)tests?(\/|\.rs$)/ || file ~ compiled) file = ""
            }
        }
        file != "" && /^DA:/ { split(substr($0, 4), at, ","); print ring[module], file, at[1], at[2] }
    ' "$1"
}
lines_of "$found/calls" >"$found/calls.lines"
if [ "$all" = yes ]; then
    lines_of "$found/all" |
        awk 'FNR == NR { is_code[$2 " " $3] = 1; next } ($2 " " $3) in is_code' "$found/calls.lines" - >"$found/all.lines"
fi

# A table of the rings, the files below FILE_FLOOR, and 1 if rings 0 to 3 are below the floor.
table() {
    awk -v floor="$floor" -v file_floor="$FILE_FLOOR" '
        function share(some, of) { return of ? 100 * some / of : 100 }
        { of[$1]++; in_file[$2]++; ring_of[$2] = $1 }
        $4 > 0 { reached[$1]++; in_file_reached[$2]++ }
        END {
            printf "%-14s %8s %8s %7s\n", "ring", "lines", "reached", "%"
            for (r = 0; r <= 4; r++) {
                printf "%-14s %8d %8d %7.2f\n", r, of[r], reached[r], share(reached[r], of[r])
                if (r <= 3) { sum += of[r]; sum_reached += reached[r] }
            }
            printf "%-14s %8d %8d %7.2f\n", "0 to 3", sum, sum_reached, share(sum_reached, sum)
            printf "\nfiles of rings 0 to 3 below %d %%:\n", file_floor
            for (file in in_file) {
                s = share(in_file_reached[file], in_file[file])
                if (ring_of[file] <= 3 && s < file_floor)
                    printf "%7.2f  %4d not reached  %s\n", s, in_file[file] - in_file_reached[file], file | "sort -n"
            }
            close("sort -n")
            if (sum == 0 || share(sum_reached, sum) < floor) exit 1
        }' "$1"
}

if [ -n "$lines" ]; then
    rm -rf "$lines" && mkdir -p "$lines"
    awk -v dir="$lines" '$4 == 0 && $1 <= 3 { name = $2; gsub(/\//, "-", name); print $3 >(dir "/" name ".txt") }' \
        "$found/calls.lines"
fi
if [ "$all" = yes ]; then
    printf '\nAll of tests/it and the unit tests of the core:\n'
    table "$found/all.lines" || true
fi
printf '\nWhole calls (%s):\n' "$WHOLE_CALLS"
if ! table "$found/calls.lines"; then
    say "less than $floor % of the lines of rings 0 to 3"
    exit 1
fi
