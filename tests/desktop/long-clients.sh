#!/bin/bash
# 200 programs of the VM with a window each, ten at a time: when all have ended, nothing is held for them any more, in the VM
# and on the host, nor any place in the window through which guests see the host's memory.
# host: --root --desktop sway --timeout 1500
. tests/desktop/lib.bash
begin_steps
on_weston && nest_weston

cat >.test/guest.sh <<END2
. .test/steps
show() { "$tools/probe" "\$1" 200x150 \$2 >/dev/null 2>>.test/complaints; }
"$tools/probe" still &
show first 3
mapfile -t proxy < <(proxies 2)
sleep 1
holdings "\${proxy[@]}" >.test/proxy-before
reach before
await counted
for round in \$(seq 20); do
	clients=()
	for _ in \$(seq 10); do
		show client\$round 1 &
		clients+=(\$!)
	done
	wait "\${clients[@]}"
done
# Their ends may not have been told yet.
for _ in \$(seq 50); do
	holdings "\${proxy[@]}" >.test/proxy-after
	[ "\$(cut -d, -f 1 .test/proxy-before)" = "\$(cut -d, -f 1 .test/proxy-after)" ] && break
	sleep 0.2
done
[ "\$(proxies 2)" = "\$(printf '%s\n' "\${proxy[@]}")" ] && reach same-proxies
show last 1 && reach last
reach after
await counted-again
END2

# window_bytes MONITOR: how much memory of the display's is in the window
window_bytes() {
	local sum=0 range
	while read -r range; do
		sum=$((sum + 16#${range#*-} - 16#${range%-*}))
	done < <(awk '/memfd:virtwl_alloc/ { print $1 }' "/proc/$1/maps")
	echo "window: $sum bytes"
}

# Of the host's processes
count() {
	local process
	mapfile -t processes < <(pgrep -x 'ph|ph-display' | sort -n)
	holdings "${processes[@]}"
	for process in "${processes[@]}"; do
		window_bytes "$process"
	done
}

# What they have mapped, for who wants to know what there is more of
mapped() {
	local process
	for process in "${processes[@]}"; do
		awk -v name="$(cat "/proc/$process/comm")" '$6 ~ "[/:]" { print name, $2, $6 }' "/proc/$process/maps"
	done | sort | uniq -c
}

# same_holdings BEFORE AFTER: descriptors and the window's bytes; no mapping more of what has a name. How much memory is free
# again, and in how many pieces, is up to the allocator.
same_holdings() {
	paste -d' ' "$1" "$2" >"$work/out"
	awk '{ half = NF / 2 } $2 != $(half + 2) || $(half + 4) > $4 { differs = 1 } END { exit differs }' "$work/out" &&
		! grown "$1" "$2"
}

as_before() {
	count >.test/host-after
	mapped >.test/mapped-after
	same_holdings .test/host-before .test/host-after
}

start clients -- bash .test/guest.sh
await before
count >.test/host-before
mapped >.test/mapped-before
reach counted
wait_for 1200 test -e .test/after
[ -e .test/same-proxies ] && [ ! -s .test/complaints ]
result "200 clients came and went"
[ -e .test/last ]
result "and another one after them"
wait_for 20 as_before
result "the host's processes hold what they held before, and so does the window"
grep -q '^window: [1-9]' .test/host-after
result "which is a place for the one that stayed"
same_holdings .test/proxy-before .test/proxy-after
result "so do the proxies"
sed 's/^/# /' .test/host-before .test/host-after .test/proxy-before .test/proxy-after
diff .test/mapped-before .test/mapped-after | sed 's/^/# /'
reach counted-again
wait "$started"
end_weston
rm -rf .test
