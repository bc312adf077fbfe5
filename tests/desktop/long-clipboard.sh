#!/bin/bash
# What programs of a VM get of the host's clipboard and primary selection, and what they may set, by the policies of
# --clipboard; each transfer has an end.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
screen=()
rm -rf .test
mkdir .test
cat >.test/steps <<'END2'
reach() { touch ".test/$1"; }
await() { for _ in $(seq 300); do [ -e ".test/$1" ] && return 0; sleep 0.2; done; return 1; }
END2
. .test/steps
cat >.test/guest.sh <<'END2'
. .test/steps
timeout 30 wl-paste --no-newline >.test/pasted 2>/dev/null
echo $? >.test/paste-status
timeout 30 wl-paste --primary --no-newline >.test/pasted-primary 2>/dev/null
reach pasted
[ "$1" = key ] && exec foot --app-id=paster sh -c 'cat >.test/typed'
timeout 30 wl-copy 'from the VM' 2>/dev/null
reach copied
await finished
END2
cat >.foot.ini <<'END2'
font=DejaVu Sans Mono:size=10
END2
wtype -s 900000 &
keyboard=$!

host_pastes() {
	[ "$(timeout 20 wl-paste --no-newline)" = "$1" ]
}

# vm POLICY: the guest's script; it has pasted, or was not let, when this returns
vm() {
	rm -f .test/pasted* .test/copied .test/finished .test/paste-status
	printf 'the clipboard: ü' | wl-copy
	printf 'the primary: ü' | wl-copy --primary
	start "$1" --clipboard "$1" -- bash .test/guest.sh "$1"
	vm=$started
	await pasted
	[ -s .test/paste-status ] && [ "$(cat .test/paste-status)" != 124 ]
	result "$1: who asks for the clipboard reads it to an end"
}

end_vm() {
	reach finished
	stop $vm
}

vm off
[ ! -s .test/pasted ] && [ ! -s .test/pasted-primary ]
result "off: programs of the VM read nothing"
await copied
host_pastes 'the clipboard: ü'
result "off: and set nothing"
end_vm

vm focus
[ "$(cat .test/pasted)" = 'the clipboard: ü' ] && [ "$(cat .test/pasted-primary)" = 'the primary: ü' ]
result "focus: a program with the keyboard reads the clipboard and the primary selection"
await copied
wait_for 20 host_pastes 'from the VM'
result "focus: and sets the clipboard"
end_vm

vm key
[ ! -s .test/pasted ] && [ ! -s .test/pasted-primary ]
result "key: a program with the keyboard reads nothing by itself"
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
