/*
 * The command line, over profiles and the defaults from the environment: what the user typed, taken apart
 * along the table. Runs first, in ph's one thread. Its input is the caller's own.
 */
#include "cli/profile.h"
#include "cli/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail_unknown(const char *argument, size_t length, struct error *error) {
	const struct option *nearest = table_nearest(argument + 2, length);
	if (nearest == NULL) {
		return error_set(
			error, -EINVAL, "unknown option %s; ph --help-all lists the options", argument);
	}
	return error_set(error, -EINVAL, "unknown option %s; did you mean --%s?", argument, nearest->name);
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
	for (size_t i = 0; i < cli_table_size; i++) {
		const char *variable = cli_table[i].environment;
		const char *value = variable != NULL ? getenv(variable) : NULL;
		if (value == NULL || value[0] == '\0') {
			continue;
		}
		int ret = apply(options, &cli_table[i], variable, value, error);
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

/* Take an option from the command line. */
static int give(
	struct cli_options *options, const struct option *option, const char *value, struct error *error) {
	char origin[40];
	if (options->setting_count == CLI_SETTINGS_MAX) {
		return error_set(error, -EINVAL, "more than %d options are not possible", CLI_SETTINGS_MAX);
	}
	options->settings[options->setting_count++] = (struct cli_setting){.name = option->name,
		.value = value,
		.shapes_vm = !option->of_command,
		.adds_up = option->adds_up};
	snprintf(origin, sizeof(origin), "--%s", option->name);
	return apply(options, option, origin, value, error);
}

/* The value of an option that needs one: behind the '=', or the next argument. */
static int take_value(const struct option *option, char **argv, const char **value, struct error *error) {
	int taken = *value == NULL ? 2 : 1;
	if (*value == NULL) {
		*value = argv[1];
	}
	if (*value == NULL || (*value)[0] == '\0') {
		return error_set(error, -EINVAL, "--%s needs a value: %s", option->name, option->argument);
	}
	return taken;
}

/* One option at argv[0]: the number of arguments it took, or -EINVAL. */
static int parse_option(struct cli_options *options, char **argv, struct error *error) {
	const char *name = argv[0] + 2;
	size_t length = strcspn(name, "=");
	const char *value = name[length] == '=' ? name + length + 1 : NULL;
	const struct option *option = table_find(name, length);
	int taken = 1;
	if (option == NULL) {
		return fail_unknown(argv[0], length, error);
	}
	if (option->argument == NULL && option->once && value != NULL) {
		return error_set(error, -EINVAL, "--%s takes no value", option->name);
	}
	if (option->argument == NULL) {
		value = value != NULL ? value : "yes";
	} else if (option->optional) {
		value = value != NULL ? value : "";
	} else {
		taken = take_value(option, argv, &value, error);
	}
	return taken < 0 || give(options, option, value, error) < 0 ? -EINVAL : taken;
}

/* Letters take no value and may be joined. */
static int parse_letters(struct cli_options *options, const char *argument, struct error *error) {
	for (const char *letter = argument + 1; *letter != '\0'; letter++) {
		const struct option *option = table_find_letter(*letter);
		if (option == NULL) {
			return error_set(error, -EINVAL, "unknown option %s; ph --help-all lists the options",
				argument);
		}
		if (give(options, option, "yes", error) < 0) {
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
	if (request->realm != NULL &&
		(request->rootfs != NULL || request->home != NULL || request->private_home)) {
		return error_set(error, -EINVAL,
			"--realm comes with an image and a home: it does not go with --rootfs, --home and "
			"--private-home");
	}
	if (request->rootfs != NULL && request->realmfs != NULL) {
		return error_set(error, -EINVAL, "--rootfs and --realmfs exclude each other");
	}
	if (request->realm == NULL && request->realmfs == NULL &&
		(request->realmfs_key != NULL || request->require_signature)) {
		return error_set(
			error, -EINVAL, "--realmfs-key and --require-signature need --realm or --realmfs");
	}
	if (request->partition > 0 && request->rootfs == NULL) {
		return error_set(error, -EINVAL, "--partition is about an image: give --rootfs too");
	}
	if (mode_given && request->rootfs == NULL) {
		return error_set(error, -EINVAL, "--rootfs-mode is about an image: give --rootfs too");
	}
	bool image = request->rootfs != NULL || request->realmfs != NULL || request->realm != NULL;
	if (image && request->hide_count + request->show_count > 0) {
		return error_set(error, -EINVAL,
			"--hide and --show are about this system's files: they do not go with --rootfs or a "
			"realm");
	}
	return 0;
}

/* The environment's defaults, the options of the profile of the name that was given (NULL: none), and over
 * both the command line. */
static int parse(
	struct cli_options *options, char **argv, const struct plan_request *given, struct error *error) {
	const enum block_mode not_given = (enum block_mode) - 1;
	*options = (struct cli_options){.request.rootfs_mode = not_given};
	struct plan_request *request = &options->request;
	int ret = apply_environment(options, error);
	if (ret == 0 && given != NULL) {
		ret = profile_apply(options, given, given->name, error);
	}
	while (ret == 0 && *argv != NULL && strcmp(*argv, "--") != 0) {
		int taken = parse_argument(options, argv, error);
		argv += taken > 0 ? taken : 0;
		ret = taken < 0 ? taken : 0;
	}
	if (ret < 0) {
		return ret;
	}
	request->command = *argv != NULL ? argv + 1 : NULL;
	bool mode_given = request->rootfs_mode != not_given;
	if (!mode_given) {
		request->rootfs_mode = BLOCK_EPHEMERAL;
	}
	return given == NULL && request->name != NULL ? 0 : check_combination(request, mode_given, error);
}

int cli_parse(struct cli_options *options, int argc, char **argv, struct error *error) {
	(void)argc;
	int ret = parse(options, argv + 1, NULL, error);
	/* Its profile goes before what was just read. */
	if (ret == 0 && options->request.name != NULL) {
		const struct plan_request given = options->request;
		ret = parse(options, argv + 1, &given, error);
	}
	return ret;
}

void cli_finish(struct cli_options *options) {
	for (size_t i = 0; i < options->setting_count; i++) {
		if (options->settings[i].origin != NULL) {
			free((char *)(uintptr_t)options->settings[i].value);
			free((char *)(uintptr_t)options->settings[i].origin);
		}
	}
	options->setting_count = 0;
}
