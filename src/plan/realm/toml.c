/*
 * The TOML reader. ph's first thread. The text is hostile where it comes from an image's header: it is
 * bounded by its size, lists and tables by their depth, and no number of it is used for anything but its
 * value.
 */
#include "plan/realm/toml.h"

#include "plan/strings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8

struct reader {
	const char *at, *end;
	unsigned line;
	struct toml_error *error;
};

void toml_fail(struct toml_error *error, unsigned line, const char *cause) {
	error->line = line;
	snprintf(error->cause, sizeof(error->cause), "%s", cause);
}

static int fail(struct reader *reader, const char *cause) {
	toml_fail(reader->error, reader->line, cause);
	return -EINVAL;
}

/* ---- characters ---- */

static int peek(const struct reader *reader) {
	return reader->at < reader->end ? (unsigned char)*reader->at : -1;
}

static bool looking_at(const struct reader *reader, const char *word) {
	size_t length = strlen(word);
	return (size_t)(reader->end - reader->at) >= length && memcmp(reader->at, word, length) == 0;
}

static bool take(struct reader *reader, char c) {
	if (peek(reader) != c) {
		return false;
	}
	reader->at++;
	return true;
}

static void skip_blanks(struct reader *reader) {
	while (peek(reader) == ' ' || peek(reader) == '\t') {
		reader->at++;
	}
}

static bool take_newline(struct reader *reader) {
	if (looking_at(reader, "\r\n")) {
		reader->at++;
	}
	if (!take(reader, '\n')) {
		return false;
	}
	reader->line++;
	return true;
}

static void skip_comment(struct reader *reader) {
	while (peek(reader) >= 0 && peek(reader) != '\n') {
		reader->at++;
	}
}

/* Blanks, comments and ends of lines. */
static void skip_lines(struct reader *reader) {
	do {
		skip_blanks(reader);
		if (peek(reader) == '#') {
			skip_comment(reader);
		}
	} while (take_newline(reader));
}

/* The length of the UTF-8 character here, 0 when it is none. */
static size_t character_length(const struct reader *reader) {
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)*reader->at;
	size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0x80) {
		return 1;
	}
	if (first < 0xc2 || first > 0xf4 || (size_t)(reader->end - reader->at) < length) {
		return 0;
	}
	unsigned code = first & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		unsigned char next = (unsigned char)reader->at[i];
		if ((next & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (next & 0x3f);
	}
	bool surrogate = code >= 0xd800 && code <= 0xdfff;
	return code < least[length] || code > 0x10ffff || surrogate ? 0 : length;
}

static size_t encode(char *out, unsigned code) {
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* ---- strings ---- */

static int read_code(struct reader *reader, unsigned digits, char *out, size_t *used) {
	unsigned code = 0;
	for (unsigned i = 0; i < digits; i++) {
		static const char hex[] = "0123456789abcdefABCDEF";
		int c = peek(reader);
		const char *digit = c > 0 ? strchr(hex, c) : NULL;
		if (digit == NULL) {
			return fail(reader, "a \\u needs hexadecimal digits");
		}
		unsigned value = (unsigned)(digit - hex);
		code = code << 4 | (value > 15 ? value - 6 : value);
		reader->at++;
	}
	if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
		return fail(reader, "a \\u names no character");
	}
	*used += encode(out + *used, code);
	return 0;
}

/* Behind a backslash: what it stands for is never longer than its text. */
static int read_escape(struct reader *reader, bool lines, char *out, size_t *used) {
	static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
	int c = peek(reader);
	if (lines && (c == '\n' || c == ' ' || c == '\t' || c == '\r')) {
		skip_blanks(reader);
		if (!take_newline(reader)) {
			return fail(reader, "a backslash with nothing behind it");
		}
		do {
			skip_blanks(reader);
		} while (take_newline(reader));
		return 0;
	}
	const char *name = c > 0 ? strchr(names, c) : NULL;
	if (name == NULL && c != 'u' && c != 'U') {
		return fail(reader, "an unknown escape in a string");
	}
	reader->at++;
	if (name == NULL) {
		return read_code(reader, c == 'u' ? 4 : 8, out, used);
	}
	out[(*used)++] = values[name - names];
	return 0;
}

static int read_character(struct reader *reader, bool lines, char *out, size_t *used) {
	int c = peek(reader);
	if (c < 0 || (c == '\n' && !lines)) {
		return fail(reader, "a string has no end");
	}
	if (lines && (c == '\n' || c == '\r')) {
		if (!take_newline(reader)) {
			return fail(reader, "a control character in a string");
		}
		out[(*used)++] = '\n';
		return 0;
	}
	if ((c < 0x20 && c != '\t') || c == 0x7f) {
		return fail(reader, "a control character in a string");
	}
	size_t length = character_length(reader);
	if (length == 0) {
		return fail(reader, "a string is not UTF-8");
	}
	memcpy(out + *used, reader->at, length);
	*used += length;
	reader->at += length;
	return 0;
}

static int read_string(struct reader *reader, char **string) {
	const bool basic = peek(reader) == '"';
	const char *mark = basic ? "\"\"\"" : "'''";
	const bool lines = looking_at(reader, mark);
	const char *close = lines ? mark : basic ? "\"" : "'";
	reader->at += strlen(close);
	if (lines) {
		take_newline(reader);
	}
	char *out = malloc((size_t)(reader->end - reader->at) + 1);
	size_t used = 0;
	int ret = out == NULL ? -ENOMEM : 0;
	while (ret == 0 && !looking_at(reader, close)) {
		if (basic && take(reader, '\\')) {
			ret = read_escape(reader, lines, out, &used);
		} else {
			ret = read_character(reader, lines, out, &used);
		}
	}
	if (ret < 0) {
		free(out);
		return ret;
	}
	reader->at += strlen(close);
	out[used] = '\0';
	*string = out;
	return 0;
}

/* ---- keys ---- */

static bool is_bare(int c) {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       c == '-';
}

static int append(struct reader *reader, char *key, size_t *used, const char *part, size_t length) {
	if (length >= TOML_KEY_SIZE - *used) {
		return fail(reader, "a key is too long");
	}
	memcpy(key + *used, part, length);
	*used += length;
	key[*used] = '\0';
	return 0;
}

static int read_key_part(struct reader *reader, char *key, size_t *used) {
	if (peek(reader) == '"' || peek(reader) == '\'') {
		char *part = NULL;
		int ret = read_string(reader, &part);
		if (ret == 0) {
			ret = append(reader, key, used, part, strlen(part));
		}
		free(part);
		return ret;
	}
	const char *start = reader->at;
	while (is_bare(peek(reader))) {
		reader->at++;
	}
	return reader->at == start ? fail(reader, "a key was expected")
				   : append(reader, key, used, start, (size_t)(reader->at - start));
}

/* Parts with points between them, behind what key holds already. */
static int read_key(struct reader *reader, char *key) {
	size_t used = strlen(key);
	int ret = used > 0 ? append(reader, key, &used, ".", 1) : 0;
	while (ret == 0) {
		skip_blanks(reader);
		ret = read_key_part(reader, key, &used);
		skip_blanks(reader);
		if (ret < 0 || !take(reader, '.')) {
			break;
		}
		ret = append(reader, key, &used, ".", 1);
	}
	return ret;
}

/* ---- values ---- */

static int read_value(struct reader *reader, unsigned depth, struct toml_value *value);

static void value_finish(struct toml_value *value) {
	free(value->string);
	strings_free(value->strings);
}

static unsigned digit_of(char c) {
	return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
	       : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
	       : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
				      : UINT_MAX;
}

/* Digits, and single underscores between them. */
static bool read_digits(const char *text, size_t length, unsigned base, int64_t *integer) {
	int64_t n = 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '_' && i > 0 && i + 1 < length && text[i - 1] != '_') {
			continue;
		}
		unsigned digit = digit_of(text[i]);
		if (digit >= base || __builtin_mul_overflow(n, base, &n) ||
			__builtin_add_overflow(n, digit, &n)) {
			return false;
		}
	}
	*integer = n;
	return length > 0;
}

static bool is_integer(const char *text, size_t length, int64_t *integer) {
	bool has_sign = text[0] == '+' || text[0] == '-';
	unsigned base = 10;
	if (length > 2 && text[0] == '0') {
		base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : text[1] == 'b' ? 2 : 10;
	}
	size_t skip = has_sign ? 1 : base != 10 ? 2 : 0;
	if ((base == 10 && length > skip + 1 && text[skip] == '0') ||
		!read_digits(text + skip, length - skip, base, integer)) {
		return false;
	}
	*integer = text[0] == '-' ? -*integer : *integer;
	return true;
}

/* What has no quotes: words, numbers and dates. */
static int read_bare(struct reader *reader, struct toml_value *value) {
	const char *start = reader->at;
	while (is_bare(peek(reader)) || (peek(reader) > 0 && strchr("+.:", peek(reader)) != NULL)) {
		reader->at++;
	}
	size_t length = (size_t)(reader->at - start);
	if (length == 4 && memcmp(start, "true", 4) == 0) {
		*value = (struct toml_value){.type = TOML_BOOLEAN, .boolean = true};
	} else if (length == 5 && memcmp(start, "false", 5) == 0) {
		*value = (struct toml_value){.type = TOML_BOOLEAN};
	} else if (length > 0 && is_integer(start, length, &value->integer)) {
		value->type = TOML_INTEGER;
	} else if (length == 0) {
		return fail(reader, "a value was expected");
	} else if (strchr("+-0123456789", start[0]) == NULL &&
		   !(length == 3 && (memcmp(start, "inf", 3) == 0 || memcmp(start, "nan", 3) == 0))) {
		return fail(reader, "a text needs quotes");
	}
	return 0;
}

static int read_list(struct reader *reader, unsigned depth, struct toml_value *value) {
	struct strings list = {0};
	bool only_strings = true;
	int ret = 0;
	reader->at++;
	for (;;) {
		struct toml_value item = {.type = TOML_OTHER};
		skip_lines(reader);
		if (take(reader, ']')) {
			break;
		}
		ret = read_value(reader, depth + 1, &item);
		if (ret < 0) {
			break;
		}
		only_strings = only_strings && item.type == TOML_STRING;
		if (item.type == TOML_STRING) {
			strings_add(&list, item.string);
			item.string = NULL;
		}
		value_finish(&item);
		skip_lines(reader);
		if (!take(reader, ',') && peek(reader) != ']') {
			ret = fail(reader, "a list needs , between its values and ] at its end");
			break;
		}
	}
	if (ret == 0 && only_strings) {
		value->type = TOML_STRINGS;
		value->strings = strings_take(&list);
		return value->strings == NULL ? -ENOMEM : 0;
	}
	strings_finish(&list);
	return ret;
}

static int read_inline_table(struct reader *reader, unsigned depth) {
	reader->at++;
	skip_blanks(reader);
	if (take(reader, '}')) {
		return 0;
	}
	for (;;) {
		struct toml_value item = {.type = TOML_OTHER};
		char key[TOML_KEY_SIZE] = "";
		int ret = read_key(reader, key);
		if (ret == 0 && !take(reader, '=')) {
			ret = fail(reader, "a key needs = behind it");
		}
		if (ret == 0) {
			skip_blanks(reader);
			ret = read_value(reader, depth + 1, &item);
		}
		if (ret < 0) {
			return ret;
		}
		value_finish(&item);
		skip_blanks(reader);
		if (take(reader, '}')) {
			return 0;
		}
		if (!take(reader, ',')) {
			return fail(reader, "a table needs , between its keys and } at its end");
		}
	}
}

/* value is TOML_OTHER and otherwise empty. */
static int read_value(struct reader *reader, unsigned depth, struct toml_value *value) {
	if (depth > DEPTH_MAX) {
		return fail(reader, "lists or tables are too deep");
	}
	switch (peek(reader)) {
	case '"':
	case '\'':
		value->type = TOML_STRING;
		return read_string(reader, &value->string);
	case '[':
		return read_list(reader, depth, value);
	case '{':
		return read_inline_table(reader, depth);
	default:
		return read_bare(reader, value);
	}
}

/* ---- lines ---- */

/* [TABLE] or [[TABLE]] */
static int read_table(struct reader *reader, char *table) {
	reader->at++;
	bool array = take(reader, '[');
	table[0] = '\0';
	int ret = read_key(reader, table);
	if (ret == 0 && (!take(reader, ']') || (array && !take(reader, ']')))) {
		ret = fail(reader, "a table's name needs ] behind it");
	}
	return ret;
}

static int read_entry(struct reader *reader, const char *table, toml_entry *entry, void *owner) {
	char key[TOML_KEY_SIZE];
	struct toml_value value = {.type = TOML_OTHER};
	unsigned line = reader->line;
	memcpy(key, table, sizeof(key));
	int ret = read_key(reader, key);
	if (ret == 0 && !take(reader, '=')) {
		ret = fail(reader, "a key needs = behind it");
	}
	if (ret == 0) {
		skip_blanks(reader);
		ret = read_value(reader, 0, &value);
	}
	if (ret == 0) {
		value.line = line;
		ret = entry(owner, key, &value, reader->error);
	}
	value_finish(&value);
	return ret;
}

int toml_parse(const char *text, size_t size, toml_entry *entry, void *owner, struct toml_error *error) {
	struct reader reader = {.at = text, .end = text + size, .line = 1, .error = error};
	char table[TOML_KEY_SIZE] = "";
	int ret = 0;
	*error = (struct toml_error){0};
	for (;;) {
		skip_lines(&reader);
		if (reader.at == reader.end) {
			return 0;
		}
		ret = peek(&reader) == '[' ? read_table(&reader, table)
					   : read_entry(&reader, table, entry, owner);
		if (ret == 0) {
			skip_blanks(&reader);
			if (peek(&reader) == '#') {
				skip_comment(&reader);
			}
			if (reader.at != reader.end && !take_newline(&reader)) {
				ret = fail(&reader, "something stands behind the value");
			}
		}
		if (ret < 0) {
			break;
		}
	}
	if (ret == -ENOMEM) {
		toml_fail(error, reader.line, "out of memory");
	}
	return ret;
}
