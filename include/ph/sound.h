/*
 * Sound: the VM's programs and this host's PulseAudio (or pipewire-pulse) server, with a filter between them
 * that knows what a program of the VM may ask. The filter is a process of its own, which alone can ask the
 * connector for the server; the display device hands it the other end of each connection of the guest's.
 */
#ifndef PH_SOUND_H
#define PH_SOUND_H

#include "ph/jail.h"

#include <stdbool.h>
#include <sys/types.h>

/* What the connection is called that the guest asks virtio-wl for. */
#define SOUND_CONTEXT "pulse"

struct sound_rules {
	const char *tag; /* what the VM is called: it is in front of its programs' names */
	bool microphone; /* they may record */
};

struct sound {
	pid_t pid;
	int pid_fd;
	int door; /* a SOCK_SEQPACKET that takes connected sockets, each in a message of one byte */
};

/* While the process has one thread. connector: the door (ph/connector.h) behind which the server is the
 * first. 0 or -errno. */
int sound_start(struct sound *sound, int connector, const struct sound_rules *rules, enum jail_mode mode);
/* Close the door here: whoever else holds it keeps the filter alive. Accepts a zeroed one, as the next. */
void sound_leave(struct sound *sound);
/* Wait for its end, which comes once the door is closed everywhere; killed after a grace time. */
void sound_stop(struct sound *sound);

#endif
