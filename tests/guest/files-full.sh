#!/bin/bash
# A share whose disk is full: nothing is lost without a word, and nothing is written where it does not belong.
# host: --root
. tests/guest/lib.sh
cd "$work" || exit 1
mkdir share input
mount -t tmpfs -o size=256k,mode=777 full share
head -c 400000 /dev/urandom >input/data

# What is there of it is its beginning.
is_beginning() {
	[ -s "$1" ] && cmp -s -n "$(stat -c %s "$1")" "$1" input/data
}

on_full() {
	run --mem 512M --share "$PWD/share:/mnt/share" --share "$PWD/input:/mnt/input:ro" -- sh -c "$1"
}

on_full 'cp /mnt/input/data /mnt/share/copy; echo $?'
[ "$(cat out)" = 1 ] && grep -q "^cp: .*No space left on device" err
result "cp fails"
grep -qx "ph: not all that was written to /mnt/share could be stored: No space left on device" err
result "and ph says so, too"
is_beginning share/copy || [ ! -s share/copy ]
result "there is no other data in the file"

rm -f share/*
on_full 'dd if=/mnt/input/data of=/mnt/share/synced bs=400000 conv=fsync status=none; echo $?'
[ "$(cat out)" = 1 ] && grep -q "^dd: fsync failed.*No space left on device" err
result "fsync() fails"
is_beginning share/synced || [ ! -s share/synced ]
result "nor there"

rm -f share/*
on_full 'printf "%400000s" x >/mnt/share/unseen; true'
grep -qx "ph: not all that was written to /mnt/share could be stored: No space left on device" err
result "what no program looked at, ph tells"

rm -f share/*
on_full 'head -c 200000 /mnt/input/data >/mnt/share/fits && echo good'
printed_elsewhere good && [ "$(stat -c %s share/fits)" = 200000 ] && is_beginning share/fits
result "what fits is stored, without a word"

rm -f share/*
run --mem 512M --root --share "$PWD/share:/mnt/share" --share "$PWD/input:/mnt/input:ro" -- sh -ec 'cd /mnt/share
truncate -s 4M disk
/usr/sbin/mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=1 disk
mkdir /tmp/disk
mount -o loop disk /tmp/disk
head -c 400000 /dev/zero | tr "\\0" x >/tmp/disk/file'
grep -qx "ph: not all that was written to /mnt/share could be stored: No space left on device" err
result "nor is it silent about a file system in a file of the share, unmounted at the end"
umount share
