# shellcheck shell=bash disable=SC2154
# A client's round trips and frames at a real compositor (weston, whose output is memory): on the host itself, in a VM through
# ph's proxy and filter, and in the same VM through waypipe, whose stream is then one of virtio-wl's.

prepare_wayland() {
	local file
	install_file "$bench/screen" /bench/screen
	install_file "$bench/relay" /bench/relay
	install_programs weston waypipe env sh sleep rm
	for file in /usr/lib/*/libweston-10/headless-backend.so /usr/lib/*/weston/kiosk-shell.so; do
		install_file "$file" "$file"
		for library in $(ldd "$file" "$bench/screen" | grep -o '/[^ ):]*'); do
			install_file "$library" "$library"
		done
	done
	mkdir -p "$bench/root/usr/share/X11"
	cp -r /usr/share/X11/xkb "$bench/root/usr/share/X11/"
}

# show WHO COMMAND...: tells what screen prints as WHO's
show() {
	local who=$1 name ns
	shift
	for _ in 1 2 3; do
		"${within[@]}" "${at[@]}" "$@" >"$work/said" 2>"$work/log" </dev/null && break
		echo "# $who wayland: nothing"
	done
	while read -r name ns; do
		[[ $ns =~ ^[0-9]+$ ]] && echo "wayland-$name $who $ns"
	done <"$work/said"
	[ -s "$work/said" ] || tail -n 5 "$work/log" | sed "s/^/# wayland $who: /"
}

# The exits and halts of many commits of small changes, less those of few
count_commits() {
	local commits
	for commits in 50 250; do
		hist kvm_exit exit_reason.hex
		inside "${at[@]}" "${ph[@]}" -- /bench/screen $commits >/dev/null 2>"$work/log" </dev/null
		hist_counts kvm_exit | awk -v commits=$commits '
			{ sum += $2; if ($1 == "78") halts += $2 }
			END { print commits, sum + 0, halts + 0 }'
		hist ! kvm_exit exit_reason.hex
	done | awk '
		NR == 2 {
			printf "wayland-commit-exits ph %.2f\n", ($2 - exits) / ($1 - commits)
			printf "wayland-commit-halts ph %.2f\n", ($3 - halts) / ($1 - commits)
		}
		{ commits = $1; exits = $2; halts = $3 }'
}

measure_wayland() {
	local weston client
	local at=(env XDG_RUNTIME_DIR=/run WAYLAND_DISPLAY=/run/wayland-9)
	local ph=("${ph_small[@]}" --name bench)
	echo 16384 >/sys/module/udmabuf/parameters/list_limit
	"${enter[@]}" env XDG_RUNTIME_DIR=/run weston --no-config --backend=headless-backend.so --use-pixman \
		--shell=kiosk-shell.so --width=1920 --height=1080 --socket=wayland-9 --idle-time=0 >"$work/weston" 2>&1 &
	weston=$!
	for _ in $(seq 200); do
		[ -S "$root/"run/wayland-9 ] && break
		sleep 0.1
	done
	show native /bench/screen
	show ph "${ph[@]}" -- /bench/screen
	"${enter[@]}" "${at[@]}" waypipe --compress none -s /run/waypipe client >"$work/waypipe" 2>&1 &
	client=$!
	sleep 0.5
	show peer "${ph[@]}" --no-wayland --wl-socket waypipe=/run/waypipe -- sh -c \
		'/bench/relay /tmp/relay waypipe & sleep 0.2; exec waypipe --compress none -s /tmp/relay server -- /bench/screen'
	timed 3 wayland-start native "${at[@]}" /bench/screen 1
	timed 3 wayland-start ph "${at[@]}" "${ph[@]}" -- /bench/screen 1
	count_commits
	kill $client $weston
}

report_wayland() {
	local name unit='K instructions'
	for name in sync:0.5 frame:0.5 frame-first: frame-small: event:; do
		both "wayland-${name%:*}" "$([ -n "${name#*:}" ] && echo part || echo none)" "${name#*:}" "$unit" 1e3 1
		line "wayland-${name%:*}-native" "$(value "wayland-${name%:*}" ph 1e3 1)" \
			"$(value "wayland-${name%:*}" native 1e3 1)" none '' "$unit"
	done
	both wayland-commit-exits none '' 'exits/commit' 1 2
	both wayland-commit-halts none '' 'halts/commit' 1 2
	line wayland-start "$(value wayland-start ph 1e6 1)" "$(value wayland-start native 1e6 1)" none '' 'M instructions'
}
