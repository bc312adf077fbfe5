/*
 * The loop of PID 1: frames from ph, children that ended, streams that moved. One thread, one
 * epoll, and nothing that blocks. ph is trusted; a frame it should not have sent is reported, and
 * one that breaks the format ends the VM in order.
 */
#include "guest/init/agent.h"

#include "guest/init/clock.h"
#include "guest/init/host.h"
#include "guest/init/report.h"
#include "guest/init/root.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A shutdown's stages, each entered when processes are left after the one before, and how long they last. */
enum stage {
	STAGE_NONE,
	STAGE_TERMINATE, /* SIGTERM to all */
	STAGE_HANGUP,    /* SIGHUP to the leaders of terminals: an interactive shell ignores SIGTERM */
	STAGE_KILL,      /* SIGKILL to all */
	STAGE_OVER,
};
static const int stage_ms[] = {
	[STAGE_TERMINATE] = 200, [STAGE_HANGUP] = 4800, [STAGE_KILL] = 3000, [STAGE_OVER] = 0};

static int64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int watch(struct agent *agent, int fd, uint32_t events, void *pointer) {
	struct epoll_event event = {.events = events, .data.ptr = pointer};
	return epoll_ctl(agent->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Once: who connects while it runs is the service's own. */
static void watch_service(struct agent *agent, struct service *service) {
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = service};
	if (service->listener >= 0 && epoll_ctl(agent->epoll, EPOLL_CTL_MOD, service->listener, &event) < 0) {
		epoll_ctl(agent->epoll, EPOLL_CTL_ADD, service->listener, &event);
	}
}

int agent_init(struct agent *agent, const struct config *config, struct port *port) {
	sigset_t mask;
	*agent = (struct agent){.config = config, .port = port, .epoll = -1, .children = -1};
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	agent->epoll = epoll_create1(EPOLL_CLOEXEC);
	agent->children = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (agent->epoll < 0 || agent->children < 0) {
		return -errno;
	}
	return watch(agent, agent->children, EPOLLIN, &agent->children);
}

void agent_add_service(struct agent *agent, struct service *service) {
	assert(agent->service_count < AGENT_SERVICES_MAX);
	agent->services[agent->service_count++] = service;
	watch_service(agent, service);
}

void agent_add_urls(struct agent *agent, struct urls *urls) {
	agent->urls = urls;
	urls_watch(urls, agent->epoll);
}

void agent_finish(struct agent *agent) {
	while (agent->sessions != NULL) {
		struct session *session = agent->sessions;
		agent->sessions = session->next;
		session_destroy(session);
	}
	if (agent->children >= 0) {
		close(agent->children);
	}
	if (agent->epoll >= 0) {
		close(agent->epoll);
	}
	agent->children = agent->epoll = -1;
}

static struct session *find_session(struct agent *agent, uint32_t id) {
	struct session *session = agent->sessions;
	while (session != NULL && session->id != id) {
		session = session->next;
	}
	return session;
}

void agent_exec(struct agent *agent, uint32_t id, const struct exec *exec) {
	char text[320];
	struct session *session;
	int result = session_create(&session, id, exec, agent->config, agent->port, agent->epoll);
	if (result == 0) {
		session->ready = true;
		session->next = agent->sessions;
		agent->sessions = session;
		return;
	}
	const char *name = exec->argv[0] == NULL ? "a shell" : exec->argv[0];
	int len = snprintf(
		text, sizeof(text), "ph: cannot start %.200s in the VM: %s\n", name, strerror(-result));
	port_send(agent->port, exec->own_stderr ? GUEST_FRAME_STDERR : GUEST_FRAME_STDOUT, id, text,
		(size_t)len);
	port_send_u32(agent->port, GUEST_FRAME_EXIT, id, 126);
}

static int handle_exec(struct agent *agent, const struct guest_frame *frame, const uint8_t *payload) {
	struct exec exec;
	if (find_session(agent, frame->session) != NULL) {
		return -EPROTO;
	}
	int result = exec_parse(&exec, payload, frame->length);
	if (result == 0) {
		agent_exec(agent, frame->session, &exec);
	}
	exec_finish(&exec);
	return result;
}

static uint32_t payload_u32(const uint8_t *payload) {
	uint32_t value;
	memcpy(&value, payload, sizeof(value));
	return le32toh(value);
}

static int handle_resize(struct session *session, const uint8_t *payload) {
	uint16_t size[2];
	memcpy(size, payload, sizeof(size));
	session_resize(session, le16toh(size[0]), le16toh(size[1]));
	return 0;
}

/* Frames for a session that exists, with payloads of four bytes. */
static int handle_short(struct session *session, const struct guest_frame *frame, const uint8_t *payload) {
	if (frame->length != 4) {
		return -EPROTO;
	}
	uint32_t value = payload_u32(payload);
	switch (frame->type) {
	case GUEST_FRAME_SIGNAL:
		if (value < 1 || value >= NSIG) {
			return -EPROTO;
		}
		session_signal(session, (int)value);
		return 0;
	case GUEST_FRAME_WINSIZE:
		return handle_resize(session, payload);
	case GUEST_FRAME_CREDIT:
		session_credit(session, value);
		return 0;
	case GUEST_FRAME_CLOSE:
		session_close_output(session, value);
		return 0;
	default:
		return -EPROTO;
	}
}

static int handle_url_answer(struct agent *agent, const struct guest_frame *frame, const uint8_t *payload) {
	if (frame->length != 4) {
		return -EPROTO;
	}
	if (agent->urls != NULL) {
		urls_answer(agent->urls, frame->session, payload_u32(payload));
	}
	return 0;
}

static int handle_frame(void *owner, const struct guest_frame *frame, const uint8_t *payload) {
	struct agent *agent = owner;
	if (frame->type == GUEST_FRAME_EXEC) {
		return handle_exec(agent, frame, payload);
	}
	if (frame->type == GUEST_FRAME_SHUTDOWN) {
		agent_shutdown(agent);
		return 0;
	}
	if (frame->type == GUEST_FRAME_TIME) {
		return clock_follow(payload, frame->length);
	}
	if (frame->type == GUEST_FRAME_URL_ANSWER) {
		return handle_url_answer(agent, frame, payload);
	}
	if (frame->type == GUEST_FRAME_NAMES) {
		host_follow_names((const char *)payload, frame->length);
		return 0;
	}
	struct session *session = find_session(agent, frame->session);
	if (session == NULL) {
		return 0;
	}
	if (frame->type == GUEST_FRAME_STDIN) {
		return session_input(session, payload, frame->length);
	}
	if (frame->type == GUEST_FRAME_HANGUP) {
		session_hangup(session);
		return 0;
	}
	return handle_short(session, frame, payload);
}

static void serve_port(struct agent *agent) {
	int result = port_receive(agent->port, handle_frame, agent);
	if (result < 0 && agent->stage == STAGE_NONE) {
		report_error("the control port is broken: %s", strerror(-result));
		agent_shutdown(agent);
	}
}

static void look_for_room(struct agent *agent) {
	int ms = root_report_full(agent->config);
	agent->next_look = ms < 0 ? -1 : now_ms() + ms;
}

static bool service_child_ended(struct agent *agent, pid_t pid, int status) {
	for (unsigned i = 0; i < agent->service_count; i++) {
		struct service *service = agent->services[i];
		if (pid != service->pid) {
			continue;
		}
		service->pid = 0;
		if (agent->stage == STAGE_NONE && service->ended(status)) {
			watch_service(agent, service);
		} else {
			service_close(service);
		}
		return true;
	}
	return false;
}

static void child_ended(struct agent *agent, pid_t pid, int status) {
	if (pid == agent->late) {
		agent->late = 0;
		if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
			report_error("cannot add all of the memory: %s", strerror(WEXITSTATUS(status)));
		} else if (WIFEXITED(status)) {
			report_verbose("the guest has all of its memory");
		}
		return;
	}
	if (service_child_ended(agent, pid, status)) {
		return;
	}
	for (struct session *session = agent->sessions; session != NULL; session = session->next) {
		if (session->pid == pid && !session->exited) {
			look_for_room(agent);
			session_exited(session, status);
			return;
		}
	}
}

/* Reap: sessions, the late worker, and orphans, which come to PID 1. */
static void serve_children(struct agent *agent) {
	struct signalfd_siginfo info;
	int status;
	pid_t pid;
	while (read(agent->children, &info, sizeof(info)) > 0) {
	}
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		child_ended(agent, pid, status);
	}
	if (pid < 0 && errno == ECHILD && agent->stage != STAGE_NONE) {
		agent->over = true;
	}
}

static void enter_stage(struct agent *agent, enum stage stage) {
	agent->stage = stage;
	agent->next_stage = now_ms() + stage_ms[stage];
	switch (stage) {
	case STAGE_TERMINATE:
		kill(-1, SIGTERM);
		kill(-1, SIGCONT);
		break;
	case STAGE_HANGUP:
		for (struct session *session = agent->sessions; session != NULL; session = session->next) {
			if (session->tty && !session->exited) {
				kill(session->pid, SIGHUP);
			}
		}
		break;
	case STAGE_KILL:
		kill(-1, SIGKILL);
		break;
	default:
		report_problem("some processes could not be killed");
		agent->over = true;
	}
}

void agent_shutdown(struct agent *agent) {
	/* As any other process this would end the whole system. */
	assert(getpid() == 1);
	if (agent->stage == STAGE_NONE) {
		report_verbose("ending all processes");
		enter_stage(agent, STAGE_TERMINATE);
		serve_children(agent);
	}
}

/* Of times of which -1 is never. */
static int64_t earlier(int64_t one, int64_t other) {
	return one < 0 || (other >= 0 && other < one) ? other : one;
}

static void serve_times(struct agent *agent) {
	if (agent->next_look >= 0 && now_ms() >= agent->next_look) {
		look_for_room(agent);
	}
	if (agent->urls != NULL && agent->urls->deadline >= 0 && now_ms() >= agent->urls->deadline) {
		urls_expire(agent->urls);
	}
}

/* The time for which epoll may sleep. */
static int serve_deadline(struct agent *agent) {
	if (agent->stage == STAGE_NONE) {
		int64_t next = earlier(agent->next_look, agent->urls == NULL ? -1 : agent->urls->deadline);
		int64_t wait = next - now_ms();
		return next < 0 ? -1 : wait < 0 ? 0 : (int)wait;
	}
	int64_t left = agent->next_stage - now_ms();
	if (left <= 0) {
		enter_stage(agent, agent->stage + 1);
		left = stage_ms[agent->stage];
	}
	return (int)left;
}

/* One round over all sessions, each moving a piece. True when another round is due. */
static bool pump_sessions(struct agent *agent) {
	bool more = false;
	for (struct session **link = &agent->sessions; *link != NULL;) {
		struct session *session = *link;
		if (session->ready && session_pump(session)) {
			*link = session->next;
			session_destroy(session);
			continue;
		}
		more |= session->ready;
		link = &session->next;
	}
	return more;
}

static bool unblock_sessions(struct agent *agent) {
	bool any = false;
	for (struct session *session = agent->sessions; session != NULL; session = session->next) {
		any |= session_unblock(session);
	}
	return any;
}

/* Everything that can be done without waiting. Without a port everything is over. */
static void serve_sessions(struct agent *agent) {
	bool more;
	do {
		more = pump_sessions(agent);
		if (port_flush(agent->port) < 0) {
			agent->over = true;
			return;
		}
		more |= unblock_sessions(agent);
	} while (more);
}

static void start_service(struct agent *agent, struct service *service) {
	int result = agent->stage == STAGE_NONE ? service_start(service) : 0;
	if (result < 0) {
		report_error("cannot start %s: %s", service->name, strerror(-result));
	}
}

static bool serve_service(struct agent *agent, const void *pointer) {
	for (unsigned i = 0; i < agent->service_count; i++) {
		if (pointer == agent->services[i]) {
			start_service(agent, agent->services[i]);
			return true;
		}
	}
	return false;
}

static bool serve_urls(struct agent *agent, const void *pointer) {
	if (agent->urls != NULL && pointer == &agent->urls->listener) {
		urls_accept(agent->urls, now_ms());
		return true;
	}
	if (agent->urls != NULL && pointer == &agent->urls->connection) {
		urls_ask(agent->urls, agent->port);
		return true;
	}
	return false;
}

static void serve_event(struct agent *agent, const struct epoll_event *event) {
	if (event->data.ptr == &agent->children) {
		serve_children(agent);
	} else if (event->data.ptr == agent->port) {
		serve_port(agent);
	} else if (!serve_service(agent, event->data.ptr) && !serve_urls(agent, event->data.ptr)) {
		struct session *session = event->data.ptr;
		session->ready = true;
	}
}

void agent_run(struct agent *agent) {
	struct epoll_event events[16];
	if (agent->port->fd >= 0 &&
		watch(agent, agent->port->fd, EPOLLIN | EPOLLOUT | EPOLLET, agent->port) < 0) {
		return;
	}
	serve_sessions(agent);
	while (!agent->over) {
		int count = epoll_wait(agent->epoll, events, 16, serve_deadline(agent));
		for (int i = 0; i < count; i++) {
			serve_event(agent, &events[i]);
		}
		serve_times(agent);
		serve_sessions(agent);
	}
}
