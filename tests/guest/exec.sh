#!/bin/bash
# Running commands: status, streams, identity, environment, files.
. tests/guest/lib.sh
cd "$HOME" || exit 1

run -- true
printed ''
result "true says nothing and succeeds"
run -- sh -c 'exit 7'
[ $status_of_ph -eq 7 ]
result "the exit status comes back"
run -- sh -c 'kill -9 $$'
[ $status_of_ph -eq 137 ]
result "killed by signal 9: 137"
run -- sh -c 'kill -TERM $$'
[ $status_of_ph -eq 143 ]
result "killed by SIGTERM: 143"
run -- no-such-command
[ $status_of_ph -eq 127 ] && [ ! -s "$work/out" ] && grep -q no-such-command "$work/err"
result "a command that is not found: 127 and a word about it"
run -- /etc/passwd
[ $status_of_ph -eq 126 ] && grep -q /etc/passwd "$work/err"
result "a command that cannot be run: 126"

run -- sh -c 'echo out; echo err >&2'
[ "$(cat "$work/out")" = out ] && [ "$(cat "$work/err")" = err ]
result "standard output and standard error stay apart"
# shellcheck disable=SC2069
"$ph" -- sh -c 'for i in 1 2 3 4 5; do echo $i; echo $i >&2; done' >"$work/out" 2>&1
[ $? -eq 0 ] && [ "$(tr -d '\n' <"$work/out")" = 1122334455 ]
result "unless they are one: then what is written comes in its order"
# shellcheck disable=SC2016
run -- sh -c 'for a; do printf "<%s>" "$a"; done' sh 'a b' '' $'new\nline' 'ü€' '--help'
printed $'<a b><><new\nline><ü€><--help>'
result "arguments arrive as they are"
run -- cat <<<hello
printed hello
result "standard input arrives"
run -- cat </dev/null
printed ''
result "its end arrives too"
run -- sh -c 'cat; echo done' <&-
grep -qx 'done' "$work/out"
result "without standard input"
timeout 60 "$ph" -- yes 2>"$work/err" | head -n 1 >"$work/out"
[ "${PIPESTATUS[1]}" -eq 0 ] && [ "$(cat "$work/out")" = y ] && ! pgrep -x ph >/dev/null
result "a reader that goes away ends the command"
run -- sh -c 'sleep 1000 & echo early'
printed early
result "what the command leaves in the background ends with it"

head -c 100000000 /dev/urandom >"$work/random"
sum=$(sha256sum <"$work/random")
timeout -k 5 240 "$ph" -- cat <"$work/random" 2>"$work/err" | sha256sum >"$work/out"
[ "$(cat "$work/out")" = "$sum" ] && [ ! -s "$work/err" ]
result "100 MB through cat come back as they were"
run -- sh -c 'sha256sum; dd if=/dev/zero bs=1000000 count=20 status=none >&2' <"$work/random"
[ "$(cat "$work/out")" = "$sum" ] && [ "$(stat -c %s "$work/err")" -eq 20000000 ]
result "100 MB in, 20 MB on standard error"
rm "$work/random" "$work/err"

run -- sh -c 'id -u; id -g; id -un; pwd; echo $HOME; hostname'
printed "$(id -u; id -g; id -un; pwd; echo "$HOME"; echo ph)"
result "user, group, directory, home, host name"
run --name box -- hostname
printed box
result "the name is the host name"
(cd /usr/share && run -- pwd && printed /usr/share)
result "the directory is the same where it is shown"
(cd /tmp && run -- pwd && [ "$(cat "$work/out")" = "$HOME" ] &&
	[ "$(cat "$work/err")" = "ph: /tmp is not shown in the VM, which starts in $HOME" ])
result "elsewhere it is the home, which is said"
(cd "$work" && touch here && run -- true && [ "$(cat "$work/err")" = "ph: $work is not shown in the VM, which starts in $HOME; --share . shows it" ] &&
	run --share . -- ls here && printed here)
result "and shared it is the same"
DBUS_SESSION_BUS_ADDRESS=x SSH_AUTH_SOCK=y LC_TIME=C MINE=1 run --env MINE --env 'A=b c' -- env
grep -qx LC_TIME=C "$work/out" && grep -qx MINE=1 "$work/out" && grep -qx 'A=b c' "$work/out" &&
	! grep -q "^DBUS_SESSION_BUS_ADDRESS=x\|^SSH_AUTH_SOCK" "$work/out"
result "the environment: what describes you, and --env"
# The RAM beyond what booting needs comes while the first command runs.
# shellcheck disable=SC2016
run --mem 512M -- sh -c 'until [ "$(awk "/MemTotal/ { print \$2 }" /proc/meminfo)" -gt 400000 ]; do sleep 0.1; done'
printed ''
result "--mem"

run --root -- sh -c 'id -u; touch /etc/from-the-vm && ls /etc/from-the-vm; cd && pwd'
printed $'0\n/etc/from-the-vm\n/root' && [ ! -e /etc/from-the-vm ]
result "--root: root in the VM, whose changes to the system stay there"
run -- sh -c 'touch /etc/from-the-vm 2>/dev/null && echo written'
[ ! -s "$work/out" ]
result "the user has no more rights than outside"
run --root -- sh -c 'ls -d /etc/shadow /proc/1/root/etc/shadow /home/* 2>/dev/null'
[ "$(cat "$work/out")" = "$HOME" ]
result "shadow files and other homes are not there"

echo content >"$HOME/ph-file"
# shellcheck disable=SC2016
run -- sh -c 'cat "$HOME/ph-file"; echo new >"$HOME/ph-new"; mkdir "$HOME/ph-dir"'
printed content && [ "$(cat "$HOME/ph-new")" = new ] && [ "$(stat -c %u "$HOME/ph-new")" = "$(id -u)" ] &&
	[ -d "$HOME/ph-dir" ]
result "the home is shared for reading and writing"
run --private-home -- sh -c 'ls -A ~; touch ~/ph-private && echo written'
printed written && [ ! -e "$HOME/ph-private" ]
result "--private-home is empty and gone afterwards"
mkdir "$work/other"
run --home "$work/other" -- sh -c 'touch ~/in-other; pwd'
[ -e "$work/other/in-other" ]
result "--home"
mkdir "$work/ro" "$work/rw"
echo data | tee "$work/ro/file" >"$work/rw/file"
run --share "$work/ro:/mnt/one:ro" --share "$work/rw:/mnt/two" -- sh -c \
	'cat /mnt/one/file /mnt/two/file; echo x 2>/dev/null >/mnt/one/new || echo refused; echo y >/mnt/two/new'
printed $'data\ndata\nrefused' && [ ! -e "$work/ro/new" ] && [ "$(cat "$work/rw/new")" = y ]
result "--share, read-only and not"
run --root --share "$work/ro:/mnt/one:ro" -- sh -c 'mount -o remount,rw /mnt/one; echo x >/mnt/one/new'
[ ! -e "$work/ro/new" ]
result "root in the VM cannot write to a read-only share"
run --share "$work/rw" -- cat "$work/rw/file"
printed data
result "a share's own place is the default"

# Until the command of the ph in the background has said something.
await_output() {
	for _ in $(seq 600); do [ -s "$work/out" ] && break || sleep 0.1; done
}
# run_and_kill SIGNAL COMMAND: and what became of it
run_and_kill() {
	"$ph" -- sh -c "$2" >"$work/out" 2>"$work/err" &
	pid=$!
	await_output
	kill -"$1" $pid
	wait $pid
	status_of_ph=$?
}
for signal in TERM INT HUP; do
	run_and_kill $signal 'echo up; exec sleep 100'
	[ $status_of_ph -eq $((128 + $(kill -l $signal))) ]
	result "SIG$signal reaches the command"
done
for signal in TERM HUP; do
	run_and_kill $signal "trap 'echo bye; exit 3' $signal; echo up; while :; do sleep 0.1; done"
	[ $status_of_ph -eq 3 ] && [ "$(cat "$work/out")" = $'up\nbye' ]
	result "what the command says at SIG$signal is not lost"
done
(trap '' HUP && exec "$ph" -- sh -c 'echo up; until [ -e ~/ph-end ]; do sleep 0.1; done; exit 4') >"$work/out" 2>"$work/err" &
pid=$!
await_output
kill -HUP $pid
sleep 1
touch "$HOME/ph-end"
wait $pid
status_of_ph=$?
[ $status_of_ph -eq 4 ]
result "a SIGHUP that is ignored, as by nohup, is"
rm "$HOME/ph-end"
flock --no-fork "$work/lock" "$ph" -- sh -c 'echo up; until [ -e ~/ph-end ]; do sleep 0.1; done' >"$work/out" 2>"$work/err" &
pid=$!
await_output
flock -n "$work/lock" true
locked=$?
touch "$HOME/ph-end"
wait $pid && [ $locked -ne 0 ] && flock -n "$work/lock" true
result "a lock that ph was given holds for as long as ph runs"
run -- sh -c 'trap "echo caught; exit 3" TERM; kill -TERM $$; sleep 10'
[ $status_of_ph -eq 3 ] && [ "$(cat "$work/out")" = caught ]
result "a command may handle its signals"
run --verbose -- true
[ $status_of_ph -eq 0 ] && [ ! -s "$work/out" ] && grep -q 'Linux version' "$work/err"
result "--verbose shows the kernel's messages"
run --timings -- true
[ $status_of_ph -eq 0 ] && [ ! -s "$work/out" ] && [ -s "$work/err" ]
result "--timings prints a table"
for how in poweroff halt; do
	run --root -- busybox $how -f
	[ $status_of_ph -eq 125 ] && grep -q '^ph: the guest crashed or was switched off' "$work/err"
	result "$how -f ends the VM"
done
# What is left of ph's caller: signals that are blocked, and no room for any that wait.
for caller in 'env --block-signal' 'prlimit --sigpending=0'; do
	read -r -a words <<<"$caller"
	timeout -s KILL 120 "${words[@]}" "$ph" -- echo over >"$work/out" 2>"$work/err"
	status_of_ph=$?
	printed over
	result "a VM of $caller ends, too"
done
run --sandbox=off -- echo one process
[ $status_of_ph -eq 0 ] && [ "$(cat "$work/out")" = 'one process' ] && [ "$(cat "$work/err")" = \
	'ph: --sandbox=off: all devices run in one process that nothing confines; for debugging only' ]
result "--sandbox=off works, and says what it is"
nothing_left
rm -rf "$HOME"/ph-*
