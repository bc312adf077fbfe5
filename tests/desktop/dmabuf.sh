#!/bin/bash
# dma-bufs of the host's card in a VM: its programs find none without a GPU; where there is a node of one, the compositor
# gets them as from a program without a VM, pixel by pixel.
# host: --gpu
. tests/desktop/lib.bash
export WAYLAND_DISPLAY=dmabuf-test

# serve NAME: a compositor that writes what it is shown first to $work/NAME.ppm
serve() {
	"$tools/dmabuf_server" "$WAYLAND_DISPLAY" "$work/$1.ppm" >"$work/$1.titles" 2>"$work/err" &
	server=$!
	wait_for 20 test -S "$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY"
}

serve native
timeout 60 "$tools/dmabuf" native >"$work/out" 2>/dev/null
wait $server && grep -qx shown "$work/out"
result "a dma-buf of the card, without a VM"
serve vm
run --mem 512M -- "$tools/dmabuf"
printed "no dma-bufs"
result "none is offered in a VM without a GPU"
# shellcheck disable=SC2016 # the VM's shell
run --mem 512M --root --name box -- sh -c 'mkdir -p /dev/dri && mknod /dev/dri/renderD128 c 1 3 && exec "$1" vm' sh "$tools/dmabuf"
grep -qx shown "$work/out"
result "one of the card in a VM with a node"
wait_for 20 sh -c "! kill -0 $server"
[ "$(wc -c <"$work/vm.ppm")" -gt 190000 ] && cmp "$work/native.ppm" "$work/vm.ppm"
result "it looks the same, pixel by pixel"
grep -qx "\[box\] vm" "$work/vm.titles"
result "its window carries the VM's name"
kill "$server" 2>/dev/null || true
