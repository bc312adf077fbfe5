#!/bin/bash
# A slow end is told on a terminal, and nowhere else.
. tests/guest/lib.sh
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"

# A VM that takes its time to end: something in it does not want to.
cat >"$work/slow" <<'END'
setsid sh -c 'trap "" TERM HUP; : >/tmp/ready; while sleep 1; do :; done' </dev/null >/dev/null 2>&1 &
until [ -e /tmp/ready ]; do sleep 0.1; done
END
script -qec "'$ph' --share '$work:/mnt/work' -- sh /mnt/work/slow" /dev/null </dev/null >"$work/out"
grep -q 'ph: the VM is ending and stores what was written' "$work/out"
result "a terminal is told that the VM is still ending"
run --share "$work:/mnt/work" -- sh /mnt/work/slow
printed ""
result "a pipe is not"
"$ph" --name box --share "$work:/mnt/work" -- sh -c 'sh /mnt/work/slow; touch /mnt/work/slowly; exec sleep 1000' &
holder=$!
for _ in $(seq 600); do [ -e "$work/slowly" ] && break || sleep 0.1; done
script -qec "'$ph' --stop box" /dev/null </dev/null >"$work/out"
wait $holder
[ $? -eq 143 ] && grep -q 'ph: the VM box is ending and stores what was written' "$work/out"
result "nor does --stop keep a terminal waiting without a word"
nothing_left
