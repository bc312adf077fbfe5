#!/bin/bash
# The long form of soak.sh.
# host: --timeout 14000
export SOAK=500
. tests/hostile/soak.sh
