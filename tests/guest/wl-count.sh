#!/bin/bash
# host: --root --icount --timeout 400
# What messages of virtio-wl cost, in exits and interrupts: counted where the clock counts instructions, so that
# timers of guest and host tick as little as on a real machine, and always as often.
. tests/guest/lib.sh
. tests/guest/wl.bash
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug

run_wl 512M --root -- ./wl_count
pass_on "counted"
