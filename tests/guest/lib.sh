# shellcheck shell=bash
# For the scripts of tests/guest: TAP, and ph with its streams apart. They run in the test host, from the
# checkout, with BUILD set.
ph=${PH:-$(realpath "${BUILD:-build}/ph")}
work=$(mktemp -d)
number=0

# result NAME: ok when the command before it succeeded, as in: [ a = b ]; result "they are equal"
result() {
	local status=$?
	number=$((number + 1))
	if [ $status -eq 0 ]; then
		echo "ok $number - $1"
		return
	fi
	echo "not ok $number - $1"
	for stream in out err; do
		[ -s "$work/$stream" ] && head -c 2000 "$work/$stream" | sed "s/^/#   $stream: /"
	done
	[ -z "${status_of_ph-}" ] || echo "#   status: $status_of_ph"
}

skip() {
	number=$((number + 1))
	echo "ok $number - $1 # skip $2"
}

# run ARGUMENTS: ph, its output in $work/out and $work/err, its status in $status_of_ph.
# A script that takes longer sets $limit, in seconds. Where the clock counts instructions it leaps, and limits nothing.
run() {
	local -a bounds=(timeout -k 5 "${limit:-240}")
	[ -z "${PH_ICOUNT-}" ] || bounds=()
	"${bounds[@]}" "$ph" "$@" >"$work/out" 2>"$work/err"
	status_of_ph=$?
}

# Whether the last run printed exactly this, nothing on the other stream, and ended well.
printed() {
	[ $status_of_ph -eq 0 ] && [ ! -s "$work/err" ] && [ "$(cat "$work/out")" = "$1" ]
}

# The same from a directory that the VM does not show, which is said.
printed_elsewhere() {
	[ $status_of_ph -eq 0 ] && [ "$(cat "$work/out")" = "$1" ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
		grep -q "^ph: $PWD is not shown in the VM, which starts in $HOME; --share . shows it\$" "$work/err"
}

# pass_on NAME: the TAP in $work/out as results of this script
pass_on() {
	while IFS= read -r line; do
		case $line in
		"ok "* | "not ok "*)
			number=$((number + 1))
			echo "${line%%ok *}ok $number - $1: ${line#* - }"
			;;
		"#"*) echo "$line" ;;
		esac
	done <"$work/out"
	[ "$status_of_ph" -eq 0 ] && [ ! -s "$work/err" ] && grep -q '^1\.\.' "$work/out"
	result "$1: to the end"
}

# on_share SECONDS NAME: the script on standard input, by a VM whose share is ./share, in there
on_share() {
	cat >share/.work
	timeout -k 5 "$1" "$ph" --mem 1G --share "$PWD/share:/mnt/share" --env "HOME=/tmp" \
		-- bash -ec 'cd /mnt/share; . ./.work' >"$work/out" 2>"$work/err" </dev/null
	status_of_ph=$?
	rm share/.work
	[ $status_of_ph -eq 0 ]
	result "$2"
}

# refused MESSAGE ARGUMENTS: ph fails with 125 and one line that contains MESSAGE.
refused() {
	local message=$1
	shift
	run "$@"
	[ $status_of_ph -eq 125 ] && [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
		grep -qF -- "$message" "$work/err"
	result "refused: $message"
}

# Nothing of ph is left: no process, no file. The test host shows its machine's /tmp, where others work.
snapshot() {
	find /dev/shm "${XDG_RUNTIME_DIR:-/nonexistent}" -mindepth 1 -maxdepth 1 ! \( -name ph -empty \) 2>/dev/null | sort
	find /tmp -mindepth 1 -maxdepth 1 -name '*ph*' ! -name 'ph-*' ! -name 'cc*' 2>/dev/null | sort
}
nothing_left() {
	sleep 0.5
	{ pgrep -lx ph; diff <(printf '%s' "${before:+$before$'\n'}") <(snapshot); } >"$work/out"
	[ ! -s "$work/out" ]
	result "no process and no file is left behind"
}

finish() {
	rm -rf "$work"
	echo "1..$number"
}
trap finish EXIT
before=$(snapshot)
