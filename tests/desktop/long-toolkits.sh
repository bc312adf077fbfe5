#!/bin/bash
# Toolkits in the VM: programs of GTK and Qt that look as without a VM, and a browser with a local page. Their windows
# fill the screen: sway's, or that of weston's shell for kiosks.
# host: --desktop sway --mem 8G --timeout 2400
. tests/desktop/lib.bash
cd "$HOME" || exit 1
tell_sway default_border none

# The screen's first and last place
left=0 top=0 right=1279 bottom=719
if on_weston; then
	# While it loads a page, a browser asks for each of the screen's frames: drawn twice, so many leave it no time.
	tell_sway 'output HEADLESS-1 mode --custom 1280x720@10Hz'
	weston_shell=kiosk-shell.so nest_weston
	wait_for 60 sh -c 'swaymsg -t get_tree -r | grep -q "\"name\": \"Weston"'
	left=40 top=50 right=1239 bottom=689
fi
take_hand 1280 720
mkdir -p .config/gtk-3.0
printf '%s\n' '[Settings]' gtk-cursor-blink=0 gtk-enable-animations=0 >.config/gtk-3.0/settings.ini
# As in the VM, without being asked
export XDG_SESSION_TYPE=wayland

# await_seldom SECONDS COMMAND...: until it succeeds. Who asks often takes a slow machine's time from what it waits for.
await_seldom() {
	local tries=$(($1 / 2))
	shift
	while [ $tries -gt 0 ]; do
		"$@" && return
		sleep 2
		tries=$((tries - 1))
	done
	return 1
}

# part X Y SIZE: what is seen there, as a number
part() {
	WAYLAND_DISPLAY=$outer grim -t ppm -g "$1,$2 $3" - | cksum
}

# changed BEFORE X Y SIZE: whether something else is seen there
changed() {
	[ "$(part "$2" "$3" "$4")" != "$1" ]
}

# filled: whether there is a window at both ends of the screen. Programs choose the size of their first picture.
filled() {
	changed "$first_empty" $((left + 2)) $((top + 2)) 4x4 && changed "$last_empty" $((right - 6)) $((bottom - 6)) 4x4
}

idle_time() {
	awk '$1 == "cpu" { print $5 }' /proc/stat
}

# rest: until the machine has had nothing to do for most of a second: all is drawn, however slow it is
rest() {
	local before
	for _ in $(seq 60); do
		before=$(idle_time)
		sleep 1
		[ $(($(idle_time) - before)) -ge 50 ] && return
	done
}

# A mouse that moves lets programs choose its picture anew.
stir() {
	hand move 999 600
	hand move 1000 600
}

# becomes A B: until what is shown, and taken as B, is the same as A. Nothing slides, but something may blink.
becomes() {
	wait_for 60 eval "stir; screenshot $2; same_picture $1 $2"
}

# open_menu BUTTON X Y: with what opens right below when there is pressed
open_menu() {
	local before
	before=$(part $(($2 + 30)) $(($3 + 30)) 100x100)
	hand move "$2" "$3"
	hand press "$1"
	hand release "$1"
	wait_for 120 changed "$before" $(($2 + 30)) $(($3 + 30)) 100x100
}

# compare NAME WINDOW BUTTON X Y COMMAND...: with a menu at X,Y, on the host and in a VM
compare() {
	local name=$1 window=$2 button=$3 x=$4 y=$5
	shift 5
	hand move 1000 600
	"$@" >/dev/null 2>&1 &
	local native=$!
	wait_for 120 window_count_is "$window" 1 && wait_for 120 filled
	result "$name: a window of the host"
	stir
	rest
	settled_screenshot "$name-native" 20
	open_menu "$button" "$x" "$y"
	result "$name: its menu"
	rest
	settled_screenshot "$name-native-menu" 20
	stop $native
	wait_for 20 window_count_is "$window" 0
	hand move 1000 600
	start "${name,,}" --mem 1G -- "$@"
	await_seldom 240 window_count_is "$window" 1 && await_seldom 240 filled
	result "$name: a window of the VM"
	becomes "$name-native" "$name-vm"
	result "$name: it looks the same, pixel by pixel"
	open_menu "$button" "$x" "$y" &&
		wait_for 60 eval "screenshot $name-vm-menu; same_picture $name-native-menu $name-vm-menu"
	result "$name: its menu, too"
	stop "$started"
	wait_for 20 window_count_is "$window" 0
}

settled_screenshot empty 20
first_empty=$(part $((left + 2)) $((top + 2)) 4x4)
last_empty=$(part $((right - 6)) $((bottom - 6)) 4x4)
compare GTK gtk3-demo right 600 300 gtk3-demo
compare Qt featherpad left $((left + 20)) $((top + 10)) featherpad /etc/passwd

# titled: whether the browser's window has the page's title, and the VM's name before it
titled() {
	list_windows | grep -q "'\[web\] A page .* Mozilla Firefox' of "
}

# coloured: whether the page's colour is all that is seen in the midst of it
coloured() {
	[ "$(WAYLAND_DISPLAY=$outer grim -t ppm -g "600,500 100x100" - | tail -c 30000 | od -An -v -tx1 -w3 | sort -u)" = " 60 20 40" ]
}

# What a user types first
page='<title>A page</title><body style="background: #602040; color: white"><h1>A page in a VM</h1><input value="text"><button>Button</button>'
echo "$page" >.page.html
"$ph" --name web -- firefox-esr "$HOME/.page.html" >"$work/web.log" 2>&1 </dev/null &
browser=$!
await_seldom 600 window_count_is 'firefox(-esr)?' 1
result "Firefox: a window"
await_seldom 600 titled
result "Firefox: the page, with the VM's name before its title"
await_seldom 120 coloured
result "Firefox: its colour"
screenshot firefox
stop $browser
finish_toolkits() {
	kill "$hand_process"
	rm -f "$HOME/.page.html" "$HOME/.config/gtk-3.0/settings.ini"
	finish
}
trap finish_toolkits EXIT
