#!/bin/bash
# A VM that does not answer any more, and whom its place belongs to.
. tests/guest/lib.sh
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"

start() {
	"$ph" --name box -- sh -c 'echo up; exec sleep 1000' >"$work/first" 2>&1 &
	first=$!
	for _ in $(seq 600); do [ -s "$work/first" ] && break || sleep 0.1; done
}
start
[ "$(stat -c '%a %u' "$work/run/ph" "$work/run/ph/box" | sort -u)" = "700 $(id -u)" ]
result "its place is the caller's alone"
# The newest ph is the one that runs the VM.
kill -STOP "$(pgrep -n -x ph)"
run --list
[ $status_of_ph -eq 0 ] && grep -qE '^box +silent ' "$work/out"
result "--list tells that it is silent"
run --stop box
[ $status_of_ph -eq 0 ] && [ "$(cat "$work/err")" = "ph: the VM box does not answer; what it wrote last may be lost" ]
result "--stop ends it by force, and says so"
wait $first
[ $? -eq 125 ] && grep -q 'the VM ended before the command did' "$work/first"
result "which its command's ph tells"

# Who asks in vain stays in the socket's queue, which gets full.
start
kill -STOP "$(pgrep -n -x ph)"
python3 - "$work/run/ph/box/socket" <<'END'
import socket, sys
while True:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.setblocking(False)
    try:
        client.connect(sys.argv[1])
    except BlockingIOError:
        break
    client.close()
END
limit=60
run --list
[ $status_of_ph -eq 0 ] && grep -qE '^box +silent .* sh -c' "$work/out"
result "--list tells so, too, when it has been asked too often"
refused 'the VM box does not answer; ph --stop box ends it' --logs box
refused 'the VM box does not answer; ph --stop box ends it' --name box -- true
run --stop box
[ $status_of_ph -eq 0 ] && [ "$(cat "$work/err")" = "ph: the VM box does not answer; what it wrote last may be lost" ]
result "and --stop ends it"
wait $first
[ $? -eq 125 ] && grep -q 'the VM ended before the command did' "$work/first"
result "which its command's ph tells as well"
run --name box -- echo again
printed again
result "the name is free again"
nothing_left
