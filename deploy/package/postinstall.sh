#!/bin/sh
# The user first, then its directories. A first installation starts nothing: there is a configuration to be looked at.
set -e
root=${DPKG_ROOT:-} # dpkg --root
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers ${root:+--root="$root"} tboxgate.conf
elif ! grep -q '^tboxgate:' "$root/etc/passwd"; then
	useradd ${root:+--root "$root"} --system --home-dir /var/lib/tboxgate --shell /usr/sbin/nologin --user-group tboxgate
fi
# Its number in that root, where another system's names do not count.
group=tboxgate
[ -z "$root" ] || group=$(sed -n 's/^tboxgate:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/group")
chgrp "$group" "$root/etc/tboxgate" "$root/etc/tboxgate/tboxgate.yaml"
chmod 0750 "$root/etc/tboxgate"
chmod 0640 "$root/etc/tboxgate/tboxgate.yaml" # it may hold secrets
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An upgrade: the old process drains, and no answer is lost.
	systemctl try-restart tboxgate.service
fi
