// Operations that take every element by itself, on all threads.
#include "common.h"

typedef struct {
    const float *a, *b, *c;
    float *y;
    int64_t size;
} arrays;

// A kernel `name` of the body's `result`, from vectors a, b and c. The end that is no whole vector is
// done in a vector of its own.
#define ELEMENTWISE(name, inputs, result)                                                  \
    static void name##_share(void *given, int thread, int threads) {                       \
        const arrays *s = given;                                                           \
        range mine = share(s->size / VL, thread, threads);                                 \
        const int past = past_caches(s->y, s->size);                                       \
        for (int64_t i = mine.start * VL; i < mine.stop * VL; i += VL) {                   \
            vf a = load(s->a + i), b = a, c = a;                                           \
            if (inputs > 1) b = load(s->b + i);                                            \
            if (inputs > 2) c = load(s->c + i);                                            \
            (void)b, (void)c;                                                              \
            put(s->y + i, result, past);                                                   \
        }                                                                                  \
        if (thread == threads - 1 && s->size % VL) {                                       \
            int64_t at = s->size - s->size % VL, left = s->size % VL;                      \
            float in[3][VL] = {{0}}, out[VL];                                              \
            for (int64_t i = 0; i < left; i++) {                                           \
                in[0][i] = s->a[at + i];                                                   \
                if (inputs > 1) in[1][i] = s->b[at + i];                                   \
                if (inputs > 2) in[2][i] = s->c[at + i];                                   \
            }                                                                              \
            vf a = load(in[0]), b = load(in[1]), c = load(in[2]);                          \
            (void)b, (void)c;                                                              \
            store(out, result);                                                            \
            for (int64_t i = 0; i < left; i++) s->y[at + i] = out[i];                      \
        }                                                                                  \
    }                                                                                      \
    KERNEL void name(const float *a, const float *b, const float *c, float *y, int64_t size) { \
        arrays s = {a, b, c, y, size};                                                     \
        on_threads(name##_share, &s);                                                      \
    }

ELEMENTWISE(relu, 1, larger(a, splat(0)))
ELEMENTWISE(relu_gradient, 2, where_positive(a, b))         // of y and gy
ELEMENTWISE(relu_gradient_of_sum, 3, where_positive(a, b + c))
ELEMENTWISE(add, 2, a + b)
ELEMENTWISE(add_relu, 2, larger(a + b, splat(0)))
ELEMENTWISE(multiply, 2, a * b)
