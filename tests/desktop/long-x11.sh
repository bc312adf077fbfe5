#!/bin/bash
# X11 programs of a VM: Xwayland is started for the first of them, shows a window, and ends with the last.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
swaymsg -q default_border none

# Xwayland gives its window no title, so that is the VM's name alone.
windows_of_x11_are() {
	[ "$(swaymsg -t get_tree -r | grep -cF '"name": "[x11]')" -eq "$1" ]
}

# The screen is red: nothing else here is.
red() {
	screenshot red
	[ "$(tail -c +16 "$pictures/red.ppm" | LC_ALL=C tr -cd '\377' | wc -c)" -gt 400000 ]
}

# shellcheck disable=SC2016 # the VM's shell
start x11 -- sh -c 'echo "display $DISPLAY"; pidof Xwayland; xlogo -bg red -fg red -geometry 4000x4000+0+0 2>/dev/null & sleep 600'
vm=$started
wait_for 90 windows_of_x11_are 1
result "an X11 program has a window, with the VM's name"
wait_for 60 red
result "its picture is on the screen"
[ "$(cat "$work/x11.log")" = 'display :0' ]
result "Xwayland was not running before"
ph_name=x11
"$ph" --name $ph_name -- pkill -x xlogo >"$work/out" 2>"$work/err" </dev/null
wait_for 60 windows_of_x11_are 0
result "the window goes with the last X11 program"
"$ph" --name $ph_name -- timeout 60 xlogo -bg red -fg red -geometry 4000x4000+0+0 >"$work/out" 2>"$work/err" </dev/null &
second=$!
wait_for 60 windows_of_x11_are 1
result "and another one brings it back"
stop $second
stop $vm
finish_x11() {
	[ -s "$work/x11.log" ] && sed 's/^/# /' "$work/x11.log"
	finish
}
trap finish_x11 EXIT
