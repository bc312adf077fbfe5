#!/bin/bash
# The Debian package: made twice, judged by lintian, installed into a root without anything, completing in three
# shells, and removed. tests/guest/package-run.sh starts VMs by it.
# native
. tests/guest/lib.sh
. tests/guest/package.bash
PATH=$PATH:/usr/sbin:/sbin

(umask 022 && docs/install/deb "$BUILD" "$work/ph.deb") >"$work/out" 2>"$work/err"
[ $? -eq 0 ] && [ ! -s "$work/err" ]
result "make deb"
(umask 077 && TZ=Asia/Tokyo LANG=C.UTF-8 docs/install/deb "$BUILD" "$work/again.deb") >"$work/out" 2>"$work/err"
cmp "$work/ph.deb" "$work/again.deb" >"$work/out" 2>&1
result "the same bytes, again"
# As root it warns of that.
lintian --fail-on error,warning --allow-root "$work/ph.deb" >"$work/out" 2>"$work/err"
[ $? -eq 0 ] && [ ! -s "$work/out" ]
result "lintian has neither errors nor warnings"
dpkg-deb -f "$work/ph.deb" Depends >"$work/out"
[[ $(cat "$work/out") =~ ^libc6\ \(\>=\ [0-9.]+\)$ ]]
result "it depends on the C library alone"
make -s -o all BUILD="$BUILD" DESTDIR="$work/a folder" PREFIX=/usr install >"$work/out" 2>"$work/err"
diff <(cd "$work/a folder" && find . -type f | sed 's/$//' | sort) \
	<(dpkg-deb -c "$work/ph.deb" | awk '/^-/ { print $6 }' | sed -E '/\/(copyright|changelog\.gz)$/d; /\/man\//s/\.gz$//' | sort) >"$work/out"
[ ! -s "$work/out" ]
result "what make install installs, the licence and the changelog"
make -s CURDIR="$work/a folder" BUILD="$work/build" "$work/build/src/base/fd.o" >"$work/out" 2>"$work/err" &&
	[ -e "$work/build/src/base/fd.o" ]
result "it can be built in a folder with a space in its name"

make_root && find "$root" | sort >"$work/before"
root_dpkg -i "$work/ph.deb" >"$work/out" 2>"$work/err" &&
	[ "$(dpkg-query --root="$root" -W -f '${db:Status-Status}' ph)" = installed ]
result "it can be installed where there is a C library and nothing else"
in_root /usr/bin/ph --version >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = "ph $(dpkg-deb -f "$work/ph.deb" Version)" ]
result "and runs there"
in_root /usr/bin/ph --check >"$work/out" 2>"$work/err"
[ "$(wc -l <"$work/out")" -eq 8 ] && grep -q '^MISSING *KVM .*/dev/kvm' "$work/out"
result "it tells what that host lacks"
for page in ph.1 ph.conf.5 ph-security.7; do
	zcat "$root/usr/share/man/man${page##*.}/$page.gz" | grep -q "^\.TH \"${page%.*}\" \"${page##*.}\"" || echo "$page"
done >"$work/out"
[ ! -s "$work/out" ]
result "the manual's pages are there"
find "$root/usr/lib/udev/rules.d" "$root/usr/share/doc/ph/examples" -type f -printf '%f\n' | sort | paste -sd ' ' >"$work/out"
[ "$(cat "$work/out")" = "70-ph-udmabuf.rules 90-ph-limits.conf ph-terminal.desktop" ]
result "so are the udev rule and the examples"

# ---- completions, by the shells themselves ----

bash --norc -c '. "$1"; COMP_WORDS=(ph --priv) COMP_CWORD=1; _ph; echo "${COMPREPLY[@]}"
	COMP_WORDS=(ph --sandbox s) COMP_CWORD=2; _ph; echo "${COMPREPLY[@]}"' \
	bash "$root/usr/share/bash-completion/completions/ph" >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = $'--private-home\nstrict' ]
result "bash completes an option and a value"
if command -v fish >/dev/null; then
	# It loads completions of commands that exist.
	HOME=$work PATH=$root/usr/bin:$PATH fish --no-config -c "set fish_complete_path $root/usr/share/fish/vendor_completions.d
		complete -C 'ph --priv'; complete -C 'ph --sandbox s'" >"$work/out" 2>"$work/err"
	[ "$(cut -f 1 "$work/out")" = $'--private-home\nstrict' ]
	result "fish does"
else
	skip "fish does" "there is no fish"
fi
if command -v zsh >/dev/null; then
	# Completion needs a terminal there.
	timeout 120 zsh -f -c '
		zmodload zsh/zpty
		zpty shell "PS1= ZDOTDIR='"$work"' TERM=dumb zsh -f -i"
		zpty -w shell "fpath=('"$root"'/usr/share/zsh/vendor-completions \$fpath)
			autoload -U compinit; compinit -u -D; PATH='"$root"'/usr/bin:\$PATH; echo rea\"\"dy"
		zpty -r shell answer "*ready*"
		zpty -w -n shell "ph --priv	--sandbox=st	"
		zpty -r shell answer "*--private-home*--sandbox=strict*"
		echo "completed"' >"$work/out" 2>"$work/err"
	grep -qx completed "$work/out"
	result "zsh does"
else
	skip "zsh does" "there is no zsh"
fi

root_dpkg -P ph >"$work/out" 2>"$work/err" && find "$root" | sort |
	diff "$work/before" - | grep -v "/var/lib/dpkg/" | grep '^[<>]' >"$work/out"
[ ! -s "$work/out" ]
result "removing it leaves nothing"
