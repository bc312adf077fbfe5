# ph: build, test, install. `make run` and `make check` do everything from a fresh clone.
#
#   make deps      install the Debian packages the build and the tests need
#   make           build/ph
#   make kernel    the guest kernel alone (cached by the hash of its inputs); DEBUG=1: the one that checks itself
#   make run       build and start ph; ARGS='-- uname -a' passes arguments
#   make check     every test; make check-long adds those that take minutes each
#   make bench     measures beside peers, and docs/benchmarks.md
#   make fuzz      every fuzz target for FUZZ_SECONDS each, and what of the sources its inputs reach
#   make lint      formatting, static analysis, include arrows, shape
#   make install   DESTDIR= PREFIX=/usr/local
#   make deb       build/ph_VERSION_amd64.deb, with the same in it

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:
# Each step is told in a word; V=1 shows the commands.
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)
ifndef V
.SILENT:
endif

BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 30
CC = gcc
FUZZ_CC = clang-14
# The guest kernel to embed. Override to skip building one: make KERNEL=/path/to/vmlinux
KERNEL ?= $(BUILD)/vmlinux

WARNINGS = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith \
	-Wwrite-strings -Wundef
HARDENING = -fstack-protector-strong -fcf-protection -fstack-clash-protection -fPIE
CPPFLAGS = -Iinclude -Isrc -I$(BUILD)/gen -D_GNU_SOURCE
# libdbus is loaded only where it is needed (src/base/dbus.c): of it, only the headers are.
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
CPPFLAGS += -isystem /usr/include/dbus-1.0 -isystem /usr/lib/$(MULTIARCH)/dbus-1.0/include
CFLAGS = -std=gnu11 -O2 -g -pthread $(WARNINGS) $(HARDENING) '-ffile-prefix-map=$(CURDIR)=.'
LDFLAGS = -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed -Wl,--build-id=sha1
# What a host may lack is linked in: the binary needs nothing but the C library, and libelf where the distribution's
# libelf.a is not whole (Debian 13).
STATIC_ELF = -Wl,-Bstatic -lelf -lz -Wl,-Bdynamic
ELF_TEST = echo 'int elf_end(void *); int main(void) { return elf_end(0); }' | $(CC) -x c - -o "$$program" $(STATIC_ELF)
LIBELF = $(shell program=$$(mktemp); $(ELF_TEST) 2>/dev/null && echo '$(STATIC_ELF)' || echo -lelf; rm -f "$$program")
LDLIBS = $(LIBELF) -Wl,-Bstatic -luring -lseccomp -lsodium -linih -Wl,-Bdynamic
SAN_LDLIBS = -lelf -l:liburing.a -lseccomp -l:libsodium.a -l:libinih.a -lxkbcommon -lwayland-server

# The protocols that programs of the VM may speak. Tables of their messages are made of the XML: NAME.c by
# wayland-scanner, what it leaves out by tables.awk.
PROTOCOLS = /usr/share/wayland-protocols
WAYLAND_XML = /usr/share/wayland/wayland.xml $(addprefix $(PROTOCOLS)/,stable/xdg-shell/xdg-shell.xml \
	stable/viewporter/viewporter.xml stable/presentation-time/presentation-time.xml \
	staging/fractional-scale/fractional-scale-v1.xml staging/single-pixel-buffer/single-pixel-buffer-v1.xml \
	staging/xdg-activation/xdg-activation-v1.xml unstable/linux-dmabuf/linux-dmabuf-unstable-v1.xml \
	unstable/pointer-constraints/pointer-constraints-unstable-v1.xml \
	unstable/primary-selection/primary-selection-unstable-v1.xml \
	unstable/relative-pointer/relative-pointer-unstable-v1.xml unstable/tablet/tablet-unstable-v2.xml \
	unstable/text-input/text-input-unstable-v3.xml unstable/xdg-decoration/xdg-decoration-unstable-v1.xml \
	unstable/xdg-output/xdg-output-unstable-v1.xml) $(wildcard src/wayland/protocols/*.xml)
GEN = $(BUILD)/gen/ph
WAYLAND_TABLES = $(addprefix gen/ph/,$(notdir $(WAYLAND_XML:.xml=.c)) wayland_list.c)

SOURCES = $(filter-out src/main.c,$(wildcard src/*/*.c src/*/*/*.c))
HOST_SOURCES = $(filter-out src/guest/%,$(SOURCES))
OBJECTS = $(HOST_SOURCES:%.c=$(BUILD)/%.o) $(WAYLAND_TABLES:%.c=$(BUILD)/%.o) $(BUILD)/src/main.o $(BUILD)/src/monitor/x86/embed.o

.PHONY: all ph kernel run install clean
MANUALS = $(patsubst docs/%.scd,$(BUILD)/%,$(wildcard docs/*.scd))
COMPLETIONS = $(addprefix $(BUILD)/ph.,bash zsh fish)
all: ph $(MANUALS) $(COMPLETIONS)
ph: $(BUILD)/ph
kernel: $(if $(DEBUG),$(BUILD)/vmlinux-debug,$(KERNEL))

include $(wildcard kernel-config/kernel.mk)

$(GEN)/wayland_protocols.h: src/wayland/tables.awk $(WAYLAND_XML)
	$(call say,GEN)
	mkdir -p $(@D)
	awk -v output=header -f $^ >$@

$(GEN)/wayland_list.c: src/wayland/tables.awk $(WAYLAND_XML)
	$(call say,GEN)
	mkdir -p $(@D)
	awk -v output=list -f $^ >$@

define wayland_table
$(GEN)/$(notdir $(1:.xml=.c)): $(1)
	$$(call say,GEN)
	mkdir -p $$(@D)
	wayland-scanner private-code $$< $$@
endef
$(foreach xml,$(WAYLAND_XML),$(eval $(call wayland_table,$(xml))))

$(BUILD)/%.o: %.c | $(GEN)/wayland_protocols.h
	$(call say,CC)
	mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -D_FORTIFY_SOURCE=3 -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c | $(GEN)/wayland_protocols.h
	$(call say,CC)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The kernel and the guest's programs inside ph (the tests do without). The bench measures a ph with an init of its own.
$(BUILD)/src/monitor/x86/embed.o: INIT = $(BUILD)/init
$(BUILD)/src/monitor/x86/embed.o: $(BUILD)/init $(BUILD)/ph-wayland
$(BUILD)/bench/embed.o: INIT = $(BUILD)/bench/init
$(BUILD)/bench/embed.o: $(BUILD)/bench/init $(BUILD)/ph-wayland
EMBED = -DEMBED_KERNEL='"$(abspath $(KERNEL))"' -DEMBED_INIT='"$(abspath $(INIT))"' \
	-DEMBED_WAYLAND='"$(abspath $(BUILD)/ph-wayland)"'
$(BUILD)/src/monitor/x86/embed.o $(BUILD)/bench/embed.o: src/monitor/x86/embed.S $(KERNEL)
	$(call say,EMBED)
	mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(EMBED) -c -o $@ $<

$(BUILD)/ph: $(OBJECTS)
	$(call say,LINK)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(MANUALS): $(BUILD)/%: docs/%.scd
	$(call say,MAN)
	mkdir -p $(@D)
	SOURCE_DATE_EPOCH=0 scdoc <$< >$@

$(COMPLETIONS): $(BUILD)/ph.%: $(BUILD)/ph
	$(call say,GEN)
	$< --completion $* >$@

# Where this machine's KVM cannot run a kernel, ph starts inside the test host; where it is closed to the user, ph
# says so.
run: PACKAGES = $(BUILD_PACKAGES)
run: deps
	$(MAKE) --no-print-directory -j$(JOBS) ph
	if [ -e /dev/kvm ] && ! ([ -r /dev/kvm ] && [ -w /dev/kvm ]); then exec $(BUILD)/ph $(ARGS); fi; \
	probe=$$(tests/host/prepare kvm_usable) && \
		{ "$$probe" 2>/dev/null || make --no-print-directory deps PACKAGES='$(HOST_PACKAGES)'; } && \
	tests/host/run --interactive -- $(BUILD)/ph $(ARGS)

# Debian's zsh looks into one folder for packages, and another for what is installed beside them.
ZSH_FOLDER = $(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
# A folder's name may have blanks; a PREFIX that begins with ~ is the shell's to read.
TO = $(if $(DESTDIR),"$(DESTDIR)")$(PREFIX)
install: all
	install -D -m 755 $(BUILD)/ph $(TO)/bin/ph
	for page in $(MANUALS); do \
		install -D -m 644 $$page $(TO)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	install -D -m 644 $(BUILD)/ph.bash $(TO)/share/bash-completion/completions/ph
	install -D -m 644 $(BUILD)/ph.zsh $(TO)/share/zsh/$(ZSH_FOLDER)/_ph
	install -D -m 644 $(BUILD)/ph.fish $(TO)/share/fish/vendor_completions.d/ph.fish
	for example in ph-terminal.desktop 90-ph-limits.conf; do \
		install -D -m 644 docs/install/$$example $(TO)/share/doc/ph/examples/$$example || exit 1; done
	install -D -m 644 docs/install/70-ph-udmabuf.rules $(TO)/lib/udev/rules.d/70-ph-udmabuf.rules

# The package is of the version that ph says it is.
.PHONY: deb
deb: all
	docs/install/deb $(BUILD) $(BUILD)/ph_$$($(BUILD)/ph --version | cut -d ' ' -f 2)_amd64.deb

clean:
	rm -rf $(BUILD)

# ---- what runs in the guest: static, no libraries; musl, since every page of it costs start-up time ----
GUEST_CC = musl-gcc -idirafter /usr/include -idirafter /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)
INIT_SOURCES = $(wildcard src/guest/init/*.c) src/base/record.c
INIT_OBJECTS = $(INIT_SOURCES:%.c=$(BUILD)/guest/%.o)

GUEST_CFLAGS = -std=gnu11 -Os -g0 $(WARNINGS) -fno-pie -ffunction-sections -fdata-sections -MMD -MP
# What the proxy takes of Wayland.
GUEST_WAYLAND_OBJECTS = $(patsubst %.c,$(BUILD)/guest/%.o,$(wildcard src/wayland/*.c) $(WAYLAND_TABLES))

$(BUILD)/guest/gen/%.o: $(BUILD)/gen/%.c | $(GEN)/wayland_protocols.h
	$(call say,CC)
	mkdir -p $(@D)
	$(GUEST_CC) $(CPPFLAGS) $(GUEST_CFLAGS) -c -o $@ $<

$(BUILD)/guest/%.o: %.c | $(GEN)/wayland_protocols.h
	$(call say,CC)
	mkdir -p $(@D)
	$(GUEST_CC) $(CPPFLAGS) $(GUEST_CFLAGS) -c -o $@ $<

$(BUILD)/init: $(INIT_OBJECTS)
	$(call say,LINK)
	$(GUEST_CC) -static -no-pie -s -Wl,--gc-sections -o $@ $^

PROXY_SOURCES = $(wildcard src/guest/wayland/*.c) src/base/loop.c src/base/fd.c
PROXY_OBJECTS = $(PROXY_SOURCES:%.c=$(BUILD)/guest/%.o) $(GUEST_WAYLAND_OBJECTS)
# It is on the way of every message; init runs once.
$(PROXY_OBJECTS): GUEST_CFLAGS += -O2

$(BUILD)/ph-wayland: $(PROXY_OBJECTS)
	$(call say,LINK)
	$(GUEST_CC) -static -no-pie -s -Wl,--gc-sections -o $@ $^

# ---- the packages: what the parts list beside what is listed here ----
packages_of = $(shell sed 's/\#.*//' $(1))
HOST_PACKAGES := $(call packages_of,tests/host/packages)
BUILD_PACKAGES = gcc make libc6-dev musl-tools libelf-dev zlib1g-dev liburing-dev libdrm-dev libseccomp-dev libwayland-dev libxkbcommon-dev \
	wayland-protocols scdoc
TEST_PACKAGES = xkb-data weston wayland-utils libcmocka-dev passt iproute2 clang-14 llvm-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 cppcheck shellcheck e2fsprogs tmux procps bubblewrap \
	attr fio git sqlite3 strace stress-ng
# Realms: signatures, the bus, images of the tests.
BUILD_PACKAGES += libinih-dev libsodium-dev libdbus-1-dev
BUILD_PACKAGES += $(call packages_of,kernel-config/packages)
TEST_PACKAGES += cryptsetup-bin dbus-daemon fdisk openssl
# Sound: programs that play. The servers are for the test host alone.
TEST_PACKAGES += pulseaudio-utils
# Desktops: compositors, and programs with windows.
TEST_PACKAGES += sway foot grim wtype wl-clipboard fonts-dejavu-core
# The package, and the shells that complete.
TEST_PACKAGES += dpkg-dev lintian fish zsh
# What only the long tests need.
LONG_PACKAGES = gtk-3-examples featherpad qtwayland5 firefox-esr debootstrap xwayland x11-apps
PACKAGES = $(BUILD_PACKAGES) $(TEST_PACKAGES) $(HOST_PACKAGES)

# Nothing that is here goes for what is not.
.PHONY: deps
deps:
	present=$$(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' $(PACKAGES) 2>/dev/null | sed -n 's/^installed //p'); \
	missing=$$(printf '%s\n' $(PACKAGES) | sort -u | grep -vxF "$$present" || true); \
	[ -n "$$missing" ] || exit 0; \
	echo "Debian packages to install:" $$missing; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove --no-install-recommends $$missing >/dev/null

# ---- unit tests, under ASan and UBSan ----
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
UNIT_TESTS = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
UNIT_HELPERS = $(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c))
SAN_OBJECTS = $(HOST_SOURCES:%.c=$(BUILD)/san/%.o) $(WAYLAND_TABLES:%.c=$(BUILD)/%.o) $(UNIT_HELPERS:%.c=$(BUILD)/san/%.o)

$(BUILD)/san/%.o: %.c | $(GEN)/wayland_protocols.h
	$(call say,CC)
	mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/unit -std=gnu11 -O1 -g -pthread $(WARNINGS) $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/san/libph.a: $(SAN_OBJECTS)
	$(call say,AR)
	rm -f $@
	ar rcsD $@ $^

INIT_TESTS = $(filter $(BUILD)/unit/test_init_%,$(UNIT_TESTS))
JAIL_TESTS = $(filter $(BUILD)/unit/test_jail%,$(UNIT_TESTS))
PROXY_TESTS = $(filter $(BUILD)/unit/test_proxy%,$(UNIT_TESTS))
$(filter-out $(INIT_TESTS) $(JAIL_TESTS) $(PROXY_TESTS),$(UNIT_TESTS)): $(BUILD)/unit/%: $(BUILD)/san/tests/unit/%.o $(BUILD)/san/libph.a
	$(call say,LINK)
	mkdir -p $(@D)
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(SAN_LDLIBS) -lcmocka

# What tests/unit/faults.h makes fail.
FAULTS = malloc calloc realloc strdup strndup mmap memfd_create eventfd epoll_create1 dup ftruncate fallocate epoll_ctl \
	open openat syscall read pread write pwrite
SOCKET_FAULTS = socketpair socket pipe2 recvmsg sendmsg fcntl recv send readv writev
$(BUILD)/unit/test_faults $(BUILD)/unit/test_faults_sockets: SAN_LDLIBS += $(FAULTS:%=-Wl,--wrap=%)
$(BUILD)/unit/test_faults_sockets: SAN_LDLIBS += $(SOCKET_FAULTS:%=-Wl,--wrap=%)

# What tests/unit/test_block_old_host.c puts itself in the place of.
URING_FAULTS = register_restrictions register_ring_fd submit_and_wait submit_and_get_events
$(BUILD)/unit/test_block_old_host: SAN_LDLIBS += $(URING_FAULTS:%=-Wl,--wrap=io_uring_%)

# What tests/unit/test_p9_long_names.c and test_p9_io.c put themselves in the place of.
$(BUILD)/unit/test_p9_long_names: SAN_LDLIBS += -Wl,--wrap=syscall
$(BUILD)/unit/test_p9_io: SAN_LDLIBS += -Wl,--wrap=fstatfs

# And tests/unit/test_plan.c, test_clock.c and test_vcpu.c.
$(BUILD)/unit/test_plan: SAN_LDLIBS += -Wl,--wrap=sched_getaffinity
$(BUILD)/unit/test_clock: SAN_LDLIBS += -Wl,--wrap=timerfd_settime -Wl,--wrap=control_tell_time
$(BUILD)/unit/test_vcpu: SAN_LDLIBS += -Wl,--wrap=ioctl

# Init's tests have init's objects beside them: some of its names are the host's, too.
INIT_SAN_OBJECTS = $(patsubst %.c,$(BUILD)/san/%.o,$(filter-out %/main.c,$(wildcard src/guest/init/*.c)))
$(INIT_TESTS): $(BUILD)/unit/test_init_%: $(BUILD)/san/tests/unit/test_init_%.o $(INIT_SAN_OBJECTS) $(BUILD)/san/libph.a
	$(call say,LINK)
	mkdir -p $(@D)
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(SAN_LDLIBS) -lcmocka

# The proxy with sockets in the place of its device, libwayland on both sides.
PROXY_SAN_OBJECTS = $(patsubst %.c,$(BUILD)/san/%.o,$(filter-out %/main.c %/host.c,$(wildcard src/guest/wayland/*.c)))
$(PROXY_TESTS): $(BUILD)/unit/test_proxy%: $(BUILD)/san/tests/unit/test_proxy%.o $(PROXY_SAN_OBJECTS) $(BUILD)/san/libph.a
	$(call say,LINK)
	mkdir -p $(@D)
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(SAN_LDLIBS) -lwayland-client -lwayland-server -lcmocka

# Processes in a jail cannot make the system calls of sanitizers. The abuse of virtio needs a machine, which is its tests'.
JAIL_HELPERS = $(filter-out %/abuse.c %/abuse_acts.c,$(UNIT_HELPERS))
$(JAIL_TESTS): $(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(JAIL_HELPERS:%.c=$(BUILD)/%.o) $(HOST_SOURCES:%.c=$(BUILD)/%.o) \
		$(WAYLAND_TABLES:%.c=$(BUILD)/%.o)
	$(call say,LINK)
	mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lwayland-server -lcmocka

.PHONY: unit
unit: $(UNIT_TESTS)
	for t in $(UNIT_TESTS); do $$t || exit 1; done

# ---- fuzzing; finds go to build/fuzz/corpus, those worth keeping to tests/fuzz/corpus ----
FUZZ_TARGETS = $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
# Structures of KVM end in arrays, and ours give them their room behind.
FUZZ_WARNINGS = -Wall -Wno-gnu-variable-sized-type-not-at-end
FUZZ_SANITIZE = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_HELPERS = $(filter-out tests/fuzz/fuzz_%.c,$(wildcard tests/fuzz/*.c)) $(UNIT_HELPERS)
FUZZ_OBJECTS = $(HOST_SOURCES:%.c=$(BUILD)/fuzz/%.o) $(WAYLAND_TABLES:%.c=$(BUILD)/%.o) $(FUZZ_HELPERS:%.c=$(BUILD)/fuzz/%.o)

$(BUILD)/fuzz/%.o: %.c | $(GEN)/wayland_protocols.h
	$(call say,CC)
	mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) -Itests/unit -std=gnu11 -O1 -g -pthread $(FUZZ_WARNINGS) $(FUZZ_SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/libph.a: $(FUZZ_OBJECTS)
	$(call say,AR)
	rm -f $@
	ar rcsD $@ $^

# Those of init have init's objects beside them, as its tests do.
INIT_FUZZ_OBJECTS = $(patsubst %.c,$(BUILD)/fuzz/%.o,$(filter-out %/main.c,$(wildcard src/guest/init/*.c)))
$(filter $(BUILD)/fuzz/fuzz_init_%,$(FUZZ_TARGETS)): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.o $(INIT_FUZZ_OBJECTS) $(BUILD)/fuzz/libph.a
	$(call say,LINK)
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(SAN_LDLIBS)

$(filter-out $(BUILD)/fuzz/fuzz_init_%,$(FUZZ_TARGETS)): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.o $(BUILD)/fuzz/libph.a
	$(call say,LINK)
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(SAN_LDLIBS)

.PHONY: fuzz fuzz-targets
fuzz-targets: $(FUZZ_TARGETS)
fuzz: $(FUZZ_TARGETS)
	for t in $(FUZZ_TARGETS); do \
		name=$${t##*/fuzz_}; new=$(BUILD)/fuzz/corpus/$$name; mkdir -p $$new; echo "== $$name"; \
		$$t -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -artifact_prefix=$(BUILD)/fuzz/ \
			-dict=tests/fuzz/dictionaries/$$name.dict $$new tests/fuzz/corpus/$$name || exit 1; \
		tests/fuzz/coverage $$t $$new tests/fuzz/corpus/$$name; \
	done

# ---- programs with windows, for the tests of desktops ----
DESKTOP_TOOLS = $(patsubst tests/desktop/%.c,$(BUILD)/desktop/%,$(wildcard tests/desktop/*.c))
DESKTOP_XML = $(filter %/xdg-shell.xml %/presentation-time.xml %/linux-dmabuf-unstable-v1.xml,$(WAYLAND_XML)) tests/desktop/virtual-pointer.xml
DESKTOP_TABLES = $(patsubst %.xml,$(BUILD)/desktop/%,$(notdir $(DESKTOP_XML)))

define desktop_table
$(BUILD)/desktop/$(notdir $(1:.xml=-client.h)): $(1)
	$$(call say,GEN)
	mkdir -p $$(@D)
	wayland-scanner client-header $$< $$@
$(BUILD)/desktop/$(notdir $(1:.xml=-server.h)): $(1)
	$$(call say,GEN)
	mkdir -p $$(@D)
	wayland-scanner server-header $$< $$@
$(BUILD)/desktop/$(notdir $(1:.xml=.c)): $(1)
	$$(call say,GEN)
	mkdir -p $$(@D)
	wayland-scanner private-code $$< $$@
endef
$(foreach xml,$(DESKTOP_XML),$(eval $(call desktop_table,$(xml))))

# Listeners of libwayland take more than they need.
$(BUILD)/desktop/%: tests/desktop/%.c $(DESKTOP_TABLES:=.c) | $(DESKTOP_TABLES:=-client.h) $(DESKTOP_TABLES:=-server.h)
	$(call say,CC)
	$(CC) -Iinclude -I$(BUILD)/desktop -std=gnu11 -D_GNU_SOURCE -O2 $(WARNINGS) -Wno-unused-parameter -o $@ $^ \
		-Wl,--as-needed -lwayland-client -lwayland-server

# ---- tests, measures, lint ----
.PHONY: tests check check-long bench lint
tests: all deb $(UNIT_TESTS) $(FUZZ_TARGETS) $(DESKTOP_TOOLS) $(BUILD)/vmlinux-debug

check: deps
	$(MAKE) --no-print-directory -j$(JOBS) tests
	BUILD=$(BUILD) tests/run

check-long: PACKAGES += $(LONG_PACKAGES)
check-long: deps
	$(MAKE) --no-print-directory -j$(JOBS) tests
	BUILD=$(BUILD) tests/run --long

bench: PACKAGES += waypipe
bench: deps
	$(MAKE) --no-print-directory -j$(JOBS) all bench-tools
	BUILD=$(BUILD) KERNEL=$(KERNEL) tests/bench/run

.PHONY: bench-tools
bench-tools: $(addprefix $(BUILD)/bench/,ph measure within wl_peer net_peer core relay screen)

$(BUILD)/bench/ph: $(filter-out %/embed.o,$(OBJECTS)) $(BUILD)/bench/embed.o
	$(call say,LINK)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/bench/init: $(BUILD)/guest/tests/bench/guest.o $(BUILD)/guest/tests/bench/guest_files.o \
		$(BUILD)/guest/tests/bench/guest_disk.o $(BUILD)/guest/tests/bench/guest_net.o $(BUILD)/guest/tests/bench/guest_wl.o
	$(call say,LINK)
	mkdir -p $(@D)
	$(GUEST_CC) -static -no-pie -s -Wl,--gc-sections -o $@ $^

$(BUILD)/bench/core: $(filter-out %/main.o %/embed.o,$(OBJECTS)) $(BUILD)/tests/bench/core.o
	$(call say,LINK)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/bench/measure $(BUILD)/bench/within $(BUILD)/bench/wl_peer $(BUILD)/bench/relay $(BUILD)/bench/net_peer: $(BUILD)/bench/%: tests/bench/%.c
	$(call say,CC)
	mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -Iinclude -O2 $(WARNINGS) -static -o $@ $<

$(BUILD)/bench/screen: tests/bench/screen.c $(BUILD)/gen/ph/xdg-shell.o
	$(call say,CC)
	mkdir -p $(@D)
	wayland-scanner client-header $(PROTOCOLS)/stable/xdg-shell/xdg-shell.xml $(@D)/xdg-shell-client.h
	$(CC) -std=gnu11 -D_GNU_SOURCE -I$(@D) -O2 $(filter-out -Wshadow,$(WARNINGS)) -o $@ $^ -lwayland-client

lint:
	BUILD=$(BUILD) tests/run lint

# Kept between runs: an object of a pattern rule would be deleted as intermediate.
.SECONDARY:

-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
