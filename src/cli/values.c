/* Option values to numbers: whole strings only, no signs, no blanks, no overflow. ph's first thread; the
 * caller's own input. */
#include "cli/values.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The digits at *text as a number; *text is moved behind them. */
static int read_digits(const char **text, uint64_t *number, struct error *error) {
	const char *p = *text;
	uint64_t n = 0;
	while (*p >= '0' && *p <= '9') {
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n)) {
			return error_set(error, -EINVAL, "the number is too large");
		}
		p++;
	}
	if (p == *text) {
		return error_set(error, -EINVAL, "not a number");
	}
	*text = p;
	*number = n;
	return 0;
}

int value_flag(const char *value, bool *flag, struct error *error) {
	static const char *const words[] = {"no", "yes", "0", "1", NULL};
	struct error cause = {0};
	int word = value_choice(value, words, &cause);
	if (word < 0) {
		return error_set(error, -EINVAL, "must be yes or no");
	}
	*flag = word % 2 == 1;
	return 0;
}

int value_number(const char *value, unsigned min, unsigned max, unsigned *number, struct error *error) {
	uint64_t n;
	int ret = read_digits(&value, &n, error);
	if (ret < 0) {
		return ret;
	}
	if (*value != '\0') {
		return error_set(error, -EINVAL, "not a number");
	}
	if (n < min || n > max) {
		return error_set(error, -EINVAL, "must be %u to %u", min, max);
	}
	*number = (unsigned)n;
	return 0;
}

int value_size(const char *value, uint64_t *bytes, struct error *error) {
	static const char units[] = "KMGT";
	uint64_t n;
	int ret = read_digits(&value, &n, error);
	if (ret < 0) {
		return ret;
	}
	const char *unit = *value != '\0' ? strchr(units, *value) : NULL;
	if (unit == NULL || value[1] != '\0') {
		return error_set(error, -EINVAL, "a size is a number with a unit: K, M, G or T, as in 512M");
	}
	if (__builtin_mul_overflow(n, 1ULL << (10 * (unit - units + 1)), bytes)) {
		return error_set(error, -EINVAL, "the size is too large");
	}
	if (n == 0) {
		return error_set(error, -EINVAL, "the size must not be 0");
	}
	return 0;
}

int value_choice(const char *value, const char *const *choices, struct error *error) {
	char list[128] = "";
	for (int i = 0; choices[i] != NULL; i++) {
		if (strcmp(value, choices[i]) == 0) {
			return i;
		}
		size_t used = strlen(list);
		snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", choices[i]);
	}
	return error_set(error, -EINVAL, "must be one of %s", list);
}

int value_check_name(const char *value, struct error *error) {
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t length = strlen(value);
	if (length > 63 || strspn(value, allowed) != length || value[0] == '-' || value[length - 1] == '-') {
		return error_set(error, -EINVAL,
			"a name is made of letters, digits and inner hyphens, at most 63 of them");
	}
	return 0;
}
