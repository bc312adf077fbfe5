#!/bin/bash
# Each system call that the jail allows is one that ph makes: what is allowed and never used is an opening for
# nothing. Scripts of the suite run with every system call of ph traced; a row of the table that nobody used is a
# failure.
# host: --ext4 2G --gpu --timeout 9000
. tests/guest/lib.sh
gcc -O1 -Wall -Iinclude -Isrc -I/usr/include/libdrm -D_GNU_SOURCE -o "$work/unused" \
	tests/hostile/jail_calls.c src/jail/calls.c src/jail/kinds.c || exit 1

mkdir "$work/traces"
printf '#!/bin/sh\nexec strace -f -Y -qq -e raw=all -e signal=none -o "%s/$$" "%s" "$@"\n' \
	"$work/traces" "$ph" >"$work/ph"
chmod +x "$work/ph"

[ $# -gt 0 ] || set -- tests/guest/{block,exec,files,join,net,sound,terminal,wl}.sh tests/hostile/abuse-micro.sh
for script; do
	PH=$work/ph timeout 900 bash "$script" </dev/null >"$work/log" 2>&1
	echo "# $script: $(grep -c '^ok' "$work/log") of $(grep -cE '^(not )?ok' "$work/log") under strace"
	find /scratch -mindepth 1 -delete 2>/dev/null
done
cat "$work/traces/"* | "$work/unused" >"$work/rows"
[ -z "${OUT-}" ] || cp "$work/rows" "$OUT/"

# What no script here brings about, and why it is needed.
known=(
	# C libraries of other versions and vDSOs without a clock; stopping and going on
	"any fstat" "any ioctl TCGETS2" "any clock_gettime" "any restart_syscall"
	"monitor ioctl TCSETS2" "vcpu ioctl TCSETS2" "disk ioctl TCSETS2" "terminal ioctl TCSETS2"
	# hosts without io_uring (test_block runs so)
	"monitor pwritev2" "disk pwritev2" "disk fallocate" "monitor fsync" "disk fsync" "monitor fdatasync" "disk fdatasync"
	# crashes of the guest and of ph, and workers that die (badinput.sh, jail.sh)
	"monitor ioctl KVM_GET_REGS" "vcpu ioctl KVM_GET_REGS" "vcpu ioctl KVM_GET_SREGS"
	"vcpu ioctl TCSETS" "disk ioctl TCSETS" "any gettid" "monitor pidfd_send_signal" "monitor waitid"
	# a server of root's (files-owners.sh)
	"files geteuid"
	# a set-id bit and a lock that the host left (test_p9_escape, test_p9_lock)
	"files fchmod no set-id bits" "files fcntl F_OFD_GETLK"
	# a peer that stops reading (test_wl_flow)
	"display fcntl F_DUPFD_CLOEXEC" "display shutdown"
	# a display server that maps without end (test_wl_window)
	"monitor clock_nanosleep"
	# a second ph that joins, from a terminal
	"monitor fcntl F_DUPFD_CLOEXEC" "monitor ioctl TIOCGDEV"
	# what stdio asks of a descriptor before a thread tells what went wrong
	"vcpu newfstatat in a directory that is open" "disk newfstatat in a directory that is open"
)
while read -r row; do
	printf '%s\n' "${known[@]}" | grep -qxF -- "$row"
	result "used: $row"
done <"$work/rows"
grep -q 'KVM_RUN' "$work/traces/"* || cat "$work/traces/"* | grep -q ioctl
result "the traces hold what ph did"
