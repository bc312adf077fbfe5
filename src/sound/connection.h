/* A connection of the guest's and the one to the server that belongs to it. */
#ifndef SOUND_CONNECTION_H
#define SOUND_CONNECTION_H

#include "ph/loop.h"
#include "sound/filter.h"
#include "sound/protocol.h"

/* What waits for a receiver: one command, and some data. */
#define SOUND_OUT_SIZE (SOUND_COMMAND_MAX + 65536)
/* A short command of the filter's own. */
#define SOUND_NOTE_SIZE (PULSE_DESCRIPTOR_SIZE + 15)
#define SOUND_NOTES_MAX 64

struct sound_connection;

/* One direction: frames in, what may pass of them out. */
struct sound_flow {
	struct sound_connection *connection;
	bool from_guest;
	size_t in_start, in_size, out_start, out_size; /* where what waits begins, and how much it is */
	uint32_t passing, dropping;                    /* bytes of the data that are under way */
	unsigned note_count; /* commands of the filter's own, for between two frames */
	uint8_t notes[SOUND_NOTES_MAX][SOUND_NOTE_SIZE];
	uint8_t in[PULSE_DESCRIPTOR_SIZE + SOUND_COMMAND_MAX];
	uint8_t out[SOUND_OUT_SIZE];
};

struct sound_connection {
	struct sound_connection *next, **list;
	unsigned *count;
	struct loop *loop;
	struct loop_source guest, server;
	struct sound_filter filter;
	bool moved; /* something has, since this was last looked at */
	struct sound_flow requests, answers;
};

/* Takes both descriptors and adds itself to the list; the rules stay the caller's. It ends when one of the
 * two does. 0 or -errno. */
int sound_connection_create(struct sound_connection **list, unsigned *count, struct loop *loop, int guest,
	int server, const struct sound_rules *rules);
void sound_connection_destroy(struct sound_connection *connection);

#endif
