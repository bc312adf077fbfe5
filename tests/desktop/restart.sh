#!/bin/bash
# The compositor ends, and another one comes, twice: the first is asked to end, the second is killed. Programs of the VM
# are told, the VM lives, and new programs are on the new compositor.
# host: --desktop sway
. tests/desktop/lib.bash
begin_steps
cat >.test/guest.sh <<END2
. .test/steps
for compositor in first second; do
	"$tools/probe" on-\$compositor >/dev/null 2>&1
	reach \$compositor-ended
	await \$compositor-replaced
done
exec "$tools/probe" on-third
END2

# The next sway, at the socket of the one before.
next_sway() {
	env -u WAYLAND_DISPLAY -u SWAYSOCK WLR_BACKENDS=headless WLR_RENDERER=pixman WLR_LIBINPUT_NO_DEVICES=1 \
		sway >/dev/null 2>&1 &
	compositor=$!
	disown $compositor # its end is no news
	SWAYSOCK=$XDG_RUNTIME_DIR/sway-ipc.$(id -u).$compositor.sock
	wait_for 60 swaymsg -t get_version && [ -S "$outer" ]
}

next_weston() {
	nest_weston || return
	compositor=$weston
	disown "$compositor"
}

# replace ORDER SIGNAL
replace() {
	wait_for 60 window_count_is "on-$1" 1
	result "a program of the VM is on the $1 compositor"
	kill "-$2" "$compositor"
	await "$1-ended" && kill -0 $vm
	result "when that gets SIG$2 its program ends, and the VM lives"
	next_$kind
	result "another one starts"
	reach "$1-replaced"
}

kind=sway
compositor=$(pgrep -x sway)
if on_weston; then
	kind=weston
	next_weston
fi
start clients --verbose -- bash .test/guest.sh
vm=$started
replace first TERM
replace second KILL
wait_for 60 window_count_is on-third 1
result "a new program is on the third"
stop $vm
wait_for 20 window_count_is on-third 0
result "until its VM ends"
finish_restart() {
	kill "$compositor" $vm 2>/dev/null
	grep connector "$work/clients.log" | sed 's/^/# /'
	rm -rf .test
	finish
}
trap finish_restart EXIT
