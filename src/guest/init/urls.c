/*
 * Passes addresses from xdg-open in the guest to ph, one at a time. In PID 1's loop. Programs here are
 * untrusted and so is this on the host's side, where it is decided what may be opened.
 */
#include "guest/init/urls.h"

#include "guest/init/mounts.h"
#include "guest/init/report.h"
#include "guest/init/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM GUEST_BIN "/xdg-open"
/* xdg-open asks at once. Who does not keeps the others waiting. */
#define ASK_MS 2000

void urls_init(struct urls *urls) {
	*urls = (struct urls){.program = open("/init", O_RDONLY | O_CLOEXEC),
		.listener = -1,
		.connection = -1,
		.deadline = -1};
}

static int copy_program(int program) {
	struct stat st;
	off_t done = 0;
	ssize_t n = 0;
	int result = mounts_make_folder(GUEST_BIN, 0755);
	int fd = result < 0 ? -1 : open(PROGRAM, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (fd < 0 || fstat(program, &st) < 0) {
		return result < 0 ? result : -errno;
	}
	while (done < st.st_size && (n = sendfile(fd, program, &done, (size_t)(st.st_size - done))) > 0) {
	}
	result = n < 0 ? -errno : 0;
	close(fd);
	return result;
}

void urls_place(struct urls *urls, const struct config *config) {
	int result = urls->program < 0 ? -ENOENT : copy_program(urls->program);
	if (result < 0) {
		report_problem("cannot make %s: %s", PROGRAM, strerror(-result));
	}
	if (urls->program >= 0) {
		close(urls->program);
		urls->program = -1;
	}
	if (config->open_urls && config->user.fields != NULL) {
		urls->listener = service_listen(&config->user, GUEST_URLS_SOCKET, SOCK_SEQPACKET);
	}
}

static void watch(struct urls *urls, int *fd) {
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = fd};
	if (*fd >= 0 && epoll_ctl(urls->epoll, EPOLL_CTL_MOD, *fd, &event) < 0) {
		epoll_ctl(urls->epoll, EPOLL_CTL_ADD, *fd, &event);
	}
}

void urls_watch(struct urls *urls, int epoll) {
	urls->epoll = epoll;
	watch(urls, &urls->listener);
}

static void finish(struct urls *urls) {
	close(urls->connection);
	urls->connection = -1;
	urls->deadline = -1;
	urls->request = 0;
	watch(urls, &urls->listener);
}

void urls_accept(struct urls *urls, int64_t now_ms) {
	urls->connection = accept4(urls->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	urls->deadline = urls->connection >= 0 ? now_ms + ASK_MS : -1;
	watch(urls, urls->connection >= 0 ? &urls->connection : &urls->listener);
}

void urls_expire(struct urls *urls) {
	finish(urls);
}

void urls_ask(struct urls *urls, struct port *port) {
	char url[GUEST_URL_MAX];
	ssize_t size = recv(urls->connection, url, sizeof(url), MSG_TRUNC);
	if (size <= 0 || size > GUEST_URL_MAX) {
		finish(urls);
		return;
	}
	urls->deadline = -1;
	urls->request = ++urls->last;
	port_send(port, GUEST_FRAME_URL, urls->request, url, (size_t)size);
}

void urls_answer(struct urls *urls, uint32_t request, uint32_t answer) {
	if (request == 0 || request != urls->request) {
		return;
	}
	char byte = (char)answer;
	send(urls->connection, &byte, 1, MSG_NOSIGNAL);
	finish(urls);
}
