#!/bin/bash
# The mouse at a window of a VM: the picture that the program gives it, menus, moving and resizing the window, drag
# and drop. First with the same program on the host; the pictures are the same, pixel by pixel.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
tell_sway default_border none

if on_weston; then
	nest_weston
else
	tell_sway 'for_window [app_id=".*"] floating enable'
fi

# said LOG WORDS: the program whose output that is has said so
said() {
	grep -qx -- "$2" "$work/$1.log"
}

# press BUTTON X Y: there
press() {
	hand move "$2" "$3" && hand press "$1" && hand release "$1"
}

moved() {
	! placed "$1" "$2"
}

resized() {
	grep '^size' "$work/$1.log" | grep -qv 400x300
}

# play LOG: what a user does with a window of 400x300 at 100,100, whose program is called first
play() {
	local log=$1
	put first 100 100
	result "$log: a window"
	hand move 90 90
	hand move 350 250
	wait_for 10 said "$log" "pointer on window"
	sleep 0.5
	WAYLAND_DISPLAY=$outer grim -c -t ppm "$pictures/$log-cursor.ppm"
	press right 350 250
	wait_for 10 said "$log" "menu 200x150 scale 1"
	result "$log: a menu"
	settled_screenshot "$log-menu" 10
	press left 400 300
	wait_for 10 said "$log" "chosen .*"
	result "$log: something is chosen of it"
	press right 150 350
	wait_for 10 grep -c "^menu 200x150" "$work/$log.log"
	wait_for 10 sh -c "[ \$(grep -c '^menu 200x150' '$work/$log.log') -eq 2 ]"
	press left 800 600
	wait_for 10 said "$log" "menu closed"
	result "$log: it goes away when something else is pressed"
	hand move 200 200
	hand scroll 3
	wait_for 10 said "$log" "scrolled 0 by 45"
	result "$log: the wheel"

	hand move 200 110
	hand press left
	wiggle 300 200 310 210 moved first "100 100 400 300"
	result "$log: the window is moved at its head"
	hand release left
	put first 100 100
	hand move 490 390
	hand press left
	wiggle 550 450 560 460 resized "$log"
	result "$log: and made larger at its corner"
	hand release left
	hand move 200 200
	hand press left
	wiggle 250 250 260 260 said "$log" "dragged over, a text"
	hand release left
	wait_for 10 said "$log" "dropped: a text of first" && wait_for 10 said "$log" "drag finished"
	result "$log: what is dragged inside of it is dropped there"
}

take_hand 1280 720
"$tools/probe" first 400x300 >"$work/native.log" 2>&1 &
native=$!
play native
stop $native
wait_for 10 window_count_is first 0
start vm -- "$tools/probe" first 400x300
vm=$started
play vm
same_picture native-cursor vm-cursor
result "the pointer looks the same, pixel by pixel"
same_picture native-menu vm-menu
result "the menu, too"

"$tools/probe" second 400x300 >"$work/second.log" 2>&1 &
native=$!
put second 700 300
hand move 750 450
hand press left
wiggle 200 200 210 210 sh -c "[ \$(grep -c '^dragged over, a text' '$work/vm.log') -eq 2 ]"
hand release left
wait_for 10 said vm "dropped: a text of second" && wait_for 10 said second "drag finished"
result "what the host drags is dropped in the VM"
hand move 200 200
hand press left
wiggle 750 450 760 460 said second "dragged over, a text"
hand release left
wait_for 10 said second "dropped: a text of first" && wait_for 10 sh -c "[ \$(grep -c '^drag finished' '$work/vm.log') -eq 2 ]"
result "what the VM drags is dropped on the host"
stop $native
stop "$vm"
wait_for 20 window_count_is first 0
result "the window goes with the VM"
finish_pointer() {
	kill "$hand_process"
	end_weston
	finish
}
trap finish_pointer EXIT
