#!/bin/bash
# Machines of several processors.
# host: --cpus 2
. tests/guest/lib.sh

run --cpus 2 -- nproc
printed 2
result "--cpus"
PH_CPUS=2 run -- nproc
printed 2
result "PH_CPUS"
