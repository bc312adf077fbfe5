#!/bin/bash
# host: --desktop sway
POINTER_ON=weston exec bash tests/desktop/pointer.sh
