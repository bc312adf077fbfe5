/*
 * The nodes: files of the share that the guest has fids for, each an O_PATH descriptor and its
 * place in the tree as the guest walked it. Nodes are shared by fids and counted.
 *
 * A descriptor is never turned back into a path. When descriptors run out, cold nodes are parked: their
 * descriptor is closed and, when they are needed again, found from the nearest node that has one, one
 * name at a time, and taken only if it still is the same file; ESTALE otherwise.
 */
#ifndef FILES_TREE_H
#define FILES_TREE_H

#include "files/hide.h"
#include "files/wire.h"

#include <pthread.h>
#include <stddef.h>

struct p9_node {
	/* constant */
	struct p9_identity identity;
	mode_t type;                  /* S_IFMT bits */
	struct statx_timestamp birth; /* 0 where the host keeps none: inode numbers are given out again */
	int place; /* in what is hidden: no rename of the guest's leads into a place, or out of one */
	/* under the tree's lock */
	struct p9_node *parent; /* counted; NULL: the root */
	char *name;             /* in parent; NULL: the root */
	bool named;             /* in the table: parent and name still lead here as far as is known */
	uint32_t hash;
	struct p9_node *next; /* in its bucket */
	unsigned refs, pins;
	unsigned renames; /* how often it was given another name */
	int fd;           /* -1: parked */
	struct p9_node *colder, *warmer;
};

/* A rename under way, of what is looked for under parent and name. */
struct p9_rename {
	struct p9_rename *next;
	const struct p9_node *parent;
	const char *name;
	uint64_t number;
};

struct p9_tree {
	const struct p9_hide *hide;
	pthread_mutex_t lock;
	struct p9_node *root;
	struct p9_node **buckets;
	size_t bucket_count, node_count; /* of those in the table */
	size_t alive, alive_max;         /* of all but the root; tests set another bound */
	struct p9_node cold;             /* head of the ring of nodes that may be parked, coldest first */
	/* Renames under way and how many have begun, for those who look for a node meanwhile; that one has
	 * ended is signalled. */
	struct p9_rename *renames;
	uint64_t renames_begun;
	pthread_cond_t renamed;
};

/* The root node takes a duplicate of root_fd; what is hidden stays the caller's. 0 or -errno. */
int p9_tree_init(struct p9_tree *tree, int root_fd, const struct p9_hide *hide);
/* All references but the tree's own to its root are gone by now. Accepts a zeroed tree. */
void p9_tree_finish(struct p9_tree *tree);

struct p9_node *p9_node_ref(struct p9_tree *tree, struct p9_node *node);
void p9_node_unref(struct p9_tree *tree, struct p9_node *node); /* accepts NULL */

/* The node's descriptor, which stays open until the unpin, or -errno. */
int p9_node_pin(struct p9_tree *tree, struct p9_node *node);
void p9_node_unpin(struct p9_tree *tree, struct p9_node *node);

/* Where ".." leads: the parent, the root for the root. Counted. */
struct p9_node *p9_node_parent(struct p9_tree *tree, struct p9_node *node);
/* The parent and the name of a node, for Tremove and Trename: 0, or -EBUSY for the root, -ESTALE when the
 * name no longer leads here. *parent is counted. */
int p9_node_place(
	struct p9_tree *tree, struct p9_node *node, struct p9_node **parent, char name[P9_NAME_MAX + 1]);

/* Whether a node is known under parent and name, whatever the host has there by now. */
bool p9_tree_has(struct p9_tree *tree, struct p9_node *parent, const char *name);
/* The node known under parent and name if it is this file and has a descriptor; counted. NULL otherwise. */
struct p9_node *p9_tree_find(
	struct p9_tree *tree, struct p9_node *parent, const char *name, const struct statx *stat);
/*
 * The node for a descriptor just opened as parent's entry name; takes fd in any case. Counted; a node
 * known already is used again. NULL: out of memory, or too many nodes.
 */
struct p9_node *p9_tree_add(
	struct p9_tree *tree, struct p9_node *parent, const char *name, const struct statx *stat, int fd);

/*
 * A name is about to lead elsewhere or nowhere: give the node known there a descriptor, by which it can be
 * used on when it cannot be found any more. NULL: there is none, or no descriptor to spare. Counted and
 * pinned until the release, which accepts NULL.
 */
struct p9_node *p9_tree_keep(struct p9_tree *tree, struct p9_node *parent, const char *name);
void p9_tree_release(struct p9_tree *tree, struct p9_node *node);

/* What requests did to names, so that nodes beneath keep their places. */
void p9_tree_removed(struct p9_tree *tree, struct p9_node *parent, const char *name);
/* Around every rename, whatever becomes of it; parent and name stay until the end. */
void p9_tree_begin_rename(
	struct p9_tree *tree, struct p9_rename *rename, const struct p9_node *parent, const char *name);
void p9_tree_end_rename(struct p9_tree *tree, struct p9_rename *rename);
void p9_tree_renamed(struct p9_tree *tree, struct p9_node *old_parent, const char *old_name,
	struct p9_node *new_parent, const char *new_name);

/* Close up to count cold descriptors; returns how many. */
unsigned p9_tree_park(struct p9_tree *tree, unsigned count);

#endif
