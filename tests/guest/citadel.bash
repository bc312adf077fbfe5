# shellcheck shell=bash
# A Citadel for the tests: the folders, files and images that ph looks at, made from nothing. What each is like is
# known from Citadel's own tools:
#   /realms/realm-NAME/{config,home,skel}, /realms/{config,Shared,skel}, /realms/realmfs-images/NAME-realmfs.img and
#   /run/citadel/realms/{realm-NAME/rootfs,current/current.realm}: libcitadel's realms and realm manager
#   the image's header (SGOS, flags, length, metainfo, signature): libcitadel's header.rs and citadel-mkimage
#   the order of a sealed image's parts and veritysetup's options: libcitadel's verity.rs and realmfs
# Functions print nothing and fail loudly.
PATH=$PATH:/usr/sbin

# be16 N: two bytes, the higher one first
be16() {
	# shellcheck disable=SC2059
	printf "$(printf '\\%03o\\%03o' $(($1 >> 8)) $(($1 & 255)))"
}

# put_header IMAGE METAINFO-FILE [FLAGS [SIGNATURE-FILE]]: over the image's first 4096 bytes
put_header() {
	local length
	length=$(stat -c %s "$2")
	{
		# shellcheck disable=SC2059
		printf "SGOS\0$(printf '\\%03o' "${3:-2}")"
		be16 "$length"
		cat "$2" ${4:+"$4"}
		head -c 4096 /dev/zero
	} | head -c 4096 | dd of="$1" conv=notrunc bs=4096 iflag=fullblock status=none
}

# seal EXT4-FILE NAME IMAGE: header, file system and hash tree in one file; its metainfo is left in IMAGE.meta
seal() {
	local blocks salt root
	blocks=$(($(stat -c %s "$1") / 4096))
	salt=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
	root=$(veritysetup --data-blocks=$blocks --salt="$salt" format "$1" "$3.tree" | sed -n 's/^Root hash:[[:space:]]*//p')
	cat >"$3.meta" <<END
image-type = "realmfs"
realmfs-name = "$2"
nblocks = $blocks
channel = "realmfs-user"
verity-salt = "$salt"
verity-root = "$root"
END
	{ head -c 4096 /dev/zero && cat "$1" "$3.tree"; } >"$3"
	rm "$3.tree"
	put_header "$3" "$3.meta"
}

# make_tree FOLDER: what a realm's image has at least, by busybox
make_tree() {
	local tool
	mkdir -p "$1"/{bin,etc,home,usr,var/lib,root,opt,run,tmp,proc,sys,dev}
	cp /bin/busybox "$1/bin/busybox"
	for tool in sh cat ls touch dd id env stat mount sync sha256sum head wc grep df rm sleep echo hostname mkdir true; do
		ln -s busybox "$1/bin/$tool"
	done
	echo image >"$1/etc/hello"
	printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'user:x:1000:1000::/home/user:/bin/sh' >"$1/etc/passwd"
	printf '%s\n' root:x:0: user:x:1000: sudo:x:27:user lab:x:2000:other,user users:x:100:other >"$1/etc/group"
}

# make_citadel FOLDER: with realms main and other, and the sealed image main of 16 MiB
make_citadel() {
	local top=$1
	mkdir -p "$top"/realms/{Shared,skel,realmfs-images,realm-main/{home/Documents,skel},realm-other/home} \
		"$top"/run/citadel/realms/current "$top/etc"
	echo "realmfs = 'main'" >"$top/realms/config"
	ln -s /run/citadel/realms/realm-main "$top/run/citadel/realms/current/current.realm"
	make_tree "$top/tree"
	truncate -s 16M "$top/main.ext4"
	mkfs.ext4 -q -b 4096 -d "$top/tree" "$top/main.ext4"
	seal "$top/main.ext4" main "$top/realms/realmfs-images/main-realmfs.img"
	mv "$top/realms/realmfs-images/main-realmfs.img.meta" "$top/main.meta"
}
