#!/bin/bash
# What a program finds of its person in the VM: settings, folders, a session bus, and a way to have pages opened.
# host: --ext4 512M
. tests/guest/lib.sh
export HOME=$work/me
mkdir -p "$HOME/.config/gtk-3.0" "$HOME/.local/share/dbus-1/services" "$work/bin" "$work/data"
cat >"$HOME/.config/gtk-3.0/settings.ini" <<'END'
[Settings]
gtk-application-prefer-dark-theme=1
gtk-font-name=DejaVu Sans 13
gtk-secret-key=42
[Other]
gtk-theme-name=none
END
for name in org.freedesktop.portal.Desktop org.example.Echo; do
	printf '[D-BUS Service]\nName=%s\nExec=/bin/false\n' $name >"$HOME/.local/share/dbus-1/services/$name.service"
done
# Stands for the host's browser.
cat >"$work/bin/xdg-open" <<END
#!/bin/sh
echo "host \$# \$1" >>$work/opened
END
chmod 755 "$work/bin/xdg-open"
env -u XDG_RUNTIME_DIR dbus-daemon --session --nofork --nopidfile --address="unix:path=$work/screen" 2>/dev/null &
listens=$!
for _ in $(seq 300); do [ -S "$work/screen" ] && break || sleep 0.1; done

# has LINE: the last run printed it
has() {
	grep -qxF -- "$1" "$work/out" || { echo "#   missing: $1" && return 1; }
}

# A VM with the person's own home and a screen (of which nothing is needed but the socket).
declare -A settings=([TZ]=Asia/Tokyo [LANG]=C.UTF-8 [LANGUAGE]=de:en [LC_TIME]=C.UTF-8 [COLORTERM]=truecolor [NO_COLOR]=1
	[GTK_THEME]=Adwaita:dark [XCURSOR_THEME]=Big [XCURSOR_SIZE]=48 [XDG_CURRENT_DESKTOP]=sway [GDK_SCALE]=2
	[GDK_DPI_SCALE]=1.5 [QT_QPA_PLATFORMTHEME]=gtk3 [QT_STYLE_OVERRIDE]=Fusion [QT_SCALE_FACTOR]=2
	[QT_AUTO_SCREEN_SCALE_FACTOR]=1 [QT_FONT_DPI]=120 [ADW_DEBUG_COLOR_SCHEME]=prefer-dark
	[FREETYPE_PROPERTIES]=truetype:interpreter-version=35
	[XDG_DATA_DIRS]=/usr/local/share:/usr/share [XDG_CONFIG_DIRS]=/etc/xdg [XDG_CONFIG_HOME]=$HOME/.config)
list=()
for name in "${!settings[@]}"; do
	list+=("$name=${settings[$name]}")
done
cat >"$HOME/inside" <<'END'
env
echo "zone $(date +%Z)"
echo "localtime $(readlink /etc/localtime)"
echo "entropy $(cat /sys/class/misc/hw_random/rng_current)"
echo "random $(od -An -N16 -tx1 /dev/urandom)"
echo "runtime $(stat -c '%a %u' "$XDG_RUNTIME_DIR")"
echo "daemons before $(pgrep -cx dbus-daemon)"
ask() { dbus-send --session --print-reply --dest="$1" / "$2" 2>&1; }
ask org.freedesktop.DBus org.freedesktop.DBus.Peer.Ping | grep -o '^method return'
echo "daemons then $(pgrep -cx dbus-daemon)"
ask org.freedesktop.portal.Desktop org.freedesktop.DBus.Peer.Ping | grep -o 'Error\.[A-Za-z]*'
ask org.freedesktop.DBus org.freedesktop.DBus.ListActivatableNames | grep -o '"org.*"'
xdg-open https://example.org/page 2>&1
echo "page $?"
xdg-open "https://example.org/\`id\`" 2>&1
echo "trick $?"
END
timeout 240 env "${list[@]}" XDG_CACHE_HOME=/elsewhere XDG_SESSION_ID=7 "$ph" --wl-socket "=$work/screen" -- sh "$HOME/inside" \
	>"$work/out" 2>"$work/err"
status_of_ph=$?
complete=true
for line in "${list[@]}"; do
	has "$line" || complete=false
done
$complete && ! grep -q '^XDG_CACHE_HOME\|^XDG_SESSION_ID' "$work/out" && [ $status_of_ph -eq 0 ]
result "settings arrive: language, time zone, colours, themes, cursor, scale and fonts, folders"
has "zone JST" && has "localtime $(readlink /etc/localtime)" && has "runtime 700 $(id -u)"
result "the time zone is the person's, /etc/localtime this system's, and the runtime folder private"
has "entropy virtio_rng.0" && grep '^random ' "$work/out" >"$work/random"
result "random numbers come from the host's, too"
has "daemons before 0" && has "method return" && has "daemons then 1"
result "the session bus is there as soon as somebody wants it"
has Error.ServiceUnknown && ! grep -q 'activatable\|org.example.Echo' "$work/out"
result "there are no portals, and who asks is told at once; of a home in use, no services are started"
has "xdg-open: this VM may not open pages on the host (ph --open-urls lets it)" && has "page 4"
result "xdg-open fails with a line"

timeout 240 env PATH="$work/bin:$PATH" "$ph" --home "$HOME" --open-urls -- sh "$HOME/inside" >"$work/out" 2>"$work/err"
status_of_ph=$?
[ -s "$work/random" ] && ! grep -qxF "$(cat "$work/random")" "$work/out"
result "another VM has other random numbers"
has "page 0" && grep -qxF 'host 1 https://example.org/page' "$work/opened"
result "--open-urls: the host opens the page"
has "xdg-open: the host does not open such an address" && has "trick 4" && [ "$(wc -l <"$work/opened")" -eq 1 ]
result "and nothing but addresses"
has '"org.example.Echo"' && has Error.ServiceUnknown && ! grep -q '"org.freedesktop.portal' "$work/out"
result "in a home of its own the VM's services can be started, portals never"

run --private-home -- sh -c 'cat /etc/xdg/gtk-3.0/settings.ini; ls -A ~'
printed $'[Settings]\ngtk-application-prefer-dark-theme=1\ngtk-font-name=DejaVu Sans 13'
result "an empty home: GTK's themes and fonts arrive, and nothing else of the home"

zone=$(readlink /etc/localtime)
zone=${zone##*/zoneinfo/}
mkdir -p /scratch/tree/bin /scratch/tree/etc /scratch/tree/home "/scratch/tree/usr/share/zoneinfo/$(dirname "$zone")"
cp /bin/busybox /scratch/tree/bin/busybox
for tool in sh readlink cat; do ln -s busybox /scratch/tree/bin/$tool; done
cp "/usr/share/zoneinfo/$zone" "/scratch/tree/usr/share/zoneinfo/$zone"
ln -s /usr/share/zoneinfo/Elsewhere /scratch/tree/etc/localtime
/usr/sbin/mke2fs -q -t ext4 -d /scratch/tree /scratch/root.img 32M
run --private-home --rootfs /scratch/root.img -- sh -c 'readlink /etc/localtime; cat /etc/timezone'
printed "/usr/share/zoneinfo/$zone"$'\n'"$zone"
result "an image gets this system's time zone"
kill $listens
wait $listens 2>/dev/null
nothing_left
