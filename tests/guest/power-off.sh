#!/bin/bash
# The power fails: ph is killed at any moment while a guest writes to its root, an image of the user's. The file
# system is clean afterwards, and what the guest was told is safe is there. KILLS: how often (3).
# host: --ext4 1G
. tests/guest/lib.sh
. tests/guest/citadel.bash
cd /scratch || exit 1
make_tree tree
mkdir -p tree/data
truncate -s 128M root.img
mkfs.ext4 -q -d tree root.img

# Four writers sync after each record, and say its number once it must be safe.
cat >writers <<'END'
for w in 1 2 3 4; do
	(i=0; while i=$((i + 1)); do
		echo "$w $i" | dd of=/data/$w oflag=append conv=notrunc,fsync 2>/dev/null || exit
		[ $((i % 7)) -ne 0 ] || mv /data/$w /data/$w.$i
		echo "$w $i"
	done) &
done
wait
END

lost='' dirty='' records=0
for kill in $(seq "${KILLS:-3}"); do
	: >said
	"$ph" --root --private-home --rootfs root.img --rootfs-mode rw -- sh -c "$(cat writers)" >said 2>"$work/err" &
	vm=$!
	for _ in $(seq 600); do [ "$(wc -l <said)" -lt $((RANDOM % 20 + 1)) ] || break; sleep 0.1; done
	sleep 0.$((RANDOM % 10))
	kill -KILL $vm
	wait $vm 2>/dev/null
	for _ in $(seq 100); do pgrep -lx ph >/dev/null || break; sleep 0.1; done
	# The journal is replayed, as at the next start; after that nothing may be wrong.
	e2fsck -p root.img >/dev/null 2>&1
	[ $? -le 1 ] && e2fsck -fn root.img >"$work/out" 2>&1 || dirty="$dirty $kill"
	rm -rf found && mkdir found
	debugfs -R 'rdump /data found' root.img >/dev/null 2>&1
	# What was not synced yet may be zeroes, without the newline that keeps it from the next file's first record.
	cat found/data/* 2>/dev/null | tr '\0' '\n' | sort >there
	lost="$lost$(sort said | comm -23 - there | head -n 3 | tr '\n' ',')"
	records=$((records + $(wc -l <said)))
	debugfs -w -f <(find found/data -type f -printf 'rm /data/%f\n') root.img >/dev/null 2>&1
done
[ -z "$dirty" ]
result "the file system is clean after each kill (not after:$dirty)"
[ -z "$lost" ] && [ $records -gt 0 ]
result "every record that was said to be safe is there (lost: $lost; $records in all)"
nothing_left
