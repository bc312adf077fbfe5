#!/bin/bash
# host: --with pulseaudio
# Sound through a real server on the host, PulseAudio or (sound-pipewire.sh) PipeWire: a tone that is played in the VM
# is heard there, and nothing else is to be had of the server.
. tests/guest/lib.sh
server=${server:-pulseaudio}
export HOME=$work/home XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR"
mkdir "$work/share"
gcc -O1 -static -o "$work/share/sound_tone" tests/guest/sound_tone.c -lm || exit 1
gcc -O1 -static -o "$work/share/sound_early" tests/guest/sound_early.c || exit 1
tone=$work/share/sound_tone
"$tone" make 440 3 >"$work/share/tone"
cat >"$work/library.c" <<'END'
#include <fcntl.h>
__attribute__((constructor)) static void loaded(void) { open("LOADED", O_CREAT | O_WRONLY, 0600); }
END
sed -i "s:LOADED:$work/loaded:" "$work/library.c"
gcc -shared -fPIC -o "$work/share/library.so" "$work/library.c" || exit 1

# What filters streams ask for is as Debian has it.
start_pulseaudio() {
	pulseaudio -n --daemonize=no --exit-idle-time=-1 --disable-shm=no --log-target=stderr --use-pid-file=no \
		-L module-native-protocol-unix -L module-filter-heuristics -L module-filter-apply \
		-L module-stream-restore 2>"$work/server.err" &
	servers=($!)
	for _ in $(seq 100); do pactl info >/dev/null 2>&1 && break; sleep 0.2; done
}

# Its session manager wants a bus, and would look for login sessions.
start_pipewire() {
	export XDG_CONFIG_HOME=$work/home/config
	mkdir -p "$XDG_CONFIG_HOME/wireplumber/bluetooth.lua.d"
	echo 'bluez_monitor.enabled = false' >"$XDG_CONFIG_HOME/wireplumber/bluetooth.lua.d/80-off.lua"
	pipewire 2>"$work/server.err" >&2 &
	servers=($!)
	for _ in $(seq 100); do [ -S "$XDG_RUNTIME_DIR/pipewire-0" ] && break; sleep 0.2; done
	dbus-daemon --session --nofork --address="unix:path=$work/bus" &
	servers+=($!)
	for _ in $(seq 100); do [ -S "$work/bus" ] && break; sleep 0.2; done
	DBUS_SESSION_BUS_ADDRESS=unix:path=$work/bus wireplumber 2>>"$work/server.err" >&2 &
	servers+=($!)
	pipewire-pulse 2>>"$work/server.err" >&2 &
	servers+=($!)
	for _ in $(seq 100); do [ "$(pactl get-default-sink 2>/dev/null)" = auto_null ] && break; sleep 0.2; done
}

stop() {
	kill "${servers[@]}"
	wait "${servers[@]}" 2>/dev/null
	finish
}
"start_$server"
trap stop EXIT
{
	pactl load-module module-null-sink sink_name=speaker rate=44100
	pactl load-module module-null-sink sink_name=other
	pactl load-module module-remap-source master=other.monitor source_name=microphone
	pactl set-default-sink speaker
} >/dev/null || { cat "$work/server.err" && exit 1; } >&2

# hear SECONDS SOURCE: what sounds there
hear() {
	timeout "$1" parec --raw --format=s16le --rate=44100 --channels=1 --latency-msec=50 -d "$2" 2>/dev/null |
		"$tone" hear
}

# vm OPTIONS -- SCRIPT
vm() {
	local -a options=()
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	run --mem 512M --private-home "${options[@]}" --share "$work/share:/mnt" -- bash -c "$2"
}

play='pacat --raw --format=s16le --rate=44100 --channels=1'
hear 60 speaker.monitor >"$work/heard" &
ear=$!
vm --sound -- "$play /mnt/tone && pactl info | grep 'Default Sink'"
sleep 1
pkill -P $ear timeout
wait $ear
[ $status_of_ph -eq 0 ] && [ ! -s "$work/err" ] && grep -q 'Default Sink: speaker' "$work/out"
result "a program of the VM plays"
sed 's/^/# heard: /' "$work/heard"
grep -q -E '^4[34][0-9] Hz, [12][0-9]{4}$' "$work/heard"
result "the tone is heard on the host"

# ---- what a program may not ----

"$tone" make 880 600 | pacat --raw --format=s16le --rate=44100 --channels=1 -d other &
player=$!
for _ in $(seq 50); do
	input=$(pactl list short sink-inputs | cut -f 1) && [ -n "$input" ] && break
	sleep 0.1
done
# What there is, without the columns that tell what it does.
devices() {
	pactl list short modules
	pactl list short sources | cut -f 2,3
}
devices >"$work/devices"
pactl set-default-source speaker.monitor

vm --sound --sandbox=strict -- "
	try() { if timeout 20 \"\$@\" >/dev/null 2>/tmp/err; then echo \"not ok - \$*\"; else
		[ \$? -ne 124 ] && grep -qi -e denied -e failure /tmp/err && echo \"ok - \$*\" || { echo \"not ok - \$*\"; sed 's/^/# /' /tmp/err; }; fi; }
	try pactl load-module module-null-sink
	try pactl list short sink-inputs
	try pactl set-default-sink other
	try pactl set-sink-volume speaker 10%
	try pactl set-sink-input-mute $input 1
	try pactl move-sink-input $input speaker
	try pactl exit
	try parec
	try parec -d speaker.monitor
	try parec -d microphone
	pactl list short sinks | grep -c -w -e speaker -e other; echo 1..10"
pass_on "refused"
grep -q '^2$' "$work/out"
result "the outputs can be listed"
devices | diff "$work/devices" - &&
	[ "$(pactl get-default-sink)" = speaker ] && pactl get-sink-volume speaker | grep -q 100% &&
	pactl list sink-inputs | grep -q 'Mute: no'
result "and nothing on the host has changed"

# PulseAudio loads what filter.apply names; PipeWire makes a device of what says that it is one.
vm --sound --tag mail -- "$play --property=filter.apply=ladspa-sink --property=media.class=Audio/Source --property=node.name=trap \
	--property='filter.apply.ladspa-sink.parameters=plugin=$work/share/library label=x' --property=media.title=kept \
	/dev/zero & for _ in \$(seq 100); do [ -e /mnt/seen ] && break; sleep 0.2; done; kill %1" &
player_vm=$!
for _ in $(seq 300); do
	pactl list sink-inputs >"$work/inputs"
	grep -q '"kept"' "$work/inputs" && break
	sleep 0.2
done
devices | diff "$work/devices" - && grep -q '"kept"' "$work/inputs" && ! grep -q -e filter.apply -e trap "$work/inputs" &&
	[ ! -e "$work/loaded" ]
result "what a stream says of itself is only shown"
grep -q 'application.name = "\[mail\] pacat"' "$work/inputs"
result "but that it is a VM's"
pactl set-sink-input-volume "$(pactl list sink-inputs |
	awk '/^Sink Input #/ { n = substr($3, 2) } /media.title = "kept"/ { print n }')" 8192
for _ in $(seq 50); do
	quiet=$(pactl list sink-inputs | grep 'Volume:.* 8192 ') && break
	sleep 0.1
done
touch "$work/share/seen"
wait $player_vm
rm "$work/share/seen"
# Servers remember volumes by the names of programs, and turned the VM's one down.
$play /dev/zero &
player_here=$!
for _ in $(seq 50); do
	pactl list sink-inputs >"$work/inputs"
	grep -q 'application.process.id = "'$player_here'"' "$work/inputs" && break
	sleep 0.1
done
kill $player_here
[ -n "$quiet" ] && grep -q 'application.process.id = "'$player_here'"' "$work/inputs" &&
	! grep -q 'Volume:.* 8192 ' "$work/inputs"
result "and the volume of programs here is not that of the VM's of the same name"

# PipeWire's server ends when it gets the data of a stream that it is making.
vm --sound -- '/mnt/sound_early "$XDG_RUNTIME_DIR/pulse/native"'
grep -q -x played "$work/out" && kill -0 "${servers[@]}" && devices | diff "$work/devices" -
result "and no data reach the server before there is a stream"

# ---- the microphone ----

ear='parec --raw --format=s16le --rate=44100 --channels=1 --latency-msec=50'
vm --sound --microphone -- "
	timeout 60 $ear -d microphone | head -c 170000 | tail -c +40001 | /mnt/sound_tone hear # a tone begins with a click
	for source in speaker.monitor @DEFAULT_SOURCE@; do
		timeout 20 parec -d \$source 2>&1 >/tmp/heard | grep -o denied; [ -s /tmp/heard ] && echo heard \$source; done
	timeout 20 pactl load-module module-null-sink 2>&1 | grep -o denied"
grep -q -E '^8[78][0-9] Hz, [12][0-9]{4}$' "$work/out"
result "with --microphone a program of the VM hears it"
[ "$(grep -c -x denied "$work/out")" -eq 3 ] && ! grep -q heard "$work/out"
result "but not what is played, by whatever name"

recorded() {
	stat -c %s "$work/out"
}

# The VM's recording is moved to SOURCE.
move_to() {
	from=$(recorded)
	pactl move-source-output "$(pactl list source-outputs |
		awk '/^Source Output #/ { n = substr($3, 2) } /application.name = ".* parec"/ { print n }')" "$1"
}

# How loud both tones are in it since then.
levels() {
	tail -c +$((from / 2 * 2 + 1)) "$work/out" | "$tone" levels 440 880
}
"$tone" make 440 600 | pacat --raw --format=s16le --rate=44100 --channels=1 -d speaker &
played=$!
vm --sound --microphone -- "$ear -d microphone & until [ -e /mnt/seen ]; do sleep 0.2; done; kill %1" &
recorder=$!
sleep 1
for _ in $(seq 300); do [ "$(recorded)" -gt 100000 ] && break; sleep 0.2; done
# A busy session manager may miss it once.
first=$(recorded)
for _ in $(seq 30); do
	move_to speaker.monitor
	sleep 2
	size=$(recorded)
	sleep 2
	quiet=$([ "$(recorded)" != "$size" ] || echo yes)
	[ -z "$quiet" ] || break
done
from=$first
levels >"$work/moved"
# PipeWire has both for a moment, which is the first tenths of a second.
for _ in $(seq 30); do
	move_to microphone
	for _ in $(seq 50); do
		[ "$(recorded)" -gt $((from + 300000)) ] && break 2
		sleep 0.2
	done
done
from=$((from + 100000))
levels >"$work/back"
echo "# moved to what is played, and back: $(cat "$work/moved") ${quiet:+and then nothing}, $(cat "$work/back")"
touch "$work/share/seen"
wait $recorder
: >"$work/out"
kill $played $player
read -r played _ <"$work/moved"
[ -n "$quiet" ] && [ "$played" -lt 500 ]
result "nor when the recording is moved to it"
read -r played microphone <"$work/back"
[ "$microphone" -gt 5000 ] && [ "$played" -lt 500 ]
result "and the microphone again when it is moved back"

refused "--microphone goes with --sound" --microphone
XDG_RUNTIME_DIR=/nowhere refused "there is no PulseAudio server" --sound
sleep 0.5
! pgrep -l '^ph($|-[sd])'
result "no process is left behind"
