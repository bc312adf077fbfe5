# shellcheck shell=bash
# For the scripts about virtio-wl: the test server on the host, and the guest's programs in a share.
gcc -O1 -pthread -o "$work/wl_server" tests/guest/wl_{server,buffers}.c || exit 1
mkdir "$work/share"
for program in wl_client wl_load wl_count wl_gpu; do
	gcc -O1 -static -pthread -Iinclude -o "$work/share/$program" tests/guest/$program.c || exit 1
done
"$work/wl_server" "$work/socket" 2>"$work/server.err" &
server=$!
for _ in $(seq 100); do [ -S "$work/socket" ] && break; sleep 0.1; done

# run_wl MEMORY OPTIONS -- COMMAND: in the folder of the programs, with the server as "test" and in the compositor's place.
run_wl() {
	local memory=$1
	shift
	local -a options=()
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	run --mem "$memory" "${options[@]}" --wl-socket "=$work/socket" --wl-socket "test=$work/socket" \
		--share "$work/share:/mnt/share" -- bash -c "cd /mnt/share && $(printf '%q ' "$@")"
}

# What there is of ph on the host.
holdings() {
	local pid
	for pid in $(pgrep -x 'ph|ph-display' | sort -n); do
		echo "$(cat "/proc/$pid/comm") $pid: $(find "/proc/$pid/fd" -mindepth 1 | wc -l) descriptors," \
			"$(grep -c memfd: "/proc/$pid/maps") mappings of memory"
	done
}

# await FILE PID WORD: until the guest whose output and process these are has said so
await() {
	until grep -q "^# $3" "$1"; do
		kill -0 "$2" 2>/dev/null || return
		sleep 0.5
	done
}

finish_wl() {
	kill "$server"
	wait "$server" 2>/dev/null
	finish
}
trap finish_wl EXIT
