/* Helpers of every target: read as C by the host compiler and as CUDA C++ by NVRTC, so no extension of either and no libm
   function that CUDA lacks. */
INLINE vd vmax_nan(vd a, vd b) { return sel_vd((vi)(a != a), a, vmax(a, b)); }
INLINE vd vmin_nan(vd a, vd b) { return sel_vd((vi)(a != a), a, vmin(a, b)); }
INLINE vd vabs(vd a) { return (vd)((vi)a & VI(INT64_MAX)); }
INLINE vd mask_to_real(vi m) { return (vd)(m & (vi)VD(1.0)); }
INLINE vd vsign(vd a) { return sel_vd((vi)(a > VD(0.0)), VD(1.0), sel_vd((vi)(a < VD(0.0)), VD(-1.0), a)); }
INLINE vi wrap32(vi a) { return (vi)(((vu)a & VU(0xFFFFFFFFu)) ^ VU(0x80000000u)) - VI(0x80000000LL); }

INLINE double max_real(double a, double b) { const double m = a > b ? a : b; return a != a ? a : m; }
INLINE double min_real(double a, double b) { const double m = a < b ? a : b; return a != a ? a : m; }
INLINE bool finite_real(double a) { return fabs(a) < INFINITY; }
INLINE double sign_real(double a) { return a > 0.0 ? 1.0 : a < 0.0 ? -1.0 : a; }
INLINE double clamp_double(double lo, double x, double hi) { return min_real(max_real(lo, x), hi); }
#define CLAMP(T) INLINE T clamp_##T(T lo, T x, T hi) { T y = x > lo ? x : lo; return y < hi ? y : hi; }
CLAMP(int32_t) CLAMP(int64_t) CLAMP(uint32_t) CLAMP(uint64_t)
INLINE int64_t clip64(int64_t i, int64_t last) { return i < 0 ? 0 : i > last ? last : i; }

#define DIVIDE(N, T) \
  INLINE T div_##N(T a, T b) { return b == 0 ? (T)-1 : b == (T)-1 && (T)-1 < 0 ? (T)(0 - a) : (T)(a / b); } \
  INLINE T rem_##N(T a, T b) { return b == 0 ? a : b == (T)-1 && (T)-1 < 0 ? (T)0 : (T)(a % b); }
DIVIDE(int32, int32_t) DIVIDE(int64, int64_t) DIVIDE(uint32, uint32_t) DIVIDE(uint64, uint64_t)

#define SHIFTS(N, T, U, S, W) \
  INLINE T shift_left_##N(T a, T n) { return (U)n < W ? (T)((U)a << n) : (T)0; } \
  INLINE T shift_right_logical_##N(T a, T n) { return (U)n < W ? (T)((U)a >> n) : (T)0; } \
  INLINE T shift_right_arithmetic_##N(T a, T n) { return (T)((S)a >> ((U)n < W ? n : (T)(W - 1))); }
SHIFTS(int32, int32_t, uint32_t, int32_t, 32) SHIFTS(uint32, uint32_t, uint32_t, int32_t, 32)
SHIFTS(int64, int64_t, uint64_t, int64_t, 64) SHIFTS(uint64, uint64_t, uint64_t, int64_t, 64)

INLINE int64_t real_to_int64(double x) {
  return x != x ? 0 : x >= 9223372036854775808.0 ? INT64_MAX : x <= -9223372036854775808.0 ? INT64_MIN : (int64_t)x;
}
INLINE int32_t real_to_int32(double x) {
  return x != x ? 0 : x >= 2147483647.0 ? INT32_MAX : x <= -2147483648.0 ? INT32_MIN : (int32_t)x;
}
INLINE uint64_t real_to_uint64(double x) {
  return !(x > 0.0) ? 0 : x >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)x;
}
INLINE uint32_t real_to_uint32(double x) { return !(x > 0.0) ? 0 : x >= 4294967295.0 ? UINT32_MAX : (uint32_t)x; }
#define BITS(A, TA, B, TB) INLINE TB bits_##A##_##B(TA x) { TB y; memcpy(&y, &x, 8); return y; }
BITS(float64, double, int64, int64_t) BITS(int64, int64_t, float64, double)
BITS(float64, double, uint64, uint64_t) BITS(uint64, uint64_t, float64, double)
BITS(int64, int64_t, uint64, uint64_t) BITS(uint64, uint64_t, int64, int64_t)

/* Inverse error function: M. Giles, Approximating the erfinv function (2010), double precision. */
INLINE double erf_inv(double x) {
  static const double near[] = {
    -3.6444120640178196996e-21, -1.685059138182016589e-19, 1.2858480715256400167e-18, 1.115787767802518096e-17,
    -1.333171662854620906e-16, 2.0972767875968561637e-17, 6.6376381343583238325e-15, -4.0545662729752068639e-14,
    -8.1519341976054721522e-14, 2.6335093153082322977e-12, -1.2975133253453532498e-11, -5.4154120542946279317e-11,
    1.051212273321532285e-09, -4.1126339803469836976e-09, -2.9070369957882005086e-08, 4.2347877827932403518e-07,
    -1.3654692000834678645e-06, -1.3882523362786468719e-05, 0.0001867342080340571352, -0.00074070253416626697512,
    -0.0060336708714301490533, 0.24015818242558961693, 1.6536545626831027356};
  static const double middle[] = {
    2.2137376921775787049e-09, 9.0756561938885390979e-08, -2.7517406297064545428e-07, 1.8239629214389227755e-08,
    1.5027403968909827627e-06, -4.013867526981545969e-06, 2.9234449089955446044e-06, 1.2475304481671778723e-05,
    -4.7318229009055733981e-05, 6.8284851459573175448e-05, 2.4031110387097893999e-05, -0.0003550375203628474796,
    0.00095328937973738049703, -0.0016882755560235047313, 0.0024914420961078508066, -0.0037512085075692412107,
    0.005370914553590063617, 1.0052589676941592334, 3.0838856104922207635};
  static const double far[] = {
    -2.7109920616438573243e-11, -2.5556418169965252055e-10, 1.5076572693500548083e-09, -3.7894654401267369937e-09,
    7.6157012080783393804e-09, -1.4960026627149240478e-08, 2.9147953450901080826e-08, -6.7711997758452339498e-08,
    2.2900482228026654717e-07, -9.9298272942317002539e-07, 4.5260625972231537039e-06, -1.9681778105531670567e-05,
    7.5995277030017761139e-05, -0.00021503011930044477347, -0.00013871931833623122026, 1.0103004648645343977,
    4.8499064014085844221};
  double w = -own_log1p(-x * x), p;
  const double *c;
  int n;
  if (fabs(x) == 1.0) return x * INFINITY;
  if (w < 6.25) { w -= 3.125; c = near; n = sizeof near / sizeof *near; }
  else if (w < 16.0) { w = sqrt(w) - 3.25; c = middle; n = sizeof middle / sizeof *middle; }
  else { w = sqrt(w) - 5.0; c = far; n = sizeof far / sizeof *far; }
  p = c[0];
  for (int i = 1; i < n; i++) p = c[i] + p * w;
  return p * x;
}

