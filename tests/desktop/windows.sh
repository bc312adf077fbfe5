#!/bin/bash
# Programs of the VM on a desktop: their windows, pixel by pixel as without a VM, the keyboard, the clipboard.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
swaymsg -q default_border none

cat >.foot.ini <<'END'
font=DejaVu Sans Mono:size=10
[cursor]
blink=no
END
cat >.shell.sh <<'END'
PS1='$ '
printf '\033]0;a shell\007\033[1;32mgreen \033[44mon blue\033[0m \342\224\202\n'
END
# Type into the focused terminal what makes its shell write to a file.
type_something() {
	rm -f .typed
	wtype -d 20 "echo 'Typed: Größe {[\\~@]}'; echo \$((6 * 7)) >$HOME/.typed"
	wtype -k Return
	wait_for 20 grep -qx 42 .typed
}

# A keyboard that is there all the time: what is typed before a program has asked for one is lost to it.
wtype -s 600000 &
keyboard=$!
terminal=(foot --config="$HOME/.foot.ini" --app-id=terminal bash --noprofile --rcfile "$HOME/.shell.sh" -i)
"${terminal[@]}" >/dev/null 2>&1 &
native=$!
wait_for 30 window_count_is terminal 1
settled_screenshot native-start 10
type_something
settled_screenshot native 10
result "a terminal without a VM shows what is typed"
stop $native
wait_for 10 window_count_is terminal 0

start one -- "${terminal[@]}"
one=$started
wait_for 60 window_count_is terminal 1
result "a terminal in the VM has a window"
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
sleep 1
screenshot side-1
sleep 1
screenshot side-2
! same_picture side-1 side-2
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
	kill $keyboard
	rm -f "$HOME"/.foot.ini "$HOME"/.shell.sh "$HOME"/.typed
	finish
}
trap finish_windows EXIT
