/* The event loop: dispatch, removal from within callbacks, stopping. */
#include "ph/fd.h"
#include "ph/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop loop;
static struct loop_source *sources[2];
static unsigned calls[2];
static uint32_t seen;

static struct loop_source *new_source(void (*ready)(struct loop_source *source, uint32_t events)) {
	struct loop_source *source = calloc(1, sizeof(*source));
	assert_non_null(source);
	source->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	source->ready = ready;
	return source;
}

static void free_source(struct loop_source *source) {
	loop_remove(&loop, source);
	close(source->fd);
	free(source);
}

static int set_up(void **state) {
	(void)state;
	memset(calls, 0, sizeof(calls));
	return loop_init(&loop);
}

static int tear_down(void **state) {
	(void)state;
	loop_finish(&loop);
	return 0;
}

static void stop_with_7(struct loop_source *source, uint32_t events) {
	(void)source;
	seen = events;
	loop_stop(&loop, 7);
	loop_stop(&loop, 8); /* the first counts */
}

static void test_dispatch_and_stop(void **state) {
	(void)state;
	struct loop_source *source = new_source(stop_with_7);
	assert_int_equal(loop_add(&loop, source, EPOLLIN), 0);
	assert_int_equal(loop_run(&loop), 7);
	assert_int_equal(seen, EPOLLIN);
	assert_int_equal(loop_run(&loop), 7); /* stopped is stopped */
	free_source(source);
}

/* Whichever of the two comes first frees the other: its callback must not run. */
static void free_the_other(struct loop_source *source, uint32_t events) {
	(void)events;
	unsigned me = source == sources[1];
	calls[me]++;
	assert_non_null(sources[me]);
	free_source(sources[!me]);
	sources[!me] = NULL;
	loop_stop(&loop, 0);
	loop.stopped = false; /* so that the rest of the batch would be dispatched */
	fd_event_drain(source->fd);
	source->ready = stop_with_7;
	fd_event_signal(source->fd);
}

static void test_freed_by_another_callback(void **state) {
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		sources[i] = new_source(free_the_other);
		assert_int_equal(loop_add(&loop, sources[i], EPOLLIN), 0);
	}
	loop_run(&loop);
	assert_int_equal(calls[0] + calls[1], 1);
	free_source(sources[0] != NULL ? sources[0] : sources[1]);
}

static void free_itself(struct loop_source *source, uint32_t events) {
	(void)events;
	calls[0]++;
	free_source(source);
	loop_stop(&loop, 0);
}

static void test_frees_itself(void **state) {
	(void)state;
	assert_int_equal(loop_add(&loop, new_source(free_itself), EPOLLIN), 0);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(calls[0], 1);
}

static void count_until_modified(struct loop_source *source, uint32_t events) {
	calls[0]++;
	if (events & EPOLLOUT) {
		loop_stop(&loop, 0);
		return;
	}
	assert_int_equal(loop_modify(&loop, source, EPOLLOUT), 0);
}

static void test_modify(void **state) {
	(void)state;
	struct loop_source *source = new_source(count_until_modified);
	assert_int_equal(loop_add(&loop, source, EPOLLIN), 0);
	loop_run(&loop);
	assert_int_equal(calls[0], 2);
	free_source(source);
}

static void fall_back(struct loop_source *source, uint32_t events) {
	(void)source;
	(void)events;
	if (++calls[1] == 10) {
		loop_stop(&loop, 0);
	}
}

static void test_remove_is_idempotent(void **state) {
	(void)state;
	struct loop_source *source = new_source(stop_with_7);
	loop_remove(&loop, source);
	assert_int_equal(loop_add(&loop, source, EPOLLIN), 0);
	assert_int_equal(loop_add(&loop, source, EPOLLIN), -EEXIST);
	loop_remove(&loop, source);
	loop_remove(&loop, source);
	assert_int_equal(loop_add(&loop, source, EPOLLIN), 0);
	free_source(source);
}

/* A descriptor's number may belong to another source by the time its first one is removed again. */
static void test_remove_spares_others(void **state) {
	(void)state;
	struct loop_source *first = new_source(free_itself), second = {.fd = first->fd, .ready = stop_with_7};
	assert_int_equal(loop_add(&loop, first, EPOLLIN), 0);
	loop_remove(&loop, first);
	assert_int_equal(loop_add(&loop, &second, EPOLLIN), 0);
	loop_remove(&loop, first);
	struct loop_source *fallback = new_source(fall_back); /* stops with 0 should the second be gone */
	assert_int_equal(loop_add(&loop, fallback, EPOLLIN), 0);
	assert_int_equal(loop_run(&loop), 7);
	loop_remove(&loop, &second);
	free_source(fallback);
	free_source(first);
}

static void test_bad_descriptor(void **state) {
	(void)state;
	struct loop_source source = {.fd = -1, .ready = stop_with_7};
	assert_int_equal(loop_add(&loop, &source, EPOLLIN), -EBADF);
	assert_false(source.added);
}

static void test_finish_accepts_nothing(void **state) {
	(void)state;
	struct loop zeroed = {0}, negative = {.epoll_fd = -1};
	loop_finish(&zeroed);
	loop_finish(&negative);
	assert_int_equal(loop_run(&negative), -EBADF);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dispatch_and_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_freed_by_another_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_frees_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_modify, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_remove_is_idempotent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_remove_spares_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_descriptor, set_up, tear_down),
		cmocka_unit_test(test_finish_accepts_nothing),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
