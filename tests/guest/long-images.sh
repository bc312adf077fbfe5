#!/bin/bash
# Disks and roots from images that lie on an encrypted disk, on Debian 12's own kernel: its io_uring cannot tell
# whether what lies there has to be waited for.
# host: --kernel linux-image-amd64 --encrypted --ext4 1G
. tests/guest/images.sh
