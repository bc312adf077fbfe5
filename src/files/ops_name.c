/*
 * Names: making, linking, renaming and removing entries, and symbolic links. Runs on the share's
 * threads. Each call gives the host a pinned directory and a single component that was checked to be
 * one. Device nodes are never made; fifos and sockets are, but nothing here opens them.
 */
#include "files/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define P9_REMOVEDIR 0x200
#define TARGET_MAX 4095

static int give_node(struct p9_server *server, struct p9_node *node, const struct p9_owner *owner) {
	int fd = p9_node_pin(&server->tree, node);
	if (fd < 0) {
		return fd;
	}
	int ret = p9_ids_give(&server->config.ids, fd, owner);
	p9_node_unpin(&server->tree, node);
	return ret;
}

/* Find what was just made under name, give it to its owner and answer with its qid. */
static int put_made(
	struct p9_request *request, struct p9_fid *parent, const char *name, const struct p9_owner *owner) {
	struct p9_server *server = request->server;
	struct p9_node *node;
	struct statx stat;
	struct p9_qid qid;
	int ret = p9_walk_child(server, parent->node, name, &node, &stat);
	if (ret == 0) {
		ret = give_node(server, node, owner);
		p9_node_unref(&server->tree, node);
	}
	if (ret == 0) {
		ret = p9_qids_make(&server->qids, &stat, &qid);
	}
	if (ret == 0) {
		p9_put_qid(&request->out, &qid);
	}
	return ret;
}

struct making {
	const char *name, *target;
	mode_t mode;
	uint32_t gid;
	int (*pin)(struct p9_server *server, struct p9_fid *fid, const char *name);
	int (*make)(int directory, const struct making *making); /* 0, or -1 and errno */
};

static int make(struct p9_request *request, uint32_t number, const struct making *making) {
	struct p9_server *server = request->server;
	int ret = 0;
	struct p9_fid *fid = p9_request_fid(request, number, &ret);
	if (fid == NULL) {
		return ret;
	}
	int directory = making->pin(server, fid, making->name);
	ret = directory;
	if (directory >= 0) {
		struct p9_owner owner;
		ret = p9_ids_owner(&server->config.ids, fid->uid, making->gid, &owner);
		if (ret == 0) {
			ret = making->make(directory, making) < 0
				      ? -errno
				      : put_made(request, fid, making->name, &owner);
		}
		p9_node_unpin(&server->tree, fid->node);
	}
	p9_fid_put(server, fid);
	return ret;
}

static int make_symlink(int directory, const struct making *making) {
	return symlinkat(making->target, directory, making->name);
}

int p9_op_symlink(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in);
	struct making making = {
		.name = p9_get_name(&request->in), .pin = p9_pin_directory, .make = make_symlink};
	making.target = p9_get_string(&request->in, TARGET_MAX);
	making.gid = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	return ret < 0 ? ret : make(request, number, &making);
}

static int make_node(int directory, const struct making *making) {
	return mknodat(directory, making->name, making->mode, 0);
}

int p9_op_mknod(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in);
	struct making making = {
		.name = p9_get_name(&request->in), .pin = p9_pin_directory, .make = make_node};
	uint32_t mode = p9_get_u32(&request->in);
	p9_get_u32(&request->in); /* major and minor */
	p9_get_u32(&request->in);
	making.gid = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret < 0) {
		return ret;
	}
	if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode)) {
		return S_ISCHR(mode) || S_ISBLK(mode) ? -EPERM : -EINVAL;
	}
	making.mode = mode & (S_IFMT | 01777);
	return make(request, number, &making);
}

static int make_directory(int directory, const struct making *making) {
	return mkdirat(directory, making->name, making->mode);
}

int p9_op_mkdir(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in);
	struct making making = {
		.name = p9_get_name(&request->in), .pin = p9_pin_for_directory, .make = make_directory};
	making.mode = p9_get_u32(&request->in) & 01777;
	making.gid = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	return ret < 0 ? ret : make(request, number, &making);
}

int p9_op_readlink(struct p9_request *request) {
	struct p9_server *server = request->server;
	char target[TARGET_MAX + 1];
	uint32_t number = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	/* A descriptor of anything else would answer ENOENT. */
	int fd = fid->node->type == S_IFLNK ? p9_node_pin(&server->tree, fid->node) : -EINVAL;
	ret = fd;
	if (fd >= 0) {
		ssize_t n = readlinkat(fd, "", target, sizeof(target));
		ret = n < 0 ? -errno : 0;
		p9_node_unpin(&server->tree, fid->node);
		if (ret == 0) {
			p9_put_string(&request->out, target, (size_t)n);
		}
	}
	p9_fid_put(server, fid);
	return ret;
}

/* ---- two fids ---- */

struct pair {
	struct p9_fid *first, *second;
};

static int pair_get(struct p9_request *request, uint32_t first, uint32_t second, struct pair *pair) {
	int ret = 0;
	*pair = (struct pair){0};
	pair->first = p9_request_fid(request, first, &ret);
	if (ret == 0) {
		pair->second = p9_request_fid(request, second, &ret);
	}
	return ret;
}

static void pair_put(struct p9_server *server, struct pair *pair) {
	p9_fid_put(server, pair->first);
	p9_fid_put(server, pair->second);
}

static int link_file(struct p9_server *server, struct p9_fid *file, struct p9_fid *parent, const char *name) {
	struct p9_hold hold;
	int directory = p9_pin_directory(server, parent, name);
	if (directory < 0) {
		return directory;
	}
	int ret = p9_fid_hold(server, file, &hold);
	if (ret == 0) {
		char proc_name[P9_PROC_NAME_SIZE];
		p9_host_proc_name(hold.fd, proc_name);
		ret = linkat(server->proc_fd, proc_name, directory, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
		p9_fid_release(server, &hold);
	}
	p9_node_unpin(&server->tree, parent->node);
	return ret;
}

int p9_op_link(struct p9_request *request) {
	uint32_t directory = p9_get_u32(&request->in), file = p9_get_u32(&request->in);
	const char *name = p9_get_name(&request->in);
	struct pair pair = {0};
	int ret = p9_get_end(&request->in);
	if (ret == 0) {
		ret = pair_get(request, file, directory, &pair);
	}
	if (ret == 0) {
		ret = link_file(request->server, pair.first, pair.second, name);
	}
	pair_put(request->server, &pair);
	return ret;
}

/* ---- Trename, Trenameat ---- */

/* A fid's name must still lead to the fid's file: somebody else may have put another there. */
static int check_same(int directory, const char *name, const struct p9_node *node) {
	struct statx stat;
	int ret = p9_host_stat(directory, name, &stat);
	return ret == 0 && !p9_identity_equal(p9_identity_of(&stat), node->identity) ? -ESTALE : ret;
}

/* Whether the guest may take an entry away. */
static int check_removal(struct p9_server *server, struct p9_node *parent, int directory, const char *name) {
	if (server->hide.count == 0) {
		return 0;
	}
	int view = p9_entry_view(server, parent, directory, name);
	return view < 0 ? view : view == P9_HIDDEN ? -ENOENT : view == P9_ON_THE_WAY ? -EBUSY : 0;
}

/* Whether it may put another in its place. That the name may be used is known already. */
static int check_replacement(
	struct p9_server *server, struct p9_node *parent, int directory, const char *name) {
	if (server->hide.count == 0) {
		return 0;
	}
	int view = p9_entry_view(server, parent, directory, name);
	if (view < 0) {
		return view == -ENOENT ? 0 : view;
	}
	return view == P9_HIDDEN ? -EPERM : view == P9_ON_THE_WAY ? -EBUSY : 0;
}

static int rename_pinned(struct p9_server *server, struct p9_node *old_parent, int from, const char *old_name,
	struct p9_node *new_parent, int to, const char *new_name) {
	struct p9_node *replaced = p9_tree_keep(&server->tree, new_parent, new_name);
	struct p9_rename rename;
	p9_tree_begin_rename(&server->tree, &rename, old_parent, old_name);
	int ret = renameat(from, old_name, to, new_name) < 0 ? -errno : 0;
	if (ret == 0) {
		p9_tree_renamed(&server->tree, old_parent, old_name, new_parent, new_name);
	}
	p9_tree_end_rename(&server->tree, &rename);
	p9_tree_release(&server->tree, replaced);
	return ret;
}

static int rename_entry(struct p9_server *server, struct p9_node *old_parent, const char *old_name,
	struct p9_fid *new_parent, const char *new_name) {
	int to = p9_pin_directory(server, new_parent, new_name);
	if (to < 0) {
		return to;
	}
	int from = p9_node_pin(&server->tree, old_parent);
	int ret = from;
	if (from >= 0) {
		ret = check_removal(server, old_parent, from, old_name);
		if (ret == 0) {
			ret = check_replacement(server, new_parent->node, to, new_name);
		}
		if (ret == 0) {
			ret = rename_pinned(
				server, old_parent, from, old_name, new_parent->node, to, new_name);
		}
		p9_node_unpin(&server->tree, old_parent);
	}
	p9_node_unpin(&server->tree, new_parent->node);
	return ret;
}

int p9_op_renameat(struct p9_request *request) {
	struct p9_server *server = request->server;
	uint32_t old_parent = p9_get_u32(&request->in);
	const char *old_name = p9_get_name(&request->in);
	uint32_t new_parent = p9_get_u32(&request->in);
	const char *new_name = p9_get_name(&request->in);
	struct pair pair = {0};
	int ret = p9_get_end(&request->in);
	if (ret == 0) {
		ret = pair_get(request, old_parent, new_parent, &pair);
	}
	if (ret == 0) {
		ret = rename_entry(server, pair.first->node, old_name, pair.second, new_name);
	}
	pair_put(server, &pair);
	return ret;
}

static int rename_node(struct p9_server *server, struct p9_node *node, struct p9_node *parent,
	const char *name, struct p9_fid *new_parent, const char *new_name) {
	int directory = p9_node_pin(&server->tree, parent);
	if (directory < 0) {
		return directory;
	}
	int ret = check_same(directory, name, node);
	if (ret == 0) {
		ret = rename_entry(server, parent, name, new_parent, new_name);
	}
	p9_node_unpin(&server->tree, parent);
	return ret;
}

int p9_op_rename(struct p9_request *request) {
	struct p9_server *server = request->server;
	uint32_t number = p9_get_u32(&request->in), new_parent = p9_get_u32(&request->in);
	const char *new_name = p9_get_name(&request->in);
	struct pair pair = {0};
	int ret = p9_get_end(&request->in);
	if (ret == 0) {
		ret = pair_get(request, number, new_parent, &pair);
	}
	if (ret == 0) {
		struct p9_node *parent;
		char old_name[P9_NAME_MAX + 1];
		ret = p9_node_place(&server->tree, pair.first->node, &parent, old_name);
		if (ret == 0) {
			ret = rename_node(server, pair.first->node, parent, old_name, pair.second, new_name);
			p9_node_unref(&server->tree, parent);
		}
	}
	pair_put(server, &pair);
	return ret;
}

/* ---- Tunlinkat, Tremove ---- */

static int unlink_entry(struct p9_server *server, struct p9_node *parent, int directory, const char *name,
	bool is_directory) {
	struct p9_node *known = p9_tree_keep(&server->tree, parent, name);
	int ret = unlinkat(directory, name, is_directory ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
	if (ret == 0) {
		p9_tree_removed(&server->tree, parent, name);
	}
	p9_tree_release(&server->tree, known);
	return ret;
}

int p9_op_unlinkat(struct p9_request *request) {
	struct p9_server *server = request->server;
	uint32_t number = p9_get_u32(&request->in);
	const char *name = p9_get_name(&request->in);
	uint32_t flags = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret == 0 && (flags & ~(uint32_t)P9_REMOVEDIR) != 0) {
		ret = -EINVAL;
	}
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	int directory = p9_pin_directory(server, fid, name);
	ret = directory;
	if (directory >= 0) {
		ret = check_removal(server, fid->node, directory, name);
		if (ret == 0) {
			ret = unlink_entry(server, fid->node, directory, name, flags != 0);
		}
		p9_node_unpin(&server->tree, fid->node);
	}
	p9_fid_put(server, fid);
	return ret;
}

static int remove_entry(
	struct p9_server *server, struct p9_node *node, struct p9_node *parent, const char *name) {
	int directory = p9_node_pin(&server->tree, parent);
	if (directory < 0) {
		return directory;
	}
	int ret = check_same(directory, name, node);
	if (ret == 0) {
		ret = check_removal(server, parent, directory, name);
	}
	if (ret == 0) {
		ret = unlink_entry(server, parent, directory, name, node->type == S_IFDIR);
	}
	p9_node_unpin(&server->tree, parent);
	return ret;
}

int p9_op_remove(struct p9_request *request) {
	struct p9_server *server = request->server;
	uint32_t number = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret < 0) {
		return ret;
	}
	/* The fid is gone in any case. */
	struct p9_fid *fid = p9_fid_remove(server, number);
	if (fid == NULL) {
		return -EBADF;
	}
	struct p9_node *parent;
	char name[P9_NAME_MAX + 1];
	ret = p9_node_place(&server->tree, fid->node, &parent, name);
	if (ret == 0) {
		ret = remove_entry(server, fid->node, parent, name);
		p9_node_unref(&server->tree, parent);
	}
	p9_fid_put(server, fid);
	return ret;
}
