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

measure_wl() {
	local who peer machine offset
	"${enter[@]}" /bench/wl_peer /run/wl >/dev/null 2>"$work/log" &
	peer=$!
	sleep 0.1
	for who in peer ph; do
		rm -f "$share/result"
		vm $who wl
		case $who in
		ph) command+=(--wl-socket "=/run/wl") ;;
		peer) command+=(-chardev "socket,id=wl,path=/run/wl" -device "virtserialport,chardev=wl,name=wl") ;;
		esac
		"${enter[@]}" timeout 60 "${command[@]}" >"$work/log" 2>&1 </dev/null &
		machine=$!
		offset=$(tsc_offset)
		wait $machine
		awk -v who=$who -v offset="$offset" '
			$1 == "failed" { print "#", who, $0; next }
			$1 == "wl-latency-to" { $3 += offset * $2 }
			$1 == "wl-latency-from" { $3 -= offset * $2 }
			/^wl-(count|touch|latency-both)/ || (who == "peer" && /^wl-(map|draw)/) { next }
			{ printf "%s %s %.3f\n", $1, who, $3 / $2 }' "$share/result" || sed 's/^/# /' "$work/log"
	done
	kill $peer
}
