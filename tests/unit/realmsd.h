/* A bus of the test's own, and a stand-in for Citadel's realmsd on it. */
#ifndef REALMSD_H
#define REALMSD_H

#include <stdbool.h>
#include <sys/types.h>

struct realmsd {
	char top[32];
	pid_t bus, service;
};

/* Start dbus-daemon and make it this process's system bus. False: it did not come up. */
bool realmsd_start_bus(struct realmsd *realmsd);
void realmsd_stop_bus(struct realmsd *realmsd);
/* Start a realmsd of that generation (1, 2, 3; 0: it talks nonsense; -1: it never answers), with the realms
 * main (current, runs), other, apt-cacher (runs, the system's), and one whose name is none. It may be up only
 * a moment later. */
void realmsd_start(struct realmsd *realmsd, int generation);
void realmsd_stop(struct realmsd *realmsd);

#endif
