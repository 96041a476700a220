// The optimizers' rules, for all parameters of a net in one call.
//
// Each operation is rounded as NumPy rounds it, so the results are Chainer's to the last bit. The
// bounds of threads and blocks do not matter: every number is updated by itself.
#include <string.h>

#include "common.h"

enum { PARAMETER, GRADIENT, FIRST, SECOND, SIZE, COLUMNS };  // of the table of parameters
#define BLOCK 1024  // numbers that stay in the cache from one operation to the next

// The compiler may not make one operation, with one rounding, of this product and a sum.
INLINE vf rounded(vf product) {
#if VL == 16
    __asm__("" : "+v"(product));
#else
    __asm__("" : "+x"(product));
#endif
    return product;
}

INLINE vf root(vf v) {
#if VL == 16
    return (vf)_mm512_sqrt_ps((__m512)v);
#else
    return (vf)_mm256_sqrt_ps((__m256)v);
#endif
}

// A parameter, its gradient, and what the rule remembers of it.
typedef struct {
    vf p, g, first, second;
} numbers;

typedef void rule(numbers *x, const float *s);  // s: the rule's scalars

INLINE void decay(numbers *x, const float *s) { x->g += rounded(s[0] * x->p); }

INLINE void momentum_sgd(numbers *x, const float *s) {
    float rate = s[0], momentum = s[1];
    x->first = rounded(momentum * x->first) - rounded(rate * x->g);
    x->p += x->first;
}

INLINE void nesterov_ag(numbers *x, const float *s) {
    float rate = s[0], momentum = s[1], momentum_squared = s[2], rate_of_gradient = s[3];
    x->first = rounded(momentum * x->first) - rounded(rate * x->g);
    x->p += rounded(momentum_squared * x->first);
    x->p -= rounded(rate_of_gradient * x->g);
}

INLINE void nesterov(numbers *x, const float *s) {
    float rate = s[0], momentum = s[1];
    x->first = rounded(x->first * momentum) + x->g;
    x->p -= rounded((rounded(x->first * momentum) + x->g) * rate);
}

INLINE void adam(numbers *x, const float *s) {
    float to_first = s[0], to_second = s[1], rate = s[2], eps = s[3], keep = s[4], add = s[5];
    x->first += rounded(to_first * (x->g - x->first));
    x->second += rounded(to_second * (rounded(x->g * x->g) - x->second));
    vf step = rate / (root(x->second) + eps);
    x->p = rounded(keep * x->p) + rounded(add * rounded(step * x->first));
}

INLINE numbers read(float *const *at, int64_t i, int states) {
    numbers x = {load(at[PARAMETER] + i), load(at[GRADIENT] + i), {0}, {0}};
    if (states > 0) x.first = load(at[FIRST] + i);
    if (states > 1) x.second = load(at[SECOND] + i);
    return x;
}

INLINE void write(float *const *at, int64_t i, int states, const numbers *x) {
    if (states == 0) {  // decay
        store(at[GRADIENT] + i, x->g);
        return;
    }
    store(at[PARAMETER] + i, x->p);
    store(at[FIRST] + i, x->first);
    if (states > 1) store(at[SECOND] + i, x->second);
}

INLINE void follow(rule *f, int states, const float *s, float *const *at, int64_t count) {
    int64_t i = 0;
    for (; i + VL <= count; i += VL) {
        numbers x = read(at, i, states);
        f(&x, s);
        write(at, i, states, &x);
    }
    if (i < count) {  // the rest in vectors of their own
        float rest[SIZE][VL] = {{0}}, *in[SIZE];
        for (int a = 0; a < 2 + states; a++)
            memcpy(in[a] = rest[a], at[a] + i, (count - i) * sizeof(float));
        numbers x = read(in, 0, states);
        f(&x, s);
        write(in, 0, states, &x);
        for (int a = 0; a < 2 + states; a++)
            memcpy(at[a] + i, rest[a], (count - i) * sizeof(float));
    }
}

typedef struct {
    const int64_t *table;
    const float *rates, *scalars;
    int64_t parameters, decays;
} job;

// `f` and `states` as constants, so that there is a loop for each rule.
INLINE void update_share(rule *f, int states, const job *j, int thread, int threads) {
    const float s[6] = {j->scalars[0], j->scalars[1], j->scalars[2],
                        j->scalars[3], j->scalars[4], j->scalars[5]};
    int64_t total = 0, before = 0;
    for (int64_t i = 0; i < j->parameters; i++) total += j->table[i * COLUMNS + SIZE];
    range mine = share(total, thread, threads);
    for (int64_t i = 0; i < j->parameters; i++) {
        const int64_t *row = j->table + i * COLUMNS;
        int64_t stop = min64(mine.stop - before, row[SIZE]);
        for (int64_t start = max64(mine.start - before, 0); start < stop; start += BLOCK) {
            float *at[SIZE];
            for (int a = 0; a < 2 + states; a++) at[a] = (float *)row[a] + start;
            int64_t count = min64(stop - start, BLOCK);
            for (int64_t d = 0; d < j->decays; d++) follow(decay, 0, j->rates + d, at, count);
            follow(f, states, s, at, count);
        }
        before += row[SIZE];
    }
}

static void start(work *function, job *j) {
    int64_t total = 0;
    for (int64_t i = 0; i < j->parameters; i++) total += j->table[i * COLUMNS + SIZE];
    if (total < 16384)
        function(j, 0, 1);
    else
        on_threads(function, j);
}

// The function that Python calls for a rule.
//
// table: (parameters, 5): addresses of a parameter, its gradient and its two states, float32 of the
// size that the last column is. rates: of weight decays, each of which first adds rate * parameter
// to the gradient. scalars: 6, see the rule. No number may lie at two places of the table.
#define UPDATE(NAME, STATES)                                                                  \
    static void NAME##_share(void *given, int thread, int threads) {                         \
        update_share(NAME, STATES, given, thread, threads);                                  \
    }                                                                                        \
    KERNEL void update_##NAME(const int64_t *table, int64_t parameters, const float *rates,  \
                              int64_t decays, const float *scalars) {                        \
        job j = {table, rates, scalars, parameters, decays};                           \
        start(NAME##_share, &j);                                                             \
    }

UPDATE(momentum_sgd, 1)
UPDATE(nesterov_ag, 1)
UPDATE(nesterov, 1)
UPDATE(adam, 2)
