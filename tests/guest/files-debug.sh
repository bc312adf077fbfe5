#!/bin/bash
# host: --ext4 1G --copy build/vmlinux-debug
# The patches of 9p under the kernel's own checks (KASAN, lockdep, sleeping in the wrong place): files that are written,
# asked for, opened, mapped and locked by several at once.
. tests/guest/lib.sh
kernel=$(realpath "$BUILD/vmlinux-debug") posix=$(realpath tests/guest/posix_files.c)
cd /scratch || exit 1
mkdir share
gcc -O1 -o share/posix_files "$posix" || exit 1
limit=600

# The guest's own shell expands these.
# shellcheck disable=SC2016
run --mem 1G --root --kernel "$kernel" --share "$PWD/share:/mnt/share" -- bash -c '
dmesg | grep -E "KernelAddressSanitizer initialized|Lock dependency validator" | sed "s/^/# checks: /"
cd /mnt/share && mkdir posix && (cd posix && ../posix_files)
while [ ! -e done ]; do stat . written appended >/dev/null 2>&1; cat written >/dev/null 2>&1; done &
for i in $(seq 200); do echo $i; done >written
for i in $(seq 50); do flock locked sh -c "echo $i >>appended"; done
sqlite3 wal.db "PRAGMA journal_mode = WAL; CREATE TABLE t (n); INSERT INTO t VALUES (1); SELECT * FROM t" >/dev/null
touch done; wait; rm done
cat /proc/lockdep_stats | grep -E "debug_locks|lock-classes" | sed "s/^/# /"
dmesg | grep -E -A 30 "WARNING|BUG|INFO: |Oops|Call Trace|blocked for more|UBSAN|ODEBUG" | sed "s/^/# said: /"'
pass_on "checked"
cmp <(seq 200) share/written && cmp <(seq 50) share/appended
result "what was written arrived"
[ "$(grep -c "^# checks: " "$work/out")" -eq 2 ] && grep -q "^#  *debug_locks: *1" "$work/out"
result "the kernel checks itself to the end"
! grep -q "^# said:" "$work/out"
result "and has nothing to say"
