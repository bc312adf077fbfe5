#!/bin/bash
# The compositor ends and another one comes: programs of the VM are told, the VM lives, and new programs are on the
# new compositor.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
rm -rf .test
mkdir .test
cat >.test/steps <<'END2'
reach() { touch ".test/$1"; }
await() { for _ in $(seq 300); do [ -e ".test/$1" ] && return 0; sleep 0.2; done; return 1; }
END2
. .test/steps
cat >.test/guest.sh <<'END2'
. .test/steps
foot --app-id=sleeper sleep 600 >/dev/null 2>&1
reach ended
await back
exec foot --app-id=second sleep 600
END2

start clients -- bash .test/guest.sh
vm=$started
wait_for 60 window_count_is sleeper 1
result "a window is there"
kill "$(pgrep -x sway)"
wait_for 60 sh -c '! pgrep -x sway'
await ended && kill -0 $vm
result "without a compositor its program ends, and the VM lives"
unset WAYLAND_DISPLAY SWAYSOCK # or the new one takes them over
WLR_BACKENDS=headless WLR_RENDERER=pixman WLR_LIBINPUT_NO_DEVICES=1 sway >/dev/null 2>&1 &
sway=$!
await_sway() {
	export SWAYSOCK=$XDG_RUNTIME_DIR/sway-ipc.$(id -u).$sway.sock
	[ -S "$XDG_RUNTIME_DIR/wayland-1" ] && swaymsg -t get_version
}
wait_for 60 await_sway
reach back
wait_for 60 window_count_is second 1
result "with a new one, new programs are there"
stop $vm
wait_for 20 window_count_is second 0
result "until their VM ends"
finish_restart() {
	kill $sway $vm 2>/dev/null
	rm -rf .test
	finish
}
trap finish_restart EXIT
