/*
 * What the guest writes on its console. The loop's thread, and vCPU threads for the serial port. All of it
 * is hostile text: it reaches the terminal through the log alone, which makes it printable.
 */
#include "monitor/console_log.h"

#include "ph/log.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define LINES_SHOWN 20
/* Of a program's name in the guest's kernel. */
#define NAME_MAX_LENGTH 15

void console_log_init(struct console_log *log) {
	memset(log, 0, sizeof(*log));
	pthread_mutex_init(&log->lock, NULL);
}

void console_log_finish(struct console_log *log) {
	pthread_mutex_destroy(&log->lock);
}

/* The kernel's word that a block of a sealed image is not what was sealed. The guest may say so at any time;
 * who believes it loses nothing. */
static bool tells_corruption(const char *line) {
	const char *verity = strstr(line, "device-mapper: verity: ");
	return verity != NULL && strstr(verity, " is corrupted") != NULL;
}

/* The kernel's word that it killed a program to have memory again: its name, and that one's length, or NULL.
 * The guest may say so at any time, too, and is believed once. */
static const char *tells_kill(const char *line, size_t *length) {
	static const char start[] = "Out of memory: Killed process ";
	const char *name = strstr(line, start);
	if (name == NULL) {
		return NULL;
	}
	name += strlen(start);
	name += strspn(name, "0123456789");
	if (strncmp(name, " (", 2) != 0) {
		return NULL;
	}
	name += 2;
	const char *end = strstr(name, ") total-vm:");
	if (end == NULL || end - name > NAME_MAX_LENGTH) {
		return NULL;
	}
	*length = (size_t)(end - name);
	return name;
}

static void tell_kill(struct console_log *log) {
	size_t length;
	const char *name = log->told_memory ? NULL : tells_kill(log->line, &length);
	if (name != NULL) {
		log->told_memory = true;
		log_guest(&log->memory, "the VM is out of memory: %.*s was killed; --mem gives it more",
			(int)length, name);
	}
}

static void show_line(struct console_log *log) {
	log->line[log->line_length] = '\0';
	log->line_length = 0;
	tell_kill(log);
	if (tells_corruption(log->line)) {
		log_guest(&log->corruption, "the image is corrupt: %s", log->line);
	} else {
		log_verbose("guest: %s", log->line);
	}
}

static void put(struct console_log *log, uint8_t byte) {
	log->ring[log->total++ % CONSOLE_LOG_KEPT] = byte;
	if (byte == '\n') {
		show_line(log);
	} else if (byte != '\r' && byte != '\0') {
		if (log->line_length == CONSOLE_LOG_LINE - 1) {
			show_line(log);
		}
		log->line[log->line_length++] = (char)byte;
	}
}

void console_log_write(struct console_log *log, const void *data, size_t len) {
	const uint8_t *bytes = data;
	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < len; i++) {
		put(log, bytes[i]);
	}
	pthread_mutex_unlock(&log->lock);
}

/* The kept bytes as text, without what would end a line early. */
static void copy_kept(const struct console_log *log, char text[CONSOLE_LOG_KEPT + 1]) {
	uint64_t kept = log->total < CONSOLE_LOG_KEPT ? log->total : CONSOLE_LOG_KEPT;
	size_t used = 0;
	for (uint64_t i = log->total - kept; i < log->total; i++) {
		uint8_t byte = log->ring[i % CONSOLE_LOG_KEPT];
		if (byte != '\r' && byte != '\0') {
			text[used++] = (char)byte;
		}
	}
	text[used] = '\0';
}

static char *last_lines(char *text, unsigned lines) {
	char *start = text + strlen(text);
	while (start > text) {
		if (start[-1] == '\n' && start[0] != '\0' && lines-- == 0) {
			break;
		}
		start--;
	}
	return start;
}

void console_log_show(struct console_log *log) {
	char text[CONSOLE_LOG_KEPT + 1];
	pthread_mutex_lock(&log->lock);
	copy_kept(log, text);
	pthread_mutex_unlock(&log->lock);
	char *rest = NULL;
	for (char *line = strtok_r(last_lines(text, LINES_SHOWN - 1), "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		log_error("guest: %s", line);
	}
}

void console_log_keep(struct console_log *log, const char *text, size_t len) {
	static const char own[] = "ph: guest: "; /* under --verbose: kept already */
	pthread_mutex_lock(&log->lock);
	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t line = newline != NULL ? (size_t)(newline - text) + 1 : len;
		bool known = line >= sizeof(own) && memcmp(text, own, sizeof(own) - 1) == 0;
		for (size_t i = 0; i < line && !known; i++) {
			log->ring[log->total++ % CONSOLE_LOG_KEPT] = (uint8_t)text[i];
		}
		text += line;
		len -= line;
	}
	pthread_mutex_unlock(&log->lock);
}

size_t console_log_copy(struct console_log *log, char *text, size_t size) {
	assert(size > CONSOLE_LOG_KEPT);
	pthread_mutex_lock(&log->lock);
	copy_kept(log, text);
	pthread_mutex_unlock(&log->lock);
	return strlen(text);
}
