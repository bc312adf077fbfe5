/* What passes between a program of the VM and the sound server: one connection's rules and what they need to
 * remember. It knows no sockets. */
#ifndef SOUND_FILTER_H
#define SOUND_FILTER_H

#include "ph/sound.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a connection. */
#define SOUND_STREAMS_MAX 64
#define SOUND_PENDING_MAX 32
/* The largest command: those with lists of properties, which may hold an icon. */
#define SOUND_COMMAND_MAX (256 * 1024)
/* How much longer the names of the VM make it, at most. */
#define SOUND_COMMAND_GROWTH 4096
/* The tag of commands of the filter's own. */
#define SOUND_OWN_TAG 0xfffffffeu

enum sound_verdict {
	SOUND_PASS,
	SOUND_DROP,
	SOUND_REFUSE, /* the guest is told so */
	SOUND_CANCEL, /* that, and the server is to delete the record stream that it has made */
	SOUND_HANG_UP,
};

struct sound_stream {
	bool record;
	bool silent;      /* it records what it may not: its data do not pass */
	uint32_t channel; /* its number on this connection */
	uint32_t input;   /* the server's number of a playback stream */
};

struct sound_filter {
	const struct sound_rules *rules;
	bool authenticated; /* AUTH was sent */
	bool named;         /* the program said what it is called */
	uint32_t auth_tag;
	uint32_t next_tag; /* the least that the guest's next command may have */
	struct sound_stream streams[SOUND_STREAMS_MAX];
	unsigned stream_count;
	struct {
		uint32_t tag;
		bool record;
	} pending[SOUND_PENDING_MAX]; /* streams that are being made */
	unsigned pending_count;
	size_t command_size;
	uint8_t command[SOUND_COMMAND_MAX + SOUND_COMMAND_GROWTH];
};

/* A whole command of the guest's; what passes of it is in filter->command then. *tag is the one to refuse by.
 */
enum sound_verdict sound_filter_request(
	struct sound_filter *filter, uint8_t *command, size_t size, uint32_t *tag);
/* One of the server's, which may be changed where it is. *tag as above; for SOUND_CANCEL *channel is the
 * stream's. */
enum sound_verdict sound_filter_answer(
	struct sound_filter *filter, uint8_t *command, size_t size, uint32_t *tag, uint32_t *channel);
/* A stream's data, by their descriptor. */
enum sound_verdict sound_filter_request_data(
	const struct sound_filter *filter, uint32_t channel, uint32_t flags);
enum sound_verdict sound_filter_answer_data(
	const struct sound_filter *filter, uint32_t channel, uint32_t flags);

#endif
