#!/bin/bash
# The network by passt and by a tap, in a network namespace of the script's own (net.bash).
. tests/guest/net.bash

# ---- out ----

vm --net -- "/mnt/net_peer up $address4 7000 50000000 && /mnt/net_peer down $address4 7000 50000000 &&
	/mnt/net_peer up $address6 7000 5000000 && /mnt/net_peer down $address6 7000 5000000"
[ $status_of_ph -eq 0 ] && [ ! -s "$work/err" ] && [ "$(grep -c 'bytes,' "$work/out")" -eq 4 ]
result "bytes to the host's addresses and back, by IPv4 and IPv6"
sed 's/^/# /' "$work/out"

vm --net --sandbox=strict -- "for size in 1 1000 9000; do
	/mnt/net_peer udp $address4 7000 \$size && /mnt/net_peer udp $address6 7000 \$size || exit; done
	/mnt/net_peer ping $address4 7000 100 >/dev/null && ip -o link show eth0 | grep -o 'mtu [0-9]*'
	getent ahostsv4 name.example.test | head -n 1; grep search /etc/resolv.conf"
[ "$(grep -c 'the same' "$work/out")" -eq 6 ] && [ ! -s "$work/err" ]
result "datagrams, confined as strictly as can be"
grep -q 'mtu 65520' "$work/out"
result "the MTU"
grep -q '^192.0.2.77' "$work/out"
result "names are the host's, though its server listens on the loopback only"
grep -q 'search example.test' "$work/out"
result "the search list arrives"

vm --net --sandbox=off -- "/mnt/net_peer up $address4 7000 1000000"
[ $status_of_ph -eq 0 ]
result "without a worker"
vm -- "ls /sys/class/net; ip route"
[ "$(head -n 1 "$work/out")" = lo ] && ! grep -qE "eth0|default" "$work/out"
result "no network unless it is asked for"

# ---- not to the host's loopback ----

# Root of the guest sends what it likes: a packet to 127.0.0.1, over the wire.
around="ip route flush table local 127.0.0.0/8; ip addr del 127.0.0.1/8 dev lo
	for i in all eth0; do echo 1 >/proc/sys/net/ipv4/conf/\$i/route_localnet; done
	ip route add 127.0.0.1 via 10.213.112.1 src 10.213.112.2"
vm --net --root -- "/mnt/net_peer refuse 10.213.112.1 7000; $around
	ip route get 127.0.0.1; timeout 10 /mnt/net_peer refuse 127.0.0.1 7000 || echo gave up: \$?"
grep -q '^127.0.0.1 via 10.213.112.1 dev eth0' "$work/out" && [ "$(head -n 1 "$work/out")" = refused ] &&
	grep -q -e '^gave up: 124' "$work/out"
result "the host's loopback is out of reach, by the gateway and by its own address"

vm --net --net-host-loopback -- "/mnt/net_peer up 10.213.112.1 7000 1000"
[ $status_of_ph -eq 0 ]
result "unless it was asked for"

# passt stands for the name server by UDP alone.
ip address add 10.213.112.3/32 dev outside
vm --net -- "timeout 30 /mnt/net_peer refuse 10.213.112.3 7000 || echo gave up: \$?
	getent ahostsv4 name.example.test | head -n 1"
grep -q '^refused' "$work/out" && grep -q '^192.0.2.77' "$work/out"
result "TCP to the name server's address is refused, whoever has it outside"
ip address delete 10.213.112.3/32 dev outside

# ---- in ----

timeout 100 "$ph" --mem 512M --private-home --net --publish 8100:7100 --publish "$address4:8101:7100/udp" \
	--publish '[::1]:8102:7100' --publish 8103:80 --share "$work/share:/mnt:ro" -- bash -c \
	'/mnt/net_peer serve 7100 & /mnt/net_peer serve 80 &
	until grep -q :1BBC /proc/net/tcp6 && { grep -q ":0050 " /proc/net/tcp6 || ! kill -0 %2; }; do sleep 0.1; done
	echo ready; while ! [ -e /mnt/go ]; do sleep 0.1; done; kill %1' \
	>"$work/out" 2>"$work/err" &
vm=$!
wait_for ready "$work/out"
passt=$(child passt)
for kind in user mnt ipc uts; do
	inner=$(readlink "/proc/$passt/ns/$kind") && [ "$inner" != "$(readlink /proc/self/ns/$kind)" ] || echo "$kind"
done >"$work/shared"
[ "$(awk '$1 == "Uid:" { print $2, $3 }' "/proc/$passt/status")" = "$(id -u) $(id -u)" ] && [ ! -s "$work/shared" ] &&
	grep -qE '^CapEff:\s0+$' "/proc/$passt/status" && [ -z "$(ls "/proc/$passt/root/")" ]
result "passt is an ordinary process without privileges, in namespaces of its own without a file"
"$work/share/net_peer" down 127.0.0.1 8100 100000
result "a published port"
"$work/share/net_peer" down ::1 8102 100000
result "one at an IPv6 address"
"$work/share/net_peer" down 127.0.0.1 8103 100000
result "one that leads to a port of the VM below 1024, where its user may listen"
"$work/share/net_peer" udp $address4 8101 500
result "one for datagrams"
"$work/share/net_peer" refuse $address4 8100
result "at the loopback only where nothing else was asked for"
mv "$work/err" "$work/err.vm"
refused "port 8100 of 127.0.0.1: Address already in use" --net --publish 8100:1
touch "$work/share/go"
wait $vm && [ ! -s "$work/err.vm" ]
result "and the VM's end"
rm "$work/share/go"

# ---- failures ----

timeout 100 "$ph" --mem 512M --private-home --net --share "$work/share:/mnt:ro" -- bash -c \
	"/mnt/net_peer up $address4 7000 1000 && echo ready; while ! [ -e /mnt/go ]; do sleep 0.1; done
	for i in \$(seq 100); do /mnt/net_peer up $address4 7000 1000 2>/dev/null && break; sleep 0.5; done
	echo again; while [ -e /mnt/go ]; do sleep 0.1; done; cat /sys/class/net/eth0/carrier" \
	>"$work/out" 2>"$work/err" &
vm=$!
wait_for ready "$work/out"
kill -9 "$(child passt)"
wait_for 'killed by signal 9; it has been started again' "$work/err"
result "passt's end is told, and it is started again"
touch "$work/share/go"
wait_for again "$work/out"
[ "$(grep -c 'bytes,' "$work/out")" -eq 2 ]
result "and then the network works as before"
kill -9 "$(child passt)"
wait_for 'killed by signal 9; the VM is without network' "$work/err"
result "once"
rm "$work/share/go"
wait $vm && [ "$(tail -n 1 "$work/out")" = 0 ]
result "the link is down then, and the VM goes on"

timeout 100 "$ph" --mem 512M --private-home --net --share "$work/share:/mnt:ro" -- bash -c \
	'echo ready; while ! [ -e /mnt/go ]; do sleep 0.1; done; echo end' >"$work/out" 2>"$work/err" &
vm=$!
wait_for ready "$work/out"
kill -9 "$(child 'ph-net$')"
wait_for 'the network device was killed by signal 9' "$work/err"
touch "$work/share/go"
wait $vm && [ "$(tail -n 1 "$work/out")" = end ] && [ "$(wc -l <"$work/err")" -eq 1 ]
result "a VM outlives its network device"
rm "$work/share/go"

env PATH=/nowhere "$ph" --net -- true 2>"$work/err"
grep -q "install the package passt" "$work/err"
result "without passt it is told what to install"
refused "give --net, too" --publish 8080:80
refused "must be [ADDRESS:]PORT:GUESTPORT" --net --publish 8080
refused "port 8103 is published already; leave out one" --net --publish 8103:1 --publish '[::1]:8103:2'

echo "nameserver ::1" >"$work/resolv.conf"
run --net --dry-run
grep -q "reaches none of this host's name servers" "$work/err"
result "and where names are out of reach it is told so"
run --net --net-dns 192.0.2.1 --dry-run
[ ! -s "$work/err" ]
result "but not if it has named a server"

# ---- a tap ----

ip tuntap add dev tap7 mode tap
ip address add 172.17.0.1/24 dev tap7
ip address add fd78::1/64 dev tap7 nodad
ip link set tap7 up
tap=(--net=tap:tap7 --net-address 172.17.0.8/24 --net-gateway 172.17.0.1 --net-address fd78::8/64 --net-gateway fd78::1)
vm "${tap[@]}" --net-dns 172.17.0.1 -- "/mnt/net_peer up 172.17.0.1 7000 50000000 &&
	/mnt/net_peer down 172.17.0.1 7000 50000000 && /mnt/net_peer up fd78::1 7000 5000000 &&
	/mnt/net_peer down fd78::1 7000 5000000 && /mnt/net_peer udp 172.17.0.1 7000 9000 &&
	/mnt/net_peer udp fd78::1 7000 9000 && cat /etc/resolv.conf /sys/class/net/eth0/mtu
	cat /sys/class/net/eth0/address"
[ $status_of_ph -eq 0 ] && [ ! -s "$work/err" ] && [ "$(grep -c 'bytes,' "$work/out")" -eq 4 ]
result "the same over a tap"
sed 's/^/# /' "$work/out"
grep -q '^nameserver 172.17.0.1$' "$work/out" && grep -q '^1500$' "$work/out"
result "its name server and MTU"

# What the guest's driver took, and that the host's frames were larger than the interface's: segments are made and
# checksums computed where nobody has to.
counters() {
	awk '$1 == "tap7:" { print $2, $3, $10, $11 }' /proc/self/net/dev
}
before_transfer=$(counters)
vm "${tap[@]}" -- "cat /sys/class/net/eth0/device/features; /mnt/net_peer up 172.17.0.1 7000 20000000 &&
	/mnt/net_peer down 172.17.0.1 7000 20000000 && /mnt/net_peer down fd78::1 7000 20000000"
# CSUM, GUEST_CSUM, GUEST_TSO4/6, GUEST_ECN, HOST_TSO4/6, HOST_ECN, MRG_RXBUF
features=$(head -n 1 "$work/out")
for bit in 0 1 7 8 9 11 12 13 15; do
	[ "${features:bit:1}" = 1 ] || echo "bit $bit"
done >"$work/missing"
[ ${#features} -eq 64 ] && [ ! -s "$work/missing" ]
result "checksums, segmentation and merged buffers are negotiated"
# Acknowledgements are small, so the average of each direction is less than a segment's size.
echo "$before_transfer $(counters)" | awk '{
	print "# from the VM " int(($5 - $1) / ($6 - $2)) " bytes a frame, to it " int(($7 - $3) / ($8 - $4))
	exit ($5 - $1) / ($6 - $2) < 3000 || ($7 - $3) / ($8 - $4) < 3000 }' >"$work/out"
result "and used, in both directions"
cat "$work/out"
run --mem 512M --private-home "${tap[@]}" -- cat /sys/class/net/eth0/address
! grep -qf "$work/out" <(ip link)
result "an address of its own"
refused "there is no such interface" --net=tap:tap8

ip tuntap add dev tap9 mode tap multi_queue
ip address add 172.18.0.1/24 dev tap9
ip link set tap9 up
several=(--net=tap:tap9 --net-address 172.18.0.8/24)
vm "${several[@]}" --cpus 2 -- "ls /sys/class/net/eth0/queues | paste -sd ' '
	/mnt/net_peer up 172.18.0.1 7000 2000000 && /mnt/net_peer down 172.18.0.1 7000 2000000"
[ $status_of_ph -eq 0 ] && [ "$(head -n 1 "$work/out")" = "rx-0 rx-1 tx-0 tx-1" ]
result "a tap of several queues gives each CPU one"
run "${several[@]}" --cpus 8 --dry-run
grep -q 'tap tap9, MTU 1500, 4 queues' "$work/out"
result "up to four"
vm "${several[@]}" --cpus 1 -- "ls /sys/class/net/eth0/queues | paste -sd ' '; /mnt/net_peer up 172.18.0.1 7000 100000"
[ $status_of_ph -eq 0 ] && [ "$(head -n 1 "$work/out")" = "rx-0 tx-0" ]
result "a VM of one CPU takes one of them"
refused "one of that kind already" --net=tap:tap7 --net-address 1.2.3.4/24 --net-address 1.2.3.5/24
refused "must be an ADDRESS/PREFIX" --net=tap:tap7 --net-address 1.2.3.4
refused "behind a tap the host routes" --net=tap:tap7 --publish 1:2

! child passt
result "no passt is left"
nothing_left
