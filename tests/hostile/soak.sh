#!/bin/bash
# VMs that are killed at random moments, by random signals to random processes of ph: nothing stays behind, and
# the terminal is as it was. SOAK says how many; long-soak.sh is the long form.
. tests/guest/lib.sh
count=${SOAK:-10}
# shellcheck disable=SC2034 # bash's own generator
RANDOM=${SOAK_SEED:-$$}
# Processes of ph (pgrep takes at most 15 characters) that were not there before.
others=$(pgrep '^ph(-|$)')
processes() { pgrep "$@" '^ph(-|$)' | grep -vwF -- "${others:-none}"; }
# tree PID: its descendants
tree() {
	local child
	for child in $(pgrep -P "$1"); do
		echo "$child"
		tree "$child"
	done
}

# A shell that does not look after its terminal itself, in a terminal of its own: what it was like before and
# after ph. The terminal's keeper may need a moment.
cat >"$work/session" <<END
stty -g >$work/before
$ph --private-home -- sh -c 'while :; do ls /usr/bin >/dev/null; done'
for i in \$(seq 600); do
	stty -g >$work/after
	cmp -s $work/before $work/after && break
	sleep 0.1
done
END

# Until nothing of ph is there; false after two minutes.
await_end() {
	for _ in $(seq 1200); do
		[ -n "$(processes)" ] || return 0
		sleep 0.1
	done
	return 1
}

# One VM's life and death. Prints what went wrong.
kill_one() {
	local signals=(KILL KILL TERM INT HUP) signal victims victim moment
	rm -f "$work/after"
	script -qec "sh $work/session" /dev/null </dev/null >"$work/out" 2>&1 &
	local session=$!
	moment=$((RANDOM % 40))
	sleep $((moment / 10)).$((moment % 10))
	signal=${signals[RANDOM % ${#signals[@]}]}
	for _ in $(seq 600); do
		mapfile -t victims < <(comm -12 <(tree $session | sort) <(processes | sort))
		[ ${#victims[@]} -eq 0 ] || break
		sleep 0.1
	done
	[ ${#victims[@]} -gt 0 ] || { echo "ph did not start" && return; }
	kill -$signal "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null
	# Workers ignore what is for the monitor, and the command may ignore what it is sent.
	sleep 0.2
	for victim in "${victims[@]}"; do
		[ "$(cat "/proc/$victim/comm" 2>/dev/null)" != ph ] || kill -TERM "$victim" 2>/dev/null
	done
	if ! await_end; then
		echo "still there: $(processes -l | tr '\n' ' ')"
		processes | xargs kill -KILL
	fi
	wait $session
	cmp -s "$work/before" "$work/after" || echo "the terminal is not as it was"
}

for round in $(seq "$count"); do
	wrong=$(kill_one)
	[ -z "$wrong" ] || echo "# round $round: $wrong" >>"$work/wrong"
done
[ ! -e "$work/wrong" ] || cat "$work/wrong"
[ ! -e "$work/wrong" ]
result "$count VMs killed at random moments leave nothing behind"
nothing_left
