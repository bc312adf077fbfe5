/*
 * The server's frame: decodes the header, finds the operation, enforces read-only shares in the one
 * table that knows which operations change anything, sends the reply or the error, and keeps the
 * list of requests in flight for Tflush. Runs on the share's threads. Messages are hostile.
 */
#include "files/server.h"

#include "ph/fd.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct operation {
	int (*run)(struct p9_request *request);
	bool mutates; /* refused on a read-only share; Tlopen checks its flags itself */
};

static const struct operation operations[256] = {
	[P9_TSTATFS] = {p9_op_statfs, false},
	[P9_TLOPEN] = {p9_op_lopen, false},
	[P9_TLCREATE] = {p9_op_lcreate, true},
	[P9_TSYMLINK] = {p9_op_symlink, true},
	[P9_TMKNOD] = {p9_op_mknod, true},
	[P9_TRENAME] = {p9_op_rename, true},
	[P9_TREADLINK] = {p9_op_readlink, false},
	[P9_TGETATTR] = {p9_op_getattr, false},
	[P9_TSETATTR] = {p9_op_setattr, true},
	[P9_TXATTRWALK] = {p9_op_xattrwalk, false},
	[P9_TXATTRCREATE] = {p9_op_xattrcreate, true},
	[P9_TREADDIR] = {p9_op_readdir, false},
	[P9_TFSYNC] = {p9_op_fsync, false},
	[P9_TLOCK] = {p9_op_lock, false},
	[P9_TGETLOCK] = {p9_op_getlock, false},
	[P9_TLINK] = {p9_op_link, true},
	[P9_TMKDIR] = {p9_op_mkdir, true},
	[P9_TRENAMEAT] = {p9_op_renameat, true},
	[P9_TUNLINKAT] = {p9_op_unlinkat, true},
	[P9_TVERSION] = {p9_op_version, false},
	[P9_TAUTH] = {p9_op_auth, false},
	[P9_TATTACH] = {p9_op_attach, false},
	[P9_TFLUSH] = {p9_op_flush, false},
	[P9_TWALK] = {p9_op_walk, false},
	[P9_TREAD] = {p9_op_read, false},
	[P9_TWRITE] = {p9_op_write, true},
	[P9_TCLUNK] = {p9_op_clunk, false},
	[P9_TREMOVE] = {p9_op_remove, true},
};

int p9_server_init(struct p9_server *server, const struct p9_server_config *config) {
	memset(server, 0, sizeof(*server));
	server->config = *config;
	server->proc_fd = -1;
	atomic_init(&server->msize, P9_MSIZE_MIN);
	p9_qids_init(&server->qids);
	p9_locks_init(&server->locks);
	pthread_mutex_init(&server->flight_lock, NULL);
	int ret = p9_fids_init(&server->fids);
	if (ret == 0) {
		ret = p9_hide_init(&server->hide, config->root_fd, config->hide);
	}
	if (ret == 0) {
		ret = p9_tree_init(&server->tree, config->root_fd, &server->hide);
	}
	if (ret < 0) {
		p9_server_finish(server);
	}
	return ret;
}

void p9_server_finish(struct p9_server *server) {
	if (server->config.complete == NULL) {
		return;
	}
	p9_server_reset(server);
	fd_close(&server->proc_fd);
	p9_tree_finish(&server->tree);
	p9_hide_finish(&server->hide);
	p9_fids_finish(&server->fids);
	p9_locks_finish(&server->locks);
	p9_qids_finish(&server->qids);
	pthread_mutex_destroy(&server->flight_lock);
	memset(server, 0, sizeof(*server));
}

int p9_server_enter(struct p9_server *server) {
	if (server->proc_fd >= 0) {
		return 0;
	}
	p9_host_raise_limit();
	/* The guest's kernel has applied its caller's umask already. */
	umask(0);
	int fd = p9_host_open_proc();
	if (fd < 0) {
		return fd;
	}
	server->proc_fd = fd;
	return 0;
}

void p9_server_cancel(struct p9_server *server) {
	atomic_store(&server->stopping, true);
	p9_locks_wake(&server->locks);
}

void p9_server_reset(struct p9_server *server) {
	p9_fids_clear(server);
	atomic_store(&server->msize, P9_MSIZE_MIN);
	atomic_store(&server->stopping, false);
}

/* ---- requests in flight ---- */

struct p9_waiter {
	struct p9_waiter *next;
	uint64_t cookie;
};

/* The newest comes first: its tag is the guest's, however long an older one with it, answered already, takes
 * to leave. */
static void flight_begin(struct p9_request *request) {
	struct p9_server *server = request->server;
	pthread_mutex_lock(&server->flight_lock);
	request->next = server->in_flight;
	server->in_flight = request;
	pthread_mutex_unlock(&server->flight_lock);
}

/* Take the request off the list; those who waited for it are answered after it. */
static struct p9_waiter *flight_end(struct p9_request *request) {
	struct p9_server *server = request->server;
	pthread_mutex_lock(&server->flight_lock);
	struct p9_request **at = &server->in_flight;
	while (*at != request) {
		at = &(*at)->next;
	}
	*at = request->next;
	struct p9_waiter *waiters = request->waiters;
	pthread_mutex_unlock(&server->flight_lock);
	return waiters;
}

static void put_header(uint8_t *at, uint32_t size, uint8_t type, uint16_t tag) {
	struct p9_writer header = {.data = at, .size = P9_HEADER_SIZE};
	p9_put_u32(&header, size);
	p9_put_u8(&header, type);
	p9_put_u16(&header, tag);
}

int p9_op_flush(struct p9_request *request) {
	struct p9_server *server = request->server;
	uint16_t tag = p9_get_u16(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret < 0) {
		return ret;
	}
	struct p9_waiter *waiter = malloc(sizeof(*waiter));
	if (waiter == NULL) {
		return -ENOMEM;
	}
	/* In place now, seen by the guest when the flushed request has ended. */
	uint8_t reply[P9_HEADER_SIZE];
	put_header(reply, sizeof(reply), P9_TFLUSH + 1, request->tag);
	p9_exchange_write(request->exchange, 0, reply, sizeof(reply));
	pthread_mutex_lock(&server->flight_lock);
	struct p9_request *flushed = server->in_flight;
	while (flushed != NULL && (flushed->tag != tag || flushed == request)) {
		flushed = flushed->next;
	}
	if (flushed != NULL) {
		request->deferred = true;
		struct p9_waiter **last = &flushed->waiters; /* flushes are answered in their order */
		while (*last != NULL) {
			last = &(*last)->next;
		}
		*waiter = (struct p9_waiter){.cookie = request->exchange->cookie};
		*last = waiter;
		atomic_store(&flushed->cancelled, true);
	}
	pthread_mutex_unlock(&server->flight_lock);
	if (flushed == NULL) {
		free(waiter);
	} else {
		p9_locks_wake(&server->locks);
	}
	return 0;
}

/* ---- replies ---- */

static uint32_t reply_error(struct p9_request *request, int error) {
	uint8_t data[P9_ERROR_SIZE];
	put_header(data, sizeof(data), P9_RLERROR, request->tag);
	struct p9_writer code = {.data = data + P9_HEADER_SIZE, .size = 4};
	p9_put_u32(&code, (uint32_t)-error);
	return (uint32_t)p9_exchange_write(request->exchange, 0, data, sizeof(data));
}

static uint32_t reply(struct p9_request *request) {
	uint64_t size = (uint64_t)request->out.len + request->direct;
	if (request->out.full || size > request->msize) {
		return reply_error(request, -EMSGSIZE);
	}
	put_header(request->out.data, (uint32_t)size, (uint8_t)(request->type + 1), request->tag);
	p9_exchange_write(request->exchange, 0, request->out.data, request->out.len);
	return (uint32_t)size;
}

static void complete(struct p9_request *request, uint32_t written) {
	struct p9_server *server = request->server;
	if (!request->deferred) {
		server->config.complete(server->config.owner, request->exchange->cookie, written);
	}
	/* Only now: a flush that finds nothing to wait for gives the reply's room back to the guest. */
	struct p9_waiter *waiter = flight_end(request);
	while (waiter != NULL) {
		struct p9_waiter *next = waiter->next;
		server->config.complete(server->config.owner, waiter->cookie, P9_HEADER_SIZE);
		free(waiter);
		waiter = next;
	}
}

/* ---- requests ---- */

static int run(struct p9_request *request) {
	const struct operation *operation = &operations[request->type];
	if (operation->run == NULL) {
		return -EOPNOTSUPP;
	}
	if (operation->mutates && request->server->config.read_only) {
		return -EROFS;
	}
	/* The data of Twrite stay where they are; nothing else is that long. */
	uint32_t copied = request->type == P9_TWRITE ? P9_WRITE_DATA : request->size;
	if (copied > request->size) {
		return -EINVAL;
	}
	if (copied > P9_REQUEST_MAX) {
		return -ENAMETOOLONG;
	}
	size_t body = copied - P9_HEADER_SIZE;
	uint8_t *data = request->scratch->request;
	if (p9_exchange_read(request->exchange, P9_HEADER_SIZE, data, body) != body) {
		return -EINVAL;
	}
	request->in = (struct p9_reader){.at = data, .end = data + body};
	return operation->run(request);
}

static uint32_t min_u64(uint64_t a, uint64_t b) {
	return (uint32_t)(a < b ? a : b);
}

bool p9_server_begin(
	struct p9_server *server, struct p9_request *request, const struct p9_exchange *exchange) {
	uint8_t header[P9_HEADER_SIZE];
	if (p9_exchange_read(exchange, 0, header, sizeof(header)) != sizeof(header) ||
		exchange->out_size < P9_ERROR_SIZE) {
		return false;
	}
	struct p9_reader reader = {.at = header, .end = header + sizeof(header)};
	*request = (struct p9_request){.server = server, .exchange = exchange};
	request->size = p9_get_u32(&reader);
	request->type = p9_get_u8(&reader);
	request->tag = p9_get_u16(&reader);
	flight_begin(request);
	return true;
}

void p9_server_serve(struct p9_request *request, struct p9_scratch *scratch) {
	uint32_t msize = atomic_load(&request->server->msize);
	request->msize = min_u64(msize, request->exchange->out_size);
	request->scratch = scratch;
	request->out = (struct p9_writer){
		.data = scratch->reply, .size = sizeof(scratch->reply), .len = P9_HEADER_SIZE};
	int ret = -EINVAL;
	if (request->size >= P9_HEADER_SIZE && request->size <= request->exchange->in_size &&
		request->size <= msize) {
		ret = run(request);
	}
	assert(ret <= 0);
	uint32_t written = 0;
	if (!request->deferred) {
		written = ret < 0 ? reply_error(request, ret) : reply(request);
	}
	complete(request, written);
}

struct p9_fid *p9_request_fid(struct p9_request *request, uint32_t number, int *error) {
	struct p9_fid *fid = p9_fid_get(request->server, number);
	if (fid == NULL) {
		*error = -EBADF;
	}
	return fid;
}

struct p9_fid *p9_request_range(struct p9_request *request, uint64_t *offset, uint32_t *count, int *error) {
	uint32_t number = p9_get_u32(&request->in);
	*offset = p9_get_u64(&request->in);
	*count = p9_get_u32(&request->in);
	*count = min_u64(*count, request->msize - P9_READ_DATA);
	*error = p9_get_end(&request->in);
	return *error == 0 ? p9_request_fid(request, number, error) : NULL;
}
