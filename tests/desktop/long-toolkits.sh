#!/bin/bash
# Toolkits in the VM: programs of GTK and Qt that look as without a VM, and a browser with a local page.
# host: --desktop sway --mem 8G --timeout 2400
. tests/desktop/lib.bash
cd "$HOME" || exit 1
tell_sway default_border none
take_hand 1280 720

# becomes A B: until what is shown, and taken as B, is the same as A. Nothing slides, but something may blink. A mouse
# that moves lets programs choose its picture anew.
becomes() {
	wait_for 30 eval "hand move 999 600; hand move 1000 600; screenshot $2; same_picture $1 $2"
}
mkdir -p .config/gtk-3.0
printf '%s\n' '[Settings]' gtk-cursor-blink=0 gtk-enable-animations=0 >.config/gtk-3.0/settings.ini
# As in the VM, without being asked
export XDG_SESSION_TYPE=wayland

# menu BEFORE NAME BUTTON X Y: the picture with what opens when there is pressed
menu() {
	hand move "$4" "$5"
	hand press "$3"
	hand release "$3"
	wait_for 60 eval "screenshot $2; ! same_picture $1 $2"
	settled_screenshot "$2" 20
}

# compare NAME WINDOW BUTTON X Y COMMAND...: with a menu at X,Y, on the host and in a VM
compare() {
	local name=$1 window=$2 button=$3 x=$4 y=$5
	shift 5
	hand move 1000 600
	"$@" >/dev/null 2>&1 &
	local native=$!
	wait_for 90 window_count_is "$window" 1
	hand move 999 600
	hand move 1000 600
	settled_screenshot "$name-native" 20
	menu "$name-native" "$name-native-menu" "$button" "$x" "$y"
	! same_picture "$name-native" "$name-native-menu"
	result "$name: a menu on the host"
	stop $native
	wait_for 20 window_count_is "$window" 0
	hand move 1000 600
	start "${name,,}" --mem 1G -- "$@"
	wait_for 120 window_count_is "$window" 1
	result "$name: a window of the VM"
	settled_screenshot "$name-vm" 30
	becomes "$name-native" "$name-vm"
	result "$name: it looks the same, pixel by pixel"
	menu "$name-vm" "$name-vm-menu" "$button" "$x" "$y"
	wait_for 30 eval "screenshot $name-vm-menu; same_picture $name-native-menu $name-vm-menu"
	result "$name: its menu, too"
	stop "$started"
	wait_for 20 window_count_is "$window" 0
}

compare GTK gtk3-demo right 600 300 gtk3-demo
compare Qt featherpad left 20 10 featherpad /etc/passwd

# What a user types first
page='<title>A page</title><body style="background: #204060; color: white"><h1>A page in a VM</h1><input value="text"><button>Button</button>'
echo "$page" >.page.html
"$ph" --name web -- firefox-esr "$HOME/.page.html" >"$work/web.log" 2>&1 </dev/null &
browser=$!
wait_for 400 window_count_is 'firefox(-esr)?' 1
result "Firefox: a window"
wait_for 400 sh -c 'swaymsg -t get_tree -r | grep -q "\"name\": \".web. A page . Mozilla Firefox\""'
result "Firefox: the page, with the VM's name before its title"
settled_screenshot firefox 60
stop $browser
finish_toolkits() {
	kill "$hand_process"
	rm -f "$HOME/.page.html" "$HOME/.config/gtk-3.0/settings.ini"
	finish
}
trap finish_toolkits EXIT
