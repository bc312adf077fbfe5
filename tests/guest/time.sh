#!/bin/bash
# The guest's clock follows the host's: when that is set, and when the VM was stopped. It takes a counter for a clock where
# the host does. The clock is the test host's own.
# host: --root --emulate
. tests/guest/lib.sh
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"

mkdir "$work/home"
"$ph" --name clock --mem 512M --home "$work/home" -- sh -c 'echo first; until [ -e ~/end ]; do sleep 0.1; done' >"$work/first" 2>&1 &
first=$!
for _ in $(seq 600); do
	[ ! -s "$work/first" ] || break
	sleep 0.1
done

# between BEFORE AFTER TIME: within them, and a second that clocks may differ by
between() {
	awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { exit !(t >= a - 1 && t <= b + 1) }'
}
# follows NAME: the guest's time lies between the host's before and after the question
follows() {
	local before=$(date +%s.%N)
	run --name clock -- date +%s.%N
	[ $status_of_ph -eq 0 ] && between "$before" "$(date +%s.%N)" "$(cat "$work/out")"
	result "$1"
}
# set_by SECONDS: the host's clock; what the VM says follows as soon as it hears of it
set_by() {
	date -s "@$(($(date +%s) + $1))" >/dev/null
}
# The message and the next command take the same way, so the command comes behind it.
follows "the guest's clock is the host's"
set_by 86400
follows "a day later, when the host's clock is set"
set_by -172800
follows "a day earlier"
set_by 86400
follows "and back"
# A process that is stopped has a VM that stands still.
holder=$(pgrep -n -x ph)
kill -STOP "$holder"
sleep 4
kill -CONT "$holder"
follows "after a VM stood still"
touch "$work/home/end"
wait $first
result "the VM ends in order"

# What the host's kernel does when it finds its processors' counters apart.
source=/sys/devices/system/clocksource/clocksource0/current_clocksource
clock=$(cat $source)
echo acpi_pm >$source
run --mem 512M --private-home --cpus 2 -- sh -c "cat $source; grep -c tsc=reliable /proc/cmdline"
[ "$(paste -sd ' ' "$work/out")" = "kvm-clock 0" ]
result "a guest does not trust a TSC that its host does not"
echo "$clock" >$source
run --mem 512M --private-home -- grep -c tsc=reliable /proc/cmdline
printed 1
result "and trusts it otherwise"
nothing_left
