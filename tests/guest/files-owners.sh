#!/bin/bash
# Who owns what on a share when root runs ph: as it is, and by a map of users and groups.
# host: --root --ext4 256M
. tests/guest/lib.sh
cd /scratch || exit 1
mkdir share
chmod 777 share
: >share/roots
: >share/users
chown 1000:1000 share/users

owners() {
	(cd share && stat -c '%n %u:%g' -- *)
}

run --mem 512M --share "$PWD/share:/mnt/share" -- sh -ec 'cd /mnt/share
stat -c "%n %u:%g" roots users
: >made
: >given
chown 1000:1001 given
setpriv --reuid 1000 --regid 1000 --clear-groups sh -c ": >of_user"'
printed 'roots 0:0
users 1000:1000'
result "owners are what they are on the host"
[ "$(owners)" = 'given 1000:1001
made 0:0
of_user 0:0
roots 0:0
users 1000:1000' ]
result "what the VM makes is root's, and root gives files away"

rm share/given share/made share/of_user
chown 100000:100000 share
chown 101000:101000 share/users
run --mem 512M --uid-map 0:100000:65536 --share "$PWD/share:/mnt/share" -- sh -ec 'cd /mnt/share
stat -c "%n %u:%g" . roots users
: >made
mkdir dir
ln -s made link
: >given
chown 1000:1001 given
setpriv --reuid 1000 --regid 1000 --clear-groups sh -c ": >of_user; mkdir of_user.d; mkfifo of_user.p"
chown 70000 made || echo refused
stat -c "%n %u:%g" of_user' 2>/dev/null
[ "$(cat "$work/out")" = '. 0:0
roots 65534:65534
users 1000:1000
refused
of_user 1000:1000' ]
result "owners by the map"
[ "$(owners)" = 'dir 100000:100000
given 101000:101001
link 100000:100000
made 100000:100000
of_user 101000:101000
of_user.d 101000:101000
of_user.p 101000:101000
roots 0:0
users 101000:101000' ]
result "what the VM makes and gives, by the map"
