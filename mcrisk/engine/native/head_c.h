#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* How this text stands on a host: plain functions, buffers as pointers, one path after the other. */
#define INLINE static inline __attribute__((always_inline))
#define TABLE static const
#define PART(name) static __attribute__((noinline)) void name(struct frame *restrict f)
#define ENTRY void mcrisk_run(const double *const *in, double *const *out, int64_t count, double *arena)
#define FIRST_PATH 0
#define PATHS_AT_ONCE 1
#define THREAD_ARENA arena
#define CONSTANTS(count)
#define INPUT(k, place) f->in[k]
/* a parameter that several functions read: handed on in the frame */
#define KEPT(field) field
#define KEEP(kept, read) ((kept) = (read))
#define PARAM(kept, read) (kept)
typedef double *slots;   /* scratch memory of a path */
#define I64(buffer) ((int64_t *)(buffer))
#define U64(buffer) ((uint64_t *)(buffer))
#define copy_slots(to, from, count) memcpy(to, from, (count) * sizeof(double))

typedef double vd __attribute__((vector_size(32)));
typedef int64_t vi __attribute__((vector_size(32)));
typedef uint64_t vu __attribute__((vector_size(32)));
static inline vd VD(double x) { return (vd){x, x, x, x}; }
static inline vi VI(int64_t x) { return (vi){x, x, x, x}; }
static inline vu VU(uint64_t x) { return (vu){x, x, x, x}; }
static const vi lanes = {0, 1, 2, 3};
#define FOUR(a, b, c, d) ((vd){a, b, c, d})
#define lane_float64(v, k) ((v)[k])
#define lane_int64(v, k) ((v)[k])
#define lane_uint64(v, k) ((v)[k])
#define lane_int32(v, k) ((int32_t)(v)[k])
#define lane_uint32(v, k) ((uint32_t)(v)[k])
#define lane_bool(v, k) ((v)[k] != 0)

static inline vd load_vd(const double *p) { vd v; memcpy(&v, p, sizeof v); return v; }
static inline vi load_vi(const double *p) { vi v; memcpy(&v, p, sizeof v); return v; }
static inline vu load_vu(const double *p) { vu v; memcpy(&v, p, sizeof v); return v; }
static inline void store_vd(double *p, vd v) { memcpy(p, &v, sizeof v); }
static inline void store_vi(double *p, vi v) { memcpy(p, &v, sizeof v); }
static inline void store_vu(double *p, vu v) { memcpy(p, &v, sizeof v); }

/* a where the mask is set, else b */
#if defined(__AVX__) && defined(__clang__)
#include <immintrin.h>
static inline vd sel_vd(vi m, vd a, vd b) { return (vd)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)m); }
static inline vi sel_vi(vi m, vi a, vi b) { return (vi)sel_vd(m, (vd)a, (vd)b); }
static inline vd vmax(vd a, vd b) { return (vd)_mm256_max_pd((__m256d)a, (__m256d)b); }
static inline vd vmin(vd a, vd b) { return (vd)_mm256_min_pd((__m256d)a, (__m256d)b); }
static inline vd vsqrt(vd a) { return (vd)_mm256_sqrt_pd((__m256d)a); }
#elif defined(__AVX__) && defined(__GNUC__)  /* the same without a header that takes longer to read than the source */
static inline vd sel_vd(vi m, vd a, vd b) { return (vd)__builtin_ia32_blendvpd256(b, a, (vd)m); }
static inline vi sel_vi(vi m, vi a, vi b) { return (vi)__builtin_ia32_blendvpd256((vd)b, (vd)a, (vd)m); }
/* a > b ? a : b, which is b where either is NaN */
static inline vd vmax(vd a, vd b) { return (vd)__builtin_ia32_maxpd256(a, b); }
static inline vd vmin(vd a, vd b) { return (vd)__builtin_ia32_minpd256(a, b); }
static inline vd vsqrt(vd a) { return (vd)__builtin_ia32_sqrtpd256(a); }
#else
static inline vd sel_vd(vi m, vd a, vd b) { return (vd)((m & (vi)a) | (~m & (vi)b)); }
static inline vi sel_vi(vi m, vi a, vi b) { return (m & a) | (~m & b); }
static inline vd vmax(vd a, vd b) { return sel_vd((vi)(a > b), a, b); }
static inline vd vmin(vd a, vd b) { return sel_vd((vi)(a < b), a, b); }
static inline vd vsqrt(vd a) { return (vd){sqrt(a[0]), sqrt(a[1]), sqrt(a[2]), sqrt(a[3])}; }
#endif
static inline vu sel_vu(vi m, vu a, vu b) { return (vu)sel_vi(m, (vi)a, (vi)b); }
