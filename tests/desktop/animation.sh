#!/bin/bash
# Windows that move all the time: afterwards ph holds as much as before, in the VM and on the host.
# ANIMATION_SECONDS says for how long; long-animation.sh does it for ten minutes.
# host: --root --desktop sway
. tests/desktop/lib.bash
seconds=${ANIMATION_SECONDS:-0}
begin_steps
on_weston && nest_weston

# The probe has new buffers for each picture; the flower, for long runs, uses the same ones again.
cat >.test/guest.sh <<END_OF_GUEST
. .test/steps
animate() { "$tools/probe" probe 400x300 \$1; }
"$tools/probe" still &
"$tools/probe" running 400x300 1000000 &
running=\$!
[ $seconds -eq 0 ] || weston-flower &
animate 10
mapfile -t proxy < <(proxies $((seconds == 0 ? 3 : 4)))
holdings "\${proxy[@]}" >.test/proxy-before
reach before
await counted
end=\$((SECONDS + $seconds))
animate 100 && reach animated
while [ \$SECONDS -lt \$end ]; do animate 600 || rm .test/animated; done
holdings "\${proxy[@]}" >.test/proxy-after
kill \$running
reach after
await counted-again
END_OF_GUEST

# The VM's processes that have to do with windows
count() {
	mapfile -t processes < <(pgrep -x 'ph|ph-display' | sort -n)
	holdings "${processes[@]}"
}

start animation -- bash .test/guest.sh
wait_for 120 test -e .test/before
result "windows that move"
count >.test/display-before
reach counted
wait_for $((seconds + 300)) test -e .test/after
[ -e .test/animated ]
result "to the end"
count >.test/display-after
! grown .test/display-before .test/display-after
result "the host's processes hold no more than before"
! grown .test/proxy-before .test/proxy-after
result "the proxies hold no more than before"
sed 's/^/# /' .test/display-before .test/display-after .test/proxy-before .test/proxy-after
window_count_is still 1
result "the window that was there before is still there"
reach counted-again
wait "$started"
end_weston
rm -rf .test
