#!/bin/bash
# The bench's measures, in the test host that counts instructions (1 ns is one). Prints NAME WHO VALUE lines for
# tests/bench/run. ph and QEMU do the same work: same kernel but for tests/bench/peer.config, same memory, a 9p root, the same kinds of devices.
set -u
bench=$1 ph=$2 kernel=$3
cd / || exit 1
ulimit -c 0

quiet='quiet panic=-1 reboot=t noreplace-smp swiotlb=noforce'
qemu() {
	qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -enable-kvm -cpu host,-xsave,-avx \
		-machine microvm,pit=off,pic=off,rtc=off,isa-serial=off,auto-kernel-cmdline=on -smp 1 -m 256 -kernel "$kernel" \
		-fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap \
		-device virtio-9p-device,fsdev=root,mount_tag=root -device virtio-serial-device -device virtconsole,chardev=null \
		-chardev null,id=null -device virtio-rng-device -device virtio-balloon-device,free-page-reporting=on "$@"
}
# A script of its own, so that `measure` can spawn it without counting more than one shell's start.
declare -f qemu >/tmp/qemu
cat >/tmp/qemu.sh <<END
kernel=$kernel
$(declare -f qemu | sed 's/qemu-system-x86_64/exec &/')
qemu "\$@"
END

measure() {
	local name=$1 who=$2
	shift 2
	read -r value status < <("$bench/measure" 5 "$@")
	echo "$name $who $value $status"
}
peer() {
	measure "$1" peer bash /tmp/qemu.sh -append "$2" "${@:3}"
}

small=(--cpus 1 --mem 256M --private-home)
# The kernel finds no init: the end comes exactly where init would begin, on both sides alike.
measure boot ph "$ph" "${small[@]}" --append rdinit=/nonexistent -- true
peer boot "$quiet rdinit=/nonexistent"
measure true ph "$ph" "${small[@]}" -- true
peer true "$quiet" -initrd "$bench/peer.cpio"
measure default ph "$ph" --cpus 1 --private-home -- true

# Exits of a boot by reason, from KVM's own trace point.
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
exits() {
	local trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
	echo 'hist:keys=exit_reason.hex' >$trigger || return
	"$@" >/dev/null 2>&1
	awk -v who="$who" '
		/hitcount:/ { gsub(/[{},]/, ""); reason = $2; for (i = 1; i <= NF; i++) if ($i == "hitcount:") n = $(i + 1); print "exit-" reason, who, n, 0; total += n }
		END { print "exits", who, total, 0 }' /sys/kernel/tracing/events/kvm/kvm_exit/hist
	echo '!hist:keys=exit_reason.hex' >$trigger
}
who=ph exits "$ph" "${small[@]}" --append rdinit=/nonexistent -- true
who=peer exits bash /tmp/qemu.sh -append "$quiet rdinit=/nonexistent"

# Private memory of all processes of a VM at rest, but for the guest's RAM.
private() {
	local total=0 pid
	for pid in "$@"; do
		total=$((total + $(awk '/^[0-9a-f]+-[0-9a-f]+ / { ram = /memfd:|\/dev\/zero/ } !ram && /^Private_Dirty:/ { sum += $2 } END { print sum + 0 }' "/proc/$pid/smaps")))
	done
	echo $total
}
"$ph" "${small[@]}" -- sleep 1000 >/dev/null 2>&1 &
sleep 5
mapfile -t pids < <(pgrep -x "$(basename "$ph")")
echo "memory ph $(private "${pids[@]}") 0"
kill %1
wait
# QEMU's RAM as a memfd, to tell it apart; its init stops in a panic that waits.
bash /tmp/qemu.sh -object memory-backend-memfd,id=ram,size=256M,share=on -machine memory-backend=ram \
	-append "${quiet/panic=-1/} rdinit=/nonexistent" >/dev/null 2>&1 &
pid=$!
sleep 5
echo "memory peer $(private $pid) 0"
kill $pid
wait
