/*
 * TOML as far as Citadel's files use it: keys with strings, integers, booleans and lists of strings. All else
 * that TOML has is read over, so that files of a later Citadel stay readable; what is no TOML is an error.
 */
#ifndef PLAN_REALM_TOML_H
#define PLAN_REALM_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOML_SIZE_MAX 65536
#define TOML_KEY_SIZE 128

enum toml_type {
	TOML_STRING,
	TOML_INTEGER,
	TOML_BOOLEAN,
	TOML_STRINGS,
	TOML_OTHER, /* a number with a point, a date, a table, a list of anything but strings */
};

struct toml_value {
	enum toml_type type;
	unsigned line; /* where it begins, from 1 */
	char *string;
	char **strings; /* NULL-terminated */
	int64_t integer;
	bool boolean;
};

struct toml_error {
	unsigned line;
	char cause[96];
};

/* Gets each key, "table.key" for those in a table, and may take the value's strings over by setting their
 * pointer to NULL. Below 0 ends the parsing. */
typedef int toml_entry(void *owner, const char *key, struct toml_value *value, struct toml_error *error);

/* 0; -EINVAL or -ENOMEM with *error set; or what entry returned. */
int toml_parse(const char *text, size_t size, toml_entry *entry, void *owner, struct toml_error *error);

void toml_fail(struct toml_error *error, unsigned line, const char *cause);

#endif
