/* How this text stands on a CUDA device: one thread per path, scalars in registers and local memory, parameters in constant
   memory. Scratch memory is laid out slot by slot over the 32 threads of a warp, so that threads that read the same slot share
   a memory transaction.
   Without fused multiply-adds (--fmad=false), so that rounding is the host's. */
#ifdef __CUDACC_RTC__
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define INT64_MAX 9223372036854775807LL
#define INT64_MIN (-INT64_MAX - 1)
#define UINT32_MAX 4294967295u
#define UINT64_MAX 18446744073709551615ULL
#define INFINITY __longlong_as_double(0x7ff0000000000000LL)
#define NAN __longlong_as_double(0x7ff8000000000000LL)
#pragma nv_diag_suppress 177   /* helpers that this program does not need */
#else
#include <math.h>
#include <stdint.h>
#include <string.h>
#endif

#define WARP 32
#define CONSTANTS(count) extern "C" { __constant__ double constants[count]; }
#define INPUT(k, place) ((place) < 0 ? f->in[k] : (const double *)constants + (place))
/* a parameter that several functions read: read again from constant memory, which costs nothing */
#define KEPT(field)
#define KEEP(kept, read) (read)
#define PARAM(kept, read) (read)
#define INLINE static __device__ __forceinline__
#define TABLE static __device__ const
#define PART(name) static __device__ __noinline__ void name(struct frame *f)
#define ENTRY extern "C" __global__ void mcrisk_run(const double *const *in, double *const *out, int64_t count, double *arena)
#define FIRST_PATH THREAD
#define PATHS_AT_ONCE ((int64_t)gridDim.x * blockDim.x)
#define THREAD ((int64_t)blockIdx.x * blockDim.x + threadIdx.x)
#define THREAD_ARENA slots(arena + THREAD / WARP * (int64_t)(ARENA_SLOTS * WARP) + THREAD % WARP)

/* memory whose consecutive slots lie a warp apart */
template <class T> struct spread {
  T *at;
  __device__ __forceinline__ spread() : at(0) {}
  __device__ __forceinline__ explicit spread(T *p) : at(p) {}
  __device__ __forceinline__ T &operator[](int64_t k) const { return at[k * WARP]; }
  __device__ __forceinline__ spread operator+(int64_t k) const { return spread(at + k * WARP); }
};
typedef spread<double> slots;
INLINE spread<int64_t> I64(slots p) { return spread<int64_t>((int64_t *)p.at); }
INLINE spread<uint64_t> U64(slots p) { return spread<uint64_t>((uint64_t *)p.at); }
INLINE int64_t *I64(double *p) { return (int64_t *)p; }
INLINE uint64_t *U64(double *p) { return (uint64_t *)p; }
INLINE const int64_t *I64(const double *p) { return (const int64_t *)p; }
INLINE const uint64_t *U64(const double *p) { return (const uint64_t *)p; }
template <class To, class From> INLINE void copy_slots(To to, From from, int64_t count) {
  for (int64_t k = 0; k < count; k++) to[k] = from[k];
}

/* four elements in registers; vi holds masks as 0 and -1 */
struct vi; struct vu;
struct vd {
  double v[4];
  __device__ __forceinline__ vd() {}
  __device__ __forceinline__ vd(double a, double b, double c, double d) : v{a, b, c, d} {}
  __device__ __forceinline__ explicit vd(const vi &x);
  __device__ __forceinline__ explicit vd(const vu &x);
  __device__ __forceinline__ double operator[](int k) const { return v[k]; }
};
struct vi {
  int64_t v[4];
  __device__ __forceinline__ vi() {}
  __device__ __forceinline__ vi(int64_t a, int64_t b, int64_t c, int64_t d) : v{a, b, c, d} {}
  __device__ __forceinline__ explicit vi(const vd &x);
  __device__ __forceinline__ explicit vi(const vu &x);
  __device__ __forceinline__ int64_t operator[](int k) const { return v[k]; }
};
struct vu {
  uint64_t v[4];
  __device__ __forceinline__ vu() {}
  __device__ __forceinline__ vu(uint64_t a, uint64_t b, uint64_t c, uint64_t d) : v{a, b, c, d} {}
  __device__ __forceinline__ explicit vu(const vd &x);
  __device__ __forceinline__ explicit vu(const vi &x);
  __device__ __forceinline__ uint64_t operator[](int k) const { return v[k]; }
};
#define REREAD(A, B) __device__ __forceinline__ A::A(const B &x) { memcpy(v, x.v, sizeof v); }
REREAD(vd, vi) REREAD(vd, vu) REREAD(vi, vd) REREAD(vi, vu) REREAD(vu, vd) REREAD(vu, vi)
#define EACH(R, text) R r; for (int k = 0; k < 4; k++) r.v[k] = text; return r
#define BINARY(T, sign) INLINE T operator sign(const T &a, const T &b) { EACH(T, a.v[k] sign b.v[k]); }
#define COMPARE(T, sign) INLINE vi operator sign(const T &a, const T &b) { EACH(vi, -(int64_t)(a.v[k] sign b.v[k])); }
#define NUMBERS(T) BINARY(T, +) BINARY(T, -) BINARY(T, *) \
  COMPARE(T, <) COMPARE(T, <=) COMPARE(T, >) COMPARE(T, >=) COMPARE(T, ==) COMPARE(T, !=) \
  INLINE T operator-(const T &a) { EACH(T, 0 - a.v[k]); }
#define WORDS(T) BINARY(T, &) BINARY(T, |) BINARY(T, ^) INLINE T operator~(const T &a) { EACH(T, ~a.v[k]); }
BINARY(vd, +) BINARY(vd, -) BINARY(vd, *) BINARY(vd, /)
COMPARE(vd, <) COMPARE(vd, <=) COMPARE(vd, >) COMPARE(vd, >=) COMPARE(vd, ==) COMPARE(vd, !=)
INLINE vd operator-(const vd &a) { EACH(vd, -a.v[k]); }
NUMBERS(vi) NUMBERS(vu) WORDS(vi) WORDS(vu)
INLINE vd VD(double x) { return vd(x, x, x, x); }
INLINE vi VI(int64_t x) { return vi(x, x, x, x); }
INLINE vu VU(uint64_t x) { return vu(x, x, x, x); }
#define lanes (vi(0, 1, 2, 3))
#define FOUR(a, b, c, d) vd(a, b, c, d)
#define lane_float64(v, k) ((v)[k])
#define lane_int64(v, k) ((v)[k])
#define lane_uint64(v, k) ((v)[k])
#define lane_int32(v, k) ((int32_t)(v)[k])
#define lane_uint32(v, k) ((uint32_t)(v)[k])
#define lane_bool(v, k) ((v)[k] != 0)
template <class P> INLINE vd load_vd(P p) { return vd(p[0], p[1], p[2], p[3]); }
template <class P> INLINE vi load_vi(P p) { return vi(I64(p)[0], I64(p)[1], I64(p)[2], I64(p)[3]); }
template <class P> INLINE vu load_vu(P p) { return vu(U64(p)[0], U64(p)[1], U64(p)[2], U64(p)[3]); }
template <class P> INLINE void store_vd(P p, const vd &v) { for (int k = 0; k < 4; k++) p[k] = v.v[k]; }
template <class P> INLINE void store_vi(P p, const vi &v) { for (int k = 0; k < 4; k++) I64(p)[k] = v.v[k]; }
template <class P> INLINE void store_vu(P p, const vu &v) { for (int k = 0; k < 4; k++) U64(p)[k] = v.v[k]; }

/* a where the mask is set, else b */
INLINE vd sel_vd(const vi &m, const vd &a, const vd &b) { EACH(vd, m.v[k] ? a.v[k] : b.v[k]); }
INLINE vi sel_vi(const vi &m, const vi &a, const vi &b) { EACH(vi, m.v[k] ? a.v[k] : b.v[k]); }
INLINE vu sel_vu(const vi &m, const vu &a, const vu &b) { EACH(vu, m.v[k] ? a.v[k] : b.v[k]); }
INLINE vd vmax(const vd &a, const vd &b) { EACH(vd, a.v[k] > b.v[k] ? a.v[k] : b.v[k]); }
INLINE vd vmin(const vd &a, const vd &b) { EACH(vd, a.v[k] < b.v[k] ? a.v[k] : b.v[k]); }
INLINE vd vsqrt(const vd &a) { EACH(vd, sqrt(a.v[k])); }
