#!/bin/bash
# host: --root
# A guest's root takes the virtio-wl device from its kernel and sends what it likes. A connection and memory beside
# it go on, so does another VM, and ph has in the end what it had before.
. tests/guest/lib.sh
. tests/guest/wl.bash
gcc -O1 -Wall -Wextra -Werror -static -pthread -Iinclude -Itests/guest -o "$work/share/abuse_wl" \
	tests/hostile/{abuse_wl,raw_wl,raw_virtio}.c || exit 1
mkfifo "$work/orders" "$work/bystander.orders"
# Whoever was to take an order may have ended.
trap '' PIPE

# The bystander has its output in files of its own.
timeout -k 5 240 "$ph" --mem 512M --wl-socket "test=$work/socket" --share "$work/share:/mnt/share" \
	-- /mnt/share/abuse_wl bystander <"$work/bystander.orders" >"$work/bystander.out" 2>"$work/bystander.err" &
bystander=$!
exec 7>"$work/bystander.orders"
await "$work/bystander.out" $bystander ready

# The guest's own shell expands these.
# shellcheck disable=SC2016
(
	run_wl 512M --root -- bash -c 'device=$(basename "$(realpath /sys/bus/virtio/drivers/virtio_wl/virtio*/..)")
./abuse_wl
echo "$device" >/sys/bus/pci/drivers/virtio-pci/bind && ./abuse_wl bystander </dev/null | sed "s/ - / - the driver again: /"' \
		<"$work/orders"
	exit "$status_of_ph"
) &
guest=$!
exec 8>"$work/orders"
await "$work/out" $guest ready
holdings >"$work/before"
echo >&8
await "$work/out" $guest "done"
sleep 1
holdings >"$work/after"
echo >&8
wait "$guest"
status_of_ph=$?
# Whoever breaks rings is told of, at a limited rate.
grep -c "^ph: wl: the guest's driver broke a rule: " "$work/err" >"$work/told"
sed -i -E "/^ph: (wl: the guest's driver broke a rule: |wl: cannot start the device as its driver set it up|[0-9]+ more messages)/d" \
	"$work/err"
pass_on "from inside"
[ "$(cat "$work/told")" -ge 5 ]
result "broken rings are told"
sed 's/^/# before: /' "$work/before"
diff "$work/before" "$work/after" | sed 's/^/# /'
[ "$(wc -l <"$work/before")" -ge 4 ] && cmp -s "$work/before" "$work/after"
result "the same processes hold as many descriptors and mappings as before"

echo >&7
wait $bystander
status_of_ph=$?
mv "$work/bystander.out" "$work/out"
mv "$work/bystander.err" "$work/err"
pass_on "another VM"
