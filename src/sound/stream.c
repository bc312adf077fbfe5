/*
 * What a program of the VM may ask of a stream that it wants made. In the sound filter's process; all of it
 * is hostile.
 *
 * A stream that passes through, with samples or in an encoding that the device decodes, has the device for
 * itself: the server sets its volume to the full and turns other programs away. And one may record what a
 * single other stream plays. Servers read the values in their order, so a truth is known by how many stand
 * before it.
 */
#include "sound/stream.h"

#include "sound/protocol.h"

static const struct {
	unsigned passthrough;     /* which of the truths, from 1 */
	unsigned direct_on_input; /* which of the numbers; 0: none */
} layouts[] = {{.passthrough = 17}, {.passthrough = 18, .direct_on_input = 4}};

/* Behind the letter of a format. */
static bool is_pcm(struct tags *tags) {
	const uint8_t *encoding = tags->next;
	return tags_any(tags) && encoding[0] == 'B' && encoding[1] == PULSE_ENCODING_PCM;
}

bool sound_stream_is_plain(struct tags arguments, bool record) {
	unsigned truths = 0, numbers = 0;
	bool plain = true;
	while (plain && arguments.left > 0) {
		const uint8_t *value = arguments.next;
		plain = tags_list(&arguments) || tags_any(&arguments);
		switch (*value) {
		case '0':
		case '1':
			truths++;
			plain &= *value == '0' || truths != layouts[record].passthrough;
			break;
		case 'L':
			numbers++;
			plain &= numbers != layouts[record].direct_on_input ||
				 tags_get(value + 1) == PULSE_NO_INDEX;
			break;
		case 'f':
			plain &= is_pcm(&arguments);
			break;
		default:
			break;
		}
	}
	return plain;
}
