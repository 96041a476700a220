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
#define TAPS 8  // in registers, with two vectors each
#else
#define TAPS 5
#endif
#define PIXELS 128  // about so many are summed in registers: their gradients stay in the first cache

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
        const float *source = x + from * l->width * c;
        for (int64_t i = 0; i < left; i++) to[i] = 0;
        for (int64_t i = 0; i < inside; i++) to[left + i] = within ? source[i] : 0;
        for (int64_t i = left + inside; i < row; i++) to[i] = 0;
    }
}

// sum[t][v] += sum over pixels of x[pixel][t] * gy[pixel][v]
INLINE void block(int taps, int vectors, const layer *l, const float *x, const float *gy,
                  int64_t rows, float *sum) {
    vf a[TAPS][2];
    for (int t = 0; t < taps; t++)
        for (int v = 0; v < vectors; v++) a[t][v] = (vf){0};
    for (int64_t y = 0; y < rows; y++) {
        const float *p = x + y * padded_width(l) * l->channels;
        for (int64_t i = 0; i < l->out_width; i++, p += l->channels, gy += l->filters) {
            vf g[2];
            for (int v = 0; v < vectors; v++) g[v] = load(gy + v * VL);
            for (int t = 0; t < taps; t++) {
                vf s = splat(p[t]);
                for (int v = 0; v < vectors; v++) a[t][v] += s * g[v];
            }
        }
    }
    for (int t = 0; t < taps; t++, sum += l->filters)
        for (int v = 0; v < vectors; v++) store(sum + v * VL, load(sum + v * VL) + a[t][v]);
}

#define CASE(n) \
    case n: if (two) block(n, 2, l, x, gy, rows, sum); else block(n, 1, l, x, gy, rows, sum); break;

static void any_block(int taps, int two, const layer *l, const float *x, const float *gy,
                      int64_t rows, float *sum) {
    switch (taps) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5)
#if TAPS == 8
        CASE(6) CASE(7) CASE(8)
#endif
    }
}

// Some rows of the output, from `y` on, of the image whose padded copy is given.
static void add_rows(const layer *l, const float *image, const float *gy, int64_t y, int64_t rows,
                     float *sums) {
    int64_t taps = taps_of_a_row(l), blocks = ceil_div(taps, TAPS), k_step;
    float *bias = sums + l->rows * taps * l->filters;
    for (int64_t k = 0; k < l->filters; k += k_step) {
        int two = l->filters - k >= 2 * VL;
        k_step = two ? 2 * VL : VL;
        for (int64_t v = k; v < k + k_step; v += VL) {
            vf sum = {0};
            for (int64_t i = 0; i < rows * l->out_width; i++) sum += load(gy + i * l->filters + v);
            store(bias + v, load(bias + v) + sum);
        }
        for (int64_t i = 0; i < l->rows; i++) {
            const float *x = image + (y + i) * padded_width(l) * l->channels;
            for (int64_t b = 0; b < blocks; b++) {
                range t = share(taps, b, blocks);
                any_block(t.stop - t.start, two, l, x + t.start, gy + k, rows,
                          sums + (i * taps + t.start) * l->filters + k);
            }
        }
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
        const float *gy = l->gy + (n * l->out_height + y) * l->out_width * l->filters;
        add_rows(l, image, gy, y, min64(rows, l->out_height - y), sums);
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
