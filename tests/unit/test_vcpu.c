/* The end of vCPUs, without KVM: threads of the test's in the place of theirs. */
#include "monitor/vcpu.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define VCPUS 3
#define PAGE 4096u
#define RUN_SIZE (2 * PAGE) /* the shared page, and the ring of collected writes */

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
	assert_int_equal(sigaction(SIGRTMIN, &action, NULL), 0);
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

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_exits),
		cmocka_unit_test(test_never_started),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
