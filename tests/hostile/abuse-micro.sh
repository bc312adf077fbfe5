#!/bin/bash
# A guest that is nothing but a driver which breaks the rules, against each device of a VM in turn (tests/unit/abuse_acts.c
# has the list). It stays in ring 3, so any KVM runs it, also one that emulates ring 0 and cannot run a kernel.
# native
if [ ! -w /dev/kvm ]; then
	exec tests/host/run --copy "${BUILD:-build}/ph" --env "BUILD=${BUILD:-build}" -- bash "$0"
fi
. tests/guest/lib.sh
gcc -O1 -Wall -Wextra -Werror -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-stack-protector \
	-fcf-protection=none -fno-pic -no-pie -static -nostdlib -Wl,-Ttext=0x1000000,-z,noexecstack -o "$work/abuse" \
	tests/hostile/abuse_micro.S tests/hostile/abuse_micro.c tests/hostile/abuse_bars.c tests/unit/abuse.c tests/unit/abuse_acts.c || exit 1
truncate -s 1M "$work/disk"
perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && bind(S, sockaddr_un($ARGV[0])) || die' "$work/socket"

# micro TASK: the guest with that task; what it says in $work/said
micro() {
	limit=60 run --kernel "$work/abuse" --verbose --mem 256M --cpus 1 --private-home --net --disk "$work/disk" \
		--wl-socket "x=$work/socket" --append "abuse=$1" -- true </dev/null
	# Its end is a reset, after which ph tells the last lines once more.
	sed -n 's/^ph: guest: //p' "$work/err" | awk '!told[$0]++' >"$work/said"
}

# What ph says of a KVM that cannot run kernels, when the guest has not come up after some seconds.
cut_short='/dev/kvm opens but cannot run a kernel'

# The abuses of a device, a few in each VM, fewer where the time is short; then whether all devices serve.
abuse() {
	local slot=$1 name=$2 first=0 count=4
	while [ $first -lt "$abuses" ]; do
		micro "$slot:$((slot % slots + 1)):$first:$count"
		if ! grep -qx end "$work/said" && [ $count -gt 1 ] && grep -qF "$cut_short" "$work/err"; then
			count=1
			continue
		fi
		while IFS= read -r line; do
			number=$((number + 1))
			echo "${line%%ok *}ok $number - ${line#* - }"
		done < <(grep -E '^(not )?ok ' "$work/said")
		[ $status_of_ph -eq 125 ] && grep -qx end "$work/said" &&
			grep -qx "ph: the guest's kernel failed to start (--verbose shows its messages)" "$work/err" &&
			! grep -E 'was killed|has ended|without network' "$work/err"
		result "$name: ph and its workers outlive abuses from $((first + 1)) on"
		first=$((first + count))
	done
}

micro list
slots=$(grep -c '^slot ' "$work/said")
abuses=$(sed -n 's/^abuses //p' "$work/said")
[ "$(sed -n 's/^slot [0-9]* //p' "$work/said" | sort | tr '\n' ' ')" = '9p balloon block console net rng wl ' ]
result "the guest sees a device of each kind"
mapfile -t devices < <(sed -n 's/^slot //p' "$work/said")
micro memory
if grep -qF "$cut_short" "$work/err"; then
	skip "huge pages asked for anywhere change nothing" "this machine is too slow for that just now"
else
	grep -qx kept "$work/said" && [ "$status_of_ph" -eq 125 ] &&
		grep -qx "ph: the guest's kernel failed to start (--verbose shows its messages)" "$work/err"
	result "huge pages asked for anywhere change nothing"
fi
for device in "${devices[@]}"; do
	abuse "${device% *}" "${device#* }"
done
# Of this script's: others may run ph on the same machine.
for _ in $(seq 100); do
	pgrep -f "^.*ph .*$work/abuse" >"$work/left" || break
	sleep 0.1
done
[ ! -s "$work/left" ] && [ "$number" -gt $((${#devices[@]} * abuses)) ]
result "all of them ran, and no process is left behind"
