#!/bin/bash
# Realms on a made-up Citadel (citadel.bash), booted: what a program in one sees of it, and images that are damaged.
# The realms' user runs them, and root, whose ph becomes that user.
# host: --root
. tests/guest/lib.sh
. tests/guest/citadel.bash
citadel=$work/citadel
make_citadel "$citadel" || exit 1
export PH_CITADEL=$citadel
realms=$citadel/realms
images=$realms/realmfs-images
echo mine >"$realms/realm-main/home/file"
echo all >"$realms/Shared/file"

chmod 755 "$work"
chown -R 1000:1000 "$realms"/realm-*/home "$realms/Shared"

home=$realms/realm-main/home
image=$images/main-realmfs.img

# as_user: the rest of the line, as the realms' user, where a realm's VM can be joined
install -d -m 700 -o 1000 -g 1000 "$work/runtime" "$work/user"
as_user() {
	timeout -k 5 240 setpriv --reuid 1000 --regid 1000 --clear-groups env HOME="$work/user" TERM=xterm \
		XDG_RUNTIME_DIR="$work/runtime" "$@" </dev/null
}
# run ARGUMENTS: as lib.sh has it, as that user, in a VM of its own
run() {
	as_user env -u XDG_RUNTIME_DIR "$ph" "$@" >"$work/out" 2>"$work/err"
	status_of_ph=$?
}
# await CONDITION: the rest of the line
await() {
	for _ in $(seq 1200); do
		eval "$*" && return
		sleep 0.1
	done
	return 1
}
# The guest's script waits there for a file in its home.
hold='until [ -e /home/user/go ]; do sleep 0.1; done; rm /home/user/go'

run --realm main -- cat /run/realm-name
printed main
result "ph --realm main -- cat /run/realm-name"

run --realm main -- sh -c '
	echo "$REALM_NAME $HOME $(hostname) $(id -u) $(id -G)"
	cat file /home/user/Shared/file /etc/hello /sys/class/net/eth0/carrier
	echo changed >/home/user/new'
[ "$(cat "$work/out")" = "main /home/user main 1000 1000 27 2000
mine
all
image
1" ] && [ "$(cat "$home/new")" = changed ] && [ "$(stat -c %u "$home/new")" = 1000 ]
result "home, Shared, network, name and user, with the groups that the image puts it in"

# ---- root's ph, and an image that is swapped while it runs ----

chmod 600 "$image"
"$ph" --realm main --root -- sh -c "echo new >/etc/hello; cat /etc/hello; $hold
	echo 3 >/proc/sys/vm/drop_caches; cat /dev/dm-0 >/dev/null && echo whole" >"$work/out" 2>"$work/err" &
vm=$!
await 'grep -q new "$work/out"'
for pid in $(pgrep '^ph'); do
	echo "$(cat "/proc/$pid/comm"): $(sed -n -E 's/^(Uid|Gid|CapEff):\t//p' "/proc/$pid/status" | tr '\t\n' '  ')"
done >"$work/processes"
[ -s "$work/processes" ] && ! grep -v ': 1000 1000 1000 1000 1000 1000 1000 1000 0* $' "$work/processes" &&
	[ "$(cat "$work/err")" = "ph: root goes on as user 1000, whose realm main is" ]
result "root's ph opens an image of root's; it and its processes are the realm's user, without a capability, and it says so"
sed 's/^/# /' "$work/processes"
mv "$image" "$image.kept"
head -c "$(stat -c %s "$image.kept")" /dev/zero >"$image"
touch "$home/go"
wait $vm
status_of_ph=$?
[ $status_of_ph -eq 0 ] && [ "$(cat "$work/out")" = "new
whole" ]
result "changes are seen; every block is as it was sealed, although another file has the image's place now"
mv "$image.kept" "$image"
chmod 644 "$image"
run --private-home --realmfs main -- cat /etc/hello
printed image
result "they are gone afterwards; --realmfs boots the image without the realm"

as_user env -u XDG_RUNTIME_DIR "$ph" --realm main --root --overlay-size 4M -- sh -c "
	dd if=/dev/zero of=/big bs=64k count=256 2>&1 | head -n 1
	echo alive; $hold; echo end" >"$work/out" 2>"$work/err" &
vm=$!
await 'grep -q overlay-size "$work/err"'
grep -q 'No space left on device' "$work/out" && grep -qx alive "$work/out" && ! grep -qx end "$work/out" && kill -0 $vm
result "a full overlay: ENOSPC in the guest, and ph tells while the command runs"
touch "$home/go"
wait $vm
[ $? -eq 0 ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -qx end "$work/out"
result "in one line"

# ---- without root, and together ----

# colored FILE: a terminal's output began with the palette of embers, and ended with the terminal's own
colored() {
	grep -qF $'\033]10;rgb:a3/9a/90\033\\\033]11;rgb:16/13/0f\033\\\033]4;0;rgb:16/13/0f' "$1" &&
		grep -qF $'\033]104\033\\\033]110\033\\\033]111\033\\' <(tail -c 200 "$1")
}
echo "terminal-scheme = 'embers'" >"$realms/realm-main/config"
as_user "$ph" --realm main -- sh -c "cat /run/realm-name; $hold; echo end" >"$work/first" 2>"$work/first.err" &
first=$!
await 'grep -q main "$work/first"'
as_user "$ph" --realm main -- sh -c 'echo $REALM_NAME $HOME; id -u; cat /run/realm-name' >"$work/out" 2>"$work/err"
status_of_ph=$?
printed "main /home/user
1000
main"
result "without root; a second ph --realm joins the realm's VM"
as_user "$ph" --list >"$work/out"
grep -q '^realm-main ' "$work/out"
result "--list shows it"
as_user "$ph" --force --realm main -- true >"$work/out" 2>"$work/err"
[ $? -eq 0 ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q 'may spoil' "$work/err"
result "--force starts another and warns"
as_user "$ph" --name other --realm main -- true >"$work/out" 2>"$work/err"
[ $? -eq 125 ] && grep -q 'another ph has its home' "$work/err"
result "a VM of another name is refused: one home is not served twice"
as_user script -qec "$ph --realm main -- true" "$work/user/typescript" >/dev/null
colored "$work/user/typescript"
result "terminal-scheme is applied to the terminal of who joins, and taken back"
touch "$home/go"
wait $first
[ $? -eq 0 ] && [ "$(cat "$work/first")" = "main
end" ] && [ ! -s "$work/first.err" ]
result "the first one ends as usual"
as_user env -u XDG_RUNTIME_DIR script -qec "$ph --realm main -- true" "$work/user/typescript" >/dev/null
colored "$work/user/typescript"
result "and to the terminal of who starts it"
: >"$realms/realm-main/config"

cat >"$realms/realm-other/config" <<END
use-ephemeral-home = true
ephemeral-persistent-dirs = ['Documents', 'missing']
use-shared-dir = false
use-network = false
overlay = 'none'
extra-bindmounts-ro = ['$citadel/tree/etc:/mnt/etc']
extra-bindmounts = ['$realms/Shared:/mnt/shared']
END
mkdir -p "$realms"/realm-other/{skel/.config,home/Documents}
echo general >"$realms/skel/a" && echo general >"$realms/skel/b" && echo own >"$realms/realm-other/skel/b"
ln -s a "$realms/realm-other/skel/.config/link"
echo kept >"$realms/realm-other/home/Documents/file"
echo hidden >"$realms/realm-other/home/hidden"
chown -R 1000:1000 "$realms/realm-other/home"
run --realm other --root -- sh -c '
	cd /home/user; cat a b Documents/file; ls -A; ls -ld .config | { read -r _ _ user group _; echo "$user $group"; }
	echo 1 >Documents/new; echo 2 >gone; cat /mnt/etc/hello
	for file in /etc/x /mnt/etc/x /var/x /mnt/shared/x; do echo 1 2>/dev/null >$file && echo "$file written"; done
	ls /sys/class/net'
[ "$(cat "$work/out")" = "general
own
kept
.config
Documents
a
b
user user
image
/var/x written
/mnt/shared/x written
lo" ] && [ ! -e "$realms/realm-other/home/gone" ] && [ "$(cat "$realms/realm-other/home/Documents/new")" = 1 ]
result "an ephemeral home with skeletons and persistent folders, bind mounts, a root without an overlay, no network"

# Ten places of the file system and the tree: reading all of it meets each.
size=$(stat -c %s "$images/main-realmfs.img")
caught=0 missed=''
for _ in 1 2 3 4 5 6 7 8 9 10; do
	cp "$images/main-realmfs.img" "$work/flipped"
	# Not the header and not the tree's description, which ph reads itself: they have tests of their own.
	place=$((4096 + (RANDOM * 32768 + RANDOM) % (size - 8192)))
	[ $place -lt $((4096 * 4097)) ] || place=$((place + 4096))
	[ $place -lt $size ] || place=$((size - 1))
	byte=$(od -An -tu1 -j $place -N 1 "$work/flipped")
	# shellcheck disable=SC2059
	printf "$(printf '\\%03o' $((byte ^ (1 << RANDOM % 8))))" |
		dd of="$work/flipped" bs=1 seek=$place conv=notrunc status=none
	run --private-home --realmfs "$work/flipped" --root -- sh -c 'cat /dev/dm-0 >/dev/null; echo "read: $?"'
	if grep -q 'corrupt' "$work/err" && ! grep -qx 'read: 0' "$work/out"; then
		caught=$((caught + 1))
	else
		missed="$missed $place"
	fi
	rm "$work/flipped"
done
[ $caught -eq 10 ]
result "a bit flipped at ten places is an error and a message (missed:$missed)"
nothing_left
