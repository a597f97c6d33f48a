// Words that tell where they belong: the i-th of a pattern with a salt. Stale, shifted or misplaced bytes cannot pass
// for it. Legal in C, C++ and OpenCL C, so that host and device compute the same; DEVICE is whatever precedes a function.
#ifndef NM_PATTERN_H
#define NM_PATTERN_H

DEVICE unsigned int pattern_word(unsigned int i, unsigned int salt) {
  unsigned int x = (i ^ salt) * 0x9e3779b1u + salt;
  x = (x ^ (x >> 15)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

#endif
