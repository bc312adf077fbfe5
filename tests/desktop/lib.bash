# shellcheck shell=bash
# For the scripts of tests/desktop: the desktop's windows, and pictures of them. They run in the test host with a
# compositor; what is in the guest's home is in the host's too, so files tell what was seen there.
. tests/guest/lib.sh

export SWAYSOCK
SWAYSOCK=$(echo "$XDG_RUNTIME_DIR"/sway-ipc.*.sock)
pictures=${PH_OUTPUT:-$work}
build=$(realpath "${BUILD:-build}")

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local tries=$(($1 * 5))
	shift
	while [ $tries -gt 0 ]; do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.2
		tries=$((tries - 1))
	done
	return 1
}

# windows NAME: how many windows have it for their app id, or end with it where that carries the VM's name
windows() {
	swaymsg -t get_tree -r | grep -cE "\"app_id\": \"([^\"]*[:.])?$1\""
}

window_count_is() {
	[ "$(windows "$1")" -eq "$2" ]
}

screenshot() {
	grim -t ppm "$pictures/$1.ppm"
}

# same_picture A B
same_picture() {
	cmp -s "$pictures/$1.ppm" "$pictures/$2.ppm"
}

# Take pictures as NAME until two in a row are the same, or seconds are over.
settled_screenshot() {
	local tries=$(($2 * 2))
	screenshot "$1"
	while [ $tries -gt 0 ]; do
		mv "$pictures/$1.ppm" "$pictures/$1.before.ppm"
		sleep 0.5
		screenshot "$1"
		same_picture "$1" "$1.before" && rm "$pictures/$1.before.ppm" && return 0
		tries=$((tries - 1))
	done
	return 1
}

# start NAME ARGUMENTS: a ph that runs beside the script, its output in $work/NAME.log and its process in $started
start() {
	local name=$1
	shift
	"$ph" --mem 512M "${screen[@]}" --name "$name" "$@" >"$work/$name.log" 2>&1 </dev/null &
	started=$!
}

# stop PID: end it, and wait for that
stop() {
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null || true
}

# The options with which programs of the VM may show windows and use the clipboard.
screen=(--clipboard on)

# A mouse that the compositor takes for a device: hand LINE, once take_hand WIDTH HEIGHT was called (tests/desktop/hand.c).
take_hand() {
	coproc hand_of_test { exec "$build/desktop/hand" "$1" "$2"; }
	hand_process=$!
}

hand() {
	echo "$*" >&"${hand_of_test[1]}" && read -r answer <&"${hand_of_test[0]}" && [ "$answer" = "done" ]
}

# wiggle X1 Y1 X2 Y2 COMMAND...: to and fro between the two places until the command succeeds: who is to follow the
# mouse may not do it yet
wiggle() {
	local x1=$1 y1=$2 x2=$3 y2=$4
	shift 4
	for _ in $(seq 100); do
		hand move "$x1" "$y1"
		sleep 0.1
		"$@" && return 0
		hand move "$x2" "$y2"
		sleep 0.1
		"$@" && return 0
	done
	return 1
}
