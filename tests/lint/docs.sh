#!/bin/bash
# What docs/users.md names as shown by a test is there: the file, and behind it each result in quotes and each test in
# parentheses. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1

# The words that matter, one a line: files, "results", and (tests).
words() {
	grep -oE 'tests/[a-z0-9/_-]+\.(sh|c)|"[^"]+"|\((test_[a-z_]+|[a-z_]+_shares)(, test_[a-z_]+)*\)' <<<"$1"
}

complaints() {
	local line word file name
	while IFS= read -r line; do
		file=''
		while IFS= read -r word; do
			case $word in
			tests/*)
				file=$word
				[ -e "$file" ] || echo "$file is not there"
				;;
			'"'*) [ -z "$file" ] || grep -qF -- "${word//\"/}" "$file" || echo "$file has no $word" ;;
			'('*)
				for name in $(tr -d '(),' <<<"$word"); do
					[ -z "$file" ] || grep -qw -- "$name" "$file" || echo "$file has no $name"
				done
				;;
			esac
		done < <(words "$line")
	done <docs/users.md
}

echo 1..1
found=$(complaints)
if [ -z "$found" ]; then
	echo "ok 1 - every test that docs/users.md names"
else
	echo "not ok 1 - every test that docs/users.md names"
	sed 's/^/# /' <<<"$found"
	exit 1
fi
