/*
 * Extended attributes: Txattrwalk makes a fid from which a value (or the list of names) is read,
 * Txattrcreate one into which a value is written, to be set when the fid is clunked. Runs on the
 * share's threads. Names and sizes are the guest's: only user.* and POSIX ACLs are let through,
 * and the memory for values is bounded for the whole share.
 */
#include "files/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define VALUE_MAX 65536u
#define BYTES_MAX ((size_t)16 << 20)
#define FLAG_CREATE 1u
#define FLAG_REPLACE 2u

/* An access list has the host's ids inside: where the guest has others, it has no lists. */
static bool is_allowed(const struct p9_server *server, const char *name) {
	return strncmp(name, "user.", 5) == 0 ||
	       (server->config.ids.count == 0 && (strcmp(name, "system.posix_acl_access") == 0 ||
							 strcmp(name, "system.posix_acl_default") == 0));
}

void p9_xattr_destroy(struct p9_server *server, struct p9_xattr *xattr) {
	if (xattr != NULL) {
		atomic_fetch_sub(&server->xattr_bytes, sizeof(*xattr) + xattr->size);
		free(xattr->name);
		free(xattr->value);
		free(xattr);
	}
}

static struct p9_xattr *xattr_create(struct p9_server *server, uint32_t size) {
	size_t bytes = sizeof(struct p9_xattr) + size;
	if (atomic_fetch_add(&server->xattr_bytes, bytes) + bytes > BYTES_MAX) {
		goto error_bytes;
	}
	struct p9_xattr *xattr = calloc(1, sizeof(*xattr));
	if (xattr == NULL) {
		goto error_bytes;
	}
	xattr->value = calloc(1, size + 1);
	if (xattr->value == NULL) {
		free(xattr);
		goto error_bytes;
	}
	xattr->size = size;
	return xattr;

error_bytes:
	atomic_fetch_sub(&server->xattr_bytes, bytes);
	return NULL;
}

/* These calls want an opened file: of the fid itself or opened for them. */
static bool can_have_any(const struct p9_fid *fid) {
	return fid->node->type == S_IFREG || fid->node->type == S_IFDIR;
}

static int open_for_xattr(struct p9_server *server, struct p9_fid *fid) {
	struct p9_hold hold;
	int ret = p9_fid_hold(server, fid, &hold);
	if (ret < 0) {
		return ret;
	}
	int fd = p9_host_reopen(server->proc_fd, hold.fd, O_RDONLY);
	if (fd == -EACCES && fid->node->type == S_IFREG) {
		fd = p9_host_reopen(server->proc_fd, hold.fd, O_WRONLY);
	}
	p9_fid_release(server, &hold);
	return fd;
}

/* Keep the names the guest may know of; returns their size. */
static uint32_t filter_names(const struct p9_server *server, char *names, uint32_t size) {
	uint32_t kept = 0;
	for (uint32_t at = 0; at < size;) {
		uint32_t len = (uint32_t)strlen(names + at) + 1;
		if (is_allowed(server, names + at)) {
			memmove(names + kept, names + at, len);
			kept += len;
		}
		at += len;
	}
	return kept;
}

static int read_value(struct p9_server *server, struct p9_fid *fid, const char *name, char *value) {
	if (!can_have_any(fid)) {
		return name[0] != '\0' ? -ENODATA : 0;
	}
	int fd = open_for_xattr(server, fid);
	if (fd < 0) {
		return fd;
	}
	ssize_t n =
		name[0] != '\0' ? fgetxattr(fd, name, value, VALUE_MAX) : flistxattr(fd, value, VALUE_MAX);
	int ret = n < 0 ? -errno : (int)n;
	close(fd);
	return ret;
}

static int snapshot(struct p9_server *server, struct p9_fid *fid, const char *name, struct p9_xattr **xattr) {
	char value[VALUE_MAX];
	int size = read_value(server, fid, name, value);
	if (size < 0) {
		return size;
	}
	if (name[0] == '\0') {
		size = (int)filter_names(server, value, (uint32_t)size);
	}
	*xattr = xattr_create(server, (uint32_t)size);
	if (*xattr == NULL) {
		return -ENOMEM;
	}
	memcpy((*xattr)->value, value, (size_t)size);
	return 0;
}

static int xattrwalk(struct p9_request *request, struct p9_fid *from, uint32_t number, const char *name) {
	struct p9_server *server = request->server;
	struct p9_xattr *xattr;
	int ret = snapshot(server, from, name, &xattr);
	if (ret < 0) {
		return ret;
	}
	struct p9_fid *fid = p9_fid_create(server, p9_node_ref(&server->tree, from->node), from->uid);
	if (fid == NULL) {
		p9_xattr_destroy(server, xattr);
		return -ENOMEM;
	}
	fid->xattr = xattr;
	p9_put_u64(&request->out, xattr->size);
	ret = p9_fid_insert(server, number, fid);
	p9_fid_put(server, fid);
	return ret;
}

int p9_op_xattrwalk(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in), new_number = p9_get_u32(&request->in);
	const char *name = p9_get_string(&request->in, P9_NAME_MAX);
	int ret = p9_get_end(&request->in);
	if (ret == 0 && name[0] != '\0' && !is_allowed(request->server, name)) {
		ret = -EOPNOTSUPP;
	}
	struct p9_fid *from = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (from != NULL) {
		ret = from->xattr == NULL ? xattrwalk(request, from, new_number, name) : -EINVAL;
		p9_fid_put(request->server, from);
	}
	return ret;
}

static int xattrcreate(
	struct p9_server *server, struct p9_fid *from, const char *name, uint32_t size, uint32_t flags) {
	struct p9_xattr *xattr = xattr_create(server, size);
	if (xattr == NULL) {
		return -ENOMEM;
	}
	xattr->flags = flags;
	xattr->name = strdup(name);
	struct p9_fid *fid = p9_fid_create(server, p9_node_ref(&server->tree, from->node), from->uid);
	if (xattr->name == NULL || fid == NULL) {
		p9_xattr_destroy(server, xattr);
		p9_fid_put(server, fid);
		return -ENOMEM;
	}
	fid->xattr = xattr;
	int ret = p9_fid_replace(server, from, fid);
	p9_fid_put(server, fid);
	return ret;
}

int p9_op_xattrcreate(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in);
	const char *name = p9_get_string(&request->in, P9_NAME_MAX);
	uint64_t size = p9_get_u64(&request->in);
	uint32_t flags = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret == 0 && !is_allowed(request->server, name)) {
		ret = -EOPNOTSUPP;
	} else if (ret == 0 && size > VALUE_MAX) {
		ret = -E2BIG;
	} else if (ret == 0 && (flags & ~(FLAG_CREATE | FLAG_REPLACE)) != 0) {
		ret = -EINVAL;
	}
	struct p9_fid *from = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (from != NULL) {
		ret = from->xattr == NULL && atomic_load(&from->fd) < 0
			      ? xattrcreate(request->server, from, name, (uint32_t)size, flags)
			      : -EINVAL;
		p9_fid_put(request->server, from);
	}
	return ret;
}

int p9_xattr_read(struct p9_request *request, struct p9_fid *fid, uint64_t offset, uint32_t count) {
	const struct p9_xattr *xattr = fid->xattr;
	if (xattr->name != NULL) {
		return -EBADF;
	}
	if (offset > xattr->size) {
		offset = xattr->size;
	}
	if (count > xattr->size - offset) {
		count = xattr->size - (uint32_t)offset;
	}
	p9_exchange_write(request->exchange, P9_READ_DATA, xattr->value + offset, count);
	p9_put_u32(&request->out, count);
	request->direct = count;
	return 0;
}

int p9_xattr_write(struct p9_request *request, struct p9_fid *fid, uint64_t offset, uint32_t count) {
	struct p9_xattr *xattr = fid->xattr;
	if (xattr->name == NULL) {
		return -EBADF;
	}
	int ret = 0;
	pthread_mutex_lock(&fid->reading);
	if (offset != xattr->written || count > xattr->size - xattr->written) {
		ret = -EINVAL; /* in order, and no more than was announced */
	} else if (p9_exchange_read(request->exchange, P9_WRITE_DATA, xattr->value + offset, count) !=
		   count) {
		ret = -EINVAL;
	} else {
		xattr->written += count;
		p9_put_u32(&request->out, count);
	}
	pthread_mutex_unlock(&fid->reading);
	return ret;
}

int p9_xattr_commit(struct p9_server *server, struct p9_fid *fid) {
	const struct p9_xattr *xattr = fid->xattr;
	if (xattr == NULL || xattr->name == NULL) {
		return 0;
	}
	if (xattr->written != xattr->size) {
		return -EINVAL;
	}
	if (!can_have_any(fid)) {
		return -EPERM;
	}
	int fd = open_for_xattr(server, fid);
	if (fd < 0) {
		return fd;
	}
	int ret;
	if (xattr->size == 0 && xattr->flags == FLAG_REPLACE) {
		ret = fremovexattr(fd, xattr->name); /* how Linux says so */
	} else {
		ret = fsetxattr(fd, xattr->name, xattr->value, xattr->size, (int)xattr->flags);
	}
	ret = ret < 0 ? -errno : 0;
	close(fd);
	return ret;
}
