/*
 * vm_run(): build the machine, run it, take it down. The main thread, which is also the loop's. What is
 * hostile is dealt with where it comes in: the kernel image, the devices' queues, the control port.
 */
#include "ph/vm.h"

#include "monitor/guest_boot.h"
#include "monitor/memory.h"
#include "monitor/run.h"
#include "ph/console.h"
#include "ph/fd.h"
#include "ph/jail.h"
#include "ph/log.h"
#include "ph/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the console ---- */

static size_t console_receive(void *owner, const void *data, size_t len) {
	console_log_write(owner, data, len);
	return len;
}

static const struct console_port_ops console_ops = {.receive = console_receive};

static void serial_transmit(void *owner, uint8_t byte) {
	console_log_write(owner, &byte, 1);
}

/* ---- building ---- */

static int create_control(struct vm *vm) {
	struct console_port *console;
	int ret = console_add_port(vm->devices.console, NULL, &console_ops, &vm->console_log, &console);
	if (ret < 0) {
		return ret;
	}
	return control_create(&vm->control, &vm->loop, vm->devices.console, &run_control_ops, vm);
}

static int create_devices(struct vm *vm, struct error *error) {
	int ret = devices_create(&vm->devices, vm->plan, error);
	if (ret < 0) {
		return ret;
	}
	ret = create_control(vm);
	if (ret == 0) {
		ret = devices_serve(&vm->devices, &vm->loop, &vm->memory);
	}
	return ret < 0 ? error_set(error, ret, "cannot set up the VM's devices: %s", strerror(-ret)) : 0;
}

/* The ring lies behind the first vCPU's shared page, one page long. */
static int collect_writes(struct machine *machine) {
	unsigned offset = machine->kvm.ring_offset;
	if (offset == 0 || offset >= machine->kvm.run_size) {
		return 0;
	}
	struct kvm_coalesced_mmio_ring *ring =
		(struct kvm_coalesced_mmio_ring *)(void *)((uint8_t *)machine->vcpus[0].run + offset);
	uint32_t entries = (4096 - sizeof(*ring)) / sizeof(ring->coalesced_mmio[0]);
	return pci_collect_writes(&machine->pci, ring, entries);
}

/* Memory slots, interrupt controller, vCPUs, eventfds: in this order (see kvm_init()). */
static int create_machine(struct vm *vm, struct error *error) {
	struct machine *machine = &vm->machine;
	machine->has_serial = vm->plan->verbose;
	machine->memory = &vm->memory;
	machine->jail_mode = devices_jail_mode(vm->plan);
	machine->serial = (struct serial){.transmit = serial_transmit, .owner = &vm->console_log};
	struct window *window = &vm->devices.screen.window;
	machine->window = window;
	int ret = window_reserve(window);
	if (ret < 0) {
		return error_set(error, ret, "cannot reserve the window for graphics: %s", strerror(-ret));
	}
	ret = kvm_init(&machine->kvm, &vm->memory, window, error);
	if (ret < 0) {
		return ret;
	}
	if (vm->seat->janitor_fd >= 0) {
		fd_send(vm->seat->janitor_fd, machine->kvm.vm_fd, MSG_DONTWAIT);
	}
	ret = vcpus_create(machine, vm->plan->cpus, error);
	if (ret < 0) {
		return ret;
	}
	machine->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = machine->end_fd < 0 ? -errno : pci_init(&machine->pci, machine->kvm.vm_fd);
	if (ret == 0) {
		ret = collect_writes(machine);
	}
	if (ret == 0 && vm->plan->kernel == NULL) {
		pci_copy_config(&machine->pci,
			guest_memory_at(&vm->memory, (gpa_t){GUEST_BOOT_PCI_CONFIG}, PCI_COPY_SIZE));
	}
	return ret < 0 ? error_set(error, ret, "cannot create the VM: %s", strerror(-ret)) : 0;
}

static int check_memory(const struct plan *plan, struct error *error) {
	if (plan->memory < MEMORY_MINIMUM) {
		return error_set(error, -EINVAL, "--mem: %llu MiB is too little (at least %llu MiB)",
			(unsigned long long)(plan->memory >> 20), MEMORY_MINIMUM >> 20);
	}
	return 0;
}

static int check_sandbox(const struct plan *plan, struct error *error) {
	if (plan->sandbox == PLAN_SANDBOX_OFF) {
		log_error("--sandbox=off: all devices run in one process that nothing confines; for "
			  "debugging only");
	}
	if (plan->sandbox != PLAN_SANDBOX_STRICT) {
		return 0;
	}
	int ret = jail_check_strict(JAIL_MONITOR, error);
	if (ret == 0 && plan->share_count > 0) {
		ret = jail_check_strict(JAIL_FILES, error);
	}
	if (ret == 0 && plan->socket_count > 0) {
		ret = jail_check_strict(JAIL_DISPLAY, error);
	}
	if (ret == 0 && plan->sound.server != NULL) {
		ret = jail_check_strict(JAIL_SOUND, error);
	}
	if (ret == 0 && (plan->socket_count > 0 || plan->sound.server != NULL)) {
		ret = jail_check_strict(JAIL_CONNECTOR, error);
	}
	if (ret == 0 && plan->net.kind != PLAN_NET_NONE) {
		ret = jail_check_strict(JAIL_NET, error);
	}
	return ret;
}

/* ph does without one, but then the terminal stays raw when somebody kills ph. */
static void start_keeper(struct vm *vm) {
	bool here = vm->plan->tty && vm->seat->client_fd < 0;
	int ret = here ? keeper_start(&vm->keeper, STDIN_FILENO,
				 vm->plan->palette != NULL ? STDOUT_FILENO : -1, devices_jail_mode(vm->plan))
		       : 0;
	if (ret < 0) {
		log_verbose("the terminal has no keeper: %s", strerror(-ret));
	}
}

static int start_opener(struct vm *vm, struct error *error) {
	int ret = vm->plan->open_urls ? urls_start(&vm->urls) : 0;
	return ret < 0 ? error_set(error, ret, "cannot start what opens addresses: %s", strerror(-ret)) : 0;
}

static int build(struct vm *vm, struct error *error) {
	int ret = check_memory(vm->plan, error);
	if (ret == 0) {
		ret = check_sandbox(vm->plan, error);
	}
	if (ret == 0) {
		ret = memory_init(&vm->memory, vm->plan->memory, guest_boot_late_memory(vm->plan), error);
	}
	if (ret == 0) {
		timings_mark(&vm->timings, "memory");
		ret = devices_start_workers(&vm->devices, vm->plan, &vm->memory, error);
	}
	if (ret == 0) {
		start_keeper(vm);
		ret = start_opener(vm, error);
	}
	if (ret == 0) {
		timings_mark(&vm->timings, "workers");
		ret = create_machine(vm, error);
	}
	if (ret == 0) {
		timings_mark(&vm->timings, "KVM, memory slots, vCPUs");
		ret = guest_boot_load(
			vm->plan, &vm->memory, vm->machine.kvm.trusts_tsc, &vm->machine.entry, error);
	}
	if (ret == 0) {
		timings_mark(&vm->timings, "kernel and initramfs");
		ret = create_devices(vm, error);
	}
	return ret;
}

/* ---- running ---- */

static int attach_stdio(struct vm *vm) {
	const struct vm_seat *seat = vm->seat;
	struct control_stdio stdio = {.in = STDIN_FILENO,
		.out = STDOUT_FILENO,
		.err = vm->plan->own_stderr ? STDERR_FILENO : -1,
		.tty = vm->plan->tty};
	if (seat->client_fd >= 0) {
		stdio.in = seat->streams[0];
		stdio.out = seat->streams[1];
		stdio.err = seat->streams[2];
	} else {
		plan_tell_directory(vm->plan);
	}
	if (seat->client_fd < 0 && stdio.tty) {
		int ret = terminal_raw_with_signals(STDIN_FILENO);
		if (ret == 0 && vm->plan->palette != NULL) {
			ret = terminal_color(STDOUT_FILENO, vm->plan->palette);
		}
		if (ret < 0) {
			return ret;
		}
	}
	int ret = control_attach(vm->control, RUN_COMMAND_SESSION, &stdio);
	run_tell_size(vm); /* signals are kept since a while after the plan was made */
	vm->commands = 1;
	if (seat->client_fd >= 0) {
		/* The session has copies, and their end is to be the end. */
		close(stdio.in);
		close(stdio.out);
		if (stdio.err >= 0) {
			close(stdio.err);
		}
	}
	return ret < 0 ? ret
		       : clients_init(&vm->clients, &vm->loop, vm->control, seat, RUN_COMMAND_SESSION + 1,
				 &run_clients_ops, vm);
}

/* All that follows, vCPU threads first of all, is done with what the jail leaves. */
static int confine(struct vm *vm) {
	enum jail_mode mode = devices_jail_mode(vm->plan);
	int ret = jail_enter(JAIL_MONITOR, mode, "monitor", &(struct jail_reach){0});
	return ret < 0 ? ret : jail_filter(JAIL_MONITOR, mode, "monitor");
}

static int start(struct vm *vm, struct error *error) {
	int ret = devices_attach(&vm->devices, &vm->machine.pci);
	if (ret == 0) {
		ret = run_watch(vm);
	}
	if (ret == 0) {
		ret = attach_stdio(vm);
	}
	if (ret == 0) {
		timings_mark(&vm->timings, "devices");
		ret = confine(vm);
	}
	if (ret == 0) {
		timings_mark(&vm->timings, "jail");
		ret = screen_serve(&vm->devices.screen);
	}
	if (ret == 0) {
		ret = vcpus_start(&vm->machine, error);
	}
	return ret < 0 ? error_set(error, ret, "cannot start the VM: %s", strerror(-ret)) : 0;
}

static void print_exits(struct vm *vm) {
	static const char *const names[EXIT_KINDS] = {
		[EXIT_PCI_CONFIG] = "PCI configuration",
		[EXIT_SERIAL] = "serial port",
		[EXIT_BACKING] = "memory that comes into use",
		[EXIT_PORT] = "other ports",
		[EXIT_DEVICE] = "device registers",
		[EXIT_MEMORY] = "other memory",
		[EXIT_SIGNAL] = "signals",
		[EXIT_OTHER] = "others",
	};
	fprintf(stderr, "%-40s %10s %10s\n", "exits to ph", "until init", "in all");
	for (int kind = 0; kind < EXIT_KINDS; kind++) {
		fprintf(stderr, "  %-38s %10llu %10llu\n", names[kind],
			(unsigned long long)vm->exits_at_ready[kind],
			(unsigned long long)vcpus_exits(&vm->machine, (enum exit_kind)kind));
	}
	fprintf(stderr, "  %-38s %10s %10llu\n", "(interrupt routes given to KVM)", "",
		(unsigned long long)vm->machine.pci.irqs.commits);
}

/* Requests that vCPU threads wait for are answered by the loop, which has ended: hang up first. */
static void destroy(struct vm *vm) {
	devices_hang_up(&vm->devices);
	vcpus_stop(&vm->machine);
	run_unwatch(vm);
	clients_finish(&vm->clients);
	control_destroy(vm->control);
	devices_destroy(&vm->devices);
	pci_finish(&vm->machine.pci);
	kvm_finish(&vm->machine.kvm);
	if (vm->machine.end_fd > 0) {
		fd_close(&vm->machine.end_fd);
	}
	memory_finish(&vm->memory);
	loop_finish(&vm->loop);
	console_log_finish(&vm->console_log);
}

static int run(struct vm *vm, struct error *error) {
	int ret = loop_init(&vm->loop);
	if (ret < 0) {
		return error_set(error, ret, "cannot create the event loop: %s", strerror(-ret));
	}
	ret = build(vm, error);
	if (ret == 0) {
		ret = start(vm, error);
	}
	if (ret == 0) {
		ret = loop_run(&vm->loop);
	}
	if (ret < 0) {
		error_set(error, ret, "the VM failed: %s", strerror(-ret));
		clients_failed(&vm->clients, error->message);
	}
	return ret;
}

int vm_run(const struct plan *plan, const struct vm_seat *seat, struct error *error) {
	struct vm *vm = calloc(1, sizeof(*vm));
	if (vm == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	vm->plan = plan;
	vm->seat = seat;
	vm->error = error;
	timings_init(&vm->timings);
	console_log_init(&vm->console_log);
	run_block_signals();
	log_drops_enabled = true; /* in the workers, too */
	int ret = run(vm, error);
	terminal_restore();
	keeper_stop(&vm->keeper);
	if (plan->timings) {
		timings_print(&vm->timings);
		print_exits(vm);
	}
	destroy(vm);
	log_drops_enabled = false;
	run_unblock_signals();
	free(vm);
	return ret;
}
