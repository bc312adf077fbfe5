/*
 * The nodes of a share (see tree.h). Runs on the share's threads; one lock guards the shape, and calls
 * on the host are made outside it, on pinned descriptors. Names and depth are the guest's: nothing
 * recurses, and a guest whose view of the tree is stale cannot make a cycle.
 */
#include "files/tree.h"

#include "ph/fd.h"
#include "ph/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARK_BATCH 32
/* How often a node is looked for that is renamed again and again. */
#define MISSED_MAX 16
/* A fid holds its node and all above it, so that fids alone do not bound them. */
#define NODES_MAX ((size_t)1 << 21)

/* ---- the ring of nodes that may be parked ---- */

static void cool_remove(struct p9_node *node) {
	if (node->warmer != NULL) {
		node->warmer->colder = node->colder;
		node->colder->warmer = node->warmer;
		node->warmer = node->colder = NULL;
	}
}

/* Only a node that its name still leads to can be found again. */
static void cool_touch(struct p9_tree *tree, struct p9_node *node) {
	cool_remove(node);
	if (node->named && node->fd >= 0) {
		node->colder = tree->cold.colder;
		node->warmer = &tree->cold;
		node->colder->warmer = node;
		tree->cold.colder = node;
	}
}

unsigned p9_tree_park(struct p9_tree *tree, unsigned count) {
	int fds[PARK_BATCH];
	unsigned parked = 0;
	if (count > PARK_BATCH) {
		count = PARK_BATCH;
	}
	pthread_mutex_lock(&tree->lock);
	struct p9_node *node = tree->cold.warmer;
	while (node != &tree->cold && parked < count) {
		struct p9_node *warmer = node->warmer;
		if (node->pins == 0) {
			fds[parked++] = node->fd;
			node->fd = -1;
			cool_remove(node);
		}
		node = warmer;
	}
	pthread_mutex_unlock(&tree->lock);
	for (unsigned i = 0; i < parked; i++) {
		close(fds[i]);
	}
	p9_host_count(-(int)parked);
	return parked;
}

/* ---- the table of names ---- */

static uint32_t hash_of(const struct p9_node *parent, const char *name) {
	return text_hash((uint32_t)((uintptr_t)parent >> 6), name);
}

static struct p9_node **bucket_of(struct p9_tree *tree, uint32_t hash) {
	return &tree->buckets[hash & (tree->bucket_count - 1)];
}

static struct p9_node *table_find(struct p9_tree *tree, const struct p9_node *parent, const char *name) {
	uint32_t hash = hash_of(parent, name);
	struct p9_node *node = *bucket_of(tree, hash);
	while (node != NULL &&
		(node->hash != hash || node->parent != parent || strcmp(node->name, name) != 0)) {
		node = node->next;
	}
	return node;
}

static void table_remove(struct p9_tree *tree, struct p9_node *node) {
	if (!node->named) {
		return;
	}
	struct p9_node **at = bucket_of(tree, node->hash);
	while (*at != node) {
		at = &(*at)->next;
	}
	*at = node->next;
	node->named = false;
	cool_remove(node);
	tree->node_count--;
}

/* A table that cannot grow only gets slower. */
static void table_grow(struct p9_tree *tree) {
	size_t old_count = tree->bucket_count;
	struct p9_node **old = tree->buckets, **buckets = calloc(old_count * 2, sizeof(*buckets));
	if (buckets == NULL) {
		return;
	}
	tree->buckets = buckets;
	tree->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		for (struct p9_node *node = old[i], *next; node != NULL; node = next) {
			next = node->next;
			struct p9_node **bucket = bucket_of(tree, node->hash);
			node->next = *bucket;
			*bucket = node;
		}
	}
	free(old);
}

static void table_add(struct p9_tree *tree, struct p9_node *node) {
	if (tree->node_count >= tree->bucket_count) {
		table_grow(tree);
	}
	node->hash = hash_of(node->parent, node->name);
	struct p9_node **bucket = bucket_of(tree, node->hash);
	node->next = *bucket;
	*bucket = node;
	node->named = true;
	tree->node_count++;
	cool_touch(tree, node);
}

/* ---- references ---- */

struct p9_node *p9_node_ref(struct p9_tree *tree, struct p9_node *node) {
	pthread_mutex_lock(&tree->lock);
	node->refs++;
	pthread_mutex_unlock(&tree->lock);
	return node;
}

void p9_node_unref(struct p9_tree *tree, struct p9_node *node) {
	/* A node's end is the end of a reference to its parent: a loop, for the guest chooses the depth. */
	while (node != NULL) {
		pthread_mutex_lock(&tree->lock);
		bool last = --node->refs == 0;
		if (last) {
			table_remove(tree, node);
			cool_remove(node);
			tree->alive -= node->parent != NULL;
		}
		pthread_mutex_unlock(&tree->lock);
		if (!last) {
			return;
		}
		struct p9_node *parent = node->parent;
		if (node->fd >= 0) {
			close(node->fd);
			p9_host_count(-1);
		}
		free(node->name);
		free(node);
		node = parent;
	}
}

int p9_tree_init(struct p9_tree *tree, int root_fd, const struct p9_hide *hide) {
	*tree = (struct p9_tree){.hide = hide, .alive_max = NODES_MAX};
	tree->cold.colder = tree->cold.warmer = &tree->cold;
	pthread_mutex_init(&tree->lock, NULL);
	pthread_cond_init(&tree->renamed, NULL);
	tree->bucket_count = 256;
	tree->buckets = calloc(tree->bucket_count, sizeof(struct p9_node *));
	struct p9_node *root = calloc(1, sizeof(*root));
	if (tree->buckets == NULL || root == NULL) {
		free(root);
		p9_tree_finish(tree);
		return -ENOMEM;
	}
	tree->root = root;
	*root = (struct p9_node){
		.fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0), .refs = 1, .type = S_IFDIR, .place = P9_PLACE_ROOT};
	struct statx stat;
	int ret = root->fd < 0 ? -errno : p9_host_stat(root->fd, "", &stat);
	if (ret < 0) {
		p9_tree_finish(tree);
		return ret;
	}
	root->identity = p9_identity_of(&stat);
	return 0;
}

void p9_tree_finish(struct p9_tree *tree) {
	if (tree->bucket_count == 0) {
		return;
	}
	if (tree->root != NULL) {
		fd_close(&tree->root->fd);
		free(tree->root);
	}
	free(tree->buckets);
	pthread_cond_destroy(&tree->renamed);
	pthread_mutex_destroy(&tree->lock);
	*tree = (struct p9_tree){0};
}

/* ---- descriptors ---- */

static bool is_file(const struct p9_node *node, const struct statx *stat) {
	return p9_identity_equal(node->identity, p9_identity_of(stat)) &&
	       node->type == (stat->stx_mode & S_IFMT) && node->birth.tv_sec == stat->stx_btime.tv_sec &&
	       node->birth.tv_nsec == stat->stx_btime.tv_nsec;
}

static int open_same(int directory, const char *name, const struct p9_node *node) {
	struct statx stat;
	int fd = p9_host_open_child(directory, name);
	if (fd < 0) {
		return fd == -ENFILE || fd == -ENOMEM ? fd : -ESTALE;
	}
	int ret = p9_host_stat(fd, "", &stat);
	if (ret == 0 && is_file(node, &stat)) {
		return fd;
	}
	close(fd);
	return ret == 0 ? -ESTALE : ret;
}

void p9_tree_begin_rename(
	struct p9_tree *tree, struct p9_rename *rename, const struct p9_node *parent, const char *name) {
	pthread_mutex_lock(&tree->lock);
	*rename = (struct p9_rename){.next = tree->renames, .parent = parent, .name = name};
	rename->number = ++tree->renames_begun;
	tree->renames = rename;
	pthread_mutex_unlock(&tree->lock);
}

void p9_tree_end_rename(struct p9_tree *tree, struct p9_rename *rename) {
	pthread_mutex_lock(&tree->lock);
	struct p9_rename **at = &tree->renames;
	while (*at != rename) {
		at = &(*at)->next;
	}
	*at = rename->next;
	pthread_cond_broadcast(&tree->renamed);
	pthread_mutex_unlock(&tree->lock);
}

/* Whether what is looked for there is being renamed, by one of the first so many renames. */
static bool is_renamed(
	const struct p9_tree *tree, const struct p9_node *parent, const char *name, uint64_t begun) {
	const struct p9_rename *rename = tree->renames;
	while (rename != NULL &&
		(rename->number > begun || rename->parent != parent || strcmp(rename->name, name) != 0)) {
		rename = rename->next;
	}
	return rename != NULL;
}

/* For those under way now, not for what the guest begins meanwhile. False: there are none. Under the lock. */
static bool wait_for_renames(struct p9_tree *tree, const struct p9_node *parent, const char *name) {
	uint64_t begun = tree->renames_begun;
	bool waited = false;
	while (is_renamed(tree, parent, name, begun)) {
		waited = true;
		pthread_cond_wait(&tree->renamed, &tree->lock);
	}
	return waited;
}

/* Give the descriptor back to a parked node whose parent has one: 0, -EAGAIN when it may have another name by
 * now, or another -errno. Called with the lock, which it drops. */
static int unpark(struct p9_tree *tree, struct p9_node *node) {
	struct p9_node *parent = node->parent;
	char name[P9_NAME_MAX + 1];
	strcpy(name, node->name);
	int directory = parent->fd;
	unsigned renames = node->renames;
	node->refs++;
	parent->refs++;
	parent->pins++;
	pthread_mutex_unlock(&tree->lock);
	int fd = open_same(directory, name, node);
	int ret = fd < 0 ? fd : 0;
	pthread_mutex_lock(&tree->lock);
	parent->pins--;
	if (fd >= 0 && node->fd < 0) {
		node->fd = fd;
		cool_touch(tree, node);
		p9_host_count(1);
		fd = -1;
	}
	if (ret == -ESTALE && (wait_for_renames(tree, parent, name) || node->renames != renames)) {
		ret = -EAGAIN;
	}
	pthread_mutex_unlock(&tree->lock);
	if (fd >= 0) {
		close(fd);
	}
	p9_node_unref(tree, parent);
	p9_node_unref(tree, node);
	pthread_mutex_lock(&tree->lock);
	return ret;
}

int p9_node_pin(struct p9_tree *tree, struct p9_node *node) {
	int ret = 0;
	unsigned missed = 0;
	if (p9_host_crowded()) {
		p9_tree_park(tree, PARK_BATCH);
	}
	pthread_mutex_lock(&tree->lock);
	while (node->fd < 0 && ret == 0) {
		struct p9_node *top = node;
		while (top->parent->fd < 0) {
			top = top->parent;
		}
		ret = unpark(tree, top);
		if (ret == -EAGAIN) {
			ret = ++missed < MISSED_MAX ? 0 : -ESTALE;
		}
	}
	if (ret == 0) {
		node->pins++;
		cool_touch(tree, node);
		ret = node->fd;
	}
	pthread_mutex_unlock(&tree->lock);
	return ret;
}

void p9_node_unpin(struct p9_tree *tree, struct p9_node *node) {
	pthread_mutex_lock(&tree->lock);
	node->pins--;
	pthread_mutex_unlock(&tree->lock);
}

/* ---- places ---- */

struct p9_node *p9_node_parent(struct p9_tree *tree, struct p9_node *node) {
	pthread_mutex_lock(&tree->lock);
	struct p9_node *parent = node->parent != NULL ? node->parent : node;
	parent->refs++;
	pthread_mutex_unlock(&tree->lock);
	return parent;
}

int p9_node_place(
	struct p9_tree *tree, struct p9_node *node, struct p9_node **parent, char name[P9_NAME_MAX + 1]) {
	int ret = 0;
	pthread_mutex_lock(&tree->lock);
	if (node->parent == NULL) {
		ret = -EBUSY;
	} else if (!node->named) {
		ret = -ESTALE;
	} else {
		*parent = node->parent;
		node->parent->refs++;
		strcpy(name, node->name);
	}
	pthread_mutex_unlock(&tree->lock);
	return ret;
}

bool p9_tree_has(struct p9_tree *tree, struct p9_node *parent, const char *name) {
	pthread_mutex_lock(&tree->lock);
	bool has = table_find(tree, parent, name) != NULL;
	pthread_mutex_unlock(&tree->lock);
	return has;
}

struct p9_node *p9_tree_find(
	struct p9_tree *tree, struct p9_node *parent, const char *name, const struct statx *stat) {
	pthread_mutex_lock(&tree->lock);
	struct p9_node *node = table_find(tree, parent, name);
	/* With a descriptor the inode cannot have been freed and used again, so the number is proof. */
	if (node != NULL && (node->fd < 0 || !is_file(node, stat))) {
		node = NULL;
	}
	if (node != NULL) {
		node->refs++;
	}
	pthread_mutex_unlock(&tree->lock);
	return node;
}

static struct p9_node *node_create(const struct p9_hide *hide, struct p9_node *parent, const char *name,
	const struct statx *stat, int fd) {
	struct p9_node *node = malloc(sizeof(*node));
	char *copy = strdup(name);
	if (node == NULL || copy == NULL) {
		free(node);
		free(copy);
		return NULL;
	}
	*node = (struct p9_node){.identity = p9_identity_of(stat),
		.type = stat->stx_mode & S_IFMT,
		.birth = stat->stx_btime,
		.place = p9_hide_place(hide, parent->place, name),
		.parent = parent,
		.name = copy,
		.refs = 1,
		.fd = fd};
	return node;
}

struct p9_node *p9_tree_add(
	struct p9_tree *tree, struct p9_node *parent, const char *name, const struct statx *stat, int fd) {
	struct p9_node *fresh = node_create(tree->hide, parent, name, stat, fd);
	int unused = fd;
	pthread_mutex_lock(&tree->lock);
	struct p9_node *node = table_find(tree, parent, name);
	if (node != NULL && is_file(node, stat)) {
		node->refs++;
		if (node->fd < 0) {
			node->fd = fd;
			unused = -1;
		}
		cool_touch(tree, node);
	} else if (fresh != NULL && tree->alive < tree->alive_max) {
		if (node != NULL) {
			table_remove(tree, node); /* the host has put another file there */
		}
		node = fresh;
		fresh = NULL;
		unused = -1;
		parent->refs++;
		tree->alive++;
		table_add(tree, node);
	} else {
		node = NULL;
	}
	pthread_mutex_unlock(&tree->lock);
	if (fresh != NULL) {
		free(fresh->name);
		free(fresh);
	}
	if (unused >= 0) {
		close(unused);
	} else {
		p9_host_count(1);
	}
	return node;
}

struct p9_node *p9_tree_keep(struct p9_tree *tree, struct p9_node *parent, const char *name) {
	/* Where descriptors are scarce, those that open files have must do. */
	if (p9_host_crowded()) {
		return NULL;
	}
	pthread_mutex_lock(&tree->lock);
	struct p9_node *node = table_find(tree, parent, name);
	if (node != NULL) {
		node->refs++;
	}
	pthread_mutex_unlock(&tree->lock);
	if (node != NULL && p9_node_pin(tree, node) < 0) {
		p9_node_unref(tree, node);
		return NULL;
	}
	return node;
}

void p9_tree_release(struct p9_tree *tree, struct p9_node *node) {
	if (node != NULL) {
		p9_node_unpin(tree, node);
		p9_node_unref(tree, node);
	}
}

void p9_tree_removed(struct p9_tree *tree, struct p9_node *parent, const char *name) {
	pthread_mutex_lock(&tree->lock);
	struct p9_node *node = table_find(tree, parent, name);
	if (node != NULL) {
		table_remove(tree, node);
	}
	pthread_mutex_unlock(&tree->lock);
}

static bool is_beneath(const struct p9_node *node, const struct p9_node *ancestor) {
	while (node != NULL && node != ancestor) {
		node = node->parent;
	}
	return node != NULL;
}

void p9_tree_renamed(struct p9_tree *tree, struct p9_node *old_parent, const char *old_name,
	struct p9_node *new_parent, const char *new_name) {
	struct p9_node *left = NULL;
	char *copy = strdup(new_name);
	pthread_mutex_lock(&tree->lock);
	struct p9_node *target = table_find(tree, new_parent, new_name);
	struct p9_node *node = table_find(tree, old_parent, old_name);
	if (target != NULL && target != node) {
		table_remove(tree, target);
	}
	if (node != NULL && target != node) {
		table_remove(tree, node);
		node->renames++;
		/* The host may have moved things so that, in the guest's stale view, a directory now goes
		 * beneath itself: such a node just loses its name. */
		if (copy != NULL && !is_beneath(new_parent, node)) {
			left = node->parent;
			new_parent->refs++;
			node->parent = new_parent;
			free(node->name);
			node->name = copy;
			copy = NULL;
			table_add(tree, node);
		}
	}
	pthread_mutex_unlock(&tree->lock);
	free(copy);
	p9_node_unref(tree, left);
}
