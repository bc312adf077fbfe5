#!/bin/bash
# host: --root --timeout 3000
# virtio-wl for long: a hundred thousand vfds and a soak of 64 connections of 8 threads each. Afterwards the host's
# processes hold as many descriptors as before, and the window is mapped as before.
. tests/guest/lib.sh
. tests/guest/wl.bash
limit=2900
mkfifo "$work/orders"

(
	run_wl 1G --root -- bash -c 'echo "# ready"; read -r; ./wl_load 100000 10; echo "# done"; read -r' <"$work/orders"
	exit "$status_of_ph"
) &
guest=$!
exec 8>"$work/orders"
await "$work/out" "$guest" ready
holdings >"$work/before"
echo >&8
await "$work/out" "$guest" "done"
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
