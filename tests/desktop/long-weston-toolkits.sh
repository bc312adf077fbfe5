#!/bin/bash
# host: --desktop sway --mem 8G --timeout 2400
TEST_ON=weston exec bash tests/desktop/long-toolkits.sh
