#!/bin/bash
# Machines of several processors.
# host: --cpus 2
. tests/guest/lib.sh

run --cpus 2 -- nproc
printed 2
result "--cpus"
PH_CPUS=2 run -- nproc
printed 2
result "PH_CPUS"

# A disk has a queue for each processor, and each serves its own.
truncate -s 8M "$work/disk"
run --cpus 2 --root --disk "$work/disk" -- bash -c '
	ls /sys/block/vda/mq
	for cpu in 0 1; do
		yes $cpu | taskset -c $cpu dd of=/dev/vda bs=64k count=64 seek=$((cpu * 64)) oflag=direct iflag=fullblock \
			status=none &
	done
	wait
	for queue in 0 1; do
		grep "req.$queue\$" /proc/interrupts | awk "{ print (\$2 + \$3 > 0 ? \"served\" : \"idle\") }"
	done'
printed "0
1
served
served" && [ "$(head -c 4M "$work/disk" | sort -u)" = 0 ] && [ "$(tail -c 4M "$work/disk" | sort -u)" = 1 ]
result "a disk has a queue for each, and both serve"
