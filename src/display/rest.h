/* Connections that rest until the compositor may tell others more of what the VM does. */
#ifndef DISPLAY_REST_H
#define DISPLAY_REST_H

struct wl_device;
struct wl_vfd;

/* The timer, before the process is confined. 0 or -errno. */
int wl_rest_open(struct wl_device *device);
/* Watch it, or not. */
int wl_rest_start(struct wl_device *device);
void wl_rest_stop(struct wl_device *device);

/* The connection goes on later, by wl_filtered_resume(). */
void wl_rest_begin(struct wl_vfd *vfd);
/* It need not, or it has. */
void wl_rest_end(struct wl_vfd *vfd);

#endif
