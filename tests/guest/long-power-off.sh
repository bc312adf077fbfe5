#!/bin/bash
# power-off.sh, often.
# host: --ext4 1G
KILLS=40 exec bash tests/guest/power-off.sh
