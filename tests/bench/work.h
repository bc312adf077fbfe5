/* What the bench's guest can be asked to do. Part of one static program. */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct work {
	const char *name;
	int number;            /* in traces; not 0 */
	bool needs_root;       /* the host's root is at /root, too */
	unsigned (*run)(void); /* the share is at /share; returns the operations done */
};

extern const struct work file_works[];
extern const size_t file_work_count;
extern const struct work disk_works[];
extern const size_t disk_work_count;
extern const struct work net_works[];
extern const size_t net_work_count;
extern const struct work wl_works[];
extern const size_t wl_work_count;

/* Find the partner on the host: false when there is none. */
bool bench_wl_open(void);

/* Raise the network and see that the partner is there. */
void bench_net_open(void);

/* Leave a line in the share: "NAME-WHAT OPERATIONS VALUE". It is mounted while a work runs. */
void bench_result(const char *name, const char *what, unsigned operations, int64_t value);
/* Leave a line in the share and end the machine. */
void bench_fail(const char *what);

#endif
