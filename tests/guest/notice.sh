#!/bin/bash
# What the user hears of a failure where nobody reads standard error: a notification, and a line in the journal.
. tests/guest/lib.sh
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"

export DBUS_SESSION_BUS_ADDRESS=unix:path=$work/bus
env -u XDG_RUNTIME_DIR dbus-daemon --session --nofork --nopidfile --address="$DBUS_SESSION_BUS_ADDRESS" 2>/dev/null &
bus=$!
for _ in $(seq 300); do [ -S "$work/bus" ] && break || sleep 0.1; done
# Records what is said to a notification service; that there is none to answer is the same to ph.
dbus-monitor --session "destination='org.freedesktop.Notifications'" >"$work/calls" &
recorder=$!
for _ in $(seq 300); do [ -s "$work/calls" ] && break || sleep 0.1; done

# told TEXT: what the next Notify has, or an earlier one
told() {
	for _ in $(seq 100); do
		! grep -qF -- "$1" "$work/calls" || return 0
		sleep 0.1
	done
	return 1
}
calls() {
	grep -c 'member=Notify' "$work/calls"
}

setsid -w "$ph" --share '/no/<b>&"' -- /usr/bin/firefox 2>/dev/null
[ $? -eq 125 ] && told 'string "ph cannot run firefox"' && told '/no/&lt;b&gt;&amp;"'
result "an error before the VM is a notification, without markup"
setsid -w "$ph" --share $'/no/b\xe4r' -- /usr/bin/one 2>/dev/null
told 'string "ph cannot run one"' && told '/no/b?r'
result "so is one that is not UTF-8"
setsid -w "$ph" --share "/no/$(printf 'ü%.0s' {1..300})" -- "/no/x$(printf 'ü%.0s' {1..40})" 2>/dev/null
told "string \"ph cannot run x$(printf 'ü%.0s' {1..29})\"" && told "/no/$(printf 'ü%.0s' {1..200})"
result "or too long"
setsid -w "$ph" --append rdinit=/none -- /bin/true </dev/null >/dev/null 2>&1
[ $? -eq 125 ] && told 'string "ph cannot run true"' && told "the guest's kernel failed to start"
result "so is one from inside the jail"
setsid -w "$ph" --name box --append rdinit=/none -- /bin/box </dev/null >/dev/null 2>&1
[ $? -eq 125 ] && told 'string "ph cannot run box"'
result "and one of a VM with a name"
setsid -w env JOURNAL_STREAM=0:0 "$ph" --share /no/pipe 2>&1 | grep -q 'ph: .*/no/pipe' &&
	setsid -w "$ph" --share /no/file 2>"$work/err"
[ $? -eq 125 ] && grep -q /no/file "$work/err"
result "a pipe or a file gets the line ..."
: >"$work/err"
JOURNAL_STREAM=$(stat -c %d:%i "$work/err") setsid -w "$ph" --share /no/journal 2>"$work/err"
[ $? -eq 125 ] && grep -q /no/journal "$work/err" && told 'string "ph has failed"' && told /no/journal
result "what goes to the journal is a notification, too"
script -qec "'$ph' --share /no/terminal 2>/dev/null" /dev/null </dev/null >"$work/out"
[ "$(calls)" -eq 6 ] && ! grep -q '/no/\(pipe\|file\|terminal\)' "$work/calls"
result "... and neither a pipe nor a terminal's user gets a notification"
setsid -w strace -f -e trace=sendto -s 300 -o "$work/trace" "$ph" --share /no/where 2>/dev/null
grep -q 'PRIORITY=3\\nSYSLOG_IDENTIFIER=ph\\nMESSAGE=.*/no/where.*/run/systemd/journal/socket' "$work/trace"
result "what nobody reads goes to the journal"
setsid -w strace -f -e trace=sendto -s 300 -o "$work/trace" "$ph" --share $'/no/x\nPRIORITY=0' 2>/dev/null
grep -q 'MESSAGE=.*/no/x?PRIORITY=0' "$work/trace"
result "in one field, whatever it says"
DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere setsid -w "$ph" --share /no/bus 2>/dev/null
[ $? -eq 125 ]
result "no bus is no matter"
kill $recorder $bus
wait $recorder $bus 2>/dev/null
nothing_left
