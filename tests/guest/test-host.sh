#!/bin/bash
# What the tests rest on: the test host passes streams and statuses through, brings back what is made, ends when it is
# told to, and leaves nothing behind.
# native
. tests/guest/lib.sh
export TMPDIR=$work/jobs
mkdir "$TMPDIR"

# host ARGUMENTS: the test host, its output in $work/out and $work/err, its status in $status_of_host.
host() {
	tests/host/run --emulate "$@" >"$work/out" 2>"$work/err"
	status_of_host=$?
}

head -c 1000000 /dev/urandom >"$work/in"
# Whatever the caller's own files are like. The host's shell expands these.
umask 077
# shellcheck disable=SC2016
host --stdin --output "$work/made" --env WORD='two words' -- \
	sh -c 'cat; echo "$WORD" >&2; id -u >"$PH_OUTPUT/uid"; exit 7' <"$work/in"
umask 022
cmp "$work/in" "$work/out" && [ "$(cat "$work/err")" = 'two words' ]
result "streams are apart, and every byte as it was"
[ $status_of_host -eq 7 ]
result "the status comes back"
[ "$(cat "$work/made/uid")" = 1000 ]
result "so does what is made, by an ordinary user"

host --root --timeout 2 -- sh -c 'id -u; exec sleep 600'
[ $status_of_host -eq 124 ] && [ "$(cat "$work/out")" = 0 ]
result "a command that takes too long, root's"
host --nonsense
[ $status_of_host -eq 125 ] && [ "$(wc -l <"$work/err")" -eq 1 ]
result "an option that it does not know"

# Ended from outside.
tests/host/run --emulate -- sleep 600 >/dev/null 2>&1 &
runner=$!
for _ in $(seq 100); do [ -z "$(ls -A "$TMPDIR")" ] || break; sleep 0.1; done
sleep 2
kill -TERM $runner
wait $runner
[ $? -eq 143 ] && [ -z "$(ls -A "$TMPDIR")" ] && ! pgrep -f "$TMPDIR" >"$work/out"
result "SIGTERM: no folder and no process is left"
