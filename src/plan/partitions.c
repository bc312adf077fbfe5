/*
 * Partitions of raw images (--partition). ph's first thread. The tables are hostile: every number in them is
 * bounded by the size of the image, and chains of logical partitions are followed so far and no further.
 */
#include "plan/parts.h"

#include "ph/fd.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define MBR_ENTRIES 446
#define MBR_PROTECTIVE 0xee
#define LOGICAL_MAX 60

#define GPT_ENTRIES_MAX 1024
#define GPT_ENTRY_MAX 4096

struct mbr_entry {
	uint8_t status, first_chs[3], type, last_chs[3];
	uint32_t start, count;
};
_Static_assert(sizeof(struct mbr_entry) == 16, "as on disk");

/* UEFI 2.10, section 5.3; little endian. */
struct gpt_header {
	uint8_t signature[8];
	uint32_t revision, header_size, header_crc, reserved;
	uint64_t this_sector, other_sector, first_usable, last_usable;
	uint8_t disk_id[16];
	uint64_t entries_sector;
	uint32_t entry_count, entry_size, entries_crc;
};

struct gpt_entry {
	uint8_t type[16], id[16];
	uint64_t first, last;
};

struct range {
	uint64_t start, count; /* sectors */
};

static int read_at(
	const struct plan_disk *disk, void *data, size_t size, uint64_t sector, struct error *error) {
	int ret = -ENODATA;
	if (sector < disk->size / SECTOR) {
		ret = fd_pread_all(disk->fd, data, size, (off_t)(sector * SECTOR));
	}
	return ret < 0 ? error_set(error, ret, "%s: the partition table is truncated", disk->path) : 0;
}

static int fail_missing(const struct plan_disk *disk, unsigned number, struct error *error) {
	return error_set(error, -ENOENT, "%s: there is no partition %u", disk->path, number);
}

static int find_gpt(const struct plan_disk *disk, unsigned number, struct range *range, struct error *error) {
	union {
		struct gpt_header header;
		uint8_t sector[SECTOR];
	} first;
	struct gpt_entry entry;
	static const uint8_t unused[16];
	int ret = read_at(disk, &first, sizeof(first), 1, error);
	if (ret < 0) {
		return ret;
	}
	uint32_t count = le32toh(first.header.entry_count), size = le32toh(first.header.entry_size);
	if (memcmp(first.header.signature, "EFI PART", 8) != 0 || count > GPT_ENTRIES_MAX ||
		size < sizeof(entry) || size > GPT_ENTRY_MAX) {
		return error_set(error, -EINVAL, "%s: the partition table (GPT) is damaged", disk->path);
	}
	if (number > count) {
		return fail_missing(disk, number, error);
	}
	uint64_t offset = (uint64_t)(number - 1) * size;
	uint8_t sector[2 * SECTOR];
	/* An entry may lie across two sectors. */
	ret = read_at(
		disk, sector, sizeof(sector), le64toh(first.header.entries_sector) + offset / SECTOR, error);
	if (ret < 0) {
		return ret;
	}
	memcpy(&entry, sector + offset % SECTOR, sizeof(entry));
	if (memcmp(entry.type, unused, sizeof(unused)) == 0) {
		return fail_missing(disk, number, error);
	}
	range->start = le64toh(entry.first);
	range->count = le64toh(entry.last) - range->start + 1;
	return 0;
}

static bool is_extended(uint8_t type) {
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static int read_mbr(
	const struct plan_disk *disk, uint64_t sector, struct mbr_entry entries[4], struct error *error) {
	uint8_t bytes[SECTOR];
	int ret = read_at(disk, bytes, sizeof(bytes), sector, error);
	if (ret < 0) {
		return ret;
	}
	if (bytes[510] != 0x55 || bytes[511] != 0xaa) {
		return error_set(
			error, -EINVAL, "%s: has no partition table (neither GPT nor MBR)", disk->path);
	}
	memcpy(entries, bytes + MBR_ENTRIES, 4 * sizeof(*entries));
	return 0;
}

/* Partitions from 5 on are a list inside of the extended one: each link has one, and where the next link is.
 */
static int find_logical(const struct plan_disk *disk, uint64_t extended, unsigned number, struct range *range,
	struct error *error) {
	uint64_t link = extended;
	for (unsigned i = 5; i <= number && i < LOGICAL_MAX; i++) {
		struct mbr_entry entries[4];
		int ret = read_mbr(disk, link, entries, error);
		if (ret < 0) {
			return ret;
		}
		if (i == number && entries[0].type != 0) {
			range->start = link + le32toh(entries[0].start);
			range->count = le32toh(entries[0].count);
			return 0;
		}
		if (!is_extended(entries[1].type)) {
			break;
		}
		link = extended + le32toh(entries[1].start);
	}
	return fail_missing(disk, number, error);
}

static int find(const struct plan_disk *disk, unsigned number, struct range *range, struct error *error) {
	struct mbr_entry entries[4];
	int ret = read_mbr(disk, 0, entries, error);
	if (ret < 0) {
		return ret;
	}
	for (unsigned i = 0; i < 4; i++) {
		if (entries[i].type == MBR_PROTECTIVE) {
			return find_gpt(disk, number, range, error);
		}
	}
	for (unsigned i = 0; i < 4 && number > 4; i++) {
		if (is_extended(entries[i].type)) {
			return find_logical(disk, le32toh(entries[i].start), number, range, error);
		}
	}
	if (number > 4 || entries[number - 1].type == 0) {
		return fail_missing(disk, number, error);
	}
	range->start = le32toh(entries[number - 1].start);
	range->count = le32toh(entries[number - 1].count);
	return 0;
}

int plan_find_partition(struct plan_disk *disk, unsigned number, struct error *error) {
	struct range range = {0};
	uint64_t sectors = disk->size / SECTOR;
	int ret = find(disk, number, &range, error);
	if (ret < 0) {
		return ret;
	}
	if (range.start == 0 || range.count == 0 || range.start >= sectors ||
		range.count > sectors - range.start) {
		return error_set(
			error, -EINVAL, "%s: partition %u lies outside of the image", disk->path, number);
	}
	disk->offset = range.start * SECTOR;
	disk->size = range.count * SECTOR;
	return 0;
}
