/*
 * Walks: from a node to the entry of a name, one component at a time, and the operations that give
 * fids their meaning (Tversion, Tauth, Tattach, Twalk, Tclunk). Runs on the share's threads. Names
 * are the guest's; the tree may be changed by the host and by other requests at every step.
 */
#include "files/server.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

int p9_node_stat(struct p9_server *server, struct p9_node *node, struct statx *stat) {
	int fd = p9_node_pin(&server->tree, node);
	if (fd < 0) {
		return fd;
	}
	int ret = p9_host_stat(fd, "", stat);
	p9_node_unpin(&server->tree, node);
	return ret;
}

int p9_fid_stat(struct p9_server *server, struct p9_fid *fid, struct statx *stat) {
	struct p9_hold hold;
	int ret = p9_fid_hold(server, fid, &hold);
	if (ret == 0) {
		ret = p9_host_stat(hold.fd, "", stat);
		p9_fid_release(server, &hold);
	}
	return ret;
}

/* What a file is that was found in parent. Where the guest may write, what is hidden there by now counts,
 * too; in the root that may be a network's file system, for which nobody should have to wait. */
static enum p9_view view_file(
	struct p9_server *server, struct p9_node *parent, int directory, const struct statx *stat) {
	const struct p9_hide *hide = &server->hide;
	bool hidden = !server->config.read_only &&
		      p9_hide_holds(hide, parent->place, parent->identity, directory, stat);
	return hidden ? P9_HIDDEN : p9_hide_view_file(hide, stat);
}

static enum p9_view view_name(struct p9_server *server, struct p9_node *parent, const char *name) {
	return p9_hide_view(&server->hide, parent->place, parent->identity, name);
}

int p9_entry_view(struct p9_server *server, struct p9_node *parent, int directory, const char *name) {
	struct statx stat;
	int ret = p9_host_stat(directory, name, &stat);
	enum p9_view view = view_name(server, parent, name);
	return ret < 0 ? ret : (int)(view != P9_SHOWN ? view : view_file(server, parent, directory, &stat));
}

/* Open the entry; what was opened decides, not what was looked at before. */
static int open_child(struct p9_server *server, struct p9_node *parent, int directory, const char *name,
	struct p9_node **node, struct statx *stat) {
	int fd = p9_host_open_child(directory, name);
	if (fd == -ENFILE && p9_tree_park(&server->tree, UINT32_MAX) > 0) {
		fd = p9_host_open_child(directory, name);
	}
	if (fd < 0) {
		return fd;
	}
	int ret = p9_host_stat(fd, "", stat);
	if (ret == 0 && view_file(server, parent, directory, stat) == P9_HIDDEN) {
		ret = -ENOENT;
	}
	if (ret < 0) {
		close(fd);
		return ret;
	}
	*node = p9_tree_add(&server->tree, parent, name, stat, fd);
	return *node != NULL ? 0 : -ENOMEM;
}

int p9_walk_child(struct p9_server *server, struct p9_node *parent, const char *name, struct p9_node **node,
	struct statx *stat) {
	if (parent->type != S_IFDIR) {
		return -ENOTDIR;
	}
	if (view_name(server, parent, name) == P9_HIDDEN) {
		return -ENOENT;
	}
	int directory = p9_node_pin(&server->tree, parent);
	if (directory < 0) {
		return directory;
	}
	int ret = 0;
	*node = NULL;
	if (p9_tree_has(&server->tree, parent, name)) {
		ret = p9_host_stat(directory, name, stat);
		*node = ret == 0 ? p9_tree_find(&server->tree, parent, name, stat) : NULL;
	}
	if (ret == 0 && *node == NULL) {
		ret = open_child(server, parent, directory, name, node, stat);
	}
	p9_node_unpin(&server->tree, parent);
	return ret;
}

int p9_pin_for_directory(struct p9_server *server, struct p9_fid *fid, const char *name) {
	if (fid->node->type != S_IFDIR) {
		return -ENOTDIR;
	}
	if (view_name(server, fid->node, name) == P9_HIDDEN) {
		return -EPERM;
	}
	return p9_node_pin(&server->tree, fid->node);
}

int p9_pin_directory(struct p9_server *server, struct p9_fid *fid, const char *name) {
	if (fid->node->type == S_IFDIR && view_name(server, fid->node, name) == P9_ON_THE_WAY) {
		return -EBUSY;
	}
	return p9_pin_for_directory(server, fid, name);
}

/* ---- the session ---- */

int p9_op_version(struct p9_request *request) {
	struct p9_server *server = request->server;
	uint32_t msize = p9_get_u32(&request->in);
	const char *version = p9_get_string(&request->in, P9_NAME_MAX);
	int ret = p9_get_end(&request->in);
	if (ret < 0) {
		return ret;
	}
	if (msize < P9_MSIZE_MIN) {
		return -EMSGSIZE;
	}
	if (msize > server->config.msize) {
		msize = server->config.msize;
	}
	p9_fids_clear(server);
	const char *answer = strcmp(version, "9P2000.L") == 0 ? version : "unknown";
	atomic_store(&server->msize, msize);
	p9_put_u32(&request->out, msize);
	p9_put_string(&request->out, answer, strlen(answer));
	return 0;
}

/* The share was chosen by whoever started the VM: there is nobody to authenticate. */
int p9_op_auth(struct p9_request *request) {
	(void)request;
	return -EOPNOTSUPP;
}

int p9_op_attach(struct p9_request *request) {
	struct p9_server *server = request->server;
	uint32_t number = p9_get_u32(&request->in), auth = p9_get_u32(&request->in);
	p9_get_string(&request->in, UINT16_MAX); /* uname: the number below counts */
	const char *tree = p9_get_string(&request->in, UINT16_MAX);
	uint32_t uid = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret < 0) {
		return ret;
	}
	if (auth != P9_NOFID) {
		return -EINVAL;
	}
	if (tree[0] != '\0' && strcmp(tree, "/") != 0) {
		return -ENOENT; /* there is one tree */
	}
	struct statx stat;
	struct p9_qid qid;
	ret = p9_node_stat(server, server->tree.root, &stat);
	if (ret == 0) {
		ret = p9_qids_make(&server->qids, &stat, &qid);
	}
	if (ret < 0) {
		return ret;
	}
	struct p9_fid *fid = p9_fid_create(server, p9_node_ref(&server->tree, server->tree.root), uid);
	if (fid == NULL) {
		return -ENOMEM;
	}
	ret = p9_fid_insert(server, number, fid);
	p9_fid_put(server, fid);
	p9_put_qid(&request->out, &qid);
	return ret;
}

int p9_op_clunk(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret < 0) {
		return ret;
	}
	struct p9_fid *fid = p9_fid_remove(request->server, number);
	if (fid == NULL) {
		return -EBADF;
	}
	ret = p9_xattr_commit(request->server, fid);
	p9_fid_put(request->server, fid);
	return ret;
}

/* ---- Twalk ---- */

static int step(struct p9_server *server, struct p9_node **node, const char *name, struct p9_qid *qid) {
	struct p9_node *next = NULL;
	struct statx stat;
	int ret;
	if ((*node)->type != S_IFDIR) {
		return -ENOTDIR;
	}
	if (strcmp(name, "..") == 0) {
		next = p9_node_parent(&server->tree, *node);
		ret = p9_node_stat(server, next, &stat);
	} else {
		ret = p9_walk_child(server, *node, name, &next, &stat);
	}
	if (ret == 0) {
		ret = p9_qids_make(&server->qids, &stat, qid);
	}
	if (ret < 0) {
		p9_node_unref(&server->tree, next);
		return ret;
	}
	assert(next != NULL);
	p9_node_unref(&server->tree, *node);
	*node = next;
	return 0;
}

static bool is_name(const char *name) {
	return name[0] != '\0' && strcmp(name, ".") != 0 && strchr(name, '/') == NULL;
}

/* The fid reached: in the place of the one walked from, or under a number of its own. Takes the node. */
static int arrive(struct p9_server *server, struct p9_fid *from, uint32_t number, struct p9_node *node) {
	struct p9_fid *fid = p9_fid_create(server, node, from->uid);
	if (fid == NULL) {
		return -ENOMEM;
	}
	int ret;
	if (number != from->number) {
		ret = p9_fid_insert(server, number, fid);
	} else if (atomic_load(&from->fd) >= 0 || from->xattr != NULL) {
		ret = -EBUSY;
	} else {
		ret = p9_fid_replace(server, from, fid);
	}
	p9_fid_put(server, fid);
	return ret;
}

static int walk(struct p9_request *request, struct p9_fid *from, uint32_t number, const char *const *names,
	unsigned count) {
	struct p9_server *server = request->server;
	struct p9_qid qids[P9_WALK_MAX];
	struct p9_node *node = p9_node_ref(&server->tree, from->node);
	unsigned done = 0;
	int ret = 0;
	while (done < count && ret == 0) {
		ret = step(server, &node, names[done], &qids[done]);
		done += ret == 0;
	}
	if (done == count) {
		ret = arrive(server, from, number, node);
	} else {
		p9_node_unref(&server->tree, node);
		ret = done > 0 ? 0 : ret; /* some of the way is an answer, no step is an error */
	}
	p9_put_u16(&request->out, (uint16_t)done);
	for (unsigned i = 0; i < done; i++) {
		p9_put_qid(&request->out, &qids[i]);
	}
	return ret;
}

int p9_op_walk(struct p9_request *request) {
	const char *names[P9_WALK_MAX];
	uint32_t number = p9_get_u32(&request->in), new_number = p9_get_u32(&request->in);
	unsigned count = p9_get_u16(&request->in);
	if (count > P9_WALK_MAX) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < count; i++) {
		names[i] = p9_get_string(&request->in, P9_NAME_MAX);
	}
	int ret = p9_get_end(&request->in);
	for (unsigned i = 0; i < count && ret == 0; i++) {
		ret = is_name(names[i]) ? 0 : -EINVAL;
	}
	if (ret < 0) {
		return ret;
	}
	struct p9_fid *from = p9_request_fid(request, number, &ret);
	if (from != NULL) {
		ret = from->xattr == NULL ? walk(request, from, new_number, names, count) : -EINVAL;
		p9_fid_put(request->server, from);
	}
	return ret;
}
