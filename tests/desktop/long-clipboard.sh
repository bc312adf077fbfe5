#!/bin/bash
# What programs of a VM get of the host's clipboard and primary selection, and what they may set, by the policies of
# --clipboard; each transfer has an end. Where the compositor has no primary selection, programs of the VM find none, and
# the clipboard is as elsewhere.
# host: --desktop sway
. tests/desktop/lib.bash
begin_steps
tell_sway default_border none
take_keyboard
on_weston && nest_weston
primary=$(wayland-info | grep -c "'zwp_primary_selection_device_manager_v1'")
echo "# primary selection: $primary"
screen=()
cat >.test/guest.sh <<'END2'
. .test/steps
wayland-info >.test/info
timeout 30 wl-paste --no-newline >.test/clipboard 2>/dev/null
echo $? >.test/status
timeout 30 wl-paste --primary --no-newline >.test/primary 2>/dev/null
echo $? >>.test/status
reach pasted
timeout 30 wl-copy <.test/from-vm 2>/dev/null
echo 'the primary of the VM' | timeout 30 wl-copy --primary 2>/dev/null
reach copied
await compared
echo 'file:///etc/hostname' | timeout 30 wl-copy --type text/uri-list 2>/dev/null
timeout 30 wl-paste --list-types >.test/types 2>/dev/null
timeout 30 wl-paste --type text/uri-list >.test/named 2>/dev/null
reach files
await finished
[ "$1" = key ] && exec foot --app-id=paster sh -c 'cat >.test/typed'
END2
cat >.foot.ini <<'END2'
font=DejaVu Sans Mono:size=10
END2
# Else it would have nothing to do.
[ "$primary" -eq 1 ] ||
	printf '%s\n' '[key-bindings]' 'clipboard-paste=Control+Shift+v Shift+Insert' primary-paste=none >>.foot.ini
# More than a pipe takes at once
seq -f 'host %.0f ü' 40000 >.test/from-host
seq -f 'VM %.0f ü' 40000 >.test/from-vm

# host_copies FILE TEXT: the host's clipboard, and its primary selection
host_copies() {
	wl-copy <"$1"
	[ "$primary" -eq 0 ] || echo "$2" | wl-copy --primary
}

# host_pastes FILE TEXT: this is what the host has for them
host_pastes() {
	timeout 20 wl-paste --no-newline | cmp -s - "$1" &&
		{ [ "$primary" -eq 0 ] || [ "$(timeout 20 wl-paste --primary)" = "$2" ]; }
}

# vm POLICY: the guest's script; it has pasted, or was not let, and copied, or was not let, when this returns
vm() {
	rm -f .test/{clipboard,primary,status,pasted,copied,compared,files,finished}
	host_copies .test/from-host 'the primary of the host'
	start "$1" --clipboard "$1" -- bash .test/guest.sh "$1"
	vm=$started
	await pasted
	[ "$(wc -l <.test/status)" -eq 2 ] && ! grep -qx 124 .test/status &&
		[ "$(grep -c "'zwp_primary_selection_device_manager_v1'" .test/info)" -eq "$primary" ]
	result "$1: who asks for the clipboard and the primary selection reads them to an end"
	await copied
}

# copies_files: a program of the VM copies what names files, and those of the VM can paste it
copies_files() {
	reach compared
	await files
	wl-paste --list-types >.test/host-types
	sed 's/^/# /' .test/host-types
	[ "$(cat .test/named)" = file:///etc/hostname ] && grep -qx text/uri-list .test/types
}

host_has_files() {
	grep -qx text/plain .test/host-types && grep -qx text/uri-list .test/host-types
}

host_has_text_alone() {
	grep -qx text/plain .test/host-types && ! host_has_files
}

end_vm() {
	reach finished
	stop $vm
}

pasted() {
	local text='the primary of the host'
	[ "$primary" -eq 1 ] || text=''
	cmp -s .test/from-host .test/clipboard && [ "$(cat .test/primary)" = "$text" ]
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
reach compared
end_vm

for policy in on focus; do
	vm $policy
	pasted
	result "$policy: a program with the keyboard reads the clipboard and the primary selection"
	sets_both
	result "$policy: and sets them"
	if [ $policy = on ]; then
		copies_files && host_has_files
	else
		copies_files && host_has_text_alone
	fi
	result "$policy: names of files that a program of the VM copied"
	end_vm
done

vm key
pasted_nothing
result "key: a program with the keyboard reads nothing by itself"
sets_both
result "key: and sets what the host pastes"
copies_files && host_has_text_alone
result "key: names of files that a program of the VM copied"
echo 'the clipboard: ü' >.test/short
host_copies .test/short 'the primary: ü'
reach finished
wait_for 60 window_count_is paster 1
# typed TEXT KEYS...: with the chord in the VM's window, the text arrives there; an overloaded machine may take longer
# than the chord lasts
typed() {
	local text=$1 tries=15
	shift
	: >.test/typed
	while [ $tries -gt 0 ]; do
		WAYLAND_DISPLAY=$outer wtype "$@"
		sleep 1
		WAYLAND_DISPLAY=$outer wtype -k Return
		wait_for 3 grep -q "$text" .test/typed && return 0
		tries=$((tries - 1))
	done
	return 1
}
typed 'the clipboard: ü' -M ctrl -M shift -k v -m shift -m ctrl
result "key: Ctrl+Shift+V in a terminal of the VM pastes the clipboard"
selection=primary
[ "$primary" -eq 1 ] || selection=clipboard
typed "the $selection: ü" -M shift -k Insert -m shift
result "key: Shift+Insert pastes the $selection"
stop $vm
finish_clipboard() {
	kill $keyboard $vm 2>/dev/null
	end_weston
	rm -rf .test .foot.ini
	finish
}
trap finish_clipboard EXIT
