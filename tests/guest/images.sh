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

# A partition: the root, and nothing beside it.
truncate -s 80M parted.img
printf 'label: gpt\nstart=2048, size=131072\nstart=133120, size=8192\n' | /usr/sbin/sfdisk -q parted.img 2>"$work/err"
dd if=pristine.img of=parted.img bs=1M seek=1 conv=notrunc,sparse status=none
yes beside | head -c 4M | dd of=parted.img bs=1M seek=65 conv=notrunc iflag=fullblock status=none
run --root --private-home --rootfs parted.img --partition 1 --rootfs-mode rw -- sh -c 'cat /etc/hello; echo changed >/etc/hello'
printed image && dd if=parted.img of=part.img bs=1M skip=1 count=64 status=none &&
	[ "$(/usr/sbin/debugfs -R 'cat /etc/hello' part.img 2>/dev/null)" = changed ] &&
	/usr/sbin/e2fsck -fn part.img >/dev/null 2>&1 && cmp -s <(yes beside | head -c 4M) <(tail -c +68157441 parted.img | head -c 4M)
result "--partition: the root is in one, and what is beside it stays as it was"

# Two terabytes of nothing, past the host's cache.
truncate -s 2T large.img
/usr/sbin/mke2fs -q -t ext4 -b 4096 -O ^has_journal -E nodiscard,lazy_itable_init=1,num_backup_sb=0 -N 1024 -G 65536 \
	-d tree large.img 2>"$work/err"
run --root --private-home --rootfs large.img --rootfs-mode rw --direct -- sh -c '
	cat /etc/hello; echo written >/new; sync; echo 3 >/proc/sys/vm/drop_caches; cat /new'
printed $'image\nwritten' && [ "$(/usr/sbin/debugfs -R 'cat /new' large.img 2>/dev/null)" = written ] &&
	[ "$(du -m large.img | cut -f 1)" -lt 600 ]
result "an image of 2 TB with --direct"
rm -f large.img

truncate -s 16M data.img
run --root --disk data.img -- sh -c 'dd if=/usr/bin/env of=/dev/vda bs=4096 conv=fsync status=none && echo written'
printed written && cmp -n "$(stat -c %s /usr/bin/env)" /usr/bin/env data.img
result "--disk is written"
run --root --disk data.img:ro -- sh -c 'echo x 2>/dev/null >/dev/vda || echo refused'
printed refused
result "--disk FILE:ro is not"
nothing_left
