/*
 * The client for tests (see p9_client.h). The test's thread is the client; the server's threads are
 * leader and followers over the socket, so that requests are served side by side.
 */
#include "p9_client.h"

#include "ph/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct frame {
	uint8_t *request, *reply;
	/* Cut at odd places, as a driver may. */
	struct iovec in[3], out[3];
	struct p9_exchange exchange;
};

static void require(bool condition, const char *what) {
	if (!condition) {
		fprintf(stderr, "p9 client: %s: %s\n", what, strerror(errno));
		abort();
	}
}

static void *allocate(size_t size) {
	void *data = calloc(1, size);
	require(data != NULL, "memory");
	return data;
}

static bool receive_all(int fd, void *data, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = recv(fd, (char *)data + done, size - done, 0);
		if (n <= 0) {
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static void send_all(int fd, const void *data, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = send(fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
		if (n <= 0) {
			return; /* the other end sees the end */
		}
		done += (size_t)n;
	}
}

static uint32_t load32(const uint8_t *at) {
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* ---- the server's end ---- */

static void frame_free(struct frame *frame) {
	free(frame->request);
	free(frame->reply);
	free(frame);
}

static void completed(void *owner, uint64_t cookie, uint32_t written) {
	struct p9_client *client = owner;
	struct frame *frame = (struct frame *)(uintptr_t)cookie;
	pthread_mutex_lock(&client->sending);
	send_all(client->server_fd, frame->reply, written);
	pthread_mutex_unlock(&client->sending);
	frame_free(frame);
}

static void cut(uint8_t *data, uint32_t size, uint32_t first, uint32_t second, struct iovec iov[3]) {
	first = first < size ? first : size;
	second = second < size - first ? second : size - first;
	iov[0] = (struct iovec){data, first};
	iov[1] = (struct iovec){data + first, second};
	iov[2] = (struct iovec){data + first + second, size - first - second};
}

static struct frame *frame_receive(struct p9_client *client) {
	uint8_t size[4];
	if (!receive_all(client->server_fd, size, sizeof(size))) {
		return NULL;
	}
	struct frame *frame = allocate(sizeof(*frame));
	/* A frame that claims nonsense comes with a header at least. */
	uint32_t claimed = load32(size), len = claimed < 7 || claimed > P9_CLIENT_MSIZE ? 7 : claimed;
	frame->request = allocate(len);
	frame->reply = allocate(client->reply_room);
	memcpy(frame->request, size, sizeof(size));
	if (!receive_all(client->server_fd, frame->request + 4, len - 4)) {
		frame_free(frame);
		return NULL;
	}
	cut(frame->request, len, 5, 11, frame->in);
	cut(frame->reply, client->reply_room, 6, 1000, frame->out);
	frame->exchange = (struct p9_exchange){.in = frame->in,
		.in_count = 3,
		.in_size = len,
		.out = frame->out,
		.out_count = 3,
		.out_size = client->reply_room,
		.cookie = (uintptr_t)frame};
	return frame;
}

bool p9_client_jailed;

static void enter_jail(struct p9_client *client) {
	struct jail_tree tree = {.fd = client->directory_fd, .writable = !client->server.config.read_only};
	struct jail_reach reach = {.trees = &tree, .tree_count = 1};
	require(jail_enter(JAIL_FILES, JAIL_DEFAULT, "files", &reach) == 0, "jail");
	require(jail_filter(JAIL_FILES, JAIL_DEFAULT, "files") == 0, "filter");
}

static void *serve(void *data) {
	struct p9_client *client = data;
	struct p9_scratch *scratch = allocate(sizeof(*scratch));
	if (p9_client_jailed) {
		enter_jail(client);
	}
	for (;;) {
		pthread_mutex_lock(&client->receiving);
		struct frame *frame = frame_receive(client);
		struct p9_exchange exchange = {0};
		struct p9_request request;
		bool begun = false;
		if (frame != NULL) {
			exchange = frame->exchange;
			begun = p9_server_begin(&client->server, &request, &exchange);
		}
		pthread_mutex_unlock(&client->receiving);
		if (frame == NULL) {
			break;
		}
		if (begun) {
			p9_server_serve(&request, scratch);
		} else {
			frame_free(frame);
			shutdown(client->server_fd, SHUT_RDWR);
		}
	}
	free(scratch);
	return NULL;
}

/* ---- the share ---- */

static void start(struct p9_client *client, struct p9_server_config config) {
	int fds[2];
	client->directory_fd = open(client->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	require(client->directory_fd >= 0, client->directory);
	config.root_fd = client->directory_fd;
	config.msize = P9_CLIENT_MSIZE;
	config.complete = completed;
	config.owner = client;
	require(p9_server_init(&client->server, &config) == 0, "server");
	require(p9_server_enter(&client->server) == 0, "enter");
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
	client->client_fd = fds[0];
	client->server_fd = fds[1];
	client->reply_room = P9_CLIENT_MSIZE;
	pthread_mutex_init(&client->receiving, NULL);
	pthread_mutex_init(&client->sending, NULL);
	for (int i = 0; i < P9_CLIENT_THREADS; i++) {
		require(pthread_create(&client->threads[i], NULL, serve, client) == 0, "thread");
	}
}

void p9_client_init_on(struct p9_client *client, const char *directory, bool read_only, char *const *hide) {
	memset(client, 0, sizeof(*client));
	require(strlen(directory) < sizeof(client->directory), "name too long");
	strcpy(client->directory, directory);
	start(client, (struct p9_server_config){.read_only = read_only, .hide = hide});
}

static void make_directory(struct p9_client *client) {
	memset(client, 0, sizeof(*client));
	strcpy(client->directory, "/tmp/ph-p9-XXXXXX");
	require(mkdtemp(client->directory) != NULL, "mkdtemp");
}

void p9_client_init(struct p9_client *client, bool read_only, char *const *hide) {
	make_directory(client);
	start(client, (struct p9_server_config){.read_only = read_only, .hide = hide});
}

void p9_client_init_mapped(struct p9_client *client, const struct p9_ids *ids) {
	make_directory(client);
	start(client, (struct p9_server_config){.ids = *ids});
}

static void remove_tree(const char *path) {
	pid_t pid = fork();
	require(pid >= 0, "fork");
	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

void p9_client_finish(struct p9_client *client) {
	p9_server_cancel(&client->server);
	shutdown(client->client_fd, SHUT_RDWR);
	for (int i = 0; i < P9_CLIENT_THREADS; i++) {
		pthread_join(client->threads[i], NULL);
	}
	p9_server_finish(&client->server);
	close(client->client_fd);
	close(client->server_fd);
	close(client->directory_fd);
	pthread_mutex_destroy(&client->receiving);
	pthread_mutex_destroy(&client->sending);
	free(client->reply);
	if (strncmp(client->directory, "/tmp/ph-p9-", 11) == 0) {
		remove_tree(client->directory);
	}
}

/* ---- messages ---- */

struct message {
	uint8_t *data;
	size_t len, size;
};

static void append(struct message *message, const void *data, size_t len) {
	if (message->len + len > message->size) {
		message->size = (message->len + len) * 2;
		message->data = realloc(message->data, message->size);
		require(message->data != NULL, "memory");
	}
	if (len > 0) {
		memcpy(message->data + message->len, data, len);
	}
	message->len += len;
}

static void append_number(struct message *message, uint64_t value, unsigned size) {
	uint8_t bytes[8];
	for (unsigned i = 0; i < size; i++) {
		bytes[i] = (uint8_t)(value >> (8 * i));
	}
	append(message, bytes, size);
}

static void append_string(struct message *message, const char *string, size_t len) {
	append_number(message, len, 2);
	append(message, string, len);
}

static void append_field(struct message *message, char letter, va_list *args) {
	const char *string;
	switch (letter) {
	case 'b':
		append_number(message, (uint64_t)va_arg(*args, int), 1);
		break;
	case 'h':
		append_number(message, (uint64_t)va_arg(*args, int), 2);
		break;
	case 'w':
		append_number(message, va_arg(*args, unsigned), 4);
		break;
	case 'q':
		append_number(message, va_arg(*args, uint64_t), 8);
		break;
	case 's':
		string = va_arg(*args, const char *);
		append_string(message, string, strlen(string));
		break;
	case 'S':
		string = va_arg(*args, const char *);
		append_string(message, string, va_arg(*args, size_t));
		break;
	case 'D':
		string = va_arg(*args, const char *);
		append(message, string, va_arg(*args, size_t));
		break;
	default:
		require(false, "format");
	}
}

static void send_message(
	struct p9_client *client, uint16_t tag, uint8_t type, const char *format, va_list *args) {
	struct message message = {0};
	append_number(&message, 0, 4);
	append_number(&message, type, 1);
	append_number(&message, tag, 2);
	for (; *format != '\0'; format++) {
		append_field(&message, *format, args);
	}
	for (unsigned i = 0; i < 4; i++) {
		message.data[i] = (uint8_t)(message.len >> (8 * i));
	}
	send_all(client->client_fd, message.data, message.len);
	free(message.data);
}

uint16_t p9_send(struct p9_client *client, uint8_t type, const char *format, ...) {
	va_list args;
	uint16_t tag = ++client->tag;
	va_start(args, format);
	send_message(client, tag, type, format, &args);
	va_end(args);
	return tag;
}

void p9_send_raw(struct p9_client *client, const void *data, size_t size) {
	send_all(client->client_fd, data, size);
}

uint16_t p9_receive(struct p9_client *client, uint8_t *type, int *error) {
	uint8_t size[4];
	require(receive_all(client->client_fd, size, sizeof(size)), "no reply");
	client->reply_size = load32(size);
	require(client->reply_size >= 7 && client->reply_size <= P9_CLIENT_MSIZE, "size of a reply");
	free(client->reply);
	client->reply = allocate(client->reply_size);
	require(receive_all(client->client_fd, client->reply + 4, client->reply_size - 4), "short reply");
	client->at = 4;
	*type = p9_u8(client);
	uint16_t tag = p9_u16(client);
	*error = 0;
	if (*type == 7) {
		*error = (int)p9_u32(client);
		require(*error != 0 && client->at == client->reply_size, "Rlerror");
	}
	return tag;
}

bool p9_ready(struct p9_client *client, int ms) {
	struct pollfd poll_fd = {.fd = client->client_fd, .events = POLLIN};
	return poll(&poll_fd, 1, ms) == 1;
}

int p9_call(struct p9_client *client, uint8_t type, const char *format, ...) {
	va_list args;
	uint16_t tag = ++client->tag;
	uint8_t answer;
	int error;
	va_start(args, format);
	send_message(client, tag, type, format, &args);
	va_end(args);
	require(p9_receive(client, &answer, &error) == tag, "tag of a reply");
	require(answer == 7 || answer == type + 1, "type of a reply");
	return error;
}

static uint64_t take(struct p9_client *client, unsigned size) {
	require(client->reply_size - client->at >= size, "reply too short");
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++) {
		value |= (uint64_t)client->reply[client->at++] << (8 * i);
	}
	return value;
}

uint8_t p9_u8(struct p9_client *client) {
	return (uint8_t)take(client, 1);
}

uint16_t p9_u16(struct p9_client *client) {
	return (uint16_t)take(client, 2);
}

uint32_t p9_u32(struct p9_client *client) {
	return (uint32_t)take(client, 4);
}

uint64_t p9_u64(struct p9_client *client) {
	return take(client, 8);
}

const uint8_t *p9_bytes(struct p9_client *client, uint32_t len) {
	require(client->reply_size - client->at >= len, "reply too short");
	client->at += len;
	return client->reply + client->at - len;
}

const char *p9_str(struct p9_client *client) {
	uint16_t len = p9_u16(client);
	uint8_t *at = client->reply + client->at - 2;
	memmove(at, p9_bytes(client, len), len);
	at[len] = '\0';
	return (const char *)at;
}

/* ---- requests ---- */

void p9_client_attach(struct p9_client *client) {
	require(p9_call(client, P9_TVERSION, "ws", P9_CLIENT_MSIZE, "9P2000.L") == 0, "Tversion");
	require(p9_call(client, P9_TATTACH, "wwssw", 0, P9_NOFID, "user", "", 1000) == 0, "Tattach");
}

int p9_walk(struct p9_client *client, uint32_t fid, uint32_t new_fid, const char *path) {
	struct message names = {0};
	int count = 0;
	while (*path != '\0') {
		size_t len = strcspn(path, "/");
		append_string(&names, path, len);
		count++;
		path += len + (path[len] == '/');
	}
	int error = p9_call(client, P9_TWALK, "wwhD", fid, new_fid, count, names.data, names.len);
	free(names.data);
	if (error == 0 && p9_u16(client) != count) {
		return ENOENT; /* some of the way only: the new fid does not exist */
	}
	return error;
}

int p9_open(struct p9_client *client, uint32_t fid, uint32_t flags) {
	return p9_call(client, P9_TLOPEN, "ww", fid, flags);
}

int p9_create(struct p9_client *client, uint32_t fid, const char *name, uint32_t flags, uint32_t mode) {
	return p9_call(client, P9_TLCREATE, "wswww", fid, name, flags, mode, 0);
}

int64_t p9_read(struct p9_client *client, uint32_t fid, uint64_t offset, void *data, uint32_t count) {
	int error = p9_call(client, P9_TREAD, "wqw", fid, offset, count);
	if (error != 0) {
		return -error;
	}
	uint32_t n = p9_u32(client);
	require(n <= count, "Rread gives more than asked for");
	memcpy(data, p9_bytes(client, n), n);
	require(client->at == client->reply_size, "bytes behind the data");
	return n;
}

int64_t p9_write(struct p9_client *client, uint32_t fid, uint64_t offset, const void *data, uint32_t count) {
	int error = p9_call(client, P9_TWRITE, "wqwD", fid, offset, count, data, (size_t)count);
	return error != 0 ? -error : (int64_t)p9_u32(client);
}

int p9_clunk(struct p9_client *client, uint32_t fid) {
	return p9_call(client, P9_TCLUNK, "w", fid);
}

int p9_stat(struct p9_client *client, uint32_t fid, struct p9_client_stat *stat) {
	int error = p9_call(client, P9_TGETATTR, "wq", fid, UINT64_C(0x3fff));
	if (error != 0) {
		return error;
	}
	stat->valid = p9_u64(client);
	stat->qid_type = p9_u8(client);
	stat->qid_version = p9_u32(client);
	stat->qid_path = p9_u64(client);
	stat->mode = p9_u32(client);
	stat->uid = p9_u32(client);
	stat->gid = p9_u32(client);
	stat->links = p9_u64(client);
	stat->device = p9_u64(client);
	stat->size = p9_u64(client);
	stat->block_size = p9_u64(client);
	stat->blocks = p9_u64(client);
	for (int i = 0; i < 8; i++) {
		stat->times[i] = p9_u64(client);
	}
	p9_bytes(client, 16);
	require(client->at == client->reply_size, "size of Rgetattr");
	return 0;
}

int p9_walk_open(struct p9_client *client, uint32_t new_fid, const char *path, uint32_t flags) {
	int error = p9_walk(client, 0, new_fid, path);
	return error != 0 ? error : p9_open(client, new_fid, flags);
}

/* ---- the host's side ---- */

void p9_host_make(struct p9_client *client, const char *path, const char *content) {
	int directory = open(client->directory, O_PATH | O_CLOEXEC);
	if (content == NULL) {
		require(mkdirat(directory, path, 0755) == 0, path);
	} else {
		int fd = openat(directory, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		require(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content), path);
		close(fd);
	}
	close(directory);
}

bool p9_host_has(struct p9_client *client, const char *path, const char *content) {
	char data[65536];
	int directory = open(client->directory, O_PATH | O_CLOEXEC);
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, data, sizeof(data)) : -1;
	close(fd);
	close(directory);
	return n == (ssize_t)strlen(content) && memcmp(data, content, (size_t)n) == 0;
}

void p9_drop_root(void) {
	if (geteuid() != 0) {
		return;
	}
	require(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "setresuid");
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* LeakSanitizer looks into the process */
}
