// Batch normalization of channels-last arrays, with what stands beside it in a net: the ReLU behind
// it, the sum of a residual shortcut between the two, and the ReLU's mask on the way back.
//
// Ioffe and Szegedy, Batch Normalization, 2015. Sums are of 32 rows in float32, added in double.
#include "channels.h"
#include "moments.h"

#define CHUNK 32   // rows that are summed in registers
#define COLUMNS 4  // vectors of a row at a time

// Doubles of scratch that each thread needs for a number of channels.
KERNEL int64_t bn_scratch(int64_t channels) { return 5 * row_length(channels); }

// ---- mean and variance ---------------------------------------------------------------------------

typedef struct {
    plane p;
    const float *x;
    float *mean, *var;
    double *scratch;  // a thread: the mean of each column so far, and its sum of squared deviations
} statistics;

INLINE void moments_of_chunk(int columns, const float *x, int64_t rows, int64_t length, double before,
                             double *mean, double *m2) {
    deviations found[COLUMNS];
    for (int v = 0; v < columns; v++) found[v] = (deviations){load(x + v * VL), splat(0), splat(0)};
    for (int64_t r = 1; r < rows; r++)
        for (int v = 0; v < columns; v++) {
            vf d = load(x + r * length + v * VL) - found[v].first;
            found[v].sum += d;
            found[v].square = multiply_add(d, d, found[v].square);
        }
    gather(found, columns, rows, before, mean, m2);
}

static void sum_statistics(void *given, int thread, int threads) {
    const statistics *a = given;
    const plane p = a->p;
    double *mean = a->scratch + thread * bn_scratch(p.channels), *m2 = mean + p.length;
    for (int64_t i = 0; i < 2 * p.length; i++) mean[i] = 0;
    range mine = share(p.rows, thread, threads);
    for (int64_t r = mine.start; r < mine.stop; r += CHUNK) {
        int64_t rows = min64(CHUNK, mine.stop - r), column = 0;
        const float *x = a->x + r * p.length;
        double before = r - mine.start;
        for (; column + COLUMNS * VL <= p.length; column += COLUMNS * VL)
            moments_of_chunk(COLUMNS, x + column, rows, p.length, before, mean + column, m2 + column);
        for (; column < p.length; column += VL)
            moments_of_chunk(1, x + column, rows, p.length, before, mean + column, m2 + column);
    }
    meet();
    range channels = share(p.channels, thread, threads);
    for (int64_t c = channels.start; c < channels.stop; c++) {
        double n = 0, total = 0, squares = 0;
        for (int t = 0; t < threads; t++) {
            range theirs = share(p.rows, t, threads);
            const double *part = a->scratch + t * bn_scratch(p.channels);
            for (int64_t i = c; i < p.length && theirs.stop > theirs.start; i += p.channels) {
                merge(n, &total, &squares, theirs.stop - theirs.start, part[i], part[p.length + i]);
                n += theirs.stop - theirs.start;
            }
        }
        for (int64_t i = c; i < p.rest; i += p.channels, n++)
            merge(n, &total, &squares, 1, a->x[p.rows * p.length + i], 0);
        if (squares != squares) {  // as NumPy's mean: infinite, where all that is not finite is so
            total = 0;
            for (int64_t i = c; i < p.rows * p.length + p.rest; i += p.channels) total += a->x[i];
            total /= n;
        }
        a->mean[c] = (float)total;
        a->var[c] = variance(squares, n);
    }
}

// x: (pixels, channels) -> mean and (biased) variance of each channel.
KERNEL void bn_statistics(const float *x, int64_t pixels, int64_t channels, float *mean, float *var,
                          double *scratch) {
    statistics a = {plane_of(pixels, channels), x, mean, var, scratch};
    on_threads(sum_statistics, &a);
}

// ---- forward -------------------------------------------------------------------------------------

typedef struct {
    plane p;
    const float *x, *mean, *scale, *shift, *other;
    float *y;
    double *scratch;
    int relu;
} forward;

// The backward pass does the same arithmetic to know where the ReLU was open.
INLINE vf normalized(vf x, vf mean, vf scale, vf shift) { return multiply_add(x - mean, scale, shift); }

INLINE void normalize_rows(const forward *a, range rows, const float *mean, const float *scale,
                           const float *shift, int add, int relu, int past) {
    const int64_t length = a->p.length;
    for (int64_t r = rows.start; r < rows.stop; r++) {
        const float *x = a->x + r * length, *other = a->other + r * length;
        float *y = a->y + r * length;
        for (int64_t i = 0; i < length; i += VL) {
            vf v = normalized(load(x + i), load(mean + i), load(scale + i), load(shift + i));
            if (add) v += load(other + i);
            put(y + i, relu ? larger(v, splat(0)) : v, past);
        }
    }
}

static void normalize(void *given, int thread, int threads) {
    const forward *a = given;
    const plane p = a->p;
    float *mean = (float *)(a->scratch + thread * bn_scratch(p.channels));
    float *scale = mean + p.length, *shift = scale + p.length;
    repeat(&p, a->mean, mean);
    repeat(&p, a->scale, scale);
    repeat(&p, a->shift, shift);
    range mine = share(p.rows, thread, threads);
    const int past = past_caches(a->y, p.rows * p.length);
    if (a->other)
        a->relu ? normalize_rows(a, mine, mean, scale, shift, 1, 1, past)
                : normalize_rows(a, mine, mean, scale, shift, 1, 0, past);
    else
        a->relu ? normalize_rows(a, mine, mean, scale, shift, 0, 1, past)
                : normalize_rows(a, mine, mean, scale, shift, 0, 0, past);
    if (thread == threads - 1)
        for (int64_t i = 0, at = p.rows * p.length; i < p.rest; i++) {
            float v = __builtin_fmaf(a->x[at + i] - mean[i], scale[i], shift[i]);
            if (a->other) v += a->other[at + i];
            a->y[at + i] = a->relu && v < 0 ? 0 : v;
        }
}

// y = (x - mean) * scale + shift [+ other] [, ReLU]; other is NULL or like x.
KERNEL void bn_forward(const float *x, int64_t pixels, int64_t channels, const float *mean,
                       const float *scale, const float *shift, const float *other, int relu, float *y,
                       double *scratch) {
    forward a = {plane_of(pixels, channels), x, mean, scale, shift, other, y, scratch, relu};
    on_threads(normalize, &a);
}

// ---- backward ------------------------------------------------------------------------------------

typedef struct {
    plane p;
    const float *x, *gy, *mean, *inv_std, *scale, *shift;
    float *gx, *ggamma, *gbeta;
    double *scratch;
    int relu;
} backward;

INLINE void sums_of_chunk(int columns, int relu, const float *x, const float *gy, int64_t rows,
                          int64_t length, const float *mean, const float *scale, const float *shift,
                          double *sum, double *product) {
    vf s[COLUMNS], q[COLUMNS];
    for (int v = 0; v < columns; v++) s[v] = q[v] = splat(0);
    for (int64_t r = 0; r < rows; r++)
        for (int v = 0; v < columns; v++) {
            vf g = load(gy + r * length + v * VL), d = load(x + r * length + v * VL) - load(mean + v * VL);
            if (relu) g = where_positive(multiply_add(d, load(scale + v * VL), load(shift + v * VL)), g);
            s[v] += g;
            q[v] = multiply_add(g, d, q[v]);
        }
    for (int v = 0; v < columns; v++) {
        float a[VL], b[VL];
        store(a, s[v]);
        store(b, q[v]);
        for (int l = 0; l < VL; l++) {
            sum[v * VL + l] += a[l];
            product[v * VL + l] += b[l];
        }
    }
}

INLINE void sum_rows(const backward *a, range mine, int relu, const float *mean, const float *scale,
                     const float *shift, double *sum, double *product) {
    const int64_t length = a->p.length;
    for (int64_t r = mine.start; r < mine.stop; r += CHUNK) {
        int64_t rows = min64(CHUNK, mine.stop - r), i = 0;
        const float *x = a->x + r * length, *gy = a->gy + r * length;
        for (; i + COLUMNS * VL <= length; i += COLUMNS * VL)
            sums_of_chunk(COLUMNS, relu, x + i, gy + i, rows, length, mean + i, scale + i, shift + i,
                          sum + i, product + i);
        for (; i < length; i += VL)
            sums_of_chunk(1, relu, x + i, gy + i, rows, length, mean + i, scale + i, shift + i, sum + i,
                          product + i);
    }
}

// From the last row to the first: the last ones are still in the cache.
INLINE void gradient_rows(const backward *a, range mine, int relu, const float *mean,
                          const float *scale, const float *shift, const float *constant,
                          const float *slope, int past) {
    const int64_t length = a->p.length;
    for (int64_t r = mine.stop - 1; r >= mine.start; r--) {
        const float *x = a->x + r * length, *gy = a->gy + r * length;
        float *gx = a->gx + r * length;
        for (int64_t i = 0; i < length; i += VL) {
            vf g = load(gy + i), d = load(x + i) - load(mean + i), s = load(scale + i);
            if (relu) g = where_positive(multiply_add(d, s, load(shift + i)), g);
            put(gx + i, multiply_add(s, g, multiply_add(d, load(slope + i), load(constant + i))), past);
        }
    }
}

INLINE float masked(const backward *a, int64_t at, int64_t c) {
    float g = a->gy[at];
    if (!a->relu) return g;
    return __builtin_fmaf(a->x[at] - a->mean[c], a->scale[c], a->shift[c]) > 0 ? g : g * 0;
}

static void gradients(void *given, int thread, int threads) {
    const backward *a = given;
    const plane p = a->p;
    double *sum = a->scratch + thread * bn_scratch(p.channels), *product = sum + p.length;
    float *mean = (float *)(product + p.length), *scale = mean + p.length, *shift = scale + p.length;
    float *constant = shift + p.length, *slope = constant + p.length;
    repeat(&p, a->mean, mean);
    repeat(&p, a->scale, scale);
    repeat(&p, a->shift, shift);
    for (int64_t i = 0; i < 2 * p.length; i++) sum[i] = 0;
    range mine = share(p.rows, thread, threads);
    a->relu ? sum_rows(a, mine, 1, mean, scale, shift, sum, product)
            : sum_rows(a, mine, 0, mean, scale, shift, sum, product);
    meet();
    const int64_t at = p.rows * p.length;
    const double count = (double)(at + p.rest) / p.channels;
    for (int64_t c = 0; c < p.channels; c++) {
        double s = 0, q = 0;
        for (int t = 0; t < threads; t++) {
            const double *part = a->scratch + t * bn_scratch(p.channels);
            for (int64_t i = c; i < p.length; i += p.channels) {
                s += part[i];
                q += part[p.length + i];
            }
        }
        for (int64_t i = c; i < p.rest; i += p.channels) {
            float g = masked(a, at + i, c);
            s += g;
            q += (double)g * (a->x[at + i] - a->mean[c]);
        }
        if (thread == 0) {
            a->gbeta[c] = (float)s;
            a->ggamma[c] = (float)(q * a->inv_std[c]);
        }
        const double inv_std = a->inv_std[c];
        constant[c] = (float)(-a->scale[c] * s / count);
        slope[c] = (float)(-a->scale[c] * q * inv_std * inv_std / count);
    }
    for (int64_t i = p.channels; i < p.length; i++) {
        constant[i] = constant[i - p.channels];
        slope[i] = slope[i - p.channels];
    }
    const int past = past_caches(a->gx, at);
    a->relu ? gradient_rows(a, mine, 1, mean, scale, shift, constant, slope, past)
            : gradient_rows(a, mine, 0, mean, scale, shift, constant, slope, past);
    if (thread == threads - 1)
        for (int64_t i = 0; i < p.rest; i++) {
            float d = a->x[at + i] - mean[i], g = masked(a, at + i, i % p.channels);
            a->gx[at + i] = __builtin_fmaf(scale[i], g, __builtin_fmaf(d, slope[i], constant[i]));
        }
}

// Gradients of x, gamma and beta for y = (x - mean) * scale + shift, where mean and inv_std are those
// of x and scale = gamma * inv_std. relu: gy is the gradient of ReLU(y) instead.
KERNEL void bn_backward(const float *x, const float *gy, int64_t pixels, int64_t channels,
                        const float *mean, const float *inv_std, const float *scale, const float *shift,
                        int relu, float *gx, float *ggamma, float *gbeta, double *scratch) {
    backward a = {plane_of(pixels, channels), x,  gy,     mean,  inv_std, scale,
                  shift,                      gx, ggamma, gbeta, scratch, relu};
    on_threads(gradients, &a);
}
