// The gradients of the weights of a convolution whose images have few channels, as pictures have.
//
// oneDNN's code wants whole vectors of input channels. Here the vectors are output channels, of
// which there are enough: of a row i of the filters, the `taps` (j, c) that a pixel of the output
// meets are width * channels floats in a row of the image, and
//
//     gw[k, i, (j, c)] = sum over pixels of gy[pixel, k] * image[pixel's first float + (j, c)].
//
// A block of taps x vectors of k stays in registers while some rows of pixels go by. Each such sum
// starts from zero and is then added to the thread's: sums of sums have smaller errors than one
// long sum.
#include "common.h"

#ifdef __AVX512F__
#define TAPS 14  // in registers, with two vectors each
#else
#define TAPS 5
#endif
#define PIXELS 128  // about so many are summed in registers; what they read stays in the cache

typedef struct {
    const float *x, *gy;
    float *scratch, *gw, *gb;
    int64_t images, channels, height, width;  // of x
    int64_t filters, out_height, out_width;   // of gy
    int64_t rows, columns, pad_y, pad_x;      // of the filters
} layer;

static int64_t padded_width(const layer *l) { return l->out_width + l->columns - 1; }
static int64_t padded_height(const layer *l) { return l->out_height + l->rows - 1; }
static int64_t taps_of_a_row(const layer *l) { return l->columns * l->channels; }

// Memory of one thread, in floats: an image with its padding, and the sums, the bias' at the end.
static int64_t image_size(const layer *l) {
    return ceil_div(padded_height(l) * padded_width(l) * l->channels, 16) * 16;
}
static int64_t sums_size(const layer *l) { return (l->rows * taps_of_a_row(l) + 1) * l->filters; }

static void pad_image(const layer *l, const float *x, float *to) {
    int64_t c = l->channels, row = padded_width(l) * c;
    int64_t left = min64(l->pad_x * c, row), inside = min64(l->width * c, row - left);
    for (int64_t y = 0; y < padded_height(l); y++, to += row) {
        int64_t from = y - l->pad_y;
        int within = from >= 0 && from < l->height;
        const float *source = within ? x + from * l->width * c : x;
        for (int64_t i = 0; i < left; i++) to[i] = 0;
        for (int64_t i = 0; i < inside; i++) to[left + i] = within ? source[i] : 0;
        for (int64_t i = left + inside; i < row; i++) to[i] = 0;
    }
}

#define EACH _Pragma("GCC unroll 16")  // unrolled, or the sums would not be in registers

// sum[t][v] += sum over pixels of x[pixel][t] * gy[pixel][v]
INLINE void block(int taps, int vectors, const layer *l, const float *x, const float *gy,
                  int64_t rows, float *sum) {
    vf a[TAPS][2];
    EACH for (int t = 0; t < taps; t++)
        EACH for (int v = 0; v < vectors; v++) a[t][v] = (vf){0};
    for (int64_t y = 0; y < rows; y++) {
        const float *p = x + y * padded_width(l) * l->channels;
        for (int64_t i = 0; i < l->out_width; i++, p += l->channels, gy += l->filters) {
            vf g[2];
            EACH for (int v = 0; v < vectors; v++) g[v] = load(gy + v * VL);
            EACH for (int t = 0; t < taps; t++) {
                vf s = splat(p[t]);
                EACH for (int v = 0; v < vectors; v++) a[t][v] += s * g[v];
            }
        }
    }
    EACH for (int t = 0; t < taps; t++, sum += l->filters)
        EACH for (int v = 0; v < vectors; v++) store(sum + v * VL, load(sum + v * VL) + a[t][v]);
}

#define CASE(n) \
    case n: if (two) block(n, 2, l, x, gy, rows, sum); else block(n, 1, l, x, gy, rows, sum); break;

static void any_block(int taps, int two, const layer *l, const float *x, const float *gy,
                      int64_t rows, float *sum) {
    switch (taps) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5)
#if TAPS == 14
        CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#endif
    }
}

// sum += sum over pixels of gy[pixel]; is that sum finite?
static int add_bias(const layer *l, const float *gy, int64_t pixels, float *sum) {
    vf a[4] = {{0}};
    int64_t i = 0, step = l->filters;
    for (; i + 4 <= pixels; i += 4)
        EACH for (int j = 0; j < 4; j++) a[j] += load(gy + (i + j) * step);
    for (; i < pixels; i++) a[0] += load(gy + i * step);
    vf all = (a[0] + a[1]) + (a[2] + a[3]);
    store(sum, load(sum) + all);
    vi bad = all - all != (vf){0};
    int any = 0;
    for (int j = 0; j < VL; j++) any |= bad[j];
    return !any;
}

// What rows first to end of the output add to the sums of row i of the filters, from k on. `gy` is
// the gradient of the first of all rows, `image` the padded copy.
static void add_taps(const layer *l, const float *image, const float *gy, int64_t first,
                     int64_t end, int64_t i, int64_t k, int two, float *sums) {
    int64_t taps = taps_of_a_row(l), blocks = ceil_div(taps, TAPS);
    if (first >= end) return;
    const float *x = image + (first + i) * padded_width(l) * l->channels;
    gy += first * l->out_width * l->filters + k;
    for (int64_t b = 0; b < blocks; b++) {
        range t = share(taps, b, blocks);
        any_block(t.stop - t.start, two, l, x + t.start, gy, end - first,
                  sums + (i * taps + t.start) * l->filters + k);
    }
}

// Rows y to end of the output of one image.
static void add_rows(const layer *l, const float *image, const float *gy, int64_t y, int64_t end,
                     float *sums) {
    float *bias = sums + l->rows * taps_of_a_row(l) * l->filters;
    for (int64_t k = 0; k < l->filters;) {
        int two = l->filters - k >= 2 * VL, finite = 1;
        // The rows of the output that meet row i of the filters inside the image.
        for (int64_t i = 0; i < l->rows; i++)
            add_taps(l, image, gy, max64(y, l->pad_y - i), min64(end, l->height + l->pad_y - i), i,
                     k, two, sums);
        for (int v = 0; v <= two; v++)
            finite &= add_bias(l, gy + y * l->out_width * l->filters + k + v * VL,
                               (end - y) * l->out_width, bias + k + v * VL);
        // The others meet zeros, which add nothing; but zero times infinity is not a number.
        for (int64_t i = 0; i < l->rows && !finite; i++) {
            add_taps(l, image, gy, y, min64(end, l->pad_y - i), i, k, two, sums);
            add_taps(l, image, gy, max64(y, l->height + l->pad_y - i), end, i, k, two, sums);
        }
        k += two ? 2 * VL : VL;
    }
}

static void gradients(void *given, int thread, int threads) {
    const layer *l = given;
    int64_t taps = taps_of_a_row(l), size = image_size(l) + sums_size(l);
    float *image = l->scratch + thread * size, *sums = image + image_size(l);
    for (int64_t i = 0; i < sums_size(l); i++) sums[i] = 0;

    int64_t rows = max64(1, PIXELS / l->out_width), groups = ceil_div(l->out_height, rows);
    range mine = share(l->images * groups, thread, threads);
    for (int64_t i = mine.start; i < mine.stop; i++) {
        int64_t n = i / groups, y = i % groups * rows;
        if (i == mine.start || y == 0)
            pad_image(l, l->x + n * l->height * l->width * l->channels, image);
        const float *gy = l->gy + n * l->out_height * l->out_width * l->filters;
        add_rows(l, image, gy, y, min64(y + rows, l->out_height), sums);
    }
    meet();

    // The threads' sums together, and from (i, j, c, k) to (k, c, i, j).
    const float *first = l->scratch + image_size(l);
    range part = share(l->filters, thread, threads);
    for (int64_t k = part.start; k < part.stop; k++)
        for (int64_t t = 0; t <= l->rows * taps; t++) {
            float sum = 0;
            for (int n = 0; n < threads; n++) sum += first[n * size + t * l->filters + k];
            int64_t i = t / taps, j = t % taps / l->channels, c = t % l->channels;
            if (i < l->rows)
                l->gw[((k * l->channels + c) * l->rows + i) * l->columns + j] = sum;
            else if (l->gb)
                l->gb[k] = sum;
        }
}

// How many floats of scratch first_layer_weights needs, for images and filters of these sizes.
KERNEL int64_t first_layer_scratch(int64_t channels, int64_t filters, int64_t out_height,
                                   int64_t out_width, int64_t rows, int64_t columns) {
    layer l = {.channels = channels, .filters = filters, .out_height = out_height,
               .out_width = out_width, .rows = rows, .columns = columns};
    return count_threads() * (image_size(&l) + sums_size(&l));
}

// x (N, H, W, C), gy (N, H', W', K) -> gw (K, C, rows, columns), gb (K), which may be NULL.
// Stride 1; K a multiple of VL. `scratch` starts at a cache line.
KERNEL void first_layer_weights(const float *x, const float *gy, float *scratch, float *gw,
                                float *gb, int64_t images, int64_t channels, int64_t height,
                                int64_t width, int64_t filters, int64_t out_height,
                                int64_t out_width, int64_t rows, int64_t columns, int64_t pad_y,
                                int64_t pad_x) {
    layer l = {x, gy, scratch, gw, gb, images, channels, height, width, filters, out_height,
               out_width, rows, columns, pad_y, pad_x};
    on_threads(gradients, &l);
}
