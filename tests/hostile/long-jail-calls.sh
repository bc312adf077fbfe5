#!/bin/bash
# Each system call that the jail allows is one that ph makes: what is allowed and never used is an opening for
# nothing. Scripts of the suite run while the kernel traces every system call of processes called ph; a row of the
# table that nobody used is a failure.
# host: --root --desktop sway --ext4 2G --with pulseaudio --timeout 3600
. tests/guest/lib.sh
only=("$@")
# Folders are opened to everybody and the kernel traces all: not on somebody's machine.
[ -n "${PH_TEST_HOST-}" ] || exit 1
gcc -O1 -Wall -Iinclude -Isrc -I/usr/include/libdrm -D_GNU_SOURCE -o "$work/unused" \
	tests/hostile/jail_calls.c src/jail/calls.c src/jail/kinds.c || exit 1

tracing=/sys/kernel/tracing
mountpoint -q $tracing || mount -t tracefs tracefs $tracing
echo 0 >$tracing/tracing_on
echo 200000 >$tracing/buffer_size_kb
echo 32768 >$tracing/saved_cmdlines_size
echo 'COMM ~ "ph*"' >$tracing/events/raw_syscalls/sys_enter/filter
echo 1 >$tracing/events/raw_syscalls/sys_enter/enable
echo 1 >$tracing/events/sched/sched_process_fork/enable
echo 1 >$tracing/tracing_on
"$work/unused" <$tracing/trace_pipe >"$work/rows" 2>"$work/events" &
reader=$!

mkdir -p /home/user
chown 1000:1000 /home/user
for ((i = 0; i < 20; i++)); do
	folder=${folder-$PWD}
	chmod a+rx "$folder"
	folder=$(dirname "$folder")
done
as_user=(setpriv --reuid 1000 --regid 1000 --init-groups env -u PH_OUTPUT HOME=/home/user USER=user LOGNAME=user
	XDG_RUNTIME_DIR=/run/user/1000)

# part SCRIPT COMMAND...: what the script needs before it. Of the scripts only those are run that this one was told, if any.
part() {
	local script=$1 started=$SECONDS
	shift
	[[ -z "${only[*]}" || " ${only[*]} " == *" $script "* ]] || return
	timeout -k 5 600 "$@" bash "$script" </dev/null >"$work/log" 2>&1
	[ -z "${PH_OUTPUT-}" ] || cp "$work/log" "$PH_OUTPUT/$(basename "$script").log"
	grep -q '^ok' "$work/log"
	result "$script is run"
	echo "# $script: $(grep -c '^ok' "$work/log") of $(grep -cE '^(not )?ok' "$work/log") ($((SECONDS - started)) s)"
	grep '^not ok' "$work/log" | sed 's/^/#   /'
	cat $tracing/per_cpu/cpu0/stats >"$work/stats" && sed -n 's/^\(entries\|overrun\)/#   &/p' "$work/stats"
	find /scratch -mindepth 1 -delete 2>/dev/null
}

for name in block exec files join net settings sound stop terminal wl wl-gpu; do
	part tests/guest/$name.sh "${as_user[@]}" env -u WAYLAND_DISPLAY
done
for name in 9p abuse-micro soak; do
	part tests/hostile/$name.sh "${as_user[@]}" env -u WAYLAND_DISPLAY
done
for script in tests/desktop/dmabuf.sh tests/desktop/windows.sh tests/hostile/wayland.sh; do
	part $script "${as_user[@]}"
done
for script in tests/guest/badinput.sh tests/guest/files-owners.sh tests/hostile/jail.sh tests/hostile/wl.sh; do
	part $script env -u WAYLAND_DISPLAY
done
# A host whose users may not have io_uring.
echo 2 >/proc/sys/kernel/io_uring_disabled
part tests/guest/block.sh "${as_user[@]}" env -u WAYLAND_DISPLAY
echo 0 >/proc/sys/kernel/io_uring_disabled

echo end >$tracing/trace_marker
wait $reader
result "the trace was read to its end"
sed 's/^/# /' "$work/events"
[ -z "${PH_OUTPUT-}" ] || cp "$work/rows" "$PH_OUTPUT/"

# What no script here brings about, and why it is needed.
known=(
	# C libraries of other versions and vDSOs without a clock; stopping and going on
	"any fstat" "any ioctl TCGETS2" "any clock_gettime" "any restart_syscall"
	"monitor ioctl TCSETS2" "vcpu ioctl TCSETS2" "disk ioctl TCSETS2" "terminal ioctl TCSETS2"
	# what stdio asks of a descriptor before a thread tells what went wrong
	"vcpu newfstatat in a directory that is open" "disk newfstatat in a directory that is open"
	# KVM that gives up, on a terminal, and a disk's thread that does; abort() (test_jail: ordinary life)
	"vcpu ioctl TCSETS" "disk ioctl TCSETS" "any gettid"
	"monitor ioctl KVM_GET_REGS" "vcpu ioctl KVM_GET_REGS" "vcpu ioctl KVM_GET_SREGS"
	# a set-id bit and a lock that the host left (test_p9_escape, test_jail_files)
	"files fchmod no set-id bits" "files fcntl F_OFD_GETLK"
	# a peer that stops reading (test_wl_flow)
	"display shutdown"
	# a display server that maps without end (test_jail: the monitor sleeps)
	"monitor clock_nanosleep"
	# a second ph that joins, from a terminal
	"monitor ioctl TIOCGDEV"
	# compositors with a security context, which Debian's are too old for (test_jail_connector)
	"connector bind" "connector listen" "connector pipe2" "connector sendto no address"
)
while read -r row; do
	printf '%s\n' "${known[@]}" | grep -qxF -- "$row"
	result "used: $row"
done <"$work/rows"
