#!/bin/bash
# A guest's root takes the 9p device from its kernel and sends what it likes: every way out of a share that file
# servers have had (docs/security.md lists them), every change of a read-only one, devices, and messages and rings
# that are none.
# host: --ext4 256M
. tests/guest/lib.sh
here=$(realpath tests/hostile)
cd /scratch || exit 1
mkdir tool
gcc -O1 -Wall -Wextra -Werror -static -o tool/escape_9p "$here"/{escape_9p,raw_9p,raw_virtio}.c || exit 1

# What the guest is not to reach, beside what it is given.
mkdir outside share share/dir
echo PRIZE >outside/prize
printf content >share/file
chmod 0600 outside/prize
ln -s "$PWD/outside" share/absolute
ln -s ../outside share/relative
ln -s / share/rootlink
ln -s loop share/loop
mkfifo share/fifo
printf x >share/hostsetid
chmod 06755 share/hostsetid

look() {
	(cd "$1" && find . -printf '%p %y %m %U %s %T@ %l\n' | sort && find . -type f -exec sha256sum {} + | sort)
}
look outside >before_outside
cp -a share fixed
look fixed >before_fixed

# attack KIND HOST [:ro]: from inside, as root, on the share of HOST
attack() {
	run --root --mem 512M --share "$PWD/tool:/mnt/tool:ro" --share "$2:/mnt/target${3-}" -- sh -c "
cp /mnt/tool/escape_9p /tmp/
tag=\$(sed -n 's|^\([^ ]*\) /mnt/target .*|\1|p' /proc/mounts)
umount /mnt/target && exec /tmp/escape_9p \$tag $1"
	# A line for each broken ring, and nothing else.
	if [ "$1" = rw ]; then
		[ "$(grep -c "^ph: 9p .*: the guest's driver broke a rule: " "$work/err")" -eq 4 ]
		result "broken rings are told"
		sed -i "/^ph: 9p .*: the guest's driver broke a rule: /d" "$work/err"
	fi
	pass_on "$1"
}

attack rw "$PWD/share"
diff before_outside <(look outside)
result "nothing beside the share has changed"
[ "$(cd share && find . | sort | tr '\n' ' ')" = \
	'. ./absolute ./dir ./fifo ./file ./hostsetid ./loop ./relative ./rootlink ' ]
result "nothing is left in the share"
attack ro "$PWD/fixed" :ro
diff before_fixed <(look fixed)
result "the read-only share is as it was"
attack devices /dev
