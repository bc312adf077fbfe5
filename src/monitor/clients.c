/*
 * The VM's end of include/ph/instance.h: connections, the commands they bring, and what is told to them. On
 * the monitor's loop. Clients are processes of the same user, which is checked; what they send is bounded all
 * the same. The guest has no part in it: its bytes go from the control port to a client's streams, and are
 * counted there.
 */
#include "monitor/clients.h"

#include "ph/fd.h"
#include "ph/instance.h"
#include "ph/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMANDS_MAX 64
/* Room for those that ask, and for those that are told that there are too many. */
#define CLIENTS_MAX (COMMANDS_MAX + 16)
#define LINE_MAX_BYTES 4096
/* A full pipe. */
#define LAST_PIECES 16

struct client {
	struct client *next;
	struct clients *clients;
	struct loop_source source;
	uint32_t session; /* its command's; 0: it has none */
	bool running;
};

static void send_to(
	struct client *client, enum instance_type type, uint32_t value, const void *data, size_t size) {
	/* Who does not read misses a message. */
	instance_send(client->source.fd, type, value, data, size, NULL, 0);
}

/* A socket can be written to while no more than a quarter of its room is taken: there is always some left for
 * the command's end, which must not be missed. */
static void send_text(struct client *client, const char *text, size_t size) {
	struct pollfd socket = {.fd = client->source.fd, .events = POLLOUT};
	if (poll(&socket, 1, 0) > 0 && (socket.revents & POLLOUT) != 0) {
		send_to(client, INSTANCE_TEXT, 0, text, size);
	}
}

/* ---- commands ---- */

static void send_state(struct client *client) {
	struct clients *clients = client->clients;
	send_to(client, INSTANCE_STATE, clients->ops->state(clients->owner), NULL, 0);
}

static int start_command(struct client *client, const struct instance_message *message) {
	struct clients *clients = client->clients;
	struct record_buffer exec = {.data = message->data, .size = message->size};
	const struct control_stdio stdio = {.in = message->fds[0],
		.out = message->fds[1],
		.err = message->fds[2],
		.tty = (message->value & INSTANCE_EXEC_TTY) != 0};
	if (client->session != 0 || stdio.in < 0 || stdio.out < 0) {
		return -EPROTO;
	}
	uint32_t session = clients->last_session + 1;
	int ret = control_exec(clients->control, session, &exec, &stdio);
	if (ret == 0) {
		clients->last_session = client->session = session;
		client->running = true;
		clients->ops->started(clients->owner);
	}
	return ret;
}

static void handle_exec(struct client *client, struct instance_message *message) {
	struct clients *clients = client->clients;
	const char *reason = "the VM cannot take the command";
	if (clients->ops->is_ending(clients->owner)) {
		send_to(client, INSTANCE_REFUSED, 0, NULL, 0);
		return;
	}
	if (clients->count > COMMANDS_MAX) {
		reason = "as many commands run in the VM as it takes";
	} else if (start_command(client, message) == 0) {
		send_state(client);
		return;
	}
	send_to(client, INSTANCE_FAILED, 0, reason, strlen(reason));
}

static void send_logs(struct client *client) {
	struct clients *clients = client->clients;
	char *text = malloc(INSTANCE_MESSAGE_MAX);
	size_t size = text == NULL ? 0 : clients->ops->logs(clients->owner, text, INSTANCE_MESSAGE_MAX);
	send_to(client, INSTANCE_TEXT, 0, text, size);
	free(text);
}

static void handle_own(struct client *client, const struct instance_message *message) {
	struct control *control = client->clients->control;
	if (!client->running) {
		return;
	}
	if (message->type == INSTANCE_SIGNAL && message->value >= 1 && message->value <= 64) {
		control_signal(control, client->session, (int)message->value);
	} else if (message->type == INSTANCE_WINSIZE) {
		control_resize(control, client->session, (uint16_t)(message->value >> 16),
			(uint16_t)(message->value & 0xffff));
	} else if (message->type == INSTANCE_HANGUP) {
		control_hangup(control, client->session);
	}
}

static void handle_message(struct client *client, struct instance_message *message) {
	struct clients *clients = client->clients;
	switch (message->type) {
	case INSTANCE_EXEC:
		handle_exec(client, message);
		return;
	case INSTANCE_QUERY:
		send_state(client);
		return;
	case INSTANCE_STOP:
		clients->ops->stop(clients->owner);
		return;
	case INSTANCE_LOGS:
		send_logs(client);
		return;
	default:
		handle_own(client, message);
	}
}

/* ---- connections ---- */

/* Whether a VM of the background is still coming up, and nobody waits for it any more. */
static bool is_abandoned(const struct clients *clients) {
	bool wanted = clients->messages.fd < 0;
	for (const struct client *client = clients->list; client != NULL; client = client->next) {
		wanted |= client->running;
	}
	return !wanted && clients->ops->state(clients->owner) >> 16 == INSTANCE_STARTING;
}

static void remove_client(struct client *client) {
	struct clients *clients = client->clients;
	struct client **link = &clients->list;
	while (*link != client) {
		link = &(*link)->next;
	}
	*link = client->next;
	clients->count--;
	loop_remove(clients->loop, &client->source);
	fd_close(&client->source.fd);
	uint32_t session = client->running ? client->session : 0;
	free(client);
	if (session != 0) {
		control_hangup(clients->control, session);
		if (is_abandoned(clients)) {
			clients->ops->stop(clients->owner);
		}
	}
}

static void client_ready(struct loop_source *source, uint32_t events) {
	(void)events;
	struct client *client = (struct client *)(void *)((char *)source - offsetof(struct client, source));
	struct instance_message message;
	int ret = instance_receive(source->fd, client->clients->buffer, &message);
	if (ret > 0) {
		handle_message(client, &message);
		instance_close_streams(message.fds);
	} else if (ret != -EAGAIN) {
		remove_client(client);
	}
}

static int add_client(struct clients *clients, int fd, struct client **added) {
	struct client *client = calloc(1, sizeof(*client));
	if (client == NULL) {
		return -ENOMEM;
	}
	*client = (struct client){
		.clients = clients, .source = {.fd = fd, .ready = client_ready}, .next = clients->list};
	int ret = loop_add(clients->loop, &client->source, EPOLLIN);
	if (ret < 0) {
		free(client);
		return ret;
	}
	clients->list = client;
	clients->count++;
	*added = client;
	return 0;
}

static void somebody_comes(struct loop_source *source, uint32_t events) {
	(void)events;
	struct clients *clients =
		(struct clients *)(void *)((char *)source - offsetof(struct clients, listener));
	struct client *client;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		return;
	}
	if (clients->count >= CLIENTS_MAX || !instance_peer_is_own(fd) ||
		add_client(clients, fd, &client) < 0) {
		fd_close(&fd);
	}
}

/* ---- messages of this process and its workers ---- */

/* A piece of what was said: a worker that never stops must not keep the loop. Whether there was one. */
static bool pass_messages_on(struct clients *clients) {
	char text[LINE_MAX_BYTES];
	ssize_t n = read(clients->messages.fd, text, sizeof(text));
	if (n <= 0) {
		return false;
	}
	clients->ops->keep(clients->owner, text, (size_t)n);
	for (struct client *client = clients->list; client != NULL; client = client->next) {
		if (client->session != 0) {
			send_text(client, text, (size_t)n);
		}
	}
	return true;
}

static void message_ready(struct loop_source *source, uint32_t events) {
	(void)events;
	pass_messages_on((struct clients *)(void *)((char *)source - offsetof(struct clients, messages)));
}

/* ---- beginning, end, and what the VM tells ---- */

static int seat_client(struct clients *clients, const struct vm_seat *seat, uint32_t session) {
	struct client *client;
	clients->messages = (struct loop_source){.fd = seat->messages_fd, .ready = message_ready};
	int ret = loop_add(clients->loop, &clients->messages, EPOLLIN);
	if (ret == 0) {
		ret = add_client(clients, seat->client_fd, &client);
	}
	if (ret == 0) {
		client->session = session;
		client->running = true;
		send_state(client);
	}
	return ret;
}

int clients_init(struct clients *clients, struct loop *loop, struct control *control,
	const struct vm_seat *seat, uint32_t first, const struct clients_ops *ops, void *owner) {
	*clients = (struct clients){.loop = loop,
		.control = control,
		.ops = ops,
		.owner = owner,
		.last_session = first - 1,
		.messages.fd = -1,
		.listener = {.fd = seat->listen_fd, .ready = somebody_comes}};
	if (seat->listen_fd < 0) {
		return 0;
	}
	clients->buffer = malloc(INSTANCE_MESSAGE_MAX);
	int ret = clients->buffer == NULL ? -ENOMEM : loop_add(loop, &clients->listener, EPOLLIN);
	if (ret == 0 && seat->client_fd >= 0) {
		ret = seat_client(clients, seat, first - 1);
	}
	return ret;
}

void clients_finish(struct clients *clients) {
	if (clients->loop == NULL) {
		return;
	}
	loop_remove(clients->loop, &clients->listener);
	loop_remove(clients->loop, &clients->messages);
	while (clients->list != NULL) {
		struct client *client = clients->list;
		clients->list = client->next;
		loop_remove(clients->loop, &client->source);
		free(client);
	}
	free(clients->buffer);
	*clients = (struct clients){0};
}

void clients_exited(struct clients *clients, uint32_t session, int status, bool last) {
	for (struct client *client = clients->list; client != NULL; client = client->next) {
		if (client->session == session) {
			client->running = false;
			send_to(client, INSTANCE_EXITED, (uint32_t)status | (last ? INSTANCE_EXITED_LAST : 0),
				NULL, 0);
			return;
		}
	}
}

void clients_ready(struct clients *clients) {
	for (struct client *client = clients->list; client != NULL; client = client->next) {
		if (client->running) {
			send_state(client);
		}
	}
}

void clients_failed(struct clients *clients, const char *reason) {
	if (clients->loop == NULL) {
		return;
	}
	for (unsigned i = 0; i < LAST_PIECES && clients->messages.fd >= 0 && pass_messages_on(clients); i++) {
	}
	for (struct client *client = clients->list; client != NULL; client = client->next) {
		if (client->running) {
			send_to(client, INSTANCE_FAILED, 0, reason, strlen(reason));
		}
	}
}
