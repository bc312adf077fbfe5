/*
 * Small helpers on file descriptors. All descriptors in ph are close-on-exec.
 */
#ifndef PH_FD_H
#define PH_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Close *fd unless it is negative, keep errno, and set it to -1. */
void fd_close(int *fd);

/* Read or write all len bytes, going on after EINTR and short counts. 0, or -errno; -ENODATA on an early end
 * of file. */
int fd_read_all(int fd, void *data, size_t len);
int fd_write_all(int fd, const void *data, size_t len);
int fd_pread_all(int fd, void *data, size_t len, off_t offset);

/* Make an eventfd readable / take its count. Neither blocks for a non-blocking eventfd; errors are ignored by
 * design: a full counter is readable anyway. */
void fd_event_signal(int fd);
uint64_t fd_event_drain(int fd);

/* Send a descriptor over a UNIX socket, with a byte and these MSG_* flags. 0 or -errno. */
int fd_send(int socket, int fd, int flags);
/* Receive, without waiting, what fd_send() sent: the descriptor, or -1. *ended: nothing more will come. */
int fd_receive(int socket, bool *ended);
struct msghdr;
/* The descriptor that came with a received message, or -1. Whoever sends several, or of whatever kind, leaves
 * none behind: all but the first are closed. */
int fd_take(struct msghdr *message);

/* A whole small file as a NUL-terminated string in buffer (at most size - 1 bytes). Its length, or -errno. */
ssize_t fd_read_file(const char *path, char *buffer, size_t size);

#endif
