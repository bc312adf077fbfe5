#!/bin/bash
# What the Debian package installs, in a root without anything else: VMs as an ordinary user and as root.
# host: --root
. tests/guest/lib.sh
. tests/guest/package.bash

make_root && root_dpkg -i "$BUILD"/ph_*_amd64.deb >"$work/out" 2>"$work/err"
result "the package is installed"
mount --bind /dev "$root/dev" && mount -t proc proc "$root/proc" || exit 1
mkdir -p "$root/root"
chmod 1777 "$root/tmp" && chown 1000:1000 "$root/home/user"
stop() {
	umount "$root/dev" "$root/proc"
	finish
}
trap stop EXIT

# There is no other program in that root than the one that was installed; so the VM shows it, and runs it.
chroot --userspec=1000:1000 "$root" /usr/bin/env true 2>/dev/null
[ $? -eq 127 ]
result "there is nothing else"
env -i PATH="$PATH" HOME=/home/user chroot --userspec=1000:1000 --groups= "$root" /usr/bin/ph --mem 256M --sandbox=strict \
	-- /usr/bin/ph --version >"$work/out" 2>"$work/err"
status_of_ph=$?
printed "$("$ph" --version)"
result "a VM of an ordinary user's"
env -i PATH="$PATH" HOME=/root chroot "$root" /usr/bin/ph --mem 256M -- /usr/bin/ph --help >"$work/out" 2>"$work/err"
status_of_ph=$?
printed "$("$ph" --help)"
result "a VM of root's"
env -i PATH="$PATH" HOME=/root chroot "$root" /usr/bin/ph --net -- /usr/bin/ph >"$work/out" 2>"$work/err"
status_of_ph=$?
[ $status_of_ph -eq 125 ] && grep -q 'install the package passt' "$work/err"
result "what it recommends is told when it is needed"
nothing_left
