/*
 * The table of options, and what each sets. Runs first, in ph's one thread. Its input is the caller's own.
 */
#include "cli/table.h"

#include "cli/values.h"

#include <errno.h>
#include <string.h>

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
APPLY_STRING(realm)
APPLY_STRING(realmfs)
APPLY_STRING(realmfs_key)
APPLY_FLAG(require_signature)
APPLY_FLAG(force)
APPLY_FLAG(direct)
APPLY_ACTION(apply_realms, CLI_REALMS)
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
APPLY_FLAG(no_wayland)
APPLY_LIST(wl_sockets, wl_socket_count, DISPLAY_SOCKETS_MAX - 2)
APPLY_FLAG(microphone)
APPLY_FLAG(open_urls)
APPLY_FLAG(net_host_loopback)
APPLY_LIST(publish, publish_count, PLAN_PUBLISH_MAX)
APPLY_LIST(net_address, net_address_count, PLAN_NET_ADDRESSES_MAX)
APPLY_LIST(net_gateway, net_gateway_count, PLAN_NET_ADDRESSES_MAX)
APPLY_LIST(net_dns, net_dns_count, PLAN_NET_DNS_MAX)
APPLY_ACTION(apply_dry_run, CLI_DRY_RUN)
APPLY_ACTION(apply_list, CLI_LIST)
APPLY_ACTION(apply_check, CLI_CHECK)
APPLY_ACTION(apply_help, CLI_HELP)
APPLY_ACTION(apply_help_all, CLI_HELP_ALL)
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

/* "no" is for undoing what a profile says. */
static int apply_net(struct cli_options *options, const char *value, struct error *error) {
	bool wanted = strncmp(value, "tap:", 4) == 0 || strcmp(value, "passt") == 0 || value[0] == '\0';
	int ret = wanted ? 0 : value_flag(value, &wanted, NULL);
	options->request.net = wanted ? value : NULL;
	options->request.no_net = !wanted;
	return ret == 0 ? 0 : error_set(error, ret, "must be passt, tap:IFACE or no");
}

static int apply_sound(struct cli_options *options, const char *value, struct error *error) {
	int ret = value_flag(value, &options->request.sound, error);
	options->request.no_sound = !options->request.sound;
	return ret;
}

static int apply_cpus(struct cli_options *options, const char *value, struct error *error) {
	return value_number(value, 1, 16, &options->request.cpus, error);
}

static int apply_partition(struct cli_options *options, const char *value, struct error *error) {
	return value_number(value, 1, 1024, &options->request.partition, error);
}

static int apply_overlay_size(struct cli_options *options, const char *value, struct error *error) {
	return value_size(value, &options->request.overlay_size, error);
}

static int apply_mem(struct cli_options *options, const char *value, struct error *error) {
	return value_size(value, &options->request.memory, error);
}

static int apply_name(struct cli_options *options, const char *value, struct error *error) {
	options->request.name = value;
	return value_check_name(value, error);
}

static int apply_tag(struct cli_options *options, const char *value, struct error *error) {
	options->request.tag = value;
	if (strlen(value) >= DISPLAY_TAG_SIZE) {
		return error_set(error, -EINVAL, "longer than %d bytes", DISPLAY_TAG_SIZE - 1);
	}
	for (const char *c = value; *c != '\0'; c++) {
		if (*c <= ' ' || *c == '\x7f' || *c == '[' || *c == ']') {
			return error_set(
				error, -EINVAL, "letters, digits and punctuation only, but no brackets");
		}
	}
	return 0;
}

static int apply_clipboard(struct cli_options *options, const char *value, struct error *error) {
	static const char *const policies[] = {[DISPLAY_CLIPBOARD_KEY] = "key",
		[DISPLAY_CLIPBOARD_OFF] = "off",
		[DISPLAY_CLIPBOARD_FOCUS] = "focus",
		[DISPLAY_CLIPBOARD_ON] = "on",
		NULL};
	int policy = value_choice(value, policies, error);
	if (policy < 0) {
		return policy;
	}
	options->request.clipboard = (enum display_clipboard)policy;
	return 0;
}

static int apply_named(
	struct cli_options *options, enum cli_action action, const char *name, struct error *error) {
	options->action = action;
	options->operand = name;
	return value_check_name(name, error);
}

static int apply_stop(struct cli_options *options, const char *value, struct error *error) {
	return apply_named(options, CLI_STOP, value, error);
}

static int apply_logs(struct cli_options *options, const char *value, struct error *error) {
	return apply_named(options, CLI_LOGS, value, error);
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

static int apply_completion(struct cli_options *options, const char *value, struct error *error) {
	static const char *const shells[] = {"bash", "zsh", "fish", NULL};
	int shell = value_choice(value, shells, error);
	if (shell < 0) {
		return shell;
	}
	options->action = CLI_COMPLETION;
	options->operand = shells[shell];
	return 0;
}

/* ---- the table; --help prints it in this order ---- */

const struct option cli_table[] = {
	{OPTION_VM, "name", "NAME", "the VM to run in, started if need be; its host name", .common = true,
		.once = true, .of_command = true, .completion = COMPLETE_VM, .apply = apply_name},
	{OPTION_VM, "root", NULL, "run as root (of the VM)", .common = true, .of_command = true,
		.apply = apply_as_root},
	{OPTION_VM, "env", "NAME[=VALUE]", "set a variable, or pass yours on", .of_command = true,
		.apply = apply_env},

	{OPTION_VM, "list", NULL, "list the VMs that run", .common = true, .once = true, .apply = apply_list},
	{OPTION_VM, "stop", "NAME", "end that VM", .common = true, .once = true, .completion = COMPLETE_VM,
		.apply = apply_stop},
	{OPTION_VM, "logs", "NAME", "print what that VM's kernel and ph had to say", .once = true,
		.completion = COMPLETE_VM, .apply = apply_logs},

	{OPTION_FILES, "home", "DIR", "share DIR as the home instead of your own", .common = true,
		.completion = COMPLETE_DIRECTORY, .apply = apply_home},
	{OPTION_FILES, "private-home", NULL, "an empty home, gone afterwards", .common = true,
		.apply = apply_private_home},
	{OPTION_FILES, "share", "HOST[:GUEST][:ro]", "share a directory, at the same path or at GUEST",
		.common = true, .completion = COMPLETE_DIRECTORY, .adds_up = true, .apply = apply_shares},
	{OPTION_FILES, "hide", "PATH", "leave PATH out of the VM", .completion = COMPLETE_FILE,
		.adds_up = true, .apply = apply_hide},
	{OPTION_FILES, "show", "PATH", "show PATH although it is hidden by default",
		.completion = COMPLETE_FILE, .adds_up = true, .apply = apply_show},
	{OPTION_FILES, "uid-map", "GUEST:HOST[:COUNT]", "other owners in shares (root only)", .adds_up = true,
		.apply = apply_uid_map},
	{OPTION_FILES, "rootfs", "IMAGE", "boot from a raw ext4 image instead of this system", .common = true,
		.completion = COMPLETE_FILE, .apply = apply_rootfs},
	{OPTION_FILES, "rootfs-mode", "ro|rw|ephemeral", "what becomes of writes to it (default: ephemeral)",
		.apply = apply_rootfs_mode},
	{OPTION_FILES, "partition", "N", "the root is the image's Nth partition", .apply = apply_partition},
	{OPTION_FILES, "realm", "NAME", "run in a realm of Citadel's (or: current)", .common = true,
		.apply = apply_realm},
	{OPTION_FILES, "realmfs", "NAME|FILE", "boot from a sealed image of Citadel's",
		.completion = COMPLETE_FILE, .apply = apply_realmfs},
	{OPTION_FILES, "realmfs-key", "KEY", "check its signature by KEY (64 digits, or a file)",
		.completion = COMPLETE_FILE, .apply = apply_realmfs_key},
	{OPTION_FILES, "require-signature", NULL, "boot no image whose signature cannot be checked",
		.apply = apply_require_signature},
	{OPTION_FILES, "overlay-size", "SIZE",
		"what changes to the root and /tmp may take (default: 60 % of the RAM)",
		.apply = apply_overlay_size},
	{OPTION_FILES, "force", NULL, "start a realm although it runs elsewhere", .once = true,
		.apply = apply_force},
	{OPTION_FILES, "direct", NULL, "read and write images past the host's cache", .apply = apply_direct},
	{OPTION_FILES, "disk", "FILE[:ro]", "another disk, from a raw image", .completion = COMPLETE_FILE,
		.adds_up = true, .apply = apply_disks},

	{OPTION_SCREEN, "no-wayland", NULL, "no windows: keep the compositor from the VM",
		.apply = apply_no_wayland},
	{OPTION_SCREEN, "tag", "TEXT", "in front of the titles of its windows (default: the VM's name)",
		.apply = apply_tag},
	{OPTION_SCREEN, "clipboard", "key|focus|on|off",
		"when the VM may read your clipboard (default: when you paste)", .apply = apply_clipboard},
	{OPTION_SCREEN, "wl-socket", "NAME=PATH",
		"let the VM connect to another socket of this host, as NAME", .adds_up = true,
		.apply = apply_wl_sockets},
	{OPTION_SCREEN, "open-urls", NULL, "open pages on this host that the VM's programs want opened",
		.apply = apply_open_urls},

	{OPTION_NETWORK, "net", "passt|tap:IFACE", "the network, as your programs reach it, or a tap",
		.optional = true, .common = true, .apply = apply_net},
	{OPTION_NETWORK, "publish", "[ADDRESS:]PORT:GUEST[/udp]",
		"let PORT of this host (at 127.0.0.1) lead to the VM's", .adds_up = true,
		.apply = apply_publish},
	{OPTION_NETWORK, "sound", NULL, "let its programs play through your sound server", .common = true,
		.apply = apply_sound},
	{OPTION_NETWORK, "microphone", NULL, "let them record, too", .apply = apply_microphone},
	{OPTION_NETWORK, "net-host-loopback", NULL, "the VM's gateway is this host's 127.0.0.1",
		.apply = apply_net_host_loopback},
	{OPTION_NETWORK, "net-address", "ADDRESS/PREFIX", "the VM's address on a tap (IPv4, IPv6)",
		.adds_up = true, .apply = apply_net_address},
	{OPTION_NETWORK, "net-gateway", "ADDRESS", "its gateway there", .adds_up = true,
		.apply = apply_net_gateway},
	{OPTION_NETWORK, "net-dns", "ADDRESS", "its name server", .adds_up = true, .apply = apply_net_dns},

	{OPTION_MACHINE, "cpus", "N", "virtual CPUs, 1 to 16 (default: all)", .environment = "PH_CPUS",
		.common = true, .apply = apply_cpus},
	{OPTION_MACHINE, "mem", "SIZE", "RAM, as in 512M or 2G (default: half, at most 8G)",
		.environment = "PH_MEM", .common = true, .apply = apply_mem},
	{OPTION_MACHINE, "kernel", "FILE", "boot this kernel (vmlinux or bzImage), not ph's own",
		.completion = COMPLETE_FILE, .apply = apply_kernel},
	{OPTION_MACHINE, "append", "STRING", "more words for the kernel command line", .apply = apply_append},
	{OPTION_MACHINE, "sandbox", "strict|default|off",
		"strict: or not at all; off: one open process, to debug", .apply = apply_sandbox},

	{OPTION_INFORMATION, "timings", NULL, "show where the start-up time went", .of_command = true,
		.apply = apply_timings},
	{OPTION_INFORMATION, "verbose", NULL, "show kernel messages and what ph does", .letter = 'v',
		.environment = "PH_VERBOSE", .common = true, .of_command = true, .apply = apply_verbose},
	{OPTION_INFORMATION, "dry-run", NULL, "print what would be done", .common = true, .once = true,
		.apply = apply_dry_run},
	{OPTION_INFORMATION, "check", NULL, "tell what this host has and lacks for ph", .common = true,
		.once = true, .apply = apply_check},
	{OPTION_INFORMATION, "realms", NULL, "list Citadel's realms, their state and image", .once = true,
		.apply = apply_realms},
	{OPTION_INFORMATION, "completion", "bash|zsh|fish", "print what completes ph's options in that shell",
		.once = true, .apply = apply_completion},
	{OPTION_INFORMATION, "version", NULL, "print the version", .once = true, .apply = apply_version},
	{OPTION_INFORMATION, "help", NULL, "print this", .letter = 'h', .common = true, .once = true,
		.apply = apply_help},
	{OPTION_INFORMATION, "help-all", NULL, "print all options", .common = true, .once = true,
		.apply = apply_help_all},
};

const size_t cli_table_size = sizeof(cli_table) / sizeof(cli_table[0]);

const char *table_section_title(enum option_section section) {
	static const char *const titles[OPTION_SECTIONS] = {
		[OPTION_VM] = "The VM and the command",
		[OPTION_FILES] = "Files",
		[OPTION_SCREEN] = "The screen",
		[OPTION_NETWORK] = "Network and sound",
		[OPTION_MACHINE] = "The machine",
		[OPTION_INFORMATION] = "Information",
	};
	return titles[section];
}

/* ---- looking up ---- */

const struct option *table_find(const char *name, size_t length) {
	for (size_t i = 0; i < cli_table_size; i++) {
		if (strlen(cli_table[i].name) == length && memcmp(cli_table[i].name, name, length) == 0) {
			return &cli_table[i];
		}
	}
	return NULL;
}

const struct option *table_find_letter(char letter) {
	for (size_t i = 0; i < cli_table_size && letter != '\0'; i++) {
		if (cli_table[i].letter == letter) {
			return &cli_table[i];
		}
	}
	return NULL;
}

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

const struct option *table_nearest(const char *name, size_t length) {
	const struct option *nearest = NULL;
	size_t best = length / 3 + 2; /* with more edits it is another word */
	best = best < 4 ? best : 4;
	for (size_t i = 0; i < cli_table_size; i++) {
		size_t d = distance(name, length, cli_table[i].name);
		if (d < best) {
			best = d;
			nearest = &cli_table[i];
		}
	}
	return nearest;
}
