#!/bin/bash
# gcc's and cppcheck's static analysis of all sources but the kernel's. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
DBUS="-isystem /usr/include/dbus-1.0 -isystem /usr/lib/$(gcc -print-multiarch)/dbus-1.0/include"
export DBUS

# What the analysers take for mistakes and is none: file, kind, and why.
exceptions() {
	sed -e 's/ *#.*//' -e '/^$/d' <<'END_OF_EXCEPTIONS'
src/files/hide.c -Wanalyzer-malloc-leak         # the name belongs to the entry, which the count takes in
src/files/qid.c -Wanalyzer-malloc-leak          # the entry is in its bucket
src/files/tree.c -Wanalyzer-malloc-leak         # the name belongs to the node, or is freed
src/display/events.c -Wanalyzer-possible-null-dereference # looked at by the caller
src/display/output.c -Wanalyzer-malloc-leak     # the bytes belong to the queue
src/display/receive.c -Wanalyzer-null-argument  # a queue without bytes copies none
src/guest/wayland/surface.c -Wanalyzer-null-dereference # surfaces have data as long as they live
src/plan/realm/config.c -Wanalyzer-malloc-leak  # the list takes the string
src/wayland/objects.c -Wanalyzer-malloc-leak    # the table belongs to the side
src/wayland/objects.c returnDanglingLifetime    # what the side points to outlives it
src/plan/user.c -Wanalyzer-malloc-leak          # the name belongs to the group, which the count takes in
src/guest/init/shutdown.c -Wanalyzer-malloc-leak         # the names are in points, which are freed one by one
src/monitor/guest_boot.c comparePointers        # the symbols are the two ends of one embedded file
src/monitor/x86/kernel_image.c comparePointers  # likewise
END_OF_EXCEPTIONS
}

files() {
	find src -path src/guest/kernel -prune -o -name '*.c' -print | sort
}

# Stays: file, line and complaint of what is no exception.
unexpected() {
	local file rest kind
	while IFS=: read -r file rest; do
		kind=$(sed -E 's/.*\[([A-Za-z-]+)\]$/\1/' <<<"$rest")
		exceptions | grep -qxF -- "$file $kind" || echo "$file:$rest"
	done
}

gcc_analyzer() {
	files | xargs -P "$(nproc)" -n 1 sh -c 'gcc -fanalyzer -Iinclude -Isrc -I"${BUILD:-build}"/gen $DBUS -D_GNU_SOURCE -std=gnu11 -O2 -c -o /dev/null "$1" 2>&1' sh |
		grep -E 'warning:|error:' | sort -u | unexpected
}

cppcheck_analyzer() {
	files | xargs cppcheck -q -j "$(nproc)" --std=c11 --enable=warning,portability,performance -Iinclude -Isrc -I"${BUILD:-build}"/gen \
		-D_GNU_SOURCE --template='{file}:{line}: {message} [{id}]' 2>&1 | grep '\[' | sort -u | unexpected
}

number=0
for check in gcc_analyzer cppcheck_analyzer; do
	number=$((number + 1))
	complaints=$($check)
	if [ -z "$complaints" ]; then
		echo "ok $number - $check"
	else
		echo "not ok $number - $check"
		sed 's/^/# /' <<<"$complaints"
	fi
done
echo "1..$number"
