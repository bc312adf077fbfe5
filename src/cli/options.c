/*
 * The command line. One table describes every option: its name, letter, argument, help line, the
 * environment variable that gives its default, and what it sets. Parsing, --help and the search for the
 * option the user may have meant all read that table.
 *
 * Runs first, in ph's one thread. Its input is the caller's own.
 */
#include "ph/cli.h"

#include "cli/values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "0.1.0"

struct option {
	const char *name, *argument, *help;
	const char *environment; /* variable with the default, or NULL */
	char letter;
	int (*apply)(struct cli_options *options, const char *value, struct error *error);
};

/* ---- what each option sets ---- */

static int append(const char **list, size_t *count, size_t max, const char *value, struct error *error) {
	if (*count == max) {
		return error_set(error, -EINVAL, "more than %zu are not possible", max);
	}
	list[(*count)++] = value;
	return 0;
}

#define APPLY_STRING(field) \
	static int apply_##field(struct cli_options *options, const char *value, struct error *error) { \
		(void)error; \
		options->request.field = value; \
		return 0; \
	}

#define APPLY_FLAG(field) \
	static int apply_##field(struct cli_options *options, const char *value, struct error *error) { \
		return value_flag(value, &options->request.field, error); \
	}

#define APPLY_LIST(field, count, max) \
	static int apply_##field(struct cli_options *options, const char *value, struct error *error) { \
		return append(options->request.field, &options->request.count, max, value, error); \
	}

#define APPLY_ACTION(function, value_) \
	static int function(struct cli_options *options, const char *value, struct error *error) { \
		(void)value; \
		(void)error; \
		options->action = value_; \
		return 0; \
	}

APPLY_STRING(home)
APPLY_STRING(rootfs)
APPLY_STRING(kernel)
APPLY_STRING(append)
APPLY_FLAG(private_home)
APPLY_FLAG(as_root)
APPLY_FLAG(verbose)
APPLY_FLAG(timings)
APPLY_LIST(shares, share_count, PLAN_SHARES_MAX)
APPLY_LIST(disks, disk_count, PLAN_DISKS_MAX)
APPLY_LIST(hide, hide_count, PLAN_PATHS_MAX)
APPLY_LIST(show, show_count, PLAN_PATHS_MAX)
APPLY_LIST(uid_map, uid_map_count, FILES_IDS_MAX)
APPLY_FLAG(wayland)
APPLY_LIST(wl_sockets, wl_socket_count, DISPLAY_SOCKETS_MAX - 1)
APPLY_ACTION(apply_dry_run, CLI_DRY_RUN)
APPLY_ACTION(apply_check, CLI_CHECK)
APPLY_ACTION(apply_help, CLI_HELP)
APPLY_ACTION(apply_version, CLI_VERSION)

static int apply_rootfs_mode(struct cli_options *options, const char *value, struct error *error) {
	static const char *const modes[] = {
		[BLOCK_READ_ONLY] = "ro", [BLOCK_READ_WRITE] = "rw", [BLOCK_EPHEMERAL] = "ephemeral", NULL};
	int mode = value_choice(value, modes, error);
	if (mode < 0) {
		return mode;
	}
	options->request.rootfs_mode = (enum block_mode)mode;
	return 0;
}

static int apply_cpus(struct cli_options *options, const char *value, struct error *error) {
	return value_number(value, 1, 16, &options->request.cpus, error);
}

static int apply_mem(struct cli_options *options, const char *value, struct error *error) {
	return value_size(value, &options->request.memory, error);
}

static int apply_name(struct cli_options *options, const char *value, struct error *error) {
	options->request.name = value;
	return value_check_name(value, error);
}

static int apply_env(struct cli_options *options, const char *value, struct error *error) {
	if (value[0] == '=') {
		return error_set(error, -EINVAL, "a variable needs a name before the '='");
	}
	return append(options->request.env, &options->request.env_count, PLAN_ENV_MAX, value, error);
}

static int apply_sandbox(struct cli_options *options, const char *value, struct error *error) {
	static const char *const modes[] = {[PLAN_SANDBOX_DEFAULT] = "default",
		[PLAN_SANDBOX_STRICT] = "strict",
		[PLAN_SANDBOX_OFF] = "off",
		NULL};
	int mode = value_choice(value, modes, error);
	if (mode < 0) {
		return mode;
	}
	options->request.sandbox = (enum plan_sandbox)mode;
	return 0;
}

/* ---- the table; --help prints it in this order ---- */

static const struct option table[] = {
	{"home", "DIR", "share DIR as the home instead of your own", .apply = apply_home},
	{"private-home", NULL, "an empty home, gone afterwards", .apply = apply_private_home},
	{"root", NULL, "run as root (of the VM)", .apply = apply_as_root},
	{"share", "HOST[:GUEST][:ro]", "share a directory, at the same path or at GUEST",
		.apply = apply_shares},
	{"hide", "PATH", "leave PATH of this system out of the VM", .apply = apply_hide},
	{"show", "PATH", "show PATH although it is hidden by default", .apply = apply_show},
	{"uid-map", "GUEST:HOST[:COUNT]", "other owners in shares (root only)", .apply = apply_uid_map},
	{"rootfs", "IMAGE", "boot from a raw ext4 image instead of this system", .apply = apply_rootfs},
	{"rootfs-mode", "ro|rw|ephemeral", "what becomes of writes to it (default: ephemeral)",
		.apply = apply_rootfs_mode},
	{"disk", "FILE[:ro]", "another disk, from a raw image", .apply = apply_disks},
	{"cpus", "N", "virtual CPUs, 1 to 16 (default: all)", .environment = "PH_CPUS", .apply = apply_cpus},
	{"mem", "SIZE", "RAM, as in 512M or 2G (default: half, at most 8G)", .environment = "PH_MEM",
		.apply = apply_mem},
	{"wayland", NULL, "let the VM talk to your compositor, unfiltered", .apply = apply_wayland},
	{"wl-socket", "NAME=PATH", "let the VM connect to another socket of this host, as NAME",
		.apply = apply_wl_sockets},
	{"env", "NAME[=VALUE]", "set a variable, or pass yours on", .apply = apply_env},
	{"name", "NAME", "name of the VM and its host name (default: ph)", .apply = apply_name},
	{"kernel", "FILE", "boot this kernel (vmlinux or bzImage), not ph's own", .apply = apply_kernel},
	{"append", "STRING", "more words for the kernel command line", .apply = apply_append},
	{"sandbox", "strict|default|off", "strict: or not at all; off: one open process, to debug",
		.apply = apply_sandbox},
	{"timings", NULL, "show where the start-up time went", .apply = apply_timings},
	{"verbose", NULL, "show kernel messages and what ph does", .letter = 'v', .environment = "PH_VERBOSE",
		.apply = apply_verbose},
	{"dry-run", NULL, "print what would be done", .apply = apply_dry_run},
	{"check", NULL, "tell what this host has and lacks for ph", .apply = apply_check},
	{"version", NULL, "print the version", .apply = apply_version},
	{"help", NULL, "print this", .letter = 'h', .apply = apply_help},
};

#define TABLE_SIZE (sizeof(table) / sizeof(table[0]))

void cli_print_version(void) {
	puts("ph " VERSION);
}

void cli_print_help(void) {
	puts("ph [OPTIONS] [-- COMMAND [ARGUMENT...]]\n"
	     "Run a command, or a shell, in a virtual machine that shows it this system read-only.\n");
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		const struct option *option = &table[i];
		char left[64];
		snprintf(left, sizeof(left), "%s--%s%s%s", option->letter != '\0' ? "-?, " : "", option->name,
			option->argument != NULL ? " " : "",
			option->argument != NULL ? option->argument : "");
		if (option->letter != '\0') {
			left[1] = option->letter;
		}
		printf("  %-31s %s%s%s\n", left, option->help, option->environment != NULL ? " $" : "",
			option->environment != NULL ? option->environment : "");
	}
	puts("\nExit status: the command's; 128+N when signal N killed it; 127 not found; 125 ph failed.");
}

/* ---- the option the user may have meant ---- */

static size_t min3(size_t a, size_t b, size_t c) {
	size_t m = a < b ? a : b;
	return m < c ? m : c;
}

/* Levenshtein distance between the first length bytes of typed and a name of the table. */
static size_t distance(const char *typed, size_t length, const char *name) {
	size_t row[32];
	size_t columns = strlen(name);
	for (size_t j = 0; j <= columns; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= length; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= columns; j++) {
			size_t above = row[j];
			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (typed[i - 1] != name[j - 1]));
			diagonal = above;
		}
	}
	return row[columns];
}

static int fail_unknown(const char *argument, size_t length, struct error *error) {
	const char *nearest = NULL;
	size_t best = 4; /* farther than three edits is another word */
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		size_t d = distance(argument + 2, length, table[i].name);
		if (d < best) {
			best = d;
			nearest = table[i].name;
		}
	}
	if (nearest == NULL) {
		return error_set(error, -EINVAL, "unknown option %s; ph --help lists the options", argument);
	}
	return error_set(error, -EINVAL, "unknown option %s; did you mean --%s?", argument, nearest);
}

/* ---- parsing ---- */

static const struct option *find_name(const char *name, size_t length) {
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0) {
			return &table[i];
		}
	}
	return NULL;
}

static const struct option *find_letter(char letter) {
	for (size_t i = 0; i < TABLE_SIZE && letter != '\0'; i++) {
		if (table[i].letter == letter) {
			return &table[i];
		}
	}
	return NULL;
}

static int apply(struct cli_options *options, const struct option *option, const char *origin,
	const char *value, struct error *error) {
	struct error cause = {0};
	int ret = option->apply(options, value, &cause);
	if (ret < 0) {
		return error_set(error, ret, "%s %s: %s", origin, value, cause.message);
	}
	return 0;
}

static int apply_environment(struct cli_options *options, struct error *error) {
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		const char *variable = table[i].environment;
		const char *value = variable != NULL ? getenv(variable) : NULL;
		if (value == NULL || value[0] == '\0') {
			continue;
		}
		int ret = apply(options, &table[i], variable, value, error);
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

/* One option at argv[0]: the number of arguments it took, or -EINVAL. */
static int parse_option(struct cli_options *options, char **argv, struct error *error) {
	const char *argument = argv[0];
	const char *name = argument + 2;
	size_t length = strcspn(name, "=");
	const char *value = name[length] == '=' ? name + length + 1 : NULL;
	const struct option *option = find_name(name, length);
	if (option == NULL) {
		return fail_unknown(argument, length, error);
	}
	if (option->argument == NULL) {
		if (value != NULL) {
			return error_set(error, -EINVAL, "--%s takes no value", option->name);
		}
		return option->apply(options, "1", error) < 0 ? -EINVAL : 1;
	}
	int taken = value == NULL ? 2 : 1;
	if (value == NULL) {
		value = argv[1];
	}
	if (value == NULL || value[0] == '\0') {
		return error_set(error, -EINVAL, "--%s needs a value: %s", option->name, option->argument);
	}
	char origin[40];
	snprintf(origin, sizeof(origin), "--%s", option->name);
	return apply(options, option, origin, value, error) < 0 ? -EINVAL : taken;
}

/* Letters take no value and may be joined. */
static int parse_letters(struct cli_options *options, const char *argument, struct error *error) {
	for (const char *letter = argument + 1; *letter != '\0'; letter++) {
		const struct option *option = find_letter(*letter);
		if (option == NULL) {
			return error_set(
				error, -EINVAL, "unknown option %s; ph --help lists the options", argument);
		}
		if (option->apply(options, "1", error) < 0) {
			return -EINVAL;
		}
	}
	return 1;
}

static int parse_argument(struct cli_options *options, char **argv, struct error *error) {
	const char *argument = argv[0];
	if (argument[0] != '-' || argument[1] == '\0') {
		return error_set(error, -EINVAL,
			"'%s' is not an option; a command goes behind --, as in: ph -- %s", argument,
			argument);
	}
	return argument[1] == '-' ? parse_option(options, argv, error)
				  : parse_letters(options, argument, error);
}

static int check_combination(const struct plan_request *request, bool mode_given, struct error *error) {
	if (request->home != NULL && request->private_home) {
		return error_set(error, -EINVAL, "--home and --private-home exclude each other");
	}
	if (mode_given && request->rootfs == NULL) {
		return error_set(error, -EINVAL, "--rootfs-mode is about an image: give --rootfs too");
	}
	if (request->rootfs != NULL && request->hide_count + request->show_count > 0) {
		return error_set(error, -EINVAL,
			"--hide and --show are about this system's files: they do not go with --rootfs");
	}
	return 0;
}

int cli_parse(struct cli_options *options, int argc, char **argv, struct error *error) {
	const enum block_mode not_given = (enum block_mode) - 1;
	*options = (struct cli_options){.request.rootfs_mode = not_given};
	int ret = apply_environment(options, error);
	if (ret < 0) {
		return ret;
	}
	struct plan_request *request = &options->request;
	for (int i = 1; i < argc;) {
		if (strcmp(argv[i], "--") == 0) {
			request->command = argv + i + 1;
			break;
		}
		int taken = parse_argument(options, argv + i, error);
		if (taken < 0) {
			return taken;
		}
		i += taken;
	}
	bool mode_given = request->rootfs_mode != not_given;
	if (!mode_given) {
		request->rootfs_mode = BLOCK_EPHEMERAL;
	}
	return check_combination(request, mode_given, error);
}
