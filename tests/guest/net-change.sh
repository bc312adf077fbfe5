#!/bin/bash
# A host that changes its network while a VM runs: other addresses, another name server.
. tests/guest/net.bash
"$work/share/net_peer" dns 192.168.78.1 192.0.2.78 &
servers+=($!)

# signal NAME: to the VM, which waits for the file
signal() {
	touch "$work/share/$1"
}

vm_in_background() {
	timeout 200 "$ph" --mem 512M --private-home --net --share "$work/share:/mnt:ro" -- bash -c \
		"ask() { getent ahostsv4 \$1.example.test | head -n 1 | cut -d ' ' -f 1; }
		await() { until \"\$@\"; do sleep 0.1; done; }
		$1" >"$work/out" 2>"$work/err" &
	vm=$!
	wait_for ready "$work/out"
}

vm_in_background '
	/mnt/net_peer up 192.168.77.1 7000 10000 && echo "at home: $(ask one)"; echo ready
	await grep -qx "nameserver 192.168.78.1" /etc/resolv.conf
	echo "away: $(ask two)"; await test -e /mnt/moved
	/mnt/net_peer up 192.168.78.1 7000 100000 && /mnt/net_peer up fd78:1::1 7000 100000
	/mnt/net_peer down 192.168.78.1 7000 100000 && echo moved
	await grep -qx "nameserver 10.213.112.3" /etc/resolv.conf
	echo "back: $(ask three)"; cat /etc/resolv.conf'
grep -q '^at home: 192.0.2.77$' "$work/out"
result "names by the name server at the host's loopback"

# Another interface with other addresses, and the first one is gone.
ip link add elsewhere type dummy
ip address add 192.168.78.1/24 dev elsewhere
ip address add fd78:1::1/64 dev elsewhere nodad
ip link set elsewhere up
ip link delete outside
ip route add default via 192.168.78.254
# Replaced in place, as NetworkManager does; and as it is between two networks, without a server.
: >"$work/resolv.conf"
echo "nameserver 192.168.78.1" >"$work/resolv.conf"
wait_for away: "$work/out"
grep -q '^away: 192.0.2.78$' "$work/out"
result "another name server is the guest's, too"
signal moved
wait_for moved "$work/out"
[ "$(grep -c 'bytes,' "$work/out")" -eq 4 ]
result "the guest connects by the new addresses, IPv4 and IPv6"
echo "nameserver 127.0.0.1
search example.test" >"$work/resolv.conf"
wait $vm
grep -q '^back: 192.0.2.77$' "$work/out" && grep -qx 'search example.test' "$work/out"
result "and back"
[ ! -s "$work/err" ]
result "without a word"

# passt has learned at its start where to forward questions to.
echo "nameserver 192.168.78.1" >"$work/resolv.conf"
vm_in_background '
	echo "before: $(ask one)"; echo ready
	await grep -qx "nameserver 10.213.112.3" /etc/resolv.conf
	for i in $(seq 20); do answer=$(ask two) && [ -n "$answer" ] && break; done
	echo "after: $answer"'
echo "nameserver 127.0.0.1" >"$work/resolv.conf"
wait $vm
grep -q '^before: 192.0.2.78$' "$work/out" && grep -q '^after: 192.0.2.77$' "$work/out"
result "a name server that comes up at the loopback is reached by a new passt"
[ "$(cat "$work/err")" = "ph: passt knew nothing of this host's new name server; it has been started again, connections are lost" ]
result "and that is told"

echo "nameserver 192.168.78.1" >"$work/resolv.conf"
run --mem 512M --private-home --net --net-dns 192.0.2.1 -- bash -c 'cat /etc/resolv.conf'
printed "nameserver 192.0.2.1"
result "who names a server keeps it"
nothing_left
