/* Elementary functions of every target, so that no bit depends on a C library: range reduction by Cody and Waite, minimax
   polynomials (fitted with mpmath at 50 digits), no branches; errors in ulp, measured in tests/engine/test_native_elementary.py:
   exp 1.1, log 0.9, pow 1.3, sin and cos 1.6, log1p 1.1, expm1 2.4. Built from fma, which is exact by definition, and IEEE
   arithmetic. exp and pow give 0 where the result would be denormal; sin and cos NaN beyond |x| = 2e6.
   R a real type, I integers of the same lanes, K(x) a constant, N(x) an integer constant, SEL(mask, a, b), FMA, AS_I, AS_R. */
#define CAST(A, TA, B, TB) INLINE TB cast_##A##_##B(TA x) { TB y; memcpy(&y, &x, 8); return y; }
CAST(real, double, word, int64_t) CAST(word, int64_t, real, double)

#define ELEMENTARY(P, R, I, K, N, SEL, FMA, AS_I, AS_R)                                                                            \
  INLINE R P##exp_tail(R r) { /* e^r − 1 for |r| < 0.3467 */                                                                       \
    const R s = r * r, q = s * s;                                                                                                  \
    const R a = FMA(K(0x1.5555555555556p-3), r, K(0x1.0000000000001p-1)), b = FMA(K(0x1.11111111109adp-7), r, K(0x1.5555555553d4fp-5)); \
    const R c = FMA(K(0x1.a01a01a7c8d47p-13), r, K(0x1.6c16c17893833p-10)), d = FMA(K(0x1.71de0d9c145d0p-19), r, K(0x1.a019b8ef67c6cp-16)); \
    const R e = FMA(K(0x1.af38d53857513p-26), r, K(0x1.2891a8c1d838dp-22));                                                        \
    return FMA(FMA(FMA(FMA(e, s, d), s, c), q, FMA(b, s, a)), s, r);                                                               \
  }                                                                                                                                \
  INLINE R P##exp_of(R x, R low) { /* e^(x + low), |low| far below an ulp of x */                                                  \
    x = SEL(x > K(710.0), K(710.0), x);                                                                                            \
    const R y = SEL(x < K(-746.0), K(-746.0), x), t = FMA(y, K(0x1.71547652b82fep+0), K(0x1.8p52)), n = t - K(0x1.8p52);           \
    const R r = FMA(n, K(-0x1.abc9e3b39803fp-56), FMA(n, K(-0x1.62e42fefa39efp-1), y)) + low;                                      \
    const R p = K(1.0) + P##exp_tail(r), scale = AS_R((AS_I(t) + N(1022)) << N(52));                                               \
    return SEL(y < K(-708.0), K(0.0), (p + p) * scale);                                                                            \
  }                                                                                                                                \
  INLINE R P##exp(R x) { return P##exp_of(x, K(0.0)); }                                                                            \
  INLINE R P##expm1(R x) {                                                                                                         \
    const R y = SEL(x < K(-50.0), K(-50.0), SEL(x > K(50.0), K(50.0), x));                                                         \
    const R t = FMA(y, K(0x1.71547652b82fep+0), K(0x1.8p52)), n = t - K(0x1.8p52);                                                 \
    const R r = FMA(n, K(-0x1.abc9e3b39803fp-56), FMA(n, K(-0x1.62e42fefa39efp-1), y)), scale = AS_R((AS_I(t) + N(1023)) << N(52));\
    const R near = FMA(scale, P##exp_tail(r), scale - K(1.0));                                                                     \
    return SEL(x == K(0.0), x, SEL(x > K(50.0), P##exp(x), near));                                                                 \
  }                                                                                                                                \
  INLINE R P##log(R x) {                                                                                                           \
    const R grown = SEL(x < K(0x1p-1022), x * K(0x1p54), x), less = SEL(x < K(0x1p-1022), K(54.0), K(0.0));                        \
    const I bits = AS_I(grown), k = ((bits + N(0x00095f619980c433)) >> N(52)) & N(0x7ff); /* exponent so that √½ ≤ m < √2 */       \
    const R m = AS_R(bits - (k << N(52)) + N(0x3ff0000000000000)), f = m - K(1.0);                                                 \
    const R n = AS_R(k | N(0x4330000000000000)) - K(0x1p52 + 1023.0) - less;                                                       \
    const R s = f / (K(2.0) + f), z = s * s, w = z * z, half = K(0.5) * f * f;                                                     \
    const R a = FMA(K(0x1.9999999999a39p-2), z, K(0x1.5555555555555p-1)), b = FMA(K(0x1.c71c7201a55d7p-3), z, K(0x1.2492492476a1ap-2)); \
    const R c = FMA(K(0x1.3b1c3c1c81c8fp-3), z, K(0x1.745cf8e4bba1bp-3)), d = FMA(K(0x1.0c0aff044a970p-3), z, K(0x1.0fbde0f4ad17bp-3)); \
    const R tail = z * FMA(FMA(FMA(d, w, c), w, b), w, a);                                                                         \
    const R y = n * K(0x1.62e42fee00000p-1) - ((half - FMA(s, half + tail, n * K(0x1.a39ef35793c76p-33))) - f);                    \
    const R finite = SEL(x < K(INFINITY), y, x); /* infinity and NaN stand for themselves */                                       \
    return SEL(x < K(0.0), K(NAN), SEL(x == K(0.0), K(-INFINITY), finite));                                                        \
  }                                                                                                                                \
  INLINE R P##turn(R x, R *angle) { /* number of the quarter in the low bits of the result, angle within it */                     \
    const R t = FMA(x, K(0x1.45f306dc9c883p-1), K(0x1.8p52)), n = t - K(0x1.8p52);                                                 \
    *angle = FMA(n, K(0x1.f1976b7ed8fbcp-110), FMA(n, K(-0x1.1a62633145c07p-54), FMA(n, K(-0x1.921fb54442d18p+0), x)));            \
    return t;                                                                                                                      \
  }                                                                                                                                \
  INLINE R P##wave(R r, I quarter) { /* sin(r) in an even quarter, cos(r) in an odd one, with the sign of the half turn */         \
    const R z = r * r, w = z * z, half = K(0.5) * z, one = K(1.0) - half;                                                          \
    const R a = FMA(K(0x1.1111111110babp-7), z, K(-0x1.5555555555555p-3)), b = FMA(K(0x1.71de37946ed6dp-19), z, K(-0x1.a01a019e820aep-13)); \
    const R c = FMA(K(0x1.5e0a4fc16be59p-33), z, K(-0x1.ae6008d114485p-26));                                                       \
    const R sine = FMA(r * z, FMA(FMA(c, w, b), w, a), r);                                                                         \
    const R d = FMA(K(-0x1.6c16c16c16963p-10), z, K(0x1.5555555555555p-5)), e = FMA(K(-0x1.27e4fa16cc2d1p-22), z, K(0x1.a01a019f4ddfdp-16)); \
    const R g = FMA(K(-0x1.907cd8ff5ede7p-37), z, K(0x1.1eeb67d026ec6p-29));                                                       \
    const R cosine = one + FMA(w, FMA(FMA(g, w, e), w, d), (K(1.0) - one) - half);                                                 \
    const R y = SEL((quarter & N(1)) != N(0), cosine, sine);                                                                       \
    return AS_R(AS_I(y) ^ ((quarter & N(2)) << N(62)));                                                                            \
  }                                                                                                                                \
  INLINE R P##sin(R x) { R r; const R t = P##turn(x, &r); return SEL(x * x < K(4e12), SEL(x == K(0.0), x, P##wave(r, AS_I(t))), K(NAN)); } \
  INLINE R P##cos(R x) { R r; const R t = P##turn(x, &r); return SEL(x * x < K(4e12), P##wave(r, AS_I(t) + N(1)), K(NAN)); }

#define ONE_REAL(x) ((double)(x))
#define ONE_WORD(x) ((int64_t)(x))
#define ONE_OF(m, a, b) ((m) ? (a) : (b))
ELEMENTARY(own_, double, int64_t, ONE_REAL, ONE_WORD, ONE_OF, fma, cast_real_word, cast_word_real)

INLINE double own_log1p(double x) {
  const double u = 1.0 + x;
  if (!(u < INFINITY) || u <= 0.0) return own_log(u);
  return own_log(u) + (x - (u - 1.0)) / u;
}

/* x^y as C99 has it; log x is carried in two words */
INLINE double own_pow_core(double x, double y) {
  const double grown = x < 0x1p-1022 ? x * 0x1p54 : x;
  const int64_t bits = cast_real_word(grown), k = ((bits + 0x00095f619980c433) >> 52) & 0x7ff;
  const double m = cast_word_real(bits - (int64_t)((uint64_t)k << 52) + 0x3ff0000000000000), f = m - 1.0;
  const double n = (double)(k - 1023) - (x < 0x1p-1022 ? 54.0 : 0.0);
  const double d = 2.0 + f, d_low = f - (d - 2.0), s = f / d, s_low = (fma(-s, d, f) - s * d_low) / d;
  const double z = s * s, z_low = fma(s, s, -z) + 2.0 * s * s_low;
  double tail = 0x1.087e4945615c6p-3;
  tail = fma(tail, z, 0x1.1018374c7f117p-3), tail = fma(tail, z, 0x1.3b18bc82cc745p-3), tail = fma(tail, z, 0x1.745d09e3d8241p-3);
  tail = fma(tail, z, 0x1.c71c71d7fbbacp-3), tail = fma(tail, z, 0x1.249249248e4d8p-2), tail = fma(tail, z, 0x1.999999999999fp-2);
  /* log m = 2 s + s z (2/3 + tail z) */
  const double c = 0x1.5555555555555p-1, u = tail * z, w = c + u, w_low = (c - w) + u + 0x1.5555555555555p-55;
  const double v = z * w, v_low = fma(z, w, -v) + z * w_low + z_low * w;
  const double q = s * v, q_low = fma(s, v, -q) + s * v_low + s_low * v;
  const double big = n * 0x1.62e42fee00000p-1, two = 2.0 * s;
  const double h1 = big + two, e1 = (big - h1) + two, h2 = h1 + q, e2 = (h1 - h2) + q; /* big is 0 or the largest */
  const double low = e1 + e2 + q_low + 2.0 * s_low + n * 0x1.a39ef35793c76p-33;
  const double h = h2 + low, l = (h2 - h) + low, p = y * h;
  if (!(fabs(p) < 800.0)) return p > 0.0 ? INFINITY : 0.0;
  return own_exp_of(p, fma(y, h, -p) + y * l);
}
INLINE double own_pow(double x, double y) {
  if (x > 0.0 && x < INFINITY && fabs(y) < INFINITY) return own_pow_core(x, y);
  if (y == 0.0 || x == 1.0) return 1.0;
  if (x != x || y != y) return x + y;
  const double size = fabs(x);
  if (fabs(y) == INFINITY) return size == 1.0 ? 1.0 : (size > 1.0) == (y > 0.0) ? INFINITY : 0.0;
  const bool whole = floor(y) == y, odd = whole && fabs(y) < 0x1p53 && floor(0.5 * y) != 0.5 * y;
  const double sign = odd && cast_real_word(x) < 0 ? -1.0 : 1.0;
  if (size == 0.0) return y > 0.0 ? sign * 0.0 : sign * INFINITY;
  if (size == INFINITY) return y > 0.0 ? sign * INFINITY : sign * 0.0;
  return whole ? sign * own_pow_core(size, y) : NAN;
}
