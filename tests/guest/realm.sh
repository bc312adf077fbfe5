#!/bin/bash
# Realms on a made-up Citadel (citadel.bash), booted: what a program in one sees of it, and images that are damaged.
# Root's ph runs them, as their user; one run is that user's own.
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

run --realm main -- cat /run/realm-name
printed main
result "ph --realm main -- cat /run/realm-name"
timeout 240 setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/tmp "$ph" --realm main -- cat /run/realm-name \
	>"$work/out" 2>"$work/err" </dev/null
status_of_ph=$?
printed main
result "without root"

run --realm main -- sh -c '
	echo "$REALM_NAME $HOME $(hostname) $(id -u) $(id -g)"
	cat file /home/user/Shared/file /etc/hello
	echo changed >/home/user/new'
[ "$(cat "$work/out")" = "main /home/user main 1000 1000
mine
all
image" ] && [ "$(cat "$realms/realm-main/home/new")" = changed ] &&
	[ "$(stat -c %u "$realms/realm-main/home/new")" = 1000 ]
result "home, Shared, name and user"
run --realm main --root -- sh -c 'echo new >/etc/hello; cat /etc/hello; cat /dev/dm-0 >/dev/null && echo whole'
printed "new
whole"
result "changes to the root are seen, every block of the image is as it was sealed"
run --realm main -- cat /etc/hello
printed image
result "and are gone afterwards"

run --realm main --root --overlay-size 4M -- sh -c 'dd if=/dev/zero of=/big bs=64k count=256 2>&1 | head -n 1; echo alive'
grep -q 'No space left on device' "$work/out" && grep -qx alive "$work/out" && [ "$(wc -l <"$work/err")" -eq 1 ] &&
	grep -q 'overlay-size' "$work/err"
result "--overlay-size: ENOSPC in the guest and one line from ph"

cat >"$realms/realm-other/config" <<END
use-ephemeral-home = true
ephemeral-persistent-dirs = ['Documents', 'missing']
use-shared-dir = false
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
	for file in /etc/x /mnt/etc/x /var/x /mnt/shared/x; do echo 1 2>/dev/null >$file && echo "$file written"; done; true'
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
/mnt/shared/x written" ] && [ ! -e "$realms/realm-other/home/gone" ] && [ "$(cat "$realms/realm-other/home/Documents/new")" = 1 ]
result "an ephemeral home with skeletons and persistent folders, bind mounts, a root without an overlay"

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
