/* The virtual processors: a thread each, and what their exits to user space do. */
#ifndef MONITOR_VCPU_H
#define MONITOR_VCPU_H

#include "monitor/kvm.h"
#include "monitor/pci.h"
#include "monitor/serial.h"
#include "ph/huge_pages.h"
#include "ph/jail.h"

#include <pthread.h>
#include <stdatomic.h>

#define VCPUS_MAX 16

/* What made a vCPU leave KVM, as --timings counts it. */
enum exit_kind {
	EXIT_PCI_CONFIG,
	EXIT_SERIAL,
	EXIT_BACKING, /* memory that comes into use */
	EXIT_PORT,    /* any other port */
	EXIT_DEVICE,  /* memory of a device */
	EXIT_MEMORY,  /* memory that nobody answers */
	EXIT_SIGNAL,
	EXIT_OTHER,
	EXIT_KINDS,
};

struct vcpu {
	struct machine *machine;
	unsigned index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool running; /* the thread exists */
	atomic_ullong exits[EXIT_KINDS];
};

enum machine_end_reason {
	MACHINE_RUNNING,
	MACHINE_RESET, /* the guest reset: it is done, or it crashed */
	MACHINE_FAILED,
};

/* What vCPU threads share. */
struct machine {
	struct kvm kvm;
	struct pci_bus pci;
	struct window *window;
	enum jail_mode jail_mode;
	bool has_serial;
	struct serial serial;
	pthread_mutex_t serial_lock;
	uint64_t entry; /* of the kernel */
	const struct guest_memory *memory;
	struct huge_pages huge_pages;
	unsigned count;
	struct vcpu vcpus[VCPUS_MAX];
	atomic_bool stopping;

	/* How it ended: written once by the first vCPU that ends, then end_fd (an eventfd) becomes readable.
	 */
	atomic_int end_claimed;
	int end_fd;
	enum machine_end_reason end_reason;
	char end_text[1024];
};

/* Create count vCPUs; kvm is set up. -errno with *error set. */
int vcpus_create(struct machine *machine, unsigned count, struct error *error);
/* Start their threads. 0, or -errno with *error set where more is known. */
int vcpus_start(struct machine *machine, struct error *error);
/* Make all threads leave the guest and join them; whoever serves their requests must have hung up before.
 * Then destroy the vCPUs. Accepts a zeroed machine. */
void vcpus_stop(struct machine *machine);
/* Sum of one kind of exits so far. */
uint64_t vcpus_exits(struct machine *machine, enum exit_kind kind);

#endif
