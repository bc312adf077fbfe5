#!/bin/bash
# Disks and roots from images, in all their modes.
# host: --ext4 1G
. tests/guest/lib.sh
cd /scratch || exit 1

mkdir -p tree/bin tree/etc tree/home tree/usr
cp /bin/busybox tree/bin/busybox
for tool in sh ls cat touch sync mount id grep dd cmp blockdev stat; do ln -s busybox "tree/bin/$tool"; done
echo image >tree/etc/hello
/usr/sbin/mke2fs -q -t ext4 -d tree root.img 64M
cp --sparse=always root.img pristine.img

run --private-home --rootfs root.img -- cat /etc/hello
printed image
result "an image is the root"
run --root --private-home --rootfs root.img -- sh -c 'echo changed >/etc/hello; sync; cat /etc/hello'
printed changed && cmp root.img pristine.img
result "ephemeral: writes are seen and gone afterwards"
run --root --private-home --rootfs root.img --rootfs-mode ro -- sh -c 'echo changed >/etc/hello; cat /etc/hello'
printed changed && cmp root.img pristine.img
result "ro: writes stay in memory"
run --root --private-home --rootfs root.img --rootfs-mode rw -- sh -c 'echo changed >/etc/hello'
run --private-home --rootfs root.img -- cat /etc/hello
printed changed && /usr/sbin/e2fsck -fn root.img >/dev/null 2>&1
result "rw: writes stay, and the file system is clean"
run --private-home --rootfs root.img -- no-such-command
[ $status_of_ph -eq 127 ]
result "a command the image lacks"

truncate -s 16M data.img
run --root --disk data.img -- sh -c 'dd if=/usr/bin/env of=/dev/vda bs=4096 conv=fsync status=none && echo written'
printed written && cmp -n "$(stat -c %s /usr/bin/env)" /usr/bin/env data.img
result "--disk is written"
run --root --disk data.img:ro -- sh -c 'echo x 2>/dev/null >/dev/vda || echo refused'
printed refused
result "--disk FILE:ro is not"
nothing_left
