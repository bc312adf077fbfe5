/*
 * --uid-map: which ids of the guest are which of the host's, in the home and in shares. Only root may give
 * files to others, so only root's ph has a map.
 *
 * ph's first thread; the input is the caller's own.
 */
#include "plan/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The digits at *text as an id or a number of ids; *text is moved behind them. */
static bool read_number(const char **text, uint32_t *number) {
	if (**text < '0' || **text > '9') {
		return false;
	}
	char *end;
	errno = 0;
	unsigned long value = strtoul(*text, &end, 10);
	*text = end;
	*number = (uint32_t)value;
	return errno == 0 && value < UINT32_MAX; /* the last one means none */
}

/* GUEST:HOST[:COUNT] */
static bool parse(const char *text, struct files_ids *ids) {
	ids->count = 1;
	if (!read_number(&text, &ids->guest) || *text++ != ':' || !read_number(&text, &ids->host)) {
		return false;
	}
	if (*text == ':') {
		text++;
		if (!read_number(&text, &ids->count)) {
			return false;
		}
	}
	return *text == '\0' && ids->count > 0 && ids->count <= UINT32_MAX - ids->guest &&
	       ids->count <= UINT32_MAX - ids->host;
}

static bool overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count) {
	return a < b ? b - a < a_count : a - b < b_count;
}

static int add(struct files_share *files, const char *text, struct error *error) {
	struct files_ids ids;
	if (!parse(text, &ids)) {
		return error_set(error, -EINVAL, "--uid-map %s: must be GUEST:HOST[:COUNT], ids below %u",
			text, UINT32_MAX);
	}
	for (size_t i = 0; i < files->id_count; i++) {
		const struct files_ids *other = &files->ids[i];
		if (overlap(ids.guest, ids.count, other->guest, other->count) ||
			overlap(ids.host, ids.count, other->host, other->count)) {
			return error_set(error, -EINVAL,
				"--uid-map %s: an id of it has another place in the map already", text);
		}
	}
	files->ids[files->id_count++] = ids;
	return 0;
}

int plan_map_ids(struct files_share *files, const struct plan_request *request, struct error *error) {
	int ret = 0;
	if (request->uid_map_count > 0 && geteuid() != 0) {
		return error_set(error, -EPERM,
			"--uid-map: only root may give files to others; what the VM makes will be yours");
	}
	for (size_t i = 0; i < request->uid_map_count && ret == 0; i++) {
		ret = add(files, request->uid_map[i], error);
	}
	return ret;
}
