/* A VM that runs: its loop, its end, and what happens in between. */
#ifndef MONITOR_RUN_H
#define MONITOR_RUN_H

#include "monitor/clients.h"
#include "monitor/clock.h"
#include "monitor/console_log.h"
#include "monitor/devices.h"
#include "monitor/names.h"
#include "monitor/timings.h"
#include "monitor/urls.h"
#include "monitor/vcpu.h"
#include "ph/control.h"
#include "ph/keeper.h"

enum run_phase {
	RUN_STARTING,   /* init has not spoken yet */
	RUN_COMMAND,    /* commands run */
	RUN_HANGING_UP, /* a signal asked the commands to end */
	RUN_STOPPING,   /* init was asked to shut down */
};

struct vm {
	const struct plan *plan;
	struct error *error;
	struct guest_memory memory;
	struct loop loop;
	struct machine machine;
	struct devices devices;
	struct keeper keeper; /* of the terminal, when there is one */
	struct control *control;
	const struct vm_seat *seat;
	struct clients clients;
	struct host_clock clock;
	struct urls urls;
	struct host_names names;
	unsigned commands; /* that run */
	struct console_log console_log;
	struct log_limit init_messages; /* what the guest says through init is hostile */
	struct timings timings;
	uint64_t exits_at_ready[EXIT_KINDS];

	enum run_phase phase;
	int status;        /* exit status of the first command, once it is known, or -1 */
	int signal;        /* that asked to end, or 0 */
	bool end_deferred; /* see machine_ended() */
	bool lost;         /* it shuts down in order, but its end is a failure */
	int64_t started_ms;
	int stop_waited_ms; /* for the guest to shut down */
	struct loop_source signals, deadline, ended, worker, display, network, sound, connector;
};

extern const struct control_ops run_control_ops;
extern const struct clients_ops run_clients_ops;

/* The session of the plan's own command; clients' come behind. */
#define RUN_COMMAND_SESSION 1

/* Signals that ph handles are blocked from before the first fork or thread on. */
void run_block_signals(void);
void run_unblock_signals(void);
/* Watch signals, deadlines, the machine's end and the workers. 0 or -errno. */
int run_watch(struct vm *vm);
void run_unwatch(struct vm *vm);

#endif
