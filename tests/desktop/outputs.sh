#!/bin/bash
# Outputs of other scales, and two of them; two VMs side by side, each with its name. First with the same program on the
# host; the pictures are the same, pixel by pixel.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
tell_sway default_border none
tell_sway 'for_window [app_id=".*"] floating enable'
# Not twice, when sway is late with its answer
has_second_output() {
	swaymsg -t get_outputs -r | grep -q HEADLESS-2 || { swaymsg -q create_output && false; }
}
wait_for 30 has_second_output
tell_sway 'output HEADLESS-2 resolution 640x480 position 1280 0 bg #406020 solid_color'
# Without a mouse nobody follows a window to the other output.
take_hand 1920 720
hand move 640 600

# said LOG WORDS: the program whose output that is has said so
said() {
	grep -qxE -- "$2" "$work/$1.log"
}

scale() {
	tell_sway "output HEADLESS-1 scale $1"
	hand move $((1200 * 10 / ${2:-10})) 600
}

# play LOG: what happens to a window whose program is called first
play() {
	local log=$1
	wait_for 60 window_count_is first 1
	tell_sway '[app_id="(.*[.])?first"] move absolute position 100 100'
	wait_for 10 said "$log" "size 400x300 scale 1"
	result "$log: a window"
	scale 2 20
	wait_for 10 said "$log" "size 400x300 scale 2"
	result "$log: scale 2"
	settled_screenshot "$log-2" 10
	scale 1.5 15
	sleep 0.5
	settled_screenshot "$log-1.5" 10
	scale 1
	sleep 0.5
	settled_screenshot "$log-1" 10
	tell_sway '[app_id="(.*[.])?first"] move container to output HEADLESS-2'
	wait_for 10 said "$log" "off output 0" && wait_for 10 said "$log" "on output 1"
	result "$log: on the other output"
	settled_screenshot "$log-other" 10
}

"$tools/probe" first 400x300 >"$work/native.log" 2>&1 &
native=$!
play native
stop $native
wait_for 10 window_count_is first 0
# shellcheck disable=SC2016 # the VM's shell
start vm -- sh -c 'wayland-info >"$HOME/.info"; exec "$@"' sh "$tools/probe" first 400x300
vm=$started
play vm
for picture in 2 1.5 1 other; do
	same_picture "native-$picture" "vm-$picture"
	result "the same picture: $picture"
done
! same_picture vm-1 vm-2 && ! same_picture vm-2 vm-1.5
result "which are others at other scales"
[ "$(globals .info | grep -c '^wl_output ')" -eq 2 ]
result "the VM knows of two outputs"

start two --tag other -- "$tools/probe" first 400x300
wait_for 60 window_count_is first 2
list_windows >"$work/out"
grep -qxF "'[vm] first' of ph.vm.first'" "$work/out" && grep -qxF "'[other] first' of ph.other.first'" "$work/out"
result "two VMs side by side, each with its name"
settled_screenshot both 10
stop "$started"
stop "$vm"
wait_for 20 window_count_is first 0
result "and without them, no window"
"$ph" --mem 512M -- "$tools/probe" first 400x300 >"$work/unnamed.log" 2>&1 </dev/null &
unnamed=$!
wait_for 60 window_count_is first 1
list_windows >"$work/out"
grep -qxF "'[ph-1] first' of ph.ph-1.first'" "$work/out" && "$ph" --list | grep -q '^ph-1 '
result "a VM without a name is called the same by its windows and by --list"
stop $unnamed
finish_outputs() {
	kill "$hand_process"
	rm -f "$HOME/.info"
	finish
}
trap finish_outputs EXIT
