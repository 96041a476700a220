// Dropout with the numbers of NumPy's Mersenne Twister, many at a time.
//
// Matsumoto and Nishimura, Mersenne Twister, 1998. The generator is a sequence of words of which
// each follows from those 624, 623 and 227 places before it. NumPy keeps 624 of them and the place
// of the next; a double is made of two words, tempered: the upper 27 bits of the first and the
// upper 26 of the second are an integer k, and the number is k / 2^53. So `number >= ratio` is
// `k >= threshold`, an integer, and nothing is rounded.
#include <string.h>

#include "common.h"

#define STATE 624            // words
#define STEP (2 * STATE)     // words made at once: a multiple of STATE, see `keep_state`
#define NUMBERS (STEP / 2)   // made of so many words
#define BYTES (NUMBERS / 8)  // for a bit for each

typedef uint32_t vu __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint64_t vul __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef int64_t vl __attribute__((vector_size(VL * 4), aligned(4), may_alias));

// As in NumPy's src/mt19937/mt19937.h; whether it still is, the caller has checked.
typedef struct {
    uint32_t key[STATE];
    int pos;
} numpy_state;

// words[0 … 623] are known; make the next STEP.
static void extend(uint32_t *words) {
    for (int i = 0; i < STEP; i += VL) {
        vu first = *(vu *)(words + i), second = *(vu *)(words + i + 1);
        vu mixed = (first & 0x80000000u) | (second & 0x7fffffffu);
        vu odd = (vu)((second & 1u) != 0u);
        *(vu *)(words + STATE + i) = *(vu *)(words + 397 + i) ^ mixed >> 1 ^ (odd & 0x9908b0dfu);
    }
}

// Forget the first STEP words.
INLINE void advance(uint32_t *words) { memmove(words, words + STEP, STATE * sizeof *words); }

// A bit for each number made of VL words: is it at least the threshold?
INLINE unsigned compare(const uint32_t *words, int64_t threshold) {
    vu y = *(const vu *)words;
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    y ^= y >> 18;
    vul pair = (vul)y;  // the first word of each two is the lower half
    vul k = (pair & 0xffffffe0u) << 21 | pair >> 38;
#if VL == 16
    return _mm512_cmpge_epi64_mask((__m512i)k, _mm512_set1_epi64(threshold));
#else
    vl at_least = (vl)k > threshold - 1;
    return _mm256_movemask_pd((__m256d)at_least);
#endif
}

static void compare_step(const uint32_t *words, int64_t threshold, uint8_t *bits) {
    for (int i = 0; i < BYTES; i++)
#if VL == 16
        bits[i] = compare(words + 16 * i, threshold);
#else
        bits[i] = compare(words + 16 * i, threshold) | compare(words + 16 * i + 8, threshold) << 4;
#endif
}

typedef struct {
    const numpy_state *before;
    numpy_state *after;
    const float *x;
    float *y, *mask, scale;
    uint8_t *bits;
    int64_t images, channels, pixels, threshold;
} job;

// NumPy's state when `count` words are used up, counted from the first of `words`: NumPy makes
// STATE at a time, when it needs the first of them.
static void keep_state(const uint32_t *words, int64_t count, numpy_state *state) {
    int64_t start = (count - 1) / STATE * STATE;
    memcpy(state->key, words + start, sizeof state->key);
    state->pos = (int)(count - start);
}

// A bit for each element in the order of the array's shape. The words themselves come one after
// the other; so every thread makes those before its share, too, which is the cheap part.
static void draw(const job *j, int thread, int threads) {
    uint32_t words[STATE + STEP + VL];
    int64_t count = j->images * j->channels * j->pixels;
    range mine = share(ceil_div(count, NUMBERS), thread, threads);
    memcpy(words, j->before->key, sizeof j->before->key);
    for (int64_t step = 0; step < mine.stop; step++) {
        extend(words);
        if (step >= mine.start)
            compare_step(words + j->before->pos, j->threshold, j->bits + step * BYTES);
        if (step == ceil_div(count, NUMBERS) - 1)
            keep_state(words, j->before->pos + 2 * (count - step * NUMBERS), j->after);
        advance(words);
    }
}

INLINE uint32_t bits_at(const uint8_t *bits, int64_t position) {
    uint64_t found;
    memcpy(&found, bits + position / 8, sizeof found);
    return (uint32_t)(found >> position % 8);
}

INLINE void apply(const job *j, int64_t i, vi keep) {
    vf mask = (vf)(keep & (vi)splat(j->scale));
    store(j->mask + i, mask);
    store(j->y + i, load(j->x + i) * mask);
}

INLINE void apply_one(const job *j, int64_t i, uint32_t keep) {
    j->mask[i] = keep & 1 ? j->scale : 0;
    j->y[i] = j->x[i] * j->mask[i];
}

static void apply_in_order(const job *j, int thread, int threads) {
    int64_t count = j->images * j->pixels;
    range mine = share(ceil_div(count, VL), thread, threads);
    vi lane;
    for (int i = 0; i < VL; i++) lane[i] = 1 << i;
    for (int64_t i = mine.start * VL; i < min64(mine.stop * VL, count); i += VL) {
        uint32_t bits = bits_at(j->bits, i);
        if (i + VL <= count)
            apply(j, i, (lane & (int32_t)bits) != 0);
        else
            for (int64_t rest = i; rest < count; rest++) apply_one(j, rest, bits >> (rest - i));
    }
}

// The bits lie in the order (N, C, H, W), the numbers as (N, H, W, C): 32 pixels at a time.
static void apply_channels_last(const job *j, int thread, int threads) {
    int64_t blocks = ceil_div(j->pixels, 32);
    range mine = share(j->images * blocks, thread, threads);
    for (int64_t block = mine.start; block < mine.stop; block++) {
        int64_t image = block / blocks, pixel = block % blocks * 32;
        int64_t count = min64(j->pixels - pixel, 32), c = 0;
        int64_t bit = image * j->channels * j->pixels + pixel;
        int64_t first = (image * j->pixels + pixel) * j->channels;
        for (; c + VL <= j->channels; c += VL) {
            vi bits;
            for (int lane = 0; lane < VL; lane++)
                bits[lane] = bits_at(j->bits, bit + (c + lane) * j->pixels);
            for (int64_t p = 0; p < count; p++)
                apply(j, first + p * j->channels + c, (bits & (int32_t)(1u << p)) != 0);
        }
        for (; c < j->channels; c++) {
            uint32_t bits = bits_at(j->bits, bit + c * j->pixels);
            for (int64_t p = 0; p < count; p++)
                apply_one(j, first + p * j->channels + c, bits >> p);
        }
    }
}

static void work_on(void *given, int thread, int threads) {
    const job *j = given;
    draw(j, thread, threads);
    if (threads > 1) meet();
    if (j->channels == 1)
        apply_in_order(j, thread, threads);
    else
        apply_channels_last(j, thread, threads);
}

// mask = scale where the next of NumPy's numbers is at least threshold / 2^53, 0 elsewhere;
// y = x * mask; and the state is what NumPy's would be.
//
// x, y and mask: (images, pixels, channels) in memory; the numbers are drawn in the order (images,
// channels, pixels). bits: room for a bit for each, and 96 bytes more.
KERNEL void dropout(numpy_state *state, const float *x, float *y, float *mask, uint8_t *bits,
                    int64_t images, int64_t channels, int64_t pixels, int64_t threshold,
                    float scale) {
    numpy_state after;
    job j = {state, &after, x, y, mask, scale, bits, images, channels, pixels, threshold};
    if (images * channels * pixels < 8192)
        work_on(&j, 0, 1);
    else
        on_threads(work_on, &j);
    *state = after;
}
