/*
 * The filter: what programs of the VM may say to the compositor and hear from it. The boundary of the screen;
 * the proxy in the guest is not trusted. docs/wayland.md has the rules.
 *
 * A filter belongs to one connection. It is bytes and descriptors in, bytes and descriptors out, and does no
 * I/O of its own, but to look at a descriptor or close it.
 */
#ifndef DISPLAY_FILTER_H
#define DISPLAY_FILTER_H

#include "ph/display.h"
#include "ph/log.h"
#include "ph/wayland.h"

#define FILTER_OBJECTS_MAX 65536u /* that the guest made, in all connections */
/*
 * Objects that the compositor sends descriptors for: two for each connection. Those that nobody reads count
 * as the user's, and from 1024 on, by their usual limit, no other program of the user's can send one.
 */
#define FILTER_SENDERS_MAX 256u
/* Windows and popups, which are in each other, and subsurfaces: compositors call themselves for each, or look
 * at all of them whenever one is committed. */
#define FILTER_WINDOWS_MAX 1024u
#define FILTER_SUBSURFACES_MAX 2048u
/* Bytes that the compositor has of a VM: the window's, and as much in pages of the guest's own. */
#define FILTER_POOLS_MAX (2ull << 30)
/* Rectangles and bands that the compositor has of regions, and of surfaces' copies, in all connections. */
#define FILTER_REGION_BOXES_MAX 262144u
/* Each is a mapping of the compositor's, of which it may have some 65000, or a descriptor. */
#define FILTER_POOL_COUNT_MAX 8192u
#define FILTER_PLANES_MAX 1024u
/* Commits of subsurfaces that the compositor keeps until others are committed, in all connections. */
#define FILTER_WAITING_MAX 16384u
#define FILTER_GLOBALS_MAX 1024u
#define FILTER_SERIALS 256
/* What leaves in one piece: no more descriptors than libwayland and the guest take at once. */
#define FILTER_FDS_MAX 28u
#define FILTER_PASTE_NS 2000000000ull   /* how long a paste chord lasts */
#define FILTER_GESTURE_NS 5000000000ull /* how long a key or button speaks for its user */
/* Types of what is offered, and their bytes in all; LibreOffice has some sixty. */
#define FILTER_TYPES_MAX 128
#define FILTER_TYPE_BYTES_MAX 32768u
#define FILTER_VM_TYPES_MAX (4u << 20) /* of all sources, in bytes of the compositor's */
/* What the compositor tells others for the VM: bytes at once, and the time after which there is one more.
 * Titles come a hundred in a second from a terminal, and cost some 300 each. */
#define FILTER_NEWS_MAX 102400
#define FILTER_NEWS_NS 20000u
/* That of texts. GTK tells an input method 4000 bytes each time that a key that is held changes some. */
#define FILTER_TEXT_NS 3500u
/* How types begin that filters offer, each its own: no guest offers or sees any of them. */
#define FILTER_MARK_PREFIX "x-ph/"
#define FILTER_MARK_SIZE 40

/* What a descriptor from the guest is. */
enum filter_fd {
	FILTER_FD_OTHER,
	FILTER_FD_MEMORY,
	FILTER_FD_DMABUF,
	FILTER_FD_PAGES, /* a dma-buf, too, made of pages of the guest's */
	FILTER_FD_PIPE,  /* the end that the guest does not have */
};

struct chords;
struct filter_window;

/* What others may be told. */
struct filter_allowance {
	int64_t bytes;    /* below 0 when the last ones were many */
	uint64_t ns;      /* until when they are counted */
	uint64_t byte_ns; /* in which there is one more */
};

/* What the connections of one VM share. */
struct filter_vm {
	char tag[DISPLAY_TAG_SIZE];
	enum display_clipboard clipboard;
	char mark[FILTER_MARK_SIZE]; /* a type offered with all that the VM's programs offer, secret to them
				      */
	uint64_t (*now)(void);       /* ns */
	struct chords *chords;       /* of keys; NULL: nobody can tell */
	unsigned objects;
	unsigned senders, windows, subsurfaces;        /* of those, at most as many as there may be of each */
	uint64_t pool_bytes;                           /* in pools and dma-bufs, FILTER_POOLS_MAX at most */
	unsigned pools, planes;                        /* that the compositor has */
	unsigned waiting_commits;                      /* FILTER_WAITING_MAX at most */
	unsigned region_boxes;                         /* FILTER_REGION_BOXES_MAX at most */
	struct filter_allowance news, texts;           /* of anything, but for texts to input methods */
	unsigned type_bytes;                           /* FILTER_VM_TYPES_MAX at most */
	unsigned offered;                              /* bytes of types of selections and what is dragged */
	unsigned focused;                              /* keyboards that are on one of the VM's windows */
	uint64_t gesture_ns, clipboard_ns, primary_ns; /* when the user last did such a thing; 0: never */
	bool may_grab; /* such a thing was done since a popup with a grab was last dismissed */
};

/* A global as the guest was told of it. */
struct filter_global {
	uint32_t name;
	uint32_t version;
	const struct wl_interface *interface;
	bool removed;
};

struct filter {
	struct filter_vm *vm;
	struct wire_objects objects;
	struct wire_queue from_guest, to_host; /* not yet whole messages; what passed */
	struct wire_queue from_host, to_guest;
	uint64_t unclaimed[WIRE_FDS_MAX]; /* bytes behind each descriptor in from_guest */
	struct filter_global *globals;
	uint32_t global_count;
	uint32_t serials[FILTER_SERIALS]; /* of input events, the latest */
	unsigned serial_count;            /* ever */
	uint64_t surfaces, roles;         /* ever */
	struct filter_window *windows;    /* all that there are */
	bool rests;                       /* the guest's next message waits until others may be told more */
	char rule[200];                   /* what was broken, by whom; "": nothing */
};

/* 0 or -errno; now() may be NULL for CLOCK_MONOTONIC. */
int filter_vm_init(
	struct filter_vm *vm, const char *tag, enum display_clipboard clipboard, uint64_t (*now)(void));
void filter_vm_finish(struct filter_vm *vm);

/* NULL: no memory. */
struct filter *filter_create(struct filter_vm *vm);
void filter_destroy(struct filter *filter);

/* The memory that is behind a descriptor of this kind; 0: none. */
uint64_t filter_memory_size(int fd, enum filter_fd kind);
/* A descriptor from the guest waits: what is behind it counts as the VM's, whatever the guest closes. False:
 * that is too much for a VM. */
bool filter_charge(struct filter_vm *vm, uint64_t bytes);
/* A descriptor for messages in from_guest, which has room for it; the filter's from now on. False: a rule was
 * broken, as by filter_guest(). */
bool filter_add_fd(struct filter *filter, int fd, enum filter_fd kind);
/* The guest's messages are of no use any more: give back what they brought and what no message took. */
void filter_end_guest(struct filter *filter);

/*
 * Let pass what is in from_guest, or in from_host, as far as it is whole messages and what passed in that
 * direction has room for their descriptors. False: a rule was broken, which filter->rule tells; then nothing
 * more passes, and to_guest has a message saying so.
 */
bool filter_guest(struct filter *filter);
bool filter_host(struct filter *filter);
/* How long (ns) filters that rest should do so. */
uint64_t filter_news_wait(struct filter_vm *vm);
/* Whether one of these could go on once what passed has left. */
bool filter_guest_waits(const struct filter *filter);
bool filter_host_waits(const struct filter *filter);

#endif
