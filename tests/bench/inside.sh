#!/bin/bash
# The bench's measures, in the test host that counts instructions (1 ns is one). Prints NAME WHO VALUE lines for
# tests/bench/run. ph and QEMU do the same work: the same kernel, memory, CPUs and initramfs, the same kinds of
# devices, the same shares with the same mount options.
#
# All that is measured lives in a root of its own in memory: a wait for a file of the machine outside lets the
# clock of the test host jump to its next timer.
# QEMU's options are full of commas:
# shellcheck disable=SC2054
set -u
archive=$1 parts=${2:-boot exits guest console true memory disk wl files}
tests=$(realpath "$(dirname "$0")")
for file in tests/bench/parts/*.sh; do
	[ -e "$file" ] || continue
	# shellcheck source=/dev/null
	. "$file"
	[ -n "${2:-}" ] || parts+=" $(basename "$file" .sh)"
done
cd / || exit 1
ulimit -c 0

work=/run/bench
root=$work/root
share=$root/share
tracing=/sys/kernel/tracing
mkdir -p $root
mount -t tmpfs -o size=80% tmpfs $root
tar -x -f "$archive" -C $root
mount -t tracefs tracefs $tracing 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
for folder in dev proc sys; do
	mount --rbind /$folder $root/$folder
done
echo mono >$tracing/trace_clock
echo 65536 >$tracing/buffer_size_kb
truncate -s 64M $root/disk
export HOME=/home PATH=/usr/sbin:/usr/bin

# What is measured with the bench's init in both; and ph as it is.
ph_bench=(/bench/ph --cpus 1 --mem 256M --private-home --share /share:/bench --disk /disk:ro)
ph_small=(/bench/ph-itself --cpus 1 --mem 256M --private-home)
files=(9p-read 9p-write 9p-random 9p-stat 9p-open 9p-readdir 9p-unpack 9p-cold 9p-git)
words='console=hvc0 reboot=t panic=-1 swiotlb=noforce tsc=reliable noreplace-smp quiet'
qemu=(/usr/bin/qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -enable-kvm -cpu host
	-machine microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=off,auto-kernel-cmdline=on -smp 1 -m 256
	-kernel /bench/vmlinux -initrd /bench/initramfs.cpio
	-fsdev "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
	-device virtio-9p-device,fsdev=root,mount_tag=root
	-device virtio-serial-device -device virtconsole,chardev=null -chardev null,id=null
	-device virtio-rng-device -device virtio-balloon-device,free-page-reporting=on)
# As QEMU sets a microvm up by itself (but for ACPI, which our kernel does not know), and as people use it: with the
# kernel's messages on a serial port.
qemu_stock=(/usr/bin/qemu-system-x86_64 "${qemu[@]:1}" -machine microvm,acpi=off,auto-kernel-cmdline=on
	-chardev null,id=serial -serial chardev:serial)
stock_words='console=ttyS0 8250.nr_uarts=1 earlyprintk=ttyS0 reboot=t panic=-1'
bench_devices=(-fsdev "local,id=share,path=/share,security_model=none,multidevs=remap"
	-device virtio-9p-device,fsdev=share,mount_tag=share1
	-object iothread,id=thread -device virtio-blk-device,drive=disk,iothread=thread
	-drive "if=none,id=disk,format=raw,readonly=on,aio=io_uring,file=/disk")
qemu_bench=("${qemu[@]}" "${bench_devices[@]}")

# A real root and not a chroot, in which ph could not make the namespaces that it makes elsewhere.
unshare --mount /bin/busybox sh -c "cd $root && busybox pivot_root . mnt &&
	exec /share/busybox sh -c 'busybox umount -l /mnt; exec busybox sleep 1000000'" &
keeper=$!
sleep 1
enter=(nsenter "--mount=/proc/$keeper/ns/mnt" --)
inside() {
	"${enter[@]}" "$@"
}

# Ten minutes of the real clock are enough for anything, on a machine that has nothing else to do. What takes longer is a
# guest that spins: the emulated processor gives one an interrupt too many now and then. So it is tried again.
within=("${enter[@]}" /bench/within 600)

# vm WHO WORK: the command that runs the bench's guest on that work, in command.
vm() {
	case $1 in
	ph) command=("${ph_bench[@]}" --append "bench=$2") ;;
	peer) command=("${qemu_bench[@]}" -append "$words bench=$2") ;;
	esac
}

# timed COUNT NAME WHO COMMAND...
timed() {
	local name=$2 who=$3 whole reset idle status
	for _ in 1 2 3; do
		read -r whole reset idle status < <("${within[@]}" /bench/measure "$1" "${@:4}") && break
		echo "# $who $name: nothing"
	done
	echo "$name $who $whole"
	echo "$name-idle $who $idle"
	echo "$name-status $who $status"
	[ "$reset" = 0 ] || echo "$name-reset $who $reset"
}

# Which exits are traced; 'off' ends it.
trace_exits() {
	if [ "$1" = off ]; then
		echo 0 >$tracing/events/kvm/kvm_exit/enable
		return
	fi
	echo "$1" >$tracing/events/kvm/kvm_exit/filter
	echo 1 >$tracing/events/kvm/kvm_exit/enable
}

measure_boot() {
	local who
	for who in ph peer; do
		vm $who boot
		timed 3 boot $who "${command[@]}"
		# The reset is a triple fault, and init's first act.
		trace_exits 'exit_reason == 0x7f'
		timed 1 init $who "${command[@]}"
		trace_exits off
	done
	timed 1 stock peer "${qemu_stock[@]}" "${bench_devices[@]}" -append "$stock_words bench=boot"
}

measure_true() {
	timed 3 true ph "${ph_small[@]}" -- true
	timed 3 true peer "${qemu[@]}" -append "$words bench=true"
	timed 1 stock-true peer "${qemu_stock[@]}" -append "$stock_words bench=true"
	timed 3 default ph /bench/ph-itself --private-home -- true
}

# hist EVENT FIELD [FILTER]: have KVM count EVENT by FIELD. With ! before it, that ends.
hist() {
	local not=''
	[ "$1" != '!' ] || { not='!' && shift; }
	echo "${not}hist:keys=$2${3:+ if $3}" >"$tracing/events/kvm/$1/trigger"
}

# The counts of hist, a line "VALUE COUNT" each.
hist_counts() {
	sed -n 's/^{.*: *\(0x\)\?\([0-9a-f]*\) *} hitcount: *\([0-9]*\).*/\2 \3/p' "$tracing/events/kvm/$1/hist"
}

# Exits to init by reason. First touches of RAM below the 32-bit hole are apart: they exit for the same reason as
# device registers.
count_exits() {
	local who faults below='fault_address < 0xc0000000'
	for who in ph peer; do
		vm $who boot
		hist kvm_exit exit_reason.hex
		hist kvm_page_fault error_code.hex "$below"
		inside "${command[@]}" >/dev/null 2>&1 </dev/null
		faults=$(hist_counts kvm_page_fault | awk '{ sum += $2 } END { print sum + 0 }')
		hist_counts kvm_exit | awk -v who=$who -v faults="$faults" '
			{ sum += $2; if ($1 == "400") $2 -= faults; print "exit-" $1, who, $2 }
			END { print "exit-ram", who, faults; print "exits", who, sum - faults }'
		hist ! kvm_exit exit_reason.hex
		hist ! kvm_page_fault error_code.hex "$below"
	done
}

# What is executed between each entry and the next exit, less what the shortest such way takes, which is KVM's own.
count_guest() {
	local who event
	echo x86-tsc >$tracing/trace_clock
	for who in ph peer; do
		vm $who boot
		echo 0 >$tracing/events/kvm/kvm_exit/filter
		: >$tracing/trace
		for event in kvm_entry kvm_exit; do
			echo 1 >$tracing/events/kvm/$event/enable
		done
		inside "${command[@]}" >/dev/null 2>&1 </dev/null
		for event in kvm_entry kvm_exit; do
			echo 0 >$tracing/events/kvm/$event/enable
		done
		awk -v who=$who '
			{ for (i = 1; i <= NF; i++) if ($i ~ /^kvm_(entry|exit):$/) { time = $(i - 1) + 0; kind = $i } }
			kind == "kvm_entry:" { entered = time; inside = 1 }
			kind == "kvm_exit:" && inside {
				ran = time - entered
				sum += ran
				count++
				if (!least || ran < least) least = ran
				inside = 0
			}
			{ kind = "" }
			END { printf "guest %s %.0f\n# %d times at least %d\n", who, sum - count * least, count, least }' $tracing/trace
		: >$tracing/trace
	done
	echo mono >$tracing/trace_clock
}

# ph says what the kernel said before the reset that it did not expect.
count_console() {
	vm ph boot
	inside "${command[@]}" 2>&1 >/dev/null </dev/null | tee $work/said | sed -n 's/^.*guest: //p' | wc -c | sed 's/^/console ph /'
	sed 's/^/# /' $work/said
}

# Private memory of the processes, but for the guest's RAM: the memfd, and what is mapped into the middle of it (the
# kernel, where the host has no huge pages for it). Of private mappings what became the process's own: files lie in
# memory here, and their pages would count as dirty.
private() {
	local total=0 pid
	for pid in "$@"; do
		total=$((total + $(awk '
			/^[0-9a-f]+-[0-9a-f]+ / {
				split($1, range, "-")
				ram = /memfd:/ || (ram && range[1] == end && /\/ph$/)
				end = range[2]
				field = $2 ~ /p$/ ? "Anonymous:" : "Private_Dirty:"
			}
			!ram && $1 == field { sum += $2 }
			END { print sum + 0 }' "/proc/$pid/smaps")))
	done
	echo $total
}

children() {
	cat /proc/"$1"/task/*/children
}

measure_memory() {
	local pid
	vm ph wait
	"${enter[@]}" "${command[@]}" >/dev/null 2>&1 </dev/null &
	pid=$!
	sleep 5
	# The one that clears up behind the VM is nobody's child.
	# shellcheck disable=SC2046 # a word for each process
	echo "memory ph $(private $pid $(children $pid) $(pidof ph-janitor))"
	kill -9 $pid
	wait $pid 2>/dev/null
	vm peer wait
	"${enter[@]}" "${command[@]}" -object memory-backend-memfd,id=ram,size=256M,share=on -machine memory-backend=ram >/dev/null 2>&1 </dev/null &
	pid=$!
	sleep 5
	echo "memory peer $(private $pid)"
	kill -9 $pid
	wait $pid 2>/dev/null
}

make_files() {
	local folder file
	[ ! -e $share/sequential ] || return 0
	head -c 16M /dev/zero >$share/sequential
	for folder in $(seq -w 0 19); do
		mkdir -p "$share/tree/$folder"
		for file in $(seq -w 0 49); do
			echo "$folder $file, a small file" >"$share/tree/$folder/file$file"
		done
	done
	mkdir $share/many
	(cd $share/many && seq -f 'entry%05.0f' 10000 | xargs touch)
	tar -c -f $share/tree.tar -C $share tree
	git init -q $share/repository
	cp -r $share/tree $share/repository/
	git -C $share/repository add .
	git -C $share/repository -c user.name=bench -c user.email=bench@example.org commit -q -m tree
}

# run_work WHO WORK: the guest leaves "NAME OPERATIONS NANOSECONDS" in the share.
run_work() {
	local try
	for try in 1 2 3; do
		rm -rf $share/result $share/unpacked $share/written
		mkdir $share/unpacked
		vm "$1" "$2"
		"${within[@]}" "${command[@]}" >$work/log 2>&1 </dev/null
		[ ! -e $share/result ] || return 0
		echo "# $1 $2: try $try gave nothing"
		sed 's/^/# /' $work/log
	done
	: >$share/result
}

# measure_works NAME...
measure_works() {
	local who name
	for name in "$@"; do
		for who in peer ph; do
			run_work $who "$name"
			awk -v who=$who '$1 == "failed" { print "#", who, $0; next } { printf "%s %s %.0f\n", $1, who, $3 / $2 }' $share/result
		done
	done
}

# Exits while the guest does the work: it writes to a port before it, and asks for a leaf of CPUID behind it. After
# each injected interrupt there is one exit more than by hardware, by tests/host/steady.c, without which many a guest
# with these triggers stops for good: an exit of an interrupt's own (60), and not counted.
count_work_exits() {
	local who name count steady ready event
	exec {ready}< <("${enter[@]}" /bench/steady)
	steady=$!
	read -r -u $ready
	for name in "$@"; do
		for who in peer ph; do
			# Appended: who opens the file anew takes the triggers away that it has.
			for event in kvm_exit:exit_reason.hex kvm_inj_virq:vector.hex; do
				echo "hist:keys=${event#*:}:pause" >"$tracing/events/kvm/${event%:*}/trigger"
				echo "enable_hist:kvm:${event%:*} if port == 0x99" >>$tracing/events/kvm/kvm_pio/trigger
				echo "disable_hist:kvm:${event%:*} if function == 0x4000ffff" >>$tracing/events/kvm/kvm_cpuid/trigger
			done
			run_work $who "$name"
			count=$({ hist_counts kvm_exit && hist_counts kvm_inj_virq | sed 's/ / -/'; } | awk '{ sum += $2 } END { print sum + 0 }')
			hist_counts kvm_exit | sed "s/^/# $name $who exit /"
			hist_counts kvm_inj_virq | sed "s/^/# $name $who interrupt /"
			awk -v who=$who -v count="$count" '$1 != "failed" { printf "%s-exits %s %.2f\n", $1, who, count / $2 }' $share/result
			for event in kvm_exit:exit_reason.hex kvm_inj_virq:vector.hex; do
				echo "!enable_hist:kvm:${event%:*}" >>$tracing/events/kvm/kvm_pio/trigger
				echo "!disable_hist:kvm:${event%:*}" >>$tracing/events/kvm/kvm_cpuid/trigger
				hist ! "${event%:*}" "${event#*:}"
			done
		done
	done
	kill $steady
	exec {ready}<&-
}

# shellcheck source=tests/bench/wl.sh
. "$tests/wl.sh"

for part in $parts; do
	echo "# $part $(cut -d ' ' -f 1 /proc/uptime)"
	case $part in
	boot) measure_boot ;;
	exits) count_exits ;;
	guest) count_guest ;;
	console) count_console ;;
	true) measure_true ;;
	memory) measure_memory ;;
	disk) measure_works disk-random-1 disk-random-32 ;;
	wl) measure_wl ;;
	files)
		make_files
		measure_works "${files[@]}"
		count_work_exits "${files[@]}"
		;;
	9p-*)
		make_files
		measure_works "$part"
		count_work_exits "$part"
		;;
	*) "measure_$part" ;;
	esac
done
kill $keeper
echo "# end $(cut -d ' ' -f 1 /proc/uptime)"
