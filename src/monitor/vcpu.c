/*
 * vCPU threads: KVM_RUN and the few register accesses that come out of it. Ports, addresses, lengths and
 * data are the guest's; what nobody answers reads as all ones and swallows writes.
 */
#include "monitor/vcpu.h"

#include "monitor/guest_boot.h"
#include "monitor/x86/cpu.h"
#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* A signal that needs no place in the queue of the user's, which may be full, and means nothing otherwise. */
#define KICK_SIGNAL SIGURG

/* KVM_EXIT_MEMORY_FAULT, which headers have since Linux 6.8. */
#define EXIT_MEMORY_FAULT 39
struct memory_fault {
	uint64_t flags, address, size;
};

/* EAGAIN is what a processor gets that is to wait until another one starts it. The first one waits for
 * nobody: KVM then lacks something, such as the thread that it creates since Linux 6.13, and so it may go on
 * for ever. */
#define REFUSALS_MAX 1000

#define PCI_PORTS 0xcf8
#define PCI_PORTS_END 0xd00

/* ---- the end ---- */

static void end_machine(struct machine *machine, enum machine_end_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void end_machine(struct machine *machine, enum machine_end_reason reason, const char *format, ...) {
	if (atomic_exchange(&machine->end_claimed, 1) != 0) {
		return;
	}
	va_list args;
	va_start(args, format);
	vsnprintf(machine->end_text, sizeof(machine->end_text), format, args);
	va_end(args);
	machine->end_reason = reason;
	fd_event_signal(machine->end_fd);
}

static void end_internal_error(struct vcpu *vcpu) {
	char registers[768];
	cpu_describe(vcpu->fd, registers, sizeof(registers));
	end_machine(vcpu->machine, MACHINE_FAILED, "KVM internal error %u on vCPU %u: %s",
		vcpu->run->internal.suberror, vcpu->index, registers);
}

/* ---- exits ---- */

static void count(struct vcpu *vcpu, enum exit_kind kind) {
	atomic_fetch_add_explicit(&vcpu->exits[kind], 1, memory_order_relaxed);
}

static uint32_t read_port(struct vcpu *vcpu, uint16_t port, unsigned len) {
	struct machine *machine = vcpu->machine;
	if (port >= PCI_PORTS && port < PCI_PORTS_END) {
		return pci_port_read(&machine->pci, port, len);
	}
	if (machine->has_serial && len == 1 && port >= SERIAL_PORT && port - SERIAL_PORT < SERIAL_PORTS) {
		pthread_mutex_lock(&machine->serial_lock);
		uint32_t value = serial_read(&machine->serial, port - SERIAL_PORT);
		pthread_mutex_unlock(&machine->serial_lock);
		return value;
	}
	return 0xffffffff;
}

/* The guest asks for each block once, and one that asks more often finds it done. */
static void back_memory(struct machine *machine, uint32_t block) {
	gpa_t address = {block * GUEST_BOOT_BACKING_BLOCK};
	const struct iovec iov = {
		.iov_base = guest_memory_at(machine->memory, address, GUEST_BOOT_BACKING_BLOCK),
		.iov_len = GUEST_BOOT_BACKING_BLOCK,
	};
	if (iov.iov_base != NULL) {
		huge_pages_back(&machine->huge_pages, machine->memory, &iov, 1);
	}
}

static void write_port(struct vcpu *vcpu, uint16_t port, unsigned len, uint32_t value) {
	struct machine *machine = vcpu->machine;
	if (port >= PCI_PORTS && port < PCI_PORTS_END) {
		pci_port_write(&machine->pci, port, len, value);
	} else if (len == 4 && port == GUEST_BOOT_BACKING_PORT) {
		back_memory(machine, value);
	} else if (machine->has_serial && len == 1 && port >= SERIAL_PORT &&
		   port - SERIAL_PORT < SERIAL_PORTS) {
		pthread_mutex_lock(&machine->serial_lock);
		serial_write(&machine->serial, port - SERIAL_PORT, (uint8_t)value);
		pthread_mutex_unlock(&machine->serial_lock);
	}
}

static enum exit_kind port_kind(uint16_t port) {
	if (port >= PCI_PORTS && port < PCI_PORTS_END) {
		return EXIT_PCI_CONFIG;
	}
	if (port == GUEST_BOOT_BACKING_PORT) {
		return EXIT_BACKING;
	}
	return port >= SERIAL_PORT && port - SERIAL_PORT < SERIAL_PORTS ? EXIT_SERIAL : EXIT_PORT;
}

static void handle_port(struct vcpu *vcpu) {
	const struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)vcpu->run + run->io.data_offset;
	unsigned len = run->io.size;
	count(vcpu, port_kind(run->io.port));
	for (uint32_t i = 0; i < run->io.count; i++, data += len) {
		uint32_t value = 0;
		if (run->io.direction == KVM_EXIT_IO_IN) {
			value = read_port(vcpu, run->io.port, len);
			memcpy(data, &value, len);
		} else {
			memcpy(&value, data, len);
			write_port(vcpu, run->io.port, len, value);
		}
	}
}

static void handle_memory(struct vcpu *vcpu) {
	struct kvm_run *run = vcpu->run;
	struct pci_bus *pci = &vcpu->machine->pci;
	uint64_t address = run->mmio.phys_addr, value = 0;
	unsigned len = run->mmio.len;
	count(vcpu,
		address >= PCI_BAR_BASE && address < PCI_BAR_BASE + PCI_FUNCTIONS_MAX * VIRTIO_PCI_BAR_SIZE
			? EXIT_DEVICE
			: EXIT_MEMORY);
	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, len);
		pci_memory_write(pci, address, len, value);
	} else {
		value = pci_memory_read(pci, address, len);
		memcpy(run->mmio.data, &value, len);
	}
}

/* False when the machine has ended. */
static bool handle_exit(struct vcpu *vcpu) {
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		handle_port(vcpu);
		return true;
	case KVM_EXIT_MMIO:
		handle_memory(vcpu);
		return true;
	case KVM_EXIT_INTR:
		count(vcpu, EXIT_SIGNAL);
		return true;
	case KVM_EXIT_SHUTDOWN:
		end_machine(vcpu->machine, MACHINE_RESET, "the guest reset");
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		end_internal_error(vcpu);
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		end_machine(vcpu->machine, MACHINE_FAILED,
			"the processor refuses to enter the guest (0x%llx)",
			(unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
		return false;
	case KVM_EXIT_IOAPIC_EOI:
		count(vcpu, EXIT_OTHER);
		return true;
	default:
		end_machine(
			vcpu->machine, MACHINE_FAILED, "unexpected exit %u from KVM", vcpu->run->exit_reason);
		return false;
	}
}

/* ---- threads ---- */

/* KVM_RUN failed: whether it may be tried again. */
static bool survives(struct vcpu *vcpu, int error) {
	struct memory_fault fault;
	bool told = vcpu->run->exit_reason == EXIT_MEMORY_FAULT;
	if (error == EINTR || error == EAGAIN) {
		count(vcpu, EXIT_SIGNAL);
		return true;
	}
	memcpy(&fault, &vcpu->run->hw, sizeof(fault)); /* where all kinds of exit have their own */
	if (error == EFAULT && window_lose(vcpu->machine->window, told ? &fault.address : NULL)) {
		log_error("graphics memory was taken away from the guest; windows may show nonsense");
		return true;
	}
	return false;
}

/* What the user can do about it. */
static const char *remedy(int error) {
	switch (error) {
	case EAGAIN:
		return "; a limit on threads keeps KVM from one that it needs";
	case EFAULT:
	case ENOMEM:
		return "; this host has no more memory for the VM, use less with --mem";
	default:
		return "";
	}
}

static void run_vcpu(struct vcpu *vcpu) {
	struct machine *machine = vcpu->machine;
	unsigned refusals = 0; /* in a row */
	while (!atomic_load(&machine->stopping)) {
		int ret = ioctl(vcpu->fd, KVM_RUN, 0);
		if (ret == 0) {
			refusals = 0;
			if (!handle_exit(vcpu)) {
				return;
			}
			continue;
		}
		int error = errno;
		refusals = error == EAGAIN && vcpu->index == 0 ? refusals + 1 : 0;
		if (refusals == REFUSALS_MAX || !survives(vcpu, error)) {
			end_machine(machine, MACHINE_FAILED, "cannot run vCPU %u: %s%s", vcpu->index,
				strerror(error), remedy(error));
			return;
		}
	}
}

/* Whoever started ph may have blocked any signal. */
static void let_kicks_in(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *vcpu_thread(void *data) {
	struct vcpu *vcpu = data;
	struct machine *machine = vcpu->machine;
	let_kicks_in();
	int ret = cpu_setup(vcpu->fd, &machine->kvm.supported, vcpu->index, machine->count, machine->entry);
	if (ret == 0) {
		ret = jail_filter(JAIL_VCPU, machine->jail_mode, "vCPU");
	}
	if (ret < 0) {
		end_machine(
			machine, MACHINE_FAILED, "cannot set up vCPU %u: %s", vcpu->index, strerror(-ret));
		return NULL;
	}
	run_vcpu(vcpu);
	return NULL;
}

static void on_kick(int signo) {
	(void)signo; /* only to interrupt KVM_RUN */
}

static int create_vcpu(struct machine *machine, unsigned index) {
	struct vcpu *vcpu = &machine->vcpus[index];
	vcpu->machine = machine;
	vcpu->index = index;
	vcpu->fd = ioctl(machine->kvm.vm_fd, KVM_CREATE_VCPU, index);
	if (vcpu->fd < 0) {
		return -errno;
	}
	machine->count++;
	void *run = mmap(NULL, machine->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED) {
		return -errno;
	}
	vcpu->run = run;
	return 0;
}

int vcpus_create(struct machine *machine, unsigned count, struct error *error) {
	pthread_mutex_init(&machine->serial_lock, NULL);
	for (unsigned i = 0; i < count; i++) {
		int ret = create_vcpu(machine, i);
		if (ret < 0) {
			return error_set(error, ret,
				"cannot create vCPU %u of %u: %s (use fewer with --cpus)", i, count,
				strerror(-ret));
		}
	}
	return 0;
}

int vcpus_start(struct machine *machine, struct error *error) {
	struct sigaction action = {.sa_handler = on_kick};
	sigemptyset(&action.sa_mask);
	if (sigaction(KICK_SIGNAL, &action, NULL) < 0) {
		return -errno;
	}
	for (unsigned i = 0; i < machine->count; i++) {
		struct vcpu *vcpu = &machine->vcpus[i];
		int ret = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
		if (ret != 0) {
			return error_set(error, -ret,
				"cannot start a thread for vCPU %u of %u: %s (use fewer with --cpus)", i,
				machine->count, strerror(ret));
		}
		vcpu->running = true;
	}
	return 0;
}

void vcpus_stop(struct machine *machine) {
	atomic_store(&machine->stopping, true);
	for (unsigned i = 0; i < machine->count; i++) {
		struct vcpu *vcpu = &machine->vcpus[i];
		if (vcpu->running) {
			/* Whether the signal comes before, in or after KVM_RUN, this ends it. */
			__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
			pthread_kill(vcpu->thread, KICK_SIGNAL);
		}
	}
	for (unsigned i = 0; i < machine->count; i++) {
		struct vcpu *vcpu = &machine->vcpus[i];
		if (vcpu->running) {
			pthread_join(vcpu->thread, NULL);
			vcpu->running = false;
		}
	}
	/* Only now: the exits of all vCPUs read the ring of collected writes, which is the first one's. */
	for (unsigned i = 0; i < machine->count; i++) {
		struct vcpu *vcpu = &machine->vcpus[i];
		if (vcpu->run != NULL) {
			munmap(vcpu->run, machine->kvm.run_size);
			vcpu->run = NULL;
		}
		fd_close(&vcpu->fd);
	}
	machine->count = 0;
}

uint64_t vcpus_exits(struct machine *machine, enum exit_kind kind) {
	uint64_t sum = 0;
	for (unsigned i = 0; i < VCPUS_MAX; i++) {
		sum += atomic_load_explicit(&machine->vcpus[i].exits[kind], memory_order_relaxed);
	}
	return sum;
}
