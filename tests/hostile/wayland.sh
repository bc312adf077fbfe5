#!/bin/bash
# A program of the VM that talks to the compositor by itself and keeps to no rule: it loses its connections; the VM, its
# other programs and the compositor's other clients go on. Another one gives the VM's proxy a file that nobody can close.
# host: --desktop sway
. tests/desktop/lib.bash
here=$(realpath tests/hostile)
include=$(realpath include)
mkdir -p "$work/tool"
for tool in abuse_wayland unclosable; do
	gcc -O1 -Wall -Wextra -Werror -static -I"$include" -o "$work/tool/$tool" "$here/$tool.c" || exit 1
done

foot --app-id=neighbour sleep 600 >/dev/null 2>&1 &
window=$!
wait_for 30 window_count_is neighbour 1
result "a window of the host's"
run --mem 512M --share "$work/tool:/mnt/tool:ro" -- /mnt/tool/abuse_wayland
grep -q "has lost its connection to the compositor: wl_display@1" "$work/err"
result "ph says which rule it was"
[ "$(grep -c . "$work/err")" -le 60 ]
result "in few lines"
: >"$work/err"
pass_on "abuse"
run --mem 512M --share "$work/tool:/mnt/tool:ro" -- /mnt/tool/unclosable
pass_on "a file that cannot be closed"
kill -0 $window && window_count_is neighbour 1
result "the window of the host's is still there"
stop $window
