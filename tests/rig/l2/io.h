// What a program without an operating system has: ports, memory, and a serial line to say something on.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

static inline void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline void outl(u16 port, u32 value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static inline u8 inb(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline u32 inl(u16 port) {
  u32 value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline volatile u8* mem8(u32 at) { return (volatile u8*)at; }
static inline volatile u16* mem16(u32 at) { return (volatile u16*)at; }
static inline volatile u32* mem32(u32 at) { return (volatile u32*)at; }

// The serial line. %s, %x (hexadecimal), %2 (two hexadecimal digits), %4 (four).
void say(const char* form, ...);

int is_word_in(const char* word, const char* words);  // separated by spaces
