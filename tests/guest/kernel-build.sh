#!/bin/bash
# A guest kernel whose build fails or is interrupted leaves nothing that a later build would trust; one that was built
# is built once. With stand-ins for tar, patch and make: what is tried is what surrounds them.
# native
. tests/guest/lib.sh
export XDG_CACHE_HOME=$work/cache PATH=$work/bin:$PATH
mkdir "$work/bin"
cat >"$work/bin/tar" <<'END'
#!/bin/sh
mkdir -p "$4/linux-source-6.12/drivers/virtio"
END
printf '#!/bin/sh\n' >"$work/bin/patch"
# compile COMMAND: what building vmlinux is to do
compile() {
	printf '#!/bin/sh\ncase "$*" in *vmlinux*) cd "$2" && %s ;; esac\n' "$1" >"$work/bin/make"
}
chmod +x "$work/bin/tar" "$work/bin/patch"
compile 'echo no && false'
chmod +x "$work/bin/make"

# build: into $work/vmlinux; the output and the status of it
build() {
	kernel-config/build "$work/vmlinux" >"$work/out" 2>"$work/err"
}
# Whether the cache holds nothing but its lock
nothing_kept() {
	[ "$(ls "$work/cache/ph")" = kernel.lock ] && [ ! -e "$work/vmlinux" ]
}

! build && grep -q 'compile failed' "$work/err" && nothing_kept
result "a build that fails leaves nothing"

compile "touch $work/compiling; exec sleep 600"
set -m
build &
builder=$!
set +m
for _ in $(seq 200); do [ ! -e "$work/compiling" ] || break; sleep 0.1; done
kill -TERM -- -$builder
wait $builder 2>/dev/null
# The script cleans up when this shell's part of it is gone already.
for _ in $(seq 100); do nothing_kept && break; sleep 0.1; done
[ -e "$work/compiling" ] && nothing_kept
result "nor does one that is interrupted"

printf '#!/bin/sh\nread -r line; case $line in *close*) exit 1 ;; esac\n' >"$work/bin/patch"
! build && grep -q '^0008-.*\.patch does not fit linux-source-6.12 6\.12\..*made for 6\.12\..*KERNEL=' "$work/err" && nothing_kept
result "a patch that does not fit is named, and what to do"
printf '#!/bin/sh\n' >"$work/bin/patch"

compile 'echo no && false'
mkdir -p "$work/cache/ph/kernel-build.killed/linux"
! build && nothing_kept
result "what one left that was killed outright goes with the next"

compile 'cp /bin/true vmlinux'
build && [ -x "$work/vmlinux" ] && [ -z "$(cat "$work/out" "$work/err")" ]
result "one that succeeds says nothing in a pipe"
rm -r "$work"/cache/ph/kernel-*
compile 'echo "  CC      a.o" && cp /bin/true vmlinux'
script -qec "kernel-config/build '$work/vmlinux'" /dev/null </dev/null >"$work/out"
grep -q 'kernel: unpack' "$work/out" && grep -q 'kernel: compile   CC      a\.o' "$work/out"
result "and shows on a terminal how far it is"
compile 'echo no && false'
rm "$work/vmlinux"
build && [ -x "$work/vmlinux" ]
result "and is not done again"
flock "$work/cache/ph/kernel.lock" kernel-config/build "$work/other" && cmp "$work/vmlinux" "$work/other"
result "nor waited for while another kernel is built"
