/* The plan as text, for --dry-run. Writes to stdout; nothing is changed. */
#include "ph/plan.h"

#include <stdio.h>

static void print_words(const char *label, char *const *words) {
	printf("%-12s", label);
	for (size_t i = 0; words[i] != NULL; i++) {
		printf("%s%s", i > 0 ? " " : "", words[i]);
	}
	putchar('\n');
}

static void print_ids(const struct files_share *files) {
	for (size_t i = 0; i < files->id_count; i++) {
		const struct files_ids *ids = &files->ids[i];
		printf("%-12s%u to %u there are %u to %u here\n", "  owners", ids->guest,
			ids->guest + ids->count - 1, ids->host, ids->host + ids->count - 1);
	}
}

static void print_files(const struct plan *plan) {
	static const char *const modes[] = {[BLOCK_READ_ONLY] = "read-only",
		[BLOCK_READ_WRITE] = "read-write",
		[BLOCK_EPHEMERAL] = "ephemeral"};
	for (size_t i = 0; i < plan->disk_count; i++) {
		const struct plan_disk *disk = &plan->disks[i];
		bool is_root = plan->root == PLAN_ROOT_IMAGE && i == 0;
		printf("%-12s%s, %llu bytes, %s\n", is_root ? "root" : "disk", disk->path,
			(unsigned long long)disk->size, modes[disk->mode]);
	}
	if (plan->root_sealed) {
		printf("%-12sthe root is read-only, but for /var\n", "  changes");
	}
	if (plan->overlay_size > 0) {
		printf("%-12schanges to the root may take %llu MiB\n", "  changes",
			(unsigned long long)(plan->overlay_size >> 20));
	}
	for (size_t i = 0; i < plan->share_count; i++) {
		const struct plan_share *share = &plan->shares[i];
		if (share->guest_path == NULL) {
			puts("root        this system's /, read-only; changes are gone afterwards");
			print_words("hidden", share->files.hide);
			continue;
		}
		printf("%-12s%s at %s, %s\n", "share", share->host_path, share->guest_path,
			share->files.read_only ? "read-only" : "read-write");
		if (share->files.hide != NULL) {
			print_words("  hidden", share->files.hide);
		}
		print_ids(&share->files);
	}
	if (plan->private_home) {
		printf("%-12san empty directory at %s\n", "home", plan->user.home);
	}
}

static void print_user(const struct plan_user *user, bool as_root) {
	printf("%-12s%s, uid %u, gid %u%s\n", "user", user->name, user->uid, user->gid,
		as_root ? "; the command runs as root" : "");
	printf("%-12s", "groups");
	for (size_t i = 0; i < user->group_count; i++) {
		printf("%s%s", i > 0 ? " " : "", user->groups[i].name);
	}
	putchar('\n');
}

static void print_sockets(const struct plan *plan) {
	for (size_t i = 0; i < plan->socket_count; i++) {
		const struct display_socket *socket = &plan->sockets[i];
		if (socket->name[0] == '\0') {
			printf("%-12s%s%s%s\n", "compositor", socket->path,
				socket->filtered ? ", filtered; windows are marked " : ", unfiltered",
				socket->filtered ? plan->tag : "");
		} else {
			printf("%-12s%s, as %s\n", "socket", socket->path, socket->name);
		}
	}
	if (plan->has_screen && plan->no_card) {
		printf("%-12snone of this system's\n", "card");
	}
}

static void print_net(const struct plan_net *net) {
	if (net->kind == PLAN_NET_NONE) {
		return;
	}
	printf("%-12s%s%s, MTU %u", "network", net->kind == PLAN_NET_TAP ? "tap " : net->passt,
		net->kind == PLAN_NET_TAP ? net->tap : "", net->mtu);
	if (net->tap_queues > 1) {
		printf(", %u queues", net->tap_queues);
	}
	putchar('\n');
	if (net->arguments != NULL) {
		print_words("  as", net->arguments);
	}
	if (net->address4[0] != '\0') {
		printf("%-12s%s by %s\n", "  IPv4", net->address4, net->gateway4);
	}
	if (net->address6[0] != '\0') {
		printf("%-12s%s by %s\n", "  IPv6", net->address6, net->gateway6);
	}
}

static void print_sound(const struct plan_sound *sound) {
	if (sound->server != NULL) {
		printf("%-12s%s, %s\n", "sound", sound->server,
			sound->microphone ? "with the microphone" : "playing only");
	}
}

void plan_print(const struct plan *plan) {
	printf("%-12s%s\n", "name", plan->name);
	printf("%-12s%u CPUs, %llu MiB of RAM\n", "machine", plan->cpus,
		(unsigned long long)(plan->memory >> 20));
	printf("%-12s%s%s%s\n", "kernel", plan->kernel != NULL ? plan->kernel : "ph's own",
		plan->append != NULL ? ", with: " : "", plan->append != NULL ? plan->append : "");
	print_files(plan);
	print_sockets(plan);
	print_net(&plan->net);
	print_sound(&plan->sound);
	if (plan->open_urls) {
		printf("%-12sof the web and of mail are opened on this host\n", "addresses");
	}
	print_user(&plan->user, plan->as_root);
	if (plan->command[0] != NULL) {
		print_words("command", plan->command);
	} else {
		printf("%-12sa shell\n", "command");
	}
	printf("%-12s%s\n", "directory", plan->cwd);
	printf("%-12s%s\n", "stdio",
		plan->tty ? (plan->own_stderr ? "this terminal, and stderr" : "this terminal")
			  : (plan->own_stderr ? "three streams"
					      : "two streams: stderr goes where stdout does"));
	for (size_t i = 0; plan->environment[i] != NULL; i++) {
		printf("%-12s%s\n", i == 0 ? "environment" : "", plan->environment[i]);
	}
}
