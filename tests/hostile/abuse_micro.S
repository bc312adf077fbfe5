/*
 * The start of a guest that is nothing but the driver which breaks the rules: page tables that map the first 4 GiB
 * to themselves for everybody, and at once to ring 3, where even a KVM that emulates ring 0 runs at full speed.
 * The I/O privilege level is 3, so that ports can be used there.
 */
	.section .text.start, "ax"
	.globl _start
_start:
	lgdt	descriptors_end(%rip)
	movl	$level4, %eax
	movq	%rax, %cr3
	movl	$stack_end, %eax
	movq	%rax, %rsp
	pushq	$0x23
	pushq	%rax
	pushq	$0x3002
	pushq	$0x1b
	pushq	$user
	iretq
user:
	movq	%rsi, %rdi		/* struct boot_params */
	call	abuse_micro
	ud2				/* nothing catches it: the machine resets */

	.data
	.balign	8
descriptors:
	.quad	0
	.quad	0x00af9b000000ffff	/* 0x08: code of ring 0 */
	.quad	0
	.quad	0x00affb000000ffff	/* 0x18: code of ring 3 */
	.quad	0x00cff3000000ffff	/* 0x20: data of ring 3 */
descriptors_end:
	.word	descriptors_end - descriptors - 1
	.quad	descriptors

	.balign	4096
level4:
	.quad	level3 + 7
	.fill	511, 8, 0
level3:
	.quad	level2 + 7, level2 + 0x1007, level2 + 0x2007, level2 + 0x3007
	.fill	508, 8, 0
level2:
	.set	page, 0
	.rept	2048
	.quad	page * 0x200000 + 0x87
	.set	page, page + 1
	.endr

	.bss
	.balign	16
	.skip	16384
stack_end:
