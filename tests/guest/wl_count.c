/*
 * What a message costs, counted: exits of the machine, which wl_server.c on the host knows, and interrupts of
 * the queue that commands go through. Runs in the guest, on a host where time is instructions and
 * timers so do not add much; prints TAP.
 */
#define _GNU_SOURCE
#include "wl_client.h"

#define MESSAGES 2000
#define SIZE 64

struct counts {
	unsigned long exits, injected; /* of all virtual CPUs */
	unsigned long returned;        /* interrupts of the queue "out" */
};

/* The sum of a line of /proc/interrupts, over the CPUs. */
static unsigned long sum_line(const char *line) {
	unsigned long sum = 0;
	const char *at = strchr(line, ':');
	char *end = NULL;
	for (at = at == NULL ? line : at + 1;; at = end) {
		unsigned long value = strtoul(at, &end, 10);
		if (end == at) {
			return sum;
		}
		sum += value;
	}
}

static bool count_interrupts(unsigned long *total) {
	char line[512];
	bool found = false;
	FILE *file = fopen("/proc/interrupts", "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		size_t len = strcspn(line, "\n");
		while (len > 0 && line[len - 1] == ' ') {
			len--;
		}
		if (len > 4 && strncmp(line + len - 4, "-out", 4) == 0) {
			*total += sum_line(line);
			found = true;
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return found;
}

static bool count(struct counts *counts) {
	char line[64] = "";
	*counts = (struct counts){0};
	int vfd = ask("kvm\n");
	size_t len = 0;
	while (len < sizeof(line) - 1 && read(vfd, line + len, 1) == 1) {
		len++;
	}
	close(vfd);
	return sscanf(line, "%lu %lu", &counts->exits, &counts->injected) == 2 && counts->exits > 0 &&
	       count_interrupts(&counts->returned);
}

/* Tells what there was more of per 1000 messages. */
static void report(const char *what, struct counts *counts, const struct counts *before) {
	counts->exits = (counts->exits - before->exits) * 1000 / MESSAGES;
	counts->injected = (counts->injected - before->injected) * 1000 / MESSAGES;
	counts->returned = (counts->returned - before->returned) * 1000 / MESSAGES;
	printf("# 1000 messages %s: %lu exits, %lu interrupts, of those %lu for commands\n", what,
		counts->exits, counts->injected, counts->returned);
}

static void test_to(void) {
	char line[32], data[SIZE];
	struct counts before, after;
	snprintf(line, sizeof(line), "sink %u 0\n", MESSAGES * SIZE);
	int vfd = ask(line);
	bool good = count(&before);
	for (uint64_t i = 0; i < MESSAGES && good; i++) {
		wl_pattern_fill(0, i * SIZE, data, SIZE);
		good = write_all(vfd, data, SIZE);
	}
	snprintf(line, sizeof(line), "good %u\n", MESSAGES * SIZE);
	check(good && hears(vfd, line) && count(&after), "messages to the host");
	report("to the host", &after, &before);
	check(after.exits <= 1000, "a message costs one exit at most");
	close(vfd);
}

static void test_from(void) {
	char line[32], data[SIZE];
	struct counts before, after;
	bool good = count(&before);
	snprintf(line, sizeof(line), "burst %u %u\n", MESSAGES, SIZE);
	int vfd = ask(line);
	for (unsigned i = 0; i < MESSAGES && good; i++) {
		good = read_all(vfd, data, SIZE) && wl_pattern_holds(0, (uint64_t)i * SIZE, data, SIZE);
	}
	check(good && count(&after), "messages from the host");
	report("from the host", &after, &before);
	check(after.returned <= 50, "nor does what is received cost interrupts for commands");
	close(vfd);
}

static void test_round_trips(void) {
	char data[SIZE] = "";
	struct counts before, after;
	int vfd = ask("echo\n");
	bool good = count(&before);
	for (unsigned i = 0; i < MESSAGES && good; i++) {
		good = write_all(vfd, data, SIZE) && read_all(vfd, data, SIZE);
	}
	check(good && count(&after), "round trips");
	report("there and back", &after, &before);
	check(after.returned <= 50, "a message that is taken at once costs no interrupt");
	close(vfd);
}

int main(void) {
	wl = open("/dev/wl0", O_RDWR | O_CLOEXEC);
	test_to();
	test_from();
	test_round_trips();
	printf("1..%d\n", number);
	return 0;
}
