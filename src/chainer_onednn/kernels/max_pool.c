// Max pooling of channels-last images, with the ReLU in front of it, and with the normalization in
// front of that: the largest of relu(f(x)) is relu of the largest f(x), so neither needs a pass of its
// own, and what they give is not even written down.
#include <string.h>

#include "common.h"

#define CLOSED 128  // added to the code of a maximum that the ReLU made zero

typedef struct {
    int64_t n, height, width, channels;              // of the images
    int64_t out_height, out_width;                   // of what comes out
    int kernel_y, kernel_x, stride_y, stride_x, pad_y, pad_x;
    int relu;
    const float *x, *mean, *scale, *shift;           // mean is NULL: the images as they are
    const float *gy;
    float *y, *gx, *scratch;
    uint8_t *codes;
} pooling;

typedef int8_t bytes __attribute__((vector_size(VL), aligned(1), may_alias));

INLINE vi load_codes(const uint8_t *p) {
    return __builtin_convertvector(*(const bytes *)p, vi) & 255;
}

// One output pixel, `VL` channels from c on. NaN is larger than all, and the first one counts, as for
// NumPy's argmax.
INLINE void pool_vector(const pooling *a, int64_t image, range rows, range columns, int64_t top,
                        int64_t left, int64_t c, float *y, uint8_t *codes) {
    vf best = splat(0);
    vi code = {0};
    int first = 1;
    vf mean = splat(0), scale = mean, shift = mean;
    if (a->mean) mean = load(a->mean + c), scale = load(a->scale + c), shift = load(a->shift + c);
    for (int64_t i = rows.start; i < rows.stop; i++)
        for (int64_t j = columns.start; j < columns.stop; j++) {
            vf v = load(a->x + ((image * a->height + i) * a->width + j) * a->channels + c);
            if (a->mean) v = multiply_add(v - mean, scale, shift);
            vi here = (vi){0} + (int32_t)((i - top) * a->kernel_x + j - left);
            if (first) {
                best = v, code = here, first = 0;
                continue;
            }
            vi larger_here = ~(vi)(v <= best) & (vi)(best == best);
            best = (vf)(((vi)v & larger_here) | ((vi)best & ~larger_here));
            code = (here & larger_here) | (code & ~larger_here);
        }
    if (a->relu) {
        code |= ~(vi)(best > splat(0)) & CLOSED;
        best = larger(best, splat(0));
    }
    store(y, best);
    *(bytes *)codes = __builtin_convertvector(code, bytes);
}

static void pool_scalar(const pooling *a, int64_t image, range rows, range columns, int64_t top,
                        int64_t left, int64_t c, float *y, uint8_t *codes) {
    float best = 0;
    int code = -1;
    for (int64_t i = rows.start; i < rows.stop; i++)
        for (int64_t j = columns.start; j < columns.stop; j++) {
            float v = a->x[((image * a->height + i) * a->width + j) * a->channels + c];
            if (a->mean) v = __builtin_fmaf(v - a->mean[c], a->scale[c], a->shift[c]);
            if (code >= 0 && (v <= best || best != best)) continue;
            best = v;
            code = (int)((i - top) * a->kernel_x + j - left);
        }
    if (a->relu && !(best > 0)) {
        code |= CLOSED;
        if (best <= 0) best = 0;  // NaN stays
    }
    *y = best;
    *codes = (uint8_t)code;
}

static void pool(void *given, int thread, int threads) {
    const pooling *a = given;
    range mine = share(a->n * a->out_height, thread, threads);
    for (int64_t line = mine.start; line < mine.stop; line++) {
        int64_t image = line / a->out_height, top = line % a->out_height * a->stride_y - a->pad_y;
        range rows = {max64(top, 0), min64(top + a->kernel_y, a->height)};
        for (int64_t column = 0; column < a->out_width; column++) {
            int64_t left = column * a->stride_x - a->pad_x, c = 0;
            range columns = {max64(left, 0), min64(left + a->kernel_x, a->width)};
            int64_t at = (line * a->out_width + column) * a->channels;
            for (; c + VL <= a->channels; c += VL)
                pool_vector(a, image, rows, columns, top, left, c, a->y + at + c, a->codes + at + c);
            for (; c < a->channels; c++)
                pool_scalar(a, image, rows, columns, top, left, c, a->y + at + c, a->codes + at + c);
        }
    }
}

// The windows that hold row `at` of the image.
INLINE range windows_at(int64_t at, int kernel, int stride, int pad, int64_t count) {
    int64_t last = (at + pad) / stride, first = at + pad - kernel + 1;
    return (range){first > 0 ? ceil_div(first, stride) : 0, min64(last + 1, count)};
}

// Add what one window gives to its pixels of one line; `code` is that of the window's first pixel in
// this line.
INLINE void window_back(const pooling *a, int64_t at, int64_t left, int32_t code, float *line) {
    const int64_t channels = a->channels, whole = channels / VL * VL;
    const int64_t from = max64(-left, 0), to = min64(a->kernel_x, a->width - left);
    for (int64_t c = 0; c < whole; c += VL) {
        vi codes = load_codes(a->codes + at + c);
        vf open = (vf)((vi)(codes < CLOSED) & (vi)splat(1));
        vf g = load(a->gy + at + c) * open;
        codes &= CLOSED - 1;
        for (int64_t k = from; k < to; k++) {
            float *pixel = line + (left + k) * channels + c;
            store(pixel, load(pixel) + (vf)((vi)g & (vi)(codes == (int32_t)(code + k))));
        }
    }
    for (int64_t c = whole; c < channels; c++)
        for (int64_t k = from; k < to; k++)
            if ((a->codes[at + c] & (CLOSED - 1)) == code + k)
                line[(left + k) * channels + c] +=
                    a->codes[at + c] < CLOSED ? a->gy[at + c] : a->gy[at + c] * 0;
}

static void pool_back(void *given, int thread, int threads) {
    const pooling *a = given;
    const int64_t floats = a->width * a->channels;
    const int past = past_caches(a->gx, a->n * a->height * floats) && floats % VL == 0;
    float *line = a->scratch + thread * floats;
    range mine = share(a->n * a->height, thread, threads);
    for (int64_t number = mine.start; number < mine.stop; number++) {
        int64_t image = number / a->height, i = number % a->height;
        range rows = windows_at(i, a->kernel_y, a->stride_y, a->pad_y, a->out_height);
        memset(line, 0, floats * sizeof *line);
        for (int64_t r = rows.start; r < rows.stop; r++)
            for (int64_t s = 0; s < a->out_width; s++)
                window_back(a, ((image * a->out_height + r) * a->out_width + s) * a->channels,
                            s * a->stride_x - a->pad_x,
                            (int32_t)((i - r * a->stride_y + a->pad_y) * a->kernel_x), line);
        float *gx = a->gx + number * floats;
        if (past)
            for (int64_t k = 0; k < floats; k += VL) stream(gx + k, load(line + k));
        else
            memcpy(gx, line, floats * sizeof *line);
    }
}

// windows: kernel, stride and padding, each of rows and of columns; at most 128 pixels in one, and
// none without a pixel of the image. codes: (N, H', W', C) bytes, which `max_pool_backward` reads:
// where in its window the maximum was.
KERNEL void max_pool(const float *x, int64_t n, int64_t height, int64_t width, int64_t channels,
                     int64_t out_height, int64_t out_width, const int32_t *windows, const float *mean,
                     const float *scale, const float *shift, int relu, float *y, uint8_t *codes) {
    const int32_t *w = windows;
    pooling a = {n, height, width, channels, out_height, out_width, w[0], w[1],  w[2], w[3],
                 w[4], w[5], relu, x, mean, scale, shift, NULL, y, NULL, NULL, codes};
    on_threads(pool, &a);
}

// scratch: a line of the image for each thread.
KERNEL void max_pool_backward(const float *gy, int64_t n, int64_t height, int64_t width,
                              int64_t channels, int64_t out_height, int64_t out_width,
                              const int32_t *windows, uint8_t *codes, float *gx, float *scratch) {
    const int32_t *w = windows;
    pooling a = {n, height, width, channels, out_height, out_width, w[0], w[1], w[2], w[3],
                 w[4], w[5], 0, NULL, NULL, NULL, NULL, gy, NULL, gx, scratch, codes};
    on_threads(pool_back, &a);
}
