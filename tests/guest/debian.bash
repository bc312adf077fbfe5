# shellcheck shell=bash
# For scripts that need a Debian without anything: debootstrap's smallest, in $debian, where newcomer may use sudo.
# PH_DEBIAN names a Debian 12 that was made already.

if [ "$(id -u)" != 0 ]; then
	skip "a clean Debian" "debootstrap needs root"
	exit
fi
stop() {
	remove_debian
	finish
}
trap stop EXIT

# The archive that this machine's packages are from
mirror() {
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1
}

# make_debian [SUITE]: Debian 12, whose archives are this machine's, or another one
make_debian() {
	local suite=${1:-bookworm}
	debian=$(mktemp -d "${TMPDIR:-/var/tmp}/ph-debian.XXXXXX")
	chmod 755 "$debian"
	if [ -n "${PH_DEBIAN-}" ] && [ "$suite" = bookworm ]; then
		cp -a "$PH_DEBIAN/." "$debian" || return
	else
		debootstrap --variant=minbase "$suite" "$debian" "$(mirror)" >"$work/out" 2>&1 || return
	fi
	[ "$suite" = bookworm ] || echo "deb $(mirror)-security $suite-security main" >>"$debian/etc/apt/sources.list"
	local list
	for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
		[ "$suite" != bookworm ] || [ ! -f "$list" ] || install -D -m 644 "$list" "$debian$list"
	done
	cp /etc/resolv.conf /etc/hosts "$debian/etc/"
	in_debian apt-get update -qq >"$work/out" 2>&1 && in_debian apt-get install -qq -y sudo >>"$work/out" 2>&1 || return
	in_debian useradd --create-home --shell /bin/bash newcomer || return
	echo "newcomer ALL=(ALL) NOPASSWD: ALL" >"$debian/etc/sudoers.d/newcomer"
}

remove_debian() {
	[ -z "${debian-}" ] || rm -rf --one-file-system "$debian"
}

# What is mounted for the command, and what it leaves running, ends with it.
in_debian() {
	# shellcheck disable=SC2016 # the inner shell's
	unshare --mount --pid --fork --kill-child bash -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
		exec chroot "$0" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		TERM=dumb DEBIAN_FRONTEND=noninteractive ${NEWCOMER_ENV-} "$@"' "$debian" "$@"
}

# As the newcomer types it, in the folder of the clone
newcomer() {
	in_debian su newcomer -c "cd ~/ph 2>/dev/null || cd; $1"
}
