#!/bin/bash
# Disks from inside: what the driver sees, file systems that keep what they were given, discards, and
# images that stay as they were.
# host: --ext4 1G
. tests/guest/lib.sh
cd /scratch || exit 1
PATH=$PATH:/usr/sbin

# in_guest ARGUMENTS: run ph as root with this script's standard input as the shell script in the guest
in_guest() {
	local script
	script=$(cat)
	run --root "$@" -- bash -c "$script"
}

# Random bytes are dear in an emulated guest: they come from the host.
head -c 8M /dev/urandom >random
sum=$(sha256sum <random)
truncate -s 64M data.img
in_guest --disk data.img --share "$PWD:/mnt/host:ro" <<'END'
queue=/sys/block/vda/queue
echo "size $(cat /sys/block/vda/size) ro $(cat /sys/block/vda/ro)"
echo "block $(cat $queue/logical_block_size) segments $(cat $queue/max_segments) cache $(cat $queue/write_cache)"
[ "$(cat $queue/discard_max_bytes)" -gt 0 ] && echo discards
[ "$(cat $queue/write_zeroes_max_bytes)" -gt 0 ] && echo zeroes
echo "$(cat /sys/block/vda/serial)"
set -e
mkdir -p /run/disk
mkfs.ext4 -q /dev/vda
mount /dev/vda /run/disk
dd if=/mnt/host/random of=/run/disk/random bs=64k conv=fsync status=none
mkdir /run/disk/many
for i in $(seq 50); do echo "file $i" >/run/disk/many/$i; done
rm /run/disk/many/?0
sync -f /run/disk
umount /run/disk
echo 3 >/proc/sys/vm/drop_caches
mount /dev/vda /run/disk
sha256sum </run/disk/random
ls /run/disk/many | wc -l
umount /run/disk
END
[ "$(sed -n 1,5p "$work/out")" = "size 131072 ro 0
block 512 segments 254 cache write back
discards
zeroes
ph-disk0" ]
result "a writable disk's geometry, cache, limits and name"
[ "$status_of_ph" -eq 0 ] && [ ! -s "$work/err" ] && [ "$(sed -n '6,$p' "$work/out")" = "$sum
45" ]
result "a file system made, written, unmounted and mounted again holds the same"
e2fsck -fn data.img >"$work/err" 2>&1
result "it is clean on the host"
debugfs -R 'dump /random dumped' data.img 2>/dev/null
cmp random dumped
result "and its file has the same bytes there"

in_guest --disk data.img:ro <<'END'
mkdir -p /run/disk
mount -o ro /dev/vda /run/disk && sha256sum </run/disk/random
umount /run/disk
mount -o rw /dev/vda /run/disk 2>/dev/null && { echo x >/run/disk/new; } 2>/dev/null && echo written
dd if=/dev/zero of=/dev/vda bs=512 count=1 2>/dev/null && echo overwritten
blkdiscard -f /dev/vda 2>/dev/null && echo discarded
cat /sys/block/vda/ro
END
printed "$sum
1"
result "a read-only disk is read and cannot be written"

truncate -s 16M parallel.img
in_guest --disk data.img --disk parallel.img <<'END'
set -e
exec 2>/dev/null
blkdiscard -f -o 1M -l 16M /dev/vda
blkdiscard -f -z -o 32M -l 4M /dev/vda
cmp -n 4M -i 32M:0 /dev/vda /dev/zero && echo zero
yes text | dd of=/dev/vda bs=512 seek=100001 count=7 oflag=direct iflag=fullblock status=none
blkdiscard -f -z -o $((100003 * 512)) -l 1024 /dev/vda
dd if=/dev/vda bs=512 skip=100001 count=7 iflag=direct status=none | sha256sum
writer() {
	yes "$1" | dd of=/dev/vdb bs=4k count=256 seek=$(($1 * 256)) oflag=direct iflag=fullblock status=none
}
for i in 0 1 2 3; do writer $i & done
wait
for i in 0 1 2 3; do dd if=/dev/vdb bs=4k count=256 skip=$((i * 256)) iflag=direct status=none | tr -d "$i\n" | wc -c; done
END
[ "$status_of_ph" -eq 0 ] && [ "$(sed -n 1p "$work/out")" = zero ] &&
	[ "$(dd if=data.img bs=512 skip=100001 count=7 status=none | sha256sum)" = "$(sed -n 2p "$work/out")" ] &&
	cmp -s -n 1024 -i $((100003 * 512)):0 data.img /dev/zero &&
	[ "$(dd if=data.img bs=512 skip=100001 count=1 status=none | head -c 5)" = text ]
result "discards and zeros, also of a few sectors in a page"
[ "$(sed -n '3,$p' "$work/out" | tr -d '\n')" = 0000 ] && [ "$(head -c 4M parallel.img | tr -d '\n' | tr -s 0123)" = 0123 ]
result "writers in parallel do not mix"

mkdir -p tree/bin tree/etc tree/home tree/usr
cp /bin/busybox tree/bin/busybox
for tool in sh cat sync dd sha256sum; do ln -s busybox "tree/bin/$tool"; done
mke2fs -q -t ext4 -d tree root.img 32M
cp --sparse=always root.img pristine.img
run --root --private-home --rootfs root.img -- sh -c '
	dd of=/big bs=64k conv=fsync 2>/dev/null
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sha256sum </big' <random
printed "$sum"
result "an ephemeral root reads back what was written past the page cache"
cmp root.img pristine.img
result "and its image is untouched"

# The host has no room for what the guest writes.
fill=$((16 * 1024 * 1024))
truncate -s 4G full.img
free=$(df --output=avail -B1 /scratch | tail -n 1)
[ "$free" -gt $((2 * fill)) ] && fallocate -l $((free - fill)) filler
in_guest --disk full.img <<'END'
dd if=/dev/zero of=/dev/vda bs=1M count=32 oflag=direct 2>/dev/null || echo failed
echo alive
END
[ "$status_of_ph" -eq 0 ] && [ "$(cat "$work/out")" = "failed
alive" ] && [ "$(grep -c 'no space is left on the host' "$work/err")" -eq 1 ] && [ "$(wc -l <"$work/err")" -eq 1 ]
result "a full host is an error for the guest and one line from ph"
rm -f filler full.img
nothing_left
