#!/bin/bash
# README's commands are still what this is about: ph understands each, make knows each, and the packages that they
# need are asked for. tests/guest/long-newcomer.sh does it all on a clean system.
# native
. tests/guest/lib.sh
PATH=$PATH:/usr/sbin:/sbin
export HOME=$work/home XDG_RUNTIME_DIR=$work/run
unset PULSE_SERVER
mkdir -p "$HOME/src" "$XDG_RUNTIME_DIR" && chmod 700 "$XDG_RUNTIME_DIR"
cp "$ph" "$work/ph"
root=$PWD

# fenced SECTION: the commands in it, one a line, without what is said about them
fenced() {
	sed -n "/^## $1/,/^## /p" "$root/README.md" | sed -n '/^```/,/^```/p' | sed '/^```/d; s/ *#.*//' | tr ';' '\n' | sed 's/^ *//; /^$/d'
}

# As far as it goes without a VM: what this machine lacks is said, and nothing else is wrong.
(cd "$work" && truncate -s 16M disk.img && mkfs.ext4 -q disk.img && PATH=$work:$PATH
	fenced "Daily use" | while read -r line; do
		read -r -a words <<<"${line//\~/$HOME}"
		"${words[0]}" --dry-run "${words[@]:1}" >said 2>&1 </dev/null ||
			grep -qE 'this is no Citadel|there is no such interface|there is no PulseAudio server|no VM work is running|^MISSING' said ||
			{ echo "$line" && cat said; }
	done) >"$work/out" 2>"$work/err"
[ "$(fenced "Daily use" | grep -c '^ph')" -ge 20 ] && [ ! -s "$work/out" ] && [ ! -s "$work/err" ]
result "ph takes each command of README's daily use"

# Between empty lines: what begins with a name, a network, or sound.
sed -n '/^## Daily use/,/^## /p' README.md | awk -v RS= -F'\n' '
	/^ph --name/ { join = NF } /^ph --net/ { net = NF } /^ph --sound/ { sound = $NF ~ /^```/ ? NF - 1 : NF }
	END { print join, net, sound }' >"$work/out"
[ "$(cat "$work/out")" = "3 3 3" ]
result "which shows joining, the network and sound in three lines each"

"$ph" --help-all >"$work/help"
for file in README.md docs/*.md docs/*.scd; do
	grep -oE -- '(^|[ `*])--[a-z][a-z-]+' "$file" | grep -oE -- '--[a-z-]+' | sort -u | while read -r option; do
		grep -qwF -- "$option" "$work/help" || echo "$file: $option"
	done
done | grep -vE ': --(dns-forward|verify|icount)$' >"$work/out" # passt's, fio's, the test host's
[ ! -s "$work/out" ]
result "there is no option in README, the manual and docs that ph has not"

fenced "Two commands" | while read -r line; do
	"${MAKE:-make}" -n -o deps KERNEL=README.md BUILD="$work/build" "${line#make }" >"$work/plan" 2>&1 || { echo "$line" && tail -n 3 "$work/plan"; }
	grep -q "tests/run\|tests/host/run" "$work/plan" || echo "$line: no test host"
done >"$work/out"
[ ! -s "$work/out" ] && [ "$(fenced "Two commands")" = $'make run\nmake check' ]
result "make knows both of the first commands"

make -n run KERNEL=README.md BUILD="$work/build" BUILD_PACKAGES=what-builds TEST_PACKAGES=what-tests >"$work/out" 2>&1
grep -q what-builds "$work/out" && ! grep -q what-tests "$work/out"
result "to run ph takes no packages of the tests"

# As a user make deps asks sudo. The real one would install: it is told what was asked.
as_user=()
[ "$(id -u)" != 0 ] || as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
mkdir "$work/bin" && printf '#!/bin/sh\necho "$@" >&2\n' >"$work/bin/sudo" && chmod 755 "$work" "$work/bin" "$work/bin/sudo"
if "${as_user[@]}" test -r Makefile; then
	PATH=$work/bin:$PATH "${as_user[@]}" make -s deps BUILD_PACKAGES=bash TEST_PACKAGES=no-such-package >"$work/out" 2>"$work/err"
	[[ $(cat "$work/out") == "Debian packages to install:"*" no-such-package"* ]] && ! grep -qw bash "$work/out" &&
		[ "$(head -n 1 "$work/err")" = "apt-get update -qq" ] && grep -q "apt-get install .*--no-remove .*no-such-package" "$work/err"
	result "make deps says what is missing, and asks sudo for it"
else
	skip "make deps says what is missing, and asks sudo for it" "nobody may read this folder"
fi

# The test host is for machines without KVM, not for users who may not have it.
if [ -e /dev/kvm ] && ! "${as_user[@]}" test -w /dev/kvm && "${as_user[@]}" test -x "$ph"; then
	"${as_user[@]}" make -s -o deps MAKE=: BUILD="$BUILD" run ARGS='-- true' >"$work/out" 2>"$work/err" </dev/null
	[ ! -s "$work/out" ] && grep -q '^ph: /dev/kvm: not permitted: ' "$work/err" && ! grep -q host "$work/err"
	result "make run tells whose KVM is closed to them what to do"
else
	skip "make run tells whose KVM is closed to them what to do" "there is none, or it is open"
fi
