/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The end of a VM that is switched off.
 *
 * ph's machine has nothing that switches it off, and Linux then stops its CPUs for good, with the user's
 * terminal still theirs. To ph a reset is the end, so both ways of switching off become one, as early as a
 * halt can be told of.
 */
#include <linux/init.h>
#include <linux/notifier.h>
#include <linux/reboot.h>

static int switch_off(struct notifier_block *block, unsigned long event, void *data) {
	if (event == SYS_HALT || event == SYS_POWER_OFF) {
		pr_emerg("reboot: The machine is switched off\n");
		emergency_restart();
	}
	return NOTIFY_DONE;
}

static struct notifier_block switch_off_block = {
	.notifier_call = switch_off,
};

static int __init ph_power_init(void) {
	return register_reboot_notifier(&switch_off_block);
}
device_initcall(ph_power_init);
