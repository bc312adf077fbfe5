/*
 * passt(1), which connects a VM to the network with the rights of its user: a process that starts it, tells
 * when it ends, and starts it once more. It also tells when this host's name servers are others. passt itself
 * enters namespaces of its own.
 *
 * The process that tends passt is one of those of a running ph that may execute a program (docs/security.md),
 * and that are not jailed; nothing of the guest's reaches it.
 */
#ifndef PH_PASST_H
#define PH_PASST_H

#include <net/if.h>
#include <stdbool.h>
#include <sys/types.h>

struct passt {
	pid_t pid; /* of the process that tends it */
	int pid_fd;
	int fd;    /* its pipe: the end of file is the VM's end */
	int names; /* a SOCK_SEQPACKET: each message is a new resolv.conf for the guest */
};

struct passt_options {
	const char *program;    /* a path */
	char *const *arguments; /* but for --fd, --interface and --dns-forward */
	/* Which interface passt is given, at each start: one may be gone by the next. */
	bool (*find_interface)(char name[IF_NAMESIZE]);
	/* Where the guest asks this host's own name server: passt forwards it to the first of the host's, but
	 * only where resolv says so, for it takes the answers of that server for forwarded ones, whoever was
	 * asked. */
	const char *resolver;
	/* The guest's resolv.conf, and what makes it anew of this host's when that changes; NULL: nothing
	 * does */
	const char *resolv;
	char *(*make_resolv)(void);
};

/*
 * While the process has one thread. 0 or -errno; *link_fd then is a non-blocking stream of frames, and
 * *supply_fd brings another one when passt had to be started again (see struct net_options).
 */
int passt_start(struct passt *passt, const struct passt_options *options, int *link_fd, int *supply_fd);
/* Let go: passt ends in its own time. */
void passt_hang_up(struct passt *passt);
/* End it and wait. Accepts a zeroed one. */
void passt_stop(struct passt *passt);

#endif
