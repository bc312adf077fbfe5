#!/bin/bash
# host: --copy build/vmlinux-debug
# The driver under the kernel's own checks (KASAN, lockdep, sleeping in the wrong place): every call, some load, the
# driver taken away; and what the kernel made of the memory types that the machine told it.
. tests/guest/lib.sh
. tests/guest/wl.bash
limit=280

# The guest's own shell expands these.
# shellcheck disable=SC2016
run_wl 1G --kernel "$(realpath "$BUILD/vmlinux-debug")" --root -- bash -c '
dmesg | grep -E "KernelAddressSanitizer initialized|Lock dependency validator" | sed "s/^/# checks: /"
mount -t debugfs debugfs /sys/kernel/debug
./wl_load types
./wl_client
./wl_load few
./wl_load unbind "$(basename /sys/bus/virtio/drivers/virtio_wl/virtio*)"
cat /proc/lockdep_stats | grep -E "debug_locks|lock-classes" | sed "s/^/# /"
dmesg | grep -E -A 30 "WARNING|BUG|INFO: |Oops|Call Trace|virtio_wl|blocked for more|UBSAN|ODEBUG" | sed "s/^/# said: /"'
pass_on "checked"
[ "$(grep -c "^# checks: " "$work/out")" -eq 2 ] && grep -q "^#  *debug_locks: *1" "$work/out"
result "the kernel checks itself to the end"
! grep -q "^# said:" "$work/out"
result "and has nothing to say"
