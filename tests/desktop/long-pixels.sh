#!/bin/bash
# A window's frames reach the compositor as the program drew them, by a copy at first and then as the guest's own
# pages, which nobody copies; by copies where the host has no /dev/udmabuf. When they were shown is told in the VM's
# time, and the keymap is a file that can be read.
# host: --root --desktop sway
. tests/desktop/lib.bash
export HOME=$work/home XDG_RUNTIME_DIR=/run/user/1000
mkdir -p "$HOME/.test" "$work/ph"
cd "$HOME" || exit 1
cp "$tools/frames" .test/
chown -R 1000:1000 "$HOME"
as_user=(setpriv --reuid 1000 --regid 1000 --init-groups)
cat >"$work/ph/ph" <<END2
#!/bin/sh
exec ${as_user[@]} "$ph" "\$@"
END2
chmod -R a+rx "$work"
ph=$work/ph/ph

# The user's compositor is to have nothing that moves by itself.
pkill -x sway
wait_for 20 sh -c '! pgrep -x sway'
printf '%s\n' 'output HEADLESS-1 resolution 1280x720 position 0 0 bg #204060 solid_color' 'default_border none' >"$work/ph/sway"
"${as_user[@]}" env -u WAYLAND_DISPLAY -u SWAYSOCK WLR_BACKENDS=headless WLR_RENDERER=pixman WLR_LIBINPUT_NO_DEVICES=1 \
	sway -c "$work/ph/sway" >/dev/null 2>&1 &
sway=$!
SWAYSOCK=$XDG_RUNTIME_DIR/sway-ipc.1000.$sway.sock
wait_for 60 swaymsg -t get_version
wtype -s 600000 &
keyboard=$!
count=24

# told NAME: the window is there and has told all
told() {
	window_count_is frames 1 && grep -q '^keymap' "$work/$1.log"
}

"${as_user[@]}" .test/frames $count >"$work/native.log" 2>&1 &
native=$!
wait_for 60 told native
settled_screenshot native 10
result "a window without a VM"
stop $native
wait_for 10 window_count_is frames 0
size=$(sed -n "s/^$count frames of \([0-9]*\) bytes$/\1/p" "$work/native.log")

# vm NAME: the same in a VM; what the proxy counted is in $frames, $copied (bytes) and $shared (frames)
vm() {
	start "$1" --verbose -- sh -c ".test/frames $count; sleep 600"
	wait_for 120 told "$1"
	result "$1: a window of a VM"
	settled_screenshot "$1" 15
	same_picture native "$1"
	result "$1: the last frame is shown, pixel by pixel"
	pkill -x frames
	swaymsg -q '[app_id=".*frames"] kill'
	wait_for 30 grep -q 'ph-wayland: .* frames' "$work/$1.log"
	read -r frames copied shared < <(sed -n \
		's/.*ph-wayland: \([0-9]*\) frames, \([0-9]*\) bytes copied, \([0-9]*\) frames without a copy.*/\1 \2 \3/p' "$work/$1.log")
	stop $started
	wait_for 20 window_count_is frames 0
	echo "# $1: ${frames-} frames of $size bytes, ${copied-} bytes copied, ${shared-} frames not copied"
}

if [ -c /dev/udmabuf ]; then
	vm shared
	# Two buffers, each four times by a copy.
	[ "$frames" -eq $count ] && [ "$shared" -eq $((count - 8)) ] && [ "$copied" -eq $((8 * size)) ]
	result "shared: one copy of each frame, then none"
	rm /dev/udmabuf
else
	skip "frames without a copy" "no /dev/udmabuf"
fi
vm copied
[ "$frames" -eq $count ] && [ "$shared" -eq 0 ] && [ "$copied" -eq $((count * size)) ]
result "copied: without /dev/udmabuf, one copy of each frame"
grep -qx "keymap good" "$work/copied.log"
result "the keymap is a file that can be mapped and read"

# sway without a screen tells nobody when a frame was shown; weston does, by a clock of its own choice.
"${as_user[@]}" weston --no-config --backend=headless-backend.so --width=1280 --height=720 --idle-time=0 \
	--socket=wayland-5 >"$work/weston.log" 2>&1 &
weston=$!
wait_for 30 test -S $XDG_RUNTIME_DIR/wayland-5
WAYLAND_DISPLAY=$XDG_RUNTIME_DIR/wayland-5 start presented -- .test/frames $count
wait_for 120 grep -q '^keymap' "$work/presented.log"
grep -qx "clock monotonic, presented most, wrong 0" "$work/presented.log"
result "frames were shown when the VM's clock says"
stop $started
finish_pixels() {
	kill $keyboard $weston $sway
	for name in shared copied presented; do
		[ -e "$work/$name.log" ] && tail -n 8 "$work/$name.log" | sed "s/^/# $name: /"
	done
	finish
}
trap finish_pixels EXIT
