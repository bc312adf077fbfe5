#!/bin/bash
# Disks from inside: what the driver sees, file systems that keep what they were given, discards, and
# images that stay as they were.
# host: --cpus 2 --ext4 2G
. tests/guest/lib.sh
cd /scratch || exit 1
PATH=$PATH:/usr/sbin

# in_guest ARGUMENTS: run ph as root with this script's standard input as the shell script in the guest
in_guest() {
	local script
	script=$(cat)
	run --root "$@" -- bash -c "$script"
}

truncate -s 256M data.img
in_guest --disk data.img <<'END'
queue=/sys/block/vda/queue
echo "size $(cat /sys/block/vda/size) ro $(cat /sys/block/vda/ro)"
echo "block $(cat $queue/logical_block_size) segments $(cat $queue/max_segments) cache $(cat $queue/write_cache)"
[ "$(cat $queue/discard_max_bytes)" -gt 0 ] && echo discards
[ "$(cat $queue/write_zeroes_max_bytes)" -gt 0 ] && echo zeroes
[ -n "$(cat /sys/block/vda/serial)" ] && echo serial
END
printed "size 524288 ro 0
block 512 segments 254 cache write back
discards
zeroes
serial"
result "a writable disk's geometry, cache and limits"

in_guest --disk data.img <<'END'
set -e
mkfs.ext4 -q /dev/vda
mount /dev/vda /mnt
dd if=/dev/urandom of=/mnt/random bs=64k count=512 conv=fsync status=none
mkdir /mnt/many
for i in $(seq 200); do echo "file $i" >/mnt/many/$i; done
rm /mnt/many/?0
sync -f /mnt
sha256sum </mnt/random
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount /dev/vda /mnt
sha256sum </mnt/random
ls /mnt/many | wc -l
umount /mnt
END
[ $status_of_ph -eq 0 ] && [ "$(sed -n 1p "$work/out")" = "$(sed -n 2p "$work/out")" ] &&
	[ "$(sed -n 3p "$work/out")" = 191 ]
result "a file system made, written, unmounted and mounted again holds the same"
e2fsck -fn data.img >"$work/err" 2>&1
result "it is clean on the host"
debugfs -R 'dump /random random' data.img 2>/dev/null
[ "$(sha256sum <random)" = "$(sed -n 1p "$work/out")" ]
result "and its file has the same bytes there"

in_guest --disk data.img:ro <<'END'
mount -o ro /dev/vda /mnt && sha256sum </mnt/random
umount /mnt
mount -o rw /dev/vda /mnt 2>/dev/null && [ -w /mnt/random ] && echo x >/mnt/new && echo written
dd if=/dev/zero of=/dev/vda bs=512 count=1 2>/dev/null && echo overwritten
blkdiscard -f /dev/vda 2>/dev/null && echo discarded
cat /sys/block/vda/ro
END
printed "$(sha256sum <random)
1"
result "a read-only disk is read and cannot be written"

in_guest --disk data.img <<'END'
set -e
blkdiscard -f -o 1M -l 64M /dev/vda
blkdiscard -f -z -o 128M -l 8M /dev/vda
cmp -n 8M -i 128M:0 /dev/vda /dev/zero && echo zero
dd if=/dev/urandom of=/dev/vda bs=512 seek=300001 count=7 oflag=direct status=none
blkdiscard -f -z -o $((300003 * 512)) -l 1024 /dev/vda
dd if=/dev/vda bs=512 skip=300001 count=7 iflag=direct status=none | sha256sum
END
[ $status_of_ph -eq 0 ] && [ "$(sed -n 1p "$work/out")" = zero ] &&
	[ "$(dd if=data.img bs=512 skip=300001 count=7 status=none | sha256sum)" = "$(sed -n 2p "$work/out")" ] &&
	cmp -s -n 1024 -i $((300003 * 512)):0 data.img /dev/zero
result "discards and zeros, also of a few sectors in a page"

truncate -s 64M parallel.img
in_guest --cpus 2 --disk parallel.img <<'END'
set -e
writer() {
	yes "$1" | dd of=/dev/vda bs=4k count=256 seek=$(($1 * 256)) oflag=direct iflag=fullblock status=none
}
for i in 0 1 2 3; do writer $i & done
wait
for i in 0 1 2 3; do dd if=/dev/vda bs=4k count=256 skip=$((i * 256)) iflag=direct status=none | tr -d "$i\n" | wc -c; done
END
printed "0
0
0
0" && [ "$(head -c 4M parallel.img | tr -s '0123\n' | head -c 6 | tr -d '\n')" = 0101 ]
result "writers in parallel do not mix"

mkdir -p tree/bin tree/etc tree/home tree/usr
cp /bin/busybox tree/bin/busybox
for tool in sh cat sync dd sha256sum; do ln -s busybox "tree/bin/$tool"; done
mke2fs -q -t ext4 -d tree root.img 96M
cp --sparse=always root.img pristine.img
run --root --private-home --rootfs root.img -- sh -c '
	dd if=/dev/urandom of=/big bs=64k count=384 conv=fsync 2>/dev/null
	sha256sum </big
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sha256sum </big'
[ $status_of_ph -eq 0 ] && [ "$(sed -n 1p "$work/out")" = "$(sed -n 2p "$work/out")" ] && [ -s "$work/out" ]
result "an ephemeral root reads back what was written past the page cache"
cmp root.img pristine.img
result "and its image is untouched"

# The host has no room for what the guest writes.
fill=$((64 * 1024 * 1024))
mkdir -p small && truncate -s 4G small/disk.img
free=$(df --output=avail -B1 /scratch | tail -n 1)
[ "$free" -gt $((2 * fill)) ] && fallocate -l $((free - fill)) filler
in_guest --disk small/disk.img <<'END'
dd if=/dev/zero of=/dev/vda bs=1M count=256 oflag=direct 2>/dev/null || echo failed
cat /proc/loadavg >/dev/null && echo alive
END
[ $status_of_ph -eq 0 ] && [ "$(cat "$work/out")" = "failed
alive" ] && [ "$(grep -c 'no space is left on the host' "$work/err")" -eq 1 ] && [ "$(wc -l <"$work/err")" -eq 1 ]
result "a full host is an error for the guest and one line from ph"
rm -f filler small/disk.img
nothing_left
