#!/bin/bash
# A distribution's own kernel, Debian's, with its modules from /lib/modules: it boots from the same root and runs the
# same commands.
# host: --root
. tests/guest/lib.sh
read -r kernel _ < <(tests/host/prepare host)
folder=$(dirname "$kernel")/lib/modules
version=$(ls "$folder")
mkdir -p "/lib/modules/$version" "$work/share"
mount --bind "$folder/$version" "/lib/modules/$version" || exit 1

run --mem 1G --kernel "$kernel" --append ph.mark=1 --share "$work/share:/mnt/share" -- \
	sh -c 'uname -r; grep -o ph.mark=1 /proc/cmdline; echo written >/mnt/share/file; exit 7'
[ "$(cat "$work/out")" = "$version"$'\nph.mark=1' ] && [ $status_of_ph -eq 7 ] && [ ! -s "$work/err" ]
result "Debian's kernel boots, with the words of --append"
[ "$(cat "$work/share/file")" = written ]
result "and has its share"
umount "/lib/modules/$version"
