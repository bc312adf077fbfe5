#!/bin/bash
# Several commands in one VM, each with its own stdio, status and signals; and those who look after VMs.
. tests/guest/lib.sh
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"

# Wait for a condition: the rest of the line.
await() {
	for _ in $(seq 600); do
		eval "$*" && return
		sleep 0.1
	done
	return 1
}

# The first command waits for a file in its home, so that the others come while it runs.
mkdir "$work/home"
start() {
	"$ph" --name box --mem 512M --home "$work/home" -- sh -c 'echo first; until [ -e ~/end ]; do sleep 0.1; done; exit 3' \
		>"$work/first" 2>&1 &
	first=$!
	await '[ -s "$work/first" ]'
}
exec 9>"$work/lock"
flock 9
start
exec 9>&-
run --list
[ $status_of_ph -eq 0 ] && grep -qE '^box +running .* 512M +this system +sh -c' "$work/out"
result "--list shows the VM"
run --name box -- sh -c 'cat; hostname; echo error >&2; exit 7' <<<input
[ $status_of_ph -eq 7 ] && [ "$(cat "$work/out")" = $'input\nbox' ] && [ "$(cat "$work/err")" = error ]
result "a second command joins with its own stdio and status"
run --name box --root -- sh -c 'id -u; ps -e | grep -c " sh$"'
# It sees the first command, too.
[ $status_of_ph -eq 0 ] && [ "$(head -n 1 "$work/out")" = 0 ] && [ "$(tail -n 1 "$work/out")" -ge 2 ]
result "as root"
umask 027
run --name box --env A=B -- sh -c 'umask; echo $A; pwd'
umask 022
printed "0027"$'\n'"B"$'\n'"$PWD" || printed "0027"$'\n'"B"$'\n'"$HOME"
result "with its own umask, variables and directory"
head -c 20000000 /dev/urandom >"$work/bytes"
run --name box -- cat <"$work/bytes"
[ $status_of_ph -eq 0 ] && cmp "$work/out" "$work/bytes"
result "20 MB go through unharmed"
"$ph" --name box -- sh -c 'echo $$; exec sleep 1000' >"$work/out" &
pid=$!
await '[ -s "$work/out" ]'
kill -TERM $pid
wait $pid
[ $? -eq 143 ]
result "SIGTERM reaches its command"
"$ph" --name box -- sh -c 'trap "" HUP PIPE; echo $$; while sleep 0.1; do :; done' >"$work/out" &
pid=$!
await '[ -s "$work/out" ]'
inner=$(cat "$work/out")
kill -KILL $pid
wait $pid 2>/dev/null
run --name box -- sh -c "kill -0 $inner && echo alive; kill -KILL $inner"
grep -q alive "$work/out"
result "a ph that is killed takes no other with it"
"$ph" --name box -- yes | head -n 1 >"$work/out"
[ "${PIPESTATUS[0]}" -eq 141 ]
result "a reader that goes away is SIGPIPE"
refused 'runs without --mem 1G, which cannot change now; ph --stop box ends it' --name box --mem 1G -- true
refused 'runs without --private-home,' --name box --private-home -- true
run --name box --mem 512M --home "$work/home" -- echo same
printed same
result "the same options may be given again"
run --name box --sound=no --private-home=no -- echo same
printed same
result "and that something is not wanted which is not there"

# The first command ends while another one runs.
"$ph" --name box -- sh -c 'echo second; until [ -e ~/end2 ]; do sleep 0.1; done; echo done; exit 4' >"$work/second" 2>&1 &
second=$!
await '[ -s "$work/second" ]'
touch "$work/home/end"
wait $first
[ $? -eq 3 ]
result "the first ph ends with its own command"
flock -n "$work/lock" true
result "and the VM keeps nothing that its caller had open"
run --name box -- echo still
printed still
result "the VM is still there"
touch "$work/home/end2"
wait $second
[ $? -eq 4 ] && [ "$(cat "$work/second")" = $'second\ndone' ]
result "and ends with the last"
run --list
[ $status_of_ph -eq 0 ] && [ ! -s "$work/out" ]
result "then it is listed no more"
await '[ ! -e "$XDG_RUNTIME_DIR/ph/box" ]'
result "its place is cleared up"

# Ends.
rm -f "$work/home/end"
start
"$ph" --stop box 2>"$work/err"
[ $? -eq 0 ] && [ ! -s "$work/err" ]
result "--stop ends it"
wait $first
[ $? -eq 143 ]
result "its command sees SIGTERM"
refused 'no VM box is running' --stop box
refused 'no VM box is running' --logs box
start
pkill -KILL -n -x ph
wait $first
[ $? -eq 125 ] && grep -q 'the VM ended before the command did' "$work/first"
result "a VM that was killed is told"
run --name box -- echo again
printed again
result "its name can be used again"
await '[ ! -e "$XDG_RUNTIME_DIR/ph/box" ]'
"$ph" --name box -- head -c 160000 /dev/zero | {
	await '[ -e "$XDG_RUNTIME_DIR/ph/box" ]' && await '[ ! -e "$XDG_RUNTIME_DIR/ph/box" ]' && wc -c
} >"$work/out"
[ "${PIPESTATUS[0]}" -eq 0 ] && printed 160000
result "who reads slowly has all that the last command wrote, though the VM is gone"
"$ph" --name box --verbose -- sh -c 'echo first; sleep 1000' >"$work/first" 2>&1 &
first=$!
await 'grep -q first "$work/first"'
run --logs box
[ $status_of_ph -eq 0 ] && grep -q 'Run /init as init process' "$work/out"
result "--logs shows what the kernel said"
kill -TERM $first
wait $first

# One that ends while another one asks: that one's input is its own, whichever VM takes it.
"$ph" --name box --private-home -- sh -c 'echo up; sleep 1000' >"$work/first" 2>&1 &
first=$!
await '[ -s "$work/first" ]'
refused 'the VM box runs with --private-home, which cannot change now' --name box --private-home=no -- true
"$ph" --stop box 2>"$work/err" &
stop=$!
run --name box -- cat <"$work/bytes"
[ $status_of_ph -eq 0 ] && cmp "$work/out" "$work/bytes"
result "what is sent to a VM that is ending reaches the next one whole"
wait $first $stop

# Two at once.
for i in 1 2 3 4; do
	"$ph" --name race --mem 512M -- sh -c 'cat /proc/sys/kernel/random/boot_id; sleep 3' >"$work/race$i" 2>&1 &
	pids[i]=$!
done
wait "${pids[@]}"
[ "$(cat "$work"/race? | sort | uniq -c | awk '{ print $1 }')" = 4 ]
result "four who start the same VM get one"

# What is asked for must be so: a path is one from where it was given, and a realm is not another VM that has its name.
mkdir -p "$work/a/src" "$work/b/src"
touch "$work/a/src/one"
cd "$work/a" || exit 1
"$ph" --name realm-main --mem 512M --private-home --share src:/src -- sh -c 'echo first; sleep 1000' >"$work/first" 2>&1 &
first=$!
await '[ -s "$work/first" ]'
run --name realm-main --share src:/src -- ls /src
printed_elsewhere one
result "the same share again"
cd "$work/b" || exit 1
refused 'runs without --share src:/src' --name realm-main --share src:/src -- ls /src
refused 'the VM realm-main runs without --realm main' --realm main -- echo runs
cd - >/dev/null || exit 1
kill -TERM $first
wait $first

# No process may be started any more, which is not to be waited for.
if [ "$(id -u)" -eq 0 ]; then
	skip "a VM that cannot be started fails at once" "root may start any number of processes"
else
	prlimit --nproc=1 "$ph" --name box -- true 2>"$work/err"
	[ $? -eq 125 ] && [ "$(cat "$work/err")" = "ph: cannot start the VM: Resource temporarily unavailable" ]
	result "a VM that cannot be started fails at once"
fi

# Without a name.
"$ph" -- sh -c 'echo first; sleep 1000' >"$work/first" 2>"$work/err" &
first=$!
await '[ -s "$work/first" ]'
run --list
grep -q '^ph-1 ' "$work/out"
result "a VM without a name gets one"
run --name ph-1 -- hostname
printed_elsewhere ph
result "by which it can be joined"
kill -TERM $first
wait $first
[ $? -eq 143 ]
result "it ends as usual"

# Where its description cannot be written, as on a full disk.
mkdir -m 700 "$XDG_RUNTIME_DIR/ph/box" "$XDG_RUNTIME_DIR/ph/ph-1"
mkdir "$XDG_RUNTIME_DIR/ph/box/vm" "$XDG_RUNTIME_DIR/ph/ph-1/vm"
run --name box -- true
[ $status_of_ph -eq 125 ] && grep -qx "ph: cannot open the VM box to others: Is a directory" "$work/err" && [ ! -e "$XDG_RUNTIME_DIR/ph/box/lock" ]
result "a VM that cannot be opened to others does not begin, and leaves no lock"
"$ph" -- sh -c 'echo first; sleep 1000' >"$work/first" 2>"$work/err" &
first=$!
await '[ -s "$work/first" ]'
run --list
[ $status_of_ph -eq 0 ] && [ ! -s "$work/out" ]
result "without a name it runs, and is not listed"
kill -TERM $first
wait $first
rmdir "$XDG_RUNTIME_DIR"/ph/*/vm "$XDG_RUNTIME_DIR"/ph/*
chmod 755 "$XDG_RUNTIME_DIR/ph"
refused 'not yours alone' --name box -- true
chmod 700 "$XDG_RUNTIME_DIR/ph"
await '[ -z "$(ls "$XDG_RUNTIME_DIR/ph")" ]'
result "no place is left behind"
nothing_left
