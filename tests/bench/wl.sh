# shellcheck shell=bash disable=SC2154
# The bench's part "wl", for inside.sh: messages between guest and host through virtio-wl, beside a virtio-serial
# port of QEMU that carries the same bytes.

# How far the guest's time stamp counter is ahead of the host's, once there is a guest.
tsc_offset() {
	local file
	for _ in $(seq 100); do
		for file in /sys/kernel/debug/kvm/*-*/vcpu0/tsc-offset; do
			[ ! -e "$file" ] || { cat "$file" && return; }
		done
		sleep 0.01
	done
	echo 0
}

# run_wl WHO: prints how far that guest's counter is ahead; what it measured is in the share.
run_wl() {
	local machine
	rm -f "$share/result"
	vm "$1" wl
	case $1 in
	ph) command+=(--wl-socket "=/run/wl") ;;
	peer) command+=(-chardev "socket,id=wl,path=/run/wl" -device "virtserialport,chardev=wl,name=wl") ;;
	esac
	"${within[@]}" "${command[@]}" >"$work/log" 2>&1 </dev/null &
	machine=$!
	tsc_offset
	wait $machine
	# The last of its works
	grep -q "^wl-bulk-from" "$share/result"
}

measure_wl() {
	local who peer offset
	"${enter[@]}" /bench/wl_peer /run/wl >/dev/null 2>&1 &
	peer=$!
	sleep 0.1
	for who in peer ph; do
		for _ in 1 2 3; do
			offset=$(run_wl $who) && break
			echo "# $who wl: not whole"
		done
		awk -v who=$who -v offset="$offset" '
			$1 == "failed" { print "#", who, $0; next }
			$1 == "wl-latency-to" { $3 += offset * $2 }
			$1 == "wl-latency-from" { $3 -= offset * $2 }
			/^wl-(count|touch|latency-both)/ || (who == "peer" && /^wl-(map|draw)/) { next }
			{ printf "%s %s %.3f\n", $1, who, $3 / $2 }' "$share/result" || sed 's/^/# /' "$work/log"
	done
	kill $peer
}
