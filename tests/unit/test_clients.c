/* Those who use a VM: what the VM tells them arrives, whatever else was said, and whoever says it. */
#include "monitor/clients.h"
#include "ph/fd.h"
#include "ph/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define SESSION 1
#define TALK_MAX 1000

static struct loop loop;
static struct clients clients;
static int seat_end, client, talk[2];
static unsigned kept, talk_left;

/* Says as much again as was heard, up to a point. */
static void keep(void *owner, const char *text, size_t size) {
	(void)owner;
	kept++;
	if (talk_left > 0) {
		talk_left--;
		assert_int_equal(write(talk[1], text, size), size);
	}
	loop_stop(&loop, 0);
}

static enum instance_state vm_state;

static uint32_t state(void *owner) {
	(void)owner;
	return (uint32_t)vm_state << 16 | 1;
}

static const struct clients_ops ops = {.keep = keep, .state = state};

static int set_up(void **state) {
	(void)state;
	int ends[2], listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	const struct sockaddr_un any = {.sun_family = AF_UNIX};
	kept = talk_left = 0;
	vm_state = INSTANCE_STARTING;
	assert_int_equal(bind(listener, (const struct sockaddr *)&any, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(pipe2(talk, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(loop_init(&loop), 0);
	seat_end = ends[0];
	client = ends[1];
	const struct vm_seat seat = {.listen_fd = listener, .client_fd = seat_end, .messages_fd = talk[0]};
	/* No test starts a command, for which a control port would be needed. */
	return clients_init(&clients, &loop, NULL, &seat, SESSION + 1, &ops, NULL);
}

static int tear_down(void **state) {
	(void)state;
	int listener = clients.listener.fd;
	clients_finish(&clients);
	loop_finish(&loop);
	const int all[] = {listener, seat_end, client, talk[0], talk[1]};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		close(all[i]);
	}
	return 0;
}

static void go_round(void) {
	loop.stopped = false;
	assert_int_equal(loop_run(&loop), 0);
}

/* More than the client's socket holds. */
static void say_too_much(void) {
	char line[4096];
	memset(line, 'x', sizeof(line));
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(write(talk[1], line, sizeof(line)), sizeof(line));
		go_round();
	}
}

/* The last message, after some texts. */
static struct instance_message read_last(void) {
	static uint8_t buffer[INSTANCE_MESSAGE_MAX];
	struct instance_message message, last = {0};
	unsigned texts = 0;
	while (instance_receive(client, buffer, &message) > 0) {
		texts += message.type == INSTANCE_TEXT;
		last = message;
	}
	assert_in_range(texts, 1, 199);
	return last;
}

static void test_exited_after_texts(void **state) {
	(void)state;
	say_too_much();
	clients_exited(&clients, SESSION, 3, true);
	const struct instance_message last = read_last();
	assert_int_equal(last.type, INSTANCE_EXITED);
	assert_int_equal(last.value, INSTANCE_EXITED_LAST | 3);
}

static void test_failed_after_texts(void **state) {
	(void)state;
	say_too_much();
	clients_failed(&clients, "reason");
	const struct instance_message last = read_last();
	assert_int_equal(last.type, INSTANCE_FAILED);
	assert_memory_equal(last.data, "reason", 6);
}

static void test_told_when_up(void **state) {
	(void)state;
	static uint8_t buffer[INSTANCE_MESSAGE_MAX];
	struct instance_message message;
	vm_state = INSTANCE_RUNNING;
	clients_ready(&clients);
	for (unsigned i = 0; i < 2; i++) {
		const enum instance_state expected = i == 0 ? INSTANCE_STARTING : INSTANCE_RUNNING;
		assert_int_equal(instance_receive(client, buffer, &message), 1);
		assert_int_equal(message.type, INSTANCE_STATE);
		assert_int_equal(message.value >> 16, expected);
	}
	assert_int_equal(instance_receive(client, buffer, &message), -EAGAIN);
}

static void test_endless_talk(void **state) {
	(void)state;
	assert_int_equal(write(talk[1], "x", 1), 1);
	talk_left = TALK_MAX;
	go_round();
	assert_int_equal(kept, 1);
	clients_failed(&clients, "reason");
	assert_in_range(kept, 2, 100);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exited_after_texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_after_texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_told_when_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_endless_talk, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("clients", tests, NULL, NULL);
}
