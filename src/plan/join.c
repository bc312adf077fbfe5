/*
 * What a running VM tells of itself, so that a command of later can be fitted into it: who its user is, and
 * where in it the directories of this system are. Written by the ph that starts the VM, read by those that
 * join it, all the same user's.
 */
#include "plan/parts.h"

#include "ph/instance.h"
#include "plan/strings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NUMBER 24

/* ---- writing ---- */

static void put_share(struct record_buffer *facts, const struct plan_share *share) {
	struct strings list = {0};
	strings_add(&list, strdup(share->host_path));
	strings_add(&list, strdup(share->guest_path != NULL ? share->guest_path : ""));
	for (size_t i = 0; share->files.hide != NULL && share->files.hide[i] != NULL; i++) {
		strings_add(&list, strdup(share->files.hide[i]));
	}
	char **strings = strings_take(&list);
	facts->failed = facts->failed || strings == NULL;
	if (strings != NULL) {
		record_put_list(facts, INSTANCE_FACT_SHARE, (const char *const *)strings);
	}
	strings_free(strings);
}

static void put_user(struct record_buffer *facts, const struct plan_user *user) {
	char uid[NUMBER], gid[NUMBER];
	snprintf(uid, sizeof(uid), "%u", user->uid);
	snprintf(gid, sizeof(gid), "%u", user->gid);
	const char *const fields[] = {uid, gid, user->name, user->home, user->shell, NULL};
	record_put_list(facts, INSTANCE_FACT_USER, fields);
}

static void put_command(struct record_buffer *facts, const struct plan *plan) {
	char text[256] = "";
	for (size_t i = 0; plan->command[i] != NULL; i++) {
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? " " : "", plan->command[i]);
	}
	record_put_string(facts, INSTANCE_FACT_COMMAND, text[0] != '\0' ? text : "a shell");
}

void plan_put_facts(const struct plan *plan, struct record_buffer *facts) {
	bool image = plan->root == PLAN_ROOT_IMAGE;
	record_put_u64(facts, INSTANCE_FACT_PROTOCOL, INSTANCE_PROTOCOL);
	record_put_u64(facts, INSTANCE_FACT_SINCE, (uint64_t)time(NULL));
	record_put_u64(facts, INSTANCE_FACT_MEMORY, plan->memory);
	record_put_string(facts, INSTANCE_FACT_ROOT, image ? plan->disks[0].path : "this system");
	put_command(facts, plan);
	put_user(facts, &plan->user);
	if (image) {
		record_put(facts, INSTANCE_FACT_IMAGE, NULL, 0);
	}
	if (plan->realm_name != NULL) {
		record_put_string(facts, INSTANCE_FACT_REALM, plan->realm_name);
	}
	if (plan->has_screen) {
		record_put(facts, INSTANCE_FACT_SCREEN, NULL, 0);
	}
	if (plan->has_sound) {
		record_put(facts, INSTANCE_FACT_SOUND, NULL, 0);
	}
	if (plan->open_urls) {
		record_put(facts, INSTANCE_FACT_URLS, NULL, 0);
	}
	if (plan->palette != NULL) {
		record_put_string(facts, INSTANCE_FACT_PALETTE, plan->palette);
	}
	for (size_t i = 0; i < plan->share_count; i++) {
		put_share(facts, &plan->shares[i]);
	}
}

/* ---- reading ---- */

static int read_user(struct plan_user *user, const struct record *record) {
	size_t count = 0;
	char **fields = record_list(record, &count);
	if (fields == NULL || count != 5) {
		free(fields);
		return -EPROTO;
	}
	*user = (struct plan_user){.uid = (uid_t)strtoul(fields[0], NULL, 10),
		.gid = (gid_t)strtoul(fields[1], NULL, 10),
		.name = strdup(fields[2]),
		.home = strdup(fields[3]),
		.shell = strdup(fields[4])};
	free(fields);
	return user->name == NULL || user->home == NULL || user->shell == NULL ? -ENOMEM : 0;
}

static char **copy_list(char *const *list) {
	struct strings copy = {0};
	for (; *list != NULL; list++) {
		strings_add(&copy, strdup(*list));
	}
	return strings_take(&copy);
}

static int read_share(struct plan *plan, const struct record *record) {
	size_t count = 0;
	char **fields = record_list(record, &count);
	if (fields == NULL || count < 2 || plan->share_count == PLAN_SHARES_MAX) {
		free(fields);
		return -EPROTO;
	}
	struct plan_share *share = &plan->shares[plan->share_count++];
	*share = (struct plan_share){.files.root_fd = -1, .host_path = strdup(fields[0])};
	share->guest_path = fields[1][0] != '\0' ? strdup(fields[1]) : NULL;
	share->files.hide = copy_list(fields + 2);
	bool complete = share->host_path != NULL && share->files.hide != NULL &&
			(share->guest_path != NULL || fields[1][0] == '\0');
	free(fields);
	return complete ? 0 : -ENOMEM;
}

/* Once: a second one would be forgotten unfreed. */
static int read_text(char **text, const struct record *record) {
	if (*text != NULL) {
		return -EPROTO;
	}
	*text = record_string(record);
	return *text == NULL ? -ENOMEM : 0;
}

static int read_fact(struct plan *plan, const struct record *record) {
	switch (record->key) {
	case INSTANCE_FACT_REALM:
		return read_text(&plan->realm_name, record);
	case INSTANCE_FACT_PALETTE:
		return read_text(&plan->palette, record);
	case INSTANCE_FACT_SCREEN:
		plan->has_screen = true;
		return 0;
	case INSTANCE_FACT_SOUND:
		plan->has_sound = true;
		return 0;
	case INSTANCE_FACT_URLS:
		plan->open_urls = true;
		return 0;
	case INSTANCE_FACT_USER:
		return plan->user.name != NULL ? -EPROTO : read_user(&plan->user, record);
	case INSTANCE_FACT_SHARE:
		return read_share(plan, record);
	case INSTANCE_FACT_IMAGE:
		plan->root = PLAN_ROOT_IMAGE;
		return 0;
	default:
		return 0;
	}
}

int plan_init_join(struct plan *plan, const struct plan_request *request, const void *facts, size_t size,
	struct error *error) {
	struct record_reader reader = {.next = facts, .left = size};
	struct record record;
	*plan = (struct plan){0};
	int ret;
	while ((ret = record_next(&reader, &record)) > 0) {
		ret = read_fact(plan, &record);
		if (ret < 0) {
			break;
		}
	}
	if (ret == 0 && plan->user.name == NULL) {
		ret = -EPROTO;
	}
	if (ret < 0) {
		return error_set(
			error, ret, "the VM's description of itself cannot be read: %s", strerror(-ret));
	}
	ret = plan_resolve_basics(plan, request, error);
	return ret < 0 ? ret : plan_resolve_environment(plan, request, error);
}
