/*
 * The rules of sound: what a program of the VM may ask of the server, and what it hears of it. In the sound
 * filter's process. The guest's commands are hostile; the server's are not meant to harm, but it does not
 * know that it speaks to a VM.
 *
 * Anything that is not listed is refused. A program may play, and look after what it plays, once the server
 * has said that the stream is there: PipeWire's ends when it gets the data of one before. It may know of the
 * outputs, as it has to choose one. It may record if the user said so, but never what other programs
 * play: the server alone knows what a stream is connected to in the end, so its answer is what decides.
 */
#include "sound/filter.h"

#include "sound/protocol.h"
#include "sound/rewrite.h"
#include "sound/stream.h"
#include "sound/tags.h"

#include <string.h>

#define MONITOR ".monitor"

enum rule {
	REFUSED,
	ALLOWED,
	MICROPHONE, /* allowed with a microphone */
	PLAYBACK,   /* about a playback stream of the connection: the first number is its channel */
	RECORD,     /* about a record stream of the connection: the same */
	OWN_INPUT,  /* the first number is the server's of a playback stream of the connection */
};

static const uint8_t requests[PULSE_COMMANDS] = {
	[PULSE_CREATE_PLAYBACK_STREAM] = ALLOWED,
	[PULSE_DELETE_PLAYBACK_STREAM] = PLAYBACK,
	[PULSE_SET_CLIENT_NAME] = ALLOWED,
	[PULSE_LOOKUP_SINK] = ALLOWED,
	[PULSE_DRAIN_PLAYBACK_STREAM] = PLAYBACK,
	[PULSE_STAT] = ALLOWED,
	[PULSE_GET_PLAYBACK_LATENCY] = PLAYBACK,
	[PULSE_GET_SERVER_INFO] = ALLOWED,
	[PULSE_GET_SINK_INFO] = ALLOWED,
	[PULSE_GET_SINK_INFO_LIST] = ALLOWED,
	[PULSE_SUBSCRIBE] = ALLOWED,
	[PULSE_CORK_PLAYBACK_STREAM] = PLAYBACK,
	[PULSE_FLUSH_PLAYBACK_STREAM] = PLAYBACK,
	[PULSE_TRIGGER_PLAYBACK_STREAM] = PLAYBACK,
	[PULSE_PREBUF_PLAYBACK_STREAM] = PLAYBACK,
	[PULSE_SET_PLAYBACK_STREAM_NAME] = PLAYBACK,
	[PULSE_SET_PLAYBACK_BUFFER] = PLAYBACK,
	[PULSE_UPDATE_PLAYBACK_RATE] = PLAYBACK,
	[PULSE_UPDATE_PLAYBACK_PROPLIST] = PLAYBACK,
	[PULSE_UPDATE_CLIENT_PROPLIST] = ALLOWED,
	[PULSE_GET_SINK_INPUT_INFO] = OWN_INPUT,
	[PULSE_SET_SINK_INPUT_VOLUME] = OWN_INPUT,
	[PULSE_SET_SINK_INPUT_MUTE] = OWN_INPUT,
	[PULSE_KILL_SINK_INPUT] = OWN_INPUT,
	[PULSE_CREATE_RECORD_STREAM] = MICROPHONE,
	[PULSE_DELETE_RECORD_STREAM] = RECORD,
	[PULSE_LOOKUP_SOURCE] = MICROPHONE,
	[PULSE_GET_SOURCE_INFO] = MICROPHONE,
	[PULSE_GET_SOURCE_INFO_LIST] = MICROPHONE,
	[PULSE_SET_RECORD_STREAM_NAME] = RECORD,
	[PULSE_GET_RECORD_LATENCY] = RECORD,
	[PULSE_CORK_RECORD_STREAM] = RECORD,
	[PULSE_FLUSH_RECORD_STREAM] = RECORD,
	[PULSE_SET_RECORD_BUFFER] = RECORD,
	[PULSE_UPDATE_RECORD_RATE] = RECORD,
	[PULSE_UPDATE_RECORD_PROPLIST] = RECORD,
};

/* What of the server's passes unread. */
static bool is_harmless(uint32_t number) {
	switch (number) {
	case PULSE_REQUEST:
	case PULSE_OVERFLOW:
	case PULSE_UNDERFLOW:
	case PULSE_PLAYBACK_STREAM_SUSPENDED:
	case PULSE_RECORD_STREAM_SUSPENDED:
	case PULSE_PLAYBACK_STREAM_MOVED:
	case PULSE_STARTED:
	case PULSE_CLIENT_EVENT:
	case PULSE_PLAYBACK_STREAM_EVENT:
	case PULSE_RECORD_STREAM_EVENT:
	case PULSE_PLAYBACK_BUFFER_CHANGED:
	case PULSE_RECORD_BUFFER_CHANGED:
		return true;
	default:
		return false;
	}
}

/* ---- streams ---- */

static struct sound_stream *find_stream(const struct sound_filter *filter, bool record, uint32_t channel) {
	for (unsigned i = 0; i < filter->stream_count; i++) {
		const struct sound_stream *stream = &filter->streams[i];
		if (stream->record == record && stream->channel == channel) {
			return (struct sound_stream *)stream;
		}
	}
	return NULL;
}

static struct sound_stream *find_input(const struct sound_filter *filter, uint32_t input) {
	for (unsigned i = 0; i < filter->stream_count; i++) {
		const struct sound_stream *stream = &filter->streams[i];
		if (!stream->record && stream->input == input) {
			return (struct sound_stream *)stream;
		}
	}
	return NULL;
}

/* NULL: there is none. */
static void remove_stream(struct sound_filter *filter, struct sound_stream *stream) {
	if (stream != NULL) {
		*stream = filter->streams[--filter->stream_count];
	}
}

static enum sound_verdict expect_stream(
	struct sound_filter *filter, uint32_t tag, bool record, struct tags arguments) {
	if (!filter->named || !sound_stream_is_plain(arguments, record) ||
		filter->pending_count == SOUND_PENDING_MAX ||
		filter->stream_count + filter->pending_count >= SOUND_STREAMS_MAX) {
		return SOUND_REFUSE;
	}
	filter->pending[filter->pending_count].tag = tag;
	filter->pending[filter->pending_count].record = record;
	filter->pending_count++;
	return SOUND_PASS;
}

/* Whether a stream was being made with this tag; then it is no longer. */
static bool take_pending(struct sound_filter *filter, uint32_t tag, bool *record) {
	for (unsigned i = 0; i < filter->pending_count; i++) {
		if (filter->pending[i].tag == tag) {
			*record = filter->pending[i].record;
			filter->pending[i] = filter->pending[--filter->pending_count];
			return true;
		}
	}
	return false;
}

/* ---- from the guest ---- */

/* What it can do with shared memory is not told, nor whatever cookie it has: the server knows us by our user.
 */
static enum sound_verdict authenticate(struct sound_filter *filter, struct tags arguments, uint32_t tag) {
	uint8_t *version = arguments.next + 1, *cookie;
	uint32_t number;
	if (filter->authenticated || !tags_number(&arguments, &number) ||
		!tags_bytes(&arguments, PULSE_COOKIE_SIZE, &cookie) || arguments.left != 0 ||
		(number & PULSE_VERSION_MASK) < PULSE_VERSION_MIN) {
		return SOUND_HANG_UP;
	}
	tags_put(version, number & PULSE_VERSION_MASK);
	memset(cookie, 0, PULSE_COOKIE_SIZE);
	filter->authenticated = true;
	filter->auth_tag = tag;
	return SOUND_PASS;
}

/* Events about sinks, the server and playback streams, of which those of others are left out later. */
static enum sound_verdict subscribe(struct tags arguments) {
	const uint32_t heard =
		1u << PULSE_FACILITY_SINK | 1u << PULSE_FACILITY_SINK_INPUT | 1u << PULSE_FACILITY_SERVER;
	uint8_t *mask = arguments.next + 1;
	uint32_t number;
	if (!tags_number(&arguments, &number)) {
		return SOUND_HANG_UP;
	}
	tags_put(mask, number & heard);
	return SOUND_PASS;
}

/* The name is to stay, so what a program says is added to what it said, in place of all that. */
static enum sound_verdict update(struct tags arguments) {
	uint8_t *mode = arguments.next + 1;
	uint32_t number;
	if (!tags_number(&arguments, &number)) {
		return SOUND_HANG_UP;
	}
	tags_put(mode, number == PULSE_UPDATE_SET ? PULSE_UPDATE_REPLACE : number);
	return SOUND_PASS;
}

/* first: what the rules about streams are about; NULL: there is none. */
static bool is_allowed(const struct sound_filter *filter, uint32_t number, const uint32_t *first) {
	switch (number < PULSE_COMMANDS ? (enum rule)requests[number] : REFUSED) {
	case ALLOWED:
		return true;
	case MICROPHONE:
		return filter->rules->microphone;
	case PLAYBACK:
		return first != NULL && find_stream(filter, false, *first) != NULL;
	case RECORD:
		return first != NULL && find_stream(filter, true, *first) != NULL;
	case OWN_INPUT:
		return first != NULL && find_input(filter, *first) != NULL;
	default:
		return false;
	}
}

static enum sound_verdict judge(
	struct sound_filter *filter, uint32_t number, uint32_t tag, struct tags arguments) {
	struct tags rest = arguments;
	uint32_t first = 0;
	bool has_first = tags_number(&rest, &first);
	if (!is_allowed(filter, number, has_first ? &first : NULL)) {
		return SOUND_REFUSE;
	}
	switch (number) {
	case PULSE_SUBSCRIBE:
		return subscribe(arguments);
	case PULSE_UPDATE_CLIENT_PROPLIST:
		return update(arguments);
	case PULSE_UPDATE_PLAYBACK_PROPLIST:
	case PULSE_UPDATE_RECORD_PROPLIST:
		return update(rest); /* behind the stream's number */
	case PULSE_CREATE_PLAYBACK_STREAM:
	case PULSE_CREATE_RECORD_STREAM:
		return expect_stream(filter, tag, number == PULSE_CREATE_RECORD_STREAM, arguments);
	case PULSE_DELETE_PLAYBACK_STREAM:
	case PULSE_DELETE_RECORD_STREAM:
		remove_stream(filter, find_stream(filter, number == PULSE_DELETE_RECORD_STREAM, first));
		return SOUND_PASS;
	case PULSE_KILL_SINK_INPUT:
		remove_stream(filter, find_input(filter, first));
		return SOUND_PASS;
	default:
		return SOUND_PASS;
	}
}

/* With more than that one server takes the first alone, and another nothing. */
static bool is_one_list(struct tags arguments) {
	return tags_list(&arguments) && arguments.left == 0;
}

/* libpulse counts its tags upwards, so each is asked to: with a tag that was there before, the answer to
 * another command would pass for that about a new stream. */
enum sound_verdict sound_filter_request(
	struct sound_filter *filter, uint8_t *command, size_t size, uint32_t *tag) {
	bool named = false;
	filter->command_size = sound_rewrite(
		filter->rules->tag, command, size, filter->command, size + SOUND_COMMAND_GROWTH, &named);
	struct tags tags = {.next = filter->command, .left = filter->command_size};
	uint32_t number;
	if (!tags_number(&tags, &number) || !tags_number(&tags, tag) || *tag >= SOUND_OWN_TAG ||
		*tag < filter->next_tag) {
		return SOUND_HANG_UP;
	}
	filter->next_tag = *tag + 1;
	if (number == PULSE_AUTH) {
		return authenticate(filter, tags, *tag);
	}
	filter->named |= named && number == PULSE_SET_CLIENT_NAME && is_one_list(tags);
	return filter->authenticated ? judge(filter, number, *tag, tags) : SOUND_HANG_UP;
}

enum sound_verdict sound_filter_request_data(
	const struct sound_filter *filter, uint32_t channel, uint32_t flags) {
	if (!filter->authenticated || (flags & ~PULSE_SEEK_FLAGS) != 0) {
		return SOUND_HANG_UP;
	}
	return find_stream(filter, false, channel) != NULL ? SOUND_PASS : SOUND_DROP;
}

/* ---- from the server ---- */

/* The name of what a record stream records, behind its numbers and its format; NULL: there is none to see. */
static const char *find_source(struct tags arguments) {
	uint32_t ignored;
	const char *name;
	bool found = tags_number(&arguments, &ignored);
	found = found && tags_number(&arguments, &ignored) && tags_sample_spec(&arguments) &&
		tags_channel_map(&arguments) && tags_number(&arguments, &ignored) &&
		tags_string(&arguments, &name);
	return found ? name : NULL;
}

static bool is_microphone(const char *source) {
	return source != NULL && strstr(source, MONITOR) == NULL;
}

static enum sound_verdict stream_made(
	struct sound_filter *filter, bool record, struct tags arguments, uint32_t *channel) {
	struct sound_stream stream = {.record = record};
	if (!tags_number(&arguments, &stream.channel) || !tags_number(&arguments, &stream.input)) {
		return SOUND_HANG_UP;
	}
	*channel = stream.channel;
	/* A server that says it twice means the new one. */
	remove_stream(filter, find_stream(filter, record, stream.channel));
	if (record && !is_microphone(find_source(arguments))) {
		return SOUND_CANCEL;
	}
	if (filter->stream_count == SOUND_STREAMS_MAX) {
		return SOUND_HANG_UP;
	}
	filter->streams[filter->stream_count++] = stream;
	return SOUND_PASS;
}

static enum sound_verdict judge_reply(
	struct sound_filter *filter, bool error, uint32_t tag, struct tags arguments, uint32_t *channel) {
	bool record;
	if (tag == SOUND_OWN_TAG) {
		return SOUND_DROP;
	}
	if (take_pending(filter, tag, &record) && !error) {
		return stream_made(filter, record, arguments, channel);
	}
	if (tag == filter->auth_tag && !error && arguments.left >= 5) {
		tags_put(arguments.next + 1, tags_get(arguments.next + 1) & PULSE_VERSION_MASK);
	}
	return SOUND_PASS;
}

static enum sound_verdict judge_event(const struct sound_filter *filter, struct tags arguments) {
	uint32_t event, index;
	if (!tags_number(&arguments, &event) || !tags_number(&arguments, &index)) {
		return SOUND_DROP;
	}
	switch (event & PULSE_FACILITY_MASK) {
	case PULSE_FACILITY_SINK:
	case PULSE_FACILITY_SERVER:
		return SOUND_PASS;
	case PULSE_FACILITY_SINK_INPUT:
		return find_input(filter, index) != NULL ? SOUND_PASS : SOUND_DROP;
	default:
		return SOUND_DROP;
	}
}

/* Somebody, or the loss of a microphone, connected it to another source. */
static enum sound_verdict stream_moved(struct sound_filter *filter, struct tags arguments) {
	uint32_t channel, source;
	const char *name = NULL;
	if (!tags_number(&arguments, &channel)) {
		return SOUND_DROP;
	}
	struct sound_stream *stream = find_stream(filter, true, channel);
	if (stream != NULL) {
		bool named = tags_number(&arguments, &source) && tags_string(&arguments, &name);
		stream->silent = !named || !is_microphone(name);
	}
	return SOUND_PASS;
}

enum sound_verdict sound_filter_answer(
	struct sound_filter *filter, uint8_t *command, size_t size, uint32_t *tag, uint32_t *channel) {
	struct tags tags = {.next = command, .left = size};
	uint32_t number, first;
	if (!tags_number(&tags, &number) || !tags_number(&tags, tag)) {
		return SOUND_HANG_UP;
	}
	struct tags arguments = tags;
	switch (number) {
	case PULSE_ERROR:
	case PULSE_REPLY:
		return judge_reply(filter, number == PULSE_ERROR, *tag, arguments, channel);
	case PULSE_SUBSCRIBE_EVENT:
		return judge_event(filter, arguments);
	case PULSE_RECORD_STREAM_MOVED:
		return stream_moved(filter, arguments);
	case PULSE_PLAYBACK_STREAM_KILLED:
	case PULSE_RECORD_STREAM_KILLED:
		if (tags_number(&tags, &first)) {
			remove_stream(
				filter, find_stream(filter, number == PULSE_RECORD_STREAM_KILLED, first));
		}
		return SOUND_PASS;
	default:
		return is_harmless(number) ? SOUND_PASS : SOUND_DROP;
	}
}

enum sound_verdict sound_filter_answer_data(
	const struct sound_filter *filter, uint32_t channel, uint32_t flags) {
	const struct sound_stream *stream = find_stream(filter, true, channel);
	if ((flags & ~PULSE_SEEK_FLAGS) != 0) {
		return SOUND_HANG_UP;
	}
	return stream != NULL && !stream->silent ? SOUND_PASS : SOUND_DROP;
}
