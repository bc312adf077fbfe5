#!/bin/bash
# Root of a Linux guest takes each device from its driver and breaks every rule with it (tests/unit/abuse_acts.c has the
# list). The console is last, in a VM of its own: it is abused under the hands of its driver, and the results come by
# way of a share.
# shellcheck disable=SC2016 # the guest expands what it is told
. tests/guest/lib.sh
mkdir "$work/tool" "$work/prey" "$work/results"
gcc -O1 -Wall -Wextra -Werror -static -o "$work/tool/abuse_root" tests/hostile/abuse_root.c tests/hostile/abuse_bars.c \
	tests/unit/abuse.c tests/unit/abuse_acts.c || exit 1
truncate -s 1M "$work/disk"
perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && bind(S, sockaddr_un($ARGV[0])) || die' "$work/socket"

# Slots by the device's type; of the shares, which have drivers that wait for the end of a mount, one that is unmounted.
cat >"$work/tool/slots" <<'END'
cp /mnt/tool/abuse_root /tmp
prey=$(sed -n 's|^\([^ ]*\) /mnt/prey .*|\1|p' /proc/mounts)
umount /mnt/prey
ip link set eth0 down 2>/dev/null
for device in /sys/bus/pci/devices/*; do
	slot=${device##*:}
	slot=$((16#${slot%.*}))
	case $(cat "$device/device") in
	0x1043) console=$slot ;;
	0x1049) [ "$(cat "$device"/virtio*/mount_tag | tr -d '\0')" != "$prey" ] || slots+=" $slot" ;;
	0x10*) slots+=" $slot" ;;
	esac
done
END

# inside SCRIPT: in a VM with a device of each kind, bash as root, with $slots and $console. What noise tells the balloon
# to take is memory that the kernel leaves alone.
inside() {
	limit=400 run --root --mem 256M --append 'memmap=15M$1M' --private-home --net --disk "$work/disk" --wl-socket "x=$work/socket" \
		--share "$work/tool:/mnt/tool:ro" --share "$work/prey:/mnt/prey" --share "$work/results:/mnt/results" -- \
		bash -c ". /mnt/tool/slots; $1" </dev/null
}

inside '/tmp/abuse_root $slots; ls / >/dev/null && echo "# the rest lives"'
# A line for what was noticed, at a limited rate, and nothing else.
noticed="the guest's driver broke a rule|cannot start the device|cannot watch queue|cannot set up interrupt|request refused"
noticed+='|control message|no io_uring'
sed -E -i "/^ph: (.*: ($noticed)|[0-9]+ more messages like it were left out\$)/d" "$work/err"
grep -qx '# the rest lives' "$work/out"
result "the other devices serve on"
[ "$(sed -n 's/^ok [0-9]* - \([^:]*\): serves afterwards/\1/p' "$work/out" | sort -u | tr '\n' ' ')" = '9p balloon block net rng wl ' ]
result "a device of each kind was abused"
pass_on root

inside '/tmp/abuse_root --bound $console >/mnt/results/console'
[ $status_of_ph -eq 125 ] && grep -qx 'ph: the guest crashed or was switched off' "$work/err"
result "ph outlives the abuse of its console, and says what becomes of the VM"
cp "$work/results/console" "$work/out"
: >"$work/err"
status_of_ph=0
pass_on root
nothing_left
