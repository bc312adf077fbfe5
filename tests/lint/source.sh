#!/bin/bash
# The sources' formatting, include arrows and shape, and the scripts' manners. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
number=0
# A check prints what is wrong; nothing is right.
check() {
	local name=$1 complaints
	shift
	number=$((number + 1))
	complaints=$("$@" 2>&1)
	if [ -z "$complaints" ]; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		sed 's/^/# /' <<<"$complaints"
	fi
}

sources() {
	git ls-files --cached --others --exclude-standard -- 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]' 2>/dev/null ||
		find src include tests -name '*.[ch]'
}

format() {
	sources | xargs clang-format-14 --dry-run -Werror 2>&1 | grep -E 'error|warning'
}

# What each folder of src may include of the contracts and of other folders' insides: its own and what is
# listed. "base" is there for all.
arrows() {
	local base='error log loop fd child record guest_memory signals terminal dbus progress text'
	local device="$base virtqueue virtio huge_pages"
	local -A may=(
		[base]="$base guest"
		[virtio]="$device virtio_pci"
		[block]="$device block" [console]="$device console" [rng]="$device rng" [balloon]="$device balloon"
		[files]="$device files"
		[wayland]="wayland wayland_protocols"
		[display]="$device connector display wl_wire window wayland wayland_protocols"
		[net]="$device net"
		[passt]="$base passt"
		[connector]="$base jail worker connector wayland wayland_protocols"
		[sound]="$base jail worker connector sound"
		[opener]="$base opener guest"
		[jail]="$device worker jail keeper"
		[control]="$device console control guest stream"
		[instance]="$base stream jail keeper instance"
		[monitor]="$device virtio_pci connector block console rng balloon files display window net passt sound opener worker jail keeper control guest plan vm instance"
		[plan]="$base block files display net plan guest instance"
		[cli]="$base plan cli vm jail instance"
		[guest]="record guest loop fd wl_wire wl_user wayland wayland_protocols"
	)
	local file folder name
	for file in $(sources | grep '^src/.*/'); do
		folder=$(cut -d/ -f2 <<<"$file")
		if [ -z "${may[$folder]+x}" ]; then
			echo "$file: src/$folder is not among the folders with known arrows"
			continue
		fi
		for name in $(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file"); do
			case $name in
			ph/*) [[ " ${may[$folder]} " == *" $(basename "$name" .h) "* ]] && continue ;;
			"$folder"/*) continue ;;
			*/*) ;;
			*) [ -e "$(dirname "$file")/$name" ] && continue ;;
			esac
			echo "$file: must not include $name"
		done
	done
}

# Functions of formatted code open with ") {" and close with "}" in the first column.
shape() {
	sources | grep -E '^(src|include)/' | xargs awk '
		FNR == 1 { if (last && lines > 800) { print last ": " lines " lines, at most 800" } inside = 0; last = FILENAME }
		{ lines = FNR }
		!inside && /\) \{$/ { inside = FNR }
		inside && /^\}/ { if (FNR - inside + 1 > 100) { print FILENAME ":" inside ": a function of " FNR - inside + 1 " lines, at most 100" } size[count++] = FNR - inside + 1; inside = 0 }
		END {
			if (lines > 800) { print last ": " lines " lines, at most 800" }
			for (i = 0; i < count; i++) { below12 += size[i] <= 12; below40 += size[i] <= 40 }
			if (below12 * 2 < count) { print "the median function is longer than 12 lines" }
			if (below40 * 10 < count * 9) { print "more than a tenth of the functions are longer than 40 lines" }
		}'
}

headers() {
	local file
	for file in $(sources | grep '\.c$'); do
		head -n 1 "$file" | grep -q '^/\*' || echo "$file: must open with a comment that tells what it owns"
	done
}

# Left out: commas in QEMU's options (2054), variables of a sourced file (2154), creating several files with one
# redirection each (2261), numbers unquoted (2206), folders and their names in one line (2155).
scripts() {
	grep -rlE '^#!/bin/(ba)?sh' .ci tests kernel-config docs/install 2>/dev/null |
		xargs shellcheck -x -S warning -e SC2054,SC2154,SC2155,SC2206,SC2261
}

top_level() {
	find . -mindepth 1 -maxdepth 1 -printf '%P\n' | grep -vxE '\.git|build|Makefile|src|include|kernel-config|tests|docs|README\.md|LICENSE|\.ci|\.clang-format|\.clang-tidy|\.editorconfig|\.gitignore' |
		sed 's/$/: does not belong at the top/'
}

echo 1..6
check "formatting (clang-format -i)" format
check "include arrows" arrows
check "shape of functions and files" shape
check "every source file opens with what it owns" headers
check "shell scripts (shellcheck)" scripts
check "top level" top_level
