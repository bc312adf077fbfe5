/* Compositors that do not answer, and sockets that cannot be reached, without the connector's process. */
#include "connector/context.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* It is waited for once; who asks again is refused before it is even connected to. */
static void test_silent(void **state) {
	(void)state;
	char folder[] = "/tmp/ph-context-XXXXXX";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct context_names names = {.patience_ms = 1};
	struct context context = {0};
	assert_non_null(mkdtemp(folder));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/screen", folder);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(context_connect(&context, address.sun_path, &names), -ETIMEDOUT);
	int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(context_connect(&context, address.sun_path, &names), -ETIMEDOUT);
	assert_int_equal(accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1);
	context_finish(&context);
	close(server);
	close(listener);
	unlink(address.sun_path);
	rmdir(folder);
}

/* Never another socket whose path begins alike. */
static void test_long_path(void **state) {
	(void)state;
	char path[PATH_MAX] = "/tmp/";
	struct sockaddr_un address;
	memset(path + 5, 'x', sizeof(address.sun_path) - 5);
	assert_int_equal(context_connect_path(path), -ENAMETOOLONG);
	path[sizeof(address.sun_path) - 1] = '\0';
	assert_int_equal(context_connect_path(path), -ENOENT);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_long_path),
	};
	return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
