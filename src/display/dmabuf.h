/* Buffers that the host's GPU can use. */
#ifndef DISPLAY_DMABUF_H
#define DISPLAY_DMABUF_H

#include "display/commands.h"

/* A card that gives out buffers, or -1. Before the process is confined. */
int wl_dmabuf_open(void);

/* VFD_NEW_DMABUF and VFD_DMABUF_SYNC */
uint32_t wl_command_new_dmabuf(struct wl_command *command);
uint32_t wl_command_sync(struct wl_command *command);

#endif
