# The guest kernel. DEBUG=1 builds the one with the checks of debug.config.
KERNEL_INPUTS = $(wildcard kernel-config/*.config kernel-config/patches/* src/guest/kernel/*) \
	include/ph/wl_wire.h include/ph/wl_user.h kernel-config/build

$(BUILD)/vmlinux: $(KERNEL_INPUTS)
	@kernel-config/build $@ $(if $(DEBUG),debug)
