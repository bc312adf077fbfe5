/*
 * The life of a running VM, on the loop's thread: init speaks up, the command ends, signals arrive, deadlines
 * pass, and the machine ends, in order or not. The guest may do each of these at any time or never.
 */
#include "monitor/run.h"

#include "ph/fd.h"
#include "ph/instance.h"
#include "ph/progress.h"
#include "ph/signals.h"
#include "ph/terminal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* When a guest that has not come up makes ph look at KVM, and when it is given up. */
#define START_CHECK_MS 4000
#define START_LIMIT_MS 180000
/* For a guest without its file server to store what is for its disks. One that still waits for a share, as
 * init does for those that were written to, does not end at all. */
#define LOST_LIMIT_MS 20000

static struct vm *vm_of(struct loop_source *source, size_t offset) {
	return (struct vm *)(void *)((char *)source - offset);
}

static int64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void set_deadline(struct vm *vm, int ms) {
	const struct itimerspec timer = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}};
	timerfd_settime(vm->deadline.fd, 0, &timer, NULL);
}

/* ---- ends ---- */

static void finish(struct vm *vm, int result) {
	progress_clear();
	loop_stop(&vm->loop, vm->lost ? -EIO : result);
}

/* The machine is gone, or must go, and the command's status is not to be had. */
static void fail(struct vm *vm, int code, const char *reason) {
	terminal_restore();
	console_log_show(&vm->console_log);
	error_set(vm->error, code, "%s", reason);
	finish(vm, code);
}

static void shut_down(struct vm *vm) {
	vm->phase = RUN_STOPPING;
	control_shutdown(vm->control);
	vm->stop_waited_ms = 0;
	set_deadline(vm, PROGRESS_MS);
}

/* Without a word from init nothing can be orderly. */
static void force_end(struct vm *vm) {
	if (vm->status < 0) {
		vm->status = 128 + vm->signal;
	}
	finish(vm, vm->status);
}

/* ---- what init says ---- */

/* From now on Ctrl-C and the like are the command's. */
static void give_keys(const struct vm *vm) {
	if (vm->plan->tty && vm->seat->client_fd < 0) {
		terminal_raw(STDIN_FILENO);
	}
}

static void on_ready(void *owner) {
	struct vm *vm = owner;
	timings_mark(&vm->timings, "guest up to init");
	for (int kind = 0; kind < EXIT_KINDS; kind++) {
		vm->exits_at_ready[kind] = vcpus_exits(&vm->machine, (enum exit_kind)kind);
	}
	if (vm->phase == RUN_STARTING) {
		vm->phase = RUN_COMMAND;
		set_deadline(vm, 0);
		give_keys(vm);
		clients_ready(&vm->clients);
	}
}

static void on_log(void *owner, bool error, const char *text) {
	struct vm *vm = owner;
	if (error) {
		log_guest(&vm->init_messages, "%s", text);
	} else {
		log_verbose("init: %s", text);
	}
}

static void on_timing(void *owner, const char *step, uint64_t ns) {
	struct vm *vm = owner;
	timings_guest(&vm->timings, step, ns);
}

/* This process's own command has ended: its terminal is the shell's again, and Ctrl-C a signal, while the VM
 * stores its data, or others keep it. */
static void first_ended(struct vm *vm) {
	timings_mark(&vm->timings, "command");
	if (vm->seat->client_fd >= 0) {
		return;
	}
	terminal_restore();
	if (vm->commands > 0) {
		log_error("%u more %s in this VM; it ends with %s (ph --stop %s ends it now)", vm->commands,
			vm->commands == 1 ? "command runs" : "commands run",
			vm->commands == 1 ? "that" : "the last", vm->seat->name);
	}
}

static void on_exited(void *owner, uint32_t session, int status) {
	struct vm *vm = owner;
	vm->commands--;
	if (vm->lost) {
		return; /* what it was killed by is nobody's status: clients are told of the failure */
	}
	if (session == RUN_COMMAND_SESSION && vm->status < 0) {
		vm->status = status;
		first_ended(vm);
	}
	clients_exited(&vm->clients, session, status, vm->commands == 0);
	if (vm->commands == 0 && vm->phase != RUN_STOPPING) {
		shut_down(vm);
	}
}

static bool on_url(void *owner, uint32_t request, const void *url, size_t size) {
	struct vm *vm = owner;
	return urls_open(&vm->urls, request, url, size);
}

static void on_bye(void *owner, const char *reason) {
	struct vm *vm = owner;
	timings_mark(&vm->timings, "guest shutdown");
	if (vm->status < 0 && vm->signal == 0) {
		terminal_restore();
		error_set(vm->error, -EIO, "%s",
			reason[0] != '\0' ? reason : "the guest shut down before the command ended");
		finish(vm, -EIO);
		return;
	}
	force_end(vm);
}

static void on_failed(void *owner, const char *reason) {
	struct vm *vm = owner;
	terminal_restore();
	error_set(vm->error, -EPROTO, "the guest broke the control protocol: %s", reason);
	finish(vm, -EPROTO);
}

const struct control_ops run_control_ops = {
	.ready = on_ready,
	.log = on_log,
	.timing = on_timing,
	.url = on_url,
	.exited = on_exited,
	.bye = on_bye,
	.failed = on_failed,
};

/* ---- what clients want ---- */

static bool is_ending(void *owner) {
	const struct vm *vm = owner;
	return vm->phase >= RUN_HANGING_UP;
}

static uint32_t state(void *owner) {
	static const enum instance_state states[] = {[RUN_STARTING] = INSTANCE_STARTING,
		[RUN_COMMAND] = INSTANCE_RUNNING,
		[RUN_HANGING_UP] = INSTANCE_ENDING,
		[RUN_STOPPING] = INSTANCE_ENDING};
	const struct vm *vm = owner;
	return (uint32_t)states[vm->phase] << 16 | vm->commands;
}

static void handle_signal(struct vm *vm, int signo);

static void stop(void *owner) {
	handle_signal(owner, SIGTERM);
}

static void started(void *owner) {
	struct vm *vm = owner;
	vm->commands++;
}

static size_t logs(void *owner, char *text, size_t size) {
	struct vm *vm = owner;
	return console_log_copy(&vm->console_log, text, size);
}

static void keep(void *owner, const char *text, size_t size) {
	struct vm *vm = owner;
	console_log_keep(&vm->console_log, text, size);
}

const struct clients_ops run_clients_ops = {
	.is_ending = is_ending,
	.state = state,
	.stop = stop,
	.started = started,
	.logs = logs,
	.keep = keep,
};

/* ---- events ---- */

static void machine_reset(struct vm *vm) {
	if (vm->phase == RUN_STOPPING && vm->status >= 0) {
		log_error("the guest ended without a word after the command; what it wrote last may be lost");
		finish(vm, vm->status);
		return;
	}
	fail(vm, -EIO,
		vm->phase == RUN_STARTING
			? "the guest's kernel failed to start (--verbose shows its messages)"
			: "the guest crashed or was switched off");
}

/* The vCPU threads are ahead of the loop: what the guest sent before it ended is still in the queues. The
 * event stays pending for one more round of the loop, which serves those. */
static void machine_ended(struct loop_source *source, uint32_t events) {
	(void)events;
	struct vm *vm = vm_of(source, offsetof(struct vm, ended));
	if (!vm->end_deferred) {
		vm->end_deferred = true;
		return;
	}
	if (vm->machine.end_reason == MACHINE_RESET) {
		machine_reset(vm);
		return;
	}
	struct error slow = {0};
	if (vm->phase == RUN_STARTING && kvm_check_speed(vm->machine.kvm.dev_fd, &slow) < 0) {
		fail(vm, -EOPNOTSUPP, slow.message);
		return;
	}
	fail(vm, -EIO, vm->machine.end_text);
}

static void start_overdue(struct vm *vm) {
	struct error slow = {0};
	if (now_ms() - vm->started_ms >= START_LIMIT_MS) {
		fail(vm, -ETIMEDOUT, "the guest did not come up (--verbose shows how far it got)");
	} else if (kvm_check_speed(vm->machine.kvm.dev_fd, &slow) < 0) {
		fail(vm, -EOPNOTSUPP, slow.message);
	} else {
		log_verbose("the guest has not come up yet; still waiting");
		set_deadline(vm, START_LIMIT_MS - START_CHECK_MS);
	}
}

static void deadline_passed(struct loop_source *source, uint32_t events) {
	(void)events;
	struct vm *vm = vm_of(source, offsetof(struct vm, deadline));
	fd_event_drain(source->fd);
	switch (vm->phase) {
	case RUN_STARTING:
		start_overdue(vm);
		break;
	case RUN_COMMAND:
		break;
	case RUN_HANGING_UP:
		shut_down(vm);
		break;
	case RUN_STOPPING:
		vm->stop_waited_ms += PROGRESS_MS;
		if (vm->stop_waited_ms < (vm->lost ? LOST_LIMIT_MS : INSTANCE_SHUT_DOWN_MS)) {
			progress_show("the VM is ending and stores what was written (%d s)",
				vm->stop_waited_ms / 1000);
			set_deadline(vm, PROGRESS_MS);
			break;
		}
		progress_clear();
		log_error("the guest did not shut down in time; what it wrote last may be lost");
		force_end(vm);
		break;
	}
}

/* A file system on a disk is to be whole afterwards. A guest whose root was served cannot end in order: its
 * programs are gone, too. */
static bool has_data_on_disks(const struct plan *plan) {
	bool written = false;
	for (size_t i = 0; i < plan->disk_count; i++) {
		written |= plan->disks[i].mode == BLOCK_READ_WRITE;
	}
	return plan->root == PLAN_ROOT_IMAGE && written;
}

static void shut_down_lost(struct vm *vm, const char *end) {
	log_error("the file server %s; the VM is shut down to store what is for its disks", end);
	error_set(vm->error, -EIO, "the VM has ended: it cannot go on without its file server");
	vm->lost = true;
	if (vm->phase != RUN_STOPPING) {
		shut_down(vm);
	}
	vm->stop_waited_ms = 0; /* the limit is another one now */
}

static void worker_ended(struct loop_source *source, uint32_t events) {
	(void)events;
	struct vm *vm = vm_of(source, offsetof(struct vm, worker));
	char end[80];
	loop_remove(&vm->loop, source);
	terminal_restore();
	worker_describe_end(&vm->devices.files, end, sizeof(end));
	if (vm->phase != RUN_STARTING && has_data_on_disks(vm->plan)) {
		shut_down_lost(vm, end);
		return;
	}
	error_set(vm->error, -EIO, "the file server %s; the VM cannot go on without it", end);
	finish(vm, -EIO);
}

/* Only windows are gone: what the command does without them may still matter. */
static void display_ended(struct loop_source *source, uint32_t events) {
	(void)events;
	struct vm *vm = vm_of(source, offsetof(struct vm, display));
	char end[80];
	loop_remove(&vm->loop, source);
	worker_describe_end(&vm->devices.screen.worker, end, sizeof(end));
	log_error("the display server %s; programs have lost their windows", end);
	screen_lost(&vm->devices.screen);
}

static void sound_ended(struct loop_source *source, uint32_t events) {
	(void)events;
	struct vm *vm = vm_of(source, offsetof(struct vm, sound));
	loop_remove(&vm->loop, source);
	log_error("the sound filter has ended; programs are without sound from now on");
}

static void network_ended(struct loop_source *source, uint32_t events) {
	(void)events;
	struct vm *vm = vm_of(source, offsetof(struct vm, network));
	char end[80];
	loop_remove(&vm->loop, source);
	worker_describe_end(&vm->devices.network.worker, end, sizeof(end));
	log_error("the network device %s; the VM is without network from now on", end);
	network_lost(&vm->devices.network);
}

static void connector_ended(struct loop_source *source, uint32_t events) {
	(void)events;
	struct vm *vm = vm_of(source, offsetof(struct vm, connector));
	loop_remove(&vm->loop, source);
	log_error("the connector has ended; programs that start from now on are without windows and sound");
}

void run_tell_size(struct vm *vm) {
	uint16_t rows, columns;
	if (vm->seat->client_fd < 0 && vm->plan->tty && terminal_size(STDOUT_FILENO, &rows, &columns)) {
		control_resize(vm->control, RUN_COMMAND_SESSION, rows, columns);
	}
}

/* The time that passes meanwhile is not the guest's. */
static void stop_for_a_while(struct vm *vm) {
	int64_t stopped_ms = now_ms();
	terminal_stop();
	vm->started_ms += now_ms() - stopped_ms;
}

/* Whether the signal is about the terminal. */
static bool handle_job_signal(struct vm *vm, int signo) {
	switch (signo) {
	case SIGTSTP:
		stop_for_a_while(vm);
		return true;
	case SIGCONT:
		terminal_resume();
		run_tell_size(vm);
		return true;
	case SIGWINCH:
		run_tell_size(vm);
		return true;
	default:
		return false;
	}
}

/* A session that ends sends SIGTERM and SIGHUP, in any order; who sends one twice, or Ctrl-C, does not want
 * to wait for the VM. before: the signal that ended it, or 0. */
static bool insists(int signo, int before) {
	return (signo == SIGINT && before != 0) || (signo == SIGTERM && before == SIGTERM);
}

/* SIGINT is the command's business; SIGTERM and SIGHUP end the VM in order, the commands first. With SIGHUP
 * the command's terminal is gone, where it has one: files and pipes take what it still has to say. */
static void handle_signal(struct vm *vm, int signo) {
	if (handle_job_signal(vm, signo)) {
		return;
	}
	const int before = vm->signal;
	if (signo != SIGINT || vm->phase != RUN_COMMAND) {
		vm->signal = signo;
	}
	if (vm->phase == RUN_STARTING) {
		force_end(vm);
		return;
	}
	if (vm->phase == RUN_STOPPING && insists(signo, before)) {
		progress_clear();
		log_error("the VM is ended before it has stored all; what it wrote last may be lost");
		force_end(vm);
		return;
	}
	if (signo == SIGHUP && vm->plan->tty && vm->seat->client_fd < 0) {
		control_hangup(vm->control, RUN_COMMAND_SESSION);
	}
	control_signal(vm->control, signo == SIGINT ? RUN_COMMAND_SESSION : 0, signo);
	if (signo != SIGINT && vm->phase == RUN_COMMAND) {
		vm->phase = RUN_HANGING_UP;
		set_deadline(vm, INSTANCE_HANG_UP_MS);
	}
}

static void signalled(struct loop_source *source, uint32_t events) {
	(void)events;
	struct vm *vm = vm_of(source, offsetof(struct vm, signals));
	struct signalfd_siginfo info;
	if (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		handle_signal(vm, (int)info.ssi_signo);
	}
}

/* ---- watching ---- */

void run_block_signals(void) {
	sigset_t set;
	signals_handled(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	/* A file beyond the caller's limit is an error of the call. */
	signal(SIGXFSZ, SIG_IGN);
}

void run_unblock_signals(void) {
	sigset_t set;
	signals_handled(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int watch(struct vm *vm, struct loop_source *source, int fd,
	void (*ready)(struct loop_source *source, uint32_t events)) {
	if (fd < 0) {
		return -errno;
	}
	*source = (struct loop_source){.fd = fd, .ready = ready};
	return loop_add(&vm->loop, source, EPOLLIN);
}

int run_watch(struct vm *vm) {
	sigset_t set;
	signals_handled(&set);
	vm->status = -1;
	vm->started_ms = now_ms();
	int ret = watch(vm, &vm->signals, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), signalled);
	if (ret == 0) {
		ret = watch(vm, &vm->deadline, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
			deadline_passed);
	}
	if (ret == 0) {
		ret = watch(vm, &vm->ended, vm->machine.end_fd, machine_ended);
	}
	if (ret == 0 && vm->devices.files.pid != 0) {
		ret = watch(vm, &vm->worker, vm->devices.files.pid_fd, worker_ended);
	}
	if (ret == 0 && vm->devices.screen.worker.pid != 0) {
		ret = watch(vm, &vm->display, vm->devices.screen.worker.pid_fd, display_ended);
	}
	if (ret == 0 && vm->devices.screen.sound.pid != 0) {
		ret = watch(vm, &vm->sound, vm->devices.screen.sound.pid_fd, sound_ended);
	}
	if (ret == 0 && vm->devices.screen.connector.pid != 0) {
		ret = watch(vm, &vm->connector, vm->devices.screen.connector.pid_fd, connector_ended);
	}
	if (ret == 0 && vm->devices.network.worker.pid != 0) {
		ret = watch(vm, &vm->network, vm->devices.network.worker.pid_fd, network_ended);
	}
	if (ret == 0) {
		ret = clock_init(&vm->clock, &vm->loop, vm->control);
	}
	if (ret == 0 && vm->devices.network.passt.pid != 0) {
		ret = names_init(&vm->names, &vm->loop, vm->control, vm->devices.network.passt.names);
	}
	if (ret == 0) {
		ret = urls_watch(&vm->urls, &vm->loop, vm->control);
	}
	if (ret == 0) {
		set_deadline(vm, START_CHECK_MS);
	}
	return ret;
}

void run_unwatch(struct vm *vm) {
	urls_finish(&vm->urls);
	clock_finish(&vm->clock);
	loop_remove(&vm->loop, &vm->connector);
	names_finish(&vm->names);
	loop_remove(&vm->loop, &vm->sound);
	loop_remove(&vm->loop, &vm->network);
	loop_remove(&vm->loop, &vm->display);
	loop_remove(&vm->loop, &vm->worker);
	loop_remove(&vm->loop, &vm->ended);
	loop_remove(&vm->loop, &vm->deadline);
	loop_remove(&vm->loop, &vm->signals);
	if (vm->deadline.fd > 0) {
		fd_close(&vm->deadline.fd);
	}
	if (vm->signals.fd > 0) {
		fd_close(&vm->signals.fd);
	}
}
