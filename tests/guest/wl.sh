#!/bin/bash
# virtio-wl from inside: each call of /dev/wl0 and each error, load, and the driver taken away.
. tests/guest/lib.sh
. tests/guest/wl.bash

run_wl 1G -- ./wl_client
pass_on "as the user"
run_wl 1G -- ./wl_load 3000
pass_on "under load"

# What the driver says of the window: on processors that heed the guest's memory types it must be write-back.
run_wl 512M --root -- bash -c 'dmesg | grep -i -E "virtio_wl|MTRR type|mapped uncached"
device=$(basename /sys/bus/virtio/drivers/virtio_wl/virtio*)
./wl_load unbind "$device"
echo "$device" >/sys/bus/virtio/drivers/virtio_wl/bind
./wl_client | grep -A 1 "^not ok"
dmesg | grep -E "WARNING|BUG|Oops|virtio_wl" || true'
pass_on "without its driver, and with it again"
! grep -q -v -E '^(ok|not ok|#|1\.\.)' "$work/out"
result "the driver complains of nothing"
