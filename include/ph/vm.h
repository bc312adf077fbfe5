/*
 * Run a plan: build the machine, start the guest, serve it until its last command has ended, and
 * take everything down again. Nothing outside src/monitor touches KVM.
 */
#ifndef PH_VM_H
#define PH_VM_H

#include "ph/error.h"
#include "ph/plan.h"

/* The exit status of the plan's command (0..255), or -errno with *error set: ph's own failure (status 125).
 */
int vm_run(const struct plan *plan, struct error *error);

/* What --check asks of KVM: 0 when /dev/kvm is there, permitted and able to run kernel code; else -errno with
 * *error set. */
int vm_check_kvm(struct error *error);

#endif
