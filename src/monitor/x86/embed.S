/*
 * The guest kernel, the guest's init and its Wayland proxy inside ph. EMBED_KERNEL, EMBED_INIT and
 * EMBED_WAYLAND are their paths, given by the Makefile. A section of its own, read-only and page-aligned, so that the kernel can be mapped from ph's file.
 */
	.section .ph_guest, "a", @progbits

	.balign 4096
	.globl embed_kernel, embed_kernel_end
	.hidden embed_kernel, embed_kernel_end
embed_kernel:
	.incbin EMBED_KERNEL
embed_kernel_end:

	.balign 4096
	.globl embed_init, embed_init_end
	.hidden embed_init, embed_init_end
embed_init:
	.incbin EMBED_INIT
embed_init_end:
	.byte 0

	.balign 4096
	.globl embed_wayland, embed_wayland_end
	.hidden embed_wayland, embed_wayland_end
embed_wayland:
	.incbin EMBED_WAYLAND
embed_wayland_end:
	.byte 0

	.section .note.GNU-stack, "", @progbits
