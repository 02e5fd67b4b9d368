#!/bin/sh
# deb says "remove", rpm says 0; an upgrade ("upgrade", 1) leaves the service running.
set -e
case "$1" in
remove | 0)
	if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now tboxgate.service
	fi
	;;
esac
