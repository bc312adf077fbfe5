/*
 * The order in which flushes and what they flush are answered: a guest takes the room for a reply back when
 * it has the answer to the flush. Requests that come at awkward moments come by the test's hand, on one
 * thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "files/server.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM 64

/* A request and the room for its reply; its name is the transport's cookie. */
struct message {
	uint8_t request[16], reply[ROOM];
	struct iovec in, out;
	struct p9_exchange exchange;
	struct p9_request begun;
	struct p9_scratch scratch;
};

struct fixture {
	struct p9_server server;
	char answered[16]; /* names, in order */
	/* what happens in the middle of the first answer, before it is the guest's or after that */
	void (*before)(struct fixture *fixture);
	void (*after)(struct fixture *fixture);
	struct message first, second, flush;
};

static void act(struct fixture *f, void (**moment)(struct fixture *fixture)) {
	void (*acts)(struct fixture * fixture) = *moment;
	*moment = NULL;
	if (acts != NULL) {
		acts(f);
	}
}

static void completed(void *owner, uint64_t cookie, uint32_t written) {
	struct fixture *f = owner;
	assert_true(written >= P9_HEADER_SIZE);
	act(f, &f->before);
	size_t count = strlen(f->answered);
	assert_true(count + 1 < sizeof(f->answered));
	f->answered[count] = (char)cookie;
	act(f, &f->after);
}

static int setup(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	struct p9_server_config config = {.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.msize = P9_MSIZE_MIN,
		.complete = completed,
		.owner = f};
	assert_int_equal(p9_server_init(&f->server, &config), 0);
	close(config.root_fd);
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	p9_server_finish(&f->server);
	free(f);
	return 0;
}

static void begin(struct fixture *f, struct message *message, char name) {
	message->in = (struct iovec){message->request, message->request[0]};
	message->out = (struct iovec){message->reply, ROOM};
	message->exchange = (struct p9_exchange){.in = &message->in,
		.out = &message->out,
		.in_count = 1,
		.out_count = 1,
		.in_size = message->request[0],
		.out_size = ROOM,
		.cookie = (uint64_t)name};
	assert_true(p9_server_begin(&f->server, &message->begun, &message->exchange));
}

/* Any request at all, here for an error. */
static void begin_clunk(struct fixture *f, struct message *message, char name, uint8_t tag) {
	const uint8_t clunk[] = {11, 0, 0, 0, P9_TCLUNK, tag, 0, 1, 0, 0, 0};
	memcpy(message->request, clunk, sizeof(clunk));
	begin(f, message, name);
}

static void begin_flush(struct fixture *f, uint8_t tag) {
	const uint8_t flush[] = {9, 0, 0, 0, P9_TFLUSH, 100, 0, tag, 0};
	memcpy(f->flush.request, flush, sizeof(flush));
	begin(f, &f->flush, 'F');
}

static void serve(struct message *message) {
	p9_server_serve(&message->begun, &message->scratch);
}

static void flush_5(struct fixture *f) {
	begin_flush(f, 5);
	serve(&f->flush);
}

/* A thread has the request, and another serves the flush first. */
static void test_not_yet_served(void **state) {
	struct fixture *f = *state;
	begin_clunk(f, &f->first, '1', 5);
	flush_5(f);
	assert_string_equal(f->answered, "");
	serve(&f->first);
	assert_string_equal(f->answered, "1F");
	assert_int_equal(f->flush.reply[4], P9_TFLUSH + 1);
}

/* Its reply is in place, but the guest does not know yet. */
static void test_about_to_be_answered(void **state) {
	struct fixture *f = *state;
	begin_clunk(f, &f->first, '1', 5);
	f->before = flush_5;
	serve(&f->first);
	assert_string_equal(f->answered, "1F");
}

static void reuse_5(struct fixture *f) {
	begin_clunk(f, &f->second, '2', 5);
	flush_5(f);
}

/* The guest has the reply and uses the tag again, while the server is not done with the first. */
static void test_tag_used_again(void **state) {
	struct fixture *f = *state;
	begin_clunk(f, &f->first, '1', 5);
	f->after = reuse_5;
	serve(&f->first);
	assert_string_equal(f->answered, "1");
	serve(&f->second);
	assert_string_equal(f->answered, "12F");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_not_yet_served, setup, teardown),
		cmocka_unit_test_setup_teardown(test_about_to_be_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tag_used_again, setup, teardown),
	};
	return cmocka_run_group_tests_name("p9 flush", tests, NULL, NULL);
}
