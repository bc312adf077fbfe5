#!/bin/bash
# clang-tidy with the few checks of .clang-tidy over all sources but the kernel's. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
echo 1..1
DBUS="-isystem /usr/include/dbus-1.0 -isystem /usr/lib/$(gcc -print-multiarch)/dbus-1.0/include"
export DBUS
# shellcheck disable=SC2016 # the inner shell expands "$@"
complaints=$(find src -path src/guest/kernel -prune -o -name '*.c' -print | sort | xargs -P "$(nproc)" -n 4 sh -c \
	'clang-tidy-14 --quiet "$@" -- -Iinclude -Isrc -I"${BUILD:-build}"/gen $DBUS -D_GNU_SOURCE -std=gnu11 2>/dev/null' sh |
	grep -E 'warning:|error:')
if [ -z "$complaints" ]; then
	echo "ok 1 - clang-tidy"
else
	echo "not ok 1 - clang-tidy"
	sed 's/^/# /' <<<"$complaints"
	exit 1
fi
