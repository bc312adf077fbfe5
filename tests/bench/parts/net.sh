# shellcheck shell=bash
# The network: a guest's TCP to a server at the host's loopback and back, by passt under ph as under QEMU, with the same
# passt, the same options for it and the same MTU.

prepare_net() {
	install_programs passt
	# It leaves root's rights for those of nobody.
	install_file "$bench/net_peer" /bench/net_peer
	mkdir -p "$bench/root/tmp"
	chmod 1777 "$bench/root/tmp"
}

# passt for QEMU, until that hangs up
passt_options=(--foreground --quiet --one-off --mtu 65520 --mac-addr 02:70:68:00:00:01 --address 10.213.112.2
	--netmask 24 --gateway 10.213.112.1 --interface lo --no-dhcp --no-dhcpv6 --no-ra --no-ndp --ipv4-only)

measure_net() {
	local server who socket=/tmp/passt
	local -a ph_bench=("${ph_bench[@]}" --net --net-host-loopback)
	local -a qemu_bench=("${qemu_bench[@]}" -netdev "stream,id=net,server=off,addr.type=unix,addr.path=$socket"
		-device virtio-net-device,netdev=net,mac=02:70:68:00:00:02,host_mtu=65520)
	ip link set lo up
	"${enter[@]}" /bench/net_peer 7000 &
	server=$!
	for who in peer ph; do
		if [ $who = peer ]; then
			rm -f "$root$socket"
			"${enter[@]}" passt "${passt_options[@]}" --socket $socket >$work/passt.log 2>&1 </dev/null &
			sleep 2
		fi
		run_work $who net
		awk -v who=$who '$1 == "failed" { print "#", who, $0; next } { printf "%s %s %.0f\n", $1, who, $3 / $2 }' $share/result
		sed 's/^/# /' $work/passt.log
	done
	kill $server
}

report_net() {
	both net-to speed 1.0 "K instructions/MiB" 1e3 1
	both net-from speed 1.0 "K instructions/MiB" 1e3 1
	both net-round-trip speed 1.0 "K instructions/trip" 1e3 1
}
