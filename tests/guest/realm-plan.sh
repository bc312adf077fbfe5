#!/bin/bash
# What ph makes of realms before a VM starts: every key, every kind of bad input, images and partitions. No VM
# is started.
# native
# host: --root
. tests/guest/lib.sh
. tests/guest/citadel.bash
citadel=$work/citadel
make_citadel "$citadel" || exit 1
export PH_CITADEL=$citadel DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent
realms=$citadel/realms
image=$realms/realmfs-images/main-realmfs.img
config=$realms/realm-main/config
chown -R 1000:1000 "$realms"/realm-*/home

# plan ARGUMENTS: the plan of realm main, with standard input as its configuration
plan() {
	cat >"$config"
	run --dry-run --verbose --realm main "$@"
}
# shows TEXT: the plan has a line with it
shows() {
	[ "$status_of_ph" -eq 0 ] && grep -qF -- "$1" "$work/out"
}
# tells TEXT: --verbose has a line with it
tells() {
	[ "$status_of_ph" -eq 0 ] && grep -qF -- "$1" "$work/err"
}
# wrong MESSAGE [ARGUMENTS]: realm main with standard input as its configuration is refused
wrong() {
	local message=$1
	shift
	cat >"$config"
	refused "$message" --realm main "$@"
	: >"$config"
}

plan </dev/null
shows "root        /realms/realmfs-images/main-realmfs.img" && shows '/realms/realm-main/home at /home/user, read-write' &&
	shows '/realms/Shared at /home/user/Shared, read-write' && shows 'user, uid 1000, gid 1000' &&
	shows 'REALM_NAME=main' && shows GNOME_DESKTOP_SESSION_ID=this-is-deprecated && shows NO_AT_BRIDGE=1 &&
	shows XDG_RUNTIME_DIR=/run/user/1000 && shows 'name        main' && tells "use-x11 = true is left aside" && tells "root goes on as user 1000, whose realm main is"
result "the defaults"
# Root's ph says that it becomes another; ph says nothing else.
said() {
	grep -vxF 'ph: root goes on as user 1000, whose realm main is' "$work/err"
}
run --dry-run --realm main
[ $status_of_ph -eq 0 ] && [ -z "$(said)" ] && [ "$(wc -l <"$work/err")" -eq 1 ]
result "root is told once who it becomes, and nothing else without --verbose"

# ---- each key ----
plan <<<'use-shared-dir = false'
! shows /home/user/Shared && shows /home/user
result "use-shared-dir"
mkdir -p "$citadel/run/media/citadel"
plan <<<'use-media-dir = true'
shows "$citadel/run/media/citadel at /home/user/Media, read-write"
result "use-media-dir"
plan </dev/null
! shows /home/user/Media
result "which is off by default"
plan <<<'use-ephemeral-home = true'
shows 'an empty directory at /home/user' && shows '/realms/realm-main/home/Documents at /home/user/Documents, read-write' &&
	! shows '/realms/realm-main/home at'
result "use-ephemeral-home"
mkdir "$realms/realm-main/home/kept"
plan <<<"use-ephemeral-home = true
ephemeral-persistent-dirs = ['kept', 'missing']"
shows '/realms/realm-main/home/kept at /home/user/kept' && ! shows Documents && tells 'home/missing is not in the realm'
result "ephemeral-persistent-dirs"
ignored='use-x11 use-kvm use-gpu-card0 autostart system-realm'
plan < <(for key in $ignored; do echo "$key = true"; done && echo 'reserved-ip = 213')
for key in $ignored; do
	tells "realm main: $key = true is left aside"
	result "$key"
done
tells 'reserved-ip = 213 is left aside'
result "reserved-ip"
mkdir -p "$citadel/run/user/1000"
sockets=$citadel/run/user/1000
mkdir "$sockets/pulse"
for name in wayland-0 mine pulse/native; do
	# A socket of the file system, left behind by one who ended.
	(exec env -u XDG_RUNTIME_DIR dbus-daemon --session --address="unix:path=$sockets/$name" --nofork --nopidfile --nosyslog 2>/dev/null) &
	listeners="${listeners-} $!"
	for _ in $(seq 100); do [ ! -S "$sockets/$name" ] || break; sleep 0.1; done
done
plan </dev/null
shows "compositor  $sockets/wayland-0" && shows GDK_BACKEND=wayland
result "use-wayland is on by default"
shows "card        none"
result "use-gpu is off by default"
plan <<<'use-gpu = true'
shows compositor && ! shows card
result "use-gpu"
plan <<<'use-wayland = false'
! shows compositor && ! shows GDK_BACKEND
result "use-wayland"
plan <<<"wayland-socket = 'mine'"
shows "compositor  $sockets/mine"
result "wayland-socket"
wrong 'must be the name of a socket' <<<"wayland-socket = '../mine'"
plan </dev/null
shows "sound       $sockets/pulse/native, playing only" && shows PULSE_SERVER=
result "use-sound is on by default"
plan --microphone </dev/null
shows "sound       $sockets/pulse/native, with the microphone"
result "it records only with --microphone"
plan <<<'use-sound = false'
! shows 'sound  ' && ! shows PULSE_SERVER
result "use-sound"
plan --sound=no </dev/null
! shows 'sound  '
result "--sound=no goes before it"
wrong 'use-sound = false' --sound <<<'use-sound = false'
# shellcheck disable=SC2086
kill $listeners
wait
plan <<<"wayland-socket = 'none'"
tells 'there is no compositor' && ! shows compositor
result "without a compositor"
tells 'there is no sound server at' && ! shows 'sound  '
result "without a sound server"
plan </dev/null
shows "network     $(command -v passt)"
result "use-network is on by default, by passt"
plan <<<'use-network = false'
! shows 'network  '
result "use-network"
plan --net=no </dev/null
! shows 'network  '
result "--net=no goes before it"
: >"$config"
env PATH=/nowhere "$ph" --dry-run --verbose --realm main >"$work/out" 2>"$work/err"
! shows 'network  ' && tells 'has no network: the program passt is not here'
result "without passt a realm has no network, and starts"
echo 'use-network = true' >"$config"
env PATH=/nowhere "$ph" --dry-run --realm main >"$work/out" 2>"$work/err"
[ "$(said | wc -l)" -eq 1 ] && said | grep -q 'has no network'
result "which is told aloud where the files ask for one"
wrong 'use-network = false' --net <<<'use-network = false'
wrong "network-zone 'vpn'" --net <<<"network-zone = 'vpn'"
wrong "a tap of the bridge vz-vpn leads there" --net=tap:lo <<<"network-zone = 'vpn'"
wrong "netns 'tor'" --net <<<"netns = 'tor'"
wrong "netns 'tor'" --net=tap:lo <<<"netns = 'tor'"
for key in "netns = 'tor'" "network-zone = 'vpn'"; do
	echo "$key" >"$config"
	run --dry-run --realm main
	[ "$(said | wc -l)" -eq 1 ] && said | grep -q "has no network: it is to be in ${key%% *}" &&
		! shows 'network  '
	result "and without --net none: $key"
done
# Taps of the zone's bridge and of another, in a network namespace.
in_zone() {
	unshare --net --mount true 2>"$work/unshare" || return 77
	export ph config work
	unshare --net --mount bash -c '
		PATH=$PATH:/usr/sbin:/sbin
		mount -t sysfs sysfs /sys && ip link add vz-vpn type bridge && ip link add vz-other type bridge &&
			ip tuntap add dev tap1 mode tap && ip link set tap1 master vz-vpn &&
			ip tuntap add dev tap2 mode tap && ip link set tap2 master vz-other || exit 77
		echo "network-zone = \"vpn\"" >"$config"
		"$ph" --dry-run --realm main --net=tap:tap1 2>&1 | grep -q "network     tap tap1" || exit 1
		"$ph" --dry-run --realm main --net=tap:tap2 >"$work/out" 2>"$work/err"
		[ $? -eq 125 ] && grep -q "a tap of the bridge vz-vpn leads there" "$work/err"' 2>"$work/unshare"
}
in_zone
in_zone=$?
: >"$config"
if [ $in_zone -eq 77 ]; then
	skip "a tap of the zone's own bridge" "no bridges and taps can be made here: $(head -n 1 "$work/unshare")"
else
	[ $in_zone -eq 0 ]
	result "a tap of the zone's own bridge, and none of another"
fi
mkdir -p "$citadel/a:b" "$citadel/plain"
plan <<<"extra-bindmounts = ['$citadel/plain', '$citadel/a\\:b:/mnt/colon']
extra-bindmounts-ro = [\"$citadel/plain:/mnt/ro:rbind\"]"
shows "$citadel/plain at $citadel/plain, read-write" && shows "$citadel/a:b at /mnt/colon, read-write" &&
	shows "$citadel/plain at /mnt/ro, read-only"
result "extra-bindmounts, extra-bindmounts-ro"
ln -s plain "$citadel/link"
wrong 'symbolic link on the way' <<<"extra-bindmounts = ['$citadel/link']"
wrong 'no such directory' <<<"extra-bindmounts = ['$citadel/nothing']"
wrong 'no single files' <<<"extra-bindmounts-ro = ['$citadel/main.meta']"
wrong 'absolute paths' <<<"extra-bindmounts = ['relative:/x']"
wrong 'absolute paths' <<<"extra-bindmounts = ['$citadel/plain:/mnt/../etc']"
wrong 'absolute paths' <<<"extra-bindmounts = [\"$citadel/plain:/mnt/a\\nb\"]"
wrong "VM's own" <<<"extra-bindmounts = ['$citadel/plain:/proc/x']"
wrong 'no such option' <<<"extra-bindmounts = ['$citadel/plain:/mnt:idmap']"
wrong 'both be shared' <<<"extra-bindmounts = ['$citadel/plain:/home/user']"
plan <<<"realm-depends = ['other']"
tells 'depends on realm other, which does not run'
result "realm-depends"
cp "$image" "$realms/realmfs-images/second-realmfs.img"
plan <<<"realmfs = 'second'"
shows second-realmfs.img
result "realmfs"
plan --realmfs second </dev/null
shows second-realmfs.img
result "--realmfs goes before it"
wrong 'realmfs-write = true' <<<'realmfs-write = true'
# ---- and all the others are known ----
plan <<'END'
use-shared-dir = false
use-media-dir = false
use-ephemeral-home = false
ephemeral-persistent-dirs = []
use-sound = false
use-x11 = false
use-wayland = false
wayland-socket = 'w'
use-kvm = false
use-gpu = false
use-gpu-card0 = false
use-network = false
network-zone = 'clear'
reserved-ip = 200
netns = 'x'
system-realm = false
autostart = false
extra-bindmounts = []
extra-bindmounts-ro = []
realm-depends = []
realmfs = 'main'
realmfs-write = false
terminal-scheme = 'nord'
overlay = 'tmpfs'
END
[ "$(grep -c 'left aside' "$work/err")" -eq 6 ] && [ "$(grep -c ' = ' "$config")" -eq 24 ] && [ $status_of_ph -eq 0 ]
result "all 24 keys at once: those that are left aside are named"
plan <<<"terminal-scheme = 'nonesuch'"
shows 'name        main' && tells "'nonesuch' is none that ph knows"
result "an unknown terminal-scheme"
for i in $(seq 0 21); do echo "put_template $i 11/22/33"; done >"$realms/realm-main/home/.base16rc"
for i in 10 11; do echo "put_template_var $i 11/22/33"; done >>"$realms/realm-main/home/.base16rc"
plan <<<"terminal-scheme = 'nonesuch'"
! tells nonesuch
result "one that Citadel has written down in the realm"
ln -sf /etc/passwd "$realms/realm-main/home/.base16rc"
plan <<<"terminal-scheme = 'nonesuch'"
tells "'nonesuch' is none that ph knows"
result "but not through a link"
rm "$realms/realm-main/home/.base16rc"
plan <<<"terminal-scheme = 'embers'"
shows 'name        main' && ! tells embers
result "terminal-scheme"
for overlay in storage tmpfs; do
	plan <<<"overlay = '$overlay'"
	shows 'name        main' && ! shows 'root is read-only'
	result "overlay = '$overlay'"
done
plan <<<"overlay = 'none'"
shows 'the root is read-only, but for /var' && ! tells 'is none of'
result "overlay = 'none'"
plan <<<"overlay = 'odd'"
shows 'the root is read-only, but for /var' && said | grep -q "overlay = 'odd' is none of"
result "another overlay is none, and told aloud"
run --dry-run --overlay-size 64M --realm main
shows 'changes to the root may take 64 MiB'
result "--overlay-size"
echo "use-shared-dir = false" >>"$realms/config"
plan </dev/null
! shows /home/user/Shared
result "the global file is asked next"
plan <<<'use-shared-dir = true'
shows /home/user/Shared
result "the realm's own goes before it"
plan <<<"no-such-key = 7
[section]
use-shared-dir = 'x'"
! shows /home/user/Shared && [ "$status_of_ph" -eq 0 ]
result "unknown keys are nobody's business"

# ---- bad input ----
wrong '/realms/realm-main/config, line 2: use-shared-dir must be true or false' <<<"
use-shared-dir = 'no'"
wrong 'config, line 1: a text needs quotes' <<<'realmfs = main'
echo 'broken = ' >"$realms/config"
refused '/realms/config, line 1: a value was expected' --realm main
rm "$realms/config" && ln -s /etc/passwd "$realms/config"
refused '/realms/config: is a symbolic link' --realm main
rm "$realms/config" && echo "realmfs = 'main'" >"$realms/config"
rm "$config" && mkfifo "$config"
refused 'realm-main/config: Invalid argument' --realm main
rm "$config" && head -c 70000 /dev/zero | tr '\0' '#' >"$config"
refused 'too large' --realm main
rm "$config"
wrong 'images there are:' <<<"realmfs = 'missing'"
wrong 'cannot be a realmfs image' <<<"realmfs = '../main'"
refused "there is no realm 'nope'; realms there are: main, other" --realm nope
for name in ../main a/b . 1main "" "$(printf %129s x | tr ' ' a)"; do
	[ -z "$name" ] || refused 'cannot be a realm' --realm "$name"
done
refused 'needs a value' --realm ''
ln -s realm-main "$realms/realm-linked"
refused 'no directory of its own' --realm linked
: >"$realms/realm-file"
refused 'no directory of its own' --realm file
mkdir "$realms/realm-homeless"
refused 'there is none; Citadel makes it' --realm homeless
ln -s ../realm-main/home "$realms/realm-homeless/home"
refused 'it is no directory' --realm homeless
rm "$realms/realm-homeless/home" && mkdir "$realms/realm-homeless/home"
refused 'belongs to root' --realm homeless
as_user() {
	setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/tmp "$ph" --dry-run --realm main >"$work/out" 2>"$work/err"
	status_of_ph=$?
}
chmod 755 "$work"
as_user
[ $status_of_ph -eq 0 ] && shows 'user, uid 1000'
result "a realm is for its user without root"
chmod 600 "$image"
as_user
[ $status_of_ph -eq 125 ] && grep -q 'main-realmfs.img: Permission denied' "$work/err" && [ "$(wc -l <"$work/err")" -eq 1 ]
result "what root alone may open is refused to others"
run --dry-run --realm main
shows main-realmfs.img
result "and opened by root"
chmod 644 "$image"
chmod 0 "$realms/realm-main/home"
as_user
[ $status_of_ph -eq 125 ] && grep -q 'you may not read it' "$work/err" && [ "$(wc -l <"$work/err")" -eq 1 ]
result "an unreadable home"
chmod 555 "$realms/realm-main/home"
as_user
[ $status_of_ph -eq 125 ] && grep -q 'you may not write to it' "$work/err" && [ "$(wc -l <"$work/err")" -eq 1 ]
result "a home that cannot be written"
chmod 755 "$realms/realm-main/home"
ln -s /etc "$realms/realm-main/home/out"
wrong 'leads out of the home' <<<"use-ephemeral-home = true
ephemeral-persistent-dirs = ['out']"
wrong 'inside of the home' <<<"use-ephemeral-home = true
ephemeral-persistent-dirs = ['../x']"
PH_CITADEL=/nonexistent refused 'this is no Citadel' --realm main
PH_CITADEL=/nonexistent refused 'this is no Citadel' --realms
refused 'does not go with' --realm main --rootfs x
refused 'need --realm' --realmfs-key x

# ---- images; test_realm_header has each field of the header wrong ----
# image MESSAGE [ARGUMENTS]: $work/image is refused
image() {
	local message=$1
	shift
	refused "$message" --private-home --realmfs "$work/image" "$@"
}
meta() {
	sed "$1" "$citadel/main.meta" >"$work/meta"
	cp --sparse=always "$image" "$work/image"
	put_header "$work/image" "$work/meta" "${2-2}"
}
byte() {
	cp --sparse=always "$image" "$work/image"
	# shellcheck disable=SC2059
	printf "$2" | dd of="$work/image" bs=1 seek="$1" conv=notrunc status=none
}
byte 0 X
image 'does not begin with SGOS'
byte 5 '\0'
image 'hash tree is missing; citadel-image generate-verity'
byte 5 '\6'
image 'compressed; citadel-image decompress'
byte 6 '\17\270'
image 'impossible length'
byte 20 '"'
image "the header's text, line 1"
meta 's/^image-type.*/image-type = "rootfs"/'
image 'not a realmfs'
meta 's/^nblocks.*/nblocks = 4097/'
image 'hash tree'
meta 's/^nblocks.*/nblocks = 400000/'
image 'truncated'
meta '/^verity-root/d'
image 'never sealed'
meta 's/^verity-salt.*/verity-salt = "1234"/'
image 'that of another image'
byte $((4096 * 4097)) X
image 'hash tree is missing or damaged'
cp "$image" "$work/image" && truncate -s -4096 "$work/image"
image truncated
truncate -s $((4096 * 4097)) "$work/image"
image 'hash tree is missing'
: >"$work/image"
image truncated
rm "$work/image"
image 'No such file'
mkdir "$work/image"
image 'is not a file'
rmdir "$work/image"
mkfifo "$work/image"
image 'is not a file'
rm "$work/image"
refused 'images there are: ' --private-home --realmfs nothere
ln -s main-realmfs.img "$realms/realmfs-images/linked-realmfs.img"
refused 'is a symbolic link' --private-home --realmfs linked

openssl genpkey -algorithm ed25519 -out "$work/key" 2>/dev/null
key=$(openssl pkey -in "$work/key" -pubout -outform DER | tail -c 32 | od -An -tx1 | tr -d ' \n')
openssl pkeyutl -sign -rawin -inkey "$work/key" -in "$citadel/main.meta" -out "$work/signature"
cp --sparse=always "$image" "$work/image"
put_header "$work/image" "$citadel/main.meta" 2 "$work/signature"
run --dry-run --verbose --private-home --realmfs "$work/image" --realmfs-key "$key" --require-signature
tells 'the signature is good, by the key given'
result "a signed image"
run --dry-run --verbose --private-home --realmfs "$work/image"
tells "no key of channel 'realmfs-user' is to be had"
result "without a key its signature is not checked, which --verbose tells"
image '--require-signature' --require-signature
echo "$key" | tr '0-9a-f' '1-9a-f0' >"$work/other"
image 'the signature is wrong' --realmfs-key "$work/other"
image 'neither a key' --realmfs-key nokey
printf 'CITADEL_CHANNEL=realmfs-user\nCITADEL_IMAGE_PUBKEY=%s\n' "$key" >"$citadel/etc/os-release"
run --dry-run --verbose --private-home --realmfs "$work/image" --require-signature
tells 'the signature is good, by the key of os-release'
result "the channel's key"
refused 'is not signed' --private-home --realmfs main --realmfs-key "$key"
rm "$citadel/etc/os-release"

# ---- who runs ----
run --realms
[ "$(cat "$work/out")" = "$(printf 'homeless\tstopped\tmain\nmain\tstopped,current\tmain\nother\tstopped\tmain')" ]
result "--realms, by the files"
run --dry-run --realm current
shows 'name        main'
result "--realm current"
rm "$citadel/run/citadel/realms/current/current.realm"
refused 'no realm is the current one' --realm current
mkdir "$citadel/run/citadel/realms/realm-main" && ln -s / "$citadel/run/citadel/realms/realm-main/rootfs"
refused 'its container runs' --realm main
run --dry-run --force --realm main
shows 'name        main' && [ "$(said | wc -l)" -eq 1 ] && said | grep -q 'may spoil'
result "--force says what may break"
rm -r "$citadel/run/citadel/realms/realm-main"
(exec 9<"$realms/realm-main/home" && flock 9 && exec sleep 30) &
holder=$!
for _ in $(seq 100); do flock -n "$realms/realm-main/home" true || break; sleep 0.1; done
refused 'another ph has its home' --realm main
run --realms
grep -q "^main$(printf '\t')stopped,vm" "$work/out"
result "--realms shows who has a home"
kill $holder
wait

# ---- raw images ----
mbr() {
	# shellcheck disable=SC2059
	printf "$1" | dd of=disk bs=1 seek="$2" conv=notrunc status=none
}
cd "$work" || exit 1
truncate -s 20M disk
dd if="$citadel/main.ext4" of=disk bs=1M seek=1 conv=notrunc,sparse status=none
mbr '\125\252' 510
mbr '\203\0\0\0\0\10\0\0\0\200\0\0' 466
run --dry-run --private-home --rootfs disk --partition 2
shows 'disk, 16777216 bytes'
result "a partition of an MBR"
refused 'no partition 1' --private-home --rootfs disk --partition 1
refused 'no partition 9' --private-home --rootfs disk --partition 9
refused 'not an ext4' --private-home --rootfs disk
mbr '\0\0\1\0' 474
refused 'outside of the image' --private-home --rootfs disk --partition 2
refused 'no partition table' --private-home --rootfs "$citadel/main.ext4" --partition 1
mbr '\356' 450
refused '(GPT) is damaged' --private-home --rootfs disk --partition 1
printf 'label: gpt\nstart=2048, size=32768\n' | sfdisk -q disk 2>/dev/null
run --dry-run --private-home --rootfs disk --partition 1
shows 'disk, 16777216 bytes'
result "a partition of a GPT"
refused 'no partition 2' --private-home --rootfs disk --partition 2
refused '--partition is about an image' --partition 1
truncate -s 2T large && mkfs.ext4 -q -b 4096 -O ^has_journal -E nodiscard,lazy_itable_init=1,num_backup_sb=0 -N 1024 -G 65536 large 2>/dev/null
run --dry-run --private-home --rootfs large --direct
[ $status_of_ph -eq 0 ] && shows 'large, 2199023255552 bytes' || grep -q 'cannot do without a cache' "$work/err"
result "an image of 2 TB, past the cache where that can be"
refused 'is a realmfs image; --realmfs' --private-home --rootfs "$image"
