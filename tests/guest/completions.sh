#!/bin/bash
# What zsh and fish complete behind ph, in the shells themselves.
# native
. tests/guest/lib.sh
export HOME=$work/home
mkdir -p "$HOME" "$work/here/sub" "$work/zsh"
touch "$work/here/somefile"
"$ph" --completion zsh >"$work/zsh/_ph" && "$ph" --completion fish >"$work/fish"
cd "$work/here" || exit 1

# Types lines of the form LINE|WHAT COMES OF IT into a zsh with the completions in $1, and tells which did not.
cat >"$work/type" <<'END'
zmodload zsh/zpty
zpty shell 'PS1="> " zsh -f -i'
expect() {
	local said all=
	for ((i = 0; i < 200; i++)); do
		while zpty -r -t shell said; do all+=$said; done
		[[ $all != *$1* ]] || return 0
		sleep 0.1
	done
	print -r -- "$line: ${(V)all}"
}
line=start
zpty -w shell "fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; bindkey '^I' complete-word; echo u''p"
expect up
while IFS='|' read -r line wanted; do
	sleep 0.3
	while zpty -r -t shell said; do :; done
	zpty -w -n shell "$line"$'\t'
	expect "$wanted"
	zpty -w -n shell $'\x15'
done
END
if command -v zsh >/dev/null; then
	zsh -f "$work/type" "$work/zsh" <<'END' >"$work/out" 2>"$work/err"
ph --priv|--private-home
ph --home su|ph --home sub
ph --sandbox=st|strict
ph --net=p|passt
ph --net=t|tap:
ph -- ls some|somefile
ph -- ls --almos|--almost-all
ph --private-home -- ls --almos|--almost-all
END
	[ ! -s "$work/out" ] && [ ! -s "$work/err" ]
	result "zsh completes options, their values, and the command's own"
else
	skip "zsh completes" "there is no zsh"
fi

# completes LINE WHAT: one of fish's candidates
completes() {
	# shellcheck disable=SC2016 # fish's
	fish -c 'source $argv[1]; complete -C $argv[2]' "$work/fish" "$1" >"$work/candidates" 2>&1
	grep -qE -- "^$2" "$work/candidates" || { echo "$1:" && cat "$work/candidates"; }
}
if command -v fish >/dev/null; then
	{
		completes 'ph --priv' --private-home
		completes 'ph --home su' sub/
		completes 'ph --sandbox st' strict
		completes 'ph -- l' ls
		completes 'ph -- ls some' somefile
		completes 'ph -- ls --almos' --almost-all
		completes 'ph --private-home -- ls --almos' --almost-all
	} >"$work/out" 2>"$work/err"
	[ ! -s "$work/out" ] && [ ! -s "$work/err" ]
	result "so does fish"
else
	skip "so does fish" "there is no fish"
fi
