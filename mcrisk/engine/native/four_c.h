/* Elementary functions of four elements at once, with the bits of one. */
#if defined(__FMA__) && !defined(__clang__)
INLINE vd vfma(vd a, vd b, vd c) { return (vd)__builtin_ia32_vfmaddpd256(a, b, c); }
#else
INLINE vd vfma(vd a, vd b, vd c) {
  return (vd){fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1]), fma(a[2], b[2], c[2]), fma(a[3], b[3], c[3])};
}
#endif
#if defined(__AVX2__) && !defined(__clang__)
typedef int halves __attribute__((vector_size(32)));
INLINE vu low_product(vu a, vu b) { return (vu)__builtin_ia32_pmuludq256((halves)a, (halves)b); }
#else
INLINE vu low_product(vu a, vu b) { return (a & VU(0xffffffff)) * (b & VU(0xffffffff)); }
#endif
INLINE vu by_half_word(vu a, vu b) { return low_product(a, b) + (low_product(a >> VU(32), b) << VU(32)); } /* b < 2^32 */
INLINE vd words_to_reals(vu a) { /* both halves as the mantissa of a number whose exponent is known */
  return ((vd)((a >> VU(32)) | VU(0x4530000000000000)) - VD(0x1p84 + 0x1p52)) + (vd)((a & VU(0xffffffff)) | VU(0x4330000000000000));
}
#define AS_WORDS(x) ((vi)(x))
#define AS_REALS(x) ((vd)(x))
#define FOUR_OF(m, a, b) sel_vd((vi)(m), a, b)
ELEMENTARY(v, vd, vi, VD, VI, FOUR_OF, vfma, AS_WORDS, AS_REALS)
