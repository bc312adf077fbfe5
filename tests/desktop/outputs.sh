#!/bin/bash
# Outputs of other scales, and two of them; two VMs side by side, each with its name. First with the same program on the
# host; the pictures are the same, pixel by pixel. Weston 10 has whole scales only, and none changes while it runs, so
# its two outputs differ, and the window goes from one to the other.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
tell_sway default_border none

# Not twice, when sway is late with its answer
has_second_output() {
	swaymsg -t get_outputs -r | grep -q HEADLESS-2 || { swaymsg -q create_output && false; }
}

begin_sway() {
	tell_sway 'for_window [app_id=".*"] floating enable'
	wait_for 30 has_second_output
	tell_sway 'output HEADLESS-2 resolution 640x480 position 1280 0 bg #406020 solid_color'
	# Without a mouse nobody follows a window to the other output.
	take_hand 1920 720
	hand move 640 600
	pictures_of_play="2 1.5 1 other"
}

# Weston's outputs beside each other: 500x460 of scale 1, then 450x350 of scale 2. The mouse goes by sway's places.
second_output=1000
begin_weston() {
	tell_sway 'output HEADLESS-1 resolution 2000x760'
	tell_sway 'for_window [title="^Weston Compositor"] floating enable'
	take_hand 2000 760
	nest_weston 500x460 1 450x350 2
	tell_sway '[title="WL1$"] move absolute position 0 0'
	tell_sway "[title=\"WL2\$\"] move absolute position $second_output 0"
	# Places are weston's own.
	weston_x=0 weston_y=0
	pictures_of_play="1 half 2 back"
}

# said LOG WORDS: the program whose output that is has said so
said() {
	grep -qxE -- "$2" "$work/$1.log"
}

scale() {
	tell_sway "output HEADLESS-1 scale $1"
	hand move $((1200 * 10 / ${2:-10})) 600
}

# play_sway LOG: what happens to a window whose program is called first
play_sway() {
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

# hand_at OUTPUT X Y: where the mouse is for sway when it is at weston's X,Y, on that output
hand_at() {
	local left=6 top=27 # what weston draws around an output
	if [ "$1" -eq 0 ]; then
		echo "$((left + $2)) $((top + $3))"
	else
		echo "$((second_output + left + ($2 - 500) * 2)) $((top + $3 * 2))"
	fi
}

# carry OUTPUT HOLD X Y: the window goes there, held at HOLD from its left; the mouse does not leave that output
carry() {
	local x y places ended
	read -r x y _ <<<"$(place first)"
	read -ra places <<<"$(hand_at "$1" $((x + $2)) $((y + 10))) $(hand_at "$1" $(($3 + $2 + 2)) $(($4 + 15)))"
	read -r x y <<<"$(hand_at "$1" $(($3 + $2)) $(($4 + 10)))"
	hand move "${places[@]::2}"
	hand press left
	wiggle "${places[@]:2}" "$x" "$y" placed first "$3 $4 400 300"
	ended=$?
	hand release left
	hand move 100 740
	return $ended
}

last_size_is() {
	[ "$(grep '^size' "$work/$1.log" | tail -n 1)" = "size 400x300 scale $2" ]
}

# play_weston LOG: the same there
play_weston() {
	local log=$1
	hand move 300 300
	wait_for 60 window_count_is first 1
	carry 0 10 50 50
	wait_for 10 said "$log" "size 400x300 scale 1"
	result "$log: a window"
	settled_screenshot "$log-1" 10
	carry 0 10 300 50 && wait_for 10 said "$log" "on output 1" && wait_for 10 last_size_is "$log" 2
	result "$log: half of it on an output of scale 2"
	settled_screenshot "$log-half" 10
	carry 0 10 480 30 && carry 1 200 530 30 && wait_for 10 said "$log" "off output 0" && last_size_is "$log" 2
	result "$log: all of it"
	settled_screenshot "$log-2" 10
	carry 1 390 115 50 && carry 0 10 50 50 && wait_for 10 said "$log" "off output 1" && wait_for 10 last_size_is "$log" 1
	result "$log: back on the one of scale 1"
	settled_screenshot "$log-back" 10
}

compositor=sway
on_weston && compositor=weston
begin_$compositor

"$tools/probe" first 400x300 >"$work/native.log" 2>&1 &
native=$!
play_$compositor native
stop $native
wait_for 10 window_count_is first 0
# shellcheck disable=SC2016 # the VM's shell
start vm -- sh -c 'wayland-info >"$HOME/.info"; exec "$@"' sh "$tools/probe" first 400x300
vm=$started
play_$compositor vm
for picture in $pictures_of_play; do
	same_picture "native-$picture" "vm-$picture"
	result "the same picture: $picture"
done
read -r first second third _ <<<"$pictures_of_play"
! same_picture "vm-$first" "vm-$second" && ! same_picture "vm-$second" "vm-$third"
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
	end_weston
	rm -f "$HOME/.info"
	finish
}
trap finish_outputs EXIT
