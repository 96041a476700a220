// Convolutions of stride 1 by Winograd's algorithm: forward, and the gradients of the image and of
// weights and bias together.
//
// A tile of 4x4 outputs of an RxR filter depends on a tile of (R+3)x(R+3) inputs. Both, and the
// filters, are polynomials' coefficients; evaluated at R+3 points a side they are multiplied number
// by number: 36 multiplications a tile and pair of channels instead of 144 where R = 3, and 64
// instead of 400 where R = 5. In matrices (Lavin & Gray, https://arxiv.org/abs/1509.09308):
//
//     Y = A' [(G g G') * (B' d B)] A
//
// Over all channels and many tiles, each of the 36 (64) points is a matrix product. All is done for
// a block of tiles at a time, small enough for a core's cache: transform the inputs, 36 products,
// transform back. Images are (N, H, W, C) in memory, filters (K, C, R, R).
#include <string.h>
#include <unistd.h>

#include "moments.h"

#define OUT 4      // the outputs of a tile are OUT x OUT
#define VECTORS 2  // of a panel of output channels: what the products' inner loops are wide
#if VL == 16
#define ROWS 14    // tiles that the inner loop of forward takes at once, as registers allow
#define FILTERS 8  // input channels that the inner loop of the weights' gradient takes at once
#else
#define ROWS 6
#define FILTERS 4
#endif
#define LINE (64 / (4 * VL))  // vectors in a cache line

// Between two points' matrices, in floats: without it they would lie a multiple of 4096 bytes apart
// and push each other out of the cache.
#define GAP 80

// Channels that are summed in registers from zero, before the sum is added to those before it: one
// sum of 256 channels would have twice the error of four of 64.
#define SUMMED 32

#define UNROLL _Pragma("GCC unroll 16")
#define ZERO ((vf){0})

// What is computed, and how it is cut up; Python sees an array of int64.
typedef struct {
    int64_t images, height, width, channels;      // the input
    int64_t out_height, out_width, out_channels;  // the output
    int64_t top, left;            // padding; the output's size tells the other sides
    int64_t threads;              // at most
    int64_t cache, shared_cache;  // bytes of a core's own cache, and of the last one
    // Found by `plan`:
    int64_t bytes;    // of scratch memory
    int64_t block;    // tiles that are taken at once, at most
    int64_t blocks;   // of tiles; for the gradient of the weights: shares of the tiles
    int64_t vectors;  // of output channels that are taken at once
    int64_t parts;    // in which the output channels are divided among threads
    int64_t stream;   // is the output written past the caches?
} problem;

typedef struct {
    const problem *p;
    const float *x, *w, *bias;
    const float *gy;
    float *u, *copy, *y, *gw, *gb, *scratch;
    float *mean, *var;  // NULL, or for those of y's channels
    int flipped, stale;
    int changed;  // are the filters not those that are kept?
} job;

INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
INLINE int64_t padded(int64_t channels) { return round_up(channels, VL); }

// The first n numbers of a vector, zeros behind them.
#if VL == 16
INLINE vf load_some(const float *p, int64_t n) {
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
INLINE void store_some(float *p, vf v, int64_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
#else
static const int32_t mask_of[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
INLINE vf load_some(const float *p, int64_t n) {
    return (vf)_mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(mask_of + 8 - n)));
}
INLINE void store_some(float *p, vf v, int64_t n) {
    _mm256_maskstore_ps(p, _mm256_loadu_si256((const __m256i *)(mask_of + 8 - n)), (__m256)v);
}
#endif
INLINE vf load_up_to(const float *p, int64_t n) { return n >= VL ? load(p) : load_some(p, n); }

// Bytes of the CPU's cache of a level, 2 or 3; 0 if nobody knows.
KERNEL int64_t winograd_cache(int level) {
#ifdef _SC_LEVEL3_CACHE_SIZE
    return max64(0, sysconf(level == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE));
#else
    return 0;
#endif
}

// ---- products ----------------------------------------------------------------------------------

// o[row] = sum over channels of a[channel][row] * b[channel], for tiles as rows and a panel of
// output channels as columns; a: [channels / VL][a_step of floats: tile, VL],
// b: [channels][vectors * VL].
INLINE void multiply(int rows, int vectors, const float *a, int64_t a_step, const float *b,
                     float *o, int64_t o_step, int64_t channels) {
    for (int64_t done = 0; done < channels; done += SUMMED) {
        vf sum[ROWS][VECTORS];
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = ZERO;
        int64_t end = min64(done + SUMMED, channels);
        for (int64_t first = done; first < end; first += VL, a += a_step) {
            const float *column = a;
            for (int64_t c = min64(VL, end - first); c > 0; c--, column++, b += vectors * VL) {
                vf panel[VECTORS];
                UNROLL for (int v = 0; v < vectors; v++) panel[v] = load(b + v * VL);
                UNROLL for (int v = 0; v < vectors; v += LINE)
                    __builtin_prefetch(b + (8 * vectors + v) * VL);
                UNROLL for (int r = 0; r < rows; r++) {
                    vf factor = splat(column[r * VL]);
                    UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += factor * panel[v];
                }
            }
        }
        if (done)
            UNROLL for (int r = 0; r < rows; r++)
                UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += load(o + v * o_step + r * VL);
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++) store(o + v * o_step + r * VL, sum[r][v]);
    }
}

#define MULTIPLY(rows, vectors)                                                                  \
    static void multiply_##rows##_##vectors(const float *a, int64_t a_step, const float *b,      \
                                            float *o, int64_t o_step, int64_t channels) {        \
        multiply(rows, vectors, a, a_step, b, o, o_step, channels);                              \
    }
typedef void multiplication(const float *, int64_t, const float *, float *, int64_t, int64_t);
#if VL == 16
MULTIPLY(14, 2) MULTIPLY(8, 2) MULTIPLY(4, 2) MULTIPLY(14, 1) MULTIPLY(8, 1) MULTIPLY(4, 1)
INLINE multiplication *multiplication_of(int64_t rows, int64_t vectors) {
    if (rows > 8) return vectors == 2 ? multiply_14_2 : multiply_14_1;
    if (rows > 4) return vectors == 2 ? multiply_8_2 : multiply_8_1;
    return vectors == 2 ? multiply_4_2 : multiply_4_1;
}
#else
MULTIPLY(6, 2) MULTIPLY(3, 2) MULTIPLY(6, 1) MULTIPLY(3, 1)
INLINE multiplication *multiplication_of(int64_t rows, int64_t vectors) {
    if (rows > 3) return vectors == 2 ? multiply_6_2 : multiply_6_1;
    return vectors == 2 ? multiply_3_2 : multiply_3_1;
}
#endif

// o[row] += sum over tiles of a[tile][row] * b[tile], for input channels as rows. Each block is
// summed from zero, which keeps rounding errors small; `first`: there is nothing in o yet.
INLINE void multiply_gradient(int vectors, const float *a, const float *b, float *o, int64_t tiles,
                              int first) {
    vf sum[FILTERS][VECTORS];
    UNROLL for (int r = 0; r < FILTERS; r++)
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = ZERO;
    UNROLL for (int r = 0; r < FILTERS * vectors; r += LINE) __builtin_prefetch(o + r * VL, 1);
    for (int64_t t = 0; t < tiles; t++, a += VL, b += vectors * VL) {
        vf panel[VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) panel[v] = load(b + v * VL);
        UNROLL for (int r = 0; r < FILTERS; r++) {
            vf factor = splat(a[r]);
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += factor * panel[v];
        }
    }
    if (!first)
        UNROLL for (int r = 0; r < FILTERS; r++)
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += load(o + (r * vectors + v) * VL);
    UNROLL for (int r = 0; r < FILTERS; r++)
        UNROLL for (int v = 0; v < vectors; v++) store(o + (r * vectors + v) * VL, sum[r][v]);
}
static void multiply_gradient_2(const float *a, const float *b, float *o, int64_t tiles,
                                int first) {
    multiply_gradient(2, a, b, o, tiles, first);
}
static void multiply_gradient_1(const float *a, const float *b, float *o, int64_t tiles,
                                int first) {
    multiply_gradient(1, a, b, o, tiles, first);
}

// The panel of which a vector of output channels is part: its first vector, and how many it has.
typedef struct {
    int64_t first, vectors;
} panel;
INLINE panel panel_of(int64_t vector, int64_t of) {
    int64_t first = vector / VECTORS * VECTORS;
    return (panel){first, min64(VECTORS, of - first)};
}

// Where a tile lies: its image, and its first output there.
typedef struct {
    int64_t image, y, x;
} place;
INLINE place place_of(const problem *p, int64_t tile) {
    int64_t across = ceil_div(p->out_width, OUT), down = ceil_div(p->out_height, OUT);
    return (place){tile / (across * down), tile / across % down * OUT, tile % across * OUT};
}
INLINE void step(const problem *p, place *at) {  // to the next tile
    if ((at->x += OUT) < p->out_width) return;
    at->x = 0;
    if ((at->y += OUT) < p->out_height) return;
    at->y = 0;
    at->image++;
}

typedef struct {
    const char *start;
    int64_t bytes;
} memory;

// Ask for one of `of` parts of some memory, to the second-level cache.
INLINE void fetch(memory m, int64_t part, int64_t of) {
    for (int64_t at = m.bytes * part / of; at < m.bytes * (part + 1) / of; at += 64)
        _mm_prefetch(m.start + at, _MM_HINT_T1);
}
INLINE void fetch_to_write(memory m, int64_t part, int64_t of) {
    for (int64_t at = m.bytes * part / of; at < m.bytes * (part + 1) / of; at += 64)
        __builtin_prefetch(m.start + at, 1, 2);
}

// ---- mean and variance of the output -----------------------------------------------------------

// Where a thread gathers them, in its scratch memory.
typedef struct {
    double *pixels, *mean, *m2;  // how many were seen, and the moments of each channel
    deviations *found;           // of the vectors that are being transformed back
    void *end;
} moments;
INLINE int64_t moments_size(const problem *p) {  // bytes
    return 64 + 2 * padded(p->out_channels) * 8 + round_up(p->vectors * sizeof(deviations), 64);
}
INLINE moments moments_of(const job *j, int thread) {
    const problem *p = j->p;
    double *start = (double *)j->scratch + thread * (p->bytes / 8 / p->threads), *mean = start + 8;
    double *m2 = mean + padded(p->out_channels);
    return (moments){start, mean, m2, (deviations *)(m2 + padded(p->out_channels)),
                     (char *)start + moments_size(p)};
}

// Note up to OUT numbers of each channel, `count` of them, in the sums of a tile.
INLINE void note(const vf *value, int64_t count, vf reference, vf *sum, vf *square) {
    UNROLL for (int j = 0; j < OUT; j++)
        if (j < count) {
            vf x = value[j] - reference;
            *sum += x;
            *square = multiply_add(x, x, *square);
        }
}

// All threads' moments become mean and variance, for a share of the channels.
static void merge_moments(const job *j, int thread, int threads) {
    const problem *p = j->p;
    range mine = share(p->out_channels, thread, threads);
    for (int64_t c = mine.start; c < mine.stop; c++) {
        double n = 0, mean = 0, m2 = 0;
        for (int t = 0; t < threads; t++) {
            moments of = moments_of(j, t);
            if (*of.pixels == 0) continue;
            merge(n, &mean, &m2, *of.pixels, of.mean[c], of.m2[c]);
            n += *of.pixels;
        }
        if (m2 != m2) {  // as NumPy's mean: infinite, where all that is not finite is so
            mean = 0;
            for (int64_t i = c; i < (int64_t)n * p->out_channels; i += p->out_channels)
                mean += j->y[i];
            mean /= n;
        }
        j->mean[c] = (float)mean;
        j->var[c] = variance(m2, n);
    }
}

INLINE double power(double p, int exponent) {
    double result = 1;
    UNROLL for (int i = 0; i < exponent; i++) result *= p;
    return result;
}

// ---- the two sizes of filters ------------------------------------------------------------------
// Points of evaluation: 0, infinity, and these with both signs. They were chosen by the errors that
// they cause: see benchmarks/convolution_accuracy.py.
static const double points_3[2] = {2. / 3, 3. / 2};
static const double points_5[3] = {1, 2, .5};

#define R 3
#define NAME(name) name##_3
#include "winograd_tiles.h"
#undef R
#undef NAME

#define R 5
#define NAME(name) name##_5
#include "winograd_tiles.h"
