#!/bin/bash
# What goes wrong outside of ph: one line, 125, nothing left behind.
# host: --root
. tests/guest/lib.sh
cd "$work" || exit 1

refused 'must be 1 to 16' --cpus 0
refused 'at least 64M' --mem 1M
refused 'this host has only' --mem 900T
refused 'no such directory' --home /nope
refused 'no such directory' --share /nope
refused 'No such file' --rootfs missing
refused 'is a directory' --rootfs /usr
: >empty
refused 'empty' --rootfs empty
head -c 1M /dev/zero >zero
refused 'not an ext4' --rootfs zero
/usr/sbin/mke2fs -q -t ext4 good 8M >/dev/null
cp good short && truncate -s 7M short
refused 'truncated' --rootfs short
cp good unreadable && chmod 0 unreadable
setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/usr "$ph" --private-home --rootfs "$work/unreadable" 2>err
[ $? -eq 125 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q 'Permission denied' err
result "an image that may not be read"
"$ph" --disk good -- sleep 30 >held 2>&1 &
holder=$!
for _ in $(seq 100); do
	! timeout 10 "$ph" --dry-run --disk good:ro >/dev/null 2>&1 && break || sleep 0.1
done
refused 'in use' --rootfs good
kill $holder
wait $holder

refused 'kernel nope: No such file' --kernel nope
refused 'zero: not a kernel' --kernel zero
# Somebody types, or the pipe of standard input stays open.
mkfifo typed && exec 5<>typed && echo for-the-shell >&5
limit=20
refused 'zero: not a kernel' --kernel zero <&5
unset limit
read -r -t 5 said <&5 && [ "$said" = for-the-shell ]
result "and what was typed meanwhile is still there"
exec 5>&-
{ printf '\177ELF\2\1\1' && head -c 4000 /dev/zero; } >half
refused 'half: an ELF file, but not' --kernel half
{ printf '\177ELF\1\1\1' && head -c 4000 /dev/zero; } >elf32
refused 'elf32: a 32-bit kernel' --kernel elf32

run --append rdinit=/nonexistent -- true
[ $status_of_ph -eq 125 ] && grep -q 'Kernel panic' err && [ ! -s out ]
result "a kernel panic shows its last lines"
run --rootfs good
[ $status_of_ph -eq 127 ] || [ $status_of_ph -eq 125 ]
result "a root without a shell"

mv /dev/kvm /dev/kvm.away
refused '/dev/kvm' -- true
run --check
[ $status_of_ph -eq 125 ] && grep -q '^MISSING *KVM' out
result "--check tells that /dev/kvm is missing"
container=some refused "/dev/kvm is missing: this container's host must have it" -- true
mv /dev/kvm.away /dev/kvm
chmod 600 /dev/kvm
setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/usr "$ph" --private-home -- true 2>err
[ $? -eq 125 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q '/dev/kvm.*group' err
result "a /dev/kvm that is forbidden names the remedy"
chmod 666 /dev/kvm

# What is a file to the host: RAM, and the layer over an image.
ulimit -S -f 65536
refused '256 MiB of guest memory: the limit on the size of files (ulimit -f) is 64 MiB' --mem 256M -- true
ulimit -S -f unlimited
/usr/sbin/mke2fs -q -t ext4 large 1G >/dev/null
ulimit -S -f 524288
refused 'large as a disk: File too large' --mem 256M --rootfs large -- true
ulimit -S -f unlimited
nothing_left
