#!/bin/bash
# Programs of the VM on weston: what they find there, a terminal pixel by pixel as without a VM, the keyboard, and windows
# that move.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
tell_sway default_border none
nest_weston
result "weston runs"
set_terminal
take_keyboard

"${terminal[@]}" >/dev/null 2>&1 &
native=$!
wait_for 30 window_count_is terminal 1
settled_screenshot native-start 10
type_something
settled_screenshot native 10
result "a terminal without a VM shows what is typed"
stop $native
wait_for 10 window_count_is terminal 0

# shellcheck disable=SC2016 # the VM's shell
start one -- sh -c 'wayland-info >"$HOME/.info"; exec "$@"' sh "${terminal[@]}"
one=$started
wait_for 60 window_count_is terminal 1
result "a terminal in the VM has a window"
[ -s .info ] && diff <(allowed_globals) <(globals .info) >"$work/out"
result "the VM finds what it may find, and nothing else"
settled_screenshot guest-start 15
same_picture native-start guest-start
result "it looks the same, pixel by pixel"
type_something
result "what is typed reaches the shell in the VM"
settled_screenshot guest 15
same_picture native guest
result "what the shell prints is shown, pixel by pixel"
list_windows | grep -qF "'[one] a shell' of ph.one.terminal'"
result "weston knows the VM's name"
stop "$one"
wait_for 20 window_count_is terminal 0
result "the window goes with its VM"

start two -- sh -c 'weston-flower & exec weston-simple-shm'
wait_for 60 window_count_is org.freedesktop.weston.flower 1
result "a flower of weston's"
wait_for 60 window_count_is org.freedesktop.weston.simple-shm 1
result "and its simplest window"
screenshot moving-1
wait_for 20 eval 'screenshot moving-2; ! same_picture moving-1 moving-2'
result "move"
stop "$started"
finish_weston() {
	finish_terminal
	rm -f "$HOME/.info"
	kill "$weston"
	finish
}
trap finish_weston EXIT
