#!/bin/bash
# A terminal: raw and back, sizes, keys, and its sudden end. tmux plays the user.
. tests/guest/lib.sh
export TERM=xterm LC_ALL=C.UTF-8
tmux() { command tmux -S "$work/tmux" "$@"; }
screen() { tmux capture-pane -p -t 0; }
# Wait until the screen has a line that matches.
await() {
	for _ in $(seq 600); do
		screen | grep -qE -- "$1" && return
		sleep 0.1
	done
	screen >"$work/out"
	return 1
}
keys() { tmux send-keys -t 0 "$@"; }

tmux -f /dev/null new-session -d -x 90 -y 30 "env PS1='host> ' bash --norc --noprofile"
await '^host>'
keys 'stty -g >'"$work/before" Enter
keys "PS1='guest> ' $ph --env PS1 -- bash --norc --noprofile" Enter
await '^guest>'
result "a shell in the VM"
keys 'tty; stty size' Enter
await '^/dev/pts/' && await '^30 90$'
result "it has a terminal of the right size"
tmux resize-window -x 100 -y 40
sleep 1
keys 'clear; stty size' Enter
await '^40 100$'
result "a new size follows"
keys 'clear; sleep 1000; echo status $?' Enter
sleep 2
keys C-c
await '^\^C' && keys 'echo still here' Enter && await '^still here'
result "Ctrl-C ends the command in the VM, not ph"
keys 'sleep 1000' Enter
sleep 1
keys C-z
await 'Stopped' && keys 'kill %1; clear' Enter && await '^guest>'
result "Ctrl-Z stops it"
keys 'exit 5' Enter
await '^host>'
# shellcheck disable=SC2016
keys 'echo status-$?' Enter
await '^status-5'
result "its status comes back"
keys "stty -g >$work/after" Enter
sleep 1
cmp "$work/before" "$work/after"
result "the terminal is as it was"

keys "clear; $ph --verbose -- true; echo end" Enter
await '^end' && screen | grep -q '^ph: ' && ! screen | grep '^ \+ph: '
result "messages begin in the first column"

keys "clear; $ph -- sh -c 'echo to-stderr >&2; test -t 1 && echo to-stdout' 2>$work/stderr; echo end" Enter
await '^end' && await '^to-stdout' && [ "$(cat "$work/stderr")" = to-stderr ]
result "standard error goes where it was led to"
# In a script, timeout(1) makes a job in the background of its command.
cat >"$work/script" <<END
timeout 240 $ph -- sh -c 'test -t 1 || echo no terminal; exit 3'
echo status-\$?
timeout 5 $ph
echo status-\$?
END
keys "clear; sh $work/script" Enter
await '^no terminal' && await '^status-3'
result "a job in the background runs, and leaves the terminal alone"
await '^status-124'
result "a shell there waits for its turn, and can be ended"
keys "clear; stty -g >$work/after" Enter
sleep 1
cmp "$work/before" "$work/after"
result "the terminal is as it was still"

keys "clear; PS1='guest> ' $ph --env PS1 -- bash --norc --noprofile" Enter
await '^guest>'
pkill -TERM -o -x ph
await '^host>'
keys "clear; stty -g >$work/after" Enter
sleep 1
cmp "$work/before" "$work/after"
result "after SIGTERM too"
# Killed outright, in a shell that does not look after its terminal itself.
keys "clear; PS1='guest> ' dash -c '$ph --env PS1 -- bash --norc --noprofile; stty -g >$work/after; echo end'" Enter
await '^guest>'
pkill -KILL -o -x ph
await '^end'
sleep 1
keys 'clear' Enter
cmp "$work/before" "$work/after"
result "after SIGKILL too"
keys "clear; $ph --append rdinit=/nonexistent -- true; stty -g >$work/after; echo end" Enter
await '^end'
cmp "$work/before" "$work/after"
result "after a crash of the VM too"

# A VM that does not come up, as its file server does not answer.
mkdir -m 700 "$work/run"
hold_start() {
	for _ in $(seq 300); do pgrep -x ph-files >/dev/null && sleep 0.1 || break; done # of the one before
	(for _ in $(seq 3000); do pkill -STOP -x ph-files && break || sleep 0.01; done) &
	keys "$1" Enter
	wait $!
	sleep 2
}
for name in "" "--name box"; do
	command="env XDG_RUNTIME_DIR=$work/run $ph $name --private-home"
	hold_start "clear; $command -- true; echo status-\$?; stty -g >$work/after"
	keys C-c
	await '^status-130' && sleep 1 && cmp "$work/before" "$work/after"
	result "Ctrl-C ends it while it starts${name:+, with a name}"
	hold_start "clear; PS1='guest> ' $command --env PS1 -- bash --norc --noprofile"
	keys C-z
	await 'Stopped' && keys "clear; stty -g >$work/after" Enter && sleep 1 && cmp "$work/before" "$work/after"
	result "Ctrl-Z stops it"
	keys 'fg' Enter
	sleep 1
	keys 'echo typed a''head' Enter
	pkill -CONT -x ph-files
	await '^guest>' && await '^typed ahead'
	result "fg goes on with it, and what was typed ahead arrives"
	keys 'clear; stty size; sleep 1000' Enter
	await '^40 100' && sleep 1 && keys C-c && await '^\^C' && keys 'exit 4' Enter && await '^host>'
	result "then keys are the command's"
done
for _ in $(seq 100); do [ -e "$work/run/ph/box" ] && sleep 0.1 || break; done
[ ! -e "$work/run/ph/box" ]
result "a VM that nobody waits for has ended"

# The same in a VM that somebody else has started.
XDG_RUNTIME_DIR=$work/run "$ph" --name box -- sh -c 'echo up; exec sleep 1000' >"$work/box" 2>&1 &
box=$!
for _ in $(seq 600); do [ -s "$work/box" ] && break || sleep 0.1; done
keys "clear; XDG_RUNTIME_DIR=$work/run PS1='guest> ' $ph --name box --env PS1 -- bash --norc --noprofile" Enter
await '^guest>'
keys 'clear; tty; stty size' Enter
await '^/dev/pts/' && await '^40 100$' && tmux resize-window -x 90 -y 30 && sleep 1 && keys 'clear; stty size' Enter && await '^30 90$'
result "in a VM that was joined: its size"
keys 'clear; sleep 1000; echo status $?' Enter
sleep 2
keys C-c
await '^\^C' && keys 'echo still here' Enter && await '^still here'
result "its keys"
keys 'exit 6' Enter
await '^host>'
# shellcheck disable=SC2016
keys 'echo status-$?' Enter
await '^status-6' && keys "stty -g >$work/after" Enter && sleep 1 && cmp "$work/before" "$work/after"
result "its status, and the terminal is as it was"
kill $box
wait $box

keys "clear; PS1='guest> ' $ph --env PS1 -- bash --norc --noprofile" Enter
await '^guest>'
tmux kill-server
for _ in $(seq 100); do
	pgrep -x ph >/dev/null || break
	sleep 0.1
done
! pgrep -x ph >/dev/null
result "when the terminal goes away, so does ph"
nothing_left
