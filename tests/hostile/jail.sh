#!/bin/bash
# The processes of a running ph: what they have left, and what happens when one of them is killed.
# host: --root
. tests/guest/lib.sh

# as_user COMMAND: as an ordinary user who may use KVM
as_user() {
	setpriv --reuid 1000 --regid 1000 --groups "$(stat -c %g /dev/kvm)" env HOME=/home/user "$@"
}

# A socket that the display server may connect to, and a folder for a sign.
chmod 755 "$work"
mkdir -m 777 "$work/sign"
echo leaked >"$work/leaked"
perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && bind(S, sockaddr_un($ARGV[0])) || die' "$work/socket"
chmod 777 "$work/socket"

# start [as_user]: a VM that waits for a sign, in the background, as $pid; its file server is $files, and all of its workers
# are $workers
start() {
	rm -f "$work/sign/end"
	"$@" "$ph" --private-home --share /usr/share:/mnt/share:ro --share "$work/sign:/mnt/sign" --net --open-urls \
		--wl-socket "x=$work/socket" -- sh -c 'echo up; until [ -e /mnt/sign/end ]; do sleep 0.2; done; exit 3' \
		>"$work/out" 2>"$work/err" 5<"$work/leaked" &
	job=$!
	for _ in $(seq 1200); do
		[ -s "$work/out" ] && break
		sleep 0.1
	done
	pid=$(pgrep -P $job -x ph || echo $job)
	files=$(pgrep -P "$pid" -x ph-files)
	display=$(pgrep -P "$pid" -x ph-display)
	mapfile -t workers < <(pgrep -P "$pid" '^ph-(files|display|net)$')
	[ -n "$pid" ] && [ -n "$files" ] && [ -n "$display" ] && [ ${#workers[@]} -eq 3 ]
}

stop() {
	kill -TERM "$pid" 2>/dev/null
	wait $job
}

# all_have LINE PROCESS...: every thread of them has this line in its status
all_have() {
	local line=$1 task
	shift
	for task in $(printf '/proc/%s/task/* ' "$@"); do
		grep -qx "$line" "$task/status" || return 1
	done
}

# No process of these may dump core, and nobody but root can look into one.
no_cores() {
	local process
	for process; do
		grep -q '^Max core file size *0 *0 ' "/proc/$process/limits" && [ "$(stat -c %u "/proc/$process/fd")" -eq 0 ] ||
			return 1
	done
}

for user in as_user env; do
	who=root
	[ $user = env ] || who="a user"
	start $user
	result "$who's VM starts"
	all_have $'Seccomp:\t2' "$pid" "${workers[@]}"
	result "$who: every thread's system calls are filtered"
	all_have $'NoNewPrivs:\t1' "$pid" "${workers[@]}"
	result "$who: no new privileges"
	all_have $'CapEff:\t0000000000000000' "$pid" && all_have $'CapPrm:\t0000000000000000' "$pid"
	result "$who: the monitor has no capabilities"
	capabilities=0000000000000000
	[ $user = as_user ] || capabilities=000000000000000f
	all_have $'CapEff:\t'$capabilities "$files" && all_have $'CapPrm:\t'$capabilities "$files"
	result "$who: the file server has those of serving files, or none"
	no_cores "$pid" "${workers[@]}"
	result "$who: no core is ever dumped, and nobody looks into a process"
	find "/proc/$files/fd" -type l -printf '%l\n' >"$work/fds"
	! grep -E 'kvm|/dev/tty|/dev/pts|pidfd|signalfd|timerfd|io_uring' "$work/fds" &&
		[ "$(grep -c '^socket:' "$work/fds")" -eq 1 ] && [ "$(grep -c '^/memfd:' "$work/fds")" -eq 1 ]
	result "$who: the file server has nothing of the monitor's open"
	[ -n "$(ls "/proc/$pid/fd")" ] && ! find "/proc/$pid/fd" -type l -printf '%l\n' | grep -F "$work/leaked"
	result "$who: the monitor has nothing open that its caller happened to"
	stop
done

start env
[ "$(readlink "/proc/$files/ns/net")" != "$(readlink /proc/self/ns/net)" ] &&
	[ "$(readlink "/proc/$files/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] &&
	[ "$(readlink "/proc/$files/ns/ipc")" != "$(readlink /proc/self/ns/ipc)" ]
result "root's file server has namespaces of its own"
[ -z "$(ls -A "/proc/$files/root/")" ]
result "and an empty root directory"
kill -KILL "$files"
wait $job
status_of_ph=$?
[ $status_of_ph -eq 125 ] && [ "$(cat "$work/err")" = \
	'ph: the file server was killed by signal 9; the VM cannot go on without it' ]
result "when the file server is killed, ph says so and ends"
nothing_left

# What the guest has written is on the disk then, and the file system whole.
mkdir -p "$work/tree/bin" "$work/tree/mnt/share"
cp /bin/busybox "$work/tree/bin/busybox"
ln -s busybox "$work/tree/bin/sh"
ln -s busybox "$work/tree/bin/sleep"
/usr/sbin/mke2fs -q -t ext4 -d "$work/tree" "$work/root.img" 64M >/dev/null
"$ph" --root --private-home --rootfs "$work/root.img" --rootfs-mode rw --share /usr/share:/mnt/share:ro -- \
	sh -c 'echo stored >/stored; echo up; sleep 1000' >"$work/out" 2>"$work/err" &
job=$!
for _ in $(seq 1200); do
	[ -s "$work/out" ] && break
	sleep 0.1
done
pkill -KILL -P $job -x ph-files
wait $job
status_of_ph=$?
[ $status_of_ph -eq 125 ] && [ "$(cat "$work/err")" = "\
ph: the file server was killed by signal 9; the VM is shut down to store what is for its disks
ph: the VM has ended: it cannot go on without its file server" ]
result "when that happens to a VM with a root of its own, it is shut down in order"
[ "$(/usr/sbin/debugfs -R 'cat /stored' "$work/root.img" 2>/dev/null)" = stored ] &&
	/usr/sbin/e2fsck -fn "$work/root.img" >"$work/out" 2>&1 && ! grep -q 'recover' "$work/out"
result "and its file system is clean"

start as_user
kill -SYS "$files"
wait $job
status_of_ph=$?
[ $status_of_ph -eq 125 ] && grep -q 'was killed for a system call that it may not make' "$work/err"
result "a forbidden system call is told"
start as_user
kill -TERM "$files" && kill -HUP "$files" && kill -INT "$files" && sleep 1 && kill -0 "$files"
result "the file server leaves signals to the monitor"
kill -KILL "$pid"
wait $job
for _ in $(seq 100); do
	kill -0 "$files" 2>/dev/null || break
	sleep 0.1
done
! kill -0 "$files" 2>/dev/null
result "when the monitor is killed, the file server ends"

start as_user
kill -KILL "$display"
for _ in $(seq 300); do
	[ ! -s "$work/err" ] || break
	sleep 0.1
done
touch "$work/sign/end"
wait $job
status_of_ph=$?
[ $status_of_ph -eq 3 ] && [ "$(cat "$work/err")" = \
	'ph: the display server was killed by signal 9; programs have lost their windows' ]
result "when the display server is killed, ph says so, and the VM goes on"

start as_user
mapfile -t helpers < <(pgrep -P "$pid" '^ph-(network|opener)$')
kill -STOP "$display" "${helpers[@]}"
touch "$work/sign/end"
wait $job
status_of_ph=$?
[ $status_of_ph -eq 3 ] && [ ${#helpers[@]} -eq 2 ] && ! kill -0 "$display" 2>/dev/null &&
	! kill -0 "${helpers[0]}" 2>/dev/null && ! kill -0 "${helpers[1]}" 2>/dev/null
result "a process that does not end by itself is killed"

# Root by sudo is the user who ran that.
SUDO_UID=1000 SUDO_GID=1000 run --private-home -- id -u
printed 1000
result "sudo ph runs the VM as the caller"
nothing_left
