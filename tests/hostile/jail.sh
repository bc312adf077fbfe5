#!/bin/bash
# The processes of a running ph: what they have left, and what happens when one of them is killed.
# host: --root
. tests/guest/lib.sh

# as_user COMMAND: as an ordinary user who may use KVM
as_user() {
	setpriv --reuid 1000 --regid 1000 --groups "$(stat -c %g /dev/kvm)" env HOME=/home/user "$@"
}

# start [as_user]: a VM that waits, in the background, as $pid; its file server is $files
start() {
	"$@" "$ph" --private-home --share /usr/share:/mnt:ro -- sh -c 'echo up; exec sleep 1000' \
		>"$work/out" 2>"$work/err" &
	job=$!
	for _ in $(seq 1200); do
		[ -s "$work/out" ] && break
		sleep 0.1
	done
	pid=$(pgrep -P $job -x ph || echo $job)
	files=$(pgrep -P "$pid" -x ph-files)
	[ -n "$pid" ] && [ -n "$files" ]
}

stop() {
	kill -TERM "$pid" 2>/dev/null
	wait $job
}

# Every thread of $1 has this line in its status.
all_have() {
	local task
	for task in "/proc/$1/task/"*; do
		grep -qx "$2" "$task/status" || return 1
	done
}

for user in as_user env; do
	who=root
	[ $user = env ] || who="a user"
	start $user
	result "$who's VM starts"
	all_have "$pid" $'Seccomp:\t2' && all_have "$files" $'Seccomp:\t2'
	result "$who: every thread's system calls are filtered"
	all_have "$pid" $'NoNewPrivs:\t1' && all_have "$files" $'NoNewPrivs:\t1'
	result "$who: no new privileges"
	all_have "$pid" $'CapEff:\t0000000000000000' && all_have "$pid" $'CapPrm:\t0000000000000000'
	result "$who: the monitor has no capabilities"
	capabilities=0000000000000000
	[ $user = as_user ] || capabilities=000000000000000f
	all_have "$files" $'CapEff:\t'$capabilities && all_have "$files" $'CapPrm:\t'$capabilities
	result "$who: the file server has those of serving files, or none"
	grep -q '^Max core file size *0 *0 ' "/proc/$pid/limits" && grep -q '^Max core file size *0 *0 ' "/proc/$files/limits"
	result "$who: no core is ever dumped"
	find "/proc/$files/fd" -type l -printf '%l\n' >"$work/fds"
	! grep -E 'kvm|/dev/tty|/dev/pts|pidfd|signalfd|timerfd|io_uring' "$work/fds" &&
		[ "$(grep -c '^socket:' "$work/fds")" -eq 1 ] && [ "$(grep -c '^/memfd:' "$work/fds")" -eq 1 ]
	result "$who: the file server has nothing of the monitor's open"
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

# Root by sudo is the user who ran that.
SUDO_UID=1000 SUDO_GID=1000 run --private-home -- id -u
printed 1000
result "sudo ph runs the VM as the caller"
nothing_left
