/*
 * Fuzz what a VM's text goes through on its way to the user's terminal: the filter of what commands write
 * there, the text of messages, and the log of the guest's console. It looks for anything that could do more
 * than print.
 *
 * Input: for the filter and the log pieces, each of a byte that says how long it is and those bytes; for
 * messages all of it.
 */
#include "input.h"

#include "monitor/console_log.h"
#include "ph/terminal.h"
#include "ph/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Characters of UTF-8 (Unicode, table 3-7): the first byte, the second, how many there are. */
struct form {
	uint8_t first, last, least, most, length;
};

static const struct form *form_of(uint8_t first) {
	static const struct form forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (first >= forms[i].first && first <= forms[i].last) {
			return &forms[i];
		}
	}
	return NULL;
}

/* How many bytes at text belong together, as a character or as its beginning; 0: not even the first is one.
 */
static size_t character(const uint8_t *text, size_t size) {
	const struct form *form = form_of(text[0]);
	size_t length = form != NULL;
	while (form != NULL && length < form->length && length < size &&
		text[length] >= (length == 1 ? form->least : 0x80) &&
		text[length] <= (length == 1 ? form->most : 0xbf)) {
		length++;
	}
	return length;
}

static bool is_whole(const uint8_t *text, size_t length) {
	return length == form_of(text[0])->length;
}

static bool is_control(const uint8_t *text, size_t length) {
	return length == 2 && text[0] == 0xc2 && text[1] < 0xa0;
}

/* A sequence that sets colours, which begins here: its length. */
static size_t colors(const uint8_t *text, size_t size) {
	size_t length = 2;
	require(size > 2 && text[1] == '[');
	while (length < size && strchr("0123456789:;", text[length]) != NULL && text[length] != '\0') {
		length++;
	}
	require(length < size && text[length] == 'm');
	return length + 1;
}

/* What a terminal gets, from one piece: no control characters but a few, in either width, and no sequences
 * but those of colours. */
static void check_piece(const uint8_t *text, size_t size) {
	for (size_t i = 0; i < size;) {
		if (text[i] == 0x1b) {
			i += colors(text + i, size - i);
		} else if (text[i] < 0x80) {
			require(text[i] >= ' ' || (text[i] >= '\a' && text[i] <= '\n') || text[i] == '\r');
			require(text[i] != 0x7f);
			i++;
		} else {
			i++;
		}
	}
}

/* All pieces together: bytes from 0x80 on are characters, or the beginnings of some. */
static void check_characters(const uint8_t *text, size_t size) {
	for (size_t i = 0, length; i < size; i += length) {
		length = text[i] < 0x80 ? 1 : character(text + i, size - i);
		require(length > 0 && !is_control(text + i, length));
	}
}

static void filter(struct input input) {
	struct terminal_filter terminal = {0};
	uint8_t *text = malloc(input.left + 1);
	size_t all = 0;
	require(text != NULL);
	while (input.left > 0) {
		size_t size = take(&input, 1);
		size = size < input.left ? size : input.left;
		terminal_filter(&terminal, text + all, input.next, size);
		check_piece(text + all, size);
		input.next += size;
		input.left -= size;
		all += size;
	}
	check_characters(text, all);
	free(text);
}

static void make_printable(const uint8_t *data, size_t size) {
	char *text = malloc(size + 1), *again = malloc(size + 1);
	require(text != NULL && again != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	text_make_printable(text, size);
	for (size_t i = 0, length; i < size; i += length) {
		const uint8_t *at = (const uint8_t *)text + i;
		length = at[0] < 0x80 ? 1 : character(at, size - i);
		require(length > 0 && !is_control(at, length) && at[0] >= ' ' && at[0] != 0x7f);
		require(at[0] < 0x80 || is_whole(at, length));
	}
	/* Cut anywhere it is still made of whole characters. */
	size_t wanted = size > 0 ? data[0] % size : 0, cut = size > 0 ? text_cut(text, wanted) : 0;
	require(cut <= wanted && wanted - cut <= 3);
	memcpy(again, text, cut);
	text_make_printable(again, cut);
	require(memcmp(again, text, cut) == 0);
	free(text);
	free(again);
}

/* One log for all inputs, or each could have its five lines on standard error. */
static void log_console(struct input input) {
	static struct console_log log;
	static char text[CONSOLE_LOG_KEPT + 1];
	static bool ready;
	if (!ready) {
		console_log_init(&log);
		ready = true;
	}
	log.line_length = 0;
	log.total = 0;
	log.told_memory = false;
	size_t said = 0;
	while (input.left > 0) {
		size_t what = take(&input, 1), size = what / 2;
		size = size < input.left ? size : input.left;
		if (what % 2 == 0) {
			console_log_write(&log, input.next, size);
		} else {
			console_log_keep(&log, (const char *)input.next, size);
		}
		input.next += size;
		input.left -= size;
		said += size;
	}
	size_t length = console_log_copy(&log, text, sizeof(text));
	require(length <= said && length <= CONSOLE_LOG_KEPT && memchr(text, '\r', length) == NULL);
	require(log.line_length < CONSOLE_LOG_LINE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const struct input input = {.next = data, .left = size};
	filter(input);
	make_printable(data, size);
	log_console(input);
	return 0;
}
