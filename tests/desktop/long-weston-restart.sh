#!/bin/bash
# host: --desktop sway
TEST_ON=weston exec bash tests/desktop/restart.sh
