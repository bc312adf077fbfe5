#!/bin/bash
# On a clean Debian 13, whose compiler, C libraries and QEMU are other ones, `make run` builds ph and starts it, and what
# it built runs there.
# native
. tests/guest/lib.sh
. tests/guest/debian.bash
if [ "$(id -u)" != 0 ]; then
	skip "Debian 13" "debootstrap needs root"
	exit
fi
stop() {
	remove_debian
	finish
}
trap stop EXIT

make_debian trixie
result "a clean Debian 13"
git clone -q . "$debian/home/newcomer/ph" 2>"$work/err" && in_debian chown -R newcomer: /home/newcomer/ph &&
	newcomer "sudo apt-get install -qq -y make" >"$work/out" 2>&1
result "a clone, and make"
newcomer "make run ARGS='-- uname -a'" >"$work/out" 2>"$work/err" </dev/null
[ $? -eq 0 ] && [[ $(tail -n 1 "$work/out") == Linux\ *6.12* ]]
result "make run ARGS='-- uname -a'"
newcomer "build/ph --version && build/ph --check" >"$work/out" 2>&1 </dev/null
grep -q '^ph [0-9]' "$work/out"
result "build/ph runs there"
