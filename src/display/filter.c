/*
 * The filter of one connection: messages taken off the streams, their objects and new ids looked after, in
 * both directions. Runs on the display's loop. What the guest sends is hostile; what the compositor sends is
 * checked as strictly, but for the objects it names.
 */
#include "display/filter_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define ERROR_IMPLEMENTATION 3 /* of wl_display.error */
#define ANSWERS_MAX 262144u    /* bytes that may wait for a program which the filter says something itself */

/* ---- of a VM ---- */

static uint64_t monotonic_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int filter_vm_init(
	struct filter_vm *vm, const char *tag, enum display_clipboard clipboard, uint64_t (*now)(void)) {
	uint64_t secret[2];
	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)) {
		return -EIO;
	}
	*vm = (struct filter_vm){.clipboard = clipboard, .now = now != NULL ? now : monotonic_ns};
	vm->news = (struct filter_allowance){FILTER_NEWS_MAX, vm->now(), FILTER_NEWS_NS};
	vm->texts = (struct filter_allowance){FILTER_NEWS_MAX, vm->now(), FILTER_TEXT_NS};
	snprintf(vm->tag, sizeof(vm->tag), "%s", tag);
	snprintf(vm->mark, sizeof(vm->mark), FILTER_MARK_PREFIX "%016llx%016llx",
		(unsigned long long)secret[0], (unsigned long long)secret[1]);
	return 0;
}

void filter_vm_finish(struct filter_vm *vm) {
	chords_destroy(vm->chords);
	vm->chords = NULL;
}

/* ---- of a connection ---- */

/* The compositor answers with a descriptor when the guest makes one, and may send more of them later. */
static bool is_sender(const struct wl_interface *interface) {
	return interface == &wl_keyboard_interface || interface == &zwp_linux_dmabuf_feedback_v1_interface;
}

/* What there may be fewer of than of other objects; count is NULL for those others. */
struct scarce {
	unsigned *count, most;
	const char *rule; /* of whoever has more */
};

static struct scarce find_scarce(struct filter_vm *vm, const struct wl_interface *interface) {
	if (is_sender(interface)) {
		return (struct scarce){&vm->senders, FILTER_SENDERS_MAX,
			"the VM has too many keyboards, or listens to too many feedbacks"};
	}
	if (interface == &xdg_surface_interface) {
		return (struct scarce){
			&vm->windows, FILTER_WINDOWS_MAX, "the VM has too many windows and popups"};
	}
	if (interface == &wl_subsurface_interface) {
		return (struct scarce){
			&vm->subsurfaces, FILTER_SUBSURFACES_MAX, "the VM has too many subsurfaces"};
	}
	return (struct scarce){0};
}

void filter_count(struct filter_vm *vm, const struct wl_interface *interface, int change) {
	const struct scarce scarce = find_scarce(vm, interface);
	vm->objects += (unsigned)change;
	if (scarce.count != NULL) {
		*scarce.count += (unsigned)change;
	}
}

struct filter *filter_create(struct filter_vm *vm) {
	struct filter *filter = calloc(1, sizeof(*filter));
	if (filter == NULL) {
		return NULL;
	}
	filter->vm = vm;
	if (wire_objects_add(&filter->objects, 1, &wl_display_interface, 1) == NULL) {
		filter_destroy(filter);
		return NULL;
	}
	filter_count(vm, &wl_display_interface, 1);
	return filter;
}

static void release_all(struct filter *filter) {
	struct wire_objects *objects = &filter->objects;
	for (uint32_t i = 0; i < objects->client_count; i++) {
		filter_release(filter, &objects->client[i]);
		filter_drop_memory(filter->vm, &objects->client[i]);
		if (objects->client[i].interface != NULL) {
			filter_count(filter->vm, objects->client[i].interface, -1);
		}
	}
	for (uint32_t i = 0; i < objects->server_count; i++) {
		filter_release(filter, &objects->server[i]);
		filter_drop_memory(filter->vm, &objects->server[i]);
	}
}

void filter_destroy(struct filter *filter) {
	if (filter == NULL) {
		return;
	}
	release_all(filter);
	filter_end_guest(filter);
	wire_objects_finish(&filter->objects);
	wire_queue_finish(&filter->from_host);
	wire_queue_finish(&filter->to_guest);
	free(filter->globals);
	free(filter);
}

/* ---- a message ---- */

enum verdict filter_break(struct passage *passage, const char *format, ...) {
	char *rule = passage->filter->rule;
	const size_t size = sizeof(passage->filter->rule);
	int length = 0;
	if (passage->type != NULL) {
		length = snprintf(rule, size, "%s@%u.%s: ", passage->interface->name, passage->message.object,
			passage->type->name);
	}
	va_list args;
	va_start(args, format);
	vsnprintf(rule + length, size - (size_t)length, format, args);
	va_end(args);
	return FILTER_BREAK;
}

static enum verdict answer(struct passage *passage, uint32_t id, const struct wl_interface *interface,
	uint16_t opcode, const union wire_arg *args) {
	struct wire_queue *queue = &passage->filter->to_guest;
	if (wire_queue_size(queue) > ANSWERS_MAX) {
		return filter_break(passage, "answered too often, and the program does not listen");
	}
	int ret = wire_write(queue, id, opcode, &interface->events[opcode], args, WIRE_LIBWAYLAND_MAX);
	return ret < 0 ? filter_break(passage, "no memory to answer") : FILTER_PASS;
}

enum verdict filter_answer(
	struct passage *passage, uint32_t id, const struct wl_interface *interface, uint16_t opcode) {
	return answer(passage, id, interface, opcode, NULL);
}

enum verdict filter_forward(struct passage *passage, struct wire_queue *to) {
	const struct wire_message *message = &passage->message;
	int ret = passage->rewritten ? wire_write(to, message->object, message->opcode, passage->type,
					       passage->args, WIRE_MESSAGE_MAX)
				     : wire_queue_append(to, message->data, message->size);
	if (ret < 0) {
		return filter_break(passage, "no memory to pass it on");
	}
	for (unsigned i = 0; i < passage->fd_count; i++) {
		wire_queue_push_fd(to, passage->fds[i], passage->kinds[i]); /* there is room: see next() */
	}
	passage->fd_count = 0;
	return FILTER_DONE;
}

static void close_fds(struct passage *passage) {
	while (passage->fd_count > 0) {
		close(passage->fds[--passage->fd_count]);
	}
}

/* The next descriptor that the guest sent; -1: there is none. It counts no longer as one that waits. */
static int pop_guest_fd(struct filter *filter, uint8_t *kind) {
	struct wire_queue *queue = &filter->from_guest;
	int fd = wire_queue_pop_fd(queue, kind);
	if (fd >= 0) {
		filter->vm->pool_bytes -= filter->unclaimed[0];
		memmove(filter->unclaimed, filter->unclaimed + 1,
			queue->fd_count * sizeof(filter->unclaimed[0]));
	}
	return fd;
}

/* What the message takes of the descriptors beside the stream. */
static enum verdict take_fds(struct passage *passage, bool from_guest) {
	struct filter *filter = passage->filter;
	unsigned count = wire_count(passage->type, 'h');
	while (passage->fd_count < count) {
		unsigned i = passage->fd_count;
		uint8_t *kind = &passage->kinds[i];
		int fd =
			from_guest ? pop_guest_fd(filter, kind) : wire_queue_pop_fd(&filter->from_host, kind);
		if (fd < 0) {
			return filter_break(passage, "a descriptor is missing");
		}
		passage->fds[i] = fd;
		passage->fd_count++;
	}
	return FILTER_PASS;
}

static enum verdict add_object(
	struct passage *passage, uint32_t id, const struct wl_interface *interface, uint32_t version) {
	struct filter *filter = passage->filter;
	bool from_guest = id < WIRE_SERVER_ID_FIRST;
	if (from_guest && filter->vm->objects >= FILTER_OBJECTS_MAX) {
		return filter_break(passage, "the VM has too many objects");
	}
	const struct scarce scarce = find_scarce(filter->vm, interface);
	if (from_guest && scarce.count != NULL && *scarce.count >= scarce.most) {
		return filter_break(passage, "%s", scarce.rule);
	}
	struct wire_object *old = wire_objects_find(&filter->objects, id);
	if (old != NULL && old->dead && !from_guest) {
		filter_release(filter, old);
	}
	if (wire_objects_add(&filter->objects, id, interface, version) == NULL) {
		return filter_break(passage, "the new id %u is not free or not the next one", id);
	}
	if (from_guest) {
		filter_count(filter->vm, interface, 1);
	}
	return FILTER_PASS;
}

/* ---- from the guest ---- */

static enum verdict find_request(struct passage *passage) {
	const struct wire_message *message = &passage->message;
	const struct wire_object *object = passage_object(passage);
	if (object == NULL || object->dead) {
		return filter_break(passage, "a request for object %u, which there is not", message->object);
	}
	passage->interface = object->interface;
	if (message->opcode >= object->interface->method_count) {
		return filter_break(passage, "%s@%u: there is no request %u", object->interface->name,
			message->object, message->opcode);
	}
	passage->type = &object->interface->methods[message->opcode];
	if (wire_since(passage->type) > object->version) {
		return filter_break(passage, "not in version %u", object->version);
	}
	return FILTER_PASS;
}

/* The objects that a request names exist and are what they should be; new ones come to be. */
static enum verdict check_objects(struct passage *passage) {
	const char *signature = passage->type->signature;
	uint32_t version = passage_object(passage)->version;
	bool nullable;
	char next;
	enum verdict verdict = FILTER_PASS;
	for (unsigned i = 0; verdict == FILTER_PASS; i++) {
		next = wire_signature_next(&signature, &nullable);
		uint32_t id = passage->args[i].object;
		const struct wl_interface *interface = next != '\0' ? passage->type->types[i] : NULL;
		if (next == '\0') {
			break;
		}
		if (next == 'o' && id != 0) {
			const struct wire_object *object = wire_objects_find(&passage->filter->objects, id);
			if (object == NULL || object->dead || object->gone ||
				object->interface != interface) {
				verdict = filter_break(passage, "object %u is no %s", id,
					interface != NULL ? interface->name : "object");
			}
		} else if (next == 'n' && id >= WIRE_SERVER_ID_FIRST) {
			verdict = filter_break(passage, "the new id %u is the compositor's", id);
		} else if (next == 'n' && interface != NULL) {
			verdict = add_object(passage, id, interface, version);
		} else if (next == 'n') {
			interface = filter_bind(passage);
			verdict = interface == NULL ? FILTER_BREAK
						    : add_object(passage, id, interface, passage->args[2].u);
		}
	}
	return verdict;
}

/* Its id is free when the compositor says so; of its own ids it never does. */
static void bury(struct filter *filter, struct wire_object *object, uint32_t id) {
	filter_release(filter, object);
	if (id >= WIRE_SERVER_ID_FIRST) {
		filter_drop_memory(filter->vm, object);
	}
	object->dead = true;
}

enum verdict filter_destroy_object(struct passage *passage, uint32_t id) {
	struct filter *filter = passage->filter;
	struct wire_object *object = wire_objects_find(&filter->objects, id);
	if (object == NULL || object->dead || object->gone || (object->destructors & 1) == 0) {
		return FILTER_PASS;
	}
	int ret = wire_write(
		&filter->to_host, id, 0, &object->interface->methods[0], NULL, WIRE_LIBWAYLAND_MAX);
	filter_release(filter, object);
	object->gone = true;
	return ret < 0 ? filter_break(passage, "no memory to destroy what is in it") : FILTER_PASS;
}

void filter_remove(struct filter *filter, struct wire_object *object, uint32_t id) {
	filter_release(filter, object);
	filter_count(filter->vm, object->interface, -1);
	filter_drop_memory(filter->vm, object);
	wire_objects_remove(&filter->objects, id);
}

/* A request for what the compositor does not have any more. Once it is destroyed, its id is free as soon as
 * the compositor said so. */
static enum verdict swallow(struct passage *passage, struct wire_object *object) {
	const uint32_t id = passage->message.object;
	if (wire_count(passage->type, 'n') > 0) {
		return filter_break(passage, "its window is gone");
	}
	if ((object->destructors >> passage->message.opcode & 1) == 0) {
		return FILTER_DONE;
	}
	object->dead = true;
	if (!object->deleted) {
		return FILTER_DONE;
	}
	const union wire_arg args[] = {{.u = id}};
	enum verdict verdict = answer(passage, 1, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, args);
	filter_remove(passage->filter, object, id);
	return verdict == FILTER_PASS ? FILTER_DONE : verdict;
}

static enum verdict pass_request(struct passage *passage) {
	struct filter *filter = passage->filter;
	const unsigned news = filter_news_cost(filter, &passage->message);
	struct filter_allowance *allowance = filter_news_allowance(filter, &passage->message);
	const size_t before = wire_queue_size(&filter->to_host);
	enum verdict verdict = find_request(passage);
	if (verdict == FILTER_PASS && passage->message.size > WIRE_LIBWAYLAND_MAX) {
		verdict = filter_break(
			passage, "%u bytes, at most %u", passage->message.size, WIRE_LIBWAYLAND_MAX);
	}
	if (verdict == FILTER_PASS) {
		const char *rule = wire_parse(&passage->message, passage->type, passage->args);
		verdict = rule != NULL ? filter_break(passage, "%s", rule) : FILTER_PASS;
	}
	if (verdict == FILTER_PASS) {
		verdict = take_fds(passage, true);
	}
	if (verdict == FILTER_PASS && passage_object(passage)->gone) {
		return swallow(passage, passage_object(passage));
	}
	if (verdict == FILTER_PASS) {
		verdict = check_objects(passage);
	}
	if (verdict == FILTER_PASS) {
		verdict = filter_request(passage);
	}
	if (verdict == FILTER_PASS) {
		verdict = filter_forward(passage, &filter->to_host);
	}
	if (news > 0 && wire_queue_size(&filter->to_host) > before) {
		allowance->bytes -= (int64_t)(news + wire_queue_size(&filter->to_host) - before);
	}
	struct wire_object *object = verdict == FILTER_DONE ? passage_object(passage) : NULL;
	if (object != NULL && (object->destructors >> passage->message.opcode & 1) != 0) {
		bury(filter, object, passage->message.object);
	}
	return verdict;
}

/* ---- from the compositor ---- */

static enum verdict find_event(struct passage *passage) {
	const struct wire_message *message = &passage->message;
	const struct wire_object *object = passage_object(passage);
	if (object == NULL) {
		return filter_break(passage, "the compositor sent an event for object %u, which there is not",
			message->object);
	}
	passage->interface = object->interface;
	if (message->opcode >= object->interface->event_count) {
		return filter_break(passage, "the compositor sent %s@%u event %u, which there is not",
			object->interface->name, message->object, message->opcode);
	}
	passage->type = &object->interface->events[message->opcode];
	return FILTER_PASS;
}

static enum verdict add_event_objects(struct passage *passage) {
	const char *signature = passage->type->signature;
	uint32_t version = passage_object(passage)->version;
	bool nullable;
	char next;
	enum verdict verdict = FILTER_PASS;
	for (unsigned i = 0;
		verdict == FILTER_PASS && (next = wire_signature_next(&signature, &nullable)) != '\0'; i++) {
		uint32_t id = passage->args[i].object;
		if (next != 'n' || id == 0) {
			continue;
		}
		if (id < WIRE_SERVER_ID_FIRST || passage->type->types[i] == NULL) {
			return filter_break(passage, "the compositor's new id %u is not one of its own", id);
		}
		verdict = add_object(passage, id, passage->type->types[i], version);
	}
	return verdict;
}

static enum verdict pass_event(struct passage *passage) {
	struct filter *filter = passage->filter;
	enum verdict verdict = find_event(passage);
	if (verdict == FILTER_PASS) {
		const char *rule = wire_parse(&passage->message, passage->type, passage->args);
		verdict = rule != NULL ? filter_break(passage, "%s", rule) : FILTER_PASS;
	}
	if (verdict == FILTER_PASS) {
		verdict = take_fds(passage, false);
	}
	if (verdict == FILTER_PASS) {
		verdict = add_event_objects(passage);
	}
	if (verdict == FILTER_PASS) {
		verdict = filter_event(passage);
	}
	return verdict == FILTER_PASS ? filter_forward(passage, &filter->to_guest) : verdict;
}

/* ---- the streams ---- */

/* Descriptors that the next message needs. */
static unsigned fds_of(const struct filter *filter, const struct wire_message *message, bool from_guest) {
	const struct wire_object *object = wire_objects_find(&filter->objects, message->object);
	if (object == NULL) {
		return 0;
	}
	int count = from_guest ? object->interface->method_count : object->interface->event_count;
	const struct wl_message *types = from_guest ? object->interface->methods : object->interface->events;
	return message->opcode < count ? wire_count(&types[message->opcode], 'h') : 0;
}

/* 1: a whole message which may pass now; 0: none; -EPROTO. */
static int next(const struct filter *filter, bool from_guest, struct wire_message *message) {
	const struct wire_queue *from = from_guest ? &filter->from_guest : &filter->from_host;
	const struct wire_queue *to = from_guest ? &filter->to_host : &filter->to_guest;
	int ret = wire_peek(wire_queue_data(from), wire_queue_size(from), message);
	if (ret == 1 && to->fd_count + fds_of(filter, message, from_guest) > FILTER_FDS_MAX) {
		return 0;
	}
	return ret;
}

/* The guest hears what it did before its connection ends. */
static void tell(struct filter *filter) {
	char text[sizeof(filter->rule) + 8];
	snprintf(text, sizeof(text), "ph: %s", filter->rule);
	const union wire_arg args[] = {{.object = 1}, {.u = ERROR_IMPLEMENTATION}, {.string = text}};
	wire_write(&filter->to_guest, 1, WL_DISPLAY_EVENT_ERROR,
		&wl_display_interface.events[WL_DISPLAY_EVENT_ERROR], args, WIRE_LIBWAYLAND_MAX);
}

/* What a message has not is left undefined: it is most of a passage. */
static void start(struct passage *passage, struct filter *filter) {
	passage->filter = filter;
	passage->interface = NULL;
	passage->type = NULL;
	passage->rewritten = false;
	passage->fd_count = 0;
}

static bool must_rest(const struct filter *filter, const struct wire_message *message) {
	return filter_news_cost(filter, message) > 0 &&
	       !filter_news_allowed(filter->vm, filter_news_allowance(filter, message));
}

static bool pass(struct filter *filter, bool from_guest) {
	struct wire_queue *from = from_guest ? &filter->from_guest : &filter->from_host;
	while (filter->rule[0] == '\0') {
		struct passage passage;
		start(&passage, filter);
		int ret = next(filter, from_guest, &passage.message);
		if (from_guest) {
			filter->rests = ret == 1 && must_rest(filter, &passage.message);
		}
		if (ret == 0 || (from_guest && filter->rests)) {
			return true;
		}
		if (ret < 0) {
			filter_break(&passage, "a message of %u bytes", passage.message.size);
		} else if ((from_guest ? pass_request(&passage) : pass_event(&passage)) != FILTER_BREAK) {
			wire_queue_consume(from, passage.message.size);
		}
		close_fds(&passage);
		if (filter->rule[0] != '\0') {
			tell(filter);
		}
	}
	return false;
}

bool filter_add_fd(struct filter *filter, int fd, enum filter_fd kind) {
	struct wire_queue *queue = &filter->from_guest;
	uint64_t bytes = filter_memory_size(fd, kind);
	if (filter_charge(filter->vm, bytes)) {
		wire_queue_push_fd(queue, fd, (uint8_t)kind);
		filter->unclaimed[queue->fd_count - 1] = bytes;
		return true;
	}
	close(fd);
	snprintf(filter->rule, sizeof(filter->rule), FILTER_TOO_MUCH_MEMORY);
	tell(filter);
	return false;
}

void filter_end_guest(struct filter *filter) {
	int fd;
	while ((fd = pop_guest_fd(filter, NULL)) >= 0) {
		close(fd);
	}
	wire_queue_finish(&filter->from_guest);
	wire_queue_finish(&filter->to_host);
}

bool filter_guest(struct filter *filter) {
	return pass(filter, true);
}

bool filter_host(struct filter *filter) {
	return pass(filter, false);
}

bool filter_guest_waits(const struct filter *filter) {
	struct wire_message message;
	const struct wire_queue *from = &filter->from_guest;
	return !filter->rests && wire_peek(wire_queue_data(from), wire_queue_size(from), &message) != 0;
}

bool filter_host_waits(const struct filter *filter) {
	struct wire_message message;
	const struct wire_queue *from = &filter->from_host;
	return wire_peek(wire_queue_data(from), wire_queue_size(from), &message) != 0;
}
