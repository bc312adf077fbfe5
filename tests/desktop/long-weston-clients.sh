#!/bin/bash
# host: --root --desktop sway --timeout 1500
TEST_ON=weston exec bash tests/desktop/long-clients.sh
