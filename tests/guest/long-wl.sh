#!/bin/bash
# host: --root --timeout 3000
# virtio-wl for long: a hundred thousand vfds and a soak of 64 connections of 8 threads each. Afterwards the host's
# processes hold as many descriptors as before, and the window is mapped as before.
. tests/guest/lib.sh
. tests/guest/wl.bash
limit=2900
mkfifo "$work/orders"

# What there is of ph on the host.
holdings() {
	local pid
	for pid in $(pgrep -x 'ph|ph-display' | sort -n); do
		echo "$(cat "/proc/$pid/comm"): $(find "/proc/$pid/fd" -mindepth 1 | wc -l) descriptors," \
			"$(grep -c memfd: "/proc/$pid/maps") mappings of memory"
	done
}

# Until the guest has said so.
await() {
	until grep -q "^# $1" "$work/out"; do
		kill -0 "$guest" 2>/dev/null || return
		sleep 1
	done
}

(
	run_wl 1G --root -- bash -c 'echo "# ready"; read -r; ./wl_load 100000 10; echo "# done"; read -r' <"$work/orders"
	exit "$status_of_ph"
) &
guest=$!
exec 8>"$work/orders"
await ready
holdings >"$work/before"
echo >&8
await "done"
sleep 2
holdings >"$work/after"
echo >&8
wait "$guest"
status_of_ph=$?
pass_on "100,000 vfds"
sed 's/^/# before: /' "$work/before"
sed 's/^/# after: /' "$work/after"
[ "$(wc -l <"$work/before")" -ge 2 ] && cmp "$work/before" "$work/after"
result "descriptors, slots and the window's memory are back"
