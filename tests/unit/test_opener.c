/* What is opened on the host for a VM: which addresses, how often, and by which arguments. */
#include "ph/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static bool accepts(const char *url) {
	return opener_accepts(url, strlen(url));
}

static void good_addresses(void **state) {
	(void)state;
	static const char *const good[] = {"http://example.org", "https://example.org/a/b.html?x=1&y=%20#top",
		"HTTPS://Example.Org:8443/~me/", "http://[::1]:8080/", "https://user@example.org/(a),b;c=*!+",
		"mailto:me@example.org", "mailto:me@example.org?subject=Hello%20you&body=a%0Ab&cc=x@y"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(accepts(good[i]));
	}
}

static void bad_addresses(void **state) {
	(void)state;
	static const char *const bad[] = {"", " ", "http:", "http://", "http:///etc/passwd", "http://?x",
		"http://-o", "https://#x", "file:///etc/passwd", "/etc/passwd", "-h", "--help",
		"javascript:alert(1)", "data:text/html,x", "ftp://example.org/", "steam://run/1",
		"xhttp://example.org", " http://example.org", "http://a b", "http://a\nb", "http://a\tb",
		"http://a\x1b[2J", "http://a\x7f", "http://\xc3\xa4", "http://a\"b", "http://a'b",
		"http://a`id`", "http://$(id)", "http://a\\b", "http://<b>", "http://a|b", "http://a^b",
		"http://{a}", "mailto:", "mailto:a@b?attach=/etc/passwd", "mailto:a@b?subject=x&Attach=/x",
		"mailto:a@b?attachment=/x", "mailto:a@b?%61ttach=/x", "mailto:a@b?subject",
		"mailto:a@b?subject=x?attach=/x&", "mailto:a@b?subject=x&",
		"mailto:a@b?subject==?utf-8?Q?x=26attach=3D/x?=",
		"mailto:a@b?subject=%3D?utf-8?Q?x=26attach=3D/x?=",
		"mailto:a@b?subject==%3futf-8?Q?x=26attach=3D/x?=",
		"mailto:a@b?subject=%3d%3Futf-8?Q?x=26attach=3D/x?="};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (accepts(bad[i])) {
			fail_msg("%s was accepted", bad[i]);
		}
	}
	assert_false(opener_accepts("http://a\0b", 10));
}

static void lengths(void **state) {
	(void)state;
	char url[GUEST_URL_MAX + 2];
	memset(url, 'a', sizeof(url));
	memcpy(url, "http://", 7);
	assert_true(opener_accepts(url, GUEST_URL_MAX));
	assert_false(opener_accepts(url, GUEST_URL_MAX + 1));
}

static void how_often(void **state) {
	(void)state;
	struct opener_rate rate = {0};
	for (int i = 0; i < OPENER_BURST; i++) {
		assert_true(opener_has_room(&rate, 1000 + i));
	}
	assert_false(opener_has_room(&rate, 1010));
	assert_false(opener_has_room(&rate, 1000 + OPENER_WINDOW_MS - 1));
	assert_true(opener_has_room(&rate, 1000 + OPENER_WINDOW_MS));
	assert_false(opener_has_room(&rate, 1000 + OPENER_WINDOW_MS));
	assert_true(opener_has_room(&rate, 1001 + OPENER_WINDOW_MS));
}

/* ---- the process ---- */

static char top[] = "/tmp/ph-opener-XXXXXX";

static int set_up(void **state) {
	(void)state;
	char path[64];
	if (mkdtemp(top) == NULL) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/xdg-open", top);
	FILE *file = fopen(path, "w");
	if (file == NULL) {
		return -1;
	}
	fprintf(file, "#!/bin/sh\necho \"$# $1\" >>%s/opened\n", top);
	fclose(file);
	return chmod(path, 0755);
}

static int tear_down(void **state) {
	(void)state;
	char path[64];
	snprintf(path, sizeof(path), "%s/xdg-open", top);
	unlink(path);
	snprintf(path, sizeof(path), "%s/opened", top);
	unlink(path);
	return rmdir(top);
}

static int ask(struct opener *opener, const char *url) {
	char answer;
	struct pollfd wait = {.fd = opener->fd, .events = POLLIN};
	assert_int_equal(send(opener->fd, url, strlen(url), MSG_NOSIGNAL), (ssize_t)strlen(url));
	assert_int_equal(poll(&wait, 1, 60000), 1);
	assert_int_equal(recv(opener->fd, &answer, 1, 0), 1);
	return answer;
}

static void read_opened(char *text, size_t size) {
	char path[64];
	snprintf(path, sizeof(path), "%s/opened", top);
	text[0] = '\0';
	for (int i = 0; i < 3000 && strchr(text, '\n') == NULL; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
		text[n < 0 ? 0 : n] = '\0';
		if (fd >= 0) {
			close(fd);
		}
		usleep(10000);
	}
}

static void what_is_executed(void **state) {
	(void)state;
	struct opener opener = {0};
	char text[256];
	char *path = strdup(getenv("PATH"));
	setenv("PATH", top, 1);
	assert_int_equal(opener_start(&opener), 0);
	assert_int_equal(ask(&opener, "file:///etc/passwd"), GUEST_URL_REFUSED);
	assert_int_equal(ask(&opener, "https://example.org/?a=1&b=(2)"), GUEST_URL_OPENED);
	read_opened(text, sizeof(text));
	assert_string_equal(text, "1 https://example.org/?a=1&b=(2)\n");
	opener_stop(&opener);

	setenv("PATH", "/nonexistent", 1);
	assert_int_equal(opener_start(&opener), 0);
	assert_int_equal(ask(&opener, "https://example.org"), GUEST_URL_FAILED);
	opener_stop(&opener);
	setenv("PATH", path, 1);
	free(path);
}

static void who_stays_is_killed(void **state) {
	(void)state;
	struct opener opener = {0};
	assert_int_equal(opener_start(&opener), 0);
	pid_t pid = opener.pid;
	kill(pid, SIGSTOP);
	alarm(60);
	opener_stop(&opener);
	alarm(0);
	assert_int_equal(kill(pid, 0), -1);
	opener_stop(&opener);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_addresses),
		cmocka_unit_test(bad_addresses),
		cmocka_unit_test(lengths),
		cmocka_unit_test(how_often),
		cmocka_unit_test_setup_teardown(what_is_executed, set_up, tear_down),
		cmocka_unit_test(who_stays_is_killed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
