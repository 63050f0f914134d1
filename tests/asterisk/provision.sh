#!/bin/sh
# Puts Asterisk 22 from Debian's unstable suite into a folder of its own. Nothing is installed on this machine.
set -eu

usage() {
    cat <<'TEXT'
Usage: provision.sh [--again] [--print]

Makes a Debian root file system with Asterisk 22 in it, about 350 MB, and leaves it alone if it is there already.

  --again   make it anew
  --print   only say which folder and which mirror would be used
  --help    this text

Needs root and either mmdebstrap or debootstrap.

  ARI_BRIDGE_ASTERISK_DIR    the folder; default $XDG_CACHE_HOME/ari-bridge/asterisk-22, where XDG_CACHE_HOME is
                             ~/.cache unless set
  ARI_BRIDGE_DEBIAN_MIRROR   the mirror; default the one that this machine's apt uses for its own Debian suite,
                             http://deb.debian.org/debian where there is none
TEXT
}

say() { printf 'provision: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

suite=unstable
packages=asterisk,asterisk-modules,ca-certificates
dir=${ARI_BRIDGE_ASTERISK_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/ari-bridge/asterisk-22}
again=no
print=no
for argument in "$@"; do
    case $argument in
        --again) again=yes ;;
        --print) print=yes ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

# "suite uri" of every binary source, from the deb822 files and from the one-line lists.
apt_sources() {
    parts=${APT_ETC:-/etc/apt}
    for file in "$parts"/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        # One stanza is one record. A field may go on over several lines, which begin with a space; a line that
        # begins with # is a comment even inside a stanza.
        sed '/^#/d' "$file" | awk 'BEGIN { RS = ""; FS = "\n" }
            {
                split("", value); name = ""
                for (i = 1; i <= NF; i++) {
                    line = $i
                    if (line ~ /^[ \t]/) { value[name] = value[name] " " line; continue }
                    colon = index(line, ":")
                    if (!colon) continue
                    name = tolower(substr(line, 1, colon - 1))
                    value[name] = substr(line, colon + 1)
                }
                if ((" " value["types"] " ") !~ /[ \t]deb[ \t]/) next
                if (tolower(value["enabled"]) ~ /no|false|off|0/) next
                uris = split(value["uris"], uri, " "); suites = split(value["suites"], suite, " ")
                for (u = 1; u <= uris; u++) for (s = 1; s <= suites; s++) print suite[s], uri[u]
            }'
    done
    for file in "$parts"/sources.list "$parts"/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        # deb [option=value ...] uri suite component ...
        sed -n 's/^[[:space:]]*deb[[:space:]][[:space:]]*//p' "$file" | sed 's/^\[[^]]*\][[:space:]]*//' |
            awk 'NF >= 3 { print $2, $1 }'
    done
}

# The mirror of this machine's own Debian suite: it is the one that is known to be reachable from here, and
# every Debian mirror carries unstable. Security and third-party sources have other suites.
mirror() {
    if [ -n "${ARI_BRIDGE_DEBIAN_MIRROR:-}" ]; then
        echo "$ARI_BRIDGE_DEBIAN_MIRROR"
        return
    fi
    release=${OS_RELEASE:-/etc/os-release}
    codename=$(sed -n 's/^VERSION_CODENAME=//p' "$release" 2>/dev/null | tr -d '"')
    if grep -q '^ID="\{0,1\}debian' "$release" 2>/dev/null; then
        apt_sources | awk -v codename="$codename" '
            ($1 == codename || $1 ~ /^(stable|testing|unstable|sid)$/) && $2 ~ /^https?:/ { print $2; exit }'
    fi | grep . || echo http://deb.debian.org/debian
}

mirror=$(mirror)
if [ "$print" = yes ]; then
    printf 'folder %s\nmirror %s\n' "$dir" "$mirror"
    exit 0
fi
if [ "$again" = no ] && [ -x "$dir/usr/sbin/asterisk" ]; then
    say "$dir is there"
    exit 0
fi
[ "$(id -u)" = 0 ] || fail "this needs root: a root file system is made, and Asterisk runs in it by chroot"

mkdir -p "$(dirname "$dir")"
# What an interrupted run left behind.
find "$(dirname "$dir")" -maxdepth 1 -name "$(basename "$dir").partial.*" -mmin +60 \
    -exec rm -rf --one-file-system {} +
# Built under another name and renamed when it is whole, so that an unfinished one is never taken for finished.
partial=$(mktemp -d "$dir.partial.XXXXXX")
chmod 755 "$partial"
trap 'rm -rf --one-file-system "$partial"' EXIT
trap 'exit 1' INT TERM

# A mirror that is no longer updated has an expired release file; what it holds is signed all the same.
valid='Acquire::Check-Valid-Until "false"'
say "Asterisk from $mirror $suite into $dir"
if command -v mmdebstrap >/dev/null; then
    set -- --variant=apt --include="$packages" --aptopt="$valid"
    # Proxies and certificates that this machine's apt needs to reach the mirror.
    settings=$(apt-config dump | grep -E '^Acquire::https?::[A-Za-z:]*(Proxy|CaInfo|SslCert|SslKey)' || true)
    while read -r setting; do
        [ -z "$setting" ] || set -- "$@" --aptopt="${setting%;}"
    done <<TEXT
$settings
TEXT
    mmdebstrap "$@" "$suite" "$partial" "deb $mirror $suite main" >&2
elif command -v debootstrap >/dev/null; then
    unchecked=
    if debootstrap --help 2>&1 | grep -q -e --no-check-valid-until; then unchecked=--no-check-valid-until; fi
    # Without quotes: it is one word or none.
    # shellcheck disable=SC2086
    debootstrap --variant=minbase $unchecked "$suite" "$partial" "$mirror" >&2
    # debootstrap's own resolver is not made for a package with this many dependencies.
    printf '#!/bin/sh\nexit 101\n' >"$partial/usr/sbin/policy-rc.d"
    chmod 755 "$partial/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$partial/etc/resolv.conf"
    echo "$valid;" >"$partial/etc/apt/apt.conf.d/90valid-until"
    inside() {
        chroot "$partial" /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@" >&2
    }
    inside apt-get update -qq
    # Without quotes: a list of words.
    # shellcheck disable=SC2046
    inside apt-get install -qq -y --no-install-recommends $(echo "$packages" | tr , ' ')
else
    fail "neither mmdebstrap nor debootstrap is installed"
fi

version=$(chroot "$partial" /usr/sbin/asterisk -V) || fail "what was made does not run"
case $version in
    "Asterisk 22."*) ;;
    *) say "warning: $suite now has $version; the bridge was measured with Asterisk 22" ;;
esac
[ "$again" = no ] || rm -rf --one-file-system "$dir"
if ! mv -T "$partial" "$dir" 2>/dev/null; then
    # Somebody else was faster.
    [ -x "$dir/usr/sbin/asterisk" ] || fail "$dir is in the way"
fi
say "$version is in $dir"
