#!/bin/bash
# Programs that work on a share: a database, a version control system, a compiler, a packer, and two that
# do nothing but check that what was written is read. The long forms are in long-files.sh.
# host: --ext4 1G
. tests/guest/lib.sh
cd /scratch || exit 1
mkdir share

# What fio has written at random, through the page cache and through a map, it finds again.
on_share 240 "fio --verify" <<'END'
fio --name=random --rw=randrw --bs=4k-16k --size=4M --verify=crc32c --verify_fatal=1 --ioengine=psync --fsync=32 --output=/tmp/out
fio --name=mapped --rw=randwrite --bs=4k --size=4M --verify=md5 --verify_fatal=1 --ioengine=mmap --output=/tmp/out
fio --name=large --rw=write --bs=1M --size=16M --verify=xxhash --verify_fatal=1 --ioengine=psync --output=/tmp/out
rm random.* mapped.* large.*
END

# A few stressors of files, each a little: long-files.sh has them all.
on_share 240 "stress-ng: dentry, dir, rename, touch, flock, utime, xattr" <<'END'
while read -r stressor ops options; do
	stress-ng --temp-path . --verify --quiet --timeout 60 --$stressor 2 --$stressor-ops $ops $options
done <<'LIST'
dentry 100 --dentries 64
dir 64 --dir-dirs 64
rename 200
touch 50
flock 100
utime 100
xattr 1
LIST
END

# A repository of a small program, cloned in both ways, looked at and built.
on_share 240 "git clone (local and file://), git status, build" <<'END'
mkdir -p project/src
cd project
for i in 1 2 3; do echo "int part$i(void) { return $i; }" >src/part$i.c; done
echo 'int part1(void), part2(void), part3(void); int main(void) { return part1() + part2() + part3() != 6; }' >src/main.c
printf 'program: src/main.o src/part1.o src/part2.o src/part3.o\n\tgcc -o $@ $^\n' >Makefile
printf '*.o\nprogram\n' >.gitignore
ln -s Makefile GNUmakefile
git init -q -b main .
git config user.name Nobody
git config user.email nobody@localhost
git add .
git commit -q -m first
cd ..
git clone -q project local
git clone -q "file://$PWD/project" remote
for copy in local remote; do
	cd $copy
	git fsck --strict 2>/dev/null
	make -s CFLAGS=-O1
	./program
	touch src/part1.c
	[ -z "$(git status --porcelain)" ]
	cd ..
done
END
for copy in local remote; do
	diff -r --no-dereference --exclude=.git --exclude='*.o' --exclude=program share/project share/$copy
	git -C share/$copy status --porcelain
done >"$work/out" 2>&1
[ ! -s "$work/out" ]
result "the clones are what was cloned"
rm -rf share/*

# Write-ahead logging needs shared maps: the guest's processes see each other's. The host reads when they are done.
on_share 240 "sqlite with a write-ahead log, by four at once" <<'END'
sqlite3 wal.db 'PRAGMA journal_mode = WAL; CREATE TABLE t (who, n);' | grep -q wal
for who in 1 2 3 4; do
	for n in 1 2 3 4 5; do
		echo "INSERT INTO t VALUES ($who, $n);"
	done | sqlite3 -cmd '.timeout 60000' wal.db &
done
wait
[ "$(sqlite3 wal.db 'SELECT count(*) FROM t; PRAGMA integrity_check')" = '20
ok' ]
END
[ "$(sqlite3 share/wal.db 'SELECT sum(n) FROM t; PRAGMA integrity_check')" = '60
ok' ]
result "the host reads it"

# With a rollback journal, guest and host take turns by locks.
count() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		echo 'BEGIN IMMEDIATE; UPDATE c SET n = n + 1; COMMIT;'
	done | sqlite3 -bail -cmd '.timeout 60000' share/count.db
}
sqlite3 share/count.db 'CREATE TABLE c (n); INSERT INTO c VALUES (0);'
(
	for _ in $(seq 600); do [ -e share/ready ] && break; sleep 0.1; done
	count && count
) &
on_share 240 "sqlite by guest and host at once" <<'END'
: >ready
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	echo 'BEGIN IMMEDIATE; UPDATE c SET n = n + 1; COMMIT;'
done | sqlite3 -bail -cmd '.timeout 60000' count.db
END
wait $!
[ "$(sqlite3 share/count.db 'SELECT n FROM c; PRAGMA integrity_check')" = '40
ok' ]
result "no turn was lost"
rm -rf share/*

# A package made and unpacked in the guest is what the host would have unpacked.
on_share 240 "dpkg-deb" <<'END'
mkdir -p tree/DEBIAN tree/usr/bin tree/usr/share/doc
printf 'Package: example\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: example\n' >tree/DEBIAN/control
printf '#!/bin/sh\necho example\n' >tree/usr/bin/example
chmod 755 tree/usr/bin/example
ln -s example tree/usr/bin/link
ln tree/usr/bin/example tree/usr/bin/hard
head -c 300000 /dev/urandom >tree/usr/share/doc/data
dpkg-deb --root-owner-group -Zgzip -b tree example.deb
dpkg-deb -x example.deb unpacked
END
list() {
	(cd "$1" && find . -printf '%p %y %m %s %l %T@\n' | sed -E '/ d /s/ [0-9]+ ([^ ]*) [0-9.]+$/ \1/' | sort &&
		find . -type f -exec sha256sum {} + | sort)
}
dpkg-deb -x share/example.deb unpacked && diff <(list unpacked) <(list share/unpacked) >"$work/out"
result "the host unpacks the same"
