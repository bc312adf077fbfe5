#!/bin/bash
# host: --gpu
# virtio-wl beside a card: its buffers for the guest, dma-bufs and fences from the host, and pages of the guest.
. tests/guest/lib.sh
. tests/guest/wl.bash

run_wl 512M -- ./wl_gpu
pass_on "with a card"
run_wl 512M -- ./wl_client
grep -q "the host sees guest pages" "$work/out" && grep -q "ok .* - a dma-buf$" "$work/out" &&
	! grep -q "^not ok" "$work/out"
result "every call beside a card"
run_wl 512M -- ./wl_gpu heap
printed=$(cat "$work/err")
: >"$work/err"
pass_on "beyond KVM's reach"
[ -z "$printed" ] || grep -q "graphics memory was taken away from the guest" <<<"$printed"
result "told if so: ${printed:-nothing}"
