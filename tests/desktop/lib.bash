# shellcheck shell=bash
# For the scripts of tests/desktop: the desktop's windows, and pictures of them. They run in the test host with a
# compositor; what is in the guest's home is in the host's too, so files tell what was seen there.
. tests/guest/lib.sh

export SWAYSOCK
# Root finds the user's, too.
case $WAYLAND_DISPLAY in
/*) SWAYSOCK=$(echo "${WAYLAND_DISPLAY%/*}"/sway-ipc.*.sock) ;;
*) SWAYSOCK=$(echo "$XDG_RUNTIME_DIR"/sway-ipc.*.sock) ;;
esac
pictures=${PH_OUTPUT:-$work}
build=$(realpath "${BUILD:-build}")
# The tests' own programs, in a folder that VMs see: the checkout may be in /tmp, which they do not.
tools=$(mktemp -d "$HOME/.tools.XXXXXX")
find "$build/desktop" -maxdepth 1 -type f -perm -u+x -exec cp {} "$tools" \;
source=$PWD

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

# begin_steps: into the home, with a folder .test in it, from which the VM reads .test/steps, too: each side waits for what
# the other has reached.
begin_steps() {
	cd "$HOME" || exit 1
	rm -rf .test
	mkdir .test
	cat >.test/steps <<-'STEPS'
		reach() { touch ".test/$1"; }
		await() { for _ in $(seq 600); do [ -e ".test/$1" ] && return 0; sleep 0.2; done; return 1; }
		# proxies COUNT: the VM's, once there are that many: one that listens, and one for each program
		proxies() {
			for _ in $(seq 600); do [ "$(pgrep -cx ph-wayland)" -eq "$1" ] && break || sleep 0.2; done
			pgrep -x ph-wayland | sort -n
		}
		# holdings PROCESS...: descriptors and mappings of what they name; anonymous mappings and memory in KiB. The window's
		# free places are not counted: in how many pieces they are depends on where buffers came to lie.
		holdings() {
			local pid
			for pid; do
				echo "$(cat "/proc/$pid/comm"): $(find "/proc/$pid/fd" -mindepth 1 | wc -l) descriptors," \
					"$(awk '$6 ~ "[/:]" && $6 !~ "memfd:ph-window"' "/proc/$pid/maps" | wc -l) mappings, $(awk '$6 !~ "[/:]"' "/proc/$pid/maps" | wc -l)" \
					"anonymous, $(awk '$1 == "RssAnon:" { print $2 }' "/proc/$pid/status") KiB"
			done
		}
	STEPS
	# shellcheck source=/dev/null
	. .test/steps
}

# grown BEFORE AFTER: whether there is more of anything held than a buffer or two which programs make when the compositor is
# slow, and than what allocators keep, or a MiB more of memory
grown() {
	[ -s "$1" ] || return 0
	paste -d' ' "$1" "$2" | awk '
		{ half = NF / 2 }
		$1 != $(half + 1) || $(half + 2) > $2 + 10 || $(half + 4) > $4 + 10 || $(half + 6) > $6 + 10 ||
			$(half + 8) > $8 + 1024 { grown = 1 }
		END { exit !grown }'
}

# Tell sway something. Just after its start it may not answer yet.
tell_sway() {
	wait_for 30 swaymsg -q "$@"
}

# Scripts that ask this do on weston what they do on sway otherwise, with TEST_ON=weston (long-weston-*.sh).
outer=$WAYLAND_DISPLAY
on_weston() {
	[ "${TEST_ON-}" = weston ]
}

# nest_weston [SIZE SCALE]...: from here on the desktop is a weston, in windows of sway, whose hands and eyes it has: one for
# each output, of that many of its own pixels. Nothing moves there by itself, and tests may see the list of windows. $weston_shell names its shell.
nest_weston() {
	local count=0
	[ $# -gt 0 ] || set -- 1200x640 1
	mkdir -p "$HOME/.config"
	{
		printf '%s\n' '[shell]' panel-position=none background-color=0xff204060 locking=false animation=none \
			close-animation=none startup-animation=none
		while [ $# -gt 1 ]; do
			count=$((count + 1))
			printf '%s\n' '[output]' "name=WL$count" "mode=$1" "scale=$2"
			shift 2
		done
	} >"$HOME/.config/weston.ini"
	export WAYLAND_DISPLAY=$XDG_RUNTIME_DIR/nested
	WAYLAND_DISPLAY=$outer weston --backend=wayland-backend.so --use-pixman --debug --output-count=$count --socket=nested \
		--shell="${weston_shell:-desktop-shell.so}" --idle-time=0 >"$work/weston.log" 2>&1 &
	weston=$!
	# A killed one leaves its socket behind.
	wait_for 30 wayland-info
}

end_weston() {
	[ -z "${weston-}" ] || kill "$weston"
}

# A line a window, as in: 'title' of app.id'
list_windows() {
	if [ "$WAYLAND_DISPLAY" = "$outer" ]; then
		swaymsg -t get_tree -r | sed -nE "s/^ *\"name\": \"(.*)\",\$/\1/; t keep; s/^ *\"app_id\": \"(.*)\",\$/\1/; t tell; b
			:keep h; b
			:tell H; x; s/(.*)\n(.*)/'\1' of \2'/p"
	else
		timeout 20 weston-debug scene-graph | sed -nE "s/.*window ('.*' of [^,]*),.*/\1'/p"
	fi
}

# windows NAME: how many windows have it for their app id, or end with it where that carries the VM's name
windows() {
	list_windows | grep -cE " of (.*[:.])?$1'\$"
}

window_count_is() {
	[ "$(windows "$1")" -eq "$2" ]
}

screenshot() {
	WAYLAND_DISPLAY=$outer grim -t ppm "$pictures/$1.ppm"
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
	coproc hand_of_test { WAYLAND_DISPLAY=$outer exec "$tools/hand" "$1" "$2"; }
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

# Where weston's screen is in its window
weston_x=40
weston_y=50
# place NAME: x y width height of its window
place() {
	if on_weston; then
		timeout 20 weston-debug scene-graph | awk -v name="$1" -v x=$weston_x -v y=$weston_y '
			ours { gsub(/[^0-9-]+/, " "); print $1 + x, $2 + y, $4 - $1, $5 - $2 }
			{ ours = $0 ~ "window .* of ([^ ,]*[.])?" name "," }'
		return
	fi
	swaymsg -t get_tree -r | awk -v name="$1" '
		/"rect": {/ { count = 0; inside = 1; next }
		inside { gsub(/[^0-9-]/, "", $2); place[count++] = $2; inside = count < 4 }
		$0 ~ "\"app_id\": \"([^\"]*[.])?" name "\"" { print place[0], place[1], place[2], place[3] }'
}

placed() {
	[ "$(place "$1")" = "$2" ]
}

# pull NAME X Y: there, at its head
pull() {
	local x y ended
	read -r x y _ <<<"$(place "$1")"
	hand move $((x + 200)) $((y + 10))
	hand press left
	wiggle $(($2 + 205)) $(($3 + 15)) $(($2 + 200)) $(($3 + 10)) placed "$1" "$2 $3 400 300"
	ended=$?
	hand release left
	return $ended
}

# put NAME X Y: its window goes there once it has come
put() {
	wait_for 60 window_count_is "$1" 1 || return
	if on_weston; then
		pull "$1" "$2" "$3"
		return
	fi
	tell_sway "[app_id=\"(.*[.])?$1\"] move absolute position $2 $3" &&
		wait_for 10 placed "$1" "$2 $3 400 300"
}

# A terminal whose shell says a few words in colours: "${terminal[@]}", once set_terminal was called.
set_terminal() {
	cat >"$HOME/.foot.ini" <<-'CONFIG'
		font=DejaVu Sans Mono:size=10
		[cursor]
		blink=no
	CONFIG
	cat >"$HOME/.shell.sh" <<-'SHELL'
		PS1='$ '
		printf '\033]0;a shell\007\033[1;32mgreen \033[44mon blue\033[0m \342\224\202\n'
	SHELL
	terminal=(foot --maximized --config="$HOME/.foot.ini" --app-id=terminal bash --noprofile --rcfile "$HOME/.shell.sh" -i)
}

# A keyboard that is there all the time: what is typed before a program has asked for one is lost to it.
take_keyboard() {
	WAYLAND_DISPLAY=$outer wtype -s 900000 &
	keyboard=$!
}

# Type into the focused terminal what makes its shell write to a file.
type_something() {
	rm -f "$HOME/.typed"
	WAYLAND_DISPLAY=$outer wtype -d 20 "echo 'Typed: Größe {[\\~@]}'; echo \$((6 * 7)) >$HOME/.typed"
	WAYLAND_DISPLAY=$outer wtype -k Return
	wait_for 20 grep -qx 42 "$HOME/.typed"
}

finish_terminal() {
	kill "$keyboard"
	rm -f "$HOME"/.foot.ini "$HOME"/.shell.sh "$HOME"/.typed
}

# What wayland-info prints, as "NAME VERSION" a line
globals() {
	sed -nE "s/^interface: '(.*)', +version: +([0-9]+),.*/\\1 \\2/p" "$@" | sort
}

# What a VM is to find of what the compositor has: docs/wayland.md lists it, and dma-bufs need a GPU.
allowed_globals() {
	local documented
	documented=$(awk -F ' *[|] *' '/^\| [a-z_0-9]+ \| [0-9]+ \|/ { print $2, $3; print $4, $5 }' "$source/docs/wayland.md")
	wayland-info | globals | while read -r name version; do
		awk -v name="$name" -v version="$version" '$1 == name && name !~ /dmabuf/ {
			print name, version < $2 ? version : $2 }' <<<"$documented"
	done
}
