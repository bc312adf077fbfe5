/*
 * From options to a command that runs: in a VM of this process's own, or in one that has a name, where others
 * may be.
 *
 * A VM with a name is run by a process of its own, the holder, so that each ph that uses it, the first one
 * too, ends with its command and the VM with the last of them. ph's first thread; the input is the caller's
 * own.
 */
#include "ph/cli.h"
#include "ph/fd.h"
#include "ph/instance.h"
#include "ph/jail.h"
#include "ph/log.h"
#include "ph/terminal.h"
#include "ph/vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* How long a VM of this name may be about to start or to end. */
#define BUSY_MS 90000
#define BUSY_STEP_MS 20

int cli_become_caller(const struct plan_request *request, struct error *error) {
	bool stays = request->uid_map_count > 0 || request->realm != NULL;
	return stays ? 0 : jail_become_caller(error);
}

/* The plan, and the user it is to be run as. */
static int make_plan(struct plan *plan, const struct plan_request *request, struct error *error) {
	uid_t uid;
	gid_t gid;
	int ret = plan_init(plan, request, error);
	if (ret == 0 && plan_runs_as(plan, &uid, &gid)) {
		log_error("root goes on as user %u, whose realm %s is", uid, plan->realm_name);
		ret = jail_become(uid, gid, error);
	}
	return ret;
}

/* ---- a VM of its own ---- */

static bool is_given(const struct cli_options *options, const char *name) {
	for (size_t i = 0; i < options->setting_count; i++) {
		if (strcmp(options->settings[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* The kernel may have been given as one of those, and is yet to be opened. */
static bool is_kernel(const struct plan *plan, int fd) {
	struct stat kernel, stat;
	return plan->kernel != NULL && fstatat(AT_FDCWD, plan->kernel, &kernel, 0) == 0 &&
	       fstat(fd, &stat) == 0 && stat.st_dev == kernel.st_dev && stat.st_ino == kernel.st_ino;
}

/* Whether a lock goes with a descriptor: it is to hold for as long as this process runs. */
static bool has_lock(int fd) {
	char path[40], line[256];
	bool found = false;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "re");
	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
		found = strncmp(line, "lock:", 5) == 0;
	}
	if (file != NULL) {
		fclose(file);
	}
	return found;
}

/* What the caller had open besides: the end of a pipe, say, is not to be kept as long as the VM runs, and no
 * file is to be found by who takes the monitor over. All that ph opens is close-on-exec, so that what is not
 * is the caller's. Its locks go, too, unless this is the process that is to hold them. */
static void leave_inherited(const struct plan *plan, bool locks_stay) {
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		int fd = (int)strtol(entry->d_name, NULL, 10);
		if (fd > STDERR_FILENO && (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 && !is_kernel(plan, fd) &&
			!(locks_stay && has_lock(fd))) {
			close(fd);
		}
	}
	if (folder != NULL) {
		closedir(folder);
	}
}

/* A path means the same wherever the next one is asked for it. NULL: out of memory. */
static char *setting_text(const struct cli_setting *setting) {
	static const char *const paths[] = {"disk", "home", "kernel", "rootfs", "share"};
	bool relative = strcmp(setting->name, "realmfs") == 0 && setting->value[0] != '/' &&
			!plan_is_image_name(setting->value);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		relative |= strcmp(setting->name, paths[i]) == 0 && setting->value[0] != '/';
	}
	char *text = NULL, *folder = relative ? getcwd(NULL, 0) : NULL;
	int size = asprintf(&text, "%s=%s%s%s", setting->name, folder != NULL ? folder : "",
		folder != NULL ? "/" : "", setting->value);
	free(folder);
	return size < 0 ? NULL : text;
}

static int collect_facts(
	struct record_buffer *facts, const struct plan *plan, const struct cli_options *options) {
	const char *list[CLI_SETTINGS_MAX + 3];
	char *texts[CLI_SETTINGS_MAX];
	size_t count = 0;
	plan_put_facts(plan, facts);
	for (size_t i = 0; i < options->setting_count; i++) {
		const struct cli_setting *setting = &options->settings[i];
		if (setting->shapes_vm && (texts[count] = setting_text(setting)) != NULL) {
			list[count] = texts[count];
			count++;
		}
	}
	const size_t given = count;
	/* What a realm has without being asked. */
	if (plan->realm_name != NULL && plan->net.kind != PLAN_NET_NONE && !is_given(options, "net")) {
		list[count++] = "net=";
	}
	if (plan->realm_name != NULL && plan->has_sound && !is_given(options, "sound")) {
		list[count++] = "sound=yes";
	}
	list[count] = NULL;
	record_put_list(facts, INSTANCE_FACT_SETTINGS, list);
	count = given;
	while (count > 0) {
		free(texts[--count]);
	}
	return facts->failed ? -ENOMEM : 0;
}

/* The socket, or -errno with *error set and the place given back. */
static int open_to_others(struct instance *instance, const struct plan *plan,
	const struct cli_options *options, struct error *error) {
	struct record_buffer facts = {0};
	int ret = collect_facts(&facts, plan, options);
	ret = ret < 0 ? error_set(error, ret, "out of memory") : instance_open(instance, &facts, error);
	record_buffer_finish(&facts);
	if (ret < 0) {
		instance_give_up(instance);
	}
	return ret;
}

/* What --list calls a VM is what its windows say, too, or nobody could tell two of them apart. */
static void mark_windows(
	struct plan *plan, const struct plan_request *request, const struct instance *instance) {
	char *tag = request->tag == NULL && request->realm == NULL ? strdup(instance->name) : NULL;
	if (tag != NULL) {
		free(plan->tag);
		plan->tag = tag;
	}
}

/* It can be joined under a name that is made up, where there is a place for such names. */
static int run_alone(const struct cli_options *options, struct error *error) {
	struct plan plan = {0};
	struct instance instance = {0};
	struct vm_seat seat = {.listen_fd = -1,
		.client_fd = -1,
		.streams = {-1, -1, -1},
		.messages_fd = -1,
		.janitor_fd = -1};
	int ret = make_plan(&plan, &options->request, error);
	if (ret == 0) {
		leave_inherited(&plan, true);
	}
	if (ret == 0 && getenv("XDG_RUNTIME_DIR") != NULL) {
		struct error cause = {0};
		if (instance_take_any(&instance, &cause) == 0) {
			seat.listen_fd = open_to_others(&instance, &plan, options, &cause);
		}
		if (seat.listen_fd < 0) {
			log_verbose("others cannot join: %s", cause.message);
		} else {
			mark_windows(&plan, &options->request, &instance);
			seat.name = instance.name;
		}
	}
	if (ret == 0 && (instance.janitor_fd > 0 || instance_start_janitor(&instance) == 0)) {
		seat.janitor_fd = instance.janitor_fd;
	}
	if (ret == 0) {
		ret = vm_run(&plan, &seat, error);
	}
	fd_close(&seat.listen_fd);
	instance_finish(&instance);
	plan_finish(&plan);
	return ret;
}

/* ---- the holder ---- */

/* Away from the terminal: what it has to say goes through a pipe to those who are there. The reading end, or
 * -errno. */
static int leave_stdio(void) {
	int pipe[2];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		return -errno;
	}
	setsid();
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(pipe[1], STDERR_FILENO);
	close(null);
	close(pipe[1]);
	return pipe[0];
}

/* What was said after the VM's loop had ended. */
static void pass_last_words(const struct vm_seat *seat) {
	char text[4096];
	ssize_t n;
	while ((n = read(seat->messages_fd, text, sizeof(text))) > 0) {
		instance_send(seat->client_fd, INSTANCE_TEXT, 0, text, (size_t)n, NULL, 0);
	}
}

static int hold(const struct plan *plan, struct instance *instance, const struct cli_options *options,
	struct vm_seat *seat) {
	struct error error = {0};
	int ret = seat->messages_fd = leave_stdio();
	if (ret >= 0) {
		ret = seat->listen_fd = open_to_others(instance, plan, options, &error);
	}
	if (ret >= 0) {
		seat->janitor_fd = instance->janitor_fd;
		ret = vm_run(plan, seat, &error);
	}
	if (seat->messages_fd >= 0) {
		pass_last_words(seat);
	}
	if (ret < 0) {
		error_set(&error, ret, "cannot start the VM: %s", strerror(-ret));
		instance_send(
			seat->client_fd, INSTANCE_FAILED, 0, error.message, strlen(error.message), NULL, 0);
	}
	return ret;
}

/* The connection to the holder, or -errno. Its end is the holder's. */
static int start_holder(const struct plan *plan, struct instance *instance, const struct cli_options *options,
	struct instance_streams *streams) {
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct vm_seat seat = {
			.listen_fd = -1, .client_fd = ends[1], .messages_fd = -1, .janitor_fd = -1};
		memcpy(seat.streams, streams->theirs, sizeof(seat.streams));
		close(ends[0]);
		cli_notice_forget();
		instance_close_streams(streams->ours);
		leave_inherited(plan, false);
		_exit(hold(plan, instance, options, &seat) < 0 ? 1 : 0);
	}
	int ret = pid < 0 ? -errno : ends[0];
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
	}
	return ret;
}

static int start_named(const struct cli_options *options, struct instance *instance, struct error *error) {
	struct plan plan = {0};
	struct instance_streams streams = {0};
	int ret = make_plan(&plan, &options->request, error);
	if (ret == 0) {
		ret = instance_make_streams(&streams, plan.tty, plan.own_stderr);
	}
	if (ret == 0) {
		ret = start_holder(&plan, instance, options, &streams);
		instance_close_streams(streams.theirs);
	}
	if (ret < 0) {
		error_set(error, ret, "cannot start the VM: %s", strerror(-ret));
		instance_close_streams(streams.ours);
		instance_give_up(instance);
		/* That would mean a VM which somebody else is about to start. */
		ret = ret == -EAGAIN ? -ENOMEM : ret;
		goto out;
	}
	int connection = ret;
	streams.palette = plan.palette;
	plan.palette = NULL;
	plan_tell_directory(&plan);
	/* Of the place and of what the plan has open, the holder has copies, which are to be the last. */
	instance_finish(instance);
	plan_finish(&plan);
	ret = instance_attend(connection, &streams, error);
	if (ret == -EAGAIN) {
		ret = error_set(error, -EIO, "the VM ended before the command did");
	}
	instance_close_streams(streams.ours);
	free(streams.palette);
	close(connection);
out:
	instance_finish(instance);
	plan_finish(&plan);
	return ret;
}

/* ---- joining ---- */

static bool is_among(char *const *settings, const char *text) {
	for (; *settings != NULL; settings++) {
		if (strcmp(*settings, text) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_no(const char *value) {
	return strcmp(value, "no") == 0 || strcmp(value, "0") == 0;
}

/* The last one's value: the command line comes behind profiles. NULL: there is none. */
static const char *find_setting(char *const *settings, const char *name) {
	size_t length = strlen(name);
	const char *value = NULL;
	for (; *settings != NULL; settings++) {
		if (strncmp(*settings, name, length) == 0 && (*settings)[length] == '=') {
			value = *settings + length + 1;
		}
	}
	return value;
}

/* -ENOMEM, or whether the VM has this. */
static int is_so(char *const *settings, const struct cli_setting *setting) {
	char *text = setting_text(setting);
	if (text == NULL) {
		return -ENOMEM;
	}
	const char *last = find_setting(settings, setting->name);
	bool same = setting->adds_up ? is_among(settings, text)
				     : last != NULL && strcmp(last, text + strlen(setting->name) + 1) == 0;
	free(text);
	return same;
}

/* Whether a later option on the same command line takes its place. */
static bool is_overridden(const struct cli_options *options, size_t i) {
	const struct cli_setting *setting = &options->settings[i];
	while (!setting->adds_up && ++i < options->setting_count) {
		if (strcmp(options->settings[i].name, setting->name) == 0) {
			return true;
		}
	}
	return false;
}

static int refuse_setting(const struct cli_setting *setting, const char *name, struct error *error) {
	bool flag = strcmp(setting->value, "yes") == 0 || setting->value[0] == '\0';
	return error_set(error, -EBUSY,
		"the VM %s runs without --%s%s%s, which cannot change now; ph --stop %s ends it", name,
		setting->name, flag ? "" : " ", flag ? "" : setting->value, name);
}

/* What is asked for on the command line must be so already; a profile may have changed meanwhile. */
static int check_settings(
	const struct cli_options *options, const char *name, char *const *settings, struct error *error) {
	for (size_t i = 0; i < options->setting_count; i++) {
		const struct cli_setting *setting = &options->settings[i];
		/* check_realm() knows it by whatever name it was asked for. */
		bool known = strcmp(setting->name, "realm") == 0;
		if (known || !setting->shapes_vm || setting->origin != NULL || is_overridden(options, i)) {
			continue;
		}
		int same = is_so(settings, setting);
		if (same < 0) {
			return error_set(error, same, "out of memory");
		}
		if (same > 0) {
			continue;
		}
		if (!is_no(setting->value)) {
			return refuse_setting(setting, name, error);
		}
		const char *value = find_setting(settings, setting->name);
		if (value != NULL && !is_no(value)) {
			return error_set(error, -EBUSY,
				"the VM %s runs with --%s, which cannot change now; ph --stop %s ends it",
				name, setting->name, name);
		}
	}
	return 0;
}

static uint64_t find_protocol(const uint8_t *facts, size_t size) {
	struct record_reader reader = {.next = facts, .left = size};
	struct record record;
	while (record_next(&reader, &record) > 0) {
		if (record.key == INSTANCE_FACT_PROTOCOL) {
			return record_u64(&record, 0);
		}
	}
	return 0;
}

static bool has_asked_realm(const struct cli_options *options) {
	bool asked = options->request.name == NULL;
	for (size_t i = 0; i < options->setting_count; i++) {
		const struct cli_setting *setting = &options->settings[i];
		asked |= setting->origin == NULL && strcmp(setting->name, "realm") == 0;
	}
	return asked && options->request.realm != NULL;
}

/* A realm's name for its VM may be taken by another VM, and the current realm may be another one by now. */
static int check_realm(const struct cli_options *options, const char *name, const uint8_t *facts, size_t size,
	struct error *error) {
	struct record_reader reader = {.next = facts, .left = size};
	struct record record;
	char realm[PLAN_REALM_MAX + 1];
	int ret = plan_realm_name(&options->request, realm, error);
	while (ret == 0 && record_next(&reader, &record) > 0) {
		if (record.key == INSTANCE_FACT_REALM && record.size == strlen(realm) &&
			memcmp(record.data, realm, record.size) == 0) {
			return 0;
		}
	}
	return ret < 0 ? ret
		       : error_set(error, -EBUSY,
				 "the VM %s runs without --realm %s, which cannot change now; ph --stop %s "
				 "ends it",
				 name, realm, name);
}

static int check_facts(const struct cli_options *options, const char *name, const uint8_t *facts, size_t size,
	struct error *error) {
	struct record_reader reader = {.next = facts, .left = size};
	struct record record;
	if (find_protocol(facts, size) != INSTANCE_PROTOCOL) {
		return error_set(error, -EPROTO,
			"the VM %s was started by another version of ph; ph --stop %s ends it", name, name);
	}
	int ret = has_asked_realm(options) ? check_realm(options, name, facts, size, error) : 0;
	while (ret == 0 && record_next(&reader, &record) > 0) {
		if (record.key != INSTANCE_FACT_SETTINGS) {
			continue;
		}
		char **settings = record_list(&record, NULL);
		ret = settings == NULL ? 0 : check_settings(options, name, settings, error);
		free(settings);
		break;
	}
	return ret;
}

/* A plan as far as a command in a running VM needs one. */
static int plan_joined(
	struct plan *plan, const struct cli_options *options, const char *name, struct error *error) {
	uint8_t *facts;
	ssize_t size = instance_read_facts(name, &facts);
	if (size < 0) {
		*plan = (struct plan){0};
		return error_set(error, (int)size, "the VM %s does not tell what it is: %s", name,
			strerror((int)-size));
	}
	int ret = check_facts(options, name, facts, (size_t)size, error);
	*plan = (struct plan){0};
	if (ret == 0) {
		ret = plan_init_join(plan, &options->request, facts, (size_t)size, error);
	}
	free(facts);
	return ret;
}

static int send_command(int connection, const struct plan *plan, const struct instance_streams *streams) {
	struct record_buffer exec = {0};
	plan_put_exec(plan, &exec);
	int ret = exec.failed
			  ? -ENOMEM
			  : instance_send(connection, INSTANCE_EXEC, plan->tty ? INSTANCE_EXEC_TTY : 0,
				    exec.data, exec.size, streams->theirs, streams->theirs[2] < 0 ? 2 : 3);
	record_buffer_finish(&exec);
	return ret;
}

/* What cannot be joined may be what was left of a VM that has ended, or the one after it: then -EAGAIN. */
static int find_why(int connection, int ret, const struct error *why, struct error *error) {
	struct pollfd end = {.fd = connection}; /* a hang-up is always told */
	bool ended = poll(&end, 1, BUSY_STEP_MS) > 0;
	return ended ? -EAGAIN : error_set(error, ret, "%s", why->message);
}

/* Over a connection, which it closes. -EAGAIN: the VM is ending. */
static int join(const struct cli_options *options, const char *name, int connection, struct error *error) {
	struct plan plan;
	struct instance_streams streams;
	struct error why = {0};
	int ret = plan_joined(&plan, options, name, &why);
	if (ret < 0) {
		ret = find_why(connection, ret, &why, error);
	} else {
		ret = instance_make_streams(&streams, plan.tty, plan.own_stderr);
	}
	if (ret == 0) {
		ret = send_command(connection, &plan, &streams);
		instance_close_streams(streams.theirs);
		/* The other end may be gone since. */
		ret = ret == -EPIPE || ret == -ECONNRESET ? -EAGAIN : ret;
		streams.palette = plan.palette;
		if (ret == 0) {
			plan_tell_directory(&plan);
			ret = instance_attend(connection, &streams, error);
		}
		instance_close_streams(streams.ours);
	}
	plan_finish(&plan);
	close(connection);
	return ret < 0 && ret != -EAGAIN
		       ? error_set(error, ret, "cannot join the VM: %s",
				 ret == -E2BIG ? "the command and its variables are too long"
					       : strerror(-ret))
		       : ret;
}

/* ---- either ---- */

/* One try: the exit status, or -EAGAIN when somebody else is about to start or to end this VM. */
static int start_or_join(const struct cli_options *options, const char *name, struct error *error) {
	struct instance instance;
	int ret = instance_take(&instance, name, error);
	if (ret == 0) {
		return start_named(options, &instance, error);
	}
	if (ret != -EBUSY) {
		return ret;
	}
	int connection = instance_connect(name, error);
	if (connection < 0) {
		return connection == -ENOENT ? -EAGAIN : connection;
	}
	return join(options, name, connection, error);
}

static int run_named(const struct cli_options *options, const char *name, struct error *error) {
	for (unsigned waited = 0; waited < BUSY_MS; waited += BUSY_STEP_MS) {
		int ret = start_or_join(options, name, error);
		if (ret != -EAGAIN) {
			return ret;
		}
		nanosleep(&(struct timespec){.tv_nsec = BUSY_STEP_MS * 1000000L}, NULL);
	}
	return error_set(error, -ETIMEDOUT,
		"the VM %s has been starting or ending for too long; ph --stop %s ends it", name, name);
}

/* A realm has one VM, which the second command joins. Root's ph goes on as the realm's user, to whom the
 * place of root's VMs is closed. */
static int run_realm(const struct cli_options *options, struct error *error) {
	char realm[PLAN_REALM_MAX + 1], name[INSTANCE_NAME_MAX];
	int ret = plan_realm_name(&options->request, realm, error);
	if (ret < 0) {
		return ret;
	}
	bool fits = snprintf(name, sizeof(name), "realm-%s", realm) < (int)sizeof(name);
	bool shared = fits && geteuid() != 0 && getenv("XDG_RUNTIME_DIR") != NULL;
	return shared && !options->request.force ? run_named(options, name, error)
						 : run_alone(options, error);
}

/* As shells do, one in the background is stopped until it is its turn: here, where every signal still ends
 * ph. */
static void await_turn(const struct plan_request *request) {
	bool shell = request->command == NULL || request->command[0] == NULL;
	if (shell && isatty(STDOUT_FILENO) && terminal_in_background(STDIN_FILENO)) {
		tcdrain(STDIN_FILENO); /* stops who is in the background, and changes nothing */
	}
}

int cli_run(const struct cli_options *options, struct error *error) {
	await_turn(&options->request);
	int ret = cli_become_caller(&options->request, error);
	if (ret < 0) {
		return ret;
	}
	const struct plan_request *request = &options->request;
	return request->name != NULL    ? run_named(options, request->name, error)
	       : request->realm != NULL ? run_realm(options, error)
					: run_alone(options, error);
}

/* ---- --dry-run ---- */

int cli_dry_run(const struct cli_options *options, struct error *error) {
	struct plan plan = {0};
	int ret = cli_become_caller(&options->request, error);
	if (ret == 0) {
		ret = make_plan(&plan, &options->request, error);
	}
	if (ret == 0) {
		plan_print(&plan);
		for (size_t i = 0; i < options->setting_count; i++) {
			const struct cli_setting *setting = &options->settings[i];
			printf("%-12s%s = %s (%s)\n", i == 0 ? "options" : "", setting->name, setting->value,
				setting->origin != NULL ? setting->origin : "command line");
		}
	}
	plan_finish(&plan);
	return ret;
}
