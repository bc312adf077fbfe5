/*
 * From the table of system calls to the kernel's filters (seccomp), by libseccomp, and the table as text.
 * Each process for its own threads, before they meet the guest; nothing hostile comes in.
 */
#include "jail/parts.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The first system call that is newer than this table: the C library asks whether such calls are there and
 * does without, so the answer is that they are not.
 */
#define FIRST_UNKNOWN 451
#define FOREIGN_BIT 0x40000000 /* x32's numbers */

static const struct sock_filter prologue[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN, 0, 2),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN_BIT, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
};

static int add_call(scmp_filter_ctx context, const struct jail_call *call, pid_t self) {
	struct scmp_arg_cmp tests[JAIL_CONDITIONS_MAX];
	unsigned count = 0;
	while (count < JAIL_CONDITIONS_MAX && call->conditions[count].test != JAIL_ALWAYS) {
		const struct jail_condition *condition = &call->conditions[count];
		bool is_self = condition->test == JAIL_SELF;
		tests[count++] = (struct scmp_arg_cmp){.arg = condition->argument,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = is_self ? UINT32_MAX : condition->mask,
			.datum_b = is_self ? (uint64_t)self : condition->value};
	}
	uint32_t action = call->error == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint32_t)call->error);
	return seccomp_rule_add_array(context, action, call->number, count, tests);
}

static int add_calls(scmp_filter_ctx context, enum jail_kind kind, pid_t self) {
	int ret = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* A tree instead of a list: the busiest calls are not the first. */
	seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < jail_call_count && ret == 0; i++) {
		if ((jail_calls[i].kinds >> kind & 1) != 0) {
			ret = add_call(context, &jail_calls[i], self);
		}
	}
	return ret;
}

/* The prologue, and behind it what libseccomp has written into the file. */
static int read_program(struct jail_program *program, int fd) {
	struct stat stat;
	if (fstat(fd, &stat) < 0) {
		return -errno;
	}
	size_t size = (size_t)stat.st_size;
	struct sock_filter *filter = malloc(sizeof(prologue) + size);
	if (filter == NULL) {
		return -ENOMEM;
	}
	memcpy(filter, prologue, sizeof(prologue));
	int ret = fd_pread_all(fd, filter + sizeof(prologue) / sizeof(prologue[0]), size, 0);
	if (ret < 0) {
		free(filter);
		return ret;
	}
	program->fprog = (struct sock_fprog){
		.len = (unsigned short)((sizeof(prologue) + size) / sizeof(prologue[0])), .filter = filter};
	return 0;
}

int jail_compile(struct jail_program *program, enum jail_kind kind, pid_t self) {
	*program = (struct jail_program){0};
	int fd = memfd_create("ph-filter", MFD_CLOEXEC);
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret = fd < 0 ? -errno : context == NULL ? -ENOMEM : add_calls(context, kind, self);
	if (ret == 0) {
		ret = seccomp_export_bpf(context, fd);
	}
	if (ret == 0) {
		ret = read_program(program, fd);
	}
	seccomp_release(context);
	fd_close(&fd);
	return ret;
}

void jail_program_finish(struct jail_program *program) {
	free(program->fprog.filter);
	*program = (struct jail_program){0};
}

bool jail_has_filters(void) {
	const uint32_t action = SECCOMP_RET_KILL_PROCESS;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* ---- for people ---- */

static void print_call(const struct jail_call *call) {
	printf("    %s", call->name);
	for (unsigned i = 0; i < JAIL_CONDITIONS_MAX && call->conditions[i].test != JAIL_ALWAYS; i++) {
		printf("%s%s", i == 0 ? ": " : ", ", call->conditions[i].text);
	}
	printf("%s%s\n", call->error == 0 ? "" : "; fails with ",
		call->error == 0 ? "" : strerrorname_np(call->error));
}

void jail_print(void) {
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		printf("\n%s (%s) may call, and is killed for anything else:\n", jail_traits[kind].name,
			jail_traits[kind].what);
		for (size_t i = 0; i < jail_call_count; i++) {
			if ((jail_calls[i].kinds >> kind & 1) != 0) {
				print_call(&jail_calls[i]);
			}
		}
	}
}
