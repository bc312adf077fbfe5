/*
 * The guest kernel and the guest's init inside ph. EMBED_KERNEL and EMBED_INIT are their paths, given by the
 * Makefile. A section of its own, read-only and page-aligned, so that the kernel can be mapped from ph's file.
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

	.section .note.GNU-stack, "", @progbits
