#!/bin/bash
# A newcomer's path: a clean Debian 12, a clone, and README's commands typed as they are written there, to the first
# window. What `make check` does there is what continuous integration does anywhere.
#
# PH_KERNELS names a folder of kernels that were built already (~/.cache/ph): it saves a quarter of an hour.
# native
. tests/guest/lib.sh
. tests/guest/debian.bash
pictures=$(realpath -m "${PH_OUTPUT:-$BUILD}")

# Between README's fences under "Two commands", without what is said about them
commands=$(sed -n '/^## Two commands/,/^## Daily/p' README.md | sed -n '/^```/,/^```/p' | sed '/^```/d; s/ *#.*//')
example=$(sed -n '/^## Two commands/,/^## Daily/p' README.md | grep -o "make run ARGS='[^']*'")
install=$(sed -n '/^## Two commands/,/^## Daily/p' README.md | grep -o 'sudo apt install [a-z ]*')
window=$(sed -n '/^## Daily/,/^## /p' README.md | sed -n '/with windows/s/ *#.*//p')
[ "$commands" = $'make run\nmake check' ] && [ -n "$example" ] && [ "$install" = "sudo apt install make" ] && [ "$window" = "ph -- foot" ]
result "README has the commands that are tried here"

make_debian
result "a clean Debian 12"
git clone -q . "$debian/home/newcomer/ph" 2>"$work/err" && in_debian chown -R newcomer: /home/newcomer/ph
result "a clone"
if [ -n "${PH_KERNELS-}" ]; then
	in_debian install -d -o newcomer -g newcomer /home/newcomer/.cache /home/newcomer/.cache/ph
	cp -r "$PH_KERNELS"/kernel-*[0-9a-f] "$debian/home/newcomer/.cache/ph/"
	in_debian chown -R newcomer: /home/newcomer/.cache
fi

newcomer "make run" >"$work/out" 2>&1 </dev/null
grep -q 'make: not found\|make: command not found' "$work/out"
result "make is missing there"
newcomer "yes | $install" >"$work/out" 2>&1
result "$install"

newcomer "$example" >"$work/out" 2>"$work/err" </dev/null
status=$?
grep -q '^Debian packages to install:.*qemu-system-x86' "$work/out"
result "make deps says what it installs, and does so by sudo"
[ $status -eq 0 ] && [[ $(tail -n 1 "$work/out") == Linux\ *6.12* ]]
result "$example"
newcomer "make run" >"$work/out" 2>"$work/err" <<<'echo "I am $(id -un) in $PWD, $(cat /sys/class/dmi/id/sys_vendor 2>/dev/null || echo a VM)"; exit 7'
[ $? -eq 2 ] && grep -q '^I am newcomer in /home/newcomer/ph, a VM$' "$work/out" && grep -q 'Error 7' "$work/err"
result "make run"

# What they may run next, from the clone, on a screen.
newcomer "make deps" >"$work/out" 2>&1 </dev/null
result "make deps"
newcomer "make install PREFIX=/home/newcomer/.local" >"$work/out" 2>&1 &&
	newcomer "tests/host/run --desktop sway --copy /home/newcomer/.local/bin/ph --output picture -- bash tests/guest/first-window '$window'" \
		>"$work/out" 2>"$work/err" </dev/null
[ $? -eq 0 ]
result "$window: a window whose title tells where it is from"
cp "$debian/home/newcomer/ph/picture/first-window.png" "$pictures/" && [ "$(stat -c %s "$pictures/first-window.png")" -gt 2000 ]
result "on a screenshot"

newcomer "make deb" >"$work/out" 2>"$work/err" && cmp "$debian"/home/newcomer/ph/build/ph_*.deb "$BUILD"/ph_*.deb >>"$work/out"
result "make deb: the same bytes as here"
