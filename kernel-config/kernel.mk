# The guest kernel, and the one for tests that checks itself and our driver.
KERNEL_INPUTS = $(wildcard kernel-config/*.config kernel-config/patches/* src/guest/kernel/*) \
	include/ph/wl_wire.h include/ph/wl_user.h kernel-config/build

$(BUILD)/vmlinux: $(KERNEL_INPUTS)
	@LC_ALL=C kernel-config/build $@

$(BUILD)/vmlinux-debug: $(KERNEL_INPUTS) kernel-config/build-debug
	@LC_ALL=C kernel-config/build-debug $@
