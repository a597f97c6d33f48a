// A multiboot kernel's first steps: segments of our own (an interrupt's return loads them again), a stack, main().
.set MAGIC, 0x1BADB002
.set FLAGS, 0

.section .multiboot, "a"
.align 4
.long MAGIC, FLAGS, -(MAGIC + FLAGS)

.section .text
.globl _start
_start:
  mov $stack_top, %esp
  lgdt gdt_pointer
  ljmp $8, $1f
1:
  mov $16, %cx
  mov %cx, %ds
  mov %cx, %es
  mov %cx, %ss
  push %ebx
  push %eax
  call main
2:
  hlt
  jmp 2b

// An MSI came: count it, tell the local APIC, go on.
.globl on_interrupt
on_interrupt:
  pusha
  lock incl interrupts
  movl $0, 0xfee000b0
  popa
  iret

.globl on_spurious
on_spurious:
  iret

.section .rodata
.align 8
gdt:
  .quad 0
  .quad 0x00cf9a000000ffff
  .quad 0x00cf92000000ffff
gdt_pointer:
  .word . - gdt - 1
  .long gdt

.section .bss
.globl interrupts
.align 16
interrupts:
  .skip 16
  .skip 16384
stack_top:

.section .note.GNU-stack, "", @progbits
