# shellcheck shell=bash
# For scripts about the network: a network namespace of the script's own, which is a host with an interface, a server
# behind its addresses, and a name server at its loopback.
if [ -z "${NET_NAMESPACE-}" ]; then
	# As the same user, who may set up the namespace, but nothing else.
	exec env NET_NAMESPACE=1 unshare --user --map-current-user --net --mount --keep-caps bash "$0"
fi
. tests/guest/lib.sh
PATH=$PATH:/usr/sbin:/sbin
address4=192.168.77.1 address6=fd77::1
ip link set lo up
ip link add outside type dummy
ip address add $address4/24 dev outside
ip address add $address6/64 dev outside nodad
ip link set outside up
ip route add default via 192.168.77.254
echo "nameserver 127.0.0.1
search example.test" >"$work/resolv.conf"
mount --bind "$work/resolv.conf" "$(realpath /etc/resolv.conf)" || exit 1

mkdir "$work/share"
gcc -O1 -static -o "$work/share/net_peer" tests/guest/net_peer.c 2>"$work/err" || cat "$work/err"
"$work/share/net_peer" serve 7000 &
servers=($!)
"$work/share/net_peer" dns 127.0.0.1 &
servers+=($!)
stop() {
	kill "${servers[@]}"
	finish
}
trap stop EXIT

# vm OPTIONS -- SCRIPT: the script in a VM, with the tool at /mnt/net_peer
vm() {
	local -a options=()
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	run --mem 512M --private-home "${options[@]}" --share "$work/share:/mnt:ro" -- bash -c "$2"
}

# wait_for WORD FILE: until the word stands in the file
wait_for() {
	for _ in $(seq 600); do
		grep -q -- "$1" "$2" 2>/dev/null && return
		sleep 0.1
	done
	return 1
}

# child NAME: the process of ours with this name
child() {
	pgrep -U "$(id -u)" "^$1"
}

