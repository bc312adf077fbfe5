#!/bin/bash
# One file and two who use it at once: a program that asks for its size while another one writes it, and guest and
# host in turns.
# host: --ext4 1G
. tests/guest/lib.sh
cd /scratch || exit 1
mkdir share
head -c 20M /dev/urandom >share/large
seq 2000 >lines

run --share "$PWD/share:/mnt/share" -- bash -c 'cd /mnt/share
while [ ! -e done ]; do stat . copy piped stated appended >/dev/null 2>&1; ls -l >/dev/null; done &
cp large copy
cat large | tee piped >/dev/null
for i in $(seq 2000); do echo $i; done >stated
for i in $(seq 2000); do echo $i >>appended; done
touch done; wait'
cmp share/large share/copy && cmp share/large share/piped && cmp lines share/stated && cmp lines share/appended
result "what is written while its size is asked for arrives"
rm -f share/done

run --share "$PWD/share:/mnt/share" -- bash -c 'cd /mnt/share
: >log
timeout 200 tail -n +1 -f log >followed &
for i in $(seq 2000); do echo $i >>log; done
until [ "$(tail -n 1 followed)" = 2000 ]; do sleep 0.1; done
kill %1'
cmp lines share/log && cmp lines share/followed
result "what is written while it is followed arrives"

# told NAME: wait until the other side has made that file.
cat >share/turns <<'END'
told() { until [ -e "$1" ]; do sleep 0.1; done; sleep 0.1; }
END
. share/turns

printf 'first\n' >share/open
run --share "$PWD/share:/mnt/share" -- bash -c 'cd /mnt/share; . ./turns
exec 3<open
cat <&3; touch opened; told appended
stat -c %s open; cat <&3; touch read; told overwritten
head -n 1 open; touch again; told cut
stat -c %s open; cat open' &
told share/opened
seq 3000 >>share/open
touch share/appended
told share/read
printf 'other\n' | dd of=share/open conv=notrunc status=none
touch share/overwritten
told share/again
printf 'ab\n' >share/open
touch share/cut
wait $!
printf '%s\n' first "$((6 + $(seq 3000 | wc -c)))" "$(seq 3000)" other 3 ab | cmp - "$work/out"
result "what the host makes of a file that is open in the guest is seen"

echo first >share/kept
run --root --share "$PWD/share:/mnt/share" -- bash -c 'cd /mnt/share; . ./turns; : >place
mount --bind kept place || exit 1
touch bound; told changed
cat place; touch first_read; told changed_again
cat place; touch second_read; told made_longer
cat place' &
told share/bound
echo much longer >share/kept
touch share/changed
told share/first_read
printf othe | dd of=share/kept conv=notrunc status=none
touch share/changed_again
told share/second_read
echo and longer still >>share/kept
touch share/made_longer
wait $!
printed $'much longer\nothe longer\nothe longer\nand longer still'
result "so it is in a file that is bound to another place"

# Takes a lock for each line it appends, and for each number it counts on.
cat >share/locked <<'END'
use Fcntl qw(:DEFAULT :seek F_SETLKW F_WRLCK F_UNLCK);
my ($lines, $count, $who) = @ARGV;
sub lock { my $lock = pack "s s x4 q q l x4", $_[1], 0, 0, 0, 0; fcntl $_[0], F_SETLKW, $lock or die "$!" }
sysopen my $l, $lines, O_RDWR or die; sysopen my $c, $count, O_RDWR or die;
for my $turn (1 .. 40) {
	lock $l, F_WRLCK; sysseek $l, 0, SEEK_END; syswrite $l, "$who $turn\n" x 50; lock $l, F_UNLCK;
	lock $c, F_WRLCK; sysseek $c, 0, SEEK_SET; sysread $c, my $n, 9; sysseek $c, 0, SEEK_SET;
	syswrite $c, sprintf "%9d", $n + 1; lock $c, F_UNLCK;
	select undef, undef, undef, 0.02;
}
END
: >share/locks
printf '%9d' 0 >share/count
run --share "$PWD/share:/mnt/share" -- bash -c 'cd /mnt/share; touch locking; perl locked locks count guest' &
told share/locking
perl share/locked share/locks share/count host
wait $!
[ "$(cat share/count)" -eq 80 ] && for who in guest host; do
	for turn in $(seq 40); do for _ in $(seq 50); do echo "$who $turn"; done; done | cmp - <(grep "^$who " share/locks) || break
done && [ "$(wc -l <share/locks)" -eq 4000 ]
result "what guest and host write under a lock stays"

# Reads only, under a lock, now on one processor, now on another; each has pages of its own in hand: small ones, as the
# last of three, that are read again.
cat >share/reads <<'END'
use Fcntl qw(:DEFAULT :seek F_SETLKW F_RDLCK F_UNLCK);
sub lock { my $lock = pack "s s x4 q q l x4", $_[0], 0, 0, 0, 0; fcntl F, F_SETLKW, $lock or die "$!" }
open F, "<", "numbers" or die;
for my $turn (1 .. 40) {
	select undef, undef, undef, 0.02 until -e "told.$turn";
	syscall 203, 0, 8, pack "Q", 1 + ($turn >> 1 & 1); # sched_setaffinity
	lock F_RDLCK;
	my @numbers = map { sysseek F, $_, SEEK_SET; sysread F, my $number, 9; $number } 0, 8192, 0, 8192;
	lock F_UNLCK;
	$_ == $turn or print "$_ in turn $turn\n" for @numbers[1, 3];
	open G, ">", "read.$turn" or die;
}
END
printf '%8201d' 0 >share/numbers
run --cpus 2 --share "$PWD/share:/mnt/share" -- bash -c 'cd /mnt/share; touch reading; perl reads' &
told share/reading
for turn in $(seq 40); do
	printf '%9d' "$turn" | dd of=share/numbers conv=notrunc oflag=seek_bytes seek=8192 status=none
	touch "share/told.$turn"
	told "share/read.$turn"
done
wait $!
printed ''
result "what the host writes is read under a lock"

sqlite3 share/grow.db 'CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2);'
run --share "$PWD/share:/mnt/share" -- bash -c 'cd /mnt/share; sqlite3 grow.db "SELECT count(*) FROM t" \
	".shell touch counted; . ./turns; told grown" "SELECT count(*) FROM t; INSERT INTO t VALUES (3, 4); PRAGMA integrity_check"' &
told share/counted
sqlite3 share/grow.db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
	INSERT INTO t SELECT i, hex(randomblob(40)) FROM n"
touch share/grown
wait $!
printf '%s\n' 1 5001 ok | cmp - "$work/out" && [ "$(sqlite3 share/grow.db 'SELECT count(*) FROM t; PRAGMA integrity_check')" = '5002
ok' ]
result "a database that the host makes grow while the guest has it open"

touch -d '1960-01-02 03:04:05' share/old
: >share/mine
chmod 444 share/mine
run --share "$PWD/share:/mnt/share" --share "$PWD/share:/mnt/read:ro" -- bash -c 'cd /mnt/share
stat -c %Y old; touch -d "1959-01-02 03:04:05.5" made
flock -n mine echo locked; cd ../read; flock -n turns echo locked'
printed "$(date -d '1960-01-02 03:04:05' +%s)"$'\nlocked\nlocked' && [ "$(date -r share/made +%F)" = 1959-01-02 ]
result "times before 1970, and locks of what is open for reading"
nothing_left
