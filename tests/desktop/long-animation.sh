#!/bin/bash
# host: --root --desktop sway --timeout 1500
ANIMATION_SECONDS=600 exec bash tests/desktop/animation.sh
