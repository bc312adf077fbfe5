/*
 * A virtio-wl device driven from user space (raw_virtio.h): commands and receive buffers in which anything
 * can be wrong. In every state there is a witness, a connection that echoes and a piece of mapped memory:
 * whatever else happens, these two must go on.
 */
#ifndef RAW_WL_H
#define RAW_WL_H

#include "raw_virtio.h"

#include "ph/wl_wire.h"

#include <stddef.h>

#define RAW_WL_SLOTS 48u
#define RAW_WL_NO_ANSWER UINT32_MAX /* in place of an answer's type */
/* The witness's ids. */
#define RAW_WL_ECHO 1u
#define RAW_WL_MEMORY 2u

/* A slot has the descriptors from slot * 4 on, and a page for the command and one for the answer. */
extern struct raw_queue raw_in, raw_out;
extern struct raw_page raw_commands[RAW_WL_SLOTS], raw_answers[RAW_WL_SLOTS];
/* Heads that whoever offers them himself marks: the mark goes when they come back. */
extern bool raw_wl_busy[RAW_QUEUE_MAX];
/* The lower half of what the device offers. */
extern uint32_t raw_wl_features;
extern uint8_t *raw_window;
extern uint64_t raw_window_size;
/* The ids that the host announced, and how many. */
extern uint32_t raw_announced[64];
extern unsigned raw_announced_count, raw_hang_ups;

void raw_wl_open(void);
/* From a reset to a device that works, with its witness. */
void raw_wl_start(uint32_t features);
/* The same without receive buffers and witness. */
void raw_wl_start_bare(uint32_t features);
void raw_wl_post_buffers(void);
void raw_wl_make_witness(void);

/* Put a command into its slot, which is not offered. */
void raw_wl_prepare(unsigned slot, const void *command, size_t size);
/* Send a command without waiting. */
void raw_wl_post(unsigned slot, const void *command, size_t size);
/* A VFD_SEND of bytes that lie anywhere. */
void raw_wl_post_long(unsigned slot, uint32_t id, uint64_t address, uint32_t len);
/* Its answer's type, if it has been answered; it is, or never will be, once a later command has been. */
uint32_t raw_wl_answer(unsigned slot);
/* Wait for it. */
uint32_t raw_wl_await(unsigned slot);
/* Send one, and wait. Its answer is in raw_answers[0]. */
uint32_t raw_wl_call(const void *command, size_t size);
/* With so much room for the answer; the length of the used element. */
uint32_t raw_wl_call_with_room(const void *command, size_t size, uint32_t room);

uint32_t raw_wl_new(uint32_t id, uint32_t size);
uint32_t raw_wl_close(uint32_t id);
/* A connection to the test server, which is told what to do. */
uint32_t raw_wl_ask(uint32_t id, const char *line);
uint32_t raw_wl_send(uint32_t id, const void *data, size_t size);
/* Whether this comes next on a connection (id below 64). */
bool raw_wl_hears(uint32_t id, const char *text);

/* Whether the witness does. */
bool raw_wl_lives(void);
/* Whether its memory is there in the window, or close by. */
bool raw_wl_is_witness(uint64_t offset);

#endif
