#!/bin/bash
# The command line where no VM is started.
. tests/guest/lib.sh

run --help
[ $status_of_ph -eq 0 ] && [ "$(wc -l <"$work/out")" -le 23 ] && [ "$(wc -L <"$work/out")" -le 80 ] && [ ! -s "$work/err" ]
result "--help is one screen, with room for the prompt in 24 lines of 80 columns"
run --help-all
missing=$(grep -oE -- '--[a-z-]+' docs/ph.1.scd | sort -u | while read -r option; do
	grep -qwF -- "$option" "$work/out" || [ "$option" = -- ] || echo "$option"
done)
[ -z "$missing" ]
result "the manual and --help-all know the same options"
run --version
[[ $(cat "$work/out") =~ ^ph\ [0-9.]+$ ]]
result "--version"
run --dry-run --mem 512M --cpus 2 --share /usr/share:/mnt:ro -- echo x
[ $status_of_ph -eq 0 ] && grep -q '2 CPUs, 512 MiB' "$work/out" && grep -q '/usr/share at /mnt, read-only' "$work/out"
result "--dry-run prints the plan"
export XDG_CONFIG_HOME=$work/config
mkdir -p "$XDG_CONFIG_HOME/ph"
printf '%s\n' '# mine' 'mem = 256M' 'private-home = yes' 'share = /usr/share:/mnt:ro' 'verbose = yes' >"$XDG_CONFIG_HOME/ph/box.conf"
run --name box --mem 512M --verbose=no --dry-run
[ $status_of_ph -eq 0 ] && grep -q '512 MiB' "$work/out" && grep -q 'an empty directory at' "$work/out" &&
	grep -qF "share = /usr/share:/mnt:ro ($XDG_CONFIG_HOME/ph/box.conf:4)" "$work/out" &&
	grep -qF 'mem = 512M (command line)' "$work/out"
result "a profile holds options, the command line wins, and --dry-run tells which is which"
echo 'memory = 1G' >>"$XDG_CONFIG_HOME/ph/box.conf"
refused 'box.conf:6: unknown option memory' --name box --dry-run
mkdir "$XDG_CONFIG_HOME/ph/folder.conf"
refused 'folder.conf: is no file that could be read as a profile' --name folder --dry-run
mkfifo "$XDG_CONFIG_HOME/ph/fifo.conf"
refused 'fifo.conf: is no file that could be read as a profile' --name fifo --dry-run
# What all users of a host have in /etc/ph, each may have otherwise.
mkdir -p "$work/etc/ph"
cp /etc/passwd /etc/group "$work/etc/"
printf '%s\n' 'cpus = 3' 'mem = 384M' >"$work/etc/ph/box.conf"
echo 'mem = 256M' >"$XDG_CONFIG_HOME/ph/box.conf"
# shellcheck disable=SC2016 # the inner shell's
unshare --user --map-current-user --keep-caps --mount sh -c 'mount --bind "$1" /etc && shift && exec "$@"' sh \
	"$work/etc" "$ph" --name box --dry-run >"$work/out" 2>"$work/err"
[ $? -eq 0 ] && grep -q '3 CPUs, 256 MiB' "$work/out" && grep -qF 'cpus = 3 (/etc/ph/box.conf:1)' "$work/out"
result "so does one in /etc/ph, before it"
for shell in bash zsh fish; do "$ph" --completion $shell >"$work/$shell"; done
bash -c '. "$1"; COMP_WORDS=(ph --priv) COMP_CWORD=1; _ph; echo "${COMPREPLY[@]}"
	COMP_WORDS=(ph --sandbox s) COMP_CWORD=2; _ph; echo "${COMPREPLY[@]}"
	COMP_WORDS=(ph --sandbox =) COMP_CWORD=2; _ph; echo "${COMPREPLY[@]}"
	COMP_WORDS=(ph --sandbox = o) COMP_CWORD=3; _ph; echo "${COMPREPLY[@]}"
	COMP_WORDS=(ph --net =) COMP_CWORD=2; _ph; echo "${COMPREPLY[@]}"' bash "$work/bash" >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = $'--private-home\nstrict\nstrict default off\noff' ]
result "bash completes options and their values"
grep -q "^	'\*--private-home\[" "$work/zsh" && grep -q -- '-l private-home ' "$work/fish"
result "so do zsh and fish"
run --check
[ $status_of_ph -eq 0 ] && grep -q '^ok  *KVM' "$work/out" && [ "$(wc -l <"$work/out")" -eq 8 ]
result "--check finds this host able"
cp "$work/out" "$work/before"
env --ignore-signal=CHLD "$ph" --check >"$work/out" 2>"$work/err"
[ "$(grep -c '^ok' "$work/out")" -eq "$(grep -c '^ok' "$work/before")" ]
result "also where its caller ignores the end of children"
# shellcheck disable=SC2016 # the inner shell's
unshare --user --map-current-user --keep-caps sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$1" --check' sh \
	"$ph" >"$work/out" 2>"$work/err"
[ $? -eq 0 ] && [ ! -s "$work/err" ] &&
	grep -q '^without  namespaces .* kernel.apparmor_restrict_unprivileged_userns=0 allows them$' "$work/out"
result "where namespaces are forbidden it tells what may forbid them"
run --check --verbose
grep -qx '    ioctl: KVM_RUN' "$work/out" && grep -qx '    openat; fails with EACCES' "$work/out"
result "with --verbose it lists the system calls that each process may make"
run --sandbox=strict --verbose -- true
[ $status_of_ph -eq 0 ] && grep -q '^ph: files: no privileges, .*, Landlock$' "$work/err" &&
	grep -q '^ph: monitor: no privileges, .*, Landlock$' "$work/err" && ! grep -q 'not filtered' "$work/err"
result "--sandbox=strict finds all of it in force"
"$ph" --help >/dev/full 2>"$work/err"
[ $? -eq 125 ]
result "a full output is told"
refused 'did you mean --cpus?' --cpu 2
refused 'a command goes behind --' ls
refused '--mem needs a value' --mem
refused 'exclude each other' --home /x --private-home
nothing_left
