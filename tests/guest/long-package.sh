#!/bin/bash
# The Debian package in a clean Debian 12: installed by apt with what it needs and recommends, run there, removed. And
# built from other objects in another folder, it has the same bytes.
# native
. tests/guest/lib.sh
. tests/guest/debian.bash
package=$(realpath "$(echo "$BUILD"/ph_*_amd64.deb)")

mkdir "$work/other" && git archive HEAD | tar -x -C "$work/other" &&
	make -C "$work/other" -s -j"$(nproc)" KERNEL="$(realpath "$BUILD/vmlinux")" deb >"$work/out" 2>"$work/err" &&
	cmp "$work"/other/build/ph_*_amd64.deb "$package" >>"$work/out" 2>&1
result "built again in another folder, the same bytes"

make_debian
result "a clean Debian 12"
cp "$package" "$debian/root/ph.deb"
in_debian apt-get install -qq -y /root/ph.deb >"$work/out" 2>&1 && in_debian which ph passt >"$work/out"
result "apt installs it, and passt with it"
in_debian ph --version >"$work/out" 2>&1 && in_debian sh -c 'ph --check; ph --help' >"$work/out" 2>&1
result "it runs"
tests/host/run --root --timeout 300 -- sh -c "
	mount -t proc proc $debian/proc && mount --rbind /dev $debian/dev &&
	chroot $debian su newcomer -c 'cd; ph --mem 256M -- sh -c \"id -un; cat /etc/debian_version; ls /\"'" >"$work/out" 2>"$work/err"
[ $? -eq 0 ] && [ "$(head -n 1 "$work/out")" = newcomer ] && grep -q '^12\.' "$work/out"
result "and VMs run that show that system"
in_debian dpkg -L ph | while read -r file; do [ -d "$debian$file" ] || echo "$file"; done >"$work/files"
in_debian apt-get purge -qq -y ph >"$work/out" 2>&1 && in_debian apt-get autoremove -qq -y >>"$work/out" 2>&1 &&
	[ "$(wc -l <"$work/files")" -ge 10 ] && ! in_debian xargs ls -d <"$work/files" >"$work/out" 2>/dev/null && [ ! -s "$work/out" ] &&
	[ ! -e "$debian/usr/share/doc/ph" ]
result "removing it leaves nothing"
