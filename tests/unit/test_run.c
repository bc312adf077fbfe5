/* What a running VM does when things happen to it: src/monitor/run.c, without the VM. */
#include "monitor/run.h"
#include "ph/terminal.h"

#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/* The VM still has data to store when its command has ended; the terminal is the shell's at once. */
static void test_terminal_after_command(void **state) {
	(void)state;
	int master, slave;
	struct termios mode;
	const struct vm_seat seat = {.client_fd = -1};
	struct vm *vm = calloc(1, sizeof(*vm));
	*vm = (struct vm){.seat = &seat, .commands = 1, .status = -1, .phase = RUN_STOPPING};
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(terminal_raw(slave), 0);
	run_control_ops.exited(vm, RUN_COMMAND_SESSION, 3);
	assert_int_equal(tcgetattr(slave, &mode), 0);
	assert_true((mode.c_lflag & (ICANON | ISIG)) == (ICANON | ISIG));
	assert_int_equal(vm->status, 3);
	terminal_restore();
	close(master);
	close(slave);
	free(vm);
}

/* What the others have to be ended by is told with the name it takes. */
static void test_others_after_command(void **state) {
	(void)state;
	char text[512] = "";
	int ends[2], err = dup(STDERR_FILENO);
	const struct vm_seat seat = {.client_fd = -1, .name = "ph-7"};
	struct vm *vm = calloc(1, sizeof(*vm));
	*vm = (struct vm){.seat = &seat, .commands = 2, .status = -1, .phase = RUN_COMMAND};
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	run_control_ops.exited(vm, RUN_COMMAND_SESSION, 0);
	dup2(err, STDERR_FILENO);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(
		text, "ph: 1 more command runs in this VM; it ends with that (ph --stop ph-7 ends it now)\n");
	close(ends[0]);
	close(ends[1]);
	close(err);
	free(vm);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal_after_command),
		cmocka_unit_test(test_others_after_command),
	};
	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
