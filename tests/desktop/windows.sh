#!/bin/bash
# Programs of the VM on a desktop: their windows, pixel by pixel as without a VM, the keyboard, the clipboard.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
tell_sway default_border none

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

# shellcheck disable=SC2016 # the VM's shell
start two -- foot --config="$HOME/.foot.ini" --app-id=ticker sh -c 'while sleep 0.2; do date +%N; done'
two=$started
wait_for 60 window_count_is ticker 1
result "a second VM shows its window beside the first"
screenshot side-1
moved() {
	screenshot side-2
	! same_picture side-1 side-2
}
wait_for 20 moved && screenshot side-1 && wait_for 20 moved
result "and it moves"
stop $two
wait_for 20 window_count_is ticker 0
result "it goes away with its VM"
window_count_is terminal 1 && kill -0 $one
result "the first VM's window stays"
stop $one
wait_for 20 window_count_is terminal 0
result "until that ends"
finish_windows() {
	finish_terminal
	rm -f "$HOME/.info"
	finish
}
trap finish_windows EXIT
