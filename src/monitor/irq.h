/* Message-signalled interrupts: eventfds that KVM turns into messages (irqfd), and the routes from one to
 * the other. */
#ifndef MONITOR_IRQ_H
#define MONITOR_IRQ_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* One line: an eventfd and the message it sends. Its number is its GSI in KVM. */
struct irq_line {
	int fd;
	uint64_t address;
	uint32_t data;
	bool routed;   /* has a message */
	bool attached; /* KVM listens on the eventfd */
};

/* All users hold one lock: the PCI bus lock. */
struct irq_router {
	int vm_fd;
	struct irq_line *lines;
	unsigned count, capacity;
	struct kvm_irq_routing *table; /* with room for capacity entries */
	bool dirty;                    /* KVM does not know the current messages */
	uint64_t commits;              /* how often the table was given to KVM */
};

/* Room for at most capacity lines. 0 or -errno. */
int irq_init(struct irq_router *router, int vm_fd, unsigned capacity);
void irq_finish(struct irq_router *router);
/* The line of an eventfd. There must be room. */
unsigned irq_add(struct irq_router *router, int eventfd);
/* Set what a line sends; KVM hears of it with the next irq_commit(). */
void irq_route(struct irq_router *router, unsigned line, uint64_t address, uint32_t data);
/* Tell KVM all messages, if any changed. 0 or -errno. */
int irq_commit(struct irq_router *router);
/* Let KVM listen on a line's eventfd, or not. What is signalled meanwhile waits in the eventfd and is sent on
 * attach. 0 or -errno. */
int irq_attach(struct irq_router *router, unsigned line, bool attach);

#endif
