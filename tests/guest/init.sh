#!/bin/bash
# What the guest's init makes of roots of all kinds, and what programs find there.
# host: --ext4 1G
# shellcheck disable=SC2016
. tests/guest/lib.sh
cd /scratch || exit 1

# A root of another layout: no shell, no /tmp, /proc or /etc/passwd, links to nowhere.
mkdir -p odd/nix odd/var odd/etc
cp /bin/busybox odd/nix/busybox
ln -s var/home odd/home
ln -s ../run odd/var/run
echo 192.0.2.1 away >odd/etc/hosts
ln -s /run/systemd/resolve/stub-resolv.conf odd/etc/resolv.conf
/usr/sbin/mke2fs -q -t ext4 -d odd odd.img 64M

run --private-home --rootfs odd.img -- /nix/busybox sh -c \
	'b=/nix/busybox; $b id -un; $b touch ~/new /tmp/new && $b ls /proc/self/status && $b readlink /home && $b readlink /etc/resolv.conf'
printed "$(id -un)"$'\n/proc/self/status\nvar/home\n/run/systemd/resolve/stub-resolv.conf'
result "a root without most of what roots have"
run --private-home --rootfs odd.img
[ $status_of_ph -eq 127 ] && [ ! -s "$work/out" ] && grep -q '^ph: /.*sh: not found in the VM$' "$work/err"
result "no shell in the VM: 127 and its name"
run --root --private-home --rootfs odd.img --rootfs-mode ro -- /nix/busybox sh -c '/nix/busybox mkdir /new && echo made'
printed made
result "a read-only root of another layout"
run --private-home --name box --rootfs odd.img --rootfs-mode rw -- /nix/busybox grep -h box /etc/hosts
printed '127.0.1.1 box' && [ "$(/usr/sbin/debugfs -R 'cat /etc/hosts' odd.img 2>/dev/null)" = '192.0.2.1 away' ]
result "the name is known on a writable root, which keeps its own"

/usr/sbin/mke2fs -q -t ext4 -b 4096 -d odd broken.img 64M
dd if=/dev/zero of=broken.img bs=4096 seek=1 count=1 conv=notrunc status=none
mkdir share
refused 'shared directory on /etc/passwd in the VM: Not a directory; another path' --share "$PWD/share:/etc/passwd" -- echo runs
refused 'shared directory on /nix/busybox/x in the VM: Not a directory' --rootfs odd.img --rootfs-mode rw \
	--share "$PWD/share:/nix/busybox/x" -- /nix/busybox echo runs
/usr/sbin/dumpe2fs -h odd.img >"$work/out" 2>"$work/err" && ! grep -q needs_recovery "$work/out"
result "a writable root is stored all the same"

# As when a desktop's session ends while its terminals close.
/usr/sbin/mke2fs -q -t ext4 -d odd end.img 128M
"$ph" --root --private-home --rootfs end.img --rootfs-mode rw -- /nix/busybox sh -c \
	'b=/nix/busybox; $b dd if=/dev/zero of=/zeros bs=1M count=64 2>/dev/null; echo up; exec $b sleep 1000' >"$work/out" 2>"$work/err" &
vm=$!
for _ in $(seq 600); do [ -s "$work/out" ] && break || sleep 0.1; done
kill -TERM $vm
while kill -HUP $vm 2>/dev/null; do sleep 0.02; done
wait $vm
[ ! -s "$work/err" ] && /usr/sbin/debugfs -R 'stat /zeros' end.img 2>/dev/null | grep -q 'Size: 67108864' &&
	! /usr/sbin/dumpe2fs -h end.img 2>/dev/null | grep needs_recovery
result "SIGTERM and SIGHUP end a VM in order, though one comes while it stores"

refused '/dev/vda' --private-home --rootfs broken.img -- /nix/busybox true
run --share "$PWD/share:/new/place/deep" -- touch /new/place/deep/file
printed '' && [ -e share/file ]
result "a mount point is made where it is missing"

run -- bash -c 'cat <(echo substituted); test -c /dev/null -a -c /dev/tty -a -w /dev/shm -a -w /tmp -a -d /dev/mqueue && echo devices'
printed $'substituted\ndevices'
result "process substitution, shared memory, devices"
run -- sh -c 'stat -c "%u %a" /run/user/$(id -u); ulimit -Sn; ulimit -Hn'
printed "$(id -u) 700"$'\n1024\n1048576'
result "the runtime folder is the user's; limits on files"
run -- sh -c 'stat -c %a /run/lock && mkdir /run/lock/mine && [ ! -L /var/lock -o -d /var/lock ] && echo locks'
printed $'1777\nlocks'
result "there is a folder for locks"
run -- sh -c 'getent hosts localhost >/dev/null && getent hosts $(hostname) | awk "{ print \$1 }"'
printed 127.0.1.1
result "the host name has an address"
run -- bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'
grep -q 'refused' "$work/err"
result "the loopback network is up"
run -- sh -c 'until mkdir /sys/fs/cgroup/user/mine 2>/dev/null; do sleep 0.1; done; echo $$ >/sys/fs/cgroup/user/mine/cgroup.procs && cat /proc/$$/cgroup'
printed 0::/user/mine
result "the user may divide the cgroup"
if command -v bwrap >/dev/null; then
	run -- bwrap --dev-bind / / --tmpfs /tmp --unshare-all --proc /proc echo confined
	printed confined
	result "bubblewrap works inside"
else
	skip "bubblewrap works inside" "bwrap is not here"
fi

run --share "$PWD/share:/mnt" -- sh -c 'head -c 30000000 /dev/zero >/mnt/large; exec 3>/mnt/open; echo late >&3; sleep 0.1; echo later >&3'
printed '' && [ "$(stat -c %s share/large)" -eq 30000000 ] && [ "$(cat share/open)" = $'late\nlater' ]
result "what was written last has arrived when ph ends"
run -- sh -c '(trap "" TERM HUP; while :; do sleep 1; done) & exit 6'
[ $status_of_ph -eq 6 ]
result "a process that will not end does not hold up the VM"
run -- sh -c '(setsid sh -c "trap \"echo goodbye >~/ph-goodbye; exit\" TERM; echo up; while :; do sleep 0.1; done" 2>/dev/null &) | head -n 1'
[ "$(cat "$HOME/ph-goodbye")" = goodbye ]
result "what still runs gets SIGTERM first"
rm -f "$HOME/ph-goodbye"
run --mem 1G -- sh -c 'until [ $(awk "/MemTotal/ { print \$2 }" /proc/meminfo) -gt 900000 ]; do sleep 0.1; done; df -k /tmp | awk "NR == 2 { print (\$2 > 400000) }"'
printed 1
result "all of the RAM arrives, and /tmp is sized by it"
# Standard input's end, while the process that adds memory is stopped.
late='read -r name </proc/1/comm
for try in {1..20}; do
	for process in /proc/[0-9]*; do
		read -r its 2>/dev/null <$process/comm
		[ "$its" = "$name" ] && [ $process != /proc/1 ] || continue
		kill -STOP ${process#/proc/} 2>/dev/null || continue
		timeout 10 cat && echo ended
		kill -CONT ${process#/proc/}
		exit
	done
done
echo gone'
for _ in 1 2 3 4 5; do
	run --root --mem 3G -- bash -c "$late" </dev/null
	[ "$(cat "$work/out")" = gone ] || break
done
printed ended
result "a command's streams end when they do, not when all of the RAM is there"
full='for folder in /tmp /var/tmp ~ /dev/shm /run/user/$(id -u); do
	head -c 2G /dev/zero 2>/dev/null >$folder/fill && echo $folder has no end
	[ -s $folder/fill ] || echo nothing in $folder
	rm $folder/fill
done
for folder in /dev/shm /run/user/$(id -u) /tmp /var/tmp ~; do head -c 2G /dev/zero 2>/dev/null >$folder/fill; done
ls /usr/bin | wc -l >/dev/null && sh -c "echo alive; exit 7"'
for size in 256M 1G; do
	run --mem $size --private-home -- sh -c "$full"
	[ $status_of_ph -eq 7 ] && [ "$(cat "$work/out")" = alive ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
		grep -q '^ph: no room is left for changes to the root, /tmp and the private home (' "$work/err"
	result "--mem $size: whatever is in memory gets full, and the VM goes on"
done
run --overlay-size 32M -- sh -c 'head -c 64M /dev/zero 2>/dev/null >/tmp/fill; stat -c %s /tmp/fill'
[ "$(cat "$work/out")" -le $((32 << 20)) ] &&
	grep -q '^ph: no room is left for changes to the root and /tmp (32 MiB; --overlay-size makes it larger)$' "$work/err"
result "--overlay-size is for /tmp, too"
run --mem 256M --private-home --rootfs odd.img --rootfs-mode rw -- /nix/busybox dd if=/dev/zero of=/tmp/fill bs=1M
[ $status_of_ph -eq 1 ] && grep -q '^ph: no room is left in /tmp and the private home (.*--mem makes it larger)$' "$work/err"
result "with a writable root, /tmp and the private home are in memory"
run --mem 256M -- tail /dev/zero
[ $status_of_ph -eq 137 ] && [ "$(cat "$work/err")" = 'ph: the VM is out of memory: tail was killed; --mem gives it more' ]
result "who is killed for memory is named"
run --root -- sh -c 'line="Out of memory: Killed process 1"; for i in 1 2 3 4 5; do
	printf "<0>$line (\033[31m\302\233x) total-vm:\n" >/dev/kmsg; printf "$line (\033]0;y\007) total-vm:\n" >/dev/hvc0
	printf "$line (%0500d) total-vm:\n" 1 >/dev/hvc0; printf "$line (" >/dev/hvc0; done; sleep 1; echo alive'
[ $status_of_ph -eq 0 ] && [ "$(cat "$work/out")" = alive ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
	[ "$(wc -c <"$work/err")" -lt 120 ] && ! LC_ALL=C grep -q '[^ -~]' "$work/err"
result "nobody can have more said than that, once"
run --mem 2G -- bash -c 'cd /proc/sys; until [ "$(cut -f 3 net/ipv4/tcp_wmem)" -eq $((4 << 20)) ]; do sleep 0.1; done
	[ "$(cat fs/file-max)" -gt 200000 ] && [ "$(cat fs/inotify/max_user_watches)" -gt 16000 ] &&
		[ "$(cat user/max_user_namespaces)" -gt 8000 ] && [ "$(cat fs/epoll/max_user_watches)" -gt 400000 ] &&
		[ "$(cut -f 2 net/ipv4/tcp_mem)" -gt 30000 ] && [ "$(ulimit -i)" -gt 8000 ] && echo all'
printed all
result "the limits of the kernel are those of all of the RAM"
if command -v dbus-daemon >/dev/null && command -v python3 >/dev/null; then
	run --mem 2G -- python3 -c 'import subprocess, threading
over = threading.Event()
for i in range(1300):
	threading.Thread(target=over.wait).start()
bus = subprocess.run(["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/",
	"org.freedesktop.DBus.GetId"], stdout=subprocess.DEVNULL)
over.set()
print("bus", bus.returncode)'
	printed 'bus 0'
	result "services start while the user has many threads"
else
	skip "services start while the user has many threads" "dbus-daemon or python3 is not here"
fi
nothing_left
