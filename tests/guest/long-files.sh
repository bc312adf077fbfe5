#!/bin/bash
# The long forms of files-work.sh: every file stressor of stress-ng, a real repository, large numbers.
# host: --ext4 4G --timeout 1700
. tests/guest/lib.sh
checkout=$PWD
cd /scratch || exit 1
mkdir share

# Of stress-ng's class "filesystem", left out is what is not about a share's files (bind-mount, binderfs, eventfd,
# ioprio, procfs), what 9P2000.L has no message for (chattr, fallocate, fiemap, file-ioctl, fpunch, handle,
# inode-flags, lease, verity, and fsize, whose own imitation of fallocate ends early when time is up) and what the
# kernel does not have (dnotify, fanotify).
stressors=(access chdir chmod chown copy-file dentry dir dirdeep dirmany dup fcntl filename flock fstat getdent
	hdd inotify io iomix link locka lockf lockofd mknod open rename symlink sync-file touch utime xattr)
for stressor in "${stressors[@]}"; do
	# These two make 8192 names for each worker before they look at the time.
	workers=2
	case $stressor in link | symlink) workers=1 ;; esac
	on_share 240 "stress-ng $stressor" <<END
stress-ng --temp-path . --verify --quiet --timeout 5 --$stressor $workers
END
done
[ -z "$(ls -A share)" ]
result "nothing is left of them"
rm -rf share/* share/.[!.]*

on_share 300 "fio --verify" <<'END'
fio --name=random --rw=randrw --bs=512-64k --size=32M --numjobs=2 --verify=crc32c --verify_fatal=1 --ioengine=psync --fsync=64 --output=/tmp/out
fio --name=mapped --rw=randwrite --bs=4k --size=32M --verify=md5 --verify_fatal=1 --ioengine=mmap --output=/tmp/out
fio --name=large --rw=write --bs=1M --size=256M --verify=xxhash --verify_fatal=1 --ioengine=psync --output=/tmp/out
rm random.* mapped.* large.*
END

# Of whoever's checkout it is; git passes no configuration of the command line on to the other end.
printf '[safe]\n\tdirectory = *\n' >"$work/gitconfig"
GIT_CONFIG_GLOBAL=$work/gitconfig git clone -q --bare "$checkout" share/origin.git
on_share 900 "git clone, fsck and status of ph itself; init is built" <<'END'
git clone -q origin.git local
git clone -q "file://$PWD/origin.git" remote
git -C remote fsck --strict 2>/dev/null
cd local
make -s BUILD=out out/init
git status --porcelain | grep -v '^?? out/$' && exit 1
[ -x out/init ]
END
diff -r --no-dereference --exclude=.git --exclude=out share/local share/remote >"$work/out"
result "the clones are alike"
rm -rf share/*

mkdir share/many
(cd share/many && seq 100000 | xargs touch)
on_share 300 "a directory of 100,000 entries" <<'END'
[ "$(ls -f many | sort -u | wc -l)" -eq 100002 ]
[ "$(find many -type f | wc -l)" -eq 100000 ]
END
rm -rf share/many

on_share 300 "10,000 open files, removed while open" <<'END'
ulimit -n 20000
fds=()
for i in $(seq 10000); do
	exec {fd}<>"file$i"
	fds+=($fd)
	[ $((i % 500)) -ne 0 ] || rm file*
done
for i in "${!fds[@]}"; do
	echo "$i" >&${fds[i]}
done
for i in $(seq 0 500 9999); do
	[ "$(stat -L -c %s /proc/$$/fd/${fds[i]})" -eq $((${#i} + 1)) ]
done
END
