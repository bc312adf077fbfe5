# ph: build, test, install. `make run` and `make check` do everything from a fresh clone.
#
#   make deps      install the Debian packages the build and the tests need
#   make           build/ph
#   make kernel    the guest kernel alone (cached by the hash of its inputs)
#   make run       build and start ph; ARGS='-- uname -a' passes arguments
#   make check     every test; make check-long adds those that take minutes each
#   make bench     measures beside peers, and docs/benchmarks.md
#   make fuzz      every fuzz target for FUZZ_SECONDS each
#   make lint      formatting, static analysis, include arrows, shape
#   make install   DESTDIR= PREFIX=/usr/local

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

BUILD ?= build
PREFIX ?= /usr/local
CC = gcc
# The guest kernel to embed. Override to skip building one: make KERNEL=/path/to/vmlinux
KERNEL ?= $(BUILD)/vmlinux

WARNINGS = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith \
	-Wwrite-strings -Wundef
HARDENING = -fstack-protector-strong -fcf-protection -fstack-clash-protection -fPIE
LIBS = libelf
CPPFLAGS = -Iinclude -Isrc -D_GNU_SOURCE
CFLAGS = -std=gnu11 -O2 -g -pthread $(WARNINGS) $(HARDENING) -ffile-prefix-map=$(CURDIR)=. $(shell pkg-config --cflags $(LIBS))
LDFLAGS = -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed -Wl,--build-id=sha1
LDLIBS = $(shell pkg-config --libs $(LIBS)) -luring

SOURCES = $(filter-out src/main.c,$(wildcard src/*/*.c src/*/*/*.c))
HOST_SOURCES = $(filter-out src/guest/%,$(SOURCES))
OBJECTS = $(HOST_SOURCES:%.c=$(BUILD)/%.o)

.PHONY: all ph
all: ph
ph: $(BUILD)/ph

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -D_FORTIFY_SOURCE=3 -MMD -MP -c -o $@ $<

# ---- what runs in the guest: static, no libraries ----
INIT_SOURCES = $(wildcard src/guest/init/*.c) src/base/record.c
INIT_OBJECTS = $(INIT_SOURCES:%.c=$(BUILD)/guest/%.o)

$(BUILD)/guest/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 -Os -g0 $(WARNINGS) -fno-pie -ffunction-sections -fdata-sections -MMD -MP -c -o $@ $<

$(BUILD)/init: $(INIT_OBJECTS)
	$(CC) -static -no-pie -s -Wl,--gc-sections -o $@ $^

# ---- unit tests, under ASan and UBSan ----
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
UNIT_TESTS = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
UNIT_HELPERS = $(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c))
SAN_OBJECTS = $(HOST_SOURCES:%.c=$(BUILD)/san/%.o) $(UNIT_HELPERS:%.c=$(BUILD)/san/%.o)

$(BUILD)/san/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/unit -std=gnu11 -O1 -g -pthread $(WARNINGS) $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/san/libph.a: $(SAN_OBJECTS)
	@rm -f $@
	ar rcsD $@ $^

$(BUILD)/unit/%: $(BUILD)/san/tests/unit/%.o $(BUILD)/san/libph.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(LDLIBS) -lcmocka

.PHONY: unit
unit: $(UNIT_TESTS)
	@for t in $(UNIT_TESTS); do $$t || exit 1; done

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
