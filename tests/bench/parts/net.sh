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

# passt for QEMU
passt_options=(--foreground --quiet --mtu 65520 --mac-addr 02:70:68:00:00:01 --address 10.213.112.2 --netmask 24
	--gateway 10.213.112.1 --interface lo --no-dhcp --no-dhcpv6 --no-ra --no-ndp --ipv4-only)

measure_net() {
	local server passt socket=/tmp/passt
	local -a ph_bench=("${ph_bench[@]}" --net --net-host-loopback)
	local -a qemu_bench=("${qemu_bench[@]}" -netdev "stream,id=net,server=off,addr.type=unix,addr.path=$socket"
		-device virtio-net-device,netdev=net,mac=02:70:68:00:00:02,host_mtu=65520)
	ip link set lo up
	"${enter[@]}" /bench/net_peer 7000 &
	server=$!
	"${enter[@]}" passt "${passt_options[@]}" --socket $socket >$work/passt.log 2>&1 </dev/null &
	passt=$!
	sleep 2
	measure_works net-to net-from net-round-trip
	count_work_exits net-to net-from net-round-trip
	sed 's/^/# /' $work/passt.log
	kill $passt $server
}

report_net() {
	both net-to speed 1.0 "K instructions/MiB" 1e3 1
	both net-from speed 1.0 "K instructions/MiB" 1e3 1
	both net-round-trip speed 1.0 "K instructions/trip" 1e3 1
	both net-to-exits none '' exits/MiB 1 2
	both net-from-exits none '' exits/MiB 1 2
	both net-round-trip-exits none '' exits/trip 1 2
}
