/*
 * A guest without a kernel: the driver that breaks the rules (tests/unit/abuse.c) alone, in ring 3, with the
 * machine's ports and memory in its hands. What to do is in the kernel's command line, as "abuse=": nothing
 * lists the devices, "memory" asks for huge pages everywhere, SLOT:OTHER:FIRST:COUNT are the arguments of
 * abuse_commit(), after which every device has to serve. Results go to the serial port.
 */
#include "../unit/abuse.h"
#include "abuse_bars.h"

#include <stddef.h>

#define PAGE 4096
#define COMMAND_LINE 0x228 /* in struct boot_params */
#define SERIAL 0x3f8
#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc
/* Where ph's own kernel tells which blocks of 2 MiB come into use (src/monitor/guest_boot.h). */
#define BACKING 0x600
#define BLOCKS 128 /* of the VM's RAM */

void abuse_micro(const uint8_t *boot_params);

static uint8_t pages[ABUSE_PAGES][PAGE] __attribute__((aligned(PAGE)));

/* What the compiler may call. */
void *memset(void *at, int value, size_t len);
void *memset(void *at, int value, size_t len) {
	void *to = at;
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(value) : "memory");
	return at;
}

void *memcpy(void *to, const void *from, size_t len);
void *memcpy(void *to, const void *from, size_t len) {
	void *at = to;
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(len) : : "memory");
	return to;
}

static void out(uint16_t port, unsigned len, uint32_t value) {
	switch (len) {
	case 1:
		__asm__ volatile("outb %b0, %1" : : "a"(value), "d"(port));
		break;
	case 2:
		__asm__ volatile("outw %w0, %1" : : "a"(value), "d"(port));
		break;
	default:
		__asm__ volatile("outl %0, %1" : : "a"(value), "d"(port));
	}
}

static uint32_t in(uint16_t port, unsigned len) {
	uint32_t value = 0;
	switch (len) {
	case 1:
		__asm__ volatile("inb %1, %b0" : "+a"(value) : "d"(port));
		break;
	case 2:
		__asm__ volatile("inw %1, %w0" : "+a"(value) : "d"(port));
		break;
	default:
		__asm__ volatile("inl %1, %0" : "+a"(value) : "d"(port));
	}
	return value;
}

/* ---- the machine ---- */

static uint16_t config_port(unsigned slot, unsigned offset) {
	out(PCI_ADDRESS, 4, 0x80000000 | slot << 11 | (offset & 0xfc));
	return (uint16_t)(PCI_DATA + offset % 4);
}

uint32_t machine_config_read(unsigned slot, unsigned offset, unsigned len) {
	return in(config_port(slot, offset), len);
}

void machine_config_write(unsigned slot, unsigned offset, unsigned len, uint32_t value) {
	out(config_port(slot, offset), len, value);
}

uint8_t *machine_page(unsigned index) {
	return pages[index];
}

uint64_t machine_address(unsigned index) {
	return (uintptr_t)pages[index];
}

uint64_t machine_ram(void) {
	return 128 << 20;
}

void machine_pause(void) {
	for (unsigned i = 0; i < 200; i++) {
		__asm__ volatile("pause");
	}
}

/* ---- results ---- */

static void say(const char *text) {
	for (; *text != '\0'; text++) {
		out(SERIAL, 1, (uint8_t)*text);
	}
}

static void say_number(unsigned number) {
	if (number >= 10) {
		say_number(number / 10);
	}
	out(SERIAL, 1, '0' + number % 10);
}

void machine_result(bool passed, const char *device, const char *abuse) {
	say(passed ? "ok - " : "not ok - ");
	say(device);
	say(": ");
	say(abuse);
	say("\n");
}

/* ---- what to do ---- */

static void find_bars(void) {
	for (unsigned slot = 0; slot < ABUSE_SLOTS; slot++) {
		if (abuse_device_name(slot) != NULL) {
			abuse_bars[slot] = (uint8_t *)(uintptr_t)(machine_config_read(slot, 0x10, 4) & ~15u);
			machine_config_write(slot, 4, 2, 6);
		}
	}
}

static void list(void) {
	for (unsigned slot = 0; slot < ABUSE_SLOTS; slot++) {
		if (abuse_device_name(slot) != NULL) {
			say("slot ");
			say_number(slot);
			say(" ");
			say(abuse_device_name(slot));
			say("\n");
		}
	}
	say("abuses ");
	say_number(abuse_count);
	say("\n");
}

/* Block by block, twice, at and past the end, with every bit set, in other widths, and many in one go. */
static void ask_for_memory(void) {
	static const uint32_t nowhere[] = {0x5ff, 0x600, 0x7ff, 0x800, 0xfffff, 0x7fffffff, 0x80000000, ~0u};
	static uint32_t many[1024];
	for (unsigned i = 0; i < sizeof(pages); i++) {
		pages[i / PAGE][i % PAGE] = (uint8_t)(i * 7 + i / PAGE);
	}
	for (unsigned i = 0; i < 2 * (BLOCKS + 2); i++) {
		out(BACKING, 4, i % (BLOCKS + 2));
	}
	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		out(BACKING, 4, nowhere[i]);
		out(BACKING, 1, nowhere[i]);
		out(BACKING, 2, nowhere[i]);
		out(BACKING + 2, 4, nowhere[i]);
		many[i] = nowhere[i];
	}
	const uint32_t *from = many;
	uint64_t count = sizeof(many) / sizeof(many[0]);
	__asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(BACKING) : "memory");
	bool same = in(BACKING, 4) == ~0u;
	for (unsigned i = 0; i < sizeof(pages); i++) {
		same = same && pages[i / PAGE][i % PAGE] == (uint8_t)(i * 7 + i / PAGE);
	}
	say(same ? "kept\n" : "changed\n");
}

static bool starts_with(const char *text, const char *word) {
	while (*word != '\0' && *text == *word) {
		text++;
		word++;
	}
	return *word == '\0';
}

static unsigned number_at(const char **text) {
	unsigned number = 0;
	for (; **text >= '0' && **text <= '9'; (*text)++) {
		number = number * 10 + (unsigned)(**text - '0');
	}
	*text += **text == ':';
	return number;
}

static void commit(const char *text) {
	unsigned slot = number_at(&text), other = number_at(&text), first = number_at(&text);
	abuse_commit(slot, other, first, number_at(&text));
	for (unsigned i = 0; i < ABUSE_SLOTS; i++) {
		if (abuse_device_name(i) != NULL && !abuse_lives(i)) {
			machine_result(false, abuse_device_name(i), "serves afterwards");
		}
	}
	say("end\n");
}

void abuse_micro(const uint8_t *boot_params) {
	const char *text =
		(const char *)(uintptr_t) * (const uint32_t *)(const void *)(boot_params + COMMAND_LINE);
	while (*text != '\0' && !starts_with(text, "abuse=")) {
		text++;
	}
	find_bars();
	if (text[0] != '\0' && text[6] >= '0' && text[6] <= '9') {
		commit(text + 6);
	} else if (text[0] != '\0' && text[6] == 'm') {
		ask_for_memory();
	} else {
		list();
	}
}
