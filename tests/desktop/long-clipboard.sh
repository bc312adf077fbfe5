#!/bin/bash
# What programs of a VM get of the host's clipboard and primary selection, and what they may set, by the policies of
# --clipboard; each transfer has an end.
# host: --desktop sway
. tests/desktop/lib.bash
begin_steps
screen=()
cat >.test/guest.sh <<'END2'
. .test/steps
timeout 30 wl-paste --no-newline >.test/clipboard 2>/dev/null
echo $? >.test/status
timeout 30 wl-paste --primary --no-newline >.test/primary 2>/dev/null
echo $? >>.test/status
reach pasted
timeout 30 wl-copy <.test/from-vm 2>/dev/null
echo 'the primary of the VM' | timeout 30 wl-copy --primary 2>/dev/null
reach copied
await finished
[ "$1" = key ] && exec foot --app-id=paster sh -c 'cat >.test/typed'
END2
cat >.foot.ini <<'END2'
font=DejaVu Sans Mono:size=10
END2
# More than a pipe takes at once
seq -f 'host %.0f ü' 40000 >.test/from-host
seq -f 'VM %.0f ü' 40000 >.test/from-vm
wtype -s 900000 &
keyboard=$!

host_copies() {
	wl-copy <.test/from-host
	echo 'the primary of the host' | wl-copy --primary
}

# host_pastes FILE TEXT: this is what the host has for its clipboard and its primary selection
host_pastes() {
	timeout 20 wl-paste --no-newline | cmp -s - "$1" && [ "$(timeout 20 wl-paste --primary)" = "$2" ]
}

# vm POLICY: the guest's script; it has pasted, or was not let, and copied, or was not let, when this returns
vm() {
	rm -f .test/{clipboard,primary,status,pasted,copied,finished}
	host_copies
	start "$1" --clipboard "$1" -- bash .test/guest.sh "$1"
	vm=$started
	await pasted
	[ "$(wc -l <.test/status)" -eq 2 ] && ! grep -qx 124 .test/status
	result "$1: who asks for the clipboard and the primary selection reads them to an end"
	await copied
}

end_vm() {
	reach finished
	stop $vm
}

pasted() {
	cmp -s .test/from-host .test/clipboard && [ "$(cat .test/primary)" = 'the primary of the host' ]
}

pasted_nothing() {
	[ ! -s .test/clipboard ] && [ ! -s .test/primary ]
}

sets_both() {
	wait_for 20 host_pastes .test/from-vm 'the primary of the VM'
}

vm off
pasted_nothing
result "off: programs of the VM read nothing"
host_pastes .test/from-host 'the primary of the host'
result "off: and set nothing"
end_vm

for policy in on focus; do
	vm $policy
	pasted
	result "$policy: a program with the keyboard reads the clipboard and the primary selection"
	sets_both
	result "$policy: and sets them"
	end_vm
done

vm key
pasted_nothing
result "key: a program with the keyboard reads nothing by itself"
sets_both
result "key: and sets what the host pastes"
echo 'the clipboard: ü' | wl-copy
echo 'the primary: ü' | wl-copy --primary
reach finished
wait_for 60 window_count_is paster 1
# typed TEXT KEYS...: with the chord in the VM's window, the text arrives there; an overloaded machine may take longer
# than the chord lasts
typed() {
	local text=$1 tries=15
	shift
	: >.test/typed
	while [ $tries -gt 0 ]; do
		wtype "$@"
		sleep 1
		wtype -k Return
		wait_for 3 grep -q "$text" .test/typed && return 0
		tries=$((tries - 1))
	done
	return 1
}
typed 'the clipboard: ü' -M ctrl -M shift -k v -m shift -m ctrl
result "key: Ctrl+Shift+V in a terminal of the VM pastes the clipboard"
typed 'the primary: ü' -M shift -k Insert -m shift
result "key: Shift+Insert pastes the primary selection"
stop $vm
finish_clipboard() {
	kill $keyboard $vm 2>/dev/null
	rm -rf .test .foot.ini
	finish
}
trap finish_clipboard EXIT
