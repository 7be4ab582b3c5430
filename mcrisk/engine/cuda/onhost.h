/* Stands in for a CUDA device: the text of a kernel compiled as C++ for the host, one thread after the other.
   Threads of the generated kernel do not talk to each other, so their order cannot matter. */
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __constant__ static
#define __noinline__ __attribute__((noinline))
#define __forceinline__ inline
#define __launch_bounds__(...)

struct place { unsigned x, y, z; };
static thread_local place threadIdx, blockIdx, blockDim, gridDim;
