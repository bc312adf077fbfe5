/*
 * The machine: CPUs, memory and kernel. ph's first thread; the caller's own input. What is inside a kernel
 * file is for its loader to judge.
 */
#include "plan/parts.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024ULL * 1024)
#define MEMORY_MIN (64 * MIB) /* ph's kernel, its init and a small program */
#define MEMORY_DEFAULT_MAX (8192 * MIB)
#define MEMORY_STEP (2 * MIB)
#define CPUS_MAX 16
#define HOST_CPUS_MAX 8192 /* Linux' for x86; with room for less it may tell nothing */

static unsigned default_cpus(const struct plan_limits *limits) {
	cpu_set_t sets[HOST_CPUS_MAX / CPU_SETSIZE];
	bool known = sched_getaffinity(0, sizeof(sets), sets) == 0;
	unsigned count = known ? (unsigned)CPU_COUNT_S(sizeof(sets), sets) : 1;
	count = count > limits->cpus ? (unsigned)limits->cpus : count;
	return count > CPUS_MAX ? CPUS_MAX : count == 0 ? 1 : count;
}

static uint64_t host_memory(void) {
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t default_memory(const struct plan_limits *limits) {
	uint64_t all = host_memory();
	uint64_t half = (limits->memory < all ? limits->memory : all) / 2;
	half = half > MEMORY_DEFAULT_MAX ? MEMORY_DEFAULT_MAX : half;
	return half < MEMORY_MIN ? MEMORY_MIN : half / MEMORY_STEP * MEMORY_STEP;
}

static int resolve_memory(
	struct plan *plan, const struct plan_limits *limits, uint64_t wanted, struct error *error) {
	if (wanted == 0) {
		plan->memory = default_memory(limits);
		return 0;
	}
	if (wanted < MEMORY_MIN) {
		return error_set(error, -EINVAL, "--mem: the VM needs at least %lluM", MEMORY_MIN / MIB);
	}
	if (wanted > host_memory()) {
		return error_set(error, -EINVAL, "--mem: this host has only %lluM",
			(unsigned long long)(host_memory() / MIB));
	}
	plan->memory = (wanted + MEMORY_STEP - 1) / MEMORY_STEP * MEMORY_STEP;
	return 0;
}

static int check_kernel(const char *path, struct error *error) {
	struct stat st;
	if (stat(path, &st) < 0) {
		return error_set(error, -errno, "kernel %s: %s", path, strerror(errno));
	}
	if (!S_ISREG(st.st_mode)) {
		return error_set(error, -EINVAL, "kernel %s: not a file", path);
	}
	if (access(path, R_OK) < 0) {
		return error_set(error, -errno, "kernel %s: %s", path, strerror(errno));
	}
	return 0;
}

int plan_resolve_machine(struct plan *plan, const struct plan_request *request, struct error *error) {
	struct plan_limits limits;
	plan_read_limits(&limits);
	plan->cpus = request->cpus != 0 ? request->cpus : default_cpus(&limits);
	int ret = resolve_memory(plan, &limits, request->memory, error);
	if (ret < 0) {
		return ret;
	}
	if (request->kernel != NULL) {
		ret = check_kernel(request->kernel, error);
		plan->kernel = strdup(request->kernel);
	}
	if (request->append != NULL) {
		plan->append = strdup(request->append);
	}
	if ((request->kernel != NULL && plan->kernel == NULL) ||
		(request->append != NULL && plan->append == NULL)) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	return ret;
}
