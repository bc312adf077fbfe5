/*
 * Interrupt routes. vCPU threads, under the PCI bus lock. A message's address and data are the guest's: KVM
 * checks them, and a wrong one interrupts the guest's own processors or nobody.
 *
 * KVM takes the table as a whole and waits for all vCPUs to have seen it, so it is handed over as rarely as
 * possible: once per device when the driver is done setting up its vectors.
 */
#include "monitor/irq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int irq_init(struct irq_router *router, int vm_fd, unsigned capacity) {
	memset(router, 0, sizeof(*router));
	router->vm_fd = vm_fd;
	router->capacity = capacity;
	router->lines = calloc(capacity + 1, sizeof(*router->lines));
	router->table = calloc(1, sizeof(*router->table) + capacity * sizeof(struct kvm_irq_routing_entry));
	if (router->lines == NULL || router->table == NULL) {
		irq_finish(router);
		return -ENOMEM;
	}
	return 0;
}

void irq_finish(struct irq_router *router) {
	free(router->lines);
	free(router->table);
	memset(router, 0, sizeof(*router));
}

unsigned irq_add(struct irq_router *router, int eventfd) {
	assert(router->count < router->capacity);
	router->lines[router->count] = (struct irq_line){.fd = eventfd};
	return router->count++;
}

void irq_route(struct irq_router *router, unsigned line, uint64_t address, uint32_t data) {
	struct irq_line *l = &router->lines[line];
	if (!l->routed || l->address != address || l->data != data) {
		l->address = address;
		l->data = data;
		l->routed = true;
		router->dirty = true;
	}
}

int irq_commit(struct irq_router *router) {
	if (!router->dirty) {
		return 0;
	}
	struct kvm_irq_routing *table = router->table;
	table->nr = 0;
	for (unsigned i = 0; i < router->count; i++) {
		const struct irq_line *line = &router->lines[i];
		if (line->routed) {
			table->entries[table->nr++] = (struct kvm_irq_routing_entry){.gsi = i,
				.type = KVM_IRQ_ROUTING_MSI,
				.u.msi = {.address_lo = (uint32_t)line->address,
					.address_hi = (uint32_t)(line->address >> 32),
					.data = line->data}};
		}
	}
	if (ioctl(router->vm_fd, KVM_SET_GSI_ROUTING, table) < 0) {
		return -errno;
	}
	router->commits++;
	router->dirty = false;
	return 0;
}

int irq_attach(struct irq_router *router, unsigned line, bool attach) {
	struct irq_line *l = &router->lines[line];
	if (l->attached == attach) {
		return 0;
	}
	const struct kvm_irqfd irqfd = {
		.fd = (uint32_t)l->fd, .gsi = line, .flags = attach ? 0 : KVM_IRQFD_FLAG_DEASSIGN};
	if (ioctl(router->vm_fd, KVM_IRQFD, &irqfd) < 0) {
		return -errno;
	}
	l->attached = attach;
	return 0;
}
