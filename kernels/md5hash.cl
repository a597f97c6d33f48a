// variants: sp
// MD5Hash: looks for the key with a given MD5 digest, by trying all. A key has 4 to 7 bytes, each below `values`; key
// number p * values + b has the byte b first, and p in base `values` behind it. Each thread tries the keys of one p.
#include "dialect.h"

#define ROTATE(x, by) ((x) << (by) | (x) >> (32 - (by)))
// x ? y : z and z ? x : y, bit by bit. Written with "or" they would be taken apart: the compiler adds the two halves of the
// "or" one by one, and a GPU's instruction for any function of three bits no longer fits.
#define F(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define G(x, y, z) ((y) ^ ((z) & ((x) ^ (y))))
#define H(x, y, z) ((x) ^ (y) ^ (z))
#define I(x, y, z) ((y) ^ ((x) | ~(z)))
#define STEP(f, a, b, c, d, word, by, k) a += f(b, c, d) + ((word) + k), a = b + ROTATE(a, by)

// The digest of a message of at most seven bytes: of its 16 words only three are not zero, the two with the message and
// its end mark, and the one with its length in bits.
DEVICE uint4 digest(uint w0, uint w1, uint bits) {
  uint a = 0x67452301u, b = 0xefcdab89u, c = 0x98badcfeu, d = 0x10325476u;
  STEP(F, a, b, c, d, w0, 7, 0xd76aa478u), STEP(F, d, a, b, c, w1, 12, 0xe8c7b756u);
  STEP(F, c, d, a, b, 0u, 17, 0x242070dbu), STEP(F, b, c, d, a, 0u, 22, 0xc1bdceeeu);
  STEP(F, a, b, c, d, 0u, 7, 0xf57c0fafu), STEP(F, d, a, b, c, 0u, 12, 0x4787c62au);
  STEP(F, c, d, a, b, 0u, 17, 0xa8304613u), STEP(F, b, c, d, a, 0u, 22, 0xfd469501u);
  STEP(F, a, b, c, d, 0u, 7, 0x698098d8u), STEP(F, d, a, b, c, 0u, 12, 0x8b44f7afu);
  STEP(F, c, d, a, b, 0u, 17, 0xffff5bb1u), STEP(F, b, c, d, a, 0u, 22, 0x895cd7beu);
  STEP(F, a, b, c, d, 0u, 7, 0x6b901122u), STEP(F, d, a, b, c, 0u, 12, 0xfd987193u);
  STEP(F, c, d, a, b, bits, 17, 0xa679438eu), STEP(F, b, c, d, a, 0u, 22, 0x49b40821u);

  STEP(G, a, b, c, d, w1, 5, 0xf61e2562u), STEP(G, d, a, b, c, 0u, 9, 0xc040b340u);
  STEP(G, c, d, a, b, 0u, 14, 0x265e5a51u), STEP(G, b, c, d, a, w0, 20, 0xe9b6c7aau);
  STEP(G, a, b, c, d, 0u, 5, 0xd62f105du), STEP(G, d, a, b, c, 0u, 9, 0x02441453u);
  STEP(G, c, d, a, b, 0u, 14, 0xd8a1e681u), STEP(G, b, c, d, a, 0u, 20, 0xe7d3fbc8u);
  STEP(G, a, b, c, d, 0u, 5, 0x21e1cde6u), STEP(G, d, a, b, c, bits, 9, 0xc33707d6u);
  STEP(G, c, d, a, b, 0u, 14, 0xf4d50d87u), STEP(G, b, c, d, a, 0u, 20, 0x455a14edu);
  STEP(G, a, b, c, d, 0u, 5, 0xa9e3e905u), STEP(G, d, a, b, c, 0u, 9, 0xfcefa3f8u);
  STEP(G, c, d, a, b, 0u, 14, 0x676f02d9u), STEP(G, b, c, d, a, 0u, 20, 0x8d2a4c8au);

  STEP(H, a, b, c, d, 0u, 4, 0xfffa3942u), STEP(H, d, a, b, c, 0u, 11, 0x8771f681u);
  STEP(H, c, d, a, b, 0u, 16, 0x6d9d6122u), STEP(H, b, c, d, a, bits, 23, 0xfde5380cu);
  STEP(H, a, b, c, d, w1, 4, 0xa4beea44u), STEP(H, d, a, b, c, 0u, 11, 0x4bdecfa9u);
  STEP(H, c, d, a, b, 0u, 16, 0xf6bb4b60u), STEP(H, b, c, d, a, 0u, 23, 0xbebfbc70u);
  STEP(H, a, b, c, d, 0u, 4, 0x289b7ec6u), STEP(H, d, a, b, c, w0, 11, 0xeaa127fau);
  STEP(H, c, d, a, b, 0u, 16, 0xd4ef3085u), STEP(H, b, c, d, a, 0u, 23, 0x04881d05u);
  STEP(H, a, b, c, d, 0u, 4, 0xd9d4d039u), STEP(H, d, a, b, c, 0u, 11, 0xe6db99e5u);
  STEP(H, c, d, a, b, 0u, 16, 0x1fa27cf8u), STEP(H, b, c, d, a, 0u, 23, 0xc4ac5665u);

  STEP(I, a, b, c, d, w0, 6, 0xf4292244u), STEP(I, d, a, b, c, 0u, 10, 0x432aff97u);
  STEP(I, c, d, a, b, bits, 15, 0xab9423a7u), STEP(I, b, c, d, a, 0u, 21, 0xfc93a039u);
  STEP(I, a, b, c, d, 0u, 6, 0x655b59c3u), STEP(I, d, a, b, c, 0u, 10, 0x8f0ccc92u);
  STEP(I, c, d, a, b, 0u, 15, 0xffeff47du), STEP(I, b, c, d, a, w1, 21, 0x85845dd1u);
  STEP(I, a, b, c, d, 0u, 6, 0x6fa87e4fu), STEP(I, d, a, b, c, 0u, 10, 0xfe2ce6e0u);
  STEP(I, c, d, a, b, 0u, 15, 0xa3014314u), STEP(I, b, c, d, a, 0u, 21, 0x4e0811a1u);
  STEP(I, a, b, c, d, 0u, 6, 0xf7537e82u), STEP(I, d, a, b, c, 0u, 10, 0xbd3af235u);
  STEP(I, c, d, a, b, 0u, 15, 0x2ad7d2bbu), STEP(I, b, c, d, a, 0u, 21, 0xeb86d391u);
  uint4 result;
  result.x = a + 0x67452301u, result.y = b + 0xefcdab89u, result.z = c + 0x98badcfeu, result.w = d + 0x10325476u;
  return result;
}

// found: how many keys have the digest; of the last of them p and b, then the digest again.
KERNEL void md5_search(uint d0, uint d1, uint d2, uint d3, int prefixes, int length, int values, GLOBAL int* found) {
  const int prefix = GLOBAL_X;
  if (prefix >= prefixes) return;
  uint w0 = 0, w1 = 0;
  uint rest = (uint)prefix;
  for (int i = 1; i < length; ++i) {
    const uint byte = rest % (uint)values;
    rest /= (uint)values;
    if (i < 4) {
      w0 |= byte << (8 * i);
    } else {
      w1 |= byte << (8 * (i - 4));
    }
  }
  w1 |= 0x80u << (8 * (length - 4));
  const uint bits = 8 * (uint)length;
  for (int first = 0; first < values; ++first) {
    const uint4 d = digest(w0 | (uint)first, w1, bits);
    if (d.x == d0 && d.y == d1 && d.z == d2 && d.w == d3) {
      ATOMIC_ADD_INT(found, 1);
      found[1] = prefix, found[2] = first;
      found[3] = (int)d.x, found[4] = (int)d.y, found[5] = (int)d.z, found[6] = (int)d.w;
    }
  }
}
