/* vCPUs and how they end, without KVM: threads of the test's in the place of theirs, or a KVM that never runs
 * a guest. */
#include "monitor/vcpu.h"

#include "ph/fd.h"

#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define VCPUS 3
#define PAGE 4096u
#define RUN_SIZE (2 * PAGE) /* the shared page, and the ring of collected writes */

/* ---- a KVM that cannot start what it needs, for which it says EAGAIN ---- */

static struct vcpu *waiting; /* not this one, which is in the guest */
static int refusal = EAGAIN;
static bool runs; /* it does, until a signal comes */
static atomic_uint running;

int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument) {
	switch (request) {
	case KVM_GET_VCPU_MMAP_SIZE:
		return PAGE;
	case KVM_CREATE_VM:
		if (refusal == EBUSY) {
			errno = refusal;
			return -1;
		}
		__attribute__((fallthrough));
	case KVM_CREATE_VCPU:
		fd = memfd_create("kvm", MFD_CLOEXEC);
		return fd >= 0 && ftruncate(fd, PAGE) == 0 ? fd : -1;
	case KVM_SET_MSRS:
		return (int)((const struct kvm_msrs *)argument)->nmsrs;
	case KVM_RUN:
		if (runs) {
			atomic_fetch_add(&running, 1);
			return poll(NULL, 0, -1);
		}
		errno = refusal;
		if (waiting != NULL && fd == waiting->fd) {
			usleep(1000);
			errno = EINTR;
		}
		return -1;
	default:
		return 0;
	}
}

/* ---- the tests ---- */

static void ignore(int signo) {
	(void)signo;
}

/* The first vCPU leaves at once, the others are amid an exit that reads the PCI data port many times. */
static void *leave(void *data) {
	struct vcpu *vcpu = data;
	struct machine *machine = vcpu->machine;
	while (!atomic_load(&machine->stopping)) {
		usleep(100);
	}
	for (unsigned i = 0; i < 100 && vcpu->index > 0; i++) {
		pci_port_read(&machine->pci, 0xcfc, 1);
		usleep(500);
	}
	return NULL;
}

static void create(struct machine *machine, unsigned index) {
	struct vcpu *vcpu = &machine->vcpus[index];
	vcpu->machine = machine;
	vcpu->index = index;
	vcpu->fd = eventfd(0, EFD_CLOEXEC);
	vcpu->run = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(vcpu->run != MAP_FAILED);
	machine->count++;
}

/* The ring lies in what the first vCPU shares with KVM, and every vCPU's exits use it. */
static void test_last_exits(void **state) {
	(void)state;
	struct machine *machine = calloc(1, sizeof(*machine));
	struct sigaction action = {.sa_handler = ignore};
	assert_non_null(machine);
	assert_int_equal(sigaction(SIGURG, &action, NULL), 0);
	machine->kvm.run_size = RUN_SIZE;
	assert_int_equal(pci_init(&machine->pci, -1), 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		create(machine, i);
	}
	machine->pci.writes =
		(struct kvm_coalesced_mmio_ring *)(void *)((uint8_t *)machine->vcpus[0].run + PAGE);
	machine->pci.writes_max = 4;
	for (unsigned i = 0; i < VCPUS; i++) {
		struct vcpu *vcpu = &machine->vcpus[i];
		assert_int_equal(pthread_create(&vcpu->thread, NULL, leave, vcpu), 0);
		vcpu->running = true;
	}
	vcpus_stop(machine);
	for (unsigned i = 0; i < VCPUS; i++) {
		assert_null(machine->vcpus[i].run);
		assert_false(machine->vcpus[i].running);
	}
	assert_int_equal(machine->count, 0);
	pci_finish(&machine->pci);
	free(machine);
}

static void test_never_started(void **state) {
	(void)state;
	struct machine *machine = calloc(1, sizeof(*machine));
	assert_non_null(machine);
	vcpus_stop(machine);
	machine->kvm.run_size = RUN_SIZE;
	create(machine, 0);
	vcpus_stop(machine);
	assert_null(machine->vcpus[0].run);
	free(machine);
}

static void test_speed_of_what_never_runs(void **state) {
	(void)state;
	struct error error = {0};
	alarm(10);
	assert_int_equal(kvm_check_speed(-1, &error), -EAGAIN);
	alarm(0);
}

static bool ends_within(struct machine *machine, int ms) {
	struct pollfd end = {.fd = machine->end_fd, .events = POLLIN};
	return poll(&end, 1, ms) == 1;
}

static struct machine *start_two(void) {
	struct machine *machine = calloc(1, sizeof(*machine));
	struct error error = {0};
	assert_non_null(machine);
	machine->jail_mode = JAIL_OFF;
	machine->kvm.run_size = PAGE;
	machine->end_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(vcpus_create(machine, 2, &error), 0);
	return machine;
}

static void finish(struct machine *machine) {
	vcpus_stop(machine);
	fd_close(&machine->end_fd);
	free(machine);
	waiting = NULL;
}

static void test_first_never_runs(void **state) {
	(void)state;
	struct machine *machine = start_two();
	assert_int_equal(vcpus_start(machine, NULL), 0);
	assert_true(ends_within(machine, 10000));
	assert_int_equal(machine->end_reason, MACHINE_FAILED);
	assert_string_equal(machine->end_text,
		"cannot run vCPU 0: Resource temporarily unavailable; a limit on threads keeps KVM from one "
		"that it needs");
	finish(machine);
}

/* A host that may not promise more memory than it has, and has promised all, refuses a page of RAM. */
static void test_no_memory_is_left(void **state) {
	(void)state;
	struct machine *machine = start_two();
	struct window window = {0};
	machine->window = &window;
	refusal = EFAULT;
	assert_int_equal(vcpus_start(machine, NULL), 0);
	assert_true(ends_within(machine, 10000));
	assert_non_null(strstr(machine->end_text,
		": Bad address; this host has no more memory for the VM, use less with --mem"));
	finish(machine);
	refusal = EAGAIN;
}

static void test_another_hypervisor(void **state) {
	(void)state;
	struct error error = {0};
	refusal = EBUSY;
	assert_int_equal(kvm_check_speed(-1, &error), -EBUSY);
	assert_non_null(strstr(error.message, "another hypervisor"));
	refusal = EAGAIN;
}

static int start_without_threads(void) {
	const struct rlimit none = {0};
	struct error error = {0};
	if ((getuid() == 0 && setresuid(65534, 65534, 65534) < 0) || setrlimit(RLIMIT_NPROC, &none) < 0) {
		return 2;
	}
	int ret = vcpus_start(start_two(), &error);
	return ret != -EAGAIN || strstr(error.message, "a thread for vCPU 0 of 2: ") == NULL;
}

static void test_no_more_threads(void **state) {
	(void)state;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		_exit(start_without_threads());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void start_running(struct machine *machine) {
	runs = true;
	atomic_store(&running, 0);
	assert_int_equal(vcpus_start(machine, NULL), 0);
	while (atomic_load(&running) < machine->count) {
		usleep(1000);
	}
	usleep(100000);
}

/* Which signals ph was started with is its caller's business, and the end must not wait for it. */
static void test_blocked_signals(void **state) {
	(void)state;
	struct machine *machine = start_two();
	sigset_t all, before;
	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	start_running(machine);
	alarm(10);
	finish(machine);
	alarm(0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	runs = false;
}

/* So is how many signals may wait. */
static void test_limited_signals(void **state) {
	(void)state;
	struct machine *machine = start_two();
	struct rlimit before, none;
	assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	start_running(machine);
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	alarm(10);
	finish(machine);
	alarm(0);
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &before), 0);
	runs = false;
}

/* A processor that waits to be started says the same, and waits on. */
static void test_second_is_not_started(void **state) {
	(void)state;
	struct machine *machine = start_two();
	waiting = &machine->vcpus[0];
	assert_int_equal(vcpus_start(machine, NULL), 0);
	assert_false(ends_within(machine, 300));
	finish(machine);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_exits),
		cmocka_unit_test(test_never_started),
		cmocka_unit_test(test_speed_of_what_never_runs),
		cmocka_unit_test(test_first_never_runs),
		cmocka_unit_test(test_second_is_not_started),
		cmocka_unit_test(test_no_memory_is_left),
		cmocka_unit_test(test_another_hypervisor),
		cmocka_unit_test(test_no_more_threads),
		cmocka_unit_test(test_blocked_signals),
		cmocka_unit_test(test_limited_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
