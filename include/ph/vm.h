/*
 * Run a plan: build the machine, start the guest, serve it until its last command has ended, and
 * take everything down again. Nothing outside src/monitor touches KVM.
 */
#ifndef PH_VM_H
#define PH_VM_H

#include "ph/error.h"
#include "ph/plan.h"

/* How others reach the VM (include/ph/instance.h), and where its first command has its streams and signals.
 */
struct vm_seat {
	int listen_fd;    /* -1: nobody else reaches it */
	const char *name; /* by which they do */
	int client_fd;   /* the connection of the ph that attends to the first command; -1: it is this process
			  */
	int streams[3];  /* with client_fd: the command's; the last is -1 with a terminal */
	int messages_fd; /* with client_fd: where this process's standard error can be read */
	int janitor_fd;  /* who is sent the VM (fd_send()), to take it down once this process has ended; -1:
			    nobody */
};

/* The exit status of the plan's command (0..255), or -errno with *error set: ph's own failure (status 125).
 */
int vm_run(const struct plan *plan, const struct vm_seat *seat, struct error *error);

/* What --check asks of KVM: 0 when /dev/kvm is there, permitted and able to run kernel code; else -errno with
 * *error set. */
int vm_check_kvm(struct error *error);

#endif
