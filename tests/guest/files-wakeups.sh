#!/bin/bash
# What a 9p request costs the file server: one wake-up, one read between the page cache and the guest's pages, one
# interrupt. Counted by its system calls in two VMs of which the second makes 1000 requests more.
# host: --ext4 256M
. tests/guest/lib.sh
cd /scratch || exit 1
mkdir share
head -c 8M /dev/urandom >share/file

cat >"$work/ph" <<END
#!/bin/sh
exec strace -f -Y -qq -e signal=none -o "$work/trace" "$ph" "\$@"
END
chmod +x "$work/ph"
ph=$work/ph

# counted COMMAND NUMBER: the system calls of the file server while a VM runs COMMAND with that number
counted() {
	run --mem 512M --share "$PWD/share:/mnt/share" -- sh -c "cd /mnt/share && $1" sh "$2"
	[ $status_of_ph -eq 0 ] || result "$1"
	sed -n 's/^[0-9]*<ph-files> *\([a-z0-9_]*\)(.*/\1/p' "$work/trace" | sort | uniq -c
}

# more NAME: how many more of these calls the second VM took
more() {
	awk -v name="$1" '$2 == name { sum += FILENAME ~ /after/ ? $1 : -$1 } END { print sum + 0 }' "$work/before" "$work/after"
}

# The guest's shell expands $1.
# shellcheck disable=SC2016
reads='dd if=file of=/dev/null bs=4k iflag=direct status=none count=$1'
counted "$reads" 100 >"$work/before"
counted "$reads" 1100 >"$work/after"
waits=$(more epoll_wait) reads=$(more preadv) signals=$(more write)
cat "$work/before" "$work/after" >"$work/out"
echo "# 1000 reads: $waits wake-ups, $reads reads, $signals interrupts, $(more futex) for locks"
# Another thread may be awake by chance when the kick comes.
[ "$waits" -ge 990 ] && [ "$waits" -le 1050 ]
result "a request costs one wake-up"
[ "$reads" -eq 1000 ]
result "and one read, straight into the guest's pages"
[ "$signals" -ge 990 ] && [ "$signals" -le 1050 ]
result "and one interrupt"
