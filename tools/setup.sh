#!/bin/sh
# Prepares this checkout: system packages, .venv, pinned Python packages.
#
# usage: tools/setup.sh [sim|test]
#
# Quick and offline when nothing changed: each step is skipped when what it
# would make is already there. Exit 2: something only a person can put right,
# named in the last line. Exit 1: a step failed, its log is named.
set -eu

what=${1:-sim}
cd "$(dirname "$0")/.."
python=${PYTHON:-/usr/bin/python3}
list=tools/apt-packages.txt
log=build/setup.log
steps=5

say() { printf '[%s/%s] %s\n' "$1" "$steps" "$2"; }
stop() { printf 'setup: %s\n' "$1" >&2; exit 2; }
failed() {
    printf 'setup: %s failed; the end of %s:\n' "$1" "$log" >&2
    tail -n 20 "$log" >&2
    exit 1
}

case $what in sim | test) ;; *) stop "unknown set '$what': say sim or test" ;; esac
mkdir -p build
# Two runs at once would corrupt .venv: the second waits for the first.
if command -v flock >/dev/null && [ "${UNITD_SETUP_LOCKED:-}" != yes ]; then
    UNITD_SETUP_LOCKED=yes exec flock build/setup.lock "$0" "$@"
fi

# --- system packages -------------------------------------------------------
on_a_pi() { grep -qs 'Raspberry Pi' /proc/device-tree/model; }
# pip has lgpio for 64-bit machines up to Python 3.12; elsewhere the distribution's is used (Raspberry Pi OS has it).
pip_has_lgpio() {
    "$python" -c 'import platform, sys; sys.exit(sys.version_info >= (3, 13) or platform.machine() not in ("x86_64", "aarch64"))' 2>/dev/null
}

# Asked again after the installation: on a bare system there is no Python to ask before it.
sections() {
    printf 'sim'
    if [ "$what" = test ]; then printf ' test'; fi
    if on_a_pi && ! pip_has_lgpio; then printf ' gpio'; fi
}

# Prints the lines ("a" or "a | b") of the wanted sections.
wanted() {
    awk -v want=" $(sections) " '
        { sub(/#.*/, ""); gsub(/^[ \t]+|[ \t]+$/, "") }
        /^\[/ { on = index(want, " " substr($0, 2, length($0) - 2) " "); next }
        on && $0 != ""' "$list"
}
installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
has_candidate() {
    apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}
# Prints the lines of which no alternative is installed.
missing_lines() {
    wanted | while IFS= read -r line; do
        found=
        for name in $(printf '%s' "$line" | tr '|' ' '); do
            if installed "$name"; then found=yes; break; fi
        done
        [ -n "$found" ] || printf '%s\n' "$line"
    done
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    printf 'setup: this system has no apt. Install what these Debian packages hold, then see CONTRIBUTING.md:\n' >&2
    wanted | sed 's/^/    /' >&2
    stop "no apt here: install the packages listed above by hand"
fi

# One stamp for everything that decides the outcome: nothing changed, nothing to do.
fingerprint() {
    cat pyproject.toml constraints.txt "$list" tools/setup.sh tools/check_versions.py tools/make_sounds.py \
        unitd/call/voice/speech.py unitd/call/words/*.toml tools/build_native.sh unitd/call/native/*.[ch] | sha256sum | cut -c1-64
    "$python" -c 'import sys; print(sys.version_info[:3])' 2>/dev/null || true
}

missing=$(missing_lines)
if [ -z "$missing" ] && [ -x .venv/bin/python3 ] && [ -d unitd/call/prompts/cy ] &&
    [ -e unitd/call/native/libunitd_call.so ] &&
    [ "$(cat .venv/.setup-stamp 2>/dev/null)" = "$(fingerprint)" ]; then
    exit 0
fi

# Installs every line of $missing, the first alternative that apt knows.
install_missing() {
    names=
    absent=
    while IFS= read -r line; do
        chosen=
        for name in $(printf '%s' "$line" | tr '|' ' '); do
            if has_candidate "$name"; then chosen=$name; break; fi
        done
        if [ -n "$chosen" ]; then names="$names $chosen"; else absent="$absent $line"; fi
    done <<END
$missing
END
    [ -z "$absent" ] || stop "apt knows no package named$absent (on Ubuntu: sudo add-apt-repository universe)"
    # shellcheck disable=SC2086  # a list of package names
    $as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a \
        apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $names >>"$log" 2>&1 ||
        failed "apt-get install$names"
}

if [ -z "$missing" ]; then
    say 1 "System packages: all installed"
else
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || stop "not root and no sudo; as root: apt-get install $(printf '%s\n' "$missing" | sed 's/ *|.*//' | tr '\n' ' ')"
        as_root=sudo
    fi
    say 1 "System packages: installing $(printf '%s\n' "$missing" | wc -l), this can take some minutes …"
    $as_root apt-get -o DPkg::Lock::Timeout=600 update >"$log" 2>&1 || failed "apt-get update"
    install_missing
    missing=$(missing_lines)
    if [ -n "$missing" ]; then install_missing; fi
fi

# --- Python ----------------------------------------------------------------
[ -x "$python" ] || stop "$python is missing"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$python is $("$python" -V 2>&1), 3.11 or newer is needed"

if [ -x .venv/bin/python3 ] && .venv/bin/python3 -c 'import sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null &&
    [ "$(.venv/bin/python3 -c 'import sys; print(sys.version_info[:2])')" = "$("$python" -c 'import sys; print(sys.version_info[:2])')" ] &&
    grep -q '^include-system-site-packages = true' .venv/pyvenv.cfg &&
    head -n 1 .venv/bin/pip | grep -q "^#!$PWD/.venv/"; then
    say 2 "Python environment: .venv is there"
else
    say 2 "Python environment: making .venv …"
    # Distribution packages are visible because gi comes from there and nowhere else.
    "$python" -m venv --clear --system-site-packages .venv >"$log" 2>&1 || failed "python3 -m venv"
fi

say 3 "Python packages (pinned in constraints.txt) …"
# Shows each package as pip reaches it: on a terminal in place, else every tenth.
progress() {
    awk -v tty="$1" '
        /^ *(Collecting|Building wheel|Preparing|Installing collected)/ {
            n++
            text = substr($0, 1, 60); sub(/^ */, "", text)
            if (tty == "yes") { printf "\r      %3d %-60s", n, text }
            else if (n % 10 == 0) { printf "      %d: %s\n", n, text }
            fflush()
        }
        END { if (tty == "yes" && n) printf "\r%70s\r", "" }'
}
tty=no
if [ -t 1 ]; then tty=yes; fi
rm -f build/setup.status
{
    if .venv/bin/python3 -m pip install --progress-bar off --disable-pip-version-check \
        -c constraints.txt -e '.[sim,test]' 2>&1; then echo 0; else echo 1; fi >build/setup.status
} | tee "$log" | progress "$tty"
[ "$(tail -n 1 build/setup.status)" = 0 ] || failed "pip install"

say 4 "Compiling the call's inner loops, checking versions …"
tools/build_native.sh >"$log" 2>&1 || failed "tools/build_native.sh"
.venv/bin/python3 tools/check_versions.py >"$log" 2>&1 || failed "tools/check_versions.py"
# What comes from the distribution and not from pip.
{
    echo 'import gi'
    echo 'gi.require_version("GstWebRTC", "1.0")'
    echo 'from gi.repository import GstWebRTC'
    if on_a_pi; then echo 'import lgpio'; fi
} | .venv/bin/python3 >"$log" 2>&1 || failed "importing the distribution's packages"
for script in unitd hw-sim; do
    [ -x ".venv/bin/$script" ] || stop ".venv/bin/$script is missing: see [project.scripts] in pyproject.toml"
done

say 5 "Prompts and warnings of every language …"
.venv/bin/python3 tools/make_sounds.py >"$log" 2>&1 || failed "tools/make_sounds.py"
fingerprint >.venv/.setup-stamp
printf 'setup: ready (%s)\n' "$(.venv/bin/python3 -V)"
