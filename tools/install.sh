#!/bin/sh
# Installs the units, the account, the udev rule and the drop-ins of this checkout into the system.
#
# usage: tools/install.sh            as root, from the checkout in /opt/unitd, after `make setup`
#        DESTDIR=/mnt tools/install.sh   into the tree of an image; nothing is started
#
# Touches nothing in /etc/unitd that is already there, and starts nothing: the last line says how.
set -eu
cd "$(dirname "$0")/.."
dest=${DESTDIR:-}

if [ -z "$dest" ]; then
    [ "$(id -u)" = 0 ] || { echo "install: run as root (sudo make install)" >&2; exit 2; }
    [ "$PWD" = /opt/unitd ] || { echo "install: the units start /opt/unitd/.venv/bin/unitd; move this checkout to /opt/unitd" >&2; exit 2; }
    [ -x .venv/bin/unitd ] || { echo "install: no .venv here; run make setup first" >&2; exit 2; }
fi

put() { # put MODE SOURCE TARGET
    install -D -m "$1" "$2" "$dest$3"
}
for unit in systemd/*.service systemd/*.target systemd/*.slice; do
    put 644 "$unit" "/etc/systemd/system/${unit##*/}"
done
put 644 systemd/sysusers.d/unitd.conf /etc/sysusers.d/unitd.conf
put 644 systemd/tmpfiles.d/unitd.conf /etc/tmpfiles.d/unitd.conf
put 644 systemd/udev/78-unitd.rules /etc/udev/rules.d/78-unitd.rules
put 644 systemd/journald.conf.d/unitd.conf /etc/systemd/journald.conf.d/unitd.conf
put 644 systemd/system.conf.d/unitd.conf /etc/systemd/system.conf.d/unitd.conf
if [ ! -e "$dest/etc/unitd/unit.toml" ] && [ -e config/unit.toml ]; then
    put 644 config/unit.toml /etc/unitd/unit.toml
fi

install -d "$dest/usr/local/bin"
ln -sfn /opt/unitd/.venv/bin/unitd "$dest/usr/local/bin/unitd"

if [ -z "$dest" ]; then
    systemd-sysusers
    systemd-tmpfiles --create /etc/tmpfiles.d/unitd.conf
    if command -v udevadm >/dev/null; then udevadm control --reload && udevadm trigger --subsystem-match=tty --subsystem-match=gpio || true; fi
    systemctl daemon-reload
    systemctl enable unitd-core unitd-field unitd-record unitd-call unitd-sense unitd.target
    echo "install: done. Edit /etc/unitd/unit.toml, put the keys in /etc/unitd/tls, then:"
    echo "  unitd check && systemctl start unitd.target"
fi
