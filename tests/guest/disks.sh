#!/bin/bash
# Disks that the host uses itself: mounted, or behind a loop device.
# host: --root --ext4 256M
. tests/guest/lib.sh
cd /scratch || exit 1

truncate -s 32M busy.img
/usr/sbin/mke2fs -q -t ext4 busy.img
loop=$(/usr/sbin/losetup --find --show busy.img)
mkdir mnt
mount "$loop" mnt
refused "busy.img: in use on this host by $loop: unmount and detach that first" --disk busy.img -- true
refused "$loop: in use on this host, mounted or as part of another device: unmount it first" --disk "$loop" -- true
run --root --disk "$loop:ro" -- sh -c 'wc -c </dev/vda'
printed $((32 << 20))
result "what the host has mounted can be read"
umount mnt
run --root --disk "$loop" -- sh -c 'mount /dev/vda /mnt && echo written >/mnt/new'
[ $status_of_ph -eq 0 ] && [ "$(/usr/sbin/debugfs -R 'cat /new' busy.img 2>/dev/null)" = written ]
result "what the host no longer has mounted is written"
/usr/sbin/losetup --detach "$loop"
loop=$(/usr/sbin/losetup --find --show --sector-size 4096 busy.img)
refused "--direct: $loop lies on sectors of more than 512 bytes; leave --direct out" --direct --disk "$loop" -- true
/usr/sbin/losetup --detach "$loop"
nothing_left
