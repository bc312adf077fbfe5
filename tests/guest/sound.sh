#!/bin/bash
# Sound through a real PulseAudio server on the host: a tone that is played in the VM is heard there, and nothing else
# is to be had of the server.
. tests/guest/lib.sh
export HOME=$work/home XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR"
mkdir "$work/share"
gcc -O1 -static -o "$work/share/sound_tone" tests/guest/sound_tone.c -lm || exit 1
tone=$work/share/sound_tone
"$tone" make 440 3 >"$work/share/tone"
pulseaudio -n --daemonize=no --exit-idle-time=-1 --disable-shm=no --log-target=stderr --use-pid-file=no \
	-L "module-native-protocol-unix" -L "module-null-sink sink_name=speaker rate=44100" \
	-L "module-null-sink sink_name=other" -L "module-remap-source master=other.monitor source_name=microphone" \
	2>"$work/pulse.err" &
pulse=$!
stop() {
	kill $pulse
	wait $pulse 2>/dev/null
	finish
}
trap stop EXIT
for _ in $(seq 100); do pactl info >/dev/null 2>&1 && break; sleep 0.2; done
pactl set-default-sink speaker

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
pactl list short modules >"$work/modules"
pactl list short sources >"$work/sources"
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
	pactl list short sinks | wc -l; echo 1..10"
pass_on "refused"
grep -q '^2$' "$work/out"
result "the outputs can be listed"
pactl list short modules | diff "$work/modules" - && pactl list short sources | diff "$work/sources" - &&
	[ "$(pactl get-default-sink)" = speaker ] && pactl get-sink-volume speaker | grep -q 100% &&
	pactl list sink-inputs | grep -q 'Mute: no'
result "and nothing on the host has changed"

# ---- the microphone ----

ear='parec --raw --format=s16le --rate=44100 --channels=1 --latency-msec=50'
vm --sound --microphone -- "
	timeout 60 $ear -d microphone | head -c 170000 | /mnt/sound_tone hear
	for source in speaker.monitor @DEFAULT_SOURCE@; do
		timeout 20 parec -d \$source 2>&1 >/tmp/heard | grep -o denied; [ -s /tmp/heard ] && echo heard \$source; done
	timeout 20 pactl load-module module-null-sink 2>&1 | grep -o denied"
grep -q -E '^8[78][0-9] Hz, [12][0-9]{4}$' "$work/out"
result "with --microphone a program of the VM hears it"
[ "$(grep -c -x denied "$work/out")" -eq 3 ] && ! grep -q heard "$work/out"
result "but not what is played, by whatever name"
kill $player

refused "--microphone goes with --sound" --microphone
XDG_RUNTIME_DIR=/nowhere refused "there is no PulseAudio server" --sound
sleep 0.5
! pgrep -l '^ph($|-[sd])'
result "no process is left behind"
