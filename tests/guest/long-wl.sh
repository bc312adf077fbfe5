#!/bin/bash
# virtio-wl for long: a hundred thousand vfds.
. tests/guest/lib.sh
. tests/guest/wl.bash

run_wl 1G --cpus 2 -- ./wl_load 100000
pass_on "100,000 vfds"
