# shellcheck shell=bash
# For scripts that try the Debian package: a root that has a C library, what dpkg must know of it, and nothing else.

# Into $root, to run programs by in_root
make_root() {
	root=$work/root
	mkdir -p "$root"/{dev,proc,tmp,etc,home/user} "$root/var/lib/dpkg/"{info,updates,triggers} || return
	echo "user:x:1000:1000::/home/user:/bin/sh" >"$root/etc/passwd"
	echo "user:x:1000:" >"$root/etc/group"
	local file
	for file in $(ldd "$ph" | grep -o '/[^ ]*'); do
		install -D "$file" "$root$file" || return
	done
	# Of this machine's packages there are the C library and what it needs.
	awk 'BEGIN { RS = ""; ORS = "\n\n" } /^Package: (libc6|libgcc-s1|libcrypt1|gcc-12-base)\n/' /var/lib/dpkg/status \
		>"$root/var/lib/dpkg/status"
	local package
	for package in libc6:amd64 libgcc-s1:amd64 libcrypt1:amd64 gcc-12-base:amd64; do
		: >"$root/var/lib/dpkg/info/$package.list"
	done
}

# dpkg for that root; as an ordinary user, too
root_dpkg() {
	dpkg --root="$root" --force-not-root --force-script-chrootless --log=/dev/null "$@"
}

in_root() {
	if [ "$(id -u)" = 0 ]; then
		chroot "$root" "$@"
	else
		unshare --map-root-user chroot "$root" "$@"
	fi
}
