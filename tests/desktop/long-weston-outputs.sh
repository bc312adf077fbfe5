#!/bin/bash
# host: --desktop sway
TEST_ON=weston exec bash tests/desktop/outputs.sh
