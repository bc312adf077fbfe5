#!/bin/bash
# On a clean Debian 13, whose compiler, C libraries and QEMU are other ones, `make run` builds ph and starts it, and what
# it built runs there.
# native
. tests/guest/lib.sh
. tests/guest/debian.bash

make_debian trixie
result "a clean Debian 13"
git clone -q . "$debian/home/newcomer/ph" 2>"$work/err" && in_debian chown -R newcomer: /home/newcomer/ph &&
	newcomer "sudo apt-get install -qq -y make" >"$work/out" 2>&1
result "a clone, and make"
newcomer "make run ARGS='-- uname -a'" >"$work/out" 2>"$work/err" </dev/null
[ $? -eq 0 ] && [[ $(tail -n 1 "$work/out") == Linux\ *6.12* ]]
result "make run ARGS='-- uname -a'"
[[ $(newcomer "build/ph --version" 2>"$work/err") == ph\ [0-9]* ]]
result "build/ph runs there"
