#!/bin/bash
# host: --root --desktop sway
TEST_ON=weston exec bash tests/desktop/animation.sh
