/* Strict readers of option values. Each returns 0 (or what it says), or -EINVAL with the cause in *error. */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include "ph/error.h"

#include <stdbool.h>
#include <stdint.h>

/* "yes" or "no"; "1" or "0" will do. */
int value_flag(const char *value, bool *flag, struct error *error);
/* Decimal, min .. max. */
int value_number(const char *value, unsigned min, unsigned max, unsigned *number, struct error *error);
/* A number with a unit: K, M, G or T, powers of 1024. */
int value_size(const char *value, uint64_t *bytes, struct error *error);
/* The index of value in a NULL-terminated list. */
int value_choice(const char *value, const char *const *choices, struct error *error);
/* What can be a host name and a file name: letters, digits and inner '-'. */
int value_check_name(const char *value, struct error *error);

#endif
