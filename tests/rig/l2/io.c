#include "io.h"

static void put(char c) {
  while (!(inb(0x3fd) & 0x20)) {
  }
  outb(0x3f8, c);
}

static void put_hex(u32 value, int digits) {
  for (int shift = 28; shift >= 0; shift -= 4) {
    const int left = shift / 4 + 1;
    if (digits ? left <= digits : (value >> shift || !shift)) put("0123456789abcdef"[value >> shift & 15]);
  }
}

void say(const char* form, ...) {
  __builtin_va_list arguments;
  __builtin_va_start(arguments, form);
  for (; *form; form++) {
    if (*form != '%') {
      put(*form);
      continue;
    }
    form++;
    if (*form == 's') {
      for (const char* text = __builtin_va_arg(arguments, const char*); *text; text++) put(*text);
    } else {
      put_hex(__builtin_va_arg(arguments, u32), *form == 'x' ? 0 : *form - '0');
    }
  }
  __builtin_va_end(arguments);
  put('\n');
}

int is_word_in(const char* word, const char* words) {
  while (*words) {
    const char* at = word;
    while (*at && *at == *words) at++, words++;
    if (!*at && (!*words || *words == ' ')) return 1;
    while (*words && *words != ' ') words++;
    while (*words == ' ') words++;
  }
  return 0;
}
