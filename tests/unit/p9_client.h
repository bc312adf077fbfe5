/*
 * A 9P2000.L client for tests, and a share for it to use: the server's core behind a socket pair, served
 * by a few threads as a transport would, on a new directory. It shares no code with src/files: messages
 * are put together and taken apart here. What goes wrong in the client itself aborts the test.
 */
#ifndef TEST_P9_CLIENT_H
#define TEST_P9_CLIENT_H

#include "files/server.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define P9_CLIENT_THREADS 4
#define P9_CLIENT_MSIZE 512000

struct p9_client {
	char directory[64]; /* the share, a fresh one in /tmp */
	int directory_fd;
	struct p9_server server;
	int client_fd, server_fd;
	pthread_t threads[P9_CLIENT_THREADS];
	pthread_mutex_t receiving, sending; /* the server's ends */
	uint32_t reply_room;                /* what the server is given for each reply */
	uint16_t tag;
	/* the last reply, and how far it has been read */
	uint8_t *reply;
	uint32_t reply_size, at;
};

struct p9_client_stat {
	uint64_t valid;
	uint8_t qid_type;
	uint32_t qid_version;
	uint64_t qid_path;
	uint32_t mode, uid, gid;
	uint64_t links, device, size, block_size, blocks;
	uint64_t times[8]; /* access, modification, change, birth: seconds and nanoseconds */
};

/* Serve in the file server's jail, on threads that cannot leave it: not in a program with sanitizers. */
extern bool p9_client_jailed;

/* A new share, connected but without a session. */
void p9_client_init(struct p9_client *client, bool read_only, char *const *hide);
/* The same on a given directory, which is left alone at the end. */
void p9_client_init_on(struct p9_client *client, const char *directory, bool read_only, char *const *hide);
/* A new share with a map of users and groups. */
void p9_client_init_mapped(struct p9_client *client, const struct p9_ids *ids);
void p9_client_finish(struct p9_client *client);
/* Tversion and Tattach as fid 0. */
void p9_client_attach(struct p9_client *client);

/*
 * Send a request and take the reply: 0, or the error number the server answers. The format has a letter
 * for each field: b, h, w, q for 1, 2, 4 and 8 bytes (int, int, unsigned, uint64_t), s for a string, S for a
 * string given as pointer and length (size_t), D for bytes given so without a length in front.
 */
int p9_call(struct p9_client *client, uint8_t type, const char *format, ...);
/* Only send; the tag used. */
uint16_t p9_send(struct p9_client *client, uint8_t type, const char *format, ...);
/* Take the next reply, whichever request it answers: its tag. *error is 0 or what Rlerror says. */
uint16_t p9_receive(struct p9_client *client, uint8_t *type, int *error);
/* Whether a reply arrives within ms milliseconds. */
bool p9_ready(struct p9_client *client, int ms);
/* Send these bytes as they are. */
void p9_send_raw(struct p9_client *client, const void *data, size_t size);

/* Fields of the last reply, in order. Strings are terminated and live until the next reply. */
uint8_t p9_u8(struct p9_client *client);
uint16_t p9_u16(struct p9_client *client);
uint32_t p9_u32(struct p9_client *client);
uint64_t p9_u64(struct p9_client *client);
const char *p9_str(struct p9_client *client);
const uint8_t *p9_bytes(struct p9_client *client, uint32_t len);

/* Requests that tests make all the time; the same answer as p9_call(). path has components between '/'. */
int p9_walk(struct p9_client *client, uint32_t fid, uint32_t new_fid, const char *path);
int p9_open(struct p9_client *client, uint32_t fid, uint32_t flags);
/* The fid becomes the file. */
int p9_create(struct p9_client *client, uint32_t fid, const char *name, uint32_t flags, uint32_t mode);
/* Bytes, or the negative error. */
int64_t p9_read(struct p9_client *client, uint32_t fid, uint64_t offset, void *data, uint32_t count);
int64_t p9_write(struct p9_client *client, uint32_t fid, uint64_t offset, const void *data, uint32_t count);
int p9_clunk(struct p9_client *client, uint32_t fid);
int p9_stat(struct p9_client *client, uint32_t fid, struct p9_client_stat *stat);
/* Walk from the root to a new fid and open it. */
int p9_walk_open(struct p9_client *client, uint32_t new_fid, const char *path, uint32_t flags);

/* ---- the host's side of the share ---- */

/* A file of this content, a directory for NULL. Path is beneath the share. */
void p9_host_make(struct p9_client *client, const char *path, const char *content);
/* Whether the file has exactly this content. */
bool p9_host_has(struct p9_client *client, const char *path, const char *content);

/* Become an ordinary user when root, so that the host's permissions mean something; memory checks go on. */
void p9_drop_root(void);

#endif
