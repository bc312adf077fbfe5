#!/bin/bash
# Shared folders from inside: what a POSIX file system does, trees that come back as they were, changes by the
# host, and shares that cannot be written.
# host: --ext4 1G
. tests/guest/lib.sh
posix=$(realpath tests/guest/posix_files.c)
cd /scratch || exit 1
mkdir share tree
gcc -O1 -o share/posix_files "$posix" || exit 1

# Each in a directory of its own: what one leaves, if it is interrupted, is not in the way of the next.
mkdir share/user share/root
run --share "$PWD/share:/mnt/share" -- sh -c 'cd /mnt/share/user && ../posix_files'
pass_on "as the user"
run --root --share "$PWD/share:/mnt/share" -- sh -c 'cd /mnt/share/root && ../posix_files'
pass_on "as root"
rmdir share/user share/root
result "nothing is left on the host"

# Trees, packed by the guest from the share and unpacked onto it, compared by the host.
mkdir -p tree/a/b tree/empty
head -c 3000000 /dev/urandom >tree/a/random
for i in $(seq 200); do echo "file $i" >"tree/a/b/$i"; done
ln tree/a/random tree/hard
ln -s a/b/7 tree/link
mkfifo tree/fifo
truncate -s 10M tree/hole
touch -d '2001-02-03 04:05:06.123456789' tree/a/b/7
chmod 0640 tree/a/b/8
setfattr -n user.test -v value tree/a/b/9 2>/dev/null
mv tree share/
run --share "$PWD/share:/mnt/share" -- sh -ec 'cd /mnt/share
tar --xattrs -cf packed.tar tree
mkdir out
tar --xattrs -xpf packed.tar -C out
cp -a tree copy'
printed ''
result "tar and cp -a on a share"
list() {
	(cd "$1" && find . -printf '%p %y %m %U %G %n %s %l %T@\n' |
		sed -E '/ d /s/ [0-9]+ ([^ ]*) [0-9.]+$/ \1/' | sort &&
		find . -type f -exec sha256sum {} + | sort && getfattr -R -d . 2>/dev/null)
}
for copy in out/tree copy; do
	diff <(list share/tree) <(list "share/$copy") >"$work/err"
	result "$copy: every name, mode, owner, link, size, time, attribute and byte"
done

# The host changes what the guest looks at: files are seen to change at once, directories soon.
echo before >share/watched
mkdir share/moved share/swapped
echo moved >share/moved/file
echo before >share/swapped/file
(timeout -k 5 240 "$ph" --share "$PWD/share:/mnt/share" -- sh -c 'cd /mnt/share
cat watched; : >ready
while [ -e ready ]; do cat moved/file swapped/file >/dev/null; sleep 0.1; done
cat watched; ls appeared; [ -e removed ] || echo gone
until [ -e elsewhere/file ] && [ ! -e moved ] && grep -q after swapped/file; do sleep 0.1; done
ls swapped' >"$work/out" 2>"$work/err") &
touch share/removed
for _ in $(seq 300); do [ -e share/ready ] && break; sleep 0.1; done
echo after >share/watched
touch share/appeared
mkdir share/new
echo after >share/new/file
touch share/new/another
mv share/moved share/elsewhere
mv share/swapped share/swapped-out
mv share/new share/swapped
rm share/removed share/ready
wait
[ "$(cat "$work/out")" = 'before
after
appeared
gone
another
file' ]
result "the host's changes are seen"

# A file that somebody holds open: its name is the host's new file's.
echo old >share/held-open
(timeout -k 5 240 "$ph" --share "$PWD/share:/mnt/share" -- sh -c 'cd /mnt/share
exec 3<held-open
cat held-open; : >ready
while [ -e ready ]; do sleep 0.1; done
cat held-open; echo guest >>held-open
read -r line <&3; echo "$line"
until [ -e ready ]; do sleep 0.1; done
[ -e held-open ] || echo gone
echo anew >held-open' >"$work/out" 2>"$work/err") &
for _ in $(seq 600); do [ -e share/ready ] && break; sleep 0.1; done
echo new >share/held-new
mv share/held-new share/held-open
rm share/ready
for _ in $(seq 300); do grep -qx guest share/held-open && break; sleep 0.1; done
cp share/held-open "$work/appended"
rm share/held-open
: >share/ready
wait
[ "$(cat "$work/out")" = 'old
new
old
gone' ] && [ "$(cat "$work/appended")" = 'new
guest' ] && [ "$(cat share/held-open)" = anew ]
result "a file that the host replaces is the new one by its name, also while the old one is open"
rm -f share/ready

# Locks of an open file are whoever's that has it: each flock(1) is another process, and the one that took it is gone.
# The host holds it until it is given up, and one process may take it again that another one has given up.
: >share/flocked
run --share "$PWD/share:/mnt/share" -- sh -c 'cd /mnt/share
exec 9>flocked
for i in 1 2 3; do timeout 20 flock 9 && flock -u 9 || echo "lost in turn $i"; done
flock -s 9 && timeout 20 flock -x 9 && echo converted
timeout 20 flock -n flocked true && echo not locked
flock -u 9
timeout 20 flock -n flocked echo free
flock 9
(exec 8<flocked)
timeout 20 flock -n flocked true || echo still locked
exec perl -MFcntl=:flock -e '\''open F, ">", "forked" or die; flock F, LOCK_EX or die; alarm 20;
if (my $child = fork) { waitpid $child, 0; exit $? != 0 }
flock F, LOCK_UN and flock F, LOCK_EX and print "taken again\n"'\'''
printed 'converted
free
still locked
taken again'
result "locks by flock are the open file's"

# Two who share it and both want it alone: each gives up its own first, so both get it, one after the other.
run --share "$PWD/share:/mnt/share" -- sh -c 'cd /mnt/share
alone() {
	exec 9<flocked; flock -s 9; : >"shares.$1"
	until [ -e shares.1 ] && [ -e shares.2 ]; do sleep 0.1; done
	timeout 40 flock -x 9 && echo alone
}
(alone 1) & (alone 2) & wait'
printed 'alone
alone'
result "two who share a lock by flock and want it alone"
rm -f share/shares.*

# A lock of the host, a POSIX one, as flock(2) is a matter of its own there: a wait for it can be given up, and ends.
: >share/held
perl -MFcntl -e '$all = pack "s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0;
open F, "+<", "share/held" and fcntl F, F_SETLK, $all or die;
open G, ">", "share/locked";
for (1 .. 3000) { exit if -e "share/waiting"; select undef, undef, undef, 0.1 }' &
until [ -e share/locked ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
run --share "$PWD/share:/mnt/share" -- sh -c 'cd /mnt/share
flock -w 1 held echo taken || echo given up
flock held echo taken &
sleep 2
kill -STOP $!
sleep 0.5
kill -CONT $!
sleep 2
: >waiting
wait'
: >share/waiting
wait
printed 'given up
taken'
result "waits for a lock of the host"

# A lock for reading that cannot become one for writing, as the host has one, too, stays what it is; also when the wait
# for it is interrupted.
: >share/upgraded
perl -MFcntl -e '$first = pack "s s x4 q q l x4", F_RDLCK, 0, 0, 1, 0;
open F, "<", "share/upgraded" and fcntl F, F_SETLK, $first or die;
open G, ">", "share/shared";
for (1 .. 3000) { exit if -e "share/release"; select undef, undef, undef, 0.1 }' &
cat >share/upgrade <<'END'
use Fcntl; use POSIX ();
$| = 1;
sub lock { my ($how, $type, $start) = @_; fcntl F, $how, pack "s s x4 q q l x4", $type, 0, $start, 0, 0 }
open F, "+<", "upgraded" and open G, "<", "upgraded" or die;
lock F_SETLK, F_RDLCK, 0 or die "$!";
lock F_SETLK, F_WRLCK, 0 or print "refused\n";
close G; # gives up all of the file
if (my $other = fork) { waitpid $other, 0 } else { exit !lock F_SETLK, F_WRLCK, 5 }
print "given up\n" if $? == 0;
lock F_SETLK, F_RDLCK, 0 or die "$!";
if (!fork) { lock F_SETLKW, F_WRLCK, 0 and print "second\n"; exit }
POSIX::sigaction(POSIX::SIGALRM, POSIX::SigAction->new(sub {}, POSIX::SigSet->new, POSIX::SA_RESTART));
alarm 5;
lock F_SETLKW, F_WRLCK, 0 and print "first\n";
close F;
wait;
END
until [ -e share/shared ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
run --share "$PWD/share:/mnt/share" -- sh -c 'cd /mnt/share
timeout 60 perl upgrade & sleep 10; : >release; wait'
: >share/release
wait
printed 'refused
given up
first
second'
result "a lock for reading that is to become one for writing"

# What --hide names in the home and in shares is not there, whatever the guest moves, and stays what it is.
mkdir -p home/.ssh home/.config/app share/data/deep
echo key >home/.ssh/id
echo token >home/.config/app/token
echo secret >share/data/deep/secret
hide=(--hide "$PWD/home/.ssh" --hide "$PWD/home/.config/app/token" --hide "$PWD/share/data/deep/secret")
HOME=$PWD/home run "${hide[@]}" --share "$PWD/share:/mnt/share" --dry-run
grep -qx '  hidden    .ssh .config/app/token' "$work/out" && grep -qx '  hidden    data/deep/secret' "$work/out"
result "--dry-run tells what is hidden in which share"
# shellcheck disable=SC2016
HOME=$PWD/home run "${hide[@]}" --root --share "$PWD/share:/mnt/share" -- sh -c 'cd "$1"
ls -A . .config/app /mnt/share/data/deep
for file in .ssh .ssh/id .config/app/token /mnt/share/data/deep/secret; do
	! cat $file && [ ! -e $file ] && ! touch $file && ! mkdir $file && ! ln -s /etc/passwd $file &&
		! mv /mnt/share/watched $file && ! rm -r $file && ! mv $file mine || echo "$file is there"
done
for way in .config .config/app /mnt/share/data /mnt/share/data/deep; do
	! mv -T $way $way-moved && ! rmdir $way && ! rm -r $way && [ -d $way ] || echo "$way went away"
done
mkdir .config/app/new && mv .config/app/new .config/new && rmdir .config/new || echo "nothing works"
: >ready; while [ -e ready ]; do sleep 0.1; done
cat .config/app/token .ssh/id /mnt/share/data/deep/secret
ls -A .config/app' sh "$PWD/home" 2>/dev/null &
for _ in $(seq 600); do [ -e home/ready ] && break; sleep 0.1; done
# As editors do, and as a program that makes its folder anew.
echo new >home/.config/app/.token.new
mv home/.config/app/.token.new home/.config/app/token
mv home/.ssh home/ssh-before
mkdir home/.ssh
echo new >home/.ssh/id
mv share/data share/data-before
mkdir -p share/data/deep
echo new >share/data/deep/secret
rm home/ready
wait
printf '%s\n' .: .config '' .config/app: '' /mnt/share/data/deep: | diff - "$work/out" >"$work/difference" &&
	[ "$(cat home/ssh-before/id share/data-before/deep/secret home/.ssh/id home/.config/app/token \
		share/data/deep/secret)" = 'key
secret
new
new
new' ]
result "hidden in the home and in a share"
HOME=$PWD/home refused "it is shared as the home; --private-home leaves it out" --hide "$PWD/home" -- true
rm -r share/data share/data-before

# Read-only, whatever the guest's mount says.
run --root --share "$PWD/share:/mnt/share:ro" -- sh -c 'mount -o remount,rw /mnt/share 2>/dev/null
cd /mnt/share && cat watched
echo x >watched || touch new || rm watched || chmod 777 watched || mkdir d || ln watched l || echo refused' 2>/dev/null
[ "$(cat "$work/out")" = 'after
refused' ] && [ "$(cat share/watched)" = after ]
result "a read-only share stays as it is"
