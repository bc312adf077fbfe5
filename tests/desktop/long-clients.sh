#!/bin/bash
# Many programs of the VM at the compositor, one after the other and at once; the clipboard both ways; the compositor's
# end and its return.
# host: --desktop sway
. tests/desktop/lib.bash
cd "$HOME" || exit 1
mkdir .test
# On both sides: hand over to the other, by files in the home
cat >.test/steps <<'END'
reach() { touch ".test/$1"; }
await() { for _ in $(seq 300); do [ -e ".test/$1" ] && return 0; sleep 0.2; done; return 1; }
END
. .test/steps

cat >.test/guest.sh <<'END'
. .test/steps
wayland-info >.test/info 2>&1
proxy=$(pidof ph-wayland)
fds() { ls "/proc/$proxy/fd" | wc -l; }
sleep 1
fds >.test/fds-before
for _ in $(seq 20); do
	for _ in $(seq 10); do wayland-info >/dev/null 2>>.test/many & done
	wait
done
for _ in $(seq 50); do [ "$(fds)" -eq "$(cat .test/fds-before)" ] && break; sleep 0.2; done
fds >.test/fds-after
[ "$(pidof ph-wayland)" = "$proxy" ] && reach same-proxy
reach counted
await host-copied
timeout 20 wl-paste --no-newline >.test/pasted 2>.test/paste.err
head -c 300000 /dev/urandom | base64 >.test/big
wl-copy --type text/plain <.test/big 2>.test/copy.err
reach guest-copied
await host-pasted
timeout 60 foot --app-id=sleeper sleep 60 >.test/shm 2>&1 &
shm=$!
reach shm-started
await compositor-gone
wait $shm
echo $? >.test/shm-status
reach shm-ended
await compositor-back
for _ in $(seq 50); do wayland-info >.test/info-again 2>&1 && break; sleep 0.2; done
END
# wl-paste and wl-copy wait for the keyboard's focus, so there must be a keyboard.
wtype -s 600000 &
keyboard=$!
start clients -- bash .test/guest.sh
vm=$started

await counted
grep -q "interface: 'xdg_wm_base'" .test/info && grep -q "interface: 'wl_shm'" .test/info
result "wayland-info lists what is there"
! grep -qE "screencopy|virtual_keyboard|data_control|layer_shell|session_lock|export_dmabuf|input_method|foreign_toplevel" .test/info
result "and nothing that would give the desktop away"
[ -e .test/same-proxy ] && [ ! -s .test/many ]
result "200 clients came and went"
[ -s .test/fds-after ] && [ "$(cat .test/fds-after)" = "$(cat .test/fds-before)" ]
result "the proxy has as many descriptors as before them"

printf 'from the host: ü€' | wl-copy
reach host-copied
await guest-copied
[ "$(cat .test/pasted)" = 'from the host: ü€' ]
result "the VM pastes what was copied on the host"
wait_for 20 sh -c 'timeout 10 wl-paste --no-newline | cmp - .test/big'
result "the host pastes 400 KB that were copied in the VM"
reach host-pasted

await shm-started
wait_for 30 window_count_is sleeper 1
result "a window is there"
kill "$(pgrep -x sway)"
wait_for 20 sh -c '! pgrep -x sway'
reach compositor-gone
await shm-ended
[ -s .test/shm-status ] && [ "$(cat .test/shm-status)" != 124 ] && kill -0 $vm
result "without a compositor its program ends, and the VM lives"
unset WAYLAND_DISPLAY
WLR_BACKENDS=headless WLR_RENDERER=pixman WLR_LIBINPUT_NO_DEVICES=1 sway >/dev/null 2>&1 &
sway=$!
wait_for 20 test -S "$XDG_RUNTIME_DIR/wayland-1"
reach compositor-back
wait $vm
grep -q "interface: 'xdg_wm_base'" .test/info-again
result "with a new one, new programs find it"
finish_clients() {
	kill $keyboard $sway $vm 2>/dev/null
	for log in .test/*.err; do sed "s/^/# /" "$log"; done
	rm -rf .test
	finish
}
trap finish_clients EXIT
