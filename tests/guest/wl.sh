#!/bin/bash
# virtio-wl from inside: each call of /dev/wl0 and each error, load, and the driver taken away.
. tests/guest/lib.sh
. tests/guest/wl.bash

run_wl 1G -- ./wl_client
pass_on "as the user"
run_wl 1G -- ./wl_load 3000
pass_on "under load"

# On processors that heed the guest's memory types the window must be write-back, or every pixel is a bus cycle: PAT as
# Linux wants it, MTRRs that take nothing from it but the 32-bit hole, and a driver that finds nothing wrong.
run_wl 512M --root -- bash -c 'dmesg | grep -i -E "virtio_wl|MTRR type|mapped uncached"
dmesg | grep -q "x86/PAT: Configuration.*: WB  WC  UC- UC  WB  WP  UC- WT" && echo "ok 1 - PAT is on"
regions=$(grep -c "uncachable" /proc/mtrr)
[ "$regions" -eq "$(wc -l </proc/mtrr)" ] && [ "$regions" -ge 1 ] &&
	grep -q "base=0x0c0000000 ( 3072MB), size= 1024MB, count=1: uncachable" /proc/mtrr &&
	echo "ok 2 - MTRRs make nothing uncached but the 32-bit hole" || sed "s/^/# /" /proc/mtrr
device=$(basename /sys/bus/virtio/drivers/virtio_wl/virtio*)
./wl_load unbind "$device"
echo "$device" >/sys/bus/virtio/drivers/virtio_wl/bind
./wl_client | grep -A 1 "^not ok"
dmesg | grep -E "WARNING|BUG|Oops|virtio_wl" || true'
pass_on "without its driver, and with it again"
[ "$(grep -c -E "^ok .* (PAT is on|MTRRs make nothing)" "$work/out")" -eq 2 ]
result "memory types"
! grep -q -v -E '^(ok|not ok|#|1\.\.)' "$work/out"
result "the driver complains of nothing"
