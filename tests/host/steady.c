/*
 * Keeps KVM in the test host as reliable as on hardware, until it is killed. It closes its standard output
 * once that is so. Run as root, in the test host only. Two faults of QEMU's emulation are kept from
 * happening:
 *
 * An interrupt injected by VMRUN is delivered to the guest but stays the emulated CPU's pending exception
 * until something else exits or faults; a request of QEMU's own to leave the loop then delivers it once more,
 * in the middle of its handler and with interrupts off (target/i386/tcg/sysemu/svm_helper.c: the one type of
 * event that does not leave the loop by itself). So after each injection the guest is made to exit before its
 * first instruction: a self-interrupt of the host waits when it enters.
 *
 * KVM rewrites its own code when the first VM with or without an interrupt controller comes and when the last
 * one goes, which several emulated CPUs now and then do not survive: one of each is held and never run.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing"

#define INSN(op, dst, src, offset, value) \
	((struct bpf_insn){.code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value)})

/* r0 = the address of this CPU's flag "an interrupt is being injected", or 0: map_lookup_elem(map, &0) */
#define LOOK_UP_FLAG(map) \
	INSN(BPF_ST | BPF_W | BPF_MEM, BPF_REG_10, 0, -4, 0), \
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0), \
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4), \
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map), INSN(0, 0, 0, 0, 0), \
		CALL(BPF_FUNC_map_lookup_elem)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define SKIP_IF_0(reg, count) INSN(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, count, 0)
#define SET_FLAG(value) INSN(BPF_ST | BPF_W | BPF_MEM, BPF_REG_0, 0, 0, value)
#define RETURN_0 INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0), INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int must(const char *what, int result) {
	if (result < 0) {
		fprintf(stderr, "steady: cannot %s: %m\n", what);
		exit(1);
	}
	return result;
}

static int bpf(const char *what, enum bpf_cmd command, union bpf_attr *attr) {
	return must(what, (int)syscall(SYS_bpf, command, attr, sizeof(*attr)));
}

/* Run the program whenever the event of KVM is traced. */
static void attach(const char *event, const struct bpf_insn *insns, size_t size) {
	char path[sizeof(TRACING) + 64], id[16] = "";
	union bpf_attr program = {
		.prog_type = BPF_PROG_TYPE_TRACEPOINT,
		.insns = (uintptr_t)insns,
		.insn_cnt = (uint32_t)(size / sizeof(*insns)),
		.license = (uintptr_t) "GPL", /* the helpers ask for it */
	};
	snprintf(path, sizeof(path), TRACING "/events/kvm/%s/id", event);
	int file = must(path, open(path, O_RDONLY | O_CLOEXEC));
	must(path, (int)read(file, id, sizeof(id) - 1));
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = strtoull(id, NULL, 10),
		.sample_period = 1,
	};
	int fd = must(event, (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC));
	must(event, ioctl(fd, PERF_EVENT_IOC_SET_BPF, bpf(event, BPF_PROG_LOAD, &program)));
	must(event, ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	close(file);
}

static void exit_after_injections(void) {
	union bpf_attr array = {
		.map_type = BPF_MAP_TYPE_PERCPU_ARRAY,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(uint32_t),
		.max_entries = 1,
	};
	int map = bpf("create a map", BPF_MAP_CREATE, &array);
	const struct bpf_insn injection[] = {
		LOOK_UP_FLAG(map), SKIP_IF_0(BPF_REG_0, 1), SET_FLAG(1), RETURN_0};
	/*
	 * Interrupts are off when the guest is about to be entered, so signal 0, which signals nobody, goes
	 * by a self-interrupt, and that comes in the guest.
	 */
	const struct bpf_insn entry[] = {
		LOOK_UP_FLAG(map),
		SKIP_IF_0(BPF_REG_0, 5),
		INSN(BPF_LDX | BPF_W | BPF_MEM, BPF_REG_1, BPF_REG_0, 0, 0),
		SKIP_IF_0(BPF_REG_1, 3),
		SET_FLAG(0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, 0),
		CALL(BPF_FUNC_send_signal_thread),
		RETURN_0,
	};
	if (access(TRACING "/events", F_OK) < 0) {
		must("mount tracefs", mount("tracefs", TRACING, "tracefs", 0, NULL));
	}
	attach("kvm_inj_virq", injection, sizeof(injection));
	attach("kvm_entry", entry, sizeof(entry));
}

static void hold_vms(void) {
	int kvm = must("open /dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	for (int irqchip = 0; irqchip < 2; irqchip++) {
		int vm = must("create a VM", ioctl(kvm, KVM_CREATE_VM, 0));
		if (irqchip) {
			must("create an interrupt controller", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
		}
		must("create a vCPU", ioctl(vm, KVM_CREATE_VCPU, 0));
	}
}

int main(void) {
	hold_vms();
	exit_after_injections();
	close(STDOUT_FILENO);
	pause();
	return 0;
}
