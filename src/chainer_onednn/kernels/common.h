// What all kernels share: vectors of one instruction set, and oneDNN's threads.
//
// Every kernel file is compiled once for AVX2 with FMA and once for AVX-512 (see compile.py), in
// GCC's vector language, which Clang and `zig cc` speak, too. Kernels allocate nothing: the caller
// gives them the memory they work in.
#ifndef CHAINER_ONEDNN_COMMON_H
#define CHAINER_ONEDNN_COMMON_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __AVX512F__
#define VL 16  // floats in a vector
#else
#define VL 8
#endif

#define STREAM_FROM (1 << 20)  // floats, in `past_caches`

#define KERNEL __attribute__((visibility("default")))  // found by ctypes; all else is hidden
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(VL * 4), aligned(4), may_alias));

INLINE vf load(const float *p) { return *(const vf *)p; }
INLINE void store(float *p, vf v) { *(vf *)p = v; }
INLINE vf splat(float f) { return f - (vf){0}; }

// The larger of two numbers; NaN if v is NaN, as NumPy has it: the instruction returns its second
// operand where one is NaN.
INLINE vf larger(vf v, vf floor) {
#if VL == 16
    return (vf)_mm512_max_ps((__m512)floor, (__m512)v);
#else
    return (vf)_mm256_max_ps((__m256)floor, (__m256)v);
#endif
}

INLINE vf multiply_add(vf a, vf b, vf c) {  // a * b + c, rounded once
#if VL == 16
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#endif
}

// v where y > 0, and v * 0 elsewhere, which is NaN where v is not finite: as NumPy's v * (y > 0).
INLINE vf where_positive(vf y, vf v) {
    return v * (vf)((vi)(y > (vf){0}) & (vi)splat(1));
}

// A store past the caches, of what is not read again soon; p at a multiple of the vector's size.
INLINE void stream(float *p, vf v) {
#if VL == 16
    _mm512_stream_ps(p, (__m512)v);
#else
    _mm256_stream_ps(p, (__m256)v);
#endif
}

// A store of a large array's vector: past the caches, if the array is `past` what they hold.
INLINE void put(float *p, vf v, int past) { past ? stream(p, v) : store(p, v); }

// Is an array too large to be found in a second-level cache again? Its address tells, too, whether
// vectors may be streamed to it.
INLINE int past_caches(const float *p, int64_t floats) {
    return floats >= STREAM_FROM && (uintptr_t)p % (VL * sizeof(float)) == 0;
}

INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

typedef struct {
    int64_t start, stop;
} range;

// The share of one of several threads in `count` things: the same every time, so that sums of
// threads have the same bits every time.
INLINE range share(int64_t count, int thread, int threads) {
    return (range){count * thread / threads, count * (thread + 1) / threads};
}

typedef void work(void *argument, int thread, int threads);

int count_threads(void);                          // that `on_threads` will use
void on_threads(work *function, void *argument);  // call it on each of oneDNN's threads; wait
void meet(void);                                  // wait until all threads are here

#endif
